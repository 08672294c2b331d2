/* SPDX-License-Identifier: Apache-2.0 */
/* Copies of events in one piece of memory. */
#ifndef CAPSULE_WATCH_KEEP_H
#define CAPSULE_WATCH_KEEP_H

#include "format/event.h"

/* Bytes that keep_event() needs, a multiple of 8. */
size_t keep_size(const struct event *e);
/* @e with all that it points at, into @at, which is aligned; segments that a call has not are not there. */
struct event *keep_event(void *at, const struct event *e);
/* Into memory of its own, for free(); NULL: none. */
struct event *keep_alone(const struct event *e);

#endif
