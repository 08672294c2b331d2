/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guest's tasks, followed by ptrace: seized, so that they run free but for
 * their forks, execs and signals.  The recorded task's n-th child is the n-th
 * child here.
 */
#include <linux/types.h>

#include "replayer/replay.h"

#include "format/cleanup.h"
#include "format/goroutine.h"
#include "format/io.h"
#include "format/sysdesc.h"
#include "preload/shim.h"
#include "replayer/inject.h"
#include "replayer/seat.h"
#include "replayer/timed.h"
#include "replayer/timers.h"

#include <asm/prctl.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SEIZE_OPTIONS = PTRACE_O_TRACECLONE | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACEEXEC |
		       PTRACE_O_TRACESECCOMP | PTRACE_O_EXITKILL };

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

struct gtask *task_unborn(struct replay *r, pid_t tgid, const struct rec_task *rec)
{
	struct gtask *t = task_add(r, 0, tgid, rec);

	if (t) {
		t->exited = true;
		t->unborn = rec;
	}
	return t;
}

/* The part that is held for it may be another's by now. */
static void take_held_part(struct replay *r, struct gtask *t)
{
	for (struct gtask *o = r->tasks; o; o = o->next)
		if (o->unborn == t->rec && o != t) {
			t->rec = NULL;
			role_exchange(r, t, o);
			o->unborn = NULL;
			return;
		}
}

struct gtask *task_first(struct replay *r, pid_t tid)
{
	struct gtask *t;

	if (ptrace(PTRACE_SEIZE, tid, NULL, (void *)(long)SEIZE_OPTIONS) < 0)
		return NULL;
	t = task_add(r, tid, tid, r->rec->attached ? NULL : &r->rec->tasks[1]);
	if (t)
		t->known = t->started = true;
	return t;
}

static const struct rec_task *next_child(struct replay *r, const struct gtask *t)
{
	if (t->number_at)
		return goroutine_child(r, t);
	if (!t->rec || t->nchildren >= t->rec->nchildren)
		return NULL;
	return &r->rec->tasks[t->rec->children[t->nchildren]];
}

static bool is_recorded(const struct replay *r, pid_t pid)
{
	for (size_t i = 1; i < r->rec->ntasks; i++)
		if (r->rec->tasks[i].tid == (uint32_t)pid)
			return true;
	return false;
}

/* One task more than recorded must not take the number of one that was. */
static bool expect_more(struct replay *r)
{
	enum { LOWEST = 300 };		/* RESERVED_PIDS of kernel/pid.c: numbers that come round again begin there */
	pid_t pid = r->spare_pid;

	if (!pid)
		for (size_t i = 1; i < r->rec->ntasks; i++)
			pid = (pid_t)r->rec->tasks[i].tid > pid ? (pid_t)r->rec->tasks[i].tid : pid;
	do {
		pid++;
	} while (is_recorded(r, pid));
	r->spare_pid = pid;
	if (sandbox_next_pid(r->sb, pid) == 0)
		return true;
	r->spare_pid = LOWEST;		/* that was the last number there is */
	return false;
}

bool tasks_expect_child(struct replay *r, struct gtask *t)
{
	const struct rec_task *child = next_child(r, t);

	return child && child->tid > 1 ? sandbox_next_pid(r->sb, (pid_t)child->tid) == 0 : expect_more(r);
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

/* Of a process that is not the same as its creator in memory: not of a vfork's child. */
static bool is_copy(const struct gtask *t)
{
	return t->tid == t->tgid && seat_copied(t->tgid) == 1;
}

static uint32_t free_seat(const struct replay *r, pid_t tgid)
{
	bool taken[SHIM_SEATS] = { true };

	for (const struct gtask *t = r->tasks; t; t = t->next)
		if (t->tgid == tgid && !t->exited && t->started)
			taken[t->seat] = true;
	for (uint32_t i = 1; i < SHIM_SEATS; i++)
		if (!taken[i])
			return i;
	return 0;
}

/* Its readings are its own from the first. It has its creator's seat in @t->seat, and its gs base. */
static void seat(struct replay *r, struct gtask *t)
{
	int rc;

	if (!t->shim || t->own_gs || is_copy(t))
		return;
	t->seat = t->seat && t->tid != t->tgid ? free_seat(r, t->tgid) : 0;
	rc = seat_take(t->tid, t->seat);
	if (rc == 0)
		task_serve(r, t);
	else if (rc != -ESRCH)
		miss(r, "thread %d has its creator's clock readings: %s", (int)t->tid, strerror(-rc));
}

void task_serve(struct replay *r, const struct gtask *t)
{
	int slot;

	if (!t->shim || !t->seat || t->exited)
		return;
	slot = streams_slot(r->streams, t->slot);
	seat_serve(t->tgid, t->seat, slot < 0 ? 0 : (uint64_t)slot + 1);
}

/* A new task that is known and in its first stop may run. */
static void set_off(struct replay *r, struct gtask *t)
{
	if (t->number_at)
		inject_fsbase(t->tid, &t->fsbase);
	seat(r, t);
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
	/* How many threads a pool has is chance. */
	if (!rec && parent->rec && !(parent->makes_thread && (parent->number_at || has_company(r, parent->slot))))
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
		take_held_part(r, t);
	}
	t->known = true;
	t->shim = parent->shim;
	t->seat = parent->seat;
	t->own_gs = parent->own_gs;
	if (parent->number_at && t->tgid == parent->tgid) {
		t->number_at = parent->number_at;
		t->begins_at = parent->begins_at;
		t->slot = parent->slot;
	}
	t->cycles = parent->cycles;
	if (!t->number_at)
		signals_born(t);
	if (t->held)
		set_off(r, t);
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

static bool has_parts(const struct replay *r, uint32_t process)
{
	for (size_t i = 1; i < r->rec->ntasks; i++)
		if (r->rec->tasks[i].goroutine && r->rec->tasks[i].process == process)
			return true;
	return false;
}

/* Where a program has goroutines, and had them when recorded. */
static struct goroutine_layout layout_of(const struct replay *r, const struct gtask *t)
{
	const struct goroutine_layout none = { 0 };
	uint32_t process = t->rec ? t->rec->process : r->rec->attached;	/* what ran already was process 1 */
	char path[64];

	if (!process || !r->rec->goroutines || !has_parts(r, process))
		return none;
	snprintf(path, sizeof(path), "/proc/%d/exe", t->tid);
	_cleanup_fd_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	return fd < 0 ? none : goroutine_layout(fd);
}

/* The command's own, as long as it is there. */
static const struct gtask *first_task(const struct replay *r)
{
	const struct gtask *t = r->tasks;

	while (t && t->next)
		t = t->next;
	return t;
}

static void execed(struct replay *r, pid_t tid)
{
	struct gtask *t = after_exec(r, tid);
	const struct rec_exec *rec = t && t->rec && t->nexecs < t->rec->nexecs ? &t->rec->execs[t->nexecs] : NULL;
	struct inject what = { .at_random = rec ? rec->at_random : NULL, .shared_size = streams_size(r->streams) };
	struct injected done;
	struct goroutine_layout layout;
	struct err err = ERR_INIT;
	uint8_t made_up[16];

	if (!t)
		return;
	r->asking = t;
	if (in_start_up(r, t) && !t->nexecs && t == first_task(r)) {
		rec = &r->rec->tasks[1].execs[0];
		what.at_random = rec->at_random;
	}
	t->nexecs++;
	if (!rec) {
		make_random(r, t, made_up, sizeof(made_up));
		what.at_random = made_up;
		miss(r, "a program was started that was not recorded");
	}
	timers_exec(r, t->tgid);
	if (t->number_at)
		goroutines_end(r, t->tgid);
	layout = layout_of(r, t);
	t->number_at = layout.number;
	t->begins_at = layout.begins;
	if (t->number_at)
		t->slot = (uint32_t)r->rec->ntasks + r->spare_slot++;	/* of the runtime's readings */
	else if (t->rec)
		t->slot = t->rec->id;
	t->shim = t->own_gs = false;
	t->seat = 0;
	t->fsbase = 0;
	t->unlimited = 0;
	if (inject_exec(tid, &what, &done, &err) == 0) {
		t->shim = done.shim;
		t->seat = done.shim ? 1 : 0;
		return;
	}
	if (err.code == ESRCH)
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
	if (t->number_at && t->tid == t->tgid)
		goroutines_end(r, t->tgid);
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
	case SC_OPEN:
	case SC_PATH:
	case SC_LOOK:
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
	if (t && event == PTRACE_EVENT_SECCOMP) {
		timed_begin(r, t);
		return;
	}
	if (t)
		timed_mend(t);
	switch (event) {
	case PTRACE_EVENT_FORK: case PTRACE_EVENT_VFORK: case PTRACE_EVENT_CLONE:
		if (t)
			born(r, t);
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
		if (t)
			stack_stopped(r, t);
		sig = 0;
		break;
	default:
		if (t && cycles_serve(r, t, sig)) {
			sig = 0;
			break;
		}
		save_interrupted_call(tid);	/* a signal on its way to the task */
		if (t)
			sig = signal_passes(r, t, sig);
		if (t && sig)
			stack_signal(r, t, sig);
		break;
	}
	ptrace(PTRACE_CONT, tid, NULL, (void *)(long)sig);
}

/* gs shows what the program made of it, not its seat. */
static void answer_gs(struct call *c)
{
	if (c->args[0] == ARCH_SET_GS) {
		if (c->t->shim && !c->t->own_gs)
			seat_none(c->t->tgid);
		c->t->own_gs = true;
	}
	c->cont = c->t->own_gs || !c->t->shim;
	if (!c->cont && guest_write(c->t->tid, c->args[1], (int64_t[]){ 0 }, 8) < 0)
		c->ret = -EFAULT;
}

void task_sets_base(struct call *c)
{
	if (c->args[0] == ARCH_SET_GS || c->args[0] == ARCH_GET_GS) {
		answer_gs(c);
		return;
	}
	c->cont = true;
	if (c->args[0] != ARCH_SET_FS || !c->t->number_at)
		return;
	c->t->fsbase = c->args[1];
	if (c->t->shim)
		seat_goroutines(c->t->tgid, c->t->number_at);
}

/* The next one that has something to tell, which stays to be told; 0: nobody. */
static pid_t next_told(idtype_t type, pid_t tid, bool *ended)
{
	siginfo_t si = { 0 };

	if (waitid(type, (id_t)tid, &si, WEXITED | WSTOPPED | WNOHANG | WNOWAIT | __WALL) < 0)
		return 0;
	*ended = si.si_code == CLD_EXITED || si.si_code == CLD_KILLED || si.si_code == CLD_DUMPED;
	return si.si_pid;
}

static bool take_told(struct replay *r, pid_t tid)
{
	int status;

	if (waitpid(tid, &status, __WALL | WNOHANG) <= 0)
		return false;
	if (WIFSTOPPED(status))
		stopped(r, tid, status);
	else
		gone(r, tid, status);
	return true;
}

/*
 * A child that has ended is told of to its parent when we have taken note of
 * it, not before; reap.c says when that may be.  One that is to wait stands in
 * the way of all others, so these are asked one by one.
 */
void tasks_pump(struct replay *r)
{
	bool ended, waits = false;
	pid_t tid;

	while (!waits && (tid = next_told(P_ALL, 0, &ended)) > 0) {
		waits = ended && reap_must_wait(r, task_find(r, tid));
		if (!waits && !take_told(r, tid))
			return;
	}
	for (struct gtask *t = waits ? r->tasks : NULL; t; t = t->next)
		while (!t->exited && next_told(P_PID, t->tid, &ended) == t->tid && !(ended && reap_must_wait(r, t)))
			if (!take_told(r, t->tid))
				break;
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

void task_kept(struct gtask *t, bool kept)
{
	t->kept = kept;
	if (t->carrier)
		t->carrier->kept = kept;
}

bool tasks_asleep(struct replay *r)
{
	for (struct gtask *t = r->tasks; t; t = t->next)
		if (!t->exited && !t->kept && !t->early && !is_asleep(t->tid))
			return false;
	return !call_waits(r);	/* asked last: who made one after it was looked at is seen here */
}

/* What the call that it is in is about: " of stdin", or nothing. */
static void describe_object(struct replay *r, struct gtask *t, unsigned int nr, uint64_t fd, char *buf, size_t len)
{
	struct call c = { .t = t, .nr = nr };
	char name[160];
	struct live *l;

	buf[0] = 0;
	if (!sc_table[nr].fd)
		return;
	l = object_of_fd(r, &c, (int)fd, NULL, NULL);
	if (l)
		snprintf(buf, len, " of %s", outside_name(l->rec, name, sizeof(name)));
	else
		snprintf(buf, len, " of its own fd %d", (int)fd);
}

static void describe(struct replay *r, struct gtask *t, char *buf, size_t len)
{
	_cleanup_free_ char *text = NULL;
	unsigned long long args[6] = { 0 };
	char path[64], object[200];
	unsigned int nr, who = t->rec ? t->rec->tid : (unsigned int)t->tid;

	snprintf(path, sizeof(path), "/proc/%d/syscall", t->tid);
	if (io_slurp(path, 4096, &text, NULL) < 0 ||
	    sscanf(text, "%u %llx %llx %llx %llx %llx %llx", &nr, &args[0], &args[1], &args[2], &args[3], &args[4], &args[5]) != 7 ||
	    nr >= SC_MAX || !sc_name(nr)) {
		snprintf(buf, len, "%u computes", who);
		return;
	}
	describe_object(r, t, nr, args[sc_table[nr].fd ? sc_table[nr].fd - 1 : 0], object, sizeof(object));
	snprintf(buf, len, "%u waits in %s%s", who, sc_name(nr), object);
}

void tasks_describe(struct replay *r, char *buf, size_t len)
{
	size_t n = 0;

	buf[0] = 0;
	for (struct gtask *t = r->tasks; t && n < len; t = t->next) {
		char one[300];

		if (t->exited)
			continue;
		describe(r, t, one, sizeof(one));
		n += (size_t)snprintf(buf + n, len - n, "%s%s", n ? ", " : "", one);
	}
}

void tasks_free(struct replay *r)
{
	while (r->tasks) {
		struct gtask *next = r->tasks->next;

		free(r->tasks);
		r->tasks = next;
	}
}
