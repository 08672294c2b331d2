/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Does a patch cure the failures and break nothing?  Each capsule is replayed
 * several times with the base and several times with the patch; what differs
 * among the runs of the base is noise.
 */
#ifndef CAPSULE_VERIFY_H
#define CAPSULE_VERIFY_H

#include "proof/judge.h"

enum measure { MEASURE_CPU, MEASURE_RSS, MEASURE_PAGES, MEASURE_CALLS, MEASURE_WRITTEN, MEASURES };
extern const char *const measure_names[MEASURES];	/* "cpu", "rss", "pages", "calls", "written" */

struct build {
	const char *const (*binds)[2];
	size_t nbinds;
};

struct verify_options {
	struct judge_options judge;	/* run.binds, seen are ours */
	struct build base, patch;	/* binds of each, the common ones among them */
	double budget[MEASURES];	/* how much more the patch may take, 0.1 for 10 %; negative: no matter */
};

enum proved {
	PROVED_CURED,		/* the failure of the base is not there with the patch */
	PROVED_UNCHANGED,	/* a good run stays as it is */
	PROVED_NOT_CURED,
	PROVED_BROKEN,		/* what the callers get is another */
	PROVED_OVER_BUDGET,
	PROVED_UNKNOWN,		/* no telling: why says why */
	PROVED_KINDS
};
const char *proved_name(enum proved p);

struct proof {
	enum proved proved;
	char why[512];		/* one line; "" where there is nothing to say */
	char aside[256];	/* what also changed, of the logs and of what is asked of others */
	char noise[256];	/* what differs among runs of the base */
	double base[MEASURES], patch[MEASURES];	/* medians; seconds, bytes, calls, bytes */
};

void verify(struct recording *rec, const struct verify_options *opts, struct proof *p);

#endif
