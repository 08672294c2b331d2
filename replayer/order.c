/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What must keep its order among tasks that run side by side.
 *
 * Writes of several tasks to one outside object (stdout, a log connection):
 * outside they have one order, the recorded one, while nothing inside need
 * enforce it.  So a write waits until those before it were made, as long as
 * their tasks are there to make them.
 *
 * Forks: the next pid is the whole sandbox's, so from setting it to the birth
 * of its task nobody else may fork.
 */
#include <linux/types.h>

#include "replayer/replay.h"

#include "format/sysdesc.h"

#include <stdlib.h>
#include <string.h>

#define PATIENCE_NS 900000000ull	/* with tasks that all sleep; less than a peer has before it speaks out of turn */
#define BIRTH_NS 200000000ull		/* a fork that nothing came of has failed */

enum kept_kind { KEPT_WRITE, KEPT_FORK, KEPT_SAID, KEPT_ASKS };
struct kept {
	struct kept *next;
	enum kept_kind kind;
	struct seccomp_notif n;
	struct gtask *t;
	struct live *l;			/* KEPT_WRITE */
	const struct rec_call *rc;
	int clock;			/* KEPT_ASKS; -1: random bytes */
	uint64_t since;
};

static bool keep(struct replay *r, struct call *c, enum kept_kind kind, struct live *l, const struct rec_call *rc)
{
	struct kept *k = calloc(1, sizeof(*k)), **end = &r->kept;

	if (!k)
		return false;
	recording_hold(r->rec, rc);
	*k = (struct kept){ .kind = kind, .n = *c->n, .t = c->t, .l = l, .rc = rc, .since = now_ns() };
	while (*end)
		end = &(*end)->next;
	*end = k;
	task_kept(c->t, true);
	c->answered = true;
	return true;
}

/* ---- writes ------------------------------------------------------------------ */

static struct gtask *task_of_record(struct replay *r, const struct rec_task *rec)
{
	for (struct gtask *t = r->tasks; t; t = next_player(r, t))
		if (t->rec == rec)
			return t;
	return NULL;
}

/* Has @rec still to make a write to @l that comes before @before? */
static bool owes_write(struct replay *r, const struct rec_task *rec, const struct live *l, const struct rec_call *before)
{
	const struct gtask *t = task_of_record(r, rec);
	const struct rec_call *rc;

	if (t && t->exited)
		return false;
	for (size_t i = t ? t->cursor : 0; (rc = task_call(rec, i)) && rc->order < before->order; i++) {
		if (rc->call && rc->object == l->id && sc_table[rc->call->nr].fate == SC_WRITE)
			return true;
	}
	return false;
}

/* A write that is kept was passed by its task's cursor, and is still to be made. */
static bool kept_before(const struct replay *r, const struct live *l, const struct rec_call *rc)
{
	for (const struct kept *k = r->kept; k; k = k->next)
		if (k->kind == KEPT_WRITE && k->l == l && k->rc->order < rc->order)
			return true;
	return false;
}

static bool must_wait(struct replay *r, const struct gtask *t, const struct live *l, const struct rec_call *rc)
{
	if (!l->rec->shared || l->unordered || l->turn >= rc->turn)
		return false;
	if (kept_before(r, l, rc))
		return true;
	for (size_t i = 1; i < r->rec->ntasks; i++)
		if (&r->rec->tasks[i] != t->rec && owes_write(r, &r->rec->tasks[i], l, rc))
			return true;
	return false;
}

bool order_write(struct replay *r, struct call *c, struct live *l, const struct rec_call *rc)
{
	return rc && must_wait(r, c->t, l, rc) && keep(r, c, KEPT_WRITE, l, rc);
}

/* ---- what goroutines say ------------------------------------------------------- */

bool order_said(struct replay *r, struct call *c)
{
	return write_is_early(r, c) && keep(r, c, KEPT_SAID, NULL, NULL);
}

static bool is_early(struct replay *r, const struct kept *k)
{
	struct call c;

	call_of(&c, &k->n, k->t);
	return write_is_early(r, &c);
}

/* ---- what goroutines ask ------------------------------------------------------- */

bool order_asks(struct replay *r, struct call *c, int clock)
{
	struct kept *k;

	if (!goroutine_is_any(r, c->t, clock) || !keep(r, c, KEPT_ASKS, NULL, NULL))
		return false;
	for (k = r->kept; k->next; k = k->next)
		;
	k->clock = clock;
	return true;
}

/* All that could begin beside them have: the last of several has the highest number. */
static void align(struct replay *r, const struct kept *of)
{
	const struct kept *last = of;

	for (const struct kept *k = r->kept; k; k = k->next)
		if (k->kind == KEPT_ASKS && k->t->tgid == of->t->tgid && k->t->begins == of->t->begins && !k->t->placed &&
		    k->t->goroutine > last->t->goroutine)
			last = k;
	goroutines_align(r, last->t, last->clock);
	for (struct kept *k = r->kept; k; k = k->next)
		if (k->kind == KEPT_ASKS && k->t->tgid == of->t->tgid && k->t->begins == of->t->begins)
			k->t->placed = true;
}

/* ---- forks ------------------------------------------------------------------- */

static bool is_forking(const struct replay *r)
{
	return r->forking && !r->forking->exited && now_ns() - r->forking_since < BIRTH_NS;
}

static void begin_fork(struct replay *r, struct gtask *t)
{
	if (!tasks_expect_child(r, t))
		return;
	r->forking = t;
	r->forking_since = now_ns();
}

void order_fork(struct replay *r, struct call *c)
{
	c->cont = true;
	if (is_forking(r) && keep(r, c, KEPT_FORK, NULL, NULL))
		return;
	begin_fork(r, c->t);
}

void order_forked(struct replay *r, const struct gtask *t)
{
	if (r->forking == t)
		r->forking = NULL;
}

/* ---- all of them --------------------------------------------------------------- */

static bool is_due(struct replay *r, const struct kept *k, uint64_t now)
{
	if (k->t->exited)
		return true;
	if (k->kind == KEPT_FORK)
		return !is_forking(r);
	if (k->kind == KEPT_ASKS && !k->t->placed && tasks_asleep(r) && !call_waits(r))
		align(r, k);
	if (k->kind == KEPT_ASKS)
		return k->t->placed;
	if (k->kind == KEPT_SAID ? !is_early(r, k) : !must_wait(r, k->t, k->l, k->rc))
		return true;
	/* Who was before it does something else now: changed code. */
	if (now - k->since < PATIENCE_NS || !tasks_asleep(r))
		return false;
	if (k->kind == KEPT_WRITE)
		k->l->unordered = true;
	return true;
}

static void let_go(struct replay *r, struct kept *k)
{
	struct call c = { .n = &k->n, .t = k->t, .cont = true, .matched = true };

	c.nr = (unsigned int)k->n.data.nr < SC_MAX ? (unsigned int)k->n.data.nr : 0;
	memcpy(c.args, k->n.data.args, sizeof(c.args));
	task_kept(k->t, false);
	r->last_activity = now_ns();
	if (k->kind == KEPT_SAID && !k->t->exited) {
		call_of(&c, &k->n, k->t);
		answer_said(r, &c);
	}
	if (k->kind == KEPT_ASKS && !k->t->exited) {
		call_of(&c, &k->n, k->t);
		call_answer(r, &c);
	}
	if (k->kind == KEPT_WRITE && !k->t->exited) {
		c.cont = false;
		write_matched(r, &c, k->l, k->rc);
	} else if (k->kind == KEPT_FORK && !k->t->exited) {
		begin_fork(r, k->t);
	}
	if (!c.answered)
		call_respond(r, &c);
	recording_release(r->rec, k->rc);
	free(k);
}

void order_look(struct replay *r)
{
	uint64_t now = r->kept ? now_ns() : 0;

	for (struct kept **at = &r->kept; *at;) {
		struct kept *k = *at;

		if (!is_due(r, k, now)) {
			at = &k->next;
			continue;
		}
		*at = k->next;
		let_go(r, k);
		at = &r->kept;		/* it may have been what another waited for */
	}
}

void order_free(struct replay *r)
{
	while (r->kept) {
		struct kept *k = r->kept;

		r->kept = k->next;
		free(k);
	}
}
