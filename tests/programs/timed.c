/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Waits with a time limit for other threads, of every kind that there is: those that time out, and those
 * that are woken long before.  Prints how each ended and what the clock says, in tenths of a second.
 * With an argument: limits are that many times as long.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <mqueue.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/sem.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static double scale = 1;
static struct timespec start;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER, busy = PTHREAD_MUTEX_INITIALIZER, priority;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER, monotonic, ready = PTHREAD_COND_INITIALIZER;
static sem_t never, soon;
static int word, value, jobs, finished;

static struct timespec after(clockid_t clk, double seconds)
{
	struct timespec ts;

	seconds *= scale;
	if (clk >= 0)
		clock_gettime(clk, &ts);
	else
		ts = (struct timespec){ 0 };
	ts.tv_sec += (time_t)seconds;
	ts.tv_nsec += (long)((seconds - (double)(time_t)seconds) * 1e9);
	ts.tv_sec += ts.tv_nsec / 1000000000;
	ts.tv_nsec %= 1000000000;
	return ts;
}

static void said(const char *what, int error)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	printf("%s: %s, %.1f s\n", what, error ? strerrorname_np(error) : "woken",
	       (double)(now.tv_sec - start.tv_sec) + (double)(now.tv_nsec - start.tv_nsec) / 1e9);
	fflush(stdout);
}

static int error_of(long rc) { return rc < 0 ? errno : 0; }

static long futex(int *at, int op, int val, const struct timespec *limit, long val3)
{
	return syscall(SYS_futex, at, op, val, limit, NULL, val3);
}

/* Wakes what is to be woken, a little later. */
static void *waker(void *unused)
{
	struct timespec little = { .tv_nsec = 20000000 };

	(void)unused;
	nanosleep(&little, NULL);
	pthread_mutex_lock(&lock);
	value = 1;
	pthread_cond_signal(&changed);
	pthread_mutex_unlock(&lock);
	nanosleep(&little, NULL);
	sem_post(&soon);
	nanosleep(&little, NULL);
	__atomic_store_n(&word, 1, __ATOMIC_SEQ_CST);
	futex(&word, FUTEX_WAKE, 1, NULL, 0);
	return NULL;
}

/* A pool: workers that look around whenever nothing has come for long. */
static void *worker(void *unused)
{
	pthread_mutex_lock(&lock);
	for (;;) {
		struct timespec limit = after(CLOCK_REALTIME, 1);

		while (!jobs && pthread_cond_timedwait(&ready, &lock, &limit) == 0)
			;
		if (jobs <= 0)
			break;
		jobs--;
		finished++;
	}
	pthread_mutex_unlock(&lock);
	return unused;
}

static void pool(void)
{
	pthread_t t[4];

	for (int i = 0; i < 4; i++)
		pthread_create(&t[i], NULL, worker, NULL);
	for (int i = 0; i < 20; i++) {
		pthread_mutex_lock(&lock);
		jobs++;
		pthread_cond_signal(&ready);
		pthread_mutex_unlock(&lock);
	}
	for (int i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
	printf("pool: %d jobs done\n", finished);
}

static void time_out(void)
{
	struct timespec ts = after(CLOCK_REALTIME, .2);
	struct sembuf down = { .sem_op = -1 };
	int id = semget(IPC_PRIVATE, 1, 0600);
	char buf[64];
	mqd_t q;
	struct mq_attr attr = { .mq_maxmsg = 1, .mq_msgsize = sizeof(buf) };
	sigset_t set;

	pthread_mutex_lock(&lock);
	said("condition by date", pthread_cond_timedwait(&changed, &lock, &ts));
	ts = after(CLOCK_MONOTONIC, .2);
	said("condition by the monotonic clock", pthread_cond_timedwait(&monotonic, &lock, &ts));
	pthread_mutex_unlock(&lock);
	ts = after(CLOCK_REALTIME, .2);
	said("semaphore", error_of(sem_timedwait(&never, &ts)));
	ts = after(CLOCK_REALTIME, .2);
	said("mutex", pthread_mutex_timedlock(&busy, &ts));
	ts = after(CLOCK_REALTIME, .2);
	said("mutex with priorities", pthread_mutex_timedlock(&priority, &ts));
	ts = after(-1, .2);
	said("futex", error_of(futex(&word, FUTEX_WAIT, 0, &ts, 0)));
	said("futex that has another value", error_of(futex(&word, FUTEX_WAIT, 7, &ts, 0)));
	ts = after(CLOCK_MONOTONIC, -1);
	said("futex that is late", error_of(futex(&word, FUTEX_WAIT_BITSET, 0, &ts, -1)));
	ts = after(-1, .2);
	said("semop", error_of(semtimedop(id, &down, 1, &ts)));
	semctl(id, 0, IPC_RMID);
	ts = after(CLOCK_REALTIME, .2);
	q = mq_open("/capsule-timed", O_CREAT | O_RDWR, 0600, &attr);
	if (q != (mqd_t)-1) {
		mq_unlink("/capsule-timed");
		said("message queue", error_of(mq_timedreceive(q, buf, sizeof(buf), NULL, &ts)));
		mq_close(q);
	}
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, NULL);
	ts = after(-1, .2);
	said("signal", error_of(sigtimedwait(&set, NULL, &ts)));
	raise(SIGUSR1);
	said("signal that is there", error_of(sigtimedwait(&set, NULL, &ts)));
}

static void be_woken(void)
{
	struct timespec ts = after(CLOCK_REALTIME, 50);
	pthread_t t;

	pthread_create(&t, NULL, waker, NULL);
	pthread_mutex_lock(&lock);
	while (!value)
		if (pthread_cond_timedwait(&changed, &lock, &ts) != 0)
			break;
	pthread_mutex_unlock(&lock);
	printf("condition: %s\n", value ? "woken" : "late");
	ts = after(CLOCK_REALTIME, 50);
	printf("semaphore: %s\n", sem_timedwait(&soon, &ts) == 0 ? "woken" : "late");
	ts = after(-1, 50);
	while (__atomic_load_n(&word, __ATOMIC_SEQ_CST) == 0)
		if (futex(&word, FUTEX_WAIT, 0, &ts, 0) < 0 && errno == ETIMEDOUT)
			break;
	printf("futex: %s\n", word ? "woken" : "late");
	pthread_join(t, NULL);
}

static void *hold(void *unused)
{
	pthread_mutex_lock(&busy);
	pthread_mutex_lock(&priority);
	sem_post(&soon);
	sem_wait(&never);	/* for ever */
	return unused;
}

int main(int argc, char **argv)
{
	pthread_mutexattr_t inherit;
	pthread_condattr_t attr;
	pthread_t t;

	if (argc > 1)
		scale = atof(argv[1]);
	clock_gettime(CLOCK_MONOTONIC, &start);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&monotonic, &attr);
	pthread_mutexattr_init(&inherit);
	pthread_mutexattr_setprotocol(&inherit, PTHREAD_PRIO_INHERIT);
	pthread_mutex_init(&priority, &inherit);
	sem_init(&never, 0, 0);
	sem_init(&soon, 0, 0);
	pthread_create(&t, NULL, hold, NULL);
	sem_wait(&soon);
	time_out();
	be_woken();
	pool();
	puts("EXIT-SUCCESS");
	return 0;
}
