/* SPDX-License-Identifier: Apache-2.0 */
#include "format/paths.h"

#include "format/sha256.h"

#include <errno.h>
#include <string.h>

enum {
	NAMED = 1,	/* an entry, or the directory of one */
	LINK = 2,	/* an entry says that it is a symbolic link */
	ABOVE = 4,	/* the directory of an entry */
};

static uint64_t *name_of(struct paths *p, const char *path, size_t len, struct err *err)
{
	uint8_t key[32];
	uint64_t *v;

	sha256_of(path, len, key);
	v = table_get(&p->names, key);
	if (v)
		return v;
	if (p->names.used >= PATHS_MAX) {
		err_set(err, EFBIG, "more than %d names in the file table", PATHS_MAX);
		return NULL;
	}
	return table_add(&p->names, key, NAMED, err) < 0 ? NULL : table_get(&p->names, key);
}

static size_t parent_len(const char *path, size_t len)
{
	while (len > 0 && path[len - 1] != '/')
		len--;
	return len > 0 ? len - 1 : 0;
}

int paths_add(struct paths *p, const struct ev_file *f, struct err *err)
{
	size_t len = strlen(f->path);
	uint64_t *v;

	v = name_of(p, f->path, len, err);
	if (!v)
		return -err->code;
	if (f->state == FILE_SYMLINK) {
		if (*v & ABOVE)
			return err_set(err, EBADMSG, "another path of the file table goes through the symbolic link '%s'",
				       f->path);
		*v |= LINK;
	}
	while ((len = parent_len(f->path, len)) > 0) {
		v = name_of(p, f->path, len, err);
		if (!v)
			return -err->code;
		if (*v & LINK)
			return err_set(err, EBADMSG, "path '%s' of the file table goes through the symbolic link '%.*s'",
				       f->path, (int)len, f->path);
		if (*v & ABOVE)
			return 0;	/* and so are all above it */
		*v |= ABOVE;
	}
	return 0;
}

void paths_clear(struct paths *p)
{
	table_clear(&p->names);
}
