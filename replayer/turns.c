/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What comes in has its turn among all tasks: a request, a connection, a word
 * that something is ready reaches its task when the others have done what was
 * recorded before it, and have come to rest if the last one was another's.  So
 * several processes and threads that serve do it in the recorded order, though
 * what orders them lies outside: which client spoke first.
 *
 * A call that comes too early is kept as it came, and looked at again.
 */
#include <linux/types.h>

#include "replayer/replay.h"

#include "format/sysdesc.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

#define REST_NS 20000000ull	/* for others to come to rest: some compute for long */
#define QUIET_NS 2000000ull	/* nothing was asked for so long: somebody may wait for a handler */
#define PATIENCE_NS 50000000ull	/* nothing was asked for so long, and all sleep: the others do something else */

struct early {
	struct early *next;
	struct seccomp_notif n;
	struct gtask *t;
	uint32_t order;		/* UINT32_MAX: its counterpart is still to be read, see ahead_of() */
	uint64_t since;		/* when all was done that comes before it; 0: not yet */
};

bool others_are_past(const struct replay *r, const struct gtask *self, uint32_t order)
{
	const struct rec_call *rc;

	for (const struct gtask *t = r->tasks; t; t = next_player(r, t))
		if (t != self && !t->exited && t->rec && (rc = task_surely(t->rec, t->cursor)) && rc->order < order)
			return false;
	for (size_t i = 1; i < r->rec->ntasks; i++)
		if (!r->born[i] && (rc = task_call(&r->rec->tasks[i], 0)) && rc->order < order)
			return false;
	return true;
}

bool all_are_past(const struct replay *r, uint32_t order)
{
	return others_are_past(r, NULL, order);
}

static bool others_rest(const struct replay *r, const struct gtask *self)
{
	for (const struct gtask *t = r->tasks; t; t = t->next)
		if (t != self && !t->exited && !t->early && !task_sleeps(t))
			return false;
	return !call_waits(r);
}

static const struct rec_call *next_call(const struct gtask *t)
{
	const struct rec_call *rc;

	for (size_t i = t->cursor; t->rec && (rc = task_call(t->rec, i)); i++)
		if (rc->call)
			return rc;
	return NULL;
}

bool turn_brings(const struct rec_call *rc)
{
	switch (sc_table[rc->call->nr].fate) {
	case SC_READ:
		return rc->object && !rc->anytime && rc->call->ret >= 0;
	case SC_WAIT:
		return rc->call->ret > 0 && call_seg(rc->call, SEG_READY);
	default:
		return rc->made && (rc->call->nr == SYS_accept || rc->call->nr == SYS_accept4);
	}
}

static bool is_accept(const struct rec_call *rc)
{
	return rc->call->nr == SYS_accept || rc->call->nr == SYS_accept4;
}

/* Does @rc bring something in, be it a signal that interrupts it?  Who waits for a client in vain must not get another's. */
static bool brings(const struct gtask *t, const struct rec_call *rc)
{
	if (rc->call->ret == -EINTR)
		return task_call(t->rec, t->cursor)->signal || is_accept(rc);
	return turn_brings(rc);
}

bool turn_is_meant(struct replay *r, const struct call *c, const struct rec_call *rc)
{
	struct live *l;

	if (c->nr != rc->call->nr)
		return false;
	if (sc_table[c->nr].fate == SC_WAIT || sc_table[c->nr].fate == SC_SLEEP)
		return true;
	l = object_of_fd(r, c, (int)c->args[0], NULL, NULL);
	return l && l->id == rc->object;
}

/* @since: see struct early. */
static bool is_due(struct replay *r, struct gtask *t, uint32_t order, uint64_t *since)
{
	if (!others_are_past(r, t, order))
		return false;
	if (r->last_brought == t)
		return true;
	if (!*since)
		*since = now_ns();
	return others_rest(r, t) || now_ns() - *since > REST_NS;
}

static bool keep(struct replay *r, const struct call *c, uint32_t order, uint64_t since)
{
	struct early *e = calloc(1, sizeof(*e));

	if (!e)
		return false;
	*e = (struct early){ .n = *c->n, .t = c->t, .order = order, .since = since, .next = r->early };
	r->early = e;
	c->t->early = true;
	return true;
}

bool turn_keep(struct replay *r, struct call *c)
{
	const struct rec_call *rc;
	uint64_t since = 0;

	if (!ahead_of(r, c) && keep(r, c, UINT32_MAX, 0))
		return true;
	rc = next_call(c->t);
	if (!rc || !brings(c->t, rc) || r->rec->ntasks <= 2 || !turn_is_meant(r, c, rc))
		return false;
	if (is_due(r, c->t, rc->order, &since)) {
		r->last_brought = c->t;
		return false;
	}
	return keep(r, c, rc->order, since);
}

static void let_in(struct replay *r, struct early **at)
{
	struct early *e = *at;
	struct call c;

	*at = e->next;
	e->t->early = false;
	call_of(&c, &e->n, e->t);
	if (e->order == UINT32_MAX)
		ahead_at_once(r, &c);
	else
		r->last_brought = e->t;
	call_take(r, &c);
	free(e);
}

static struct early **first_of(struct replay *r)
{
	struct early **first = &r->early;

	for (struct early **at = &r->early; *at; at = &(*at)->next)
		if ((*at)->order < (*first)->order)
			first = at;
	return first;
}

/* Those whose counterparts were read by now have their turn like any other. */
static void look_again(struct replay *r)
{
	struct early *waiting = r->early, *next;

	r->early = NULL;
	for (struct early *e = waiting; e; e = next) {
		struct call c;

		next = e->next;
		call_of(&c, &e->n, e->t);
		if (e->order != UINT32_MAX || (!e->t->exited && ahead_is_missing(r, &c))) {
			e->next = r->early;
			r->early = e;
			continue;
		}
		e->t->early = false;
		if (!turn_keep(r, &c))
			call_take(r, &c);
		free(e);
	}
}

/*
 * A signal from inside has come that a handler is to take.  When recorded, it
 * came before the call: the others may wait for what the handler does.
 */
static void send_back(struct replay *r)
{
	enum { ERESTARTNOINTR = 513 };	/* include/linux/errno.h: the call is made again behind the handler */

	for (struct early **at = &r->early; *at;) {
		struct early *e = *at;
		struct call c;

		if (e->t->exited || !signal_is_pending(e->t)) {
			at = &e->next;
			continue;
		}
		*at = e->next;
		e->t->early = false;
		call_of(&c, &e->n, e->t);
		c.ret = -ERESTARTNOINTR;
		call_respond(r, &c);
		free(e);
	}
}

void turns_look(struct replay *r)
{
	if (r->early)
		look_again(r);
	if (r->early && now_ns() - r->last_activity > QUIET_NS)
		send_back(r);
	while (r->early) {
		struct early **first = first_of(r);

		if ((*first)->t->exited || is_due(r, (*first)->t, (*first)->order, &(*first)->since)) {
			let_in(r, first);
			continue;
		}
		if (now_ns() - r->last_activity < PATIENCE_NS || !tasks_asleep(r))
			return;
		let_in(r, first);
		r->last_activity = now_ns();
	}
}

void turns_free(struct replay *r)
{
	while (r->early) {
		struct early *next = r->early->next;

		free(r->early);
		r->early = next;
	}
}
