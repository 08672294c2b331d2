/* SPDX-License-Identifier: Apache-2.0 */
#include "recorder/file_table.h"

#include "format/attributes.h"
#include "format/cleanup.h"
#include "format/io.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#define SMALL_FILE (64u << 10)		/* kept even if only looked at */
#define MAX_LISTED 20000		/* names of a directory */

#define FMODE_READ_ 0x1
#define FMODE_WRITE_ 0x2		/* bpf/kernel.h */
#define FMODE_CREATED_ 0x100000

static void opened_existing(struct recording *r, struct entry *e, const struct opened *o)
{
	e = entry_first(e);
	bool is_image = r->opts->container && (e->before.flags & FILE_IMAGE);
	bool has = (e->flags & KNOWN) && !(e->before.flags & FILE_UNREAD);

	if ((e->flags & (CHANGED | CONTENT_CHANGED)) || is_image || (has && (!e->ctime || e->ctime == o->state->ctime)))
		return;
	if (ahead_take(r, e, o->state->ctime))
		return;
	_cleanup_fd_ int fd = content_open(r, o->path, o->pid, o->fd, o->ino);
	if (fd >= 0) {
		content_keep(r, e, fd, o->state->ctime);
		if (!(e->before.flags & FILE_CHANGED))
			e->flags |= ATTRIBUTES_IN_TIME;
		ahead_opened(r, o->path);
		return;
	}
	if (entry_is_open(e)) {
		e->before = (struct ev_file){ .state = FILE_REGULAR, .mode = 0644, .size = o->state->size,
					      .flags = o->state->size ? FILE_UNREAD : FILE_CONTENT };
		e->flags |= KNOWN;
	}
	if (o->state->size)	/* an empty one did not wait to be read, and need not */
		emit_hole(r, "file", o->path, "it was gone before it could be read", 1);
}

void file_opened(struct recording *r, const struct opened *o)
{
	bool writes = o->state->fmode & FMODE_WRITE_;
	struct entry *e;

	if (in_image(r, o->path) && !writes) {
		content_later(r, o->path, o->state->ctime);
		return;
	}
	if (o->state->how_flags & O_PATH)
		return;
	if (o->state->fmode & FMODE_CREATED_) {
		file_created(r, o->path);
		return;
	}
	if (writes && (o->state->how_flags & O_TRUNC)) {
		file_truncated(r, o->path);
		return;
	}
	e = entry_of(r, o->path);
	if (!e)
		return;
	e->flags |= o->state->fmode & FMODE_READ_ ? WAS_READ : 0;
	opened_existing(r, e, o);
	if (!writes)
		return;
	e->flags |= CHANGED | OUTPUT;
	entry_first(e)->flags |= CONTENT_CHANGED;
}

void file_held(struct recording *r, const char *path, pid_t pid, int fd)
{
	struct entry *e;

	if (in_image(r, path)) {
		content_later(r, path, 0);
		return;
	}
	e = entry_of(r, path);
	if (e)
		e->flags |= WAS_READ;
	if (!e || (e->flags & CHANGED) || ((e->flags & KNOWN) && !(e->before.flags & FILE_UNREAD)))
		return;
	_cleanup_fd_ int ours = content_open(r, path, pid, fd, 0);
	if (ours >= 0)
		content_keep(r, e, ours, 0);
	else
		emit_hole(r, "file", path, "it could not be read", 1);
}

void file_written(struct recording *r, const char *path)
{
	struct entry *e = in_image(r, path) ? NULL : entry_of(r, path);
	struct stat st;

	if (!e || !entry_is_open(e) || file_look(r, path, &st) < 0)
		return;
	entry_know_at(r, e, path, &st);
	content_put_off(e, &st);
	e->flags |= CHANGED;
}

/* The image's directories are only remembered, so that nobody looks again. */
void files_of_threads(struct recording *r)
{
	static const char path[] = "/proc/sys/vm/overcommit_memory";
	_cleanup_free_ char *text = NULL;
	struct err ignored = ERR_INIT;
	struct entry *e;
	size_t len;

	if (r->broken.code || r->sink || entry_find(r->files, path) || io_slurp(path, 4096, &text, &len) < 0)
		return;
	e = entry_add(r->files, path);
	if (!e)
		return;
	e->before = (struct ev_file){ .state = FILE_REGULAR, .mode = 0644, .size = len };
	e->before.has_hash = capsule_write_blob(r->w, text, len, e->before.sha256, &ignored) == 0;
	e->before.flags = e->before.has_hash ? FILE_CONTENT : FILE_UNREAD;
	e->flags = KNOWN;
}

static void use_image_dir(struct recording *r, const char *path, const struct stat *st)
{
	struct entry *e = S_ISDIR(st->st_mode) && !entry_find(r->files, path) ? entry_add(r->files, path) : NULL;

	if (e)
		e->flags = IS_DIR;
}

void file_used(struct recording *r, const char *path, const struct stat *st)
{
	struct entry *e;

	if (in_image(r, path)) {
		use_image_dir(r, path, st);
		return;
	}
	e = entry_of(r, path);
	if (!e || !entry_is_open(e))
		return;
	entry_know_at(r, e, path, st);
	if (!S_ISREG(st->st_mode) || !st->st_size || st->st_size > SMALL_FILE)
		return;
	_cleanup_fd_ int fd = content_open(r, path, 0, -1, st->st_ino);
	if (fd >= 0)
		content_keep(r, e, fd, file_ns(st->st_ctim));
}

void file_absent(struct recording *r, const char *path)
{
	struct entry *e = in_image(r, path) ? NULL : entry_of(r, path);

	if (e && entry_is_open(e))
		entry_know_absent(e);
}

void file_link(struct recording *r, const char *path, const struct stat *st, const char *target)
{
	struct entry *e = in_image(r, path) ? NULL : entry_of(r, path);

	if (!e || !entry_is_open(e))
		return;
	entry_know(r, e, st);
	e->before.target = strdup(target);
}

static void list_name(struct recording *r, const char *dir, const char *name)
{
	char path[PATH_MAX], host[PATH_MAX], target[PATH_MAX];
	struct stat st;
	ssize_t n;

	if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return;
	if ((size_t)snprintf(path, sizeof(path), "%s/%s", strcmp(dir, "/") == 0 ? "" : dir, name) >= sizeof(path))
		return;
	if (in_image(r, path) || path_is_synthetic(path) || file_look(r, path, &st) < 0)
		return;
	if (S_ISLNK(st.st_mode)) {
		if (path_below(r->opts->rootfs, path, host) < 0 || (n = readlink(host, target, sizeof(target) - 1)) < 0)
			return;
		target[n] = 0;
		file_link(r, path, &st, target);
		return;
	}
	struct entry *e = entry_of(r, path);
	if (e && entry_is_open(e))
		entry_know_at(r, e, path, &st);	/* without its content: that comes if it is opened */
}

void dir_listed(struct recording *r, const char *path)
{
	char host[PATH_MAX];
	struct dirent *d;
	int n = 0;

	if (in_image(r, path) || path_is_synthetic(path) || path_below(r->opts->rootfs, path, host) < 0)
		return;
	_cleanup_dir_ DIR *dir = opendir(host);
	while (dir && (d = readdir(dir)) && n++ < MAX_LISTED)
		list_name(r, path, d->d_name);
	if (n >= MAX_LISTED)
		emit_hole(r, "file", path, "the directory has too many names to keep", 1);
}

bool file_known(const struct recording *r, const char *path)
{
	const struct entry *e = entry_find(r->files, path);

	return e && (e->flags & KNOWN);
}

bool file_made(const struct recording *r, const char *path)
{
	const struct entry *e = entry_find(r->files, path);

	return e && (e->flags & CHANGED) && e->before.state != FILE_OTHER;
}

bool dir_known(const struct recording *r, const char *path)
{
	const struct entry *e = entry_find(r->files, path);

	return e && (e->flags & IS_DIR);
}

static void forget_move(struct entry *e)
{
	free(e->from);
	e->from = NULL;
	e->flags &= ~MOVED;
}

void file_created(struct recording *r, const char *path)
{
	struct entry *e = entry_of(r, path);

	if (!e)
		return;
	if (!(e->flags & CHANGED) && (!(e->flags & AWAY) || strcmp(e->path, path) != 0))
		entry_know_absent(e);		/* whatever was thought: a late look saw this one */
	forget_move(e);
	e->flags |= CHANGED | OUTPUT;
}

void file_removed(struct recording *r, const char *path, bool dir)
{
	struct entry *e = entry_of(r, path);

	if (!e)
		return;
	/* A late look may have missed it. */
	if (!(e->flags & CHANGED) && (!(e->flags & KNOWN) || e->before.state == FILE_ABSENT)) {
		e->before = (struct ev_file){ .state = dir ? FILE_DIR : FILE_REGULAR, .mode = dir ? 0755 : 0644,
					      .flags = dir ? 0 : FILE_UNREAD };
		e->flags |= KNOWN;
	}
	forget_move(e);
	e->flags |= CHANGED | OUTPUT;
	e->flags &= ~IS_DIR;
}

void file_truncated(struct recording *r, const char *path)
{
	struct entry *e = entry_of(r, path);
	struct stat st;

	if (!e)
		return;
	if (entry_is_open(e) && file_look(r, path, &st) == 0) {
		entry_know_at(r, e, path, &st);
		e->before.flags = FILE_UNREAD;
		e->before.size = 0;
	}
	e->flags |= CHANGED | OUTPUT;
	entry_first(e)->flags |= CONTENT_CHANGED;
}

void file_changed(struct recording *r, const char *path)
{
	struct entry *e = entry_of(r, path);

	if (e)
		e->flags |= OUTPUT;
}

/* What went with the directory that is @to now: as it was at @from. Contents are for when they are opened. */
static void went_along(struct recording *r, const char *from, const char *to, int *left)
{
	char was[PATH_MAX], path[PATH_MAX], host[PATH_MAX];
	struct dirent *d;
	struct stat st;

	if (path_below(r->opts->rootfs, to, host) < 0)
		return;
	_cleanup_dir_ DIR *names = opendir(host);
	while (names && (d = readdir(names)) && (*left)-- > 0) {
		struct entry *e;

		if (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0 ||
		    (size_t)snprintf(was, sizeof(was), "%s/%s", from, d->d_name) >= sizeof(was) ||
		    (size_t)snprintf(path, sizeof(path), "%s/%s", to, d->d_name) >= sizeof(path) || file_look(r, path, &st) < 0)
			continue;
		if (S_ISLNK(st.st_mode)) {
			list_name(r, to, d->d_name);
			continue;
		}
		e = entry_of(r, path);
		if (!e)
			continue;
		if (entry_is_open(e))
			entry_know_at(r, e, path, &st);
		e->flags |= AWAY;
		if (S_ISDIR(st.st_mode))
			went_along(r, was, path, left);
	}
}

/* The directory @from is @e's now. */
static void dir_renamed(struct recording *r, struct entry *e, const char *from, const char *to)
{
	int left = MAX_LISTED;

	free(e->from);
	e->from = strdup(from);
	e->flags |= MOVED;
	r->files->moves |= e->from != NULL;
	if (e->from)
		went_along(r, from, to, &left);
}

void file_renamed(struct recording *r, const char *from, const char *to)
{
	struct entry *old = entry_of(r, from), *new = entry_of(r, to);
	const char *was = old && old->from ? old->from : old ? old->path : from;
	struct stat st;

	/* What it was is to be found under its new name. */
	if (old && (entry_is_open(old) || (!(old->flags & CHANGED) && old->before.state == FILE_ABSENT)) &&
	    file_look(r, to, &st) == 0) {
		entry_know_at(r, old, to, &st);
		_cleanup_fd_ int fd = S_ISREG(st.st_mode) ? content_open(r, to, 0, -1, st.st_ino) : -1;
		if (fd >= 0)
			content_keep(r, old, fd, 0);
	}
	if (new && entry_is_open(new))
		entry_know_absent(new);
	if (old)
		old->flags = (old->flags | CHANGED | OUTPUT) & ~(IS_DIR | MOVED);
	if (new)
		new->flags = (new->flags | CHANGED | OUTPUT) & ~IS_DIR;
	if (new && file_look(r, to, &st) == 0 && S_ISDIR(st.st_mode))
		dir_renamed(r, new, was, to);
}

/* ---- the end --------------------------------------------------------------------------------- */

/* Something above it was not there: what is said of it came too late to be true. */
static bool is_below_absent(const struct files *fs, const char *path)
{
	char dir[PATH_MAX];

	for (const char *p = strchr(path + 1, '/'); p; p = strchr(p + 1, '/')) {
		const struct entry *e;

		snprintf(dir, sizeof(dir), "%.*s", (int)(p - path), path);
		e = entry_find(fs, dir);
		if (e && (e->flags & KNOWN) && e->before.state != FILE_DIR)
			return true;
	}
	return false;
}

static void tell_before(struct recording *r, const struct entry *e)
{
	struct event ev = { .kind = EV_FILE };

	ev.file = e->before;
	if (e->first && e->first != e && ev.file.state == FILE_REGULAR && e->first->before.state == FILE_REGULAR) {
		ev.file = e->first->before;
		ev.file.link = e->first->path;
	}
	if (ev.file.state == FILE_REGULAR || ev.file.state == FILE_DIR)
		ev.file.attributes = e->first ? e->first->attributes : e->attributes;
	ev.file.path = e->path;
	if (ev.file.state != FILE_SYMLINK)
		ev.file.target = NULL;
	emit(r, &ev);
}

static void tell_output(struct recording *r, const char *path)
{
	char host[PATH_MAX], target[PATH_MAX];
	struct event ev = { .kind = EV_OUTPUT };
	struct err err = ERR_INIT;
	struct stat st;
	ssize_t n;

	ev.file.path = path;
	if (path_below(r->opts->rootfs, path, host) < 0)
		return;
	if (lstat(host, &st) == 0)
		file_set_stat(&ev.file, &st);
	if (ev.file.state == FILE_SYMLINK && (n = readlink(host, target, sizeof(target) - 1)) > 0) {
		target[n] = 0;
		ev.file.target = target;
	}
	_cleanup_fd_ int fd = ev.file.state == FILE_REGULAR ? content_open(r, path, 0, -1, 0) : -1;
	if (fd >= 0)
		ev.file.has_hash = sha256_fd(fd, ev.file.sha256, &ev.file.size, &err) == 0;
	if (ev.file.state == FILE_REGULAR || ev.file.state == FILE_DIR)
		attributes_read(host, false, &ev.file.attributes);
	emit(r, &ev);
	free((void *)ev.file.attributes.data);
}

bool files_settle(struct recording *r)
{
	return content_settle(r);
}

/* The scope made what is in a directory under another name than it has now. */
static void tell_moved(struct recording *r, const char *dir, int *left)
{
	char path[PATH_MAX], host[PATH_MAX];
	struct dirent *d;
	struct stat st;

	if (path_below(r->opts->rootfs, dir, host) < 0)
		return;
	_cleanup_dir_ DIR *names = opendir(host);
	while (names && (d = readdir(names)) && (*left)-- > 0) {
		const struct entry *e;

		if (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0 ||
		    (size_t)snprintf(path, sizeof(path), "%s/%s", dir, d->d_name) >= sizeof(path) || file_look(r, path, &st) < 0)
			continue;
		e = entry_find(r->files, path);
		if (!e || !(e->flags & OUTPUT))
			tell_output(r, path);
		if (S_ISDIR(st.st_mode) && !(e && (e->flags & MOVED)))
			tell_moved(r, path, left);
	}
}

void files_finish(struct recording *r)
{
	struct files *fs = r->files;
	int left = MAX_LISTED;

	while (files_settle(r))
		;
	while (files_idle(r))
		;
	for (size_t i = 0; i < fs->n; i++)
		if ((fs->all[i]->flags & KNOWN) && !is_below_absent(fs, fs->all[i]->path))
			tell_before(r, fs->all[i]);
	for (size_t i = 0; i < fs->n; i++)
		if (fs->all[i]->flags & OUTPUT)
			tell_output(r, fs->all[i]->path);
	for (size_t i = 0; i < fs->n; i++)
		if (fs->all[i]->flags & MOVED)
			tell_moved(r, fs->all[i]->path, &left);
}
