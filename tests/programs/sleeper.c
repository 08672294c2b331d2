/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sleeper [SECONDS]: sleeps for so long (60), while one thread polls with a time limit, one waits for a condition with one, one
 * sleeps until a date, and an interval timer ticks: each so often that they are done at about the same time.  No two of
 * them ever speak in the same tenth of a second.
 */
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static double seconds = 60;
static struct timespec start;
static int silent[2];

static struct timespec later(struct timespec t, double by)
{
	long long ns = t.tv_nsec + (long long)(by * 1e9);

	return (struct timespec){ t.tv_sec + ns / 1000000000, ns % 1000000000 };
}

static void say(const char *who)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	printf("%s after %.0f s\n", who, (double)(now.tv_sec - start.tv_sec) + (double)(now.tv_nsec - start.tv_nsec) / 1e9);
	fflush(stdout);
}

static void *polls(void *unused)
{
	for (int i = 1; i < 4; i++) {
		struct pollfd p = { .fd = silent[0], .events = POLLIN };

		if (poll(&p, 1, (int)(seconds * 1000 / 4)) == 0)
			say("poll");
	}
	return unused;
}

static void *waits(void *unused)
{
	pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	pthread_cond_t never = PTHREAD_COND_INITIALIZER;
	struct timespec date;

	clock_gettime(CLOCK_REALTIME, &date);
	pthread_mutex_lock(&lock);
	for (int i = 1; i < 5; i++) {
		date = later(date, seconds / 5 + seconds / 100);
		while (pthread_cond_timedwait(&never, &lock, &date) == 0)
			;
		say("condition");
	}
	pthread_mutex_unlock(&lock);
	return unused;
}

static void *until(void *unused)
{
	struct timespec date;

	clock_gettime(CLOCK_REALTIME, &date);
	for (int i = 1; i < 3; i++) {
		date = later(date, seconds / 3 - seconds / 50);
		clock_nanosleep(CLOCK_REALTIME, TIMER_ABSTIME, &date, NULL);
		say("date");
	}
	return unused;
}

/* By one thread: how many signals a pause() of another would have let through is chance. */
static void *ticks(void *set)
{
	struct itimerval every = { .it_interval = { (time_t)(seconds / 7), (suseconds_t)(seconds / 7 * 1e6) % 1000000 } };
	int sig;

	every.it_value = every.it_interval;
	setitimer(ITIMER_REAL, &every, NULL);
	for (int i = 1; i < 7; i++) {
		sigwait(set, &sig);
		say("tick");
	}
	return NULL;
}

int main(int argc, char **argv)
{
	void *(*const what[])(void *) = { polls, waits, until, ticks };
	struct timespec length;
	pthread_t t[4];
	sigset_t set;

	if (argc > 1)
		seconds = atof(argv[1]);
	length = later((struct timespec){ 0 }, seconds);
	sigemptyset(&set);
	sigaddset(&set, SIGALRM);
	sigprocmask(SIG_BLOCK, &set, NULL);
	if (pipe(silent) < 0)
		return 1;
	clock_gettime(CLOCK_MONOTONIC, &start);
	for (int i = 0; i < 4; i++)
		pthread_create(&t[i], NULL, what[i], &set);
	nanosleep(&length, NULL);
	say("sleep");
	for (int i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
	puts("EXIT-SUCCESS");
	return 0;
}
