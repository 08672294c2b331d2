/* SPDX-License-Identifier: Apache-2.0 */
/* Descriptors of no file: events, signals, watches, memory. */
#include "tests/calls/calls.h"

#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/signalfd.h>

CALL(eventfd)
{
	int fd = ok(DO(eventfd, 5));
	uint64_t n = 0;

	must(read(fd, &n, 8) == 8 && n == 5);
	n = 3;
	must(write(fd, &n, 8) == 8);
	wait_for(fd);
	say("%d", fd);
}

CALL(eventfd2)
{
	int fd = ok(DO(eventfd2, 2, 1 | O_NONBLOCK));	/* EFD_SEMAPHORE */
	uint64_t n = 0;

	must(read(fd, &n, 8) == 8 && n == 1 && read(fd, &n, 8) == 8);
	fails(EAGAIN, DO(read, fd, &n, 8));
	fails(EINVAL, DO(eventfd2, 0, 0x40000000));
}

static void signal_by_descriptor(int fd)
{
	struct signalfd_siginfo si;

	must(raise(SIGUSR2) == 0 && read(fd, &si, sizeof(si)) == sizeof(si));
	must(si.ssi_signo == SIGUSR2 && (pid_t)si.ssi_pid == getpid());
	ask(peer_stream(), "signal %d %d\n", getpid(), SIGUSR2);
	must(read(fd, &si, sizeof(si)) == sizeof(si) && si.ssi_signo == SIGUSR2);
	say("%u, from %u of user %u", si.ssi_signo, si.ssi_pid, si.ssi_uid);
}

static const uint64_t usr2 = 1 << (SIGUSR2 - 1);

CALL(signalfd)
{
	must(sigprocmask(SIG_BLOCK, (const sigset_t *)&(uint64_t[16]){ usr2 }, NULL) == 0);
	signal_by_descriptor(ok(DO(signalfd, -1, &usr2, 8)));
	fails(EINVAL, DO(signalfd, -1, &usr2, 3));
	fails(EINVAL, DO(signalfd, 0, &usr2, 8));
}

CALL(signalfd4)
{
	must(sigprocmask(SIG_BLOCK, (const sigset_t *)&(uint64_t[16]){ usr2 }, NULL) == 0);
	signal_by_descriptor(ok(DO(signalfd4, -1, &usr2, 8, O_CLOEXEC)));
	fails(EINVAL, DO(signalfd4, -1, &usr2, 8, 1));
}

CALL(inotify_init)
{
	say("%ld", ok(DO(inotify_init)));
}

CALL(inotify_init1)
{
	must(fcntl(ok(DO(inotify_init1, O_CLOEXEC)), F_GETFD) == FD_CLOEXEC);
	fails(EINVAL, DO(inotify_init1, 1));
}

CALL(inotify_rm_watch)
{
	int fd = inotify_init(), wd = inotify_add_watch(fd, ".", IN_CREATE);
	struct inotify_event e;

	ok(DO(inotify_rm_watch, fd, wd));
	must(read(fd, &e, sizeof(e)) == sizeof(e) && e.mask == IN_IGNORED);
	fails(EINVAL, DO(inotify_rm_watch, fd, wd));
	fails(EBADF, DO(inotify_rm_watch, -1, wd));
}

CALL(memfd_create)
{
	int fd = ok(DO(memfd_create, "in-memory", MFD_CLOEXEC | MFD_ALLOW_SEALING));

	must(write(fd, "kept", 4) == 4 && fcntl(fd, F_ADD_SEALS, F_SEAL_GROW) == 0);
	fails(EPERM, DO(write, fd, "more", 4));
	fails(EINVAL, DO(memfd_create, "x", 0x40000000));
	fails(EFAULT, DO(memfd_create, 8, 0));
}

CALL(memfd_secret)
{
	long fd = DO(memfd_secret, 0);

	must(fd >= 0 || fd == -ENOSYS);		/* a kernel may be told to have none */
	fd = DO(memfd_secret, 77);
	must(fd == -EINVAL || fd == -ENOSYS);
	say("%s", error_name(fd));
}
