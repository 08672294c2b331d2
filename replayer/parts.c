/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which of several threads that do the same is about to do what?  In a pool any
 * thread takes any work, as chance has it, so the calls of one thread are no
 * guide: what tells is the object.  Its next recorded call says whose part a
 * thread is about to play that makes such a call: for a write, the next that
 * says the same.
 *
 * - It is its own next: so it is.
 * - It is another's next, and not its own: it takes over that part (roles.c).
 * - It could be either's, or that part has something else to do first: it is
 *   kept until the others have got on.  When all rest and that part has nothing
 *   else to do, nobody else is going to make the call: the part is its own.
 */
#include <linux/types.h>

#include "replayer/replay.h"

#include "format/cleanup.h"
#include "format/sysdesc.h"

#include <string.h>
#include <sys/syscall.h>

enum { MAX_SAID = 65536 };	/* bytes of a write that tell it from others */

/* What is written, as far as it tells. */
struct said {
	uint8_t *data;
	size_t len;
};

static void said_free(struct said *s) { free(s->data); }

static void said_by(const struct call *c, struct said *s)
{
	struct guest_iov iov;

	if (sc_table[c->nr].fate == SC_WRITE && guest_iov_of(c->t->tid, c->nr, c->args, 0, &iov, NULL) == 0)
		guest_gather(c->t->tid, &iov, MAX_SAID, &s->data, &s->len);
}

static bool says_the_same(const struct question *q, const struct rec_call *rc, const struct said *s)
{
	struct bytes then = call_payload(q->r->rec, rc->call);
	size_t n = then.len < s->len ? then.len : s->len;

	return n && then.data && memcmp(then.data, s->data, n) == 0;
}

/* Is it a call of which there is one, so that somebody is going to make it? */
static bool tells(const struct question *q, const struct rec_call *rc, const struct said *s)
{
	switch (sc_table[q->c->nr].fate) {
	case SC_WRITE:
		return says_the_same(q, rc, s);
	case SC_READ:
		return rc->object && !rc->anytime && rc->call->ret >= 0 && rc->call->nr == q->c->nr && rc->call->args[2] == q->c->args[2];
	default:
		return rc->made;
	}
}

/* Whose is the object's next recorded call? */
struct part {
	const struct rec_task *rec;
	struct gtask *holder;		/* NULL: it was not started here */
	const struct rec_call *rc;	/* NULL: nobody's */
	bool next;			/* it moves nothing else before */
};

static void consider(const struct question *q, const struct said *s, const struct rec_task *rec, struct gtask *t, struct part *first)
{
	size_t seen, at = t ? t->cursor : 0;
	const struct rec_call *next = match_look(q, rec, at, is_mark, &seen);
	const struct rec_call *rc = next ? next : match_look(q, rec, at, NULL, &seen);

	if (rc && (!first->rc || rc->order < first->rc->order) && tells(q, rc, s))
		*first = (struct part){ .rec = rec, .holder = t, .rc = rc, .next = next };
}

/* The recorded process of @t, by its first task; 0: it has none. */
static uint32_t process_of(const struct replay *r, const struct gtask *t)
{
	for (const struct gtask *o = r->tasks; o; o = o->next)
		if (o->tgid == t->tgid && o->rec)
			return o->rec->process;
	return 0;
}

static struct part first_part(const struct question *q, const struct said *s)
{
	const struct replay *r = q->r;
	uint32_t process = process_of(r, q->c->t);
	struct part first = { 0 };

	for (struct gtask *t = r->tasks; t; t = t->next)
		if (t->tgid == q->c->t->tgid && t->rec)
			consider(q, s, t->rec, t, &first);
	for (size_t i = 1; process && i < r->rec->ntasks; i++)
		if (!r->born[i] && r->rec->tasks[i].thread && r->rec->tasks[i].process == process)
			consider(q, s, &r->rec->tasks[i], NULL, &first);
	return first;
}

/* Is @own the object's next, before any other that it tells of? */
static bool is_first(const struct question *q, const struct rec_call *own)
{
	return sc_table[q->c->nr].fate == SC_WRITE ? own->turn <= q->l->turn : own->arrivals <= q->l->heard + 1;
}

static bool is_one_of_many(const struct replay *r, const struct call *c)
{
	int fate = sc_table[c->nr].fate;

	return !c->t->number_at && !in_start_up(r, c->t) && (fate == SC_READ || fate == SC_WRITE || c->nr == SYS_accept || c->nr == SYS_accept4) &&
	       has_company(r, c->t->slot);
}

bool part_is_open(struct replay *r, struct call *c, bool now)
{
	_cleanup_(said_free) struct said s = { 0 };
	struct question q = { .r = r, .c = c };
	const struct rec_call *own;
	struct part first;
	size_t seen;

	if (!is_one_of_many(r, c))
		return false;
	q.l = object_of_fd(r, c, sc_table[c->nr].fate == SC_WRITE ? out_fd(c) : (int)c->args[0], NULL, NULL);
	if (!q.l || is_anytime(q.l->rec))
		return false;
	own = match_look(&q, c->t->rec, c->t->cursor, is_mark, &seen);
	if (own && is_first(&q, own))
		return false;
	said_by(c, &s);
	if (own && sc_table[c->nr].fate == SC_WRITE && !says_the_same(&q, own, &s))
		own = NULL;
	first = first_part(&q, &s);
	if (!first.rc || (first.holder == c->t && first.next))
		return false;
	if (!first.next || (!now && (!first.holder || own)))
		return true;
	if (!first.holder)
		first.holder = task_unborn(r, c->t->tgid, first.rec);
	if (!first.holder || turn_waits(r, first.holder))
		return true;
	role_exchange(r, c->t, first.holder);
	return false;
}
