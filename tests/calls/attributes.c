/* SPDX-License-Identifier: Apache-2.0 */
/* What is known of a file beside its content: mode, owner, times, extended attributes. */
#include "tests/calls/calls.h"

#include <sys/time.h>
#include <sys/xattr.h>
#include <utime.h>

static char buf[4096];
static const char *absent = "no/such/file";

static const char *file(void)
{
	close(scratch("some text"));
	return scratch_path();
}

static struct stat now_of(const char *path)
{
	struct stat st;

	must(lstat(path, &st) == 0);
	return st;
}

CALL(truncate)
{
	ok(DO(truncate, file(), 4));
	must(now_of(scratch_path()).st_size == 4);
	ok(DO(truncate, scratch_path(), 10000));
	must(now_of(scratch_path()).st_size == 10000);
	fails(EINVAL, DO(truncate, scratch_path(), -1));
	fails(ENOENT, DO(truncate, absent, 0));
	fails(EISDIR, DO(truncate, ".", 0));
}

CALL(chmod)
{
	ok(DO(chmod, file(), 0604));
	must((now_of(scratch_path()).st_mode & 07777) == 0604);
	fails(ENOENT, DO(chmod, absent, 0600));
}

CALL(fchmodat)
{
	ok(DO(fchmodat, AT_FDCWD, file(), 0711));
	must((now_of(scratch_path()).st_mode & 07777) == 0711);
	fails(EBADF, DO(fchmodat, -1, "x", 0600));
}

CALL(fchmodat2)
{
	ok(DO(fchmodat2, AT_FDCWD, file(), 0701, AT_SYMLINK_NOFOLLOW));
	must((now_of(scratch_path()).st_mode & 07777) == 0701);
	fails(EINVAL, DO(fchmodat2, AT_FDCWD, scratch_path(), 0600, 0x40000000));
}

CALL(chown)
{
	ok(DO(chown, file(), getuid(), getgid()));
	ok(DO(chown, scratch_path(), -1, -1));
	must(now_of(scratch_path()).st_uid == getuid());
	fails(ENOENT, DO(chown, absent, -1, -1));
}

CALL(lchown)
{
	must(symlink("nowhere", "lchowned") == 0);
	ok(DO(lchown, "lchowned", getuid(), -1));
	fails(ENOENT, DO(lchown, absent, -1, -1));
}

CALL(fchownat)
{
	ok(DO(fchownat, AT_FDCWD, file(), getuid(), getgid(), 0));
	fails(EINVAL, DO(fchownat, AT_FDCWD, scratch_path(), -1, -1, 0x40000000));
	fails(EBADF, DO(fchownat, -1, "x", -1, -1, 0));
}

CALL(utime)
{
	struct utimbuf t = { 1000, 2000 };

	ok(DO(utime, file(), &t));
	must(now_of(scratch_path()).st_mtime == 2000 && now_of(scratch_path()).st_atime == 1000);
	fails(ENOENT, DO(utime, absent, NULL));
}

CALL(utimes)
{
	struct timeval t[2] = { { 1000, 5 }, { 3000, 6 } };

	ok(DO(utimes, file(), t));
	must(now_of(scratch_path()).st_mtime == 3000 && now_of(scratch_path()).st_mtim.tv_nsec == 6000);
	t[0].tv_usec = 2000000;
	fails(EINVAL, DO(utimes, scratch_path(), t));
}

CALL(futimesat)
{
	struct timeval t[2] = { { 1000, 5 }, { 4000, 6 } };

	ok(DO(futimesat, AT_FDCWD, file(), t));
	must(now_of(scratch_path()).st_mtime == 4000);
	fails(EBADF, DO(futimesat, -1, "x", t));
}

CALL(utimensat)
{
	struct timespec t[2] = { { 1, UTIME_OMIT }, { 5000, 7 } };

	ok(DO(utimensat, AT_FDCWD, file(), t, 0));
	must(now_of(scratch_path()).st_mtime == 5000 && now_of(scratch_path()).st_mtim.tv_nsec == 7);
	fails(ENOENT, DO(utimensat, AT_FDCWD, absent, t, 0));
	fails(EINVAL, DO(utimensat, AT_FDCWD, scratch_path(), t, 0x40000000));
}

/* Attributes: where the file system has none, that is what is said. */
#define VALUE "a value"

static bool has_attribute(long r)
{
	must(r == 0 || r == -EOPNOTSUPP);
	return r == 0;
}

static void must_have_set(const char *name, long r)
{
	if (has_attribute(r))
		must(lgetxattr(scratch_path(), name, buf, 100) == 7 && memcmp(buf, VALUE, 7) == 0);
	say("set or not: %s", error_name(r));
}

CALL(setxattr)
{
	must_have_set("user.one", DO(setxattr, file(), "user.one", VALUE, 7, 0));
	fails(ENOENT, DO(setxattr, absent, "user.one", VALUE, 7, 0));
	fails(EINVAL, DO(setxattr, scratch_path(), "user.one", VALUE, 7, 77));
	fails(ERANGE, DO(setxattr, scratch_path(), "", VALUE, 7, 0));
}

CALL(lsetxattr)
{
	must_have_set("user.two", DO(lsetxattr, file(), "user.two", VALUE, 7, XATTR_CREATE));
	fails(ENOENT, DO(lsetxattr, absent, "user.two", VALUE, 7, 0));
}

CALL(fsetxattr)
{
	int fd = open(file(), O_RDWR);

	must_have_set("user.three", DO(fsetxattr, fd, "user.three", VALUE, 7, 0));
	fails(EBADF, DO(fsetxattr, -1, "user.three", VALUE, 7, 0));
}

struct xattr_at { uint64_t value; uint32_t size, flags; };

CALL(setxattrat)
{
	struct xattr_at a = { (uint64_t)VALUE, 7, 0 };
	long r = DO(setxattrat, AT_FDCWD, file(), 0, "user.four", &a, sizeof(a));

	must_have_set("user.four", r);
	fails(EINVAL, DO(setxattrat, AT_FDCWD, scratch_path(), 0, "user.four", &a, 3));
}

/* A file with the attribute user.a where there can be one. */
static bool attributed(void)
{
	return setxattr(file(), "user.a", VALUE, 7, 0) == 0;
}

#define GET(call, ...) CALL(call) { \
	bool has = attributed(); \
	int fd __attribute__((unused)) = open(scratch_path(), O_RDONLY); \
	long length = DO(call, __VA_ARGS__, "user.a", NULL, 0), n = DO(call, __VA_ARGS__, "user.a", buf, sizeof(buf)); \
	must(has ? n == 7 : n == -ENODATA || n == -EOPNOTSUPP); \
	must(length == n); \
	say("%s", error_name(n)); \
	show("value", buf, n < 0 ? 0 : n); \
	must(DO(call, __VA_ARGS__, "user.a", NULL, 0) == n); \
	if (has) \
		fails(ENODATA, DO(call, __VA_ARGS__, "user.none", buf, sizeof(buf))); \
	if (has) \
		fails(ERANGE, DO(call, __VA_ARGS__, "user.a", buf, 2)); \
	fails(ERANGE, DO(call, __VA_ARGS__, "", buf, 2)); \
}
GET(getxattr, scratch_path())
GET(lgetxattr, scratch_path())
GET(fgetxattr, fd)

CALL(getxattrat)
{
	bool has = attributed();
	struct xattr_at a = { (uint64_t)buf, sizeof(buf), 0 };
	long n = DO(getxattrat, AT_FDCWD, scratch_path(), 0, "user.a", &a, sizeof(a));

	must(has ? n == 7 : n == -ENODATA || n == -EOPNOTSUPP);
	show("value", buf, n < 0 ? 0 : n);
	fails(EINVAL, DO(getxattrat, AT_FDCWD, scratch_path(), 0x40000000, "user.a", &a, sizeof(a)));
}

#define LIST(call, error, bad, ...) CALL(call) { \
	bool has = attributed(); \
	int fd __attribute__((unused)) = open(scratch_path(), O_RDONLY); \
	long n = DO(call, __VA_ARGS__, buf, sizeof(buf)); \
	must(has ? n >= 7 && memmem(buf, n, "user.a", 7) : n >= 0 || n == -EOPNOTSUPP); \
	show("names", buf, n < 0 ? 0 : n); \
	if (has) \
		fails(ERANGE, DO(call, __VA_ARGS__, buf, 1)); \
	fails(error, DO(call, bad, buf, sizeof(buf))); \
}
LIST(listxattr, ENOENT, absent, scratch_path())
LIST(llistxattr, ENOENT, absent, scratch_path())
LIST(flistxattr, EBADF, -1, fd)

CALL(listxattrat)
{
	bool has = attributed();
	long n = DO(listxattrat, AT_FDCWD, scratch_path(), 0, buf, sizeof(buf));

	must(has ? n >= 7 : n >= 0 || n == -EOPNOTSUPP);
	show("names", buf, n < 0 ? 0 : n);
	fails(ENOENT, DO(listxattrat, AT_FDCWD, absent, 0, buf, sizeof(buf)));
}

#define REMOVE(call, error, bad, ...) CALL(call) { \
	bool has = attributed(); \
	int fd __attribute__((unused)) = open(scratch_path(), O_RDWR); \
	long r = DO(call, __VA_ARGS__, "user.a"); \
	must(has ? r == 0 : r == -ENODATA || r == -EOPNOTSUPP); \
	must(getxattr(scratch_path(), "user.a", buf, 100) < 0); \
	say("%s", error_name(r)); \
	fails(error, DO(call, bad, "user.a")); \
}
REMOVE(removexattr, ENOENT, absent, scratch_path())
REMOVE(lremovexattr, ENOENT, absent, scratch_path())
REMOVE(fremovexattr, EBADF, -1, fd)

CALL(removexattrat)
{
	bool has = attributed();
	long r = DO(removexattrat, AT_FDCWD, scratch_path(), 0, "user.a");

	must(has ? r == 0 : r == -ENODATA || r == -EOPNOTSUPP);
	fails(ENOENT, DO(removexattrat, AT_FDCWD, absent, 0, "user.a"));
}

CALL(file_getattr)
{
	struct { uint64_t flags; uint32_t extsize, extents, project, cow; } a;
	long r = DO(file_getattr, AT_FDCWD, file(), &a, sizeof(a), 0);

	must(r == 0 || r == -EOPNOTSUPP);
	fails(ENOENT, DO(file_getattr, AT_FDCWD, absent, &a, sizeof(a), 0));
	fails(EINVAL, DO(file_getattr, AT_FDCWD, scratch_path(), &a, 2, 0));
}

CALL(file_setattr)
{
	struct { uint64_t flags; uint32_t extsize, extents, project, cow; } a = { 0 };

	fails(ENOENT, DO(file_setattr, AT_FDCWD, absent, &a, sizeof(a), 0));
	fails(EINVAL, DO(file_setattr, AT_FDCWD, file(), &a, 2, 0));
}
