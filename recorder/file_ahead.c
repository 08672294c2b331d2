/* SPDX-License-Identifier: Apache-2.0 */
/*
 * At the first open of a file a program is stopped until the recorder has
 * read it.  One that opens the files of a directory one after the other (cp,
 * tar, grep) waits once in a while only: the others are read ahead, and the
 * programs in the kernel are told at which change time.  Whoever finds a file
 * with that change time has found that content, and need not wait.  What
 * nobody opens is forgotten.
 */
#include "recorder/file_table.h"

#include "format/cleanup.h"
#include "format/io.h"
#include "recorder/kernel.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
	BEGIN = 4,		/* files of a directory that were waited for; then as many more times */
	SMALL = 64 << 10,	/* bytes of a file that is read ahead */
	MAX_AHEAD = 16 << 20,	/* of all that were, and were not opened */
	MAX_NAMES = 8192,
};
#define OLD_NS 100000000ll	/* before 6.13 a file may change twice within a tick and keep its change time */

static struct busy_dir *busy_dir(struct files *fs, const char *path, size_t len)
{
	uint64_t h = 0xcbf29ce484222325ull;
	struct busy_dir *d;

	for (size_t i = 0; i < len; i++)
		h = (h ^ (uint8_t)path[i]) * 0x100000001b3ull;
	d = &fs->busy[(h ^ h >> 32) % BUSY_DIRS];
	if (d->name != h)
		*d = (struct busy_dir){ .name = h, .enough = BEGIN };
	return d;
}

static bool is_old(const struct stat *st)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return file_ns(now) - file_ns(st->st_ctim) > OLD_NS;
}

static struct content *read_file(int dir, const char *name, size_t room)
{
	struct stat after;
	struct stat st;

	_cleanup_fd_ int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_nlink > 1 || st.st_size < 1 || st.st_size > SMALL ||
	    (size_t)st.st_size > room || !is_old(&st))
		return NULL;
	_cleanup_free_ struct content *c = malloc(sizeof(*c) + (size_t)st.st_size);
	if (!c || io_pread(fd, c->data, (size_t)st.st_size, 0) != st.st_size || fstat(fd, &after) < 0 ||
	    file_ns(after.st_ctim) != file_ns(st.st_ctim))
		return NULL;
	c->st = st;
	c->len = (size_t)st.st_size;
	return TAKE_PTR(c);
}

static void read_name(struct recording *r, int dir, const char *path, const char *name)
{
	struct files *fs = r->files;
	struct entry *e = entry_of(r, path);

	if (!e || e->ahead || (e->flags & CHANGED) || ((e->flags & KNOWN) && !(e->before.flags & FILE_UNREAD)))
		return;
	e->ahead = read_file(dir, name, MAX_AHEAD - fs->bytes_ahead);
	if (!e->ahead)
		return;
	e->ahead->e = e;
	fs->bytes_ahead += e->ahead->len;
	kernel_know(r->kernel, e->ahead->st.st_dev, e->ahead->st.st_ino, file_ns(e->ahead->st.st_ctim));
}

static void read_dir(struct recording *r, const char *at)
{
	char path[PATH_MAX], host[PATH_MAX];
	struct dirent *d;
	int n = 0;

	if (in_image(r, at) || path_is_synthetic(at) || file_host(r, at, host) < 0)
		return;
	_cleanup_dir_ DIR *names = opendir(host);
	while (names && (d = readdir(names)) && n++ < MAX_NAMES && r->files->bytes_ahead < MAX_AHEAD)
		if ((d->d_type == DT_REG || d->d_type == DT_UNKNOWN) &&
		    (size_t)snprintf(path, sizeof(path), "%s/%s", at, d->d_name) < sizeof(path))
			read_name(r, dirfd(names), path, d->d_name);
}

void ahead_opened(struct recording *r, const char *path)
{
	const char *slash = strrchr(path, '/');
	struct busy_dir *d;
	char at[PATH_MAX];

	if (!slash || slash == path)
		return;
	d = busy_dir(r->files, path, (size_t)(slash - path));
	if (++d->opened < d->enough)
		return;
	d->opened = 0;
	d->enough *= 4;
	snprintf(at, sizeof(at), "%.*s", (int)(slash - path), path);
	read_dir(r, at);
}

void ahead_drop(struct files *fs, struct entry *e)
{
	if (e->ahead)
		fs->bytes_ahead -= e->ahead->len;
	free(e->ahead);
	e->ahead = NULL;
}

bool ahead_take(struct recording *r, struct entry *e, int64_t ctime)
{
	if (!e->ahead || file_ns(e->ahead->st.st_ctim) != ctime) {
		ahead_drop(r->files, e);
		return false;
	}
	r->files->bytes_ahead -= e->ahead->len;
	entry_know_at(r, e, e->path, &e->ahead->st);
	e->ctime = ctime;
	content_take(r, TAKE_PTR(e->ahead));
	return true;
}
