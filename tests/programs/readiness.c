/* SPDX-License-Identifier: Apache-2.0 */
/*
 * readiness [PORT]: eventfd, signalfd, timerfd and pipes by epoll, poll and select at once; and, with a port, eight
 * connections of threads that share a queue, its lock and its conditions.  Prints what came, in an order that is the program's own.
 */
#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/select.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

enum { EVENT, SIGNAL, TIMER, PIPE, N };
static const char *const names[N] = { "eventfd", "signalfd", "timerfd", "pipe" };
static int fd[N], pipe_in;

static void take(int what, const char *by)
{
	struct signalfd_siginfo si;
	uint64_t n = 0;
	char byte = 0;

	switch (what) {
	case SIGNAL:
		n = read(fd[what], &si, sizeof(si)) == sizeof(si) ? si.ssi_signo : 0;
		break;
	case PIPE:
		n = read(fd[what], &byte, 1) == 1 ? (unsigned char)byte : 0;
		break;
	default:
		if (read(fd[what], &n, sizeof(n)) != sizeof(n))
			n = 0;
	}
	printf("%s: %s %llu\n", by, names[what], (unsigned long long)n);
}

/* One after the other becomes ready, each when the one before it was taken. */
static void make_ready(int what)
{
	struct itimerspec soon = { .it_value.tv_nsec = 30000000 };
	uint64_t n = 7;

	if (what == EVENT)
		(void)!write(fd[EVENT], &n, sizeof(n));
	else if (what == SIGNAL)
		kill(getpid(), SIGUSR2);
	else if (what == TIMER)
		timerfd_settime(fd[TIMER], 0, &soon, NULL);
	else
		(void)!write(pipe_in, "p", 1);
}

static void by_epoll(void)
{
	int set = epoll_create1(0);
	struct epoll_event ev;

	for (int i = 0; i < N; i++) {
		ev = (struct epoll_event){ .events = EPOLLIN, .data.u32 = (unsigned int)i };
		epoll_ctl(set, EPOLL_CTL_ADD, fd[i], &ev);
	}
	for (int i = 0; i < 2 * N; i++) {
		make_ready(i % N);
		if (epoll_wait(set, &ev, 1, 10000) != 1)
			exit(1);
		take((int)ev.data.u32, "epoll");
	}
	printf("epoll: %d\n", epoll_wait(set, &ev, 1, 200));
	close(set);
}

static void by_poll(void)
{
	struct pollfd p[N];

	for (int i = 0; i < N; i++) {
		for (int k = 0; k < N; k++)
			p[k] = (struct pollfd){ .fd = fd[k], .events = POLLIN };
		make_ready(i);
		if (poll(p, N, 10000) != 1)
			exit(1);
		for (int k = 0; k < N; k++)
			if (p[k].revents)
				take(k, "poll");
	}
	printf("poll: %d\n", poll(p, N, 200));
}

static void by_select(void)
{
	struct timeval limit = { .tv_usec = 200000 };
	fd_set set;

	for (int i = N; i-- > 0;) {
		FD_ZERO(&set);
		for (int k = 0; k < N; k++)
			FD_SET(fd[k], &set);
		make_ready(i);
		if (select(64, &set, NULL, NULL, NULL) != 1)
			exit(1);
		for (int k = 0; k < N; k++)
			if (FD_ISSET(fd[k], &set))
				take(k, "select");
	}
	printf("select: %d\n", select(64, &set, NULL, NULL, &limit));
}

/* ---- eight connections --------------------------------------------------------- */

enum { CONNECTIONS = 8, JOBS = 32 };
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t filled = PTHREAD_COND_INITIALIZER, answered = PTHREAD_COND_INITIALIZER;
static int port, next, done;
static char answers[JOBS][64];

static int dial(void)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int s = socket(AF_INET, SOCK_STREAM, 0);

	if (s < 0 || connect(s, (struct sockaddr *)&to, sizeof(to)) < 0)
		exit(1);
	return s;
}

/* Each has its own part of the jobs: which thread takes which is not left to chance, but when is. */
static void *worker(void *arg)
{
	long me = (long)arg;
	int s = dial();

	for (int job = (int)me; job < JOBS; job += CONNECTIONS) {
		char ask[32], got[64] = "";
		ssize_t n = 0, k;

		pthread_mutex_lock(&lock);
		while (next <= job) {
			struct timespec limit;

			clock_gettime(CLOCK_REALTIME, &limit);
			limit.tv_sec += 5;
			pthread_cond_timedwait(&filled, &lock, &limit);
		}
		pthread_mutex_unlock(&lock);
		if (write(s, ask, (size_t)snprintf(ask, sizeof(ask), "ECHO job%d\r\n", job)) < 0)
			exit(1);
		while (!strchr(got, '\n') && (k = read(s, got + n, sizeof(got) - 1 - (size_t)n)) > 0)
			n += k;
		got[strcspn(got, "\r\n")] = 0;
		pthread_mutex_lock(&lock);
		strcpy(answers[job], got);
		done++;
		pthread_cond_signal(&answered);
		pthread_mutex_unlock(&lock);
	}
	close(s);
	return NULL;
}

static void by_threads(void)
{
	pthread_t t[CONNECTIONS];

	for (long i = 0; i < CONNECTIONS; i++)
		pthread_create(&t[i], NULL, worker, (void *)i);
	pthread_mutex_lock(&lock);
	while (done < JOBS) {
		if (next < JOBS) {
			next++;
			pthread_cond_broadcast(&filled);
		}
		if (next - done > 4 || next == JOBS)
			pthread_cond_wait(&answered, &lock);
	}
	pthread_mutex_unlock(&lock);
	for (int i = 0; i < CONNECTIONS; i++)
		pthread_join(t[i], NULL);
	for (int i = 0; i < JOBS; i++)
		printf("%d: %s\n", i, answers[i]);
}

int main(int argc, char **argv)
{
	int ends[2];
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	sigprocmask(SIG_BLOCK, &set, NULL);
	if (pipe(ends) < 0)
		return 1;
	fd[EVENT] = eventfd(0, 0);
	fd[SIGNAL] = signalfd(-1, &set, 0);
	fd[TIMER] = timerfd_create(CLOCK_MONOTONIC, 0);
	fd[PIPE] = ends[0];
	pipe_in = ends[1];
	by_epoll();
	by_poll();
	by_select();
	if (argc > 1) {
		port = atoi(argv[1]);
		by_threads();
	}
	puts("EXIT-SUCCESS");
	return 0;
}
