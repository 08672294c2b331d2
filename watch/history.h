/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What has happened in a scope lately: its events, in order, no more of them
 * than so many bytes and seconds.  What is pushed out is forgotten, but for
 * what the rest can't be understood without: which threads there are, what
 * programs they run, what descriptors lead to (the *base*).
 *
 * Events are whole copies; their memory does not move until they are pushed
 * out or the history is freed.
 */
#ifndef CAPSULE_HISTORY_H
#define CAPSULE_HISTORY_H

#include "format/capsule.h"

struct history;

/* @bytes: of all that is kept, the base apart, not less than HISTORY_LEAST; @ns: how old it may be. */
enum { HISTORY_LEAST = 256 << 10 };
int history_new(struct history **ret, uint64_t bytes, uint64_t ns, struct err *err);
void history_free(struct history *h);	/* NULL is fine */

/* Other limits; what is beyond them goes when something is added. */
void history_limit(struct history *h, uint64_t bytes, uint64_t ns);
/* The number that the next event gets; numbers grow by one. */
uint64_t history_next(const struct history *h);
/* The number of the first one that is still there. */
uint64_t history_first(const struct history *h);
/*
 * Takes a copy. Time 0: it was before all others, and is of the base. One that is too large for the history becomes a hole.
 * -ENOMEM: it is lost, and counted.
 */
int history_add(struct history *h, const struct event *e);
/* What is older than may be, at @now, goes. */
void history_age(struct history *h, uint64_t now);
uint64_t history_bytes(const struct history *h);
/* Events that were too large or found no memory. */
uint64_t history_lost(const struct history *h);

/* ---- looking at it; nothing may be added meanwhile ---- */

struct history_at {
	const struct history *h;
	const void *chunk;
	size_t offset;
	uint64_t number;	/* of the event that history_each() gave last */
};
void history_begin(struct history_at *at, const struct history *h);
/* NULL: no more. */
const struct event *history_each(struct history_at *at);

/* The base: for each thread the fork that made it (EV_FORK) and the program that it runs (EV_EXEC), and all objects (EV_OBJECT). */
void history_base(const struct history *h, void (*f)(void *ctx, const struct event *e), void *ctx);

/* The numbers of all objects that events name, into @used as keys. -ENOMEM. */
struct map;
int history_objects(const struct history *h, struct map *used);
/* The base forgets objects of which @alive says no. */
void history_sweep(struct history *h, bool (*alive)(void *ctx, uint32_t object), void *ctx);

#endif
