/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every kind of timer, waited for in every way; prints what came, and the clock in tenths of a second.
 * With an argument: they take that many times as long.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/select.h>
#include <sys/signalfd.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define TENTH 100000000

static double scale = 1;
static struct timespec start;
static volatile sig_atomic_t came, code, number, value;
static sem_t called;

static void said(const char *what)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	printf("%s at %.1f s\n", what, (double)(now.tv_sec - start.tv_sec) + (double)(now.tv_nsec - start.tv_nsec) / 1e9);
	fflush(stdout);
}

static struct timespec after(double tenths)
{
	long long ns = (long long)(tenths * TENTH * scale);

	return (struct timespec){ ns / 1000000000, ns % 1000000000 };
}

static struct timeval micro(double tenths)
{
	struct timespec ts = after(tenths);

	return (struct timeval){ ts.tv_sec, ts.tv_nsec / 1000 };
}

static void on_signal(int sig, siginfo_t *si, void *context)
{
	(void)context;
	came++;
	number = sig;
	code = si->si_code;
	value = si->si_value.sival_int;
}

static void handle(int sig)
{
	struct sigaction sa = { .sa_sigaction = on_signal, .sa_flags = SA_SIGINFO };

	sigaction(sig, &sa, NULL);
}

static void by_alarm(void)
{
	struct itimerval left, every = { micro(1), micro(1) };
	int ends[2];
	char byte;

	handle(SIGALRM);
	alarm(1000);
	printf("alarm: %u s were left\n", alarm(scale > 1 ? 10 : 1));
	pause();
	said("alarm");
	printf("signal %d, code %d\n", number, code);
	getitimer(ITIMER_REAL, &left);
	printf("nothing left: %d\n", left.it_value.tv_sec == 0 && left.it_value.tv_usec == 0);
	came = 0;
	setitimer(ITIMER_REAL, &every, NULL);
	while (came < 5)
		pause();
	memset(&every, 0, sizeof(every));
	setitimer(ITIMER_REAL, &every, &left);
	printf("every tenth: %d\n", left.it_interval.tv_usec == 100000 || scale != 1);
	said("five ticks");
	if (pipe(ends) < 0)
		exit(1);
	every.it_value = micro(1);
	setitimer(ITIMER_REAL, &every, NULL);
	errno = 0;
	printf("read: %zd, %s\n", read(ends[0], &byte, 1), strerrorname_np(errno));
	came = 0;
	setitimer(ITIMER_REAL, &every, NULL);
	while (!came)	/* nothing else ends this */
		;
	said("a busy loop ended");
}

static void on_call(union sigval v)
{
	printf("a thread was called with %d\n", v.sival_int);
	sem_post(&called);
}

static timer_t make(int notify, int sig, int val)
{
	struct sigevent how = { .sigev_notify = notify, .sigev_signo = sig, .sigev_value.sival_int = val };
	timer_t t;

	if (notify == SIGEV_THREAD)
		how.sigev_notify_function = on_call;
	if (timer_create(CLOCK_MONOTONIC, &how, &t) < 0)
		exit(1);
	return t;
}

static void by_timer(void)
{
	struct itimerspec once = { .it_value = after(1) }, never = { .it_value = after(1e6) }, left;
	timer_t first = make(SIGEV_SIGNAL, SIGUSR1, 42), second = make(SIGEV_SIGNAL, SIGRTMIN + 1, 43);
	timer_t silent = make(SIGEV_NONE, 0, 0), thread = make(SIGEV_THREAD, 0, 44);
	siginfo_t si;
	sigset_t set;

	handle(SIGUSR1);
	timer_settime(silent, 0, &never, NULL);
	timer_gettime(silent, &left);
	printf("armed: %d\n", left.it_value.tv_sec > 0);
	timer_settime(first, 0, &once, NULL);
	pause();
	said("timer");
	printf("code %d, value %d, overrun %d\n", code, value, timer_getoverrun(first));
	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN + 1);
	sigprocmask(SIG_BLOCK, &set, NULL);
	clock_gettime(CLOCK_MONOTONIC, &once.it_value);
	once.it_value.tv_sec += (long)scale;
	timer_settime(second, TIMER_ABSTIME, &once, NULL);
	sigwaitinfo(&set, &si);
	said("timer by date");
	printf("code %d, value %d\n", si.si_code, si.si_value.sival_int);
	once.it_value = after(1);
	timer_settime(thread, 0, &once, NULL);
	while (sem_wait(&called) < 0)
		;
	said("timer's thread");
	timer_delete(first);
	timer_delete(second);
	timer_delete(silent);
	timer_delete(thread);
}

static int descriptor(double tenths, double every)
{
	struct itimerspec when = { after(every), after(tenths) };
	int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);

	if (fd < 0 || timerfd_settime(fd, 0, &when, NULL) < 0)
		exit(1);
	return fd;
}

static unsigned int ticks(int fd)
{
	uint64_t n = 0;

	if (read(fd, &n, sizeof(n)) != sizeof(n))
		return 0;
	return (unsigned int)n;
}

/* @times that something is ready: two timers, and an eventfd that is there at first. */
static void by_epoll(int times)
{
	int set = epoll_create1(0), fd[3] = { descriptor(1, 3), descriptor(2, 0), eventfd(1, 0) };
	uint64_t n;

	for (int i = 0; i < 3; i++) {
		struct epoll_event ev = { .events = EPOLLIN, .data.u32 = (unsigned int)i };

		epoll_ctl(set, EPOLL_CTL_ADD, fd[i], &ev);
	}
	while (times-- > 0) {
		struct epoll_event ev;

		if (epoll_wait(set, &ev, 1, -1) != 1)
			exit(1);
		if (read(fd[ev.data.u32], &n, sizeof(n)) == sizeof(n))
			printf("epoll: %u, ", ev.data.u32);
		said("ready");
	}
}

static void by_descriptor(void)
{
	int fd = descriptor(1, 0), again = descriptor(2, 2);
	struct pollfd p = { .fd = fd, .events = POLLIN };
	struct itimerspec left;
	fd_set set;

	printf("%u tick, ", ticks(fd));
	said("timerfd");
	poll(NULL, 0, (int)(500 * scale));
	printf("%u ticks late, ", ticks(again));
	said("timerfd");
	left = (struct itimerspec){ .it_value = after(1) };
	timerfd_settime(fd, 0, &left, NULL);
	printf("poll %d, ", poll(&p, 1, (int)(50 * scale)));
	printf("%d, ", poll(&p, 1, -1));
	printf("%u tick, ", ticks(fd));
	said("timerfd");
	FD_ZERO(&set);
	FD_SET(again, &set);
	printf("select %d, ", select(again + 1, &set, NULL, NULL, NULL));
	printf("%d ticks, ", ticks(again) > 0);
	said("timerfd");
	timerfd_gettime(again, &left);
	printf("goes on: %d\n", left.it_interval.tv_nsec > 0 || left.it_interval.tv_sec > 0);
	by_epoll(5);
}

int main(int argc, char **argv)
{
	if (argc > 1)
		scale = atof(argv[1]);
	clock_gettime(CLOCK_MONOTONIC, &start);
	sem_init(&called, 0, 0);
	by_alarm();
	by_timer();
	by_descriptor();
	puts("EXIT-SUCCESS");
	return 0;
}
