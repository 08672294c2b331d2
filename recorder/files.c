/* SPDX-License-Identifier: Apache-2.0 */
#include "recorder/files.h"

#include "format/cleanup.h"
#include "format/io.h"
#include "format/sha256.h"
#include "recorder/map.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum {
	KNOWN = 1,		/* before is decided */
	CHANGED = 2,		/* the scope has changed it: what it is now says nothing of before */
	OUTPUT = 4,
	TO_HASH = 8,		/* of the image: the hash is put off */
	IS_DIR = 16,		/* it was a directory when last looked at */
};

struct entry {
	char *path;
	struct entry *same;	/* another path with the same hash */
	uint8_t flags;
	struct ev_file before;	/* path and target: the entry's own */
	int64_t ctime;		/* of the content that is in the capsule, or of an image's file when it was used */
};

struct files {
	struct map by_path;
	struct entry **all;	/* in order of appearance */
	size_t n;
	size_t hashed;		/* index of the first that may still have TO_HASH */
	struct {		/* the one that is being hashed */
		struct entry *e;
		struct sha256 *hash;
		uint64_t at;
		int fd;
	} job;
};

enum { HASH_STEP = 256 << 10 };	/* bytes: a stopped process must not wait long for us */

#define SMALL_FILE (64u << 10)		/* kept even if only looked at */
#define MAX_LISTED 20000		/* names of a directory */

static int64_t ns_of(struct timespec t)
{
	return t.tv_sec * 1000000000ll + t.tv_nsec;
}

/* ---- the table ------------------------------------------------------------------ */

static uint64_t hash(const char *s)
{
	uint64_t h = 0xcbf29ce484222325ull;

	for (; *s; s++)
		h = (h ^ (uint8_t)*s) * 0x100000001b3ull;
	return h;
}

static struct entry *find(const struct files *fs, const char *path)
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

static struct entry *add(struct files *fs, const char *path)
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

/* The entry of a path that may be laid over; NULL: it is none, or there is no memory. */
static struct entry *entry_of(struct recording *r, const char *path)
{
	struct entry *e;

	if (strcmp(path, "/") == 0 || path_is_synthetic(path))
		return NULL;
	e = find(r->files, path);
	if (e)
		return e;
	know_parents(r, path);
	return add(r->files, path);
}

static bool is_open_question(const struct entry *e)
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

static void set_stat(struct ev_file *f, const struct stat *st)
{
	f->state = state_of(st->st_mode);
	f->mode = st->st_mode & 07777;
	f->uid = st->st_uid;
	f->gid = st->st_gid;
	f->size = S_ISREG(st->st_mode) ? (uint64_t)st->st_size : 0;
	f->mtime = ns_of(st->st_mtim);
}

static void know(struct entry *e, const struct stat *st)
{
	set_stat(&e->before, st);
	e->before.flags = 0;
	if (S_ISREG(st->st_mode))
		e->before.flags = st->st_size ? FILE_UNREAD : FILE_CONTENT;
	e->flags |= KNOWN | (S_ISDIR(st->st_mode) ? IS_DIR : 0);
}

static void know_absent(struct entry *e)
{
	free((char *)e->before.target);
	e->before = (struct ev_file){ .state = FILE_ABSENT };
	e->flags |= KNOWN;
	e->flags &= ~IS_DIR;
}

static int look(const struct recording *r, const char *path, struct stat *st)
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
		e = find(r->files, dir);
		if (e && !is_open_question(e))
			continue;
		if (look(r, dir, &st) < 0 || !S_ISDIR(st.st_mode))
			return;
		if (!e)
			e = add(r->files, dir);
		if (e)
			know(e, &st);
	}
}

/* ---- contents ------------------------------------------------------------------------ */

/* Into the capsule, or only its hash if it is large. */
static int keep_content(struct recording *r, struct entry *e, int fd, struct err *err)
{
	uint64_t size = 0;
	int rc;

	rc = capsule_write_blob_fd(r->w, fd, r->opts->snapshot_limit, &size, e->before.sha256, err);
	if (rc == 0) {
		e->before.flags = FILE_CONTENT;
	} else if (rc == -EFBIG) {
		rc = sha256_fd(fd, e->before.sha256, &size, err);
		e->before.flags = 0;
	}
	if (rc < 0)
		return rc;
	e->before.size = size;
	e->before.has_hash = true;
	return 0;
}

/* @ctime: of the content that is wanted; 0: as it is now. */
static void snapshot(struct recording *r, struct entry *e, int fd, int64_t ctime)
{
	struct err err = ERR_INIT;
	struct stat before, after;

	if (fstat(fd, &before) < 0 || !S_ISREG(before.st_mode))
		return;
	know(e, &before);
	if (r->broken.code)
		return;
	if (before.st_size && keep_content(r, e, fd, &err) < 0) {
		e->before.flags = FILE_UNREAD;
		e->before.has_hash = false;
		emit_hole(r, "file", e->path, err.text, 1);
		return;
	}
	if (fstat(fd, &after) < 0)
		after = before;
	e->ctime = ns_of(before.st_ctim);
	if (ns_of(after.st_ctim) == e->ctime && (!ctime || ctime == e->ctime))
		return;
	e->before.flags |= FILE_CHANGED;
	emit_hole(r, "file", e->path, "it changed while it was being read", 1);
}

/* O_NONBLOCK: what was a file may be a FIFO by now. */
static int open_it(const struct recording *r, const char *path, pid_t pid, int fd, uint64_t ino)
{
	char name[PATH_MAX];
	struct stat st;
	int ours = -1;

	if (fd >= 0) {
		snprintf(name, sizeof(name), "/proc/%d/fd/%d", (int)pid, fd);
		ours = open(name, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	}
	if (ours < 0 && path_below(r->opts->rootfs, path, name) == 0)
		ours = open(name, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_NOFOLLOW | O_CLOEXEC);
	if (ours < 0)
		return -errno;
	if (fstat(ours, &st) == 0 && S_ISREG(st.st_mode) && (!ino || st.st_ino == ino))
		return ours;
	close(ours);
	return -ESTALE;
}

/* An image's file: remembered for its hash, which is taken when there is time. */
static void use_image(struct recording *r, const char *path, int64_t ctime)
{
	struct entry *e = find(r->files, path);
	struct stat st;

	if (e && (e->flags & (KNOWN | CHANGED)))
		return;
	if (look(r, path, &st) < 0 || !S_ISREG(st.st_mode))
		return;
	if (!e)
		e = add(r->files, path);
	if (!e)
		return;
	know(e, &st);
	e->before.flags = FILE_IMAGE;
	e->flags |= TO_HASH;
	e->ctime = ctime ? ctime : ns_of(st.st_ctim);
}

static void end_job(struct files *fs)
{
	if (fs->job.fd >= 0)
		close(fs->job.fd);
	sha256_free(fs->job.hash);
	fs->job.hash = NULL;
	fs->job.e = NULL;
	fs->job.fd = -1;
}

static void fail_job(struct recording *r)
{
	emit_hole(r, "file", r->files->job.e->path, "it could not be read for its hash", 1);
	end_job(r->files);
}

static void start_job(struct recording *r, struct entry *e)
{
	struct files *fs = r->files;
	struct err ignored;

	e->flags &= ~TO_HASH;
	fs->job.e = e;
	fs->job.at = 0;
	fs->job.fd = open_it(r, e->path, 0, -1, 0);
	if (fs->job.fd < 0 || sha256_new(&fs->job.hash, &ignored) < 0)
		fail_job(r);
}

static void finish_job(struct recording *r)
{
	struct files *fs = r->files;
	struct entry *e = fs->job.e;
	struct stat st;

	sha256_end(fs->job.hash, e->before.sha256);
	e->before.has_hash = true;
	e->before.size = fs->job.at;
	if (fstat(fs->job.fd, &st) == 0 && ns_of(st.st_ctim) != e->ctime) {
		e->before.flags |= FILE_CHANGED;
		emit_hole(r, "file", e->path, "it changed while the program was recorded", 1);
	}
	end_job(fs);
}

static void step_job(struct recording *r)
{
	static uint8_t buf[HASH_STEP];
	struct files *fs = r->files;
	ssize_t n = io_pread(fs->job.fd, buf, sizeof(buf), fs->job.at);

	if (n < 0) {
		fail_job(r);
		return;
	}
	sha256_add(fs->job.hash, buf, (size_t)n);
	fs->job.at += (uint64_t)n;
	if ((size_t)n < sizeof(buf))
		finish_job(r);
}

/* ---- what the scope does ----------------------------------------------------------------- */

#define FMODE_WRITE_ 0x2		/* bpf/kernel.h */
#define FMODE_CREATED_ 0x100000

static void opened_existing(struct recording *r, struct entry *e, const struct opened *o)
{
	bool has = (e->flags & KNOWN) && !(e->before.flags & FILE_UNREAD);

	if ((e->flags & CHANGED) || (has && (!e->ctime || e->ctime == o->state->ctime)))
		return;
	_cleanup_fd_ int fd = open_it(r, o->path, o->pid, o->fd, o->ino);
	if (fd >= 0) {
		snapshot(r, e, fd, o->state->ctime);
		return;
	}
	if (is_open_question(e)) {
		e->before = (struct ev_file){ .state = FILE_REGULAR, .mode = 0644, .size = o->state->size, .flags = FILE_UNREAD };
		e->flags |= KNOWN;
	}
	emit_hole(r, "file", o->path, "it was gone before it could be read", 1);
}

void file_opened(struct recording *r, const struct opened *o)
{
	bool writes = o->state->fmode & FMODE_WRITE_;
	struct entry *e;

	if (path_in_image(o->path) && !writes) {
		use_image(r, o->path, o->state->ctime);
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
	opened_existing(r, e, o);
	if (writes)
		e->flags |= CHANGED | OUTPUT;
}

void file_held(struct recording *r, const char *path, pid_t pid, int fd)
{
	struct entry *e;

	if (path_in_image(path)) {
		use_image(r, path, 0);
		return;
	}
	e = entry_of(r, path);
	if (!e || (e->flags & CHANGED) || ((e->flags & KNOWN) && !(e->before.flags & FILE_UNREAD)))
		return;
	_cleanup_fd_ int ours = open_it(r, path, pid, fd, 0);
	if (ours >= 0)
		snapshot(r, e, ours, 0);
	else
		emit_hole(r, "file", path, "it could not be read", 1);
}

/* The image's directories are only remembered, so that nobody looks again. */
static void use_image_dir(struct recording *r, const char *path, const struct stat *st)
{
	struct entry *e = S_ISDIR(st->st_mode) && !find(r->files, path) ? add(r->files, path) : NULL;

	if (e)
		e->flags = IS_DIR;
}

void file_used(struct recording *r, const char *path, const struct stat *st)
{
	struct entry *e;

	if (path_in_image(path)) {
		use_image_dir(r, path, st);
		return;
	}
	e = entry_of(r, path);
	if (!e || !is_open_question(e))
		return;
	know(e, st);
	if (!S_ISREG(st->st_mode) || !st->st_size || st->st_size > SMALL_FILE)
		return;
	_cleanup_fd_ int fd = open_it(r, path, 0, -1, st->st_ino);
	if (fd >= 0)
		snapshot(r, e, fd, ns_of(st->st_ctim));
}

void file_absent(struct recording *r, const char *path)
{
	struct entry *e = path_in_image(path) ? NULL : entry_of(r, path);

	if (e && is_open_question(e))
		know_absent(e);
}

void file_link(struct recording *r, const char *path, const struct stat *st, const char *target)
{
	struct entry *e = path_in_image(path) ? NULL : entry_of(r, path);

	if (!e || !is_open_question(e))
		return;
	know(e, st);
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
	if (path_in_image(path) || path_is_synthetic(path) || look(r, path, &st) < 0)
		return;
	if (S_ISLNK(st.st_mode)) {
		if (path_below(r->opts->rootfs, path, host) < 0 || (n = readlink(host, target, sizeof(target) - 1)) < 0)
			return;
		target[n] = 0;
		file_link(r, path, &st, target);
		return;
	}
	struct entry *e = entry_of(r, path);
	if (e && is_open_question(e))
		know(e, &st);	/* without its content: that comes if it is opened */
}

void dir_listed(struct recording *r, const char *path)
{
	char host[PATH_MAX];
	struct dirent *d;
	int n = 0;

	if (path_in_image(path) || path_is_synthetic(path) || path_below(r->opts->rootfs, path, host) < 0)
		return;
	_cleanup_dir_ DIR *dir = opendir(host);
	while (dir && (d = readdir(dir)) && n++ < MAX_LISTED)
		list_name(r, path, d->d_name);
	if (n >= MAX_LISTED)
		emit_hole(r, "file", path, "the directory has too many names to keep", 1);
}

bool file_known(const struct recording *r, const char *path)
{
	const struct entry *e = find(r->files, path);

	return e && (e->flags & KNOWN);
}

bool dir_known(const struct recording *r, const char *path)
{
	const struct entry *e = find(r->files, path);

	return e && (e->flags & IS_DIR);
}

void file_created(struct recording *r, const char *path)
{
	struct entry *e = entry_of(r, path);

	if (!e)
		return;
	if (!(e->flags & CHANGED))
		know_absent(e);		/* whatever was thought: a late look saw this one */
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
	e->flags |= CHANGED | OUTPUT;
	e->flags &= ~IS_DIR;
}

void file_truncated(struct recording *r, const char *path)
{
	struct entry *e = entry_of(r, path);
	struct stat st;

	if (!e)
		return;
	if (is_open_question(e) && look(r, path, &st) == 0) {
		know(e, &st);
		e->before.flags = FILE_UNREAD;
		e->before.size = 0;
	}
	e->flags |= CHANGED | OUTPUT;
}

void file_changed(struct recording *r, const char *path)
{
	struct entry *e = entry_of(r, path);

	if (e)
		e->flags |= OUTPUT;
}

void file_renamed(struct recording *r, const char *from, const char *to)
{
	struct entry *old = entry_of(r, from), *new = entry_of(r, to);
	struct stat st;

	/* What it was is to be found under its new name. */
	if (old && (is_open_question(old) || (!(old->flags & CHANGED) && old->before.state == FILE_ABSENT)) &&
	    look(r, to, &st) == 0) {
		know(old, &st);
		_cleanup_fd_ int fd = S_ISREG(st.st_mode) ? open_it(r, to, 0, -1, st.st_ino) : -1;
		if (fd >= 0)
			snapshot(r, old, fd, 0);
	}
	if (new && is_open_question(new))
		know_absent(new);
	if (old)
		old->flags = (old->flags | CHANGED | OUTPUT) & ~IS_DIR;
	if (new)
		new->flags = (new->flags | CHANGED | OUTPUT) & ~IS_DIR;
}

/* ---- the end --------------------------------------------------------------------------------- */

bool files_idle(struct recording *r)
{
	struct files *fs = r->files;

	while (!fs->job.e && fs->hashed < fs->n) {
		struct entry *e = fs->all[fs->hashed++];

		if (e->flags & TO_HASH)
			start_job(r, e);
	}
	if (!fs->job.e)
		return false;
	step_job(r);
	return true;
}

/* Something above it was not there: what is said of it came too late to be true. */
static bool is_below_absent(const struct files *fs, const char *path)
{
	char dir[PATH_MAX];

	for (const char *p = strchr(path + 1, '/'); p; p = strchr(p + 1, '/')) {
		const struct entry *e;

		snprintf(dir, sizeof(dir), "%.*s", (int)(p - path), path);
		e = find(fs, dir);
		if (e && (e->flags & KNOWN) && e->before.state != FILE_DIR)
			return true;
	}
	return false;
}

static void tell_before(struct recording *r, const struct entry *e)
{
	struct event ev = { .kind = EV_FILE };

	ev.file = e->before;
	ev.file.path = e->path;
	if (ev.file.state != FILE_SYMLINK)
		ev.file.target = NULL;
	emit(r, &ev);
}

static void tell_output(struct recording *r, const struct entry *e)
{
	char host[PATH_MAX], target[PATH_MAX];
	struct event ev = { .kind = EV_OUTPUT };
	struct err err = ERR_INIT;
	struct stat st;
	ssize_t n;

	ev.file.path = e->path;
	if (path_below(r->opts->rootfs, e->path, host) < 0)
		return;
	if (lstat(host, &st) == 0)
		set_stat(&ev.file, &st);
	if (ev.file.state == FILE_SYMLINK && (n = readlink(host, target, sizeof(target) - 1)) > 0) {
		target[n] = 0;
		ev.file.target = target;
	}
	_cleanup_fd_ int fd = ev.file.state == FILE_REGULAR ? open_it(r, e->path, 0, -1, 0) : -1;
	if (fd >= 0)
		ev.file.has_hash = sha256_fd(fd, ev.file.sha256, &ev.file.size, &err) == 0;
	emit(r, &ev);
}

void files_finish(struct recording *r)
{
	struct files *fs = r->files;

	while (files_idle(r))
		;
	for (size_t i = 0; i < fs->n; i++)
		if ((fs->all[i]->flags & KNOWN) && !is_below_absent(fs, fs->all[i]->path))
			tell_before(r, fs->all[i]);
	for (size_t i = 0; i < fs->n; i++)
		if (fs->all[i]->flags & OUTPUT)
			tell_output(r, fs->all[i]);
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
	end_job(fs);
	for (size_t i = 0; i < fs->n; i++)
		entry_free(fs->all[i]);
	free(fs->all);
	map_clear(&fs->by_path);
	free(fs);
}
