/* SPDX-License-Identifier: Apache-2.0 */
/* Files and the like by descriptor. */
#include "tests/calls/calls.h"

#include <dirent.h>
#include <linux/falloc.h>
#include <sys/file.h>
#include <sys/vfs.h>

static char buf[4096];

CALL(close)
{
	int fd = scratch("x");

	ok(DO(close, fd));
	fails(EBADF, DO(close, fd));
	ok(DO(close, peer_stream()));
}

CALL(close_range)
{
	int fd = dup2(0, 100);

	must(fd == 100 && dup2(0, 101) == 101);
	ok(DO(close_range, 100, 100, 4));	/* CLOSE_RANGE_CLOEXEC */
	must(fcntl(100, F_GETFD) == FD_CLOEXEC);
	ok(DO(close_range, 100, 4000, 0));
	fails(EBADF, DO(close, 101));
	fails(EINVAL, DO(close_range, 5, 4, 0));
	fails(EINVAL, DO(close_range, 4, 5, 77));
}

CALL(dup)
{
	int fd = scratch("position"), copy = ok(DO(dup, fd)), out = ok(DO(dup, 1));

	must(lseek(fd, 3, SEEK_SET) == 3 && lseek(copy, 0, SEEK_CUR) == 3);
	must(write(out, "by another number\n", 18) == 18);
	say("%d", copy);
	fails(EBADF, DO(dup, -1));
}

CALL(dup2)
{
	int s = peer_stream();

	must(DO(dup2, s, 90) == 90);
	ask(90, "give 8\n");
	wait_for(s);
	show("by the first number", buf, read(s, buf, 100));
	must(DO(dup2, 90, 90) == 90);
	fails(EBADF, DO(dup2, -1, 90));
	fails(EBADF, DO(dup2, 0, 1 << 20));
}

CALL(dup3)
{
	must(DO(dup3, 1, 91, O_CLOEXEC) == 91);
	must(write(91, "dup3\n", 5) == 5 && fcntl(91, F_GETFD) == FD_CLOEXEC);
	fails(EINVAL, DO(dup3, 1, 1, 0));
	fails(EINVAL, DO(dup3, 1, 91, 1));
}

CALL(fcntl)
{
	int fd = scratch("x"), copy = ok(DO(fcntl, fd, F_DUPFD_CLOEXEC, 60));
	struct flock l = { .l_type = F_WRLCK, .l_len = 1 };

	must(copy >= 60 && DO(fcntl, copy, F_GETFD) == FD_CLOEXEC);
	ok(DO(fcntl, fd, F_SETFL, O_APPEND));
	must(DO(fcntl, fd, F_GETFL) & O_APPEND);
	ok(DO(fcntl, fd, F_SETLK, &l));
	ok(DO(fcntl, fd, F_GETLK, &l));
	must(l.l_type == F_UNLCK);
	fails(EBADF, DO(fcntl, -1, F_GETFD));
	fails(EINVAL, DO(fcntl, fd, 7777));
	say("stdin %lx", DO(fcntl, 0, F_GETFL));
}

CALL(flock)
{
	int fd = scratch(""), other = open(scratch_path(), O_RDONLY);

	ok(DO(flock, fd, LOCK_EX));
	fails(EAGAIN, DO(flock, other, LOCK_EX | LOCK_NB));
	ok(DO(flock, fd, LOCK_UN));
	ok(DO(flock, other, LOCK_SH | LOCK_NB));
	fails(EINVAL, DO(flock, fd, 64));
	fails(EBADF, DO(flock, -1, LOCK_SH));
}

CALL(pipe)
{
	int p[2];

	ok(DO(pipe, p));
	must(write(p[1], "through", 7) == 7);
	show("it", buf, read(p[0], buf, 100));
	fails(EFAULT, DO(pipe, 8));
}

CALL(pipe2)
{
	int p[2];

	ok(DO(pipe2, p, O_CLOEXEC | O_NONBLOCK));
	must(fcntl(p[0], F_GETFD) == FD_CLOEXEC);
	fails(EAGAIN, DO(read, p[0], buf, 1));
	fails(EINVAL, DO(pipe2, p, 1));
}

CALL(fchdir)
{
	int here = open(".", O_RDONLY), root = open("/", O_RDONLY);

	ok(DO(fchdir, root));
	must(getcwd(buf, sizeof(buf)) && strcmp(buf, "/") == 0);
	ok(DO(fchdir, here));
	must(access("given", F_OK) == 0);
	fails(EBADF, DO(fchdir, -1));
	fails(ENOTDIR, DO(fchdir, 0));
}

CALL(getcwd)
{
	long n = ok(DO(getcwd, buf, sizeof(buf)));

	must(buf[0] == '/' && n == (long)strlen(buf) + 1);
	say("%s", buf);
	fails(ERANGE, DO(getcwd, buf, 2));
	fails(EFAULT, DO(getcwd, 8, 4096));
}

CALL(fstat)
{
	int fd = scratch("twelve bytes"), given = open("given", O_RDONLY), p[2];
	struct stat st;

	ok(DO(fstat, fd, &st));
	must(st.st_size == 12 && S_ISREG(st.st_mode));
	say("inode %lu on %lx, written %ld.%09ld", st.st_ino, st.st_dev, st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
	ok(DO(fstat, given, &st));
	say("mode %o, %ld bytes, written %ld.%09ld", st.st_mode, (long)st.st_size, st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
	must(pipe(p) == 0);
	ok(DO(fstat, p[0], &st));
	must(S_ISFIFO(st.st_mode));
	ok(DO(fstat, peer_stream(), &st));
	must(S_ISSOCK(st.st_mode));
	ok(DO(fstat, 0, &st));
	say("stdin: mode %o, %ld bytes", st.st_mode & S_IFMT, (long)st.st_size);
	fails(EBADF, DO(fstat, -1, &st));
	fails(EFAULT, DO(fstat, fd, 8));
}

CALL(fstatfs)
{
	int proc = open("/proc", O_RDONLY);
	struct statfs fs;

	ok(DO(fstatfs, proc, &fs));
	must(fs.f_type == 0x9fa0);
	ok(DO(fstatfs, scratch(""), &fs));
	must(fs.f_bsize > 0);
	say("type %lx, %lu of %lu blocks free", (long)fs.f_type, fs.f_bfree, fs.f_blocks);
	fails(EBADF, DO(fstatfs, -1, &fs));
}

CALL(lseek)
{
	int fd = scratch("0123456789");

	must(DO(lseek, fd, -4, SEEK_END) == 6 && DO(lseek, fd, 2, SEEK_CUR) == 8);
	show("the rest", buf, read(fd, buf, 100));
	fails(EINVAL, DO(lseek, fd, -1, SEEK_SET));
	fails(EINVAL, DO(lseek, fd, 0, 99));
	fails(ESPIPE, DO(lseek, peer_stream(), 0, SEEK_CUR));
	say("stdin %ld", ok(DO(lseek, 0, 5, SEEK_SET)));
	show("from there", buf, read(0, buf, 10));
}

CALL(fsync)
{
	ok(DO(fsync, scratch("x")));
	fails(EINVAL, DO(fsync, peer_stream()));
	fails(EBADF, DO(fsync, -1));
}

CALL(fdatasync)
{
	ok(DO(fdatasync, scratch("x")));
	fails(EBADF, DO(fdatasync, -1));
}

CALL(sync)
{
	ok(DO(sync));
	say("done");
}

CALL(syncfs)
{
	ok(DO(syncfs, scratch("x")));
	fails(EBADF, DO(syncfs, -1));
}

CALL(sync_file_range)
{
	int fd = scratch("x");

	ok(DO(sync_file_range, fd, 0, 100, 7));
	fails(EINVAL, DO(sync_file_range, fd, 0, 100, 99));
	fails(ESPIPE, DO(sync_file_range, peer_stream(), 0, 100, 7));
}

CALL(ftruncate)
{
	int fd = scratch("0123456789");

	ok(DO(ftruncate, fd, 3));
	must(lseek(fd, 0, SEEK_END) == 3);
	fails(EINVAL, DO(ftruncate, fd, -1));
	fails(EINVAL, DO(ftruncate, open(scratch_path(), O_RDONLY), 0));
	fails(EBADF, DO(ftruncate, -1, 0));
}

CALL(fallocate)
{
	int fd = scratch("x"), p[2];

	ok(DO(fallocate, fd, 0, 0, 9000));
	must(lseek(fd, 0, SEEK_END) == 9000);
	ok(DO(fallocate, fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096));
	fails(EINVAL, DO(fallocate, fd, 0, 0, 0));
	fails(EBADF, DO(fallocate, open(scratch_path(), O_RDONLY), 0, 0, 1));
	must(pipe(p) == 0);
	fails(ESPIPE, DO(fallocate, p[1], 0, 0, 1));
}

CALL(readahead)
{
	ok(DO(readahead, scratch("x"), 0, 4096));
	fails(EBADF, DO(readahead, -1, 0, 1));
}

CALL(fadvise64)
{
	ok(DO(fadvise64, scratch("x"), 0, 0, 2));
	fails(EINVAL, DO(fadvise64, scratch("x"), 0, 0, 99));
	fails(EBADF, DO(fadvise64, -1, 0, 0, 0));
}

CALL(cachestat)
{
	uint64_t range[2] = { 0, 4096 }, cs[5];

	ok(DO(cachestat, scratch("cached"), range, cs, 0));
	must(cs[0] <= 1);
	fails(EINVAL, DO(cachestat, scratch("x"), range, cs, 1));
	fails(EBADF, DO(cachestat, -1, range, cs, 0));
}

/* A directory with three entries, opened. */
static int listed(const char *dir)
{
	char path[100];

	must(mkdir(dir, 0755) == 0);
	for (int i = 0; i < 3; i++) {
		snprintf(path, sizeof(path), "%s/entry-%d", dir, i);
		close(open(path, O_CREAT | O_WRONLY, 0600));
	}
	return open(dir, O_RDONLY);
}

static void count_entries(const char *data, long n, size_t name)
{
	int found = 0;

	for (long at = 0, len; at < n; at += len) {
		len = *(const unsigned short *)(data + at + 16);
		found += strncmp(data + at + name, "entry-", 6) == 0 && data[at + (name == 18 ? len - 1 : 18)] == DT_REG;
	}
	must(found == 3);
	for (long at = 0; at < n; at += *(const unsigned short *)(data + at + 16))
		say("%s, inode %lu", data + at + name, *(const unsigned long *)(data + at));
}

CALL(getdents)
{
	int fd = listed("listed-old");
	long n = ok(DO(getdents, fd, buf, sizeof(buf)));

	count_entries(buf, n, 18);
	must(DO(getdents, fd, buf, sizeof(buf)) == 0);
	fails(ENOTDIR, DO(getdents, scratch(""), buf, sizeof(buf)));
	fails(EBADF, DO(getdents, -1, buf, sizeof(buf)));
}

CALL(getdents64)
{
	int fd = listed("listed"), given = open("given-dir", O_RDONLY);
	long n = ok(DO(getdents64, fd, buf, sizeof(buf)));

	count_entries(buf, n, 19);
	must(DO(getdents64, fd, buf, sizeof(buf)) == 0);
	n = ok(DO(getdents64, given, buf, sizeof(buf)));
	must(memmem(buf, n, "inside-it", 10));
	lseek(given, 0, SEEK_SET);
	fails(EINVAL, DO(getdents64, given, buf, 5));
	fails(ENOTDIR, DO(getdents64, scratch(""), buf, sizeof(buf)));
}

CALL(fchmod)
{
	int fd = scratch("");
	struct stat st;

	ok(DO(fchmod, fd, 0614));
	must(fstat(fd, &st) == 0 && (st.st_mode & 07777) == 0614);
	fails(EBADF, DO(fchmod, -1, 0600));
}

CALL(fchown)
{
	ok(DO(fchown, scratch(""), getuid(), getgid()));
	fails(EBADF, DO(fchown, -1, 0, 0));
}
