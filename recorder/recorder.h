/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A recording: a command, run and recorded with all its descendants.
 *
 * The parts, none of which knows more than it needs:
 *	recorder.c   the way through: start, loop, end
 *	kernel.c     loads bpf/ and reads the ring; btf.c finds the kernel's types for it
 *	assemble.c   ring records → whole calls
 *	calls.c      whole calls → events
 *	tasks.c      threads and their numbers
 *	objects.c    what descriptors lead to
 *	files.c      the state of paths before and after; walk.c finds them
 *	spawn.c      the command's process, and the guard that continues what we stopped
 *	identity.c   the manifest
 *	container.c  containers by name; inside.c sees their root directories and images from here
 *	cmd_hook.c   called by a container's runtime before it starts the program
 *	attach.c     what runs already: its threads and descriptors; proc.c finds them
 *	armed.c      several scopes that are followed without a capsule, until one is asked for
 *	stop.c       a process, stopped unnoticed; patch.c redirects its clocks meanwhile, and undoes that
 */
#ifndef CAPSULE_RECORDER_H
#define CAPSULE_RECORDER_H

#include "format/capsule.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* What runs already and is to be recorded; nothing: a command is started. */
struct attach_opts {
	const pid_t *pids;	/* with their descendants */
	size_t npids;
	const char *cgroup;	/* its directory: all that is in it and below, and what comes into it */
	const char *what;	/* how the manifest calls it: "pid 7" */
	uint64_t for_ns;	/* 0: until it is told to end */
	bool causal;		/* leave the vDSO alone */
};

/* A process that gets ready to start a program, as a container's runtime does: recorded from that program's first instruction on. */
struct join_opts {
	pid_t pid;		/* 0: none */
	void (*ready)(void *ctx);	/* everything is in place: it may go on */
	/* Its program is about to begin, and it stands still: for what can only be known now. */
	int (*begins)(void *ctx, struct err *err);
	void *ctx;
};

struct container;
struct inside;

struct record_opts {
	struct attach_opts attach;
	bool watches;		/* armed.h: several scopes, nothing is written until somebody asks */
	struct join_opts join;
	uint64_t max_bytes;	/* of the capsule, at most; 0: any number */
	const char *file;
	char *const *argv;	/* of the command, NULL-terminated */
	const char *rootfs;	/* the command's root directory; "/": ours */
	const struct container *container;	/* instead: it runs in this one, rootfs being its root; NULL: in none */
	const struct inside *inside;	/* it runs in this one already, with or without an image in @container; NULL: it does not */
	uint64_t ring;		/* bytes, a power of two */
	bool pause;		/* the command waits while the recorder is behind, else records are lost */
	uint64_t snapshot_limit;	/* bytes of a file that go into the capsule */
	bool aslr;		/* leave it on */
	bool io_uring;		/* leave it, though what goes through it is not recorded */
	const char *signature;	/* of the failure; NULL: the one that is found */
};

struct record_result {
	bool started;		/* else exec_error says why not */
	int exec_error;		/* errno of execve() */
	int status;		/* of the command, as wait(2) gives it */
	uint64_t events, holes, lost, size;
	const char *ended;	/* why it did, of attach: "told to", "--for", "--max-bytes", "all gone" */
	uint64_t longest_stop;	/* of attach: ns for which a process was stopped at most */
	struct err broken;	/* code set: the capsule is not whole, because */
};

/*
 * Runs and records.  The calling process becomes the command's parent; its
 * signals are its own again on return.  Negative: the recorder failed before
 * the command was started.
 */
int record_run(const struct record_opts *opts, struct record_result *ret, struct err *err);

/* The same for what runs already (@opts->attach), until a limit, a signal, or nobody is left. */
int attach_run(const struct record_opts *opts, struct record_result *ret, struct err *err);

/* The same for one that gets ready (@opts->join), until its last descendant is gone. ESRCH: it has started nothing. */
int join_run(const struct record_opts *opts, struct record_result *ret, struct err *err);

/* Processes that a killed recorder left with their clocks redirected get their own code back; how many. */
unsigned int recorder_mend(void);

/* 0: this machine and this user can record; else @why says what is missing and the mend. */
int recorder_can(struct err *why);

#endif
