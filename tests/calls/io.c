/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes through descriptors: from outside (the peer, stdin), to and from files. */
#include "tests/calls/calls.h"

#include <limits.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <termios.h>

static char buf[4096], two[4096];

/* A peer that has said @n random bytes, which wait to be read. */
static int said(int n)
{
	int fd = peer_stream();

	ask(fd, "give %d\n", n);
	wait_for(fd);
	return fd;
}

CALL(read)
{
	int fd = said(20), file = scratch("in the file"), zero = open("/dev/zero", O_RDONLY), n;

	show("a part", buf, ok(DO(read, fd, buf, 7)));
	show("the rest", buf, ok(DO(read, fd, buf, sizeof(buf))));
	ask(fd, "later 5\n");
	show("waited for", buf, ok(DO(read, fd, buf, 5)));
	must(DO(read, fd, buf, 0) == 0);
	fcntl(fd, F_SETFL, O_NONBLOCK);
	fails(EAGAIN, DO(read, fd, buf, 10));
	shutdown(fd, SHUT_RDWR);
	must(DO(read, fd, buf, 10) == 0);
	show("stdin", buf, ok(DO(read, 0, buf, 9)));
	show("file", buf, ok(DO(read, file, buf, sizeof(buf))));
	must(DO(read, file, buf, sizeof(buf)) == 0);
	memset(buf, 1, 10);
	must(DO(read, zero, buf, 10) == 10 && !buf[0] && !buf[9]);
	n = open("/proc/uptime", O_RDONLY);
	show("/proc/uptime", buf, ok(DO(read, n, buf, sizeof(buf))));
	fails(EBADF, DO(read, -1, buf, 10));
	fails(EFAULT, DO(read, file = open(scratch_path(), O_RDONLY), 1, 10));
	n = open(".", O_RDONLY);
	fails(EISDIR, DO(read, n, buf, 10));
}

CALL(write)
{
	int fd = peer_stream(), file = scratch("");

	must(DO(write, fd, "give 10\n", 8) == 8);
	wait_for(fd);
	show("answer", buf, ok(DO(read, fd, buf, sizeof(buf))));
	must(DO(write, 1, "straight to stdout\n", 19) == 19);
	must(DO(write, 2, "straight to stderr\n", 19) == 19);
	must(DO(write, file, "words", 5) == 5);
	must(DO(write, file, "", 0) == 0);
	fails(EBADF, DO(write, 77, "x", 1));
	fails(EFAULT, DO(write, 1, 1, 4));
	signal(SIGPIPE, SIG_IGN);
	shutdown(fd, SHUT_WR);
	fails(EPIPE, DO(write, fd, "x", 1));
	fails(EBADF, DO(write, open(scratch_path(), O_RDONLY), "x", 1));
}

CALL(pread64)
{
	int fd = scratch("0123456789"), p[2];

	show("at 4", buf, ok(DO(pread64, fd, buf, 3, 4)));
	must(DO(pread64, fd, buf, 3, 10) == 0);
	fails(EINVAL, DO(pread64, fd, buf, 3, -1));
	must(pipe(p) == 0);
	fails(ESPIPE, DO(pread64, p[0], buf, 3, 0));
	fd = open("/proc/stat", O_RDONLY);
	show("/proc/stat", buf, ok(DO(pread64, fd, buf, 30, 0)));
	show("a regular stdin", buf, ok(DO(pread64, 0, buf, 10, 3)));
}

/* Of a stdout that is a file: the end, so far. */
static off_t end_of_stdout(void)
{
	return lseek(1, 0, SEEK_CUR);
}

CALL(pwrite64)
{
	int fd = scratch("0123456789"), p[2];

	must(DO(pwrite64, 1, "a line of stdout\n", 17, end_of_stdout()) == 17);
	lseek(1, 17, SEEK_CUR);

	must(DO(pwrite64, fd, "abc", 3, 8) == 3);
	show("file", buf, pread(fd, buf, 100, 0));
	fails(EINVAL, DO(pwrite64, fd, "x", 1, -5));
	must(pipe(p) == 0);
	fails(ESPIPE, DO(pwrite64, p[1], "x", 1, 0));
	fails(EBADF, DO(pwrite64, -1, "x", 1, 0));
}

CALL(readv)
{
	struct iovec iov[3] = { { buf, 3 }, { NULL, 0 }, { two, 100 } };
	int fd = said(25);

	must(DO(readv, fd, iov, 3) == 25);
	show("first", buf, 3);
	show("second", two, 22);
	show("stdin", buf, ok(DO(readv, 0, iov, 1)));
	fails(EINVAL, DO(readv, fd, iov, -1));
	fails(EFAULT, DO(readv, fd, 8, 1));
	fails(EBADF, DO(readv, -1, iov, 3));
	must(DO(readv, fd, iov, 0) == 0);
}

CALL(writev)
{
	struct iovec iov[2] = { { "give ", 5 }, { "12\n", 3 } }, out[2] = { { "by ", 3 }, { "writev\n", 7 } }, bad = { (void *)1, 3 };
	int fd = peer_stream();

	must(DO(writev, fd, iov, 2) == 8);
	wait_for(fd);
	show("answer", buf, read(fd, buf, sizeof(buf)));
	must(DO(writev, 1, out, 2) == 10);
	fails(EFAULT, DO(writev, 1, &bad, 1));
	fails(EINVAL, DO(writev, 1, out, 5000));
}

CALL(preadv)
{
	struct iovec iov[2] = { { buf, 2 }, { two, 4 } };
	int fd = scratch("0123456789");

	must(DO(preadv, fd, iov, 2, 3, 0) == 6);
	show("first", buf, 2);
	show("second", two, 4);
	must(DO(preadv, 0, iov, 2, 50, 0) == 6);
	show("of stdin, the first", buf, 2);
	show("of stdin, the second", two, 4);
	fails(EINVAL, DO(preadv, fd, iov, 2, -1, -1));
	fails(ESPIPE, DO(preadv, peer_stream(), iov, 2, 0, 0));
}

CALL(pwritev)
{
	struct iovec iov[2] = { { "ab", 2 }, { "cde", 3 } };
	int fd = scratch("0123456789");

	must(DO(pwritev, 1, iov, 2, end_of_stdout(), 0) == 5);
	lseek(1, 5, SEEK_CUR);
	must(DO(pwritev, fd, iov, 2, 4, 0) == 5);
	show("file", buf, pread(fd, buf, 100, 0));
	fails(EBADF, DO(pwritev, -1, iov, 2, 0, 0));
}

CALL(preadv2)
{
	struct iovec iov[2] = { { buf, 2 }, { two, 40 } };
	int fd = scratch("0123456789"), s = said(15);
	long n;

	must(DO(preadv2, fd, iov, 2, 3, 0, 0) == 7);
	show("second", two, 5);
	n = ok(DO(preadv2, s, iov, 2, -1, -1, 0));	/* as readv */
	show("from outside", two, n - 2);
	fails(EAGAIN, DO(preadv2, s, iov, 2, -1, -1, 8));	/* RWF_NOWAIT */
	fails(EOPNOTSUPP, DO(preadv2, fd, iov, 2, 0, 0, 0x40000000));
}

CALL(pwritev2)
{
	struct iovec iov[2] = { { "ab", 2 }, { "cde\n", 4 } };
	int fd = scratch("0123456789");

	must(DO(pwritev2, fd, iov, 2, 2, 0, 2) == 6);	/* RWF_DSYNC */
	must(DO(pwritev2, fd, iov, 2, -1, -1, 0x10) == 6);	/* RWF_APPEND */
	show("file", buf, pread(fd, buf, 100, 0));
	must(DO(pwritev2, 1, iov, 2, -1, -1, 0) == 6);
	fails(EOPNOTSUPP, DO(pwritev2, fd, iov, 2, 0, 0, 0x40000000));
}

CALL(sendfile)
{
	int fd = scratch("give 21\nand what it does not get"), s = peer_stream(), proc = open("/proc/version", O_RDONLY);
	off_t at = 5;

	must(DO(sendfile, s, fd, NULL, 5) == 5);
	must(DO(sendfile, s, fd, &at, 3) == 3 && at == 8);
	must(lseek(fd, 0, SEEK_CUR) == 5);
	wait_for(s);
	show("answer", buf, read(s, buf, sizeof(buf)));
	must(DO(sendfile, 1, proc, NULL, 5) == 5);
	must(DO(write, 1, "\n", 1) == 1);
	fails(EINVAL, DO(sendfile, s, s, NULL, 5));
	fails(EBADF, DO(sendfile, s, -1, NULL, 5));
	fails(EFAULT, DO(sendfile, s, fd, 8, 5));
}

CALL(splice)
{
	int s = peer_stream(), p[2], fd = scratch("a file\nspliced");
	loff_t at = 7;

	must(pipe(p) == 0);
	must(DO(splice, fd, NULL, p[1], NULL, 7, 0) == 7);
	show("from its position", buf, read(p[0], buf, sizeof(buf)));
	must(DO(splice, fd, &at, p[1], NULL, 100, 2) == 7 && at == 14);
	show("from the file", buf, read(p[0], buf, sizeof(buf)));
	fails(EAGAIN, DO(splice, p[0], NULL, s, NULL, 7, 2));	/* SPLICE_F_NONBLOCK */
	fails(EINVAL, DO(splice, fd, NULL, s, NULL, 7, 0));
	fails(ESPIPE, DO(splice, p[0], &at, s, NULL, 7, 0));
}

CALL(tee)
{
	int p[2], q[2];

	must(pipe(p) == 0 && pipe(q) == 0 && write(p[1], "doubled", 7) == 7);
	must(DO(tee, p[0], q[1], 100, 0) == 7);
	show("one", buf, read(p[0], buf, 100));
	show("other", buf, read(q[0], buf, 100));
	fails(EAGAIN, DO(tee, p[0], q[1], 100, 2));
	fails(EINVAL, DO(tee, p[0], peer_stream(), 100, 0));
}

CALL(vmsplice)
{
	struct iovec iov[2] = { { "from ", 5 }, { "memory", 6 } }, out[1] = { { buf, 100 } };
	int p[2];

	must(pipe(p) == 0);
	must(DO(vmsplice, p[1], iov, 2, 0) == 11);
	show("pipe", buf, read(p[0], buf, 100));
	must(write(p[1], "back", 4) == 4);
	show("into memory", buf, ok(DO(vmsplice, p[0], out, 1, 0)));
	fails(EBADF, DO(vmsplice, peer_stream(), iov, 2, 0));
}

CALL(copy_file_range)
{
	int in = scratch("copied from here"), out = open("copied", O_RDWR | O_CREAT | O_TRUNC, 0600);
	loff_t from = 7, to = 3;

	must(DO(copy_file_range, in, &from, out, &to, 4, 0) == 4 && from == 11 && to == 7);
	must(DO(copy_file_range, in, NULL, out, NULL, 3, 0) == 3);
	show("file", buf, pread(out, buf, 100, 0));
	must(DO(copy_file_range, 0, &from, out, NULL, 20, 0) == 20);
	show("stdin's", buf, pread(out, buf, 23, 0));
	must(DO(copy_file_range, in, &to, 1, NULL, 5, 0) == 5);
	fails(EINVAL, DO(copy_file_range, in, NULL, out, NULL, 4, 1));
	fails(EINVAL, DO(copy_file_range, in, NULL, peer_stream(), NULL, 4, 0));
	fails(EBADF, DO(copy_file_range, in, NULL, -1, NULL, 4, 0));
}

CALL(ioctl)
{
	int s = said(33), n = -1, one = 1, p[2], tty = open("/dev/ptmx", O_RDWR | O_NOCTTY);
	struct termios t;
	struct winsize w;

	ok(DO(ioctl, s, FIONREAD, &n));
	say("FIONREAD %d", n);
	ok(DO(ioctl, s, FIONBIO, &one));
	must(fcntl(s, F_GETFL) & O_NONBLOCK);
	show("it", buf, read(s, buf, 100));
	ok(DO(ioctl, s, TIOCOUTQ, &n));
	must(n >= 0);
	must(pipe(p) == 0 && write(p[1], "12345", 5) == 5);
	ok(DO(ioctl, p[0], FIONREAD, &n));
	must(n == 5);
	ok(DO(ioctl, p[0], FIOCLEX, 0));
	must(fcntl(p[0], F_GETFD) == FD_CLOEXEC);
	fails(ENOTTY, DO(ioctl, s, TCGETS, &t));
	fails(ENOTTY, DO(ioctl, 0, TCGETS, &t));
	fails(ENOTTY, DO(ioctl, scratch(""), TIOCGWINSZ, &w));
	fails(EBADF, DO(ioctl, -1, FIONREAD, &n));
	if (tty >= 0) {
		ok(DO(ioctl, tty, TIOCGWINSZ, &w));
		say("%d rows, %d columns", w.ws_row, w.ws_col);
	}
}
