/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Extended attributes before the scope changed them.  A program that opens a
 * file waits until they have been read; one that only names it does not, and
 * may have changed them by then.  What can't be told afterwards from its calls
 * is told as not known.
 */
#include "recorder/file_table.h"

#include "format/attributes.h"

#include <stdlib.h>
#include <sys/xattr.h>

#define TICK_NS 20000000ll	/* a change time may be as much older than its change */

void attributes_know(struct recording *r, struct entry *e, const char *host, bool follow, const struct stat *st)
{
	struct bytes now;

	if (!host || (!S_ISREG(st->st_mode) && !S_ISDIR(st->st_mode)))
		return;
	e = entry_first(e);
	if (e->flags & ATTRIBUTES_CHANGED)
		return;
	attributes_forget(e);
	if (attributes_read(host, follow, &now) < 0)
		return;
	e->attributes = now;
	if (file_ns(st->st_ctim) < r->files->began - TICK_NS)
		e->flags |= ATTRIBUTES_IN_TIME;
}

void attributes_forget(struct entry *e)
{
	free((void *)e->attributes.data);
	e->attributes = (struct bytes){ 0 };
	e->flags &= ~(ATTRIBUTES_IN_TIME | ATTRIBUTES_CHANGED);
}

void file_attribute_changed(struct recording *r, const char *path, const char *name, bool created)
{
	struct entry *e = entry_of(r, path);

	if (!e)
		return;
	e->flags |= OUTPUT;
	if (((e->flags & CHANGED) && e->before.state == FILE_ABSENT) || (e->before.flags & FILE_IMAGE))
		return;		/* it is the scope's, or can be seen below its changes */
	e = entry_first(e);
	e->flags |= ATTRIBUTES_CHANGED;
	if ((e->flags & ATTRIBUTES_IN_TIME) || !(e->flags & KNOWN))
		return;
	attributes_remove(&e->attributes, name);
	if (!created && attributes_add(&e->attributes, &(struct attribute){ .name = name }) < 0)
		emit_hole(r, "file", path, "it has too many attributes to keep", 1);
}
