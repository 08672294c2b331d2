/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The production recorder: finds whom its policies mean, follows them, and
 * keeps what has happened when a policy says so.
 *
 *	watch.c       the way through: start, loop, end
 *	target.c      one scope: its history, its requests, what is waited for
 *	select.c      whom a policy means
 *	conditions.c  what a policy waits for
 *	limits.c      how much there may be; store.c: where it is
 *	capture.c     a history becomes a capsule; choice.c: what of it belongs to one request; jobs.c: beside the loop
 *	requests.c    requests in a scope's events; history.c: those events
 *	control.c     `capsule trigger`; rights.c: what it may do itself
 */
#ifndef CAPSULE_WATCH_H
#define CAPSULE_WATCH_H

#include "format/err.h"

#include <stdint.h>

struct watch_opts {
	const char *policies;	/* the file */
	uint64_t ring;		/* bytes, a power of two */
	const char *audit;	/* the log; NULL: audit.log in the first policy's store */
	const char *socket;	/* for `capsule trigger`; NULL: none */
	/* A line for people, without its newline. */
	void (*say)(void *ctx, const char *line);
	void *ctx;
};

struct watch_result {
	uint64_t capsules, suppressed;	/* limits were in the way */
	uint64_t failed;		/* that could not be written */
	uint64_t lost;			/* records */
	uint64_t longest_stop;		/* ns */
};

/* Until INT or TERM. */
int watch_run(const struct watch_opts *opts, struct watch_result *ret, struct err *err);

#endif
