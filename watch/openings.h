/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a program opens its connections: what is said on one first, and what is
 * answered (a login, the choice of a database).  A request finds connections in
 * a pool that were opened long before it, and a replay has to open them again.
 *
 * For each address that the scope connected to, the last opening is kept, as
 * the events that it was: of a connection that somebody used again when who
 * opened it had done with it; of others only if no client had been heard by who
 * opened it, as in a start.  It goes on until that use, or as far as
 * OPENING_BYTES and OPENING_CALLS go, and no further than it is alike in two.
 */
#ifndef CAPSULE_OPENINGS_H
#define CAPSULE_OPENINGS_H

#include "format/event.h"

#include <stdbool.h>

enum { OPENING_BYTES = 16 << 10, OPENING_CALLS = 64, OPENINGS = 64 };

struct openings;
struct openings *openings_new(void);	/* NULL: no memory */
void openings_free(struct openings *os);	/* NULL is fine */

struct requests;
/* @rs has seen @e already. */
void openings_event(struct openings *os, const struct event *e, const struct requests *rs);
/* The events of them: of each its EV_OBJECT, then its calls. */
void openings_each(const struct openings *os, void (*f)(void *ctx, const struct event *e), void *ctx);

#endif
