/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The upper side of the root file system while it is being filled.
 *
 * Names come from a capsule, so nothing here follows a link: a path is walked
 * a component at a time with O_NOFOLLOW, in the upper tree and at the same
 * time in the lower one, which tells what a missing directory looks like.
 */
#include "sandbox/internal.h"

#include "format/attributes.h"
#include "format/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#define DIR_FLAGS (O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)

/* Where a walk has come to. */
struct place {
	int upper;
	int lower;	/* -1: the lower has no such directory, or we may not look into it */
	char name[NAME_MAX + 1];	/* the last component */
};

static void cleanup_place(struct place *p)
{
	cleanup_fd(&p->upper);
	cleanup_fd(&p->lower);
}
#define _cleanup_place_ _cleanup_(cleanup_place)

bool is_whiteout(const struct stat *st)
{
	return S_ISCHR(st->st_mode) && st->st_rdev == makedev(0, 0);
}

/* The next component of *@path, a clean one, into @name; *@path behind it. */
static int next_name(const char **path, char name[NAME_MAX + 1])
{
	const char *s = *path;
	size_t n;

	n = strcspn(++s, "/");
	if (n > NAME_MAX)
		return -ENAMETOOLONG;
	memcpy(name, s, n);
	name[n] = 0;
	*path = s + n;
	return 0;
}

/* proc, sys and most of dev are made anew in every sandbox: what would be laid there would not be seen. */
static bool is_special(const char *path)
{
	static const char *const dirs[] = { "/proc", "/sys", "/dev" };

	if (!strncmp(path, "/dev/shm/", 9))
		return false;
	for (size_t i = 0; i < sizeof(dirs) / sizeof(dirs[0]); i++) {
		size_t n = strlen(dirs[i]);

		if (!strncmp(path, dirs[i], n) && (!path[n] || path[n] == '/'))
			return true;
	}
	return false;
}

static bool may_lay(const char *path)
{
	return path_is_clean(path, strlen(path)) && path[1] && !is_special(path);
}

/* Remembers what @path's mtime is to be in the end. */
static int keep_time(struct layer *l, const char *path, size_t len, struct timespec mtime)
{
	struct layer_time *t;

	for (size_t i = 0; i < l->ntimes; i++) {
		if (!strncmp(l->times[i].path, path, len) && !l->times[i].path[len]) {
			l->times[i].mtime = mtime;
			return 0;
		}
	}
	if ((l->ntimes & (l->ntimes - 1)) == 0) {
		t = reallocarray(l->times, l->ntimes ? l->ntimes * 2 : 1, sizeof(*t));
		if (!t)
			return -ENOMEM;
		l->times = t;
	}
	t = &l->times[l->ntimes];
	t->path = strndup(path, len);
	t->mtime = mtime;
	if (!t->path)
		return -ENOMEM;
	l->ntimes++;
	return 0;
}

/*
 * The lower's directory @name as a fd and its @st; -1 where there is none.
 * @opaque: there is something that must not be looked into.
 */
static int open_lower(int lower, const char *name, struct stat *st, bool *opaque)
{
	int fd;

	if (lower < 0 || fstatat(lower, name, st, AT_SYMLINK_NOFOLLOW) < 0)
		return -1;
	if (!S_ISDIR(st->st_mode)) {
		errno = ENOTDIR;
		return -2;
	}
	fd = openat(lower, name, DIR_FLAGS);
	if (fd >= 0 && faccessat(fd, ".", R_OK | X_OK, AT_EACCESS) == 0)
		return fd;
	cleanup_fd(&fd);
	*opaque = true;
	return -1;
}

/* Makes the directory @name in @p->upper; overlayfs must not look below it if @opaque. */
static int make_dir(const struct place *p, const char *name, mode_t mode, bool opaque)
{
	_cleanup_fd_ int fd = -1;

	if (mkdirat(p->upper, name, 0700) < 0)
		return -errno;
	fd = openat(p->upper, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fchmod(fd, mode & 07777) < 0)
		return -errno;
	/* A tmpfs before Linux 6.6 has no user xattrs; then the lookup fails with EACCES, as it would outside. */
	if (opaque && fsetxattr(fd, "user.overlay.opaque", "y", 1, 0) < 0 && errno != EOPNOTSUPP)
		return -errno;
	return 0;
}

/* One step down: @p goes to its directory @name, which is made if @make; -ENOENT if not. @path[0..@len]: for the times. */
static int descend(struct layer *l, struct place *p, const char *name, const char *path, size_t len, bool make)
{
	struct stat st = { .st_mode = 0755 };
	bool opaque = false;
	int e, lower, upper = openat(p->upper, name, DIR_FLAGS);

	if (upper < 0 && errno != ENOENT)
		return -EINVAL;	/* ENOTDIR, ELOOP: through a file or a symlink of the layer */
	lower = open_lower(p->lower, name, &st, &opaque);
	if (lower == -2 && upper < 0)
		return -EINVAL;	/* the same in the lower */
	if (lower < -1)
		lower = -1;
	if (upper < 0) {
		e = make ? make_dir(p, name, st.st_mode, opaque) : -ENOENT;
		if (!e && st.st_ino)
			e = keep_time(l, path, len, st.st_mtim);
		if (!e)
			upper = openat(p->upper, name, DIR_FLAGS);
		if (upper < 0) {
			e = e ? e : -errno;
			cleanup_fd(&lower);
			return e;
		}
	}
	cleanup_place(p);
	p->upper = upper;
	p->lower = lower;
	return 0;
}

/* To the directory that holds @path's last component. */
static int walk(struct layer *l, const char *path, bool make, struct place *p)
{
	const char *rest = path;
	int e;

	if (!may_lay(path))
		return -EINVAL;
	p->upper = fcntl(l->upper, F_DUPFD_CLOEXEC, 3);
	p->lower = fcntl(l->lower, F_DUPFD_CLOEXEC, 3);
	if (p->upper < 0 || p->lower < 0)
		return -errno;
	for (;;) {
		e = next_name(&rest, p->name);
		if (e < 0 || !*rest)
			return e;
		e = descend(l, p, p->name, path, rest - path, make);
		if (e < 0)
			return e;
	}
}

static int refuse(struct err *err, int e, const char *path)
{
	if (e == -EINVAL)
		return err_set(err, EINVAL, "'%s' is no path to lay a file at", path);
	return err_sys(err, -e, "laying '%s'", path);
}

/* What the upper has at @p: its type, 0 for nothing. */
static mode_t upper_type(const struct place *p)
{
	struct stat st;

	return fstatat(p->upper, p->name, &st, AT_SYMLINK_NOFOLLOW) < 0 ? 0 : st.st_mode & S_IFMT;
}

/* As upper_type(), where only @type may be replaced. */
static int check_type(const struct place *p, mode_t type)
{
	mode_t has = upper_type(p);

	return has && has != type ? -EEXIST : has != 0;
}

/* Does the lower have @path? Through no symlink, else -EINVAL. */
static int lower_has(const struct layer *l, const char *path)
{
	char name[NAME_MAX + 1];
	struct stat st;

	_cleanup_fd_ int dir = fcntl(l->lower, F_DUPFD_CLOEXEC, 3);
	while (dir >= 0) {
		int e = next_name(&path, name), next;

		if (e < 0)
			return e;
		if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			return 0;
		if (!*path)
			return 1;
		if (!S_ISDIR(st.st_mode))
			return -EINVAL;
		next = openat(dir, name, DIR_FLAGS);
		close(dir);
		dir = next;
	}
	return errno == EACCES ? 0 : -errno;
}

int layer_absent(struct layer *l, const char *path, struct err *err)
{
	_cleanup_place_ struct place p = { -1, -1, "" };
	int e = !may_lay(path) ? -EINVAL : sight_of(l->spec, path) == SIGHT_NONE ? 0 : lower_has(l, path);

	if (e > 0)
		e = walk(l, path, true, &p);
	else
		return e ? refuse(err, e, path) : 0;
	if (!e)
		e = check_type(&p, S_IFCHR);
	if (!e && mknodat(p.upper, p.name, S_IFCHR, makedev(0, 0)) < 0)
		e = -errno;
	return e < 0 ? refuse(err, e, path) : 0;
}

int layer_dir(struct layer *l, const char *path, uint32_t mode, struct err *err)
{
	_cleanup_place_ struct place p = { -1, -1, "" };
	struct stat st = { 0 };
	bool opaque = false;
	int lower, e = walk(l, path, true, &p);

	if (!e)
		e = check_type(&p, S_IFDIR);
	if (e < 0)
		return refuse(err, e, path);
	if (e > 0)
		return fchmodat(p.upper, p.name, mode & 07777, 0) < 0 ? refuse(err, -errno, path) : 0;
	lower = open_lower(p.lower, p.name, &st, &opaque);
	cleanup_fd(&lower);
	e = make_dir(&p, p.name, mode, opaque);
	if (!e && S_ISDIR(st.st_mode))
		e = keep_time(l, path, strlen(path), st.st_mtim);
	return e < 0 ? refuse(err, e, path) : 0;
}

int layer_special(struct layer *l, const char *path, uint32_t type, uint32_t mode, struct err *err)
{
	_cleanup_place_ struct place p = { -1, -1, "" };
	int e = walk(l, path, true, &p);

	if (!e)
		e = check_type(&p, type);
	if (!e && mknodat(p.upper, p.name, type | 0600, 0) < 0)
		e = -errno;
	if (e >= 0 && fchmodat(p.upper, p.name, mode & 07777, 0) < 0)
		e = -errno;
	return e < 0 ? refuse(err, e, path) : 0;
}

int layer_symlink(struct layer *l, const char *path, const char *target, struct err *err)
{
	_cleanup_place_ struct place p = { -1, -1, "" };
	int e = walk(l, path, true, &p);

	if (!e)
		e = check_type(&p, S_IFLNK);
	if (e > 0)
		e = unlinkat(p.upper, p.name, 0) < 0 ? -errno : 0;
	if (!e && symlinkat(target, p.upper, p.name) < 0)
		e = -errno;
	return e < 0 ? refuse(err, e, path) : 0;
}

int layer_file(struct layer *l, const char *path, uint32_t mode, int *fd, struct err *err)
{
	_cleanup_place_ struct place p = { -1, -1, "" };
	int e = walk(l, path, true, &p);

	if (!e)
		e = check_type(&p, S_IFREG);
	if (e > 0)
		e = unlinkat(p.upper, p.name, 0) < 0 ? -errno : 0;
	if (e < 0)
		return refuse(err, e, path);
	_cleanup_fd_ int f = openat(p.upper, p.name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (f < 0 || fchmod(f, mode & 07777) < 0)
		return refuse(err, -errno, path);
	*fd = TAKE_FD(f);
	return 0;
}

int layer_link(struct layer *l, const char *path, const char *of, struct err *err)
{
	_cleanup_place_ struct place p = { -1, -1, "" }, from = { -1, -1, "" };
	int e = walk(l, of, false, &from);

	if (!e && upper_type(&from) != S_IFREG)
		e = -ENOENT;
	if (!e)
		e = walk(l, path, true, &p);
	if (!e)
		e = check_type(&p, S_IFREG);
	if (e > 0)
		e = unlinkat(p.upper, p.name, 0) < 0 ? -errno : 0;
	if (!e && linkat(from.upper, from.name, p.upper, p.name, 0) < 0)
		e = -errno;
	return e < 0 ? refuse(err, e, path) : 0;
}

int layer_fifo(struct layer *l, const char *path, uint32_t mode, struct err *err)
{
	_cleanup_place_ struct place p = { -1, -1, "" };
	int e = walk(l, path, true, &p);

	if (!e)
		e = check_type(&p, S_IFIFO);
	if (!e && (mknodat(p.upper, p.name, S_IFIFO | 0600, 0) < 0 || fchmodat(p.upper, p.name, mode & 07777, 0) < 0))
		e = -errno;
	return e < 0 ? refuse(err, e, path) : 0;
}

int layer_attributes(struct layer *l, const char *path, struct bytes attributes, struct err *err)
{
	_cleanup_place_ struct place p = { -1, -1, "" };
	struct attribute a;
	char link[64];
	int e = attributes.len ? walk(l, path, false, &p) : 0;

	_cleanup_fd_ int fd = e < 0 || !attributes.len ? -1 : openat(p.upper, p.name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);	/* its mode may forbid to open it */
	while (fd >= 0 && e == 0 && attributes_next(&attributes, &a))
		if (setxattr(link, a.name, a.value ? (const char *)a.value : "", a.len, 0) < 0 && errno != EOPNOTSUPP)
			e = -errno;
	return e < 0 ? refuse(err, e, path) : 0;
}

int layer_mtime(struct layer *l, const char *path, int64_t mtime, struct err *err)
{
	_cleanup_place_ struct place p = { -1, -1, "" };
	struct timespec ts[2] = { { .tv_nsec = UTIME_OMIT } };
	int e = walk(l, path, false, &p);

	ts[1].tv_sec = mtime / 1000000000;
	ts[1].tv_nsec = mtime % 1000000000;
	if (ts[1].tv_nsec < 0) {
		ts[1].tv_sec--;
		ts[1].tv_nsec += 1000000000;
	}
	if (!e && upper_type(&p) == S_IFDIR)
		e = keep_time(l, path, strlen(path), ts[1]);
	else if (!e && utimensat(p.upper, p.name, ts, AT_SYMLINK_NOFOLLOW) < 0)
		e = -errno;
	return e < 0 ? refuse(err, e, path) : 0;
}

void layer_finish(struct layer *l)
{
	for (size_t i = 0; i < l->ntimes; i++) {
		struct timespec ts[2] = { { .tv_nsec = UTIME_OMIT }, l->times[i].mtime };
		_cleanup_place_ struct place p = { -1, -1, "" };

		/* A wrong mtime of a directory is not worth a failure. */
		if (walk(l, l->times[i].path, false, &p) == 0)
			utimensat(p.upper, p.name, ts, AT_SYMLINK_NOFOLLOW);
		free(l->times[i].path);
	}
	free(l->times);
	l->times = NULL;
	l->ntimes = 0;
}
