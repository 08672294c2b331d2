/* SPDX-License-Identifier: Apache-2.0 */
/* What the production recorder may still do once its programs are loaded. */
#ifndef CAPSULE_WATCH_RIGHTS_H
#define CAPSULE_WATCH_RIGHTS_H

#include "format/err.h"

#include <stdbool.h>

/*
 * Gives up every capability but those that following programs takes, for this
 * process and all that it starts; see capabilities(7).  Those it has not are
 * not missed here: what needs them will say so.
 */
int rights_give_up(bool containers, struct err *err);	/* @containers: but also those that looking into containers takes */
bool rights_for_containers(void);

#endif
