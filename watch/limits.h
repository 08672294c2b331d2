/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How many capsules, and of how many bytes, there may be: for each policy and
 * for the host.  The first limit that is hit holds, and nobody extends one:
 * what is being written counts with all that it may become.
 */
#ifndef CAPSULE_LIMITS_H
#define CAPSULE_LIMITS_H

#include "watch/policy.h"

struct limits;

/* What the stores hold already counts: a recorder that is started again has no new day. */
int limits_new(struct limits **ret, const struct policies *ps, struct err *err);
void limits_free(struct limits *l);	/* NULL is fine */
/* The policies were read anew; what was counted stays. */
int limits_take(struct limits *l, const struct policies *ps, struct err *err);

/* Times are CLOCK_REALTIME, ns. */
/* How many bytes a capsule of @p may have now; 0: there may be none, and *@why says which limit it is. */
uint64_t limits_allow(struct limits *l, const struct policy *p, int64_t now, const char **why);
/* One is begun, of at most @bytes: it counts. Its number, for limits_ended(); negative: no memory, then it must not be. */
int limits_begun(struct limits *l, const struct policy *p, int64_t now, uint64_t bytes);
/* It came to @bytes; 0: to nothing, and counts no more, but that the next one has to wait for cool_down, a second at least. */
void limits_ended(struct limits *l, int number, uint64_t bytes);

#endif
