/* SPDX-License-Identifier: Apache-2.0 */
#include <linux/types.h>

#include "watch/choice.h"

#include "format/sysdesc.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

bool choice_is_foreign(const struct choice *c, uint32_t object)
{
	return object && c->request && object != c->request->object && requests_is_inbound(c->requests, object);
}

static bool is_its(const struct choice *c, const struct event *e)
{
	return e->kind == EV_CALL && (e->call.obj == c->request->object || e->call.obj2 == c->request->object);
}

static bool is_others(const struct choice *c, const struct event *e)
{
	return e->kind == EV_CALL && (choice_is_foreign(c, e->call.obj) || choice_is_foreign(c, e->call.obj2));
}

static bool accepts(const struct choice *c, const struct event *e)
{
	return e->kind == EV_CALL && e->call.obj2 == c->request->object && e->call.obj != c->request->object;
}

static bool works(const struct choice *c, uint32_t task)
{
	return map_get(&c->workers, task, 0);
}

static int add_worker(struct choice *c, uint32_t task)
{
	return map_put(&c->workers, task, 0, c);
}

static bool in_time(const struct choice *c, uint64_t number)
{
	return number >= c->from && number <= c->to;
}

/* Who heard or said something on the connection; who accepted it and asked for its name is no worker. */
static int find_workers(struct choice *c, const struct history *h)
{
	struct history_at at;
	const struct event *e;
	int rc = 0;

	c->alone = true;
	history_begin(&at, h);
	while ((e = history_each(&at)) && at.number <= c->to && rc == 0) {
		if (!in_time(c, at.number))
			continue;
		c->alone &= !is_others(c, e);
		if (accepts(c, e))
			c->acceptor = e->task;
		else if (is_its(c, e) && sc_is_payload(sc_table[e->call.nr].fate))
			rc = add_worker(c, e->task);
		else if (e->kind == EV_FORK && works(c, e->task))
			rc = add_worker(c, e->fork.child);	/* it works for its maker */
	}
	if (works(c, c->acceptor))
		c->acceptor = 0;
	return rc;
}

static bool tells_of(const struct ev_call *c, uint32_t object)
{
	uint32_t n;

	for (uint32_t i = 0; i < c->nsegs; i++)
		for (uint64_t k = 0; c->segs[i].arg == SEG_READY && k + 8 <= c->segs[i].len; k += 8) {
			memcpy(&n, c->segs[i].data + k, sizeof(n));
			if (le32toh(n) == object)
				return true;
		}
	return false;
}

/* The wait that told whoever began with it that there was something. */
static void find_wait(struct choice *c, const struct history *h)
{
	const struct event *e, *first = NULL;
	struct history_at at;

	history_begin(&at, h);
	while (!first && (e = history_each(&at)))
		if (in_time(c, at.number) && is_its(c, e))
			first = e;
	history_begin(&at, h);
	while (first && (e = history_each(&at)) && at.number < c->from)
		if (e->kind == EV_CALL && e->task == first->task && sc_table[e->call.nr].fate == SC_WAIT && tells_of(&e->call, first->call.obj))
			c->wait = at.number;
	c->waiter = first ? first->task : 0;
}

/* Numbers of the events between which those who worked on it used an object. */
struct use {
	uint64_t from, to;
};

static int see_use(struct map *used, uint32_t object, uint64_t number)
{
	struct use *u = map_get(used, object, 0);

	if (u) {
		u->to = number;
		return 0;
	}
	u = malloc(sizeof(*u));
	if (!u || map_put(used, object, 0, u) < 0) {
		free(u);
		return -ENOMEM;
	}
	*u = (struct use){ number, number };
	return 0;
}

static int find_uses(struct choice *c, const struct history *h, struct map *used)
{
	struct history_at at;
	const struct event *e;
	int rc = 0;

	history_begin(&at, h);
	while ((e = history_each(&at)) && at.number <= c->to && rc == 0) {
		if (!in_time(c, at.number) || e->kind != EV_CALL)
			continue;
		if (works(c, e->task) && is_others(c, e))
			c->mixed++;
		else if (works(c, e->task) && e->call.obj && sc_is_payload(sc_table[e->call.nr].fate))
			rc = see_use(used, e->call.obj, at.number);
	}
	return rc;
}

/* What others did on a connection of a pool before they put it back, or after they got it, is not mixed with what it did. */
static int count_others(struct choice *c, const struct history *h)
{
	struct map used = { 0 };
	struct history_at at;
	const struct event *e;
	const struct use *u;
	int rc = find_uses(c, h, &used);

	history_begin(&at, h);
	while (rc == 0 && (e = history_each(&at)) && at.number <= c->to)
		if (in_time(c, at.number) && e->kind == EV_CALL && !works(c, e->task) && sc_is_payload(sc_table[e->call.nr].fate) &&
		    (u = map_get(&used, e->call.obj, 0)) && u->from < at.number && at.number < u->to)
			c->shared++;
	for (size_t i = 0; i < used.room; i++)
		free(used.slots[i].value);
	map_clear(&used);
	return rc;
}

int choose(struct choice *c, const struct history *h, const struct requests *rs, const struct request *r)
{
	int rc;

	*c = (struct choice){ .from = history_first(h), .to = history_next(h) - 1, .wait = UINT64_MAX, .request = r, .requests = rs };
	if (!r)
		return 0;
	c->from = r->from;
	c->to = r->to;
	rc = find_workers(c, h);
	find_wait(c, h);
	return rc == 0 && !c->alone ? count_others(c, h) : rc;
}

void choice_clear(struct choice *c)
{
	map_clear(&c->workers);
}

static bool call_belongs(const struct choice *c, const struct event *e)
{
	if (is_others(c, e))
		return false;
	if (is_its(c, e) || c->alone)
		return true;
	return works(c, e->task);
}

bool choice_has(const struct choice *c, const struct event *e, uint64_t number)
{
	if (c->request && number == c->wait)
		return true;
	/* What it looked at before it turned to this. */
	if (c->request && c->wait < number && number < c->from)
		return e->kind == EV_CALL && e->task == c->waiter && !is_others(c, e);
	if (!in_time(c, number))
		return false;
	if (!c->request)
		return true;
	switch (e->kind) {
	case EV_CALL:
		return call_belongs(c, e);
	case EV_FORK:
		return c->alone || works(c, e->fork.child);
	case EV_OBJECT:
		return !choice_is_foreign(c, e->object.id);
	case EV_HOLE:
		return true;
	}
	return c->alone || works(c, e->task);
}
