/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sendfile, splice and the like: bytes that passed no memory of the program's.
 * If a file is at either end, they are read there.
 */
#ifndef CAPSULE_BLIND_H
#define CAPSULE_BLIND_H

#include "recorder/state.h"

int sources_new(struct sources **ret, struct err *err);
void sources_free(struct sources *s);	/* NULL is fine */

/* The bytes of @c as a segment of @e, valid until the next call; or a hole. */
void add_blind(struct recording *r, struct ev_call *e, const struct rec_call *c, const struct parts *p);

#endif
