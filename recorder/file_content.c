/* SPDX-License-Identifier: Apache-2.0 */
/* Contents of files: into the capsule before the scope can change them, or their hashes when there is time. */
#include "recorder/file_table.h"

#include "format/cleanup.h"
#include "format/io.h"
#include "sandbox/image_root.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
	HASH_STEP = 256 << 10,	/* bytes: a stopped process must not wait long for us */
	READ_AT_ONCE = 1 << 20,	/* bytes of a file that are read now and written later */
	MAX_READ = 16 << 20,	/* bytes of all that were read and are not written */
};

int content_now(struct recording *r, struct entry *e, int fd, struct err *err)
{
	uint64_t size = 0;
	int rc;

	rc = capsule_write_blob_fd(r->w, fd, r->opts->snapshot_limit, &size, e->before.sha256, err);
	if (rc == 0) {
		e->before.flags = FILE_CONTENT;
	} else if (rc == -EFBIG) {
		rc = sha256_fd(fd, e->before.sha256, &size, err);
		e->before.flags = 0;
		if (rc == 0)
			emit_hole(r, "budget", e->path, "it is larger than --snapshot-limit: only its hash is here, a replay needs the file itself", 1);
	}
	if (rc < 0)
		return rc;
	e->before.size = size;
	e->before.has_hash = true;
	return 0;
}

/* Of a file that the disk does not give as a whole: the pages that it gives. */
static int keep_readable(struct recording *r, struct entry *e, int fd, uint64_t size)
{
	struct err ignored = ERR_INIT;
	uint8_t page[4096];

	_cleanup_fd_ int copy = memfd_create("readable", MFD_CLOEXEC);
	if (copy < 0 || size > r->opts->snapshot_limit || ftruncate(copy, (off_t)size) < 0)
		return -EFBIG;
	for (uint64_t at = 0; at < size; at += sizeof(page)) {
		ssize_t n = io_pread(fd, page, sizeof(page), at);

		if (n > 0 && pwrite(copy, page, (size_t)n, (off_t)at) < 0)
			return -errno;
	}
	return content_now(r, e, copy, &ignored);
}

bool content_settle(struct recording *r)
{
	struct files *fs = r->files;
	_cleanup_free_ struct content *c = fs->read;
	struct err err = ERR_INIT;

	if (!c)
		return false;
	fs->read = c->next;
	if (!fs->read)
		fs->last_read = &fs->read;
	fs->bytes_read -= c->len;
	if (!r->broken.code) {
		c->e->before.has_hash = capsule_write_blob(r->w, c->data, c->len, c->e->before.sha256, &err) == 0;
		if (!c->e->before.has_hash) {
			c->e->before.flags = FILE_UNREAD;
			emit_hole(r, "file", c->e->path, err.text, 1);
		}
	}
	return fs->read;
}

void content_drop(struct files *fs)
{
	while (fs->read) {
		struct content *c = fs->read;

		fs->read = c->next;
		free(c);
	}
}

void content_take(struct recording *r, struct content *c)
{
	struct files *fs = r->files;

	while (fs->read && fs->bytes_read + c->len > MAX_READ)
		content_settle(r);
	c->next = NULL;
	fs->bytes_read += c->len;
	c->e->before.flags = FILE_CONTENT;
	c->e->before.size = c->len;
	*fs->last_read = c;
	fs->last_read = &c->next;
}

/* That it is whole, and did not change meanwhile, is for the caller to see. */
static int read_at_once(struct recording *r, struct entry *e, int fd, size_t len, struct err *err)
{
	ssize_t n;

	_cleanup_free_ struct content *c = malloc(sizeof(*c) + len);
	if (!c)
		return err_set(err, ENOMEM, "out of memory");
	n = io_pread(fd, c->data, len, 0);
	if (n < 0)
		return err_sys(err, (int)-n, "reading");
	c->e = e;
	c->len = (size_t)n;
	content_take(r, TAKE_PTR(c));
	return 0;
}

void content_put_off(struct entry *e, const struct stat *before)
{
	e->ctime = file_ns(before->st_ctim);
	if (before->st_size)
		e->flags |= LATE;
}

void content_keep(struct recording *r, struct entry *e, int fd, int64_t ctime)
{
	struct err err = ERR_INIT;
	struct stat before, after;
	char link[64];
	int rc = 0;

	if (fstat(fd, &before) < 0 || !S_ISREG(before.st_mode))
		return;
	entry_know(r, e, &before);
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	attributes_know(r, e, link, true, &before);
	if (r->sink)
		content_put_off(e, &before);
	if (r->broken.code || r->sink)
		return;
	if (entry_first(e) != e) {
		e = entry_first(e);
		if (!(e->before.flags & FILE_UNREAD) || (e->flags & CONTENT_CHANGED))
			return;
	}
	if (before.st_size > READ_AT_ONCE || (uint64_t)before.st_size > r->opts->snapshot_limit)
		rc = content_now(r, e, fd, &err);
	else if (before.st_size)
		rc = read_at_once(r, e, fd, (size_t)before.st_size, &err);
	if (rc < 0) {
		emit_hole(r, "file", e->path, err.text, 1);
		if (keep_readable(r, e, fd, (uint64_t)before.st_size) == 0)
			return;
		e->before.flags = FILE_UNREAD;
		e->before.has_hash = false;
		return;
	}
	if (fstat(fd, &after) < 0)
		after = before;
	e->ctime = file_ns(before.st_ctim);
	if (after.st_size == before.st_size && file_ns(after.st_ctim) == e->ctime && (!ctime || ctime == e->ctime))
		return;
	e->before.flags |= FILE_CHANGED;
	emit_hole(r, "file", e->path, "it changed while it was being read", 1);
}

/* @path, if it is the regular file with @ino (0: any). O_NONBLOCK: what was a file may be a FIFO by now. */
static int open_that(const char *path, int flags, uint64_t ino)
{
	struct stat st;

	_cleanup_fd_ int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC | flags);
	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || (ino && st.st_ino != ino))
		return -ESTALE;
	return TAKE_FD(fd);
}

int content_open(const struct recording *r, const char *path, pid_t pid, int fd, uint64_t ino)
{
	char name[PATH_MAX];
	int ours = -ESTALE;

	/* A thread that runs on may have closed it by now, and have something else under its number. */
	if (fd >= 0) {
		snprintf(name, sizeof(name), "/proc/%d/fd/%d", (int)pid, fd);
		ours = open_that(name, 0, ino);
	}
	if (ours < 0 && path_below(r->opts->rootfs, path, name) == 0)
		ours = open_that(name, O_NOFOLLOW, ino);
	return ours;
}

void content_later(struct recording *r, const char *path, int64_t ctime)
{
	struct entry *e = entry_find(r->files, path);
	struct stat st;

	if (e && (e->flags & (KNOWN | CHANGED)))
		return;
	if (r->opts->container) {
		entry_of(r, path);
		return;
	}
	if (file_look(r, path, &st) < 0 || !S_ISREG(st.st_mode))
		return;
	if (!e)
		e = entry_add(r->files, path);
	if (!e)
		return;
	entry_know(r, e, &st);
	e->before.flags = FILE_IMAGE;
	e->flags |= TO_HASH;
	e->ctime = ctime ? ctime : file_ns(st.st_ctim);
}

void content_end_job(struct files *fs)
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
	content_end_job(r->files);
}

static int open_in_container(const struct recording *r, const char *path)
{
	char name[PATH_MAX];

	return path_below(r->opts->container->image->root, path, name) < 0 ? -ENAMETOOLONG : open_that(name, O_NOFOLLOW, 0);
}

static void start_job(struct recording *r, struct entry *e)
{
	struct files *fs = r->files;
	struct err ignored;

	e->flags &= ~TO_HASH;
	fs->job.e = e;
	fs->job.at = 0;
	fs->job.fd = r->opts->container ? open_in_container(r, e->path) : content_open(r, e->path, 0, -1, 0);
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
	if (fstat(fs->job.fd, &st) == 0 && file_ns(st.st_ctim) != e->ctime) {
		e->before.flags |= FILE_CHANGED;
		emit_hole(r, "file", e->path, "it changed while the program was recorded", 1);
	}
	content_end_job(fs);
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
