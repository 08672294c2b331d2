/* SPDX-License-Identifier: Apache-2.0 */
#include "recorder/file_table.h"

#include "sandbox/image_root.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

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
	free(e->from);
	free((char *)e->before.target);
	attributes_forget(e);
	free(e->ahead);
	free(e);
}

struct entry *entry_add(struct files *fs, const char *path)
{
	struct entry *e = fs->max && fs->n >= fs->max ? NULL : calloc(1, sizeof(*e));

	fs->full |= fs->max && fs->n >= fs->max;
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

bool in_image(const struct recording *r, const char *path)
{
	return r->opts->container ? path_in_container(r->opts->container, path) : path_in_image(path);
}

/* @dir is @path or above it. */
static bool leads_to(const char *dir, const char *path)
{
	size_t n = strlen(dir);

	return strncmp(path, dir, n) == 0 && (path[n] == '/' || !path[n]);
}

/* The working directory that was made because the image has none. */
static void know_workdir(struct recording *r)
{
	const char *dir = r->opts->container->workdir;
	char part[PATH_MAX + 1];

	snprintf(part, sizeof(part), "%s/", dir);
	for (char *slash = strchr(part + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = 0;
		entry_of(r, part);
		*slash = '/';
	}
}

/* An engine makes the root directory with a mode of its own. */
static void know_root(struct recording *r)
{
	struct stat st;
	struct entry *e = file_look(r, "/", &st) == 0 ? entry_add(r->files, "/") : NULL;

	if (e)
		entry_know_at(r, e, "/", &st);
}

void files_begin(struct recording *r)
{
	if (r->opts->inside)
		know_root(r);
	else if (r->opts->container)
		know_workdir(r);
}

void entry_know_image(struct recording *r, struct entry *e)
{
	char host[PATH_MAX], target[PATH_MAX];
	struct stat st;
	ssize_t n;

	if (path_below(r->opts->container->image->root, e->path, host) < 0)
		return;
	if (lstat(host, &st) < 0) {
		if (leads_to(e->path, r->opts->container->workdir))
			entry_know(r, e, &(struct stat){ .st_mode = S_IFDIR | 0755 });
		else
			entry_know_absent(e);
		return;
	}
	entry_know(r, e, &st);
	e->before.flags = FILE_IMAGE;
	e->ctime = file_ns(st.st_ctim);
	if (S_ISREG(st.st_mode))
		e->flags |= TO_HASH;
	if (S_ISLNK(st.st_mode) && (n = readlink(host, target, sizeof(target) - 1)) >= 0)
		e->before.target = strndup(target, (size_t)n);
}

static void know_parents(struct recording *r, const char *path);

/* Where what is at @path was before a directory above it was renamed; into @out. */
static const char *origin(const struct files *fs, const char *path, char out[PATH_MAX])
{
	char dir[PATH_MAX];

	for (size_t n = strlen(path); n > 0; n--) {
		const struct entry *e;

		if (path[n] != '/')
			continue;
		snprintf(dir, sizeof(dir), "%.*s", (int)n, path);
		e = entry_find(fs, dir);
		if (e && e->from && snprintf(out, PATH_MAX, "%s%s", e->from, path + n) < PATH_MAX)
			return out;
	}
	return path;
}

struct entry *entry_of(struct recording *r, const char *path)
{
	char was[PATH_MAX];
	struct entry *e;

	if (strcmp(path, "/") == 0 || path_is_synthetic(path))
		return NULL;
	if (r->files->moves)
		path = origin(r->files, path, was);
	e = entry_find(r->files, path);
	if (!e) {
		know_parents(r, path);
		e = entry_add(r->files, path);
	}
	if (e && entry_is_open(e) && r->opts->container && path_in_container(r->opts->container, path))
		entry_know_image(r, e);
	return e;
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

/* A file of several names: what was before is known under the first of them. */
static void know_link(struct recording *r, struct entry *e, const struct stat *st)
{
	struct entry *first = map_get(&r->files->by_inode, st->st_ino, st->st_dev);

	if (first == e || (!first && map_put(&r->files->by_inode, st->st_ino, st->st_dev, e) < 0))
		return;
	e->first = first ? first : e;
}

struct entry *entry_first(struct entry *e)
{
	return e->first ? e->first : e;
}

void entry_know(struct recording *r, struct entry *e, const struct stat *st)
{
	file_set_stat(&e->before, st);
	e->before.flags = 0;
	if (S_ISREG(st->st_mode))
		e->before.flags = st->st_size ? FILE_UNREAD : FILE_CONTENT;
	else if (S_ISFIFO(st->st_mode) || S_ISSOCK(st->st_mode))
		e->before.flags = S_ISFIFO(st->st_mode) ? FILE_FIFO : FILE_SOCKET;
	e->flags |= KNOWN | (S_ISDIR(st->st_mode) ? IS_DIR : 0);
	if (S_ISREG(st->st_mode) && st->st_nlink > 1 && !(r->opts->container && path_in_container(r->opts->container, e->path)))
		know_link(r, e, st);
}

void entry_know_at(struct recording *r, struct entry *e, const char *path, const struct stat *st)
{
	char host[PATH_MAX];

	entry_know(r, e, st);
	attributes_know(r, e, path_below(r->opts->rootfs, path, host) < 0 ? NULL : host, false, st);
}

void entry_know_absent(struct entry *e)
{
	free((char *)e->before.target);
	attributes_forget(e);
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

	if (in_image(r, path))
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
			entry_know_at(r, e, dir, &st);
	}
}

int file_host(const struct recording *r, const char *path, char host[PATH_MAX])
{
	const struct entry *e = entry_find(r->files, path);

	/* The image's own does not change behind the back of who looks late. */
	if (r->opts->container && path_in_container(r->opts->container, path) && !(e && (e->flags & CHANGED)) &&
	    path_below(r->opts->container->image->root, path, host) == 0 && access(host, F_OK) == 0)
		return 0;
	return path_below(r->opts->rootfs, path, host);
}

int files_new(struct files **ret, struct err *err)
{
	struct timespec now;

	*ret = calloc(1, sizeof(**ret));
	if (!*ret)
		return err_set(err, ENOMEM, "out of memory");
	(*ret)->job.fd = -1;
	clock_gettime(CLOCK_REALTIME, &now);
	(*ret)->began = file_ns(now);
	(*ret)->last_read = &(*ret)->read;
	return 0;
}

void files_free(struct files *fs)
{
	if (!fs)
		return;
	content_end_job(fs);
	content_drop(fs);
	for (size_t i = 0; i < fs->n; i++)
		entry_free(fs->all[i]);
	free(fs->all);
	map_clear(&fs->by_path);
	map_clear(&fs->by_inode);
	free(fs);
}
