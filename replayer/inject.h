/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the replayer changes in a program that has just been exec'ed: its
 * AT_RANDOM bytes, the shim's mappings, the vDSO's entry points.
 *
 * The caller is the tracer of the guest and runs its main loop; these
 * functions wait for nothing but the one task they are given.
 */
#ifndef CAPSULE_INJECT_H
#define CAPSULE_INJECT_H

#include "format/err.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct inject {
	const uint8_t *at_random;	/* 16 bytes; NULL: leave them */
	const char *path;		/* of the shared file as the guest sees it; NULL: "/dev/.capsule" */
	uint64_t shared_size;		/* its bytes, streams_size(); 0: no shim, system calls only */
};

struct injected {
	bool shim;		/* it is there, the clocks lead to it, and the task has seat 1 (seat.h); else to system calls */
	unsigned int entries;	/* of the vDSO, redirected; 0: it has none */
	const char *why;	/* without shim: why, in words; never NULL */
};

/*
 * @tid, seized, is in PTRACE_EVENT_EXEC's stop.  Afterwards it is in a stop
 * again, with the same registers and signal mask; the caller goes on with
 * PTRACE_CONT and signal 0.  Signals that arrive meanwhile stay pending.
 *
 * That the shim can't be mapped (the guest changed its root, has a limit on
 * its memory or fds) is no error: see @ret.  ESRCH: the task was killed, its
 * status is still to be waited for.  Other errors: it is not where it was and
 * should be killed.
 *
 * No system call made here may lead to a notification: open, mmap, madvise,
 * close.
 */
int inject_exec(pid_t tid, const struct inject *what, struct injected *ret, struct err *err);

/* Where to let a system call return if its argument @arg (2, 3 or 4) was changed: see shim_head.back. */
uint64_t inject_back(unsigned int arg);

/* The fs base of a task in a ptrace stop. 0 or -errno. */
int inject_fsbase(pid_t tid, uint64_t *fsbase);

#endif
