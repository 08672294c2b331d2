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

static bool same_family(unsigned int a, unsigned int b)
{
	static const unsigned short groups[][6] = {
		{ SYS_read, SYS_readv, SYS_recvfrom, SYS_recvmsg, SYS_pread64, SYS_preadv },
		{ SYS_write, SYS_writev, SYS_sendto, SYS_sendmsg, SYS_sendfile, SYS_splice },
		{ SYS_poll, SYS_ppoll, SYS_poll, SYS_poll, SYS_poll, SYS_poll },
		{ SYS_select, SYS_pselect6, SYS_select, SYS_select, SYS_select, SYS_select },
		{ SYS_epoll_wait, SYS_epoll_pwait, 441, SYS_epoll_wait, SYS_epoll_wait, SYS_epoll_wait },
		{ SYS_accept, SYS_accept4, SYS_accept, SYS_accept, SYS_accept, SYS_accept },
		{ SYS_nanosleep, SYS_clock_nanosleep, SYS_nanosleep, SYS_nanosleep, SYS_nanosleep, SYS_nanosleep },
	};

	if (a == b)
		return true;
	for (size_t i = 0; i < sizeof(groups) / sizeof(groups[0]); i++) {
		bool has_a = false, has_b = false;

		for (size_t k = 0; k < 6; k++) {
			has_a |= groups[i][k] == a;
			has_b |= groups[i][k] == b;
		}
		if (has_a && has_b)
			return true;
	}
	return false;
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

static bool same_call(struct replay *r, const struct call *c, const struct rec_call *rc, const struct live *l,
		      const struct socket_kind *kind)
{
	int fate = sc_table[c->nr].fate;

	if (!rc->call || sc_table[rc->call->nr].fate != fate || !same_family(c->nr, rc->call->nr))
		return false;
	switch (fate) {
	case SC_READ:
	case SC_WRITE:
		return same_object(r, rc, l, kind);
	case SC_NET:
		return same_object(r, rc, l, kind) || (!rc->object && !l);
	case SC_SERVE:
		return same_question(c, rc->call);
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

const struct rec_call *match_call(struct replay *r, struct call *c, const struct live *l,
				  const struct socket_kind *kind)
{
	struct gtask *t = c->t;
	int fate = sc_table[c->nr].fate;
	bool light = fate == SC_SERVE || fate == SC_WAIT || fate == SC_SLEEP;

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
