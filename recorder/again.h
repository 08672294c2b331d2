/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opens that can tell nothing new.  A server opens the same files over and
 * over: the same name led to the same file, which has not changed, for
 * reading; all there is to say of both was said at the first time.
 */
#ifndef CAPSULE_AGAIN_H
#define CAPSULE_AGAIN_H

#include "recorder/state.h"

int again_new(struct again **ret, struct err *err);
void again_free(struct again *a);	/* NULL is fine */

/* Was @c, an open of an absolute @name that succeeded, told before? */
bool again_opened(const struct again *a, const struct rec_call *c, const struct parts *p, const char *name);
/* It was, just now. */
void again_note(struct again *a, const struct rec_call *c, const struct parts *p, const char *name);

#endif
