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

#include <poll.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

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

static bool same_object(struct replay *r, const struct call *c, const struct rec_call *rc, const struct live *l,
			const struct socket_kind *kind)
{
	if (l)
		return rc->object == l->id;
	if (rc->object && c->t->goroutine && c->nr == SYS_connect)
		return !r->live[r->live[rc->object].instead].bound && same_kind(&r->rec->objects[rc->object], kind);
	return rc->object && !r->live[rc->object].bound && same_kind(&r->rec->objects[rc->object], kind);
}

/*
 * A socket that nothing leads to yet is told from others by whom it is for:
 * changed code may turn to them in another order.
 */
static bool same_far_end(const struct call *c, const struct rec_call *rc)
{
	int arg = c->nr == SYS_connect ? 1 : c->nr == SYS_sendto ? 4 : -1;
	const struct ev_seg *to = arg >= 0 && rc->call->nr == c->nr ? call_seg(rc->call, (uint8_t)arg) : NULL;
	uint8_t now[sizeof(struct sockaddr_storage)];
	struct bytes then;

	if (!to || !to->data || to->len > sizeof(now) || !c->args[arg])
		return true;
	then = (struct bytes){ to->data, to->len };
	return guest_read(c->t->tid, c->args[arg], now, to->len) < 0 || same_address(&then, now, to->len);
}

/* A failure that came from the recording machine comes again where it came. */
static bool same_failure(const struct call *c, const struct rec_call *rc, const struct ev_seg *place)
{
	bool reads = sc_table[c->nr].fate == SC_READ;
	uint64_t before;

	if (rc->call->nr != c->nr || !place->data || place->len != sizeof(before))
		return false;
	memcpy(&before, place->data, sizeof(before));
	if (sc_got_none(rc->call->nr, rc->call->args[0], rc->call->ret))
		return c->t->taken[sc_takes(c->nr)] >= before && same_question(c, rc->call);
	return (reads ? c->t->file_reads : c->t->file_writes) >= before && same_question(c, rc->call);
}

static bool was_ready(const struct rec_call *rc, uint32_t id)
{
	const struct ev_seg *s = call_seg(rc->call, SEG_READY);

	uint32_t pair[2];

	for (size_t i = 0; s && s->data && i + sizeof(pair) <= s->len; i += sizeof(pair)) {
		memcpy(pair, s->data + i, sizeof(pair));
		if (pair[0] == id)
			return true;
	}
	return false;
}

bool same_polled(struct replay *r, const struct call *c, const struct rec_call *rc, const struct pollfd *then, int fd)
{
	const struct live *l;

	if (fd == then->fd)
		return true;
	if (fd < 0 || then->fd < 0)
		return false;
	if (!then->revents)
		return has_company(r, c->t->slot);
	l = object_of_fd(r, c, fd, NULL, NULL);
	return l && was_ready(rc, l->id);
}

/* What a poll() asks: how many descriptors, and which, as far as the record tells; whether it waits. */
static bool same_poll(struct replay *r, const struct call *c, const struct rec_call *rc)
{
	const struct ev_seg *s = call_seg(rc->call, 0);
	struct pollfd now[64], then;
	size_t n = c->args[1];

	if ((uint32_t)n != (uint32_t)rc->call->args[1])
		return false;
	if (c->nr == SYS_poll && rc->call->nr == SYS_poll && (c->args[2] == 0) != (rc->call->args[2] == 0))
		return false;
	if (!s || !s->data || n > sizeof(now) / sizeof(now[0]) || s->len != n * sizeof(now[0]) ||
	    guest_read(c->t->tid, c->args[0], now, s->len) < 0)
		return true;
	for (size_t i = 0; i < n; i++) {
		memcpy(&then, s->data + i * sizeof(then), sizeof(then));
		if (!same_polled(r, c, rc, &then, now[i].fd))
			return false;
	}
	return true;
}

static bool is_epoll_nr(unsigned int nr)
{
	return family(nr) == SYS_epoll_wait;
}

bool is_epoll(const struct call *c)
{
	return is_epoll_nr(c->nr);
}

static bool only_looks(unsigned int nr, const uint64_t args[6])
{
	return (nr == SYS_epoll_wait || nr == SYS_epoll_pwait) && (int)args[3] == 0;
}

bool looks_too_early(const struct replay *r, const struct call *c, const struct rec_call *rc)
{
	return only_looks(c->nr, c->args) && is_epoll_nr(rc->call->nr) && rc->call->ret > 0 && !only_looks(rc->call->nr, rc->call->args) &&
	       has_company(r, c->t->slot);
}

static bool same_call(struct replay *r, const struct call *c, const struct rec_call *rc, const struct live *l,
		      const struct socket_kind *kind)
{
	const struct ev_seg *place = rc->call ? call_seg(rc->call, SEG_PLACE) : NULL;
	int fate = sc_table[c->nr].fate;

	if (fate == SC_TASK)
		return rc->call && rc->call->nr == c->nr && rc->turn == c->t->nchildren;
	if (place)
		return !l && !kind && same_failure(c, rc, place);
	if (!rc->call || sc_table[rc->call->nr].fate != fate || family(c->nr) != family(rc->call->nr))
		return false;
	switch (fate) {
	case SC_READ:
	case SC_WRITE:
	case SC_NET:
		if (!l && !same_far_end(c, rc))
			return false;
		return same_object(r, c, rc, l, kind) || (fate == SC_NET && !rc->object && !l);
	case SC_OPEN: case SC_PATH: case SC_RUN:
		return false;
	case SC_WAIT:
		return family(c->nr) == SYS_poll ? same_poll(r, c, rc) : !looks_too_early(r, c, rc);
	case SC_SERVE:
		return same_question(c, rc->call) && (!sc_table[c->nr].fd || same_object(r, c, rc, l, kind));
	case SC_TIMER:
		return c->nr == SYS_alarm || same_question(c, rc->call);
	case SC_REAP:
	case SC_SIGNAL:
		return same_question(c, rc->call);
	default:
		return true;
	}
}

bool weighty(const struct rec_call *rc)
{
	int fate;

	if (!rc->call || rc->anytime)
		return false;
	fate = sc_table[rc->call->nr].fate;
	return ((fate == SC_READ || fate == SC_WRITE) && rc->object && rc->call->ret > 0) ||
	       (fate == SC_NET && rc->made);
}

/* Who only looks whether there is something does not get what a wait was told. */
static bool weighty_or_told(const struct rec_call *rc)
{
	return weighty(rc) || (rc->call->ret > 0 && sc_table[rc->call->nr].fate == SC_WAIT && call_seg(rc->call, SEG_READY));
}

bool is_mark(const struct rec_call *rc)
{
	int fate;

	if (!rc->call || rc->told || !rc->object || rc->anytime || rc->aside)
		return rc->told;
	fate = sc_table[rc->call->nr].fate;
	return fate == SC_NET || ((fate == SC_READ || fate == SC_WRITE) && rc->call->ret > 0);
}

uint32_t next_mark(const struct rec_task *t, size_t at)
{
	const struct rec_call *rc;

	while ((rc = task_call(t, at)) && !is_mark(rc))
		at++;
	return rc ? rc->order : UINT32_MAX;
}

bool ends_waiting(const struct gtask *t)
{
	const struct rec_call *rc;

	if (!t->rec)
		return false;
	for (size_t i = t->cursor; (rc = task_call(t->rec, i)); i++)
		if (rc->call)
			return false;
	return !t->rec->exited || t->rec->thread || WIFSIGNALED(t->rec->status);
}

bool marks_are_made(const struct replay *r, uint32_t order)
{
	for (const struct gtask *t = r->tasks; t; t = next_player(r, t))
		if (t->rec && next_mark(t->rec, t->cursor) < order)
			return false;
	for (size_t i = 1; i < r->rec->ntasks; i++)
		if (!r->born[i] && next_mark(&r->rec->tasks[i], 0) < order)
			return false;
	return true;
}

void match_clocks(struct replay *r, struct gtask *t, const struct rec_call *rc)
{
	if (!is_mark(rc))
		return;
	t->last_mark = rc->order;
	t->next_mark = next_mark(t->rec, t->cursor);
	t->mark_known = true;
	streams_reach(r->streams, t->slot, rc->order, t->next_mark);
}

const struct rec_call *match_look(const struct question *q, const struct rec_task *rec, size_t at,
				  bool (*stop)(const struct rec_call *), size_t *seen)
{
	const struct rec_call *rc;

	*seen = 0;
	for (size_t i = at; rec && *seen < LOOK_AHEAD && (rc = task_call(rec, i)); i++) {
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

bool is_look_in_vain(const struct rec_call *rc)
{
	return rc->call && rc->call->ret == -EAGAIN && sc_table[rc->call->nr].fate == SC_READ;
}

/* role_wanted: the same as @rec's next on an outside object, or the same set's next word that something is ready. */
static uint32_t wanted(void *ctx, const struct rec_task *rec, size_t at)
{
	const struct question *q = ctx;
	size_t seen;
	const struct rec_call *rc = match_look(q, rec, at, is_mark, &seen);

	if (!rc || is_look_in_vain(rc))
		return UINT32_MAX;
	if (sc_table[q->c->nr].fate == SC_READ && rc->call->nr == q->c->nr && rc->call->args[2] != q->c->args[2])
		return UINT32_MAX;
	if (is_epoll(q->c) && (rc->call->ret <= 0 || rc->call->args[0] != q->c->args[0]))
		return UINT32_MAX;
	return rc->object || is_epoll(q->c) ? rc->order : UINT32_MAX;
}

/* role_wanted, for a task that has no part yet: a call on an outside object, or its first wait. */
static uint32_t begun_with(void *ctx, const struct rec_task *rec, size_t at)
{
	const struct question *q = ctx;
	const struct rec_call *rc;
	size_t seen;

	if (sc_table[q->c->nr].fate == SC_WAIT) {
		rc = task_call(rec, at);
		if (!rc || !same_call(q->r, q->c, rc, q->l, q->kind))
			return UINT32_MAX;
		/* Of several alike the one whose set has the same number. */
		return is_epoll(q->c) && rc->call->args[0] != q->c->args[0] ? rc->order / 2 + UINT32_MAX / 2 : rc->order / 2;
	}
	rc = match_look(q, rec, at, is_mark, &seen);
	return rc && rc->object ? rc->order : UINT32_MAX;
}

/* Is it a call of which the recording tells by the object which thread made it? */
static bool tells_role(const struct question *q)
{
	int fate = sc_table[q->c->nr].fate;

	return is_epoll(q->c) || ((fate == SC_READ || fate == SC_WRITE || fate == SC_NET) &&
				  (q->l ? !is_anytime(q->l->rec) : q->kind && q->kind->family));
}

void match_begin(struct replay *r, struct call *c)
{
	struct socket_kind kind = { 0 };
	struct question q = { r, c, NULL, &kind };
	int fate = sc_table[c->nr].fate;

	if (!in_start_up(r, c->t) || (fate != SC_WAIT && fate != SC_READ && fate != SC_WRITE && fate != SC_NET))
		return;
	if (fate != SC_WAIT)
		q.l = object_of_fd(r, c, fate == SC_WRITE ? out_fd(c) : (int)c->args[0], NULL, &kind);
	if (fate == SC_WAIT || tells_role(&q))
		start_up_ends(r, c, begun_with, &q);
}

/* Is @rc read of @l only after a wait that told of it? */
static bool is_told_of(const struct gtask *t, const struct rec_call *rc, const struct live *l)
{
	const struct rec_call *before;

	for (size_t i = t->cursor; (before = task_call(t->rec, i)) && before != rc; i++)
		if (before->call && was_ready(before, l->id))
			return true;
	return false;
}

/*
 * What a start left behind (a word among its processes) ends a wait that was
 * recorded with something else: the recorded one is still to come.
 */
static const struct rec_call *waits_on(const struct question *q, const struct gtask *t)
{
	const struct rec_call *rc;

	if (!q->r->rec->attached || sc_table[q->c->nr].fate != SC_WAIT || !t->cursor || t->let_go != t->cursor)
		return NULL;
	rc = task_call(t->rec, t->cursor - 1);
	return rc && same_call(q->r, q->c, rc, q->l, q->kind) ? rc : NULL;
}

void match_skip(struct replay *r, struct gtask *t, uint32_t order)
{
	const struct rec_call *rc;

	for (; t->rec && (rc = task_call(t->rec, t->cursor)) && rc->order < order; t->cursor++) {
		signals_pass(r, t);
		r->v->unused++;
	}
}

const struct rec_call *match_call(struct replay *r, struct call *c, const struct live *l,
				  const struct socket_kind *kind)
{
	struct question q = { r, c, l, kind };
	struct gtask *t = c->t;
	int fate = sc_table[c->nr].fate;
	bool light = fate == SC_SERVE || fate == SC_WAIT || fate == SC_SLEEP || fate == SC_TIMER || (!l && !kind) ||
		     (l && is_anytime(l->rec));
	bool (*stop)(const struct rec_call *);
	const struct rec_call *rc;
	size_t seen;

	if (t->goroutine)
		return goroutine_match(r, c, l, kind);
	if (tells_role(&q) && !match_look(&q, t->rec, t->cursor, is_mark, &seen)) {
		role_take(r, t, wanted, &q);
		light |= fate == SC_READ && has_company(r, t->slot) && looks_in_vain(c, l);
	}
	stop = is_epoll(c) && only_looks(c->nr, c->args) ? weighty_or_told : weighty;
	rc = match_look(&q, t->rec, t->cursor, light ? stop : NULL, &seen);
	if (!rc)
		return waits_on(&q, t);
	if (fate == SC_READ && l && is_told_of(t, rc, l) && looks_in_vain(c, l))
		return NULL;	/* once more than recorded, before that is told */
	t->let_go = 0;
	for (; task_call(t->rec, t->cursor) != rc; t->cursor++)
		if (rc->call->ret == -EINTR)
			signals_due(r, t);
		else
			signals_pass(r, t);
	r->v->unused += seen;
	r->v->matched++;
	t->cursor++;
	match_clocks(r, t, rc);
	c->matched = true;
	return rc;
}

/* A thread that has a number of its own here asks what others asked of themselves. */
static bool asks_of_itself(const struct replay *r, const struct call *c, const struct rec_answer *a)
{
	const struct rec_task *asked = &r->rec->tasks[a->task];
	struct call as = *c;

	if (sc_table[c->nr].arg[0].kind != SC_VAL || (uint32_t)a->rc.call->args[0] != asked->tid)
		return false;
	for (size_t i = 1; i < r->rec->ntasks; i++)
		if (r->rec->tasks[i].tid == (uint32_t)c->args[0])
			return false;
	as.args[0] = asked->tid;
	return same_question(&as, a->rc.call);
}

const struct rec_call *match_any(struct replay *r, const struct call *c)
{
	const struct rec_task *own = c->t->rec;

	const struct rec_answer *first = NULL;

	for (size_t i = 0; i < r->rec->nanswers; i++) {
		const struct rec_answer *a = r->rec->answers[i];

		if (a->rc.call->nr != c->nr || (!same_question(c, a->rc.call) && !asks_of_itself(r, c, a)))
			continue;
		if (own && a->task == own->id)
			return &a->rc;
		if (!first || a->task < first->task)
			first = a;
	}
	return first ? &first->rc : NULL;
}

static unsigned int message_index(const struct rec_call *rc)
{
	const struct ev_seg *s = rc->call ? call_seg(rc->call, 1) : NULL;

	return s ? s->index : 0;
}

/* The following recorded call, if it is message @index of the same recvmmsg or sendmmsg. */
const struct rec_call *next_message(struct replay *r, struct gtask *t, const struct rec_call *rc, unsigned int index)
{
	const struct rec_call *next = t->rec ? recording_call_at(r->rec, t->rec, t->cursor) : NULL;

	if (!next || !next->call || next->call->nr != rc->call->nr || next->object != rc->object || message_index(next) != index)
		return NULL;
	t->cursor++;
	match_clocks(r, t, next);
	return next;
}
