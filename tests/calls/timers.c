/* SPDX-License-Identifier: Apache-2.0 */
/* Timers: signals and descriptors that tell of a time. */
#include "tests/calls/calls.h"

#include <poll.h>
#include <sys/time.h>
#include <sys/timerfd.h>

static const struct itimerval no_time;
static const struct itimerspec no_timespec;
static volatile sig_atomic_t rung;

static void ring(int sig)
{
	(void)sig;
	rung++;
}

static void expect(int sig)
{
	struct sigaction a = { .sa_handler = ring };

	rung = 0;
	must(sigaction(sig, &a, NULL) == 0);
}

/* Until the signal has come. */
static void until_rung(void)
{
	while (!rung)
		usleep(1000);
}

CALL(setitimer)
{
	struct itimerval in = { { 0, 0 }, { 0, 20000 } }, far = { { 5, 0 }, { 1000, 0 } }, old;

	expect(SIGALRM);
	ok(DO(setitimer, ITIMER_REAL, &in, NULL));
	until_rung();
	ok(DO(setitimer, ITIMER_REAL, &far, &old));
	must(old.it_value.tv_sec == 0 && old.it_value.tv_usec == 0);
	ok(DO(setitimer, ITIMER_REAL, &no_time, &old));
	must(old.it_value.tv_sec >= 990 && old.it_interval.tv_sec == 5);
	ok(DO(setitimer, ITIMER_VIRTUAL, &far, NULL));
	fails(EINVAL, DO(setitimer, 9, &in, NULL));
	in.it_value.tv_usec = 2000000;
	fails(EINVAL, DO(setitimer, ITIMER_REAL, &in, NULL));
}

CALL(getitimer)
{
	struct itimerval far = { { 7, 0 }, { 1000, 0 } }, left;

	must(setitimer(ITIMER_REAL, &far, NULL) == 0);
	ok(DO(getitimer, ITIMER_REAL, &left));
	must(left.it_value.tv_sec >= 990 && left.it_value.tv_sec <= 1000 && left.it_interval.tv_sec == 7);
	must(setitimer(ITIMER_REAL, &no_time, NULL) == 0);
	ok(DO(getitimer, ITIMER_REAL, &left));
	must(left.it_value.tv_sec == 0 && left.it_value.tv_usec == 0);
	fails(EINVAL, DO(getitimer, 9, &left));
	fails(EFAULT, DO(getitimer, ITIMER_REAL, 8));
}

CALL(alarm)
{
	expect(SIGALRM);
	must(DO(alarm, 1000) == 0);
	must(DO(alarm, 1) >= 990);
	until_rung();
	must(DO(alarm, 0) == 0);
	say("rung");
}

/* A timer of the calling process that rings SIGUSR1. */
static int timer_of(void)
{
	struct sigevent e = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1 };
	int id = -1;

	expect(SIGUSR1);
	must(DO(timer_create, CLOCK_MONOTONIC, &e, &id) == 0 && id >= 0);
	return id;
}

CALL(timer_create)
{
	struct sigevent e = { .sigev_notify = SIGEV_NONE };
	int id = -1;

	ok(DO(timer_create, CLOCK_REALTIME, NULL, &id));
	say("number %d", id);
	ok(DO(timer_create, CLOCK_BOOTTIME, &e, &id));
	say("number %d", id);
	fails(EINVAL, DO(timer_create, 99, NULL, &id));
	e.sigev_notify = 55;
	fails(EINVAL, DO(timer_create, CLOCK_REALTIME, &e, &id));
}

CALL(timer_settime)
{
	struct itimerspec soon = { { 0, 0 }, { 0, 10000000 } }, far = { { 3, 0 }, { 1000, 0 } }, old;
	int id = timer_of();

	ok(DO(timer_settime, id, 0, &soon, NULL));
	until_rung();
	ok(DO(timer_settime, id, 0, &far, &old));
	must(old.it_value.tv_sec == 0);
	ok(DO(timer_settime, id, 0, &no_timespec, &old));
	must(old.it_value.tv_sec >= 990 && old.it_interval.tv_sec == 3);
	soon.it_value.tv_nsec = -1;
	fails(EINVAL, DO(timer_settime, id, 0, &soon, NULL));
	fails(EINVAL, DO(timer_settime, 7777, 0, &far, NULL));
}

CALL(timer_gettime)
{
	struct itimerspec far = { { 3, 0 }, { 1000, 0 } }, left;
	int id = timer_of();

	must(DO(timer_settime, id, 0, &far, NULL) == 0);
	ok(DO(timer_gettime, id, &left));
	must(left.it_value.tv_sec >= 990 && left.it_value.tv_sec <= 1000 && left.it_interval.tv_sec == 3);
	fails(EINVAL, DO(timer_gettime, 7777, &left));
	fails(EFAULT, DO(timer_gettime, id, 8));
}

CALL(timer_getoverrun)
{
	must(DO(timer_getoverrun, timer_of()) == 0);
	fails(EINVAL, DO(timer_getoverrun, 7777));
}

CALL(timer_delete)
{
	int id = timer_of();

	ok(DO(timer_delete, id));
	fails(EINVAL, DO(timer_delete, id));
}

CALL(timerfd_create)
{
	must(fcntl(ok(DO(timerfd_create, CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK)), F_GETFL) & O_NONBLOCK);
	say("%ld", ok(DO(timerfd_create, CLOCK_REALTIME, 0)));
	fails(EINVAL, DO(timerfd_create, 99, 0));
	fails(EINVAL, DO(timerfd_create, CLOCK_MONOTONIC, 1));
}

CALL(timerfd_settime)
{
	struct itimerspec soon = { { 0, 0 }, { 0, 10000000 } }, far = { { 4, 0 }, { 1000, 0 } }, old;
	int fd = timerfd_create(CLOCK_MONOTONIC, 0);
	uint64_t n = 0;

	ok(DO(timerfd_settime, fd, 0, &soon, &old));
	must(old.it_value.tv_sec == 0);
	must(read(fd, &n, sizeof(n)) == 8 && n == 1);
	ok(DO(timerfd_settime, fd, 0, &far, NULL));
	ok(DO(timerfd_settime, fd, 0, &soon, &old));
	must(old.it_value.tv_sec >= 990 && old.it_interval.tv_sec == 4);
	wait_for(fd);
	fails(EBADF, DO(timerfd_settime, -1, 0, &soon, NULL));
	fails(EINVAL, DO(timerfd_settime, 0, 0, &soon, NULL));
	fails(EFAULT, DO(timerfd_settime, fd, 0, 8, NULL));
}

CALL(timerfd_gettime)
{
	struct itimerspec far = { { 4, 0 }, { 1000, 0 } }, left;
	int fd = timerfd_create(CLOCK_MONOTONIC, 0);

	must(timerfd_settime(fd, 0, &far, NULL) == 0);
	ok(DO(timerfd_gettime, fd, &left));
	must(left.it_value.tv_sec >= 990 && left.it_interval.tv_sec == 4);
	fails(EBADF, DO(timerfd_gettime, -1, &left));
	fails(EINVAL, DO(timerfd_gettime, 0, &left));
}
