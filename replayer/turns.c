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
#define PATIENCE_NS 50000000ull	/* nothing was asked for so long, and all sleep: the others do something else */

struct early {
	struct early *next;
	struct seccomp_notif n;
	struct gtask *t;
	uint32_t order;
	uint64_t since;		/* when all was done that comes before it; 0: not yet */
};

/* Has everybody but @self (NULL: everybody) done what was recorded before event @order? */
static bool others_are_past(const struct replay *r, const struct gtask *self, uint32_t order)
{
	for (const struct gtask *t = r->tasks; t; t = t->next)
		if (t != self && !t->exited && t->rec && t->cursor < t->rec->ncalls &&
		    t->rec->calls[t->cursor].order < order)
			return false;
	for (size_t i = 1; i < r->rec->ntasks; i++) {
		const struct rec_task *rec = &r->rec->tasks[i];

		if (!r->born[i] && rec->ncalls && rec->calls[0].order < order)
			return false;
	}
	return true;
}

bool all_are_past(const struct replay *r, uint32_t order)
{
	return others_are_past(r, NULL, order);
}

static bool others_rest(const struct replay *r, const struct gtask *self)
{
	for (const struct gtask *t = r->tasks; t; t = t->next)
		if (t != self && !t->exited && !task_sleeps(t))
			return false;
	return !call_waits(r);
}

static const struct rec_call *next_call(const struct gtask *t)
{
	for (size_t i = t->cursor; t->rec && i < t->rec->ncalls; i++)
		if (t->rec->calls[i].call)
			return &t->rec->calls[i];
	return NULL;
}

/* Does @rc bring something in, be it a signal that interrupts it? */
static bool brings(const struct gtask *t, const struct rec_call *rc)
{
	if (rc->call->ret == -EINTR)
		return t->rec->calls[t->cursor].signal;
	switch (sc_table[rc->call->nr].fate) {
	case SC_READ:
		return rc->object && rc->call->ret >= 0;
	case SC_WAIT:
		return rc->call->ret > 0 && call_seg(rc->call, SEG_READY);
	default:
		return rc->made && (rc->call->nr == SYS_accept || rc->call->nr == SYS_accept4);
	}
}

/* Is @c about to get what @rc got?  A read of the guest's own has nothing to wait for. */
static bool is_meant(struct replay *r, const struct call *c, const struct rec_call *rc)
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

bool turn_keep(struct replay *r, struct call *c)
{
	const struct rec_call *rc = next_call(c->t);
	uint64_t since = 0;
	struct early *e;

	if (!rc || !brings(c->t, rc) || r->rec->ntasks <= 2 || !is_meant(r, c, rc))
		return false;
	if (is_due(r, c->t, rc->order, &since)) {
		r->last_brought = c->t;
		return false;
	}
	e = calloc(1, sizeof(*e));
	if (!e)
		return false;
	*e = (struct early){ .n = *c->n, .t = c->t, .order = rc->order, .since = since, .next = r->early };
	r->early = e;
	return true;
}

static void let_in(struct replay *r, struct early **at)
{
	struct early *e = *at;
	struct call c;

	*at = e->next;
	r->last_brought = e->t;
	call_of(&c, &e->n, e->t);
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

void turns_look(struct replay *r)
{
	while (r->early) {
		struct early **first = first_of(r);

		if ((*first)->t->exited || is_due(r, (*first)->t, (*first)->order, &(*first)->since)) {
			let_in(r, first);
			continue;
		}
		if (now_ns() - r->last_activity < PATIENCE_NS || !tasks_asleep(r) || call_waits(r))
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
