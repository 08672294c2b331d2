/* SPDX-License-Identifier: Apache-2.0 */
#include "recorder/stop.h"

#include "format/cleanup.h"

#include <dirent.h>
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

enum {
	MAX_STEPS = 2000,	/* instructions; the vDSO's longest function is done in some 100 */
	ERESTARTNOHAND = 514,	/* include/linux/errno.h */
};
#define COLLECT_NS (STOP_LIMIT_NS * 5 / 8)	/* from when the first stands still until all have to */
#define FIRST_NS 200000000ll		/* until the first has to: on a busy machine it does not even run */

static int64_t monotonic(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ll + t.tv_nsec;
}

bool stop_has_time(const struct stopped *s)
{
	return !s->began || monotonic() - s->began < STOP_LIMIT_NS;
}

static struct stopped_thread *thread_of(struct stopped *s, pid_t tid)
{
	for (size_t i = 0; i < s->nthreads; i++)
		if (s->threads[i].tid == tid)
			return &s->threads[i];
	return NULL;
}

/* ---- calls that the stop ends ------------------------------------------------- */

/*
 * Most calls that a stop interrupts are made again by the kernel.  These say
 * EINTR even without a signal, signal(7); made again, unless a handler runs.
 */
static bool says_eintr(uint64_t nr)
{
	switch (nr) {
	case SYS_epoll_wait: case SYS_epoll_pwait: case 441:	/* epoll_pwait2 */
	case SYS_semop: case SYS_semtimedop: case SYS_rt_sigtimedwait: case SYS_io_getevents: case 333:	/* io_pgetevents */
	case SYS_msgrcv: case SYS_msgsnd:
	case SYS_read: case SYS_readv: case SYS_recvfrom: case SYS_recvmsg: case SYS_recvmmsg: case SYS_accept: case SYS_accept4:
	case SYS_connect: case SYS_write: case SYS_writev: case SYS_sendto: case SYS_sendmsg: case SYS_sendmmsg:
		return true;	/* the last ones: of sockets with a time limit */
	}
	return false;
}

static void read_regs(struct stopped_thread *t)
{
	if (ptrace(PTRACE_GETREGS, t->tid, NULL, &t->regs) < 0) {
		t->gone = true;
		return;
	}
	if ((int64_t)t->regs.orig_rax >= 0 && (int64_t)t->regs.rax == -EINTR && says_eintr(t->regs.orig_rax)) {
		t->regs.rax = (uint64_t)-ERESTARTNOHAND;
		t->dirty = true;
	}
}

/* ---- stopping ------------------------------------------------------------------- */

static int add_thread(struct stopped *s, pid_t tid, struct err *err)
{
	struct stopped_thread *more;

	if (thread_of(s, tid))
		return 0;
	more = reallocarray(s->threads, s->nthreads + 1, sizeof(*more));
	if (!more)
		return err_set(err, ENOMEM, "out of memory");
	s->threads = more;
	more[s->nthreads] = (struct stopped_thread){ .tid = tid };
	if (ptrace(PTRACE_SEIZE, tid, NULL, NULL) < 0) {
		if (errno == ESRCH)
			return 0;
		return err_set(err, errno, "process %d can't be stopped: %s (is it being traced?)", (int)s->pid, strerror(errno));
	}
	more[s->nthreads].seized = true;
	ptrace(PTRACE_INTERRUPT, tid, NULL, NULL);
	s->nthreads++;
	return 1;
}

/* How many threads are new; negative: an error. */
static int add_threads(struct stopped *s, struct err *err)
{
	char path[64];
	struct dirent *d;
	int n = 0;

	snprintf(path, sizeof(path), "/proc/%d/task", (int)s->pid);
	_cleanup_dir_ DIR *dir = opendir(path);
	if (!dir)
		return err_sys(err, errno == ENOENT ? ESRCH : errno, "process %d", (int)s->pid);
	while ((d = readdir(dir))) {
		int rc = d->d_name[0] == '.' ? 0 : add_thread(s, atoi(d->d_name), err);

		if (rc < 0)
			return rc;
		n += rc;
	}
	return n;
}

static void take_status(struct stopped *s, struct stopped_thread *t, int status)
{
	if (!WIFSTOPPED(status)) {
		t->gone = true;
		return;
	}
	t->stopped = true;
	if (!s->began)
		s->began = monotonic();
	if (status >> 16 == 0)
		t->signal = WSTOPSIG(status);	/* on its way to the thread */
	read_regs(t);
}

static bool is_too_late(const struct stopped *s, int64_t asked)
{
	int64_t now = monotonic();

	return s->began ? now - s->began > COLLECT_NS : now - asked > FIRST_NS;
}

static bool collect(struct stopped *s)
{
	const struct timespec pause = { .tv_nsec = 20000 };
	int64_t asked = monotonic();
	bool all = false;
	int status;

	while (!all) {
		all = true;
		for (size_t i = 0; i < s->nthreads; i++) {
			struct stopped_thread *t = &s->threads[i];

			if (t->stopped || t->gone)
				continue;
			if (waitpid(t->tid, &status, __WALL | WNOHANG) == t->tid)
				take_status(s, t, status);
			else
				all = false;
		}
		if (!all && is_too_late(s, asked))
			return false;
		if (!all)
			nanosleep(&pause, NULL);
	}
	return true;
}

int stop_process(struct stopped *s, pid_t pid, struct err *err)
{
	int new;

	*s = (struct stopped){ .pid = pid };
	while ((new = add_threads(s, err)) > 0)
		if (!collect(s)) {
			stop_end(s);
			return err_set(err, EBUSY, "process %d did not stand still within %lld ms", (int)pid, COLLECT_NS / 1000000);
		}
	if (new < 0) {
		stop_end(s);
		return -err->code;
	}
	for (size_t i = 0; i < s->nthreads; i++)
		if (!s->threads[i].gone)
			return 0;
	stop_end(s);
	return err_set(err, ESRCH, "process %d is gone", (int)pid);
}

/* One that has not stopped yet can't be let go: it does in a moment. */
static void wait_for_stop(struct stopped *s, struct stopped_thread *t)
{
	int status;

	if (t->stopped || t->gone)
		return;
	if (waitpid(t->tid, &status, __WALL) == t->tid)
		take_status(s, t, status);
	else
		t->gone = true;
}

int64_t stop_end(struct stopped *s)
{
	int64_t ns = 0;

	/* Those that stand still first: the others may sleep where nothing wakes them. */
	for (int round = 0; round < 2; round++) {
		for (size_t i = 0; i < s->nthreads; i++) {
			struct stopped_thread *t = &s->threads[i];

			if (round)
				wait_for_stop(s, t);
			if (!t->stopped || t->gone)
				continue;
			if (t->dirty)
				ptrace(PTRACE_SETREGS, t->tid, NULL, &t->regs);
			ptrace(PTRACE_DETACH, t->tid, NULL, (void *)(long)t->signal);
			t->gone = true;
		}
		if (!round)
			ns = s->began ? monotonic() - s->began : 0;
	}
	free(s->threads);
	s->threads = NULL;
	s->nthreads = 0;
	return ns;
}

/* ---- out of some code ------------------------------------------------------------- */

static int step_out(struct stopped *s, struct stopped_thread *t, uint64_t from, uint64_t len, struct err *err)
{
	int status;

	for (int i = 0; t->regs.rip - from < len; i++) {
		if (i == MAX_STEPS || t->signal || !stop_has_time(s))
			return err_set(err, EBUSY, "a thread of process %d did not come out of the vDSO", (int)s->pid);
		if (t->dirty && ptrace(PTRACE_SETREGS, t->tid, NULL, &t->regs) < 0)
			return err_set(err, ESRCH, "process %d is gone", (int)s->pid);
		t->dirty = false;
		if (ptrace(PTRACE_SINGLESTEP, t->tid, NULL, NULL) < 0 || waitpid(t->tid, &status, __WALL) != t->tid ||
		    !WIFSTOPPED(status)) {
			t->gone = true;
			return 0;
		}
		if (status >> 16 == 0 && WSTOPSIG(status) != SIGTRAP)
			t->signal = WSTOPSIG(status);
		read_regs(t);
		if (t->gone)
			return 0;
	}
	return 0;
}

int stop_step_out(struct stopped *s, uint64_t from, uint64_t len, struct err *err)
{
	for (size_t i = 0; i < s->nthreads; i++)
		if (!s->threads[i].gone && step_out(s, &s->threads[i], from, len, err) < 0)
			return -err->code;
	return 0;
}
