/* SPDX-License-Identifier: Apache-2.0 */
#include "recorder/file_table.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t hash(const char *s)
{
	uint64_t h = 0xcbf29ce484222325ull;

	for (; *s; s++)
		h = (h ^ (uint8_t)*s) * 0x100000001b3ull;
	return h;
}

struct entry *entry_find(const struct files *fs, const char *path)
{
	struct entry *e = map_get(&fs->by_path, hash(path), 0);

	while (e && strcmp(e->path, path) != 0)
		e = e->same;
	return e;
}

static void entry_free(struct entry *e)
{
	free(e->path);
	free((char *)e->before.target);
	free(e);
}

struct entry *entry_add(struct files *fs, const char *path)
{
	struct entry *e = calloc(1, sizeof(*e));

	if (!e)
		return NULL;
	e->path = strdup(path);
	if (!(fs->n & (fs->n - 1))) {
		struct entry **bigger = reallocarray(fs->all, fs->n ? 2 * fs->n : 1, sizeof(*bigger));

		if (bigger)
			fs->all = bigger;
		else
			e->flags = 0xff;
	}
	e->same = map_get(&fs->by_path, hash(path), 0);
	if (!e->path || e->flags || map_put(&fs->by_path, hash(path), 0, e) < 0) {
		entry_free(e);
		return NULL;
	}
	fs->all[fs->n++] = e;
	return e;
}

static void know_parents(struct recording *r, const char *path);

struct entry *entry_of(struct recording *r, const char *path)
{
	struct entry *e;

	if (strcmp(path, "/") == 0 || path_is_synthetic(path))
		return NULL;
	e = entry_find(r->files, path);
	if (e)
		return e;
	know_parents(r, path);
	return entry_add(r->files, path);
}

bool entry_is_open(const struct entry *e)
{
	return !(e->flags & (KNOWN | CHANGED));
}

/* ---- before ------------------------------------------------------------------------ */

static uint8_t state_of(mode_t mode)
{
	if (S_ISREG(mode))
		return FILE_REGULAR;
	if (S_ISDIR(mode))
		return FILE_DIR;
	return S_ISLNK(mode) ? FILE_SYMLINK : FILE_OTHER;
}

void file_set_stat(struct ev_file *f, const struct stat *st)
{
	f->state = state_of(st->st_mode);
	f->mode = st->st_mode & 07777;
	f->uid = st->st_uid;
	f->gid = st->st_gid;
	f->size = S_ISREG(st->st_mode) ? (uint64_t)st->st_size : 0;
	f->mtime = file_ns(st->st_mtim);
}

void entry_know(struct entry *e, const struct stat *st)
{
	file_set_stat(&e->before, st);
	e->before.flags = 0;
	if (S_ISREG(st->st_mode))
		e->before.flags = st->st_size ? FILE_UNREAD : FILE_CONTENT;
	e->flags |= KNOWN | (S_ISDIR(st->st_mode) ? IS_DIR : 0);
}

void entry_know_absent(struct entry *e)
{
	free((char *)e->before.target);
	e->before = (struct ev_file){ .state = FILE_ABSENT };
	e->flags |= KNOWN;
	e->flags &= ~IS_DIR;
}

int file_look(const struct recording *r, const char *path, struct stat *st)
{
	char host[PATH_MAX];

	if (path_below(r->opts->rootfs, path, host) < 0)
		return -ENAMETOOLONG;
	return lstat(host, st) < 0 ? -errno : 0;
}

/* The directories above @path must be there for it to be laid over. */
static void know_parents(struct recording *r, const char *path)
{
	char dir[PATH_MAX];
	struct stat st;

	if (path_in_image(path))
		return;
	for (const char *p = strchr(path + 1, '/'); p; p = strchr(p + 1, '/')) {
		struct entry *e;

		snprintf(dir, sizeof(dir), "%.*s", (int)(p - path), path);
		e = entry_find(r->files, dir);
		if (e && !entry_is_open(e))
			continue;
		if (file_look(r, dir, &st) < 0 || !S_ISDIR(st.st_mode))
			return;
		if (!e)
			e = entry_add(r->files, dir);
		if (e)
			entry_know(e, &st);
	}
}

int files_new(struct files **ret, struct err *err)
{
	*ret = calloc(1, sizeof(**ret));
	if (!*ret)
		return err_set(err, ENOMEM, "out of memory");
	(*ret)->job.fd = -1;
	return 0;
}

void files_free(struct files *fs)
{
	if (!fs)
		return;
	content_end_job(fs);
	for (size_t i = 0; i < fs->n; i++)
		entry_free(fs->all[i]);
	free(fs->all);
	map_clear(&fs->by_path);
	free(fs);
}
