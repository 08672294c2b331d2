/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A running process, stopped for a moment without anybody's notice: by ptrace,
 * whose stops its parent is not told of.  What the stop interrupts is made
 * again; a signal that comes meanwhile is delivered afterwards.
 */
#ifndef CAPSULE_STOP_H
#define CAPSULE_STOP_H

#include "format/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/user.h>

struct stopped {
	pid_t pid;
	struct stopped_thread {
		pid_t tid;
		bool seized, stopped, gone;
		int signal;		/* that it is to get when it goes on */
		bool dirty;		/* @regs is to be written back */
		struct user_regs_struct regs;
	} *threads;
	size_t nthreads;
	int64_t began;			/* the first stands still since then, CLOCK_MONOTONIC, ns; 0: none does */
};

#define STOP_LIMIT_NS 4000000ll	/* for which a process may be kept, all in all */

/*
 * Stops every thread.  EBUSY: not all of them within a part of the limit, they
 * run again; try later.  ESRCH: it is gone.  EPERM: somebody else traces it.
 */
int stop_process(struct stopped *s, pid_t pid, struct err *err);
/* Lets it go on; how long it was stopped, ns. */
int64_t stop_end(struct stopped *s);
/* Is there still time? */
bool stop_has_time(const struct stopped *s);
/* Leads every thread out of the code at @from, an instruction at a time.  EBUSY: one did not come out. */
int stop_step_out(struct stopped *s, uint64_t from, uint64_t len, struct err *err);

#endif
