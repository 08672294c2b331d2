/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which recorded call is this one?
 *
 * Each guest thread has a cursor into the calls of its recorded counterpart.
 * Unchanged code finds its call right at the cursor, every time.  Changed code
 * may have more calls (no match: they get natural semantics) or fewer (the
 * cursor passes over the recorded ones that were not made, within bounds).
 */
#include <linux/types.h>

#include "replayer/replay.h"

#include "format/sysdesc.h"

#include <string.h>
#include <sys/syscall.h>

enum { LOOK_AHEAD = 64 };

/* Calls that differ in form only: changed code may use another one of the same family. */
static unsigned int family(unsigned int nr)
{
	switch (nr) {
	case SYS_ppoll:
		return SYS_poll;
	case SYS_pselect6:
		return SYS_select;
	case SYS_epoll_pwait: case 441:	/* epoll_pwait2 */
		return SYS_epoll_wait;
	case SYS_accept4:
		return SYS_accept;
	}
	switch (sc_table[nr].fate) {
	case SC_READ:
		return SYS_read;
	case SC_WRITE:
		return SYS_write;
	case SC_SLEEP:
		return SYS_nanosleep;
	default:
		return nr;
	}
}

static bool same_string(const struct call *c, const struct ev_call *rec, uint8_t arg)
{
	const struct ev_seg *s = call_seg(rec, arg);
	char now[4096];

	if (!s || !s->data || s->len > sizeof(now))
		return true;
	return guest_read(c->t->tid, c->args[arg], now, s->len) == 0 && memcmp(now, s->data, s->len) == 0;
}

/* Numbers, fds and paths are the question that an identity call asks; other pointers are not. */
static bool same_question(const struct call *c, const struct ev_call *rec)
{
	const struct sc_desc *d = &sc_table[c->nr];

	for (int i = 0; i < d->nargs; i++) {
		uint8_t kind = d->arg[i].kind;

		if ((kind == SC_VAL || kind == SC_FDARG) && (uint32_t)c->args[i] != (uint32_t)rec->args[i])
			return false;
		if (kind == SC_STR && !same_string(c, rec, (uint8_t)i))
			return false;
	}
	return true;
}

static bool same_kind(const struct rec_object *o, const struct socket_kind *k)
{
	return k && k->family && o->o && (o->o->kind == OBJ_SOCKET || o->inner) && o->o->family == k->family &&
	       (o->o->type & 0xf) == k->type;
}

static bool same_object(struct replay *r, const struct rec_call *rc, const struct live *l,
			const struct socket_kind *kind)
{
	if (l)
		return rc->object == l->id;
	return rc->object && !r->live[rc->object].bound && same_kind(&r->rec->objects[rc->object], kind);
}

/* A failure that came from the recording machine comes again where it came. */
static bool same_failure(const struct call *c, const struct rec_call *rc, const struct ev_seg *place)
{
	uint64_t before;

	if (rc->call->nr != c->nr || !place->data || place->len != sizeof(before))
		return false;
	memcpy(&before, place->data, sizeof(before));
	return c->t->file_writes >= before && same_question(c, rc->call);
}

static bool same_call(struct replay *r, const struct call *c, const struct rec_call *rc, const struct live *l,
		      const struct socket_kind *kind)
{
	const struct ev_seg *place = rc->call ? call_seg(rc->call, SEG_PLACE) : NULL;
	int fate = sc_table[c->nr].fate;

	if (place)
		return !l && !kind && same_failure(c, rc, place);
	if (!rc->call || sc_table[rc->call->nr].fate != fate || family(c->nr) != family(rc->call->nr))
		return false;
	switch (fate) {
	case SC_READ:
	case SC_WRITE:
		return same_object(r, rc, l, kind);
	case SC_NET:
		return same_object(r, rc, l, kind) || (!rc->object && !l);
	case SC_OPEN: case SC_PATH: case SC_RUN:
		return false;
	case SC_SERVE:
		return same_question(c, rc->call) && (!sc_table[c->nr].fd || same_object(r, rc, l, kind));
	default:
		return true;
	}
}

/* A recorded call that moved something: changed code that makes a call of little weight must not jump over it. */
static bool weighty(const struct rec_call *rc)
{
	int fate;

	if (!rc->call)
		return false;
	fate = sc_table[rc->call->nr].fate;
	return ((fate == SC_READ || fate == SC_WRITE) && rc->object && rc->call->ret > 0) ||
	       (fate == SC_NET && rc->made);
}

/* A call that comes once and at its place: it moved something in or out. How often a program waits is not sure. */
static bool is_mark(const struct rec_call *rc)
{
	int fate;

	if (!rc->call || !rc->object)
		return false;
	fate = sc_table[rc->call->nr].fate;
	return fate == SC_NET || ((fate == SC_READ || fate == SC_WRITE) && rc->call->ret > 0);
}

uint32_t next_mark(const struct rec_task *t, size_t at)
{
	while (at < t->ncalls && !is_mark(&t->calls[at]))
		at++;
	return at < t->ncalls ? t->calls[at].order : UINT32_MAX;
}

bool marks_are_made(const struct replay *r, uint32_t order)
{
	for (const struct gtask *t = r->tasks; t; t = t->next)
		if (t->rec && next_mark(t->rec, t->cursor) < order)
			return false;
	for (size_t i = 1; i < r->rec->ntasks; i++)
		if (!r->born[i] && next_mark(&r->rec->tasks[i], 0) < order)
			return false;
	return true;
}

void match_clocks(struct replay *r, struct gtask *t, const struct rec_call *rc)
{
	if (is_mark(rc))
		streams_reach(r->streams, t->slot, rc->order, next_mark(t->rec, t->cursor));
}

struct question {
	struct replay *r;
	const struct call *c;
	const struct live *l;
	const struct socket_kind *kind;
};

/* The counterpart of the call among @rec's, from @at on; not beyond a call that @stop names. @seen: how many it is away. */
static const struct rec_call *look(const struct question *q, const struct rec_task *rec, size_t at,
				   bool (*stop)(const struct rec_call *), size_t *seen)
{
	*seen = 0;
	for (size_t i = at; rec && i < rec->ncalls && *seen < LOOK_AHEAD; i++) {
		const struct rec_call *rc = &rec->calls[i];

		if (!rc->call)
			continue;	/* a signal: sent when the cursor passes it */
		if (same_call(q->r, q->c, rc, q->l, q->kind))
			return rc;
		if (stop && stop(rc))
			break;
		++*seen;
	}
	return NULL;
}

static bool is_epoll(const struct call *c)
{
	return family(c->nr) == SYS_epoll_wait;
}

/* role_wanted: the same as @rec's next on an outside object, or the same set's next word that something is ready. */
static uint32_t wanted(void *ctx, const struct rec_task *rec, size_t at)
{
	const struct question *q = ctx;
	size_t seen;
	const struct rec_call *rc = look(q, rec, at, is_mark, &seen);

	if (!rc)
		return UINT32_MAX;
	if (is_epoll(q->c) && (rc->call->ret <= 0 || rc->call->args[0] != q->c->args[0]))
		return UINT32_MAX;
	return rc->object || is_epoll(q->c) ? rc->order : UINT32_MAX;
}

/* Is it a call of which the recording tells by the object which thread made it? */
static bool tells_role(const struct question *q)
{
	int fate = sc_table[q->c->nr].fate;

	return is_epoll(q->c) || ((fate == SC_READ || fate == SC_WRITE || fate == SC_NET) &&
				  (q->l || (q->kind && q->kind->family)));
}

const struct rec_call *match_call(struct replay *r, struct call *c, const struct live *l,
				  const struct socket_kind *kind)
{
	struct question q = { r, c, l, kind };
	struct gtask *t = c->t;
	int fate = sc_table[c->nr].fate;
	bool light = fate == SC_SERVE || fate == SC_WAIT || fate == SC_SLEEP || (!l && !kind);
	const struct rec_call *rc;
	size_t seen;

	if (tells_role(&q) && !look(&q, t->rec, t->cursor, is_mark, &seen))
		role_take(r, t, wanted, &q);
	rc = look(&q, t->rec, t->cursor, light ? weighty : NULL, &seen);
	if (!rc)
		return NULL;
	for (const struct rec_call *at = &t->rec->calls[t->cursor]; at < rc; at++, t->cursor++)
		signals_due(t);
	r->v->unused += seen;
	r->v->matched++;
	t->cursor++;
	match_clocks(r, t, rc);
	c->matched = true;
	return rc;
}

const struct rec_call *match_any(struct replay *r, const struct call *c)
{
	const struct rec_task *own = c->t->rec;

	for (size_t k = 0; k < r->rec->ntasks; k++) {
		const struct rec_task *t = k == 0 ? own : &r->rec->tasks[k];

		for (size_t i = t ? t->ncalls : 0; i-- > 0;) {
			const struct ev_call *rec = t->calls[i].call;

			if (rec && rec->nr == c->nr && same_question(c, rec))
				return &t->calls[i];
		}
	}
	return NULL;
}

static unsigned int message_index(const struct rec_call *rc)
{
	const struct ev_seg *s = rc->call ? call_seg(rc->call, 1) : NULL;

	return s ? s->index : 0;
}

/* The following recorded call, if it is message @index of the same recvmmsg or sendmmsg. */
const struct rec_call *next_message(struct replay *r, struct gtask *t, const struct rec_call *rc, unsigned int index)
{
	const struct rec_call *next;

	if (!t->rec || t->cursor >= t->rec->ncalls)
		return NULL;
	next = &t->rec->calls[t->cursor];
	if (!next->call || next->call->nr != rc->call->nr || next->object != rc->object || message_index(next) != index)
		return NULL;
	t->cursor++;
	match_clocks(r, t, next);
	return next;
}
