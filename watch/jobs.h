/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Capsules are written by children of the recorder, each with the histories as
 * they were when it was forked: who writes to a disk must not keep the ring
 * waiting.
 */
#ifndef CAPSULE_JOBS_H
#define CAPSULE_JOBS_H

#include "watch/capture.h"
#include "watch/store.h"

enum { JOBS = 4 };	/* at a time */

struct job {
	pid_t pid;		/* 0: free */
	int result;		/* where its struct job_result comes from */
	int number;		/* of limits_begun() */
	int64_t begun;		/* ns since the epoch */
	char policy[64];
	struct store_names names;
};

struct job_result {
	struct captured captured;
	struct err err;		/* code set: there is no capsule */
};

/* @j is free, its number, times, policy and names set. */
int job_start(struct job *j, const struct capture *c, struct err *err);
/* The child has ended: what came of it. Frees @j, whose names are there yet. */
void job_end(struct job *j, struct job_result *ret);

#endif
