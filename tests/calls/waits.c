/* SPDX-License-Identifier: Apache-2.0 */
/* Waiting for descriptors, and sleeping. */
#include "tests/calls/calls.h"

#include <poll.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/wait.h>

static char buf[4096];

/* A peer that will say 6 random bytes in a moment. */
static int late(void)
{
	int fd = peer_stream();

	ask(fd, "later 6\n");
	return fd;
}

static void take(int fd)
{
	show("it came", buf, read(fd, buf, sizeof(buf)));
}

CALL(poll)
{
	struct pollfd p[3] = { { .fd = late(), .events = POLLIN }, { .fd = -1, .revents = 77 }, { .fd = 900, .events = POLLIN } };

	must(DO(poll, p, 1, 0) == 0);
	must(DO(poll, p, 2, 5000) == 1 && p[0].revents == POLLIN && p[1].revents == 0);
	take(p[0].fd);
	must(DO(poll, p, 2, 20) == 0);
	must(DO(poll, p, 3, -1) == 1 && p[2].revents == POLLNVAL);
	p[0].events = POLLOUT;
	must(DO(poll, p, 1, -1) == 1 && p[0].revents == POLLOUT);
	must(DO(poll, NULL, 0, 10) == 0);
	fails(EFAULT, DO(poll, 8, 1, 0));
	fails(EINVAL, DO(poll, p, 1000000, 0));
}

CALL(ppoll)
{
	struct pollfd p = { .fd = late(), .events = POLLIN | POLLOUT };
	struct timespec t = { 5, 0 }, bad = { 0, -1 };
	sigset_t none;

	sigemptyset(&none);
	must(DO(ppoll, &p, 1, &t, &none, 8) == 1 && p.revents == POLLOUT);
	p.events = POLLIN;
	must(DO(ppoll, &p, 1, NULL, NULL, 8) == 1 && p.revents == POLLIN);
	take(p.fd);
	t = (struct timespec){ 0, 20000000 };
	must(DO(ppoll, &p, 1, &t, NULL, 8) == 0 && t.tv_sec == 0 && t.tv_nsec == 0);
	fails(EINVAL, DO(ppoll, &p, 1, &bad, NULL, 8));
	fails(EINVAL, DO(ppoll, &p, 1, &t, &none, 3));
}

CALL(select)
{
	struct timeval t = { 5, 0 }, zero = { 0, 0 };
	int fd = late();
	fd_set in, out;

	FD_ZERO(&in);
	FD_SET(fd, &in);
	must(DO(select, fd + 1, &in, NULL, NULL, &zero) == 0 && !FD_ISSET(fd, &in));
	FD_SET(fd, &in);
	must(DO(select, fd + 1, &in, NULL, NULL, &t) == 1 && FD_ISSET(fd, &in));
	must(t.tv_sec == 4);		/* what is left */
	take(fd);
	FD_ZERO(&out);
	FD_SET(fd, &out);
	must(DO(select, fd + 1, &in, &out, NULL, &t) == 1 && FD_ISSET(fd, &out) && !FD_ISSET(fd, &in));
	FD_SET(60, &in);	/* beyond the table of descriptors, which may have 64, nothing is looked at: fs/select.c */
	fails(EBADF, DO(select, 61, &in, NULL, NULL, &t));
	fails(EINVAL, DO(select, -1, &in, NULL, NULL, &t));
}

CALL(pselect6)
{
	struct timespec t = { 5, 0 };
	struct { const sigset_t *set; size_t size; } mask = { NULL, 8 };
	int fd = late();
	fd_set in;

	FD_ZERO(&in);
	FD_SET(fd, &in);
	must(DO(pselect6, fd + 1, &in, NULL, NULL, &t, &mask) == 1 && FD_ISSET(fd, &in) && t.tv_sec == 4);
	take(fd);
	t = (struct timespec){ 0, 10000000 };
	must(DO(pselect6, fd + 1, &in, NULL, NULL, &t, NULL) == 0 && !FD_ISSET(fd, &in));
	t.tv_nsec = 2000000000;
	fails(EINVAL, DO(pselect6, fd + 1, &in, NULL, NULL, &t, NULL));
}

CALL(epoll_create)
{
	say("%ld", ok(DO(epoll_create, 1)));
	fails(EINVAL, DO(epoll_create, 0));
}

CALL(epoll_create1)
{
	must(fcntl(ok(DO(epoll_create1, EPOLL_CLOEXEC)), F_GETFD) == FD_CLOEXEC);
	fails(EINVAL, DO(epoll_create1, 1));
}

/* A set with @fd in it, under the number 42. */
static int set_of(int fd, uint32_t events)
{
	struct epoll_event e = { .events = events, .data.u64 = 42 };
	int set = epoll_create1(0);

	must(set >= 0 && epoll_ctl(set, EPOLL_CTL_ADD, fd, &e) == 0);
	return set;
}

CALL(epoll_ctl)
{
	struct epoll_event e = { .events = EPOLLIN, .data.u64 = 7 };
	int set = epoll_create1(0), fd = peer_stream();

	ok(DO(epoll_ctl, set, EPOLL_CTL_ADD, fd, &e));
	fails(EEXIST, DO(epoll_ctl, set, EPOLL_CTL_ADD, fd, &e));
	e.events = EPOLLOUT;
	ok(DO(epoll_ctl, set, EPOLL_CTL_MOD, fd, &e));
	must(epoll_wait(set, &e, 1, -1) == 1 && e.events == EPOLLOUT && e.data.u64 == 7);
	ok(DO(epoll_ctl, set, EPOLL_CTL_DEL, fd, NULL));
	fails(ENOENT, DO(epoll_ctl, set, EPOLL_CTL_DEL, fd, NULL));
	fails(EPERM, DO(epoll_ctl, set, EPOLL_CTL_ADD, scratch(""), &e));
	fails(EBADF, DO(epoll_ctl, set, EPOLL_CTL_ADD, -1, &e));
	fails(EINVAL, DO(epoll_ctl, set, EPOLL_CTL_ADD, set, &e));
}

CALL(epoll_wait)
{
	struct epoll_event e[4];
	int fd = late(), set = set_of(fd, EPOLLIN | EPOLLET);

	must(DO(epoll_wait, set, e, 4, 0) == 0);
	must(DO(epoll_wait, set, e, 4, 5000) == 1 && e[0].events == EPOLLIN && e[0].data.u64 == 42);
	take(fd);
	must(DO(epoll_wait, set, e, 4, 10) == 0);
	fails(EINVAL, DO(epoll_wait, set, e, 0, 0));
	fails(EINVAL, DO(epoll_wait, fd, e, 4, 0));
	fails(EBADF, DO(epoll_wait, -1, e, 4, 0));
}

CALL(epoll_pwait)
{
	struct epoll_event e[4];
	int fd = late(), set = set_of(fd, EPOLLIN);
	sigset_t none;

	sigemptyset(&none);
	must(DO(epoll_pwait, set, e, 4, -1, &none, 8) == 1 && e[0].events == EPOLLIN);
	take(fd);
	must(DO(epoll_pwait, set, e, 4, 10, NULL, 8) == 0);
	fails(EINVAL, DO(epoll_pwait, set, e, 4, 0, &none, 3));
}

CALL(epoll_pwait2)
{
	struct timespec t = { 5, 0 }, bad = { -1, 0 };
	struct epoll_event e[4];
	int fd = late(), set = set_of(fd, EPOLLIN);

	must(DO(epoll_pwait2, set, e, 4, &t, NULL, 8) == 1 && e[0].data.u64 == 42);
	take(fd);
	t = (struct timespec){ 0, 10000000 };
	must(DO(epoll_pwait2, set, e, 4, &t, NULL, 8) == 0);
	fails(EINVAL, DO(epoll_pwait2, set, e, 4, &bad, NULL, 8));
}

static volatile sig_atomic_t alarms;

static void on_alarm(int sig)
{
	(void)sig;
	alarms++;
}

/* A signal from outside, in a moment. */
static void be_interrupted(void)
{
	struct sigaction a = { .sa_handler = on_alarm };

	sigaction(SIGUSR1, &a, NULL);
	ask(peer_stream(), "signal %d %d\n", getpid(), SIGUSR1);
}

CALL(nanosleep)
{
	struct timespec t = { 0, 30000000 }, left = { 9, 9 }, bad = { 0, 1000000000 };

	must(DO(nanosleep, &t, &left) == 0 && left.tv_sec == 9);
	fails(EINVAL, DO(nanosleep, &bad, NULL));
	fails(EFAULT, DO(nanosleep, 8, NULL));
	be_interrupted();
	t.tv_sec = 7;
	fails(EINTR, DO(nanosleep, &t, &left));
	must(left.tv_sec == 6 && alarms == 1);
	say("left of it %ld.%09ld", left.tv_sec, left.tv_nsec);
}

CALL(clock_nanosleep)
{
	struct timespec t = { 0, 20000000 }, until, after;

	must(DO(clock_nanosleep, CLOCK_MONOTONIC, 0, &t, NULL) == 0);
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec++;
	must(DO(clock_nanosleep, CLOCK_REALTIME, TIMER_ABSTIME, &until, NULL) == 0);
	clock_gettime(CLOCK_REALTIME, &after);
	must(after.tv_sec >= until.tv_sec);
	say("until %ld.%09ld", after.tv_sec, after.tv_nsec);
	fails(EINVAL, DO(clock_nanosleep, 99, 0, &t, NULL));
	fails(EOPNOTSUPP, DO(clock_nanosleep, CLOCK_THREAD_CPUTIME_ID, 0, &t, NULL));
}

CALL(pause)
{
	alarms = 0;
	be_interrupted();
	fails(EINTR, DO(pause));
	must(alarms == 1);
}

static void sleeper(void)
{
	struct timespec t = { 0, 400000000 };

	must(DO(nanosleep, &t, NULL) == 0);
}

/* The kernel has it made for a call that a stop interrupted. */
CALL(restart_syscall)
{
	int status;
	pid_t pid;

	fails(EINTR, DO(restart_syscall));	/* nothing was interrupted */
	pid = fork();
	must(pid >= 0);
	if (pid == 0) {
		sleeper();
		_exit(0);
	}
	usleep(50000);
	must(kill(pid, SIGSTOP) == 0 && waitpid(pid, &status, WUNTRACED) == pid && WIFSTOPPED(status));
	must(kill(pid, SIGCONT) == 0 && waitpid(pid, &status, 0) == pid && status == 0);
	say("slept on after a stop");
}
