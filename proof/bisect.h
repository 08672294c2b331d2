/* SPDX-License-Identifier: Apache-2.0 */
/* The first commit whose build has the failure of a capsule. */
#ifndef CAPSULE_BISECT_H
#define CAPSULE_BISECT_H

#include "proof/judge.h"
#include "proof/range.h"

enum { BISECT_BINDS = 64 };

struct bisect_options {
	struct judge_options judge;	/* run.binds are ours */
	const char *file;		/* the capsule */
	const char *repo, *good, *bad, *build;
	const char *binds[BISECT_BINDS][2];	/* HOST, if relative: in the worktree */
	size_t nbinds;
	const char *scores;		/* a file; NULL: none */
	unsigned int build_seconds;	/* 0: no limit */
	bool keep_built;		/* don't clean the worktree between builds */
	bool no_cache;
};

enum step_how { STEP_BUILT, STEP_CACHED, STEP_NO_BUILD };
struct bisect_step {
	const char *oid, *subject;
	enum step_how how;
	enum judged judged;		/* JUDGED_UNKNOWN: skipped */
	char why[512];			/* of a skipped one */
	double build_seconds, replay_seconds;
	size_t left;			/* commits that can be the first bad one after it */
};

struct bisect_result {
	char oid[OID_MAX];		/* of the first bad commit; "": not found */
	char *subject, *log;		/* git bisect log */
	char good_evidence[OID_MAX], bad_evidence[OID_MAX];	/* "": the end that was named, not tried */
	unsigned int steps, builds, broken;	/* commits tried; of them built, did not build */
	unsigned int plain_tries, scored_tries;	/* what it takes without and with the scores; 0: there were none */
	size_t suspects;		/* not found: so many are left, none of which can be tried */
};

/*
 * Builds and replays in a worktree of its own, removed at the end; the
 * repository's branches, index and worktrees stay as they are.  EINVAL: what
 * was asked for makes no sense; EINTR: child_stop().
 */
int bisect(struct recording *rec, const struct bisect_options *opts,
	   void (*told)(void *ctx, const struct bisect_step *step), void *ctx, struct bisect_result *ret, struct err *err);
void bisect_result_clear(struct bisect_result *r);

#endif
