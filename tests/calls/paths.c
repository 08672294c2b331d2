/* SPDX-License-Identifier: Apache-2.0 */
/* Files by name. */
#include "tests/calls/calls.h"

#include <linux/fs.h>
#include <linux/openat2.h>
#include <linux/stat.h>
#include <sys/inotify.h>
#include <sys/vfs.h>
#undef __struct_group

static char buf[4096];

/* A file of this call's, with "text" in it. */
static const char *file(void)
{
	close(scratch("text"));
	return scratch_path();
}

/* A directory of this call's, new. */
static const char *directory(void)
{
	static char path[80];

	snprintf(path, sizeof(path), "%s.dir", scratch_path());
	must(mkdir(path, 0755) == 0);
	return path;
}

static const char *absent = "no/such/file";

static void say_stat(const struct stat *st)
{
	say("mode %o, %ld bytes, %ld links, owner %u:%u, inode %lu on %lx, written %ld.%09ld", st->st_mode, (long)st->st_size,
	    (long)st->st_nlink, st->st_uid, st->st_gid, st->st_ino, st->st_dev, st->st_mtim.tv_sec, st->st_mtim.tv_nsec);
}

CALL(open)
{
	int fd = ok(DO(open, file(), O_RDONLY, 0));

	show("content", buf, read(fd, buf, 100));
	fd = ok(DO(open, "opened", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666));
	must(write(fd, "new", 3) == 3 && fcntl(fd, F_GETFD) == FD_CLOEXEC);
	fails(EEXIST, DO(open, "opened", O_WRONLY | O_CREAT | O_EXCL, 0666));
	fails(ENOENT, DO(open, absent, O_RDONLY, 0));
	fails(ENOTDIR, DO(open, "opened", O_RDONLY | O_DIRECTORY, 0));
	fails(EISDIR, DO(open, ".", O_WRONLY, 0));
	fails(EFAULT, DO(open, 8, O_RDONLY, 0));
	fd = ok(DO(open, "/proc/loadavg", O_RDONLY, 0));
	show("/proc/loadavg", buf, read(fd, buf, 100));
	fd = ok(DO(open, "given", O_RDONLY, 0));
	show("a file that was there", buf, read(fd, buf, 100));
}

CALL(openat)
{
	int dir = open(directory(), O_RDONLY | O_DIRECTORY), fd = ok(DO(openat, dir, "inner", O_RDWR | O_CREAT, 0600));

	must(write(fd, "x", 1) == 1);
	fd = ok(DO(openat, AT_FDCWD, file(), O_RDWR | O_APPEND, 0));
	must(write(fd, "+", 1) == 1 && pread(fd, buf, 10, 0) == 5);
	may(EOPNOTSUPP, DO(openat, dir, ".", O_TMPFILE | O_RDWR, 0600));
	fails(ENOENT, DO(openat, dir, absent, O_RDONLY, 0));
	fails(EBADF, DO(openat, -1, "x", O_RDONLY, 0));
	fails(ENOTDIR, DO(openat, fd, "x", O_RDONLY, 0));
	fails(ENAMETOOLONG, DO(openat, dir, memset(buf, 'n', 300), O_RDONLY, 0));
}

CALL(openat2)
{
	struct open_how how = { .flags = O_RDONLY, .resolve = RESOLVE_BENEATH }, bad = { .flags = 1ull << 40 };
	int fd = ok(DO(openat2, AT_FDCWD, file(), &how, sizeof(how)));

	show("content", buf, read(fd, buf, 100));
	fails(EXDEV, DO(openat2, AT_FDCWD, "/etc/hostname", &how, sizeof(how)));
	fails(EINVAL, DO(openat2, AT_FDCWD, scratch_path(), &bad, sizeof(bad)));
	fails(EINVAL, DO(openat2, AT_FDCWD, scratch_path(), &how, 3));
}

CALL(creat)
{
	int fd = ok(DO(creat, "created", 0640));
	struct stat st;

	must(write(fd, "new", 3) == 3 && fstat(fd, &st) == 0);
	say("mode %o", st.st_mode);
	fails(EBADF, DO(read, fd, buf, 1));
	fails(ENOENT, DO(creat, absent, 0600));
}

CALL(name_to_handle_at)
{
	struct { uint32_t bytes; int32_t type; char data[128]; } h = { .bytes = 0 };
	int id = -1;
	long r = DO(name_to_handle_at, AT_FDCWD, file(), &h, &id, 0);

	must(r == -EOVERFLOW || r == -EOPNOTSUPP);	/* no room; or a file system without handles */
	fails(ENOENT, DO(name_to_handle_at, AT_FDCWD, absent, &h, &id, 0));
	fails(EINVAL, DO(name_to_handle_at, AT_FDCWD, scratch_path(), &h, &id, 0x40000000));
}

#define STAT(call) CALL(call) { \
	struct stat st; \
	ok(DO(call, file(), &st)); \
	must(st.st_size == 4 && S_ISREG(st.st_mode)); \
	say_stat(&st); \
	ok(DO(call, "given", &st)); \
	say_stat(&st); \
	ok(DO(call, "given-link", &st)); \
	say("mode %o, %ld bytes", st.st_mode, (long)st.st_size); \
	ok(DO(call, "/dev/null", &st)); \
	must(st.st_rdev == 0x103); \
	fails(ENOENT, DO(call, absent, &st)); \
	fails(ENOTDIR, DO(call, "given/x", &st)); \
	fails(EFAULT, DO(call, scratch_path(), 8)); \
}
STAT(stat)
STAT(lstat)

CALL(newfstatat)
{
	struct stat st;
	int fd = open("given", O_RDONLY);

	ok(DO(newfstatat, AT_FDCWD, "given-link", &st, AT_SYMLINK_NOFOLLOW));
	must(S_ISLNK(st.st_mode));
	ok(DO(newfstatat, fd, "", &st, AT_EMPTY_PATH));
	say_stat(&st);
	fails(ENOENT, DO(newfstatat, AT_FDCWD, absent, &st, 0));
	fails(EINVAL, DO(newfstatat, AT_FDCWD, "given", &st, 0x40000000));
	fails(EBADF, DO(newfstatat, -1, "given", &st, 0));
}

CALL(statx)
{
	struct statx x;

	ok(DO(statx, AT_FDCWD, "given", 0, STATX_BASIC_STATS, &x));
	must(x.stx_mask & STATX_SIZE && x.stx_ino);
	say("mode %o, %lu bytes, written %lld.%09u", x.stx_mode, (unsigned long)x.stx_size, (long long)x.stx_mtime.tv_sec, x.stx_mtime.tv_nsec);
	fails(ENOENT, DO(statx, AT_FDCWD, absent, 0, STATX_BASIC_STATS, &x));
	fails(EINVAL, DO(statx, AT_FDCWD, "given", 0x40000000, STATX_BASIC_STATS, &x));
	fails(EFAULT, DO(statx, AT_FDCWD, "given", 0, STATX_BASIC_STATS, 8));
}

CALL(statfs)
{
	struct statfs fs;

	ok(DO(statfs, ".", &fs));
	must(fs.f_bsize > 0 && fs.f_bfree <= fs.f_blocks);
	say("type %lx, %lu of %lu blocks free", (long)fs.f_type, fs.f_bfree, fs.f_blocks);
	ok(DO(statfs, "/proc", &fs));
	must(fs.f_type == 0x9fa0);
	fails(ENOENT, DO(statfs, absent, &fs));
	fails(EFAULT, DO(statfs, ".", 8));
}

CALL(access)
{
	ok(DO(access, file(), R_OK | W_OK));
	ok(DO(access, "given", F_OK));
	ok(DO(access, "/", X_OK));
	fails(ENOENT, DO(access, absent, F_OK));
	fails(EINVAL, DO(access, "given", 99));
}

CALL(faccessat)
{
	ok(DO(faccessat, AT_FDCWD, file(), R_OK));
	fails(ENOENT, DO(faccessat, AT_FDCWD, absent, F_OK));
	fails(EBADF, DO(faccessat, -1, "given", F_OK));
}

CALL(faccessat2)
{
	ok(DO(faccessat2, AT_FDCWD, file(), W_OK, AT_EACCESS));
	fails(EACCES, DO(faccessat2, AT_FDCWD, scratch_path(), X_OK, AT_SYMLINK_NOFOLLOW));
	fails(EINVAL, DO(faccessat2, AT_FDCWD, "given", F_OK, 0x40000000));
}

CALL(readlink)
{
	show("link", buf, ok(DO(readlink, "given-link", buf, sizeof(buf))));
	show("cut", buf, ok(DO(readlink, "given-link", buf, 3)));
	show("/proc/self", buf, ok(DO(readlink, "/proc/self", buf, sizeof(buf))));
	fails(EINVAL, DO(readlink, "given", buf, sizeof(buf)));
	fails(ENOENT, DO(readlink, absent, buf, sizeof(buf)));
	fails(EINVAL, DO(readlink, "given-link", buf, 0));
}

CALL(readlinkat)
{
	show("link", buf, ok(DO(readlinkat, AT_FDCWD, "given-link", buf, sizeof(buf))));
	fails(ENOENT, DO(readlinkat, AT_FDCWD, absent, buf, sizeof(buf)));
	fails(EBADF, DO(readlinkat, -1, "given-link", buf, sizeof(buf)));
}

CALL(chdir)
{
	const char *d = directory();

	ok(DO(chdir, d));
	must(getcwd(buf, sizeof(buf)) && strcmp(strrchr(buf, '/') + 1, d) == 0);
	say("%s", strrchr(buf, '/') + 1);
	ok(DO(chdir, ".."));
	fails(ENOENT, DO(chdir, absent));
	fails(ENOTDIR, DO(chdir, "given"));
}

CALL(chroot)
{
	fails(ENOENT, DO(chroot, absent));
	fails(ENOTDIR, DO(chroot, "given"));
}

CALL(rename)
{
	ok(DO(rename, file(), "renamed"));
	must(access("renamed", F_OK) == 0 && access(scratch_path(), F_OK) < 0);
	fails(ENOENT, DO(rename, absent, "x"));
	fails(EINVAL, DO(rename, directory(), "rename.file.dir/below"));
	fails(EISDIR, DO(rename, "renamed", "rename.file.dir"));
}

CALL(renameat)
{
	ok(DO(renameat, AT_FDCWD, file(), AT_FDCWD, "renamed-at"));
	fails(ENOENT, DO(renameat, AT_FDCWD, absent, AT_FDCWD, "x"));
	fails(EBADF, DO(renameat, -1, "renamed-at", AT_FDCWD, "x"));
}

CALL(renameat2)
{
	file();
	close(open("other", O_CREAT | O_WRONLY, 0600));
	fails(EEXIST, DO(renameat2, AT_FDCWD, "other", AT_FDCWD, scratch_path(), RENAME_NOREPLACE));
	fails(EINVAL, DO(renameat2, AT_FDCWD, "other", AT_FDCWD, "x", 0x40000000));
	ok(DO(renameat2, AT_FDCWD, "other", AT_FDCWD, "other-2", RENAME_NOREPLACE));
	must(access("other-2", F_OK) == 0);
}

CALL(mkdir)
{
	struct stat st;

	ok(DO(mkdir, "made", 0777));
	must(stat("made", &st) == 0 && S_ISDIR(st.st_mode));
	say("mode %o", st.st_mode);
	fails(EEXIST, DO(mkdir, "made", 0777));
	fails(ENOENT, DO(mkdir, absent, 0777));
	fails(ENOTDIR, DO(mkdir, "given/x", 0777));
}

CALL(mkdirat)
{
	ok(DO(mkdirat, AT_FDCWD, "made-at", 0700));
	fails(EEXIST, DO(mkdirat, AT_FDCWD, "made-at", 0700));
	fails(EBADF, DO(mkdirat, -1, "x", 0700));
}

CALL(rmdir)
{
	const char *d = directory();

	ok(DO(rmdir, d));
	fails(ENOENT, DO(rmdir, d));
	fails(ENOTDIR, DO(rmdir, "given"));
	fails(EINVAL, DO(rmdir, "."));
}

CALL(link)
{
	struct stat st;

	ok(DO(link, file(), "linked"));
	must(stat("linked", &st) == 0 && st.st_nlink == 2);
	fails(EEXIST, DO(link, scratch_path(), "linked"));
	fails(ENOENT, DO(link, absent, "x"));
	fails(EPERM, DO(link, ".", "x"));
}

CALL(linkat)
{
	ok(DO(linkat, AT_FDCWD, "given-link", AT_FDCWD, "linked-at", AT_SYMLINK_FOLLOW));
	fails(EINVAL, DO(linkat, AT_FDCWD, "given", AT_FDCWD, "x", 0x40000000));
	fails(ENOENT, DO(linkat, AT_FDCWD, absent, AT_FDCWD, "x", 0));
}

CALL(unlink)
{
	ok(DO(unlink, file()));
	fails(ENOENT, DO(unlink, scratch_path()));
	fails(EISDIR, DO(unlink, "."));
}

CALL(unlinkat)
{
	ok(DO(unlinkat, AT_FDCWD, file(), 0));
	ok(DO(unlinkat, AT_FDCWD, directory(), AT_REMOVEDIR));
	fails(ENOENT, DO(unlinkat, AT_FDCWD, absent, 0));
	fails(EINVAL, DO(unlinkat, AT_FDCWD, "given", 0x40000000));
}

CALL(symlink)
{
	ok(DO(symlink, "to/nowhere", "symlinked"));
	show("leads to", buf, readlink("symlinked", buf, sizeof(buf)));
	fails(EEXIST, DO(symlink, "x", "symlinked"));
	fails(ENOENT, DO(symlink, "", "y"));
}

CALL(symlinkat)
{
	ok(DO(symlinkat, "to/nowhere", AT_FDCWD, "symlinked-at"));
	fails(EBADF, DO(symlinkat, "x", -1, "y"));
	fails(ENOENT, DO(symlinkat, "x", AT_FDCWD, absent));
}

CALL(mknod)
{
	struct stat st;

	ok(DO(mknod, "fifo", S_IFIFO | 0644, 0));
	must(stat("fifo", &st) == 0 && S_ISFIFO(st.st_mode));
	ok(DO(mknod, "regular", S_IFREG | 0600, 0));
	fails(EEXIST, DO(mknod, "fifo", S_IFIFO | 0644, 0));
	fails(EPERM, DO(mknod, "directory", S_IFDIR | 0700, 0));
	fails(EINVAL, DO(mknod, "what", 0170000 | 0600, 0));
}

CALL(mknodat)
{
	ok(DO(mknodat, AT_FDCWD, "fifo-at", S_IFIFO | 0644, 0));
	fails(EEXIST, DO(mknodat, AT_FDCWD, "fifo-at", S_IFIFO | 0644, 0));
	fails(EBADF, DO(mknodat, -1, "x", S_IFIFO | 0644, 0));
}

CALL(inotify_add_watch)
{
	struct { struct inotify_event e; char name[256]; } got;
	int fd = inotify_init(), wd = ok(DO(inotify_add_watch, fd, directory(), IN_CREATE | IN_MOVED_FROM));

	must(mkdir("inotify_add_watch.file.dir/new", 0700) == 0);
	must(read(fd, &got, sizeof(got)) > 0 && got.e.wd == wd && got.e.mask == (IN_CREATE | IN_ISDIR));
	say("%d: %s", wd, got.e.name);
	fails(ENOENT, DO(inotify_add_watch, fd, absent, IN_CREATE));
	fails(EINVAL, DO(inotify_add_watch, fd, ".", 0));
	fails(EBADF, DO(inotify_add_watch, -1, ".", IN_CREATE));
}
