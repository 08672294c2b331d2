/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The file table's rule that no single entry can break: no path leads through
 * another entry that is a symbolic link.  Whoever lays files over a root file
 * system would follow that link to a place that the path does not name.
 */
#ifndef CAPSULE_PATHS_H
#define CAPSULE_PATHS_H

#include "format/event.h"
#include "format/table.h"

enum { PATHS_MAX = 1 << 20 };	/* names remembered; more are refused with EFBIG */

struct paths {
	struct table names;
};

/* @f: of an EV_FILE, its path clean. EBADMSG where it breaks the rule. Adding the same again is fine. */
int paths_add(struct paths *p, const struct ev_file *f, struct err *err);
void paths_clear(struct paths *p);

#endif
