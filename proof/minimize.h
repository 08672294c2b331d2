/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A smaller capsule with the same failure: sources are left out as long as it
 * stays, more of them at a time at first, then each alone, as delta debugging
 * does it.  What is tried, and in which order, depends on the capsule and on
 * the answers only.
 */
#ifndef CAPSULE_MINIMIZE_H
#define CAPSULE_MINIMIZE_H

#include "proof/judge.h"

struct minimize_options {
	struct judge_options judge;	/* by which a capsule is tried, unless ... */
	char *const *check;		/* ... this is not NULL: a command that exits with 1 where the failure is there */
	unsigned int seconds;		/* that it may take; 0: no limit */
	const char *file, *out;
};

struct minimized {
	size_t sources, left;		/* found in the capsule, still in it */
	uint64_t before, size;		/* bytes of the files */
	unsigned int tries;
	bool interrupted;		/* by child_stop(): the smallest one so far is there all the same */
};

/*
 * Leaves the smallest capsule found in @out, at every moment.  ENODATA: the
 * failure is not there to begin with, the text says what is.
 */
int minimize(const struct minimize_options *opts, void (*told)(void *ctx, const struct minimized *m), void *ctx,
	     struct minimized *ret, struct err *err);

#endif
