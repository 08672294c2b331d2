/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the guest changed, though the recording has no word of it: changed code
 * writes another file, or removes one.  Only what is left in the end counts.
 *
 * What lies over the root file system is walked for what is younger than the
 * guest's start, and so is the root's own file system, where directories have
 * no overlay.
 */
#include <linux/types.h>

#include "replayer/replay.h"

#include "format/cleanup.h"
#include "format/sha256.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

enum { MAX_SEEN = 200000 };

struct search {
	struct replay *r;
	const struct ev_file **outputs;	/* by path */
	int lower;			/* the root file system as it is outside */
	dev_t dev;
	unsigned int seen;
	char path[PATH_MAX];
};

static int by_path(const void *a, const void *b)
{
	const struct ev_file *const *x = a, *const *y = b;

	return strcmp((*x)->path, (*y)->path);
}

static bool is_output(const struct search *s)
{
	struct ev_file key = { .path = s->path };
	const struct ev_file *k = &key;

	return s->r->rec->noutputs && bsearch(&k, s->outputs, s->r->rec->noutputs, sizeof(k), by_path);
}

static bool is_young(const struct search *s, const struct statx_timestamp *t)
{
	return t->tv_sec * 1000000000ll + t->tv_nsec >= s->r->began;
}

/* Opening a file for writing, or its attributes, make a young copy of it in the overlay: the content tells. */
static bool has_old_content(const struct search *s, int dir, const char *name)
{
	const struct ev_file *f = files_recorded(s->r->rec, s->path);
	uint8_t now[SHA256_LEN], then[SHA256_LEN];
	struct err ignored = ERR_INIT;
	char expected[200], got[200];

	_cleanup_fd_ int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0 || sha256_fd(fd, now, NULL, &ignored) < 0)
		return false;
	if (f && f->state == FILE_REGULAR && attributes_compare(fd, f->attributes, expected, got) == ATTRIBUTES_DIFFER)
		return false;
	if (f && f->state == FILE_REGULAR && f->has_hash)
		return memcmp(now, f->sha256, sizeof(now)) == 0;
	if (f && f->state == FILE_REGULAR)
		return f->size == 0 && lseek(fd, 0, SEEK_END) == 0;
	_cleanup_fd_ int old = f || s->lower < 0 ? -1 : open_in(s->lower, s->path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
	return old >= 0 && sha256_fd(old, then, NULL, &ignored) == 0 && memcmp(now, then, sizeof(now)) == 0;
}

static bool was_there(const struct search *s)
{
	const struct ev_file *f = files_recorded(s->r->rec, s->path);

	if (f)
		return f->state != FILE_ABSENT;
	_cleanup_fd_ int fd = s->lower < 0 ? -1 : open_in(s->lower, s->path, O_PATH | O_NOFOLLOW);
	return fd >= 0;
}

static void look(struct search *s, int dir, const char *name, const struct statx *st)
{
	bool removed = S_ISCHR(st->stx_mode) && !st->stx_rdev_major && !st->stx_rdev_minor;	/* overlayfs's whiteout */
	char what[160];

	if (!is_young(s, S_ISDIR(st->stx_mode) ? &st->stx_btime : &st->stx_ctime) || is_output(s))
		return;
	if (removed ? !was_there(s) : S_ISDIR(st->stx_mode) ? was_there(s) : S_ISREG(st->stx_mode) && has_old_content(s, dir, name))
		return;
	if (!removed && !S_ISREG(st->stx_mode) && !S_ISLNK(st->stx_mode) && !S_ISDIR(st->stx_mode))
		return;		/* sockets are bound, not written */
	snprintf(what, sizeof(what), "file %.150s", s->path);
	diverged(s->r->v, what, 0, removed ? "not removed" : "not written", removed ? "removed" : "written");
}

static void walk(struct search *s, int dir, size_t len);

static void visit(struct search *s, int dir, size_t len, const char *name)
{
	int n = snprintf(s->path + len, sizeof(s->path) - len, "/%s", name);
	struct statx st;

	if (n < 0 || (size_t)n >= sizeof(s->path) - len || files_synthetic(s->path) || ++s->seen > MAX_SEEN)
		return;
	if (statx(dir, name, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, STATX_BASIC_STATS | STATX_BTIME, &st) < 0 ||
	    makedev(st.stx_dev_major, st.stx_dev_minor) != s->dev)
		return;
	look(s, dir, name, &st);
	if (!S_ISDIR(st.stx_mode))
		return;
	_cleanup_fd_ int sub = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (sub >= 0)
		walk(s, sub, len + (size_t)n);
}

static void walk(struct search *s, int dir, size_t len)
{
	struct dirent *d;
	int fd = fcntl(dir, F_DUPFD_CLOEXEC, 3);

	_cleanup_dir_ DIR *names = fd < 0 ? NULL : fdopendir(fd);
	if (!names && fd >= 0)
		close(fd);
	while (names && (d = readdir(names)))
		if (strcmp(d->d_name, ".") && strcmp(d->d_name, ".."))
			visit(s, dir, len, d->d_name);
}

static void search(struct search *s, int top)
{
	struct stat st;

	_cleanup_fd_ int dir = openat(top, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0 || fstat(dir, &st) < 0)
		return;
	s->dev = st.st_dev;
	walk(s, dir, 0);
}

/* Is something above it gone, as it was recorded? */
static bool went_with_its_directory(struct search *s)
{
	bool gone = false;

	for (char *p = strchr(s->path + 1, '/'); p && !gone; p = strchr(p + 1, '/')) {
		*p = 0;
		gone = is_output(s);
		*p = '/';
	}
	return gone;
}

/* What was laid and is in no lower directory goes without a trace. */
static void search_missing(struct search *s)
{
	const struct recording *rec = s->r->rec;
	char what[160];

	for (size_t i = 0; i < rec->nfiles; i++) {
		const struct ev_file *f = rec->files[i];

		if (f->state == FILE_ABSENT || f->state == FILE_OTHER || (f->flags & FILE_IMAGE) || files_synthetic(f->path))
			continue;
		snprintf(s->path, sizeof(s->path), "%s", f->path);
		_cleanup_fd_ int fd = open_in(sandbox_root(s->r->sb), f->path, O_PATH | O_NOFOLLOW);
		if (fd != -ENOENT || is_output(s) || went_with_its_directory(s))
			continue;
		snprintf(what, sizeof(what), "file %.150s", f->path);
		diverged(s->r->v, what, 0, "not removed", "removed");
	}
}

void extra_outputs(struct replay *r)
{
	const char *rootfs = r->opts->rootfs ? r->opts->rootfs : r->rec->m->rootfs;
	_cleanup_free_ struct search *s = calloc(1, sizeof(*s));
	_cleanup_free_ const struct ev_file **outputs = calloc(r->rec->noutputs + 1, sizeof(*outputs));

	if (!s || !outputs)
		return;
	_cleanup_fd_ int lower = open(rootfs, O_PATH | O_DIRECTORY | O_CLOEXEC);
	for (size_t i = 0; i < r->rec->noutputs; i++)
		outputs[i] = r->rec->outputs[i];
	qsort(outputs, r->rec->noutputs, sizeof(*outputs), by_path);
	s->r = r;
	s->outputs = outputs;
	s->lower = lower;
	search(s, sandbox_upper(r->sb));
	search(s, sandbox_root(r->sb));
	search_missing(s);
}
