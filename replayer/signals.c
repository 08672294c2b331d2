/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Signals from outside: when they are due, and who sent them.
 *
 * A signal that a handler takes is sent as it is; when ptrace(2) shows it on
 * its way to the handler it is told who sent it, as recorded.  One that is
 * blocked, for signalfd(2) or sigwait(3) to take, never passes there.  So
 * another one goes in its place that nobody can block, SIGSTOP, and is
 * exchanged on the way: the kernel then keeps the recorded signal pending with
 * all that was said of it.  The call that this interrupted is made again.
 */
#include <linux/types.h>

#include "replayer/replay.h"

#include "format/cleanup.h"
#include "format/io.h"
#include "format/sysdesc.h"
#include "replayer/timers.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <unistd.h>

#define PATIENCE_NS 2000000000ull
#define COMPUTES_NS 50000000ull

/* A signal that was sent and not seen on its way yet. */
struct sent {
	struct sent *next;
	pid_t tgid;
	struct ev_signal what;
	bool carried;		/* SIGSTOP stands for it */
};

/* ---- sending ----------------------------------------------------------------- */

static bool stops(int signo)
{
	return signo == SIGSTOP || signo == SIGTSTP || signo == SIGTTIN || signo == SIGTTOU;
}

static bool is_blocked(const char *status, int signo)
{
	const char *at = strstr(status, "\nSigBlk:");

	return at && strtoull(at + 8, NULL, 16) >> (signo - 1) & 1;
}

enum { NOT_TAKEN, BY_HANDLER, BY_WAIT };

/* How would the thread take it?  In sigwait() a signal is not blocked, and yet it is taken without a handler. */
static int taken_by(pid_t tgid, pid_t tid, int signo)
{
	_cleanup_free_ char *status = NULL, *call = NULL;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/task/%d/status", tgid, tid);
	if (io_slurp(path, 1 << 16, &status, NULL) < 0 || is_blocked(status, signo))
		return NOT_TAKEN;
	snprintf(path, sizeof(path), "/proc/%d/task/%d/syscall", tgid, tid);
	return io_slurp(path, 1 << 12, &call, NULL) == 0 && atoi(call) == SYS_rt_sigtimedwait ? BY_WAIT : BY_HANDLER;
}

static uint64_t signal_set(const char *status, const char *name)
{
	const char *at = strstr(status, name);

	return at ? strtoull(at + strlen(name), NULL, 16) : 0;
}

bool signal_is_pending(const struct gtask *t)
{
	_cleanup_free_ char *status = NULL;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/task/%d/status", t->tgid, t->tid);
	if (io_slurp(path, 1 << 16, &status, NULL) < 0)
		return false;
	return (signal_set(status, "\nSigPnd:") | signal_set(status, "\nShdPnd:")) & signal_set(status, "\nSigCgt:") &
	       ~signal_set(status, "\nSigBlk:");
}

static bool handles(pid_t tgid, pid_t tid, int signo)
{
	return taken_by(tgid, tid, signo) == BY_HANDLER;
}

static bool anybody_handles(const struct replay *r, pid_t tgid, int signo)
{
	for (const struct gtask *t = r->tasks; t; t = t->next)
		if (!t->exited && t->tgid == tgid && handles(tgid, t->tid, signo))
			return true;
	return false;
}

static void remember(struct replay *r, const struct gtask *t, const struct ev_signal *what, bool carried)
{
	struct sent *s = calloc(1, sizeof(*s)), **end = &r->sent;

	if (!s)
		return;		/* it comes all the same, with another sender */
	*s = (struct sent){ .tgid = t->tgid, .what = *what, .carried = carried };
	while (*end)
		end = &(*end)->next;
	*end = s;
}

/*
 * A stop that stands for a signal to @t's process: who waits for it takes
 * it; else whoever comes to it first, which is no thread that waits for our
 * answer, so one that does not is made to look.
 */
static void send_stop(const struct replay *r, struct gtask *t, int signo)
{
	struct gtask *taker = t->kept ? NULL : t;

	for (struct gtask *o = r->tasks; o; o = o->next) {
		if (o->exited || o->tgid != t->tgid || o->kept)
			continue;
		if (taken_by(o->tgid, o->tid, signo) == BY_WAIT) {
			o->interrupted = true;
			syscall(SYS_tgkill, o->tgid, o->tid, SIGSTOP);
			return;
		}
		taker = taker ?: o;
	}
	kill(t->tgid, SIGSTOP);
	if (taker && taker != t)
		ptrace(PTRACE_INTERRUPT, taker->tid, NULL, NULL);
	(taker ?: t)->interrupted = true;
}

void signal_send(struct replay *r, struct gtask *t, const struct ev_signal *s)
{
	bool here = s->signo == SIGKILL || handles(t->tgid, t->tid, s->signo);
	bool there = !here && s->group && anybody_handles(r, t->tgid, s->signo);

	remember(r, t, s, !here && !there);
	if (here)
		syscall(SYS_tgkill, t->tgid, t->tid, s->signo);
	else if (there)
		kill(t->tgid, s->signo);
	else if (s->group)
		send_stop(r, t, s->signo);
	else
		syscall(SYS_tgkill, t->tgid, t->tid, SIGSTOP);
	t->interrupted |= !here && !there && !s->group;
}

void signals_due(struct replay *r, struct gtask *t)
{
	const struct rec_call *next = t->rec ? task_call(t->rec, t->cursor) : NULL;
	const struct ev_signal *s = next ? next->signal : NULL;

	/* Stopped, it would never make the call before which its SIGCONT came; and a stop shows nowhere but in time. */
	if (!s || s->signo <= 0 || s->signo >= 65 || stops(s->signo))
		return;
	if (signal_is_timers(s))
		timers_sent(r, t->tgid, s);
	signal_send(r, t, s);
}

/* ---- those for a process of several threads ------------------------------------- */

struct waiting {
	struct waiting *next;
	struct gtask *t;
	struct ev_signal what;
	uint32_t order;
	uint64_t time;
	uint64_t since;
};

static bool is_on_its_way(const struct replay *r, pid_t tgid)
{
	for (const struct sent *s = r->sent; s; s = s->next)
		if (s->tgid == tgid)
			return true;
	return false;
}

void signals_pass(struct replay *r, struct gtask *t)
{
	const struct rec_call *next = task_call(t->rec, t->cursor);
	struct waiting *w, **end = &r->waiting;

	if (!next->signal || !next->signal->group || stops(next->signal->signo) || !has_company(r, t->slot) ||
	    !(w = calloc(1, sizeof(*w)))) {
		signals_due(r, t);
		return;
	}
	*w = (struct waiting){ .t = t, .what = *next->signal, .order = next->order, .time = next->time, .since = now_ns() };
	while (*end && (*end)->order < w->order)
		end = &(*end)->next;
	w->next = *end;
	*end = w;
}

bool signals_wait(const struct replay *r, uint32_t order)
{
	return r->waiting && r->waiting->order < order;
}

bool signals_next(struct replay *r)
{
	struct waiting *w = r->waiting;
	struct gtask *t;

	if (!w)
		return false;
	r->waiting = w->next;
	for (t = r->tasks; t && (t->exited || t->tgid != w->t->tgid); t = t->next)
		;
	if (t && signal_is_timers(&w->what))
		timers_sent(r, t->tgid, &w->what);
	if (t)
		signal_send(r, w->t->exited ? t : w->t, &w->what);
	free(w);
	return true;
}

/* Is one that is due since then to wait yet?  However long the others compute, they do what was recorded before it. */
static bool may_wait(const struct replay *r, uint64_t since)
{
	uint64_t now = now_ns();

	for (const struct gtask *t = r->tasks; t && now - since >= PATIENCE_NS; t = t->next)
		if (!t->exited && t->moved > since)
			since = t->moved;
	return now - since < PATIENCE_NS;
}

static void waiting_look(struct replay *r)
{
	struct waiting *w = r->waiting;

	bool patient = w && may_wait(r, w->since);

	if (!w || (patient && is_on_its_way(r, w->t->tgid)) || (r->opts->real_speed && !pace_is_time(r, w->time)))
		return;
	if (!patient || r->opts->real_speed || others_rest_past(r, w->t, w->order) ||
	    (others_are_past(r, w->t, w->order) && waits_are_past(r, w->t, w->order) && !call_waits(r)))
		signals_next(r);
}

/* ---- on its way ---------------------------------------------------------------- */

static bool take_sent(struct replay *r, pid_t tgid, int signo, struct ev_signal *ret)
{
	for (struct sent **at = &r->sent; *at; at = &(*at)->next) {
		struct sent *s = *at;

		if (s->tgid != tgid || (s->carried ? SIGSTOP : s->what.signo) != signo)
			continue;
		*ret = s->what;
		*at = s->next;
		free(s);
		return true;
	}
	return false;
}

/* A stop ends some calls though nobody handles it (signal(7)): the program made one call, and sees one. */
static void call_again(struct gtask *t)
{
	enum { ERESTARTSYS = 512, ERESTARTNOINTR = 513, ERESTARTNOHAND = 514 };	/* include/linux/errno.h */
	struct user_regs_struct regs;
	int64_t ret;

	t->interrupted = false;
	if (ptrace(PTRACE_GETREGS, t->tid, NULL, &regs) < 0 || regs.orig_rax >= SC_MAX)
		return;
	ret = (int64_t)regs.rax;
	if (ret == -EINTR) {
		regs.rax = regs.orig_rax;
		regs.rip -= 2;	/* the length of the syscall instruction */
		ptrace(PTRACE_SETREGS, t->tid, NULL, &regs);
	}
	if (ret == -EINTR || ret == -ERESTARTSYS || ret == -ERESTARTNOINTR || ret == -ERESTARTNOHAND)
		t->again = (unsigned int)regs.orig_rax + 1;
}

int signal_passes(struct replay *r, struct gtask *t, int signo)
{
	struct ev_signal s;
	siginfo_t si;

	/* What we send comes from outside the guest's pid namespace, and nothing else does. */
	if (ptrace(PTRACE_GETSIGINFO, t->tid, NULL, &si) < 0 || (si.si_code != SI_USER && si.si_code != SI_TKILL) || si.si_pid)
		return signo;
	if (!take_sent(r, t->tgid, signo, &s))
		return signo;
	memset(&si, 0, sizeof(si));
	si.si_signo = s.signo;
	si.si_code = s.code;
	si.si_pid = (pid_t)s.pid;
	si.si_uid = s.uid;
	si.si_value.sival_ptr = (void *)s.value;
	if (ptrace(PTRACE_SETSIGINFO, t->tid, NULL, &si) == 0 && signo != s.signo)
		call_again(t);
	return s.signo;
}

bool call_was_interrupted(struct gtask *t, unsigned int nr)
{
	bool again = t->again == nr + 1;

	t->again = 0;
	return again;
}

/* ---- when ------------------------------------------------------------------------ */

/* A call that leads outside, and that the record does not have. */
static bool is_beyond(const struct call *c)
{
	int fate = sc_table[c->nr].fate;
	bool own = c->t->blocked && c->t->matched;	/* on something of the guest's own */

	return !c->matched && !own &&
	       (fate == SC_READ || fate == SC_WRITE || fate == SC_WAIT || fate == SC_SLEEP || fate == SC_NET);
}

/*
 * Signals that came between this call and the next one are due as soon as the
 * task sleeps.  One that interrupted the next call is sent when that is made
 * (match_call()), one behind the task's last call when it makes another that
 * leads outside, at the latest, the others being done with what came before.
 */
void signals_after(struct replay *r, const struct call *c)
{
	const struct rec_task *rec = c->t->number_at ? NULL : c->t->rec;	/* see goroutines_look() */
	const struct rec_call *rc = rec ? task_surely(rec, c->t->cursor) : NULL;
	size_t next;

	while (rc && rc->signal && task_call(rec, c->t->cursor) != rc)
		c->t->cursor++;
	next = c->t->cursor;
	while (rec && (rc = recording_call_at(r->rec, rec, next)) && rc->signal)
		next++;
	if (!rec || next == c->t->cursor || (rc && rc->call->ret == -EINTR))
		return;
	if (!rc && is_beyond(c) && all_are_past(r, task_call(rec, c->t->cursor)->order)) {
		for (; c->t->cursor < next; c->t->cursor++)
			signals_due(r, c->t);
		return;
	}
	if (!c->t->signals_due)
		c->t->signals_since = now_ns();
	c->t->signals_due = next;
}

/* Asleep, as it was then; or it computes until the timer's time is over, or for ever, and nothing but the signal ends that. */
static bool waits_for_signal(const struct replay *r, const struct gtask *t)
{
	const struct rec_call *rc = task_call(t->rec, t->cursor);
	bool timer = rc->signal && signal_is_timers(rc->signal);
	uint64_t waits = now_ns() - t->signals_since;

	if (r->opts->real_speed && timer && !pace_is_time(r, rc->time))
		return false;
	/* One that goes to sleep between two signals has a moment for that, even if we are late. */
	if (timer && waits > COMPUTES_NS && timers_late(r, t->tgid, rc->signal))
		return true;
	return task_sleeps(t) || waits > 5 * PATIENCE_NS;
}

static bool is_due(struct replay *r, const struct gtask *t)
{
	uint32_t order = task_call(t->rec, t->cursor)->order;

	return all_are_past(r, order) || others_rest_past(r, t, order) || !may_wait(r, t->signals_since);
}

void signals_look(struct replay *r)
{
	waiting_look(r);
	for (struct gtask *t = r->tasks; t; t = t->next) {
		if (!t->signals_due)
			continue;
		if (t->exited || t->cursor >= t->signals_due) {
			t->signals_due = 0;	/* the task's next call came first, and took them along */
			continue;
		}
		if (t->kept || (is_on_its_way(r, t->tgid) && now_ns() - t->signals_since < PATIENCE_NS) || !waits_for_signal(r, t) ||
		    call_waits(r) || !is_due(r, t))
			continue;
		/* One by one: the kernel makes one of two that wait. */
		signals_due(r, t);
		t->signals_since = now_ns();
		if (++t->cursor == t->signals_due)
			t->signals_due = 0;
	}
}

void signals_born(struct gtask *t)
{
	const struct rec_call *rc;
	size_t next = 0;

	while (t->rec && (rc = task_call(t->rec, next)) && rc->signal)
		next++;
	if (!t->cursor && next && (!rc || rc->call->ret != -EINTR)) {
		t->signals_since = now_ns();
		t->signals_due = next;
	}
}

void signals_free(struct replay *r)
{
	while (r->waiting) {
		struct waiting *next = r->waiting->next;

		free(r->waiting);
		r->waiting = next;
	}
	while (r->sent) {
		struct sent *next = r->sent->next;

		free(r->sent);
		r->sent = next;
	}
}
