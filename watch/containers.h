/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Containers that run, known by what their processes' cgroups are called.  An
 * engine is asked about each once, when its first process has begun: that takes
 * long, and rings fill meanwhile.
 */
#ifndef CAPSULE_CONTAINERS_H
#define CAPSULE_CONTAINERS_H

#include "recorder/container.h"

struct containers;
struct containers *containers_new(void);	/* NULL: no memory */
void containers_free(struct containers *cs);	/* NULL is fine */

/* The one that @pid is in; NULL: in none that an engine knows, or it has not begun yet. Valid until the next is asked for. */
const struct found_container *containers_of(struct containers *cs, pid_t pid);

#endif
