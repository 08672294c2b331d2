/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which child's end is told of first?  Of several that end at a time it is
 * chance, and programs print it, or do one thing after the other by it.  So
 * wait4() and waitid() are recorded, and tell of the same child again.
 *
 * A tracer is told first: the kernel lets the parent know (SIGCHLD, wait) when
 * we have taken note of the child's end.  So an ended child waits with us until
 * its parent has done what was recorded before that end, and has been told of
 * those that it learnt of before.  A wait that told of a child waits for it; one
 * that told of nobody does so at once.  A call that was made after a handler of
 * SIGCHLD had asked is sent back, to be made again when the handler has run.
 */
#include <linux/types.h>

#include "replayer/replay.h"

#include "format/cleanup.h"
#include "format/io.h"
#include "format/sysdesc.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>

enum { ERESTARTNOINTR = 513 };	/* include/linux/errno.h: with a signal pending, the call is made again behind its handler */
#define PATIENCE_NS 100000000ull	/* nothing was asked for so long, and all sleep: changed code */

enum reaping_kind {
	REAPS,		/* it tells of the child */
	BEHIND_HANDLER,	/* another call, before which a handler is to learn of the child */
	BEFORE_HANDLER,	/* another call, at whose end a handler is to: the child has to end first */
};

struct reaping {
	struct reaping *next;
	struct seccomp_notif n;
	struct gtask *t;
	const struct rec_task *child;
	uint64_t since;
	enum reaping_kind kind;
};

static struct gtask *holder(const struct replay *r, const struct rec_task *rec)
{
	for (struct gtask *t = r->tasks; t; t = t->next)
		if (t->rec == rec)
			return t;
	return NULL;
}

/* Does its parent know of its end, and is done with it? */
static bool is_reaped(const struct replay *r, const struct rec_task *rec)
{
	const struct gtask *t = r->born[rec->id] ? holder(r, rec) : NULL;

	return t && t->exited && kill(t->tid, 0) < 0 && errno == ESRCH;
}

/* Is there another child that the same task learnt of before, where it could have learnt of this one? */
static bool comes_later(const struct replay *r, const struct rec_task *rec)
{
	for (size_t i = 1; i < r->rec->ntasks; i++) {
		const struct rec_task *o = &r->rec->tasks[i];

		if (o->reaper == rec->reaper && o->reaped_as_any && o->reap_order < rec->reap_order && !is_reaped(r, o))
			return true;
	}
	return false;
}

/* Does a call wait for the child's end that was under way when that came? */
static bool is_awaited(const struct replay *r, const struct rec_task *child)
{
	for (const struct reaping *k = r->reaping; k; k = k->next)
		if (k->kind == BEFORE_HANDLER && k->child == child)
			return true;
	return false;
}

/* Is something from outside still to come to @t before event @order? */
static bool gets_before(const struct gtask *t, uint32_t order)
{
	const struct rec_call *rc;

	for (size_t i = t->cursor; (rc = task_call(t->rec, i)) && rc->order < order; i++)
		if (rc->call && turn_brings(rc))
			return true;
	return false;
}

static bool is_early(const struct replay *r, const struct gtask *t)
{
	const struct gtask *reaper = holder(r, &r->rec->tasks[t->rec->reaper]);
	const struct rec_call *next = reaper && !reaper->exited ? task_surely(reaper->rec, reaper->cursor) : NULL;

	if (!reaper || reaper->exited)
		return false;
	return (next && next->order < t->rec->exit_order) || comes_later(r, t->rec) ||
	       (gets_before(reaper, t->rec->reap_order) && !is_awaited(r, t->rec));
}

bool reap_must_wait(struct replay *r, struct gtask *t)
{
	if (!t || !t->rec || !t->rec->reap_order || t->rec->reaper >= r->rec->ntasks || t->tid != t->tgid)
		return false;
	if (!is_early(r, t)) {
		t->ended_since = 0;
		return false;
	}
	if (!t->ended_since)
		t->ended_since = now_ns();
	if (now_ns() - t->ended_since > PATIENCE_NS && now_ns() - r->last_activity > PATIENCE_NS && tasks_asleep(r))
		return false;
	r->ends_wait = true;
	return true;
}

/* ---- the calls --------------------------------------------------------------- */

static bool keep(struct replay *r, const struct call *c, const struct rec_task *child, enum reaping_kind kind)
{
	struct reaping *k = calloc(1, sizeof(*k));

	if (!k)
		return false;
	*k = (struct reaping){ .n = *c->n, .t = c->t, .child = child, .kind = kind, .since = now_ns(), .next = r->reaping };
	r->reaping = k;
	return true;
}

/* Is SIGCHLD's bit set in line @what of /proc/PID/status? */
static bool child_signal(const struct gtask *t, const char *what)
{
	_cleanup_free_ char *text = NULL;
	char path[64], line[16];
	const char *at;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/status", t->tgid, t->tid);
	snprintf(line, sizeof(line), "\n%s:", what);
	if (io_slurp(path, 1 << 16, &text, NULL) < 0 || !(at = strstr(text, line)))
		return false;
	return strtoull(at + strlen(line), NULL, 16) >> (SIGCHLD - 1) & 1;
}

static const struct rec_task *child_of(const struct replay *r, const struct rec_call *rc)
{
	for (size_t i = 1; i < r->rec->ntasks; i++)
		if (r->rec->tasks[i].reap_order == rc->order)
			return &r->rec->tasks[i];
	return NULL;
}

/* There is no end of that child to come, or it is there to be told of. */
static bool is_told(const struct replay *r, const struct rec_task *child)
{
	const struct gtask *t = r->born[child->id] ? holder(r, child) : NULL;

	return t && t->exited;
}

static int options(const struct call *c)
{
	return c->nr == SYS_wait4 ? 2 : 3;
}

static bool hangs(const struct call *c)
{
	return !(c->args[options(c)] & WNOHANG);
}

/* The recorded call at the cursor, or behind waits that SIGCHLD may have ended, if it is this question; a signal from outside that comes first is not passed over for it. */
static const struct rec_call *next_of(const struct call *c)
{
	size_t at = c->t->cursor;
	const struct rec_call *rc;

	while (c->t->rec && is_cut_off(c->t->rec, at))
		at++;
	rc = c->t->rec ? task_call(c->t->rec, at) : NULL;
	return rc && rc->call && rc->call->nr == c->nr && rc->call->args[options(c)] == c->args[options(c)] ? rc : NULL;
}

/* A child of @t's that it was told of, and has not learnt of. */
static bool somebody_waits(const struct replay *r, const struct gtask *t)
{
	for (const struct gtask *o = r->tasks; o; o = o->next)
		if (o->rec && o->exited && o->rec->reap_order && o->rec->reaper == t->rec->id && !is_reaped(r, o->rec))
			return true;
	return false;
}

/* Did a signal from outside come before the call that was just matched? */
static bool was_signalled(const struct gtask *t, size_t before)
{
	const struct rec_call *rc;

	for (size_t i = before; i < t->cursor && (rc = task_call(t->rec, i)); i++)
		if (rc->signal)
			return true;
	return false;
}

/*
 * How often a program asks whether a child has ended, and finds none that has,
 * is chance: handlers of SIGCHLD run once for one or for several, and before a
 * wait or in it.  So such a question is matched in its place only, with a child that is there, and none
 * is told of nobody while there is one.
 */
static const struct rec_call *match_reap(struct replay *r, struct call *c)
{
	const struct rec_call *rc, *next;
	const struct rec_task *child;

	while (hangs(c)) {
		size_t before = c->t->cursor;

		rc = match_call(r, c, NULL, NULL);
		if (!rc || rc->call->ret != -EINTR || was_signalled(c->t, before))
			return rc;
	}
	do {
		next = next_of(c);
		child = next ? child_of(r, next) : NULL;
		if (!next || (child && !r->born[child->id]))
			return NULL;
		rc = match_call(r, c, NULL, NULL);
	} while (rc && rc->call->ret <= 0 && !child && somebody_waits(r, c->t));
	return rc;
}

void answer_reap(struct replay *r, struct call *c)
{
	const struct rec_call *rc = match_reap(r, c);
	const struct rec_task *child = rc ? child_of(r, rc) : NULL;

	c->cont = true;		/* and if it waits, then for the guest's own */
	if (rc && rc->call->ret == 0 && !reaped_child(rc->call)) {
		c->cont = false;
		c->ret = 0;
		if (give_outputs(r, c, rc) < 0)
			c->ret = -EFAULT;
		return;
	}
	if (!child || is_told(r, child) || (!reaps_any(rc->call) && hangs(c)))
		return;
	c->answered = keep(r, c, child, REAPS);
}

/* The next call that is sure to come behind what a handler of SIGCHLD asks. */
static const struct rec_call *behind_handler(const struct rec_task *t, size_t at)
{
	const struct rec_call *rc;

	while ((rc = task_call(t, at)) && rc->call && sc_table[rc->call->nr].fate == SC_REAP)
		at++;
	return rc && rc->call ? rc : NULL;
}

/* Was @c made, as recorded, after the handler had learnt of a child's end at event @order? */
static bool comes_after(struct replay *r, const struct call *c, uint32_t order)
{
	const struct rec_task *t = c->t->rec;
	const struct rec_call *rc = behind_handler(t, c->t->cursor);

	if (sc_table[c->nr].fate == SC_TASK)
		return c->t->nchildren < t->nchildren && r->rec->tasks[t->children[c->t->nchildren]].born_order > order;
	return rc && turn_is_meant(r, c, rc);
}

/* A signal that is pending when a call ends reaches its handler before the program goes on. */
static bool keep_before(struct replay *r, struct call *c)
{
	const struct rec_task *t = c->t->rec, *child;
	const struct rec_call *rc = t ? task_surely(t, c->t->cursor) : NULL, *next;
	size_t at = c->t->cursor;

	if (!rc || !rc->call || !turn_brings(rc))
		return false;
	while (task_call(t, at) != rc)
		at++;
	next = task_surely(t, at + 1);
	child = next && next->call && sc_table[next->call->nr].fate == SC_REAP ? child_of(r, next) : NULL;
	if (!child || !r->born[child->id] || child->exit_order > rc->order || is_told(r, child) || c->t->not_before == next->order ||
	    !turn_is_meant(r, c, rc) || !child_signal(c->t, "SigCgt") || child_signal(c->t, "SigBlk"))
		return false;
	c->t->not_before = next->order;
	return keep(r, c, child, BEFORE_HANDLER);
}

bool reap_keep(struct replay *r, struct call *c)
{
	const struct rec_call *rc = c->t->rec ? task_surely(c->t->rec, c->t->cursor) : NULL;
	const struct rec_task *child;

	if (keep_before(r, c))
		return true;
	if (!rc || !rc->call || sc_table[rc->call->nr].fate != SC_REAP || sc_table[c->nr].fate == SC_REAP)
		return false;
	child = child_of(r, rc);
	if (!child || !r->born[child->id] || is_reaped(r, child) || !reaps_any(rc->call) || c->t->not_before == rc->order ||
	    !child_signal(c->t, "SigCgt") || child_signal(c->t, "SigBlk") || !comes_after(r, c, rc->order))
		return false;
	c->t->not_before = rc->order;
	return keep(r, c, child, BEHIND_HANDLER);
}

static bool is_over(struct replay *r, const struct reaping *k)
{
	if (k->t->exited || (k->kind == BEHIND_HANDLER ? child_signal(k->t, "ShdPnd") : is_told(r, k->child)))
		return true;
	return now_ns() - k->since > PATIENCE_NS && now_ns() - r->last_activity > PATIENCE_NS && tasks_asleep(r);
}

void reap_look(struct replay *r)
{
	if (r->ends_wait) {
		r->ends_wait = false;
		tasks_pump(r);
	}
	for (struct reaping **at = &r->reaping; *at;) {
		struct reaping *k = *at;
		struct call c;

		if (!is_over(r, k)) {
			at = &k->next;
			continue;
		}
		*at = k->next;
		call_of(&c, &k->n, k->t);
		c.cont = k->kind == REAPS;
		c.ret = -ERESTARTNOINTR;
		if (k->kind == REAPS || (k->kind == BEHIND_HANDLER && child_signal(k->t, "ShdPnd")))
			call_respond(r, &c);
		else if (!turn_keep(r, &c))
			call_take(r, &c);	/* BEHIND_HANDLER: it does not come */
		free(k);
	}
}

void reap_free(struct replay *r)
{
	while (r->reaping) {
		struct reaping *next = r->reaping->next;

		free(r->reaping);
		r->reaping = next;
	}
}
