/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Extended attributes of a file, those named "user.": any owner may set them,
 * so a replay can, too.  In memory and in a capsule they are one run of bytes:
 * for each the name, a NUL, the length of the value as a little-endian u32, the
 * value.
 */
#ifndef CAPSULE_ATTRIBUTES_H
#define CAPSULE_ATTRIBUTES_H

#include "format/event.h"

enum { ATTRIBUTES_MAX = 128 << 10 };	/* bytes of them all; the kernel's own limit for the names is half of it */
#define ATTRIBUTE_UNKNOWN UINT32_MAX	/* for a length: the value, and whether there was one, is not known */

struct attribute {
	const char *name;
	const uint8_t *value;	/* NULL: not known */
	size_t len;
};

/* Takes the next one off @rest; false: there is none, or it is not whole. Points into @rest. */
bool attributes_next(struct bytes *rest, struct attribute *a);
/* Whole ones to the end, with names that may be set, and not too many? */
bool attributes_are_good(struct bytes all);
/* That of this name; false: none. */
bool attributes_find(struct bytes all, const char *name, struct attribute *a);
/* One more behind those of @all, which realloc() moves. -ENOMEM, -EFBIG: more than ATTRIBUTES_MAX. */
int attributes_add(struct bytes *all, const struct attribute *a);
/* Without that of this name, in its place. */
void attributes_remove(struct bytes *all, const char *name);

/*
 * What the file at @path has, sorted by name, malloced; a symbolic link is
 * followed if @follow.  -errno: -EOPNOTSUPP where the file system has none.
 */
int attributes_read(const char *path, bool follow, struct bytes *ret);

#endif
