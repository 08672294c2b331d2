/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guest's tasks, followed by ptrace: seized, so that they run free but for
 * their forks, execs and signals.  The recorded task's n-th child is the n-th
 * child here.
 */
#include <linux/types.h>

#include "replayer/replay.h"

#include "format/cleanup.h"
#include "format/io.h"
#include "format/sysdesc.h"
#include "replayer/inject.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SEIZE_OPTIONS = PTRACE_O_TRACECLONE | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACEEXEC |
		       PTRACE_O_TRACEVFORKDONE | PTRACE_O_EXITKILL };

struct gtask *task_find(struct replay *r, pid_t tid)
{
	for (struct gtask *t = r->tasks; t; t = t->next)
		if (t->tid == tid && !t->exited)
			return t;
	return NULL;
}

static struct gtask *task_add(struct replay *r, pid_t tid, pid_t tgid, const struct rec_task *rec)
{
	struct gtask *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	t->tid = tid;
	t->tgid = tgid;
	t->rec = rec;
	t->slot = rec ? rec->id : (uint32_t)r->rec->ntasks + r->spare_slot++;
	t->next = r->tasks;
	r->tasks = t;
	if (rec)
		r->born[rec->id] = true;
	return t;
}

struct gtask *task_first(struct replay *r, pid_t tid)
{
	struct gtask *t;

	if (ptrace(PTRACE_SEIZE, tid, NULL, (void *)(long)SEIZE_OPTIONS) < 0)
		return NULL;
	t = task_add(r, tid, tid, &r->rec->tasks[1]);
	if (t)
		t->known = t->started = true;
	return t;
}

static const struct rec_task *next_child(struct replay *r, const struct gtask *t)
{
	if (!t->rec || t->nchildren >= t->rec->nchildren)
		return NULL;
	return &r->rec->tasks[t->rec->children[t->nchildren]];
}

bool tasks_expect_child(struct replay *r, struct gtask *t)
{
	const struct rec_task *child = next_child(r, t);

	return child && child->tid > 1 && sandbox_next_pid(r->sb, (pid_t)child->tid) == 0;
}

/* Of a thread: the process it belongs to. */
static pid_t tgid_of(pid_t tid)
{
	_cleanup_free_ char *text = NULL;
	char path[64];
	const char *at;

	snprintf(path, sizeof(path), "/proc/%d/status", tid);
	if (io_slurp(path, 1 << 16, &text, NULL) < 0)
		return tid;
	at = strstr(text, "\nTgid:");
	return at ? atoi(at + 6) : tid;
}

/* A new task that is known and in its first stop may run. */
static void set_off(struct replay *r, struct gtask *t)
{
	uint64_t fsbase;
	int slot;

	/* A thread's fs base may be a dead thread's: from now on it has its own readings. */
	if (t->tid != t->tgid && inject_fsbase(t->tid, &fsbase) == 0) {
		t->fsbase = fsbase;
		slot = streams_slot(r->streams, t->slot);
		if (slot >= 0)
			inject_register(t->tgid, fsbase, (uint32_t)slot);
	}
	t->held = false;
	t->started = true;
	ptrace(PTRACE_CONT, t->tid, NULL, NULL);
}

static void born(struct replay *r, struct gtask *parent)
{
	const struct rec_task *rec = next_child(r, parent);
	unsigned long tid;
	struct gtask *t;

	if (ptrace(PTRACE_GETEVENTMSG, parent->tid, NULL, &tid) < 0)
		return;
	if (!rec && parent->rec)
		note_add(&r->v->changed, "a task more than recorded was started");
	parent->nchildren++;
	order_forked(r, parent);
	t = task_find(r, (pid_t)tid);
	if (!t)
		t = task_add(r, (pid_t)tid, tgid_of((pid_t)tid), NULL);
	if (!t)
		return;
	if (!t->known && rec) {
		t->rec = rec;
		t->slot = rec->id;
		r->born[rec->id] = true;
	}
	t->known = true;
	if (t->held)
		set_off(r, t);
}

/* A vfork's child runs in its parent's memory, under its parent's fs base: the shim must not take it for the parent. */
static void forget_slot(const struct gtask *t)
{
	uint64_t fsbase;

	if (inject_fsbase(t->tid, &fsbase) == 0)
		inject_forget(t->tgid, fsbase);
}

/* exec ends the other threads; the survivor takes the leader's tid. */
static struct gtask *after_exec(struct replay *r, pid_t tid)
{
	struct gtask *t = task_find(r, tid), *was;
	unsigned long old;

	if (ptrace(PTRACE_GETEVENTMSG, tid, NULL, &old) < 0 || (pid_t)old == tid)
		return t;
	was = task_find(r, (pid_t)old);
	if (!was)
		return t;
	if (t)
		t->exited = true;
	was->tid = tid;
	return was;
}

static void execed(struct replay *r, pid_t tid)
{
	struct gtask *t = after_exec(r, tid);
	const struct ev_exec *rec = t && t->rec && t->nexecs < t->rec->nexecs ? t->rec->execs[t->nexecs] : NULL;
	struct inject what = { .at_random = rec ? rec->at_random : NULL, .shared_size = streams_size(r->streams) };
	struct injected done;
	struct err err = ERR_INIT;
	uint8_t made_up[16];

	if (!t)
		return;
	t->nexecs++;
	if (!rec) {
		make_random(r, t, made_up, sizeof(made_up));
		what.at_random = made_up;
		miss(r, "a program was started that was not recorded");
	}
	if (inject_exec(tid, &what, &done, &err) == 0 || err.code == ESRCH)
		return;
	miss(r, "the program's clocks can't be served: %s", err.text);
	kill(tid, SIGKILL);
}

static void gone(struct replay *r, pid_t tid, int status)
{
	struct gtask *t = task_find(r, tid);

	if (!t)
		return;
	t->exited = true;
	t->blocked = false;
	if (!t->rec || t->rec->thread || !t->rec->exited || t->rec->id == 1)
		return;
	if (t->rec->status != status) {
		char what[80], expected[32], got[32];

		snprintf(what, sizeof(what), "the end of process %u", t->rec->pid);
		snprintf(expected, sizeof(expected), "status 0x%x", (unsigned int)t->rec->status);
		snprintf(got, sizeof(got), "status 0x%x", (unsigned int)status);
		diverged(r->v, what, 0, expected, got);
	}
}

/*
 * A signal that finds a task in a call which we have not taken yet makes the
 * kernel end it as if it had slept.  A fork never ends so, nor does a question:
 * they are made again behind the handler, whatever that says of restarts.
 */
static void save_interrupted_call(pid_t tid)
{
	enum { ERESTARTSYS = 512, ERESTARTNOINTR = 513 };	/* include/linux/errno.h */
	struct user_regs_struct regs;

	if (ptrace(PTRACE_GETREGS, tid, NULL, &regs) < 0 || (int64_t)regs.rax != -ERESTARTSYS || regs.orig_rax >= SC_MAX)
		return;
	switch (sc_table[regs.orig_rax].fate) {
	case SC_TASK:
	case SC_CLOCK:
	case SC_RANDOM:
	case SC_SERVE:
		regs.rax = (uint64_t)-ERESTARTNOINTR;
		ptrace(PTRACE_SETREGS, tid, NULL, &regs);
	}
}

static void stopped(struct replay *r, pid_t tid, int status)
{
	int sig = WSTOPSIG(status), event = status >> 16;
	struct gtask *t = task_find(r, tid);

	if (!t && event == PTRACE_EVENT_STOP)
		t = task_add(r, tid, tgid_of(tid), NULL);
	if (t && event == PTRACE_EVENT_STOP && !t->started) {
		t->held = true;		/* until its creator's event has said who it is */
		if (t->known)
			set_off(r, t);
		return;
	}
	switch (event) {
	case PTRACE_EVENT_FORK: case PTRACE_EVENT_VFORK: case PTRACE_EVENT_CLONE:
		if (t)
			born(r, t);
		if (t && event == PTRACE_EVENT_VFORK)
			forget_slot(t);
		sig = 0;
		break;
	case PTRACE_EVENT_VFORK_DONE:
		if (t)
			forget_slot(t);
		sig = 0;
		break;
	case PTRACE_EVENT_EXEC:
		execed(r, tid);
		sig = 0;
		break;
	case PTRACE_EVENT_STOP:
		if (sig == SIGSTOP || sig == SIGTSTP || sig == SIGTTIN || sig == SIGTTOU) {
			ptrace(PTRACE_LISTEN, tid, NULL, NULL);
			return;
		}
		sig = 0;
		break;
	default:
		save_interrupted_call(tid);	/* a signal on its way to the task */
		break;
	}
	ptrace(PTRACE_CONT, tid, NULL, (void *)(long)sig);
}

void tasks_pump(struct replay *r)
{
	int status;
	pid_t tid;

	while ((tid = waitpid(-1, &status, __WALL | WNOHANG)) > 0) {
		if (WIFSTOPPED(status))
			stopped(r, tid, status);
		else
			gone(r, tid, status);
	}
}

static bool is_asleep(pid_t tid)
{
	_cleanup_free_ char *text = NULL;
	char path[64];
	const char *at;

	snprintf(path, sizeof(path), "/proc/%d/stat", tid);
	if (io_slurp(path, 1 << 16, &text, NULL) < 0)
		return true;
	at = strrchr(text, ')');
	return !at || !at[1] || at[2] == 'S' || at[2] == 'Z' || at[2] == 'X';
}

bool task_sleeps(const struct gtask *t)
{
	return is_asleep(t->tid);
}

bool tasks_asleep(struct replay *r)
{
	for (struct gtask *t = r->tasks; t; t = t->next)
		if (!t->exited && !t->kept && !is_asleep(t->tid))
			return false;
	return true;
}

void tasks_free(struct replay *r)
{
	while (r->tasks) {
		struct gtask *next = r->tasks->next;

		free(r->tasks);
		r->tasks = next;
	}
}
