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
	return k && k->family && o->o && o->o->kind == OBJ_SOCKET && o->o->family == k->family &&
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

void match_clocks(struct replay *r, struct gtask *t, const struct rec_call *rc)
{
	if (is_mark(rc))
		streams_reach(r->streams, t->slot, rc->order, next_mark(t->rec, t->cursor));
}

const struct rec_call *match_call(struct replay *r, struct call *c, const struct live *l,
				  const struct socket_kind *kind)
{
	struct gtask *t = c->t;
	int fate = sc_table[c->nr].fate;
	bool light = fate == SC_SERVE || fate == SC_WAIT || fate == SC_SLEEP || (!l && !kind);

	if (!t->rec)
		return NULL;
	for (size_t i = t->cursor, seen = 0; i < t->rec->ncalls && seen < LOOK_AHEAD; i++) {
		const struct rec_call *rc = &t->rec->calls[i];

		if (!rc->call)
			continue;	/* a signal: sent when the cursor passes it */
		seen++;
		if (same_call(r, c, rc, l, kind)) {
			for (; t->cursor < i; t->cursor++)
				signals_due(t);
			r->v->unused += seen - 1;
			r->v->matched++;
			t->cursor = i + 1;
			match_clocks(r, t, rc);
			c->matched = true;
			return rc;
		}
		if (light && weighty(rc))
			break;
	}
	return NULL;
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
