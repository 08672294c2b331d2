/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The commits among which the first bad one is, and which of them to try next:
 * the one that halves the weight.  With equal weights that is what git-bisect
 * does; with weights from outside, likely commits come first.
 */
#ifndef CAPSULE_RANGE_H
#define CAPSULE_RANGE_H

#include "format/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { RANGE_MAX = 1 << 14, OID_MAX = 65 };	/* commits; bytes of a name with its NUL */

struct range_commit {
	char oid[OID_MAX];
	double weight;
	bool out;		/* known not to be the first bad one */
	bool skipped;		/* can't be tried */
	uint64_t *reach;	/* a bit for each commit of the range that this one has in its history, itself included */
};

struct range {
	struct range_commit *list;	/* the last is the bad end */
	size_t n;
	double rest;		/* the weight of a commit that the scores don't name */
};

/* @listed: "git rev-list --reverse --topo-order --parents BAD --not GOOD". EFBIG: too many. */
int range_read(struct range *r, const char *listed, struct err *err);
void range_clear(struct range *r);
/* Lines "COMMIT WEIGHT"; a commit by its name or the beginning of it. Names of other commits are passed over. EINVAL: the text says which line. */
int range_scores(struct range *r, const char *text, struct err *err);

/* Which to try next; SIZE_MAX: none is left to try. @weighted: by weight, else by number. */
size_t range_next(const struct range *r, bool weighted);
/* Commit @i is good: nothing in its history is the first bad one. It is bad: that one is in its history. */
void range_good(struct range *r, size_t i);
void range_bad(struct range *r, size_t i);
/* Those that are left. */
size_t range_left(const struct range *r);
/* The first bad one, if it is known: the only one left. SIZE_MAX: not yet. */
size_t range_found(const struct range *r);
/* How many tries it takes to find @first with nothing in the way. */
unsigned int range_tries(const struct range *r, size_t first, bool weighted);

#endif
