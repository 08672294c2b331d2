/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A recording: a command, run and recorded with all its descendants.
 *
 * The parts, none of which knows more than it needs:
 *	recorder.c   the way through: start, loop, end
 *	kernel.c     loads bpf/ and reads the ring
 *	assemble.c   ring records → whole calls
 *	calls.c      whole calls → events
 *	tasks.c      threads and their numbers
 *	objects.c    what descriptors lead to
 *	files.c      the state of paths before and after; walk.c finds them
 *	spawn.c      the command's process, and the guard that continues what we stopped
 *	identity.c   the manifest
 */
#ifndef CAPSULE_RECORDER_H
#define CAPSULE_RECORDER_H

#include "format/capsule.h"

#include <stdbool.h>
#include <stdint.h>

struct record_opts {
	const char *file;
	char *const *argv;	/* of the command, NULL-terminated */
	const char *rootfs;	/* the command's root directory; "/": ours */
	uint64_t ring;		/* bytes, a power of two */
	uint64_t snapshot_limit;	/* bytes of a file that go into the capsule */
	bool aslr;		/* leave it on */
};

struct record_result {
	bool started;		/* else exec_error says why not */
	int exec_error;		/* errno of execve() */
	int status;		/* of the command, as wait(2) gives it */
	uint64_t events, holes, size;
	struct err broken;	/* code set: the capsule is not whole, because */
};

/*
 * Runs and records.  The calling process becomes the command's parent; its
 * signals are its own again on return.  Negative: the recorder failed before
 * the command was started.
 */
int record_run(const struct record_opts *opts, struct record_result *ret, struct err *err);

/* 0: this machine and this user can record; else @why says what is missing and the mend. */
int recorder_can(struct err *why);

#endif
