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
	bool open;		/* whose part it is is not clear yet, parts.c; then @since is when it was kept */
};

/*
 * How often one of several threads sleeps, waits for others, looks in vain, or
 * asks for what is always there, is chance: a runtime's own do so while they wait.
 */
static bool is_chance(const struct rec_call *rc)
{
	int fate = rc->call ? sc_table[rc->call->nr].fate : SC_NOROW;

	return rc->call && (rc->anytime || is_look_in_vain(rc) || fate == SC_SLEEP || (fate == SC_SERVE && !rc->object) ||
			    (fate == SC_WAIT && !call_seg(rc->call, SEG_READY)));
}

static const struct rec_call *next_surely(const struct replay *r, const struct rec_task *t, size_t at)
{
	const struct rec_call *rc;

	/* What lies beyond the window is not past. */
	while ((rc = recording_call_at(r->rec, t, at)) && r->rec->tasks[t->process].threads && is_chance(rc))
		at++;
	return rc ? task_surely(t, at) : NULL;
}

static const struct rec_call *next_at_all(const struct replay *r, const struct rec_task *t, size_t at)
{
	(void)r;
	return task_surely(t, at);
}

static bool are_past(const struct replay *r, const struct gtask *self, uint32_t order,
		     const struct rec_call *(*next)(const struct replay *r, const struct rec_task *t, size_t at))
{
	const struct rec_call *rc;

	for (const struct gtask *t = r->tasks; t; t = next_player(r, t))
		if (t != self && (!t->exited || t->unborn) && t->rec && (rc = next(r, t->rec, t->cursor)) && rc->order < order)
			return false;
	for (size_t i = 1; i < r->rec->ntasks; i++)
		if (!r->born[i] && (rc = task_call(&r->rec->tasks[i], 0)) && rc->order < order)
			return false;
	return true;
}

bool others_are_past(const struct replay *r, const struct gtask *self, uint32_t order)
{
	return are_past(r, self, order, next_at_all);
}

bool others_rest_past(struct replay *r, const struct gtask *self, uint32_t order)
{
	return now_ns() - r->last_activity > QUIET_NS && are_past(r, self, order, next_surely) && tasks_asleep(r);
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
		return !looks_too_early(r, c, rc);
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

/*
 * Does the set that it waits on not hold yet what it was told of?  Another
 * thread is to tell it to put that in; it may have been told of that in another wait.
 */
static bool is_premature(struct replay *r, const struct call *c)
{
	const struct rec_call *rc = next_call(c->t);

	return rc && is_epoll(c) && has_company(r, c->t->slot) && turn_is_meant(r, c, rc) && rc->call->ret > 0 && !epoll_holds(r, c, rc);
}

static bool keep(struct replay *r, const struct call *c, struct early how)
{
	struct early *e = calloc(1, sizeof(*e));

	if (!e)
		return false;
	*e = how;
	e->n = *c->n;
	e->t = c->t;
	e->next = r->early;
	r->early = e;
	c->t->early = true;
	return true;
}

bool turn_waits(const struct replay *r, const struct gtask *t)
{
	for (const struct early *e = t->early ? r->early : NULL; e; e = e->next)
		if (e->t == t)
			return !e->open;
	return false;
}

/* Its part is known. */
static bool keep_until_due(struct replay *r, struct call *c)
{
	const struct rec_call *rc = next_call(c->t);
	uint64_t since = 0;

	if (!rc || !brings(c->t, rc) || r->rec->ntasks <= 2 || !turn_is_meant(r, c, rc))
		return false;
	if (is_due(r, c->t, rc->order, &since) && !is_premature(r, c)) {
		r->last_brought = c->t;
		return false;
	}
	return keep(r, c, (struct early){ .order = rc->order, .since = since });
}

bool turn_keep(struct replay *r, struct call *c)
{
	if (!ahead_of(r, c) && keep(r, c, (struct early){ .order = UINT32_MAX }))
		return true;
	if (part_is_open(r, c, false) && keep(r, c, (struct early){ .order = UINT32_MAX, .open = true, .since = now_ns() }))
		return true;
	return keep_until_due(r, c);
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
		else if (e->open && r->early->open)
			r->early->since = e->since;
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

static void take_out(struct replay *r, struct early *e)
{
	struct early **at = &r->early;

	while (*at != e)
		at = &(*at)->next;
	*at = e->next;
	e->t->early = false;
}

/* Of those whose part is open the first that was kept later than @after. */
static struct early *open_after(const struct replay *r, uint64_t after)
{
	struct early *first = NULL;

	for (struct early *e = r->early; e; e = e->next)
		if (e->open && !e->t->exited && e->since > after && (!first || e->since < first->since))
			first = e;
	return first;
}

/*
 * Of those whose part is open the one that was kept first and has its part free: nobody else is going to make its call.
 * Where that part has something else to do first, it is somebody's who is kept or parked: he is to get on before.
 */
static bool settle_part(struct replay *r)
{
	struct early *first;
	uint64_t after = 0;
	struct call c;

	do {
		first = open_after(r, after);
		if (!first)
			return false;
		after = first->since;
		call_of(&c, &first->n, first->t);
	} while (part_is_open(r, &c, true));
	take_out(r, first);
	if (!keep_until_due(r, &c))
		call_take(r, &c);
	free(first);
	r->last_activity = now_ns();
	return true;
}

/*
 * One that waits for words from outside alone has been woken from inside: how often
 * threads do that is chance, and others may wait for what it does then.
 */
static bool wake_from_inside(struct replay *r, struct early *e)
{
	struct call c;

	call_of(&c, &e->n, e->t);
	if (e->open || !epoll_inside(r, &c))
		return false;
	take_out(r, e);
	call_respond(r, &c);
	free(e);
	r->last_activity = now_ns();
	return true;
}

static bool wake_any(struct replay *r)
{
	for (struct early *e = r->early; e; e = e->next) {
		const struct rec_call *rc = next_call(e->t);

		if (rc && is_from_outside(r, rc) && wake_from_inside(r, e))
			return true;
	}
	return false;
}

static bool early_is_premature(struct replay *r, struct early *e)
{
	struct call c;

	call_of(&c, &e->n, e->t);
	return !e->t->exited && is_premature(r, &c);
}

void turns_look(struct replay *r)
{
	if (r->early)
		look_again(r);
	if (r->early && now_ns() - r->last_activity > QUIET_NS)
		send_back(r);
	while (r->early) {
		struct early **first = first_of(r);
		bool premature = early_is_premature(r, *first);

		if (premature && wake_from_inside(r, *first))
			continue;
		if ((*first)->t->exited || (!premature && is_due(r, (*first)->t, (*first)->order, &(*first)->since))) {
			let_in(r, first);
			continue;
		}
		if (premature || !others_rest_past(r, (*first)->t, (*first)->order)) {
			uint64_t quiet = now_ns() - r->last_activity;

			if (quiet < QUIET_NS || !tasks_asleep(r))
				return;
			if (wake_any(r) || settle_part(r))
				continue;
			if (quiet < PATIENCE_NS)
				return;
		}
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
