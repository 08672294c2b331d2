/* SPDX-License-Identifier: Apache-2.0 */
#include "watch/history.h"

#include "format/cleanup.h"
#include "recorder/map.h"
#include "watch/keep.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { CHUNK = 64 << 10 };	/* bytes; at least so many of them, so that pushing one out leaves most */

/* Entries, one behind the other: their length, and the event. */
struct chunk {
	struct chunk *next;
	uint64_t first, last_time;	/* number of its first event, time of its last one */
	size_t used, room;
	_Alignas(8) uint8_t data[];
};

/* A thread that lives: who made it, what it runs. */
struct member {
	struct event *fork, *exec;
};

struct history {
	struct chunk *first, *last;
	uint64_t bytes, most, ns, next, lost;
	struct map members;	/* number of a task → struct member */
	struct map objects;	/* number → struct event */
};

/* ---- the base --------------------------------------------------------------------- */

static void member_free(struct member *m)
{
	if (!m)
		return;
	free(m->fork);
	free(m->exec);
	free(m);
}

static struct member *member_of(struct history *h, uint32_t task)
{
	struct member *m = map_get(&h->members, task, 0);

	if (m)
		return m;
	m = calloc(1, sizeof(*m));
	if (m && map_put(&h->members, task, 0, m) < 0) {
		free(m);
		m = NULL;
	}
	return m;
}

static void base_object(struct history *h, const struct event *e)
{
	struct event *new = keep_alone(e), *old = map_get(&h->objects, e->object.id, 0);

	if (!new || map_put(&h->objects, e->object.id, 0, new) < 0) {
		h->lost++;
		free(new);
		return;
	}
	free(old);
}

static void base_member(struct history *h, uint32_t task, const struct event *e)
{
	struct member *m = member_of(h, task);
	struct event *new = m ? keep_alone(e) : NULL, **at;

	if (!new) {
		h->lost++;
		return;
	}
	at = e->kind == EV_FORK ? &m->fork : &m->exec;
	free(*at);
	*at = new;
}

/* What is forgotten is remembered here, as far as the rest needs it. */
static void to_base(struct history *h, const struct event *e)
{
	switch (e->kind) {
	case EV_FORK:
		base_member(h, e->fork.child, e);
		break;
	case EV_EXEC:
		base_member(h, e->task, e);
		break;
	case EV_EXIT:
		if (e->task != 1)	/* it is what the capsule is about */
			member_free(map_take(&h->members, e->task, 0));
		break;
	case EV_OBJECT:
		base_object(h, e);
		break;
	}
}

static int by_number(const void *a, const void *b)
{
	const struct event *const *x = a, *const *y = b;
	uint32_t n = (*x)->kind == EV_OBJECT ? (*x)->object.id : (*x)->fork.child, m = (*y)->kind == EV_OBJECT ? (*y)->object.id : (*y)->fork.child;

	return n < m ? -1 : n > m;
}

static size_t gather(const struct map *m, bool objects, const struct event **list)
{
	size_t n = 0;

	for (size_t i = 0; i < m->room; i++) {
		const void *v = m->slots[i].value;
		const struct event *e = objects || !v ? v : ((const struct member *)v)->fork;

		if (e)
			list[n++] = e;
	}
	qsort(list, n, sizeof(const struct event *), by_number);
	return n;
}

void history_base(const struct history *h, void (*f)(void *ctx, const struct event *e), void *ctx)
{
	size_t room = h->members.room > h->objects.room ? h->members.room : h->objects.room, n;
	_cleanup_free_ const struct event **list = calloc(room ? room : 1, sizeof(const struct event *));

	if (!list)
		return;
	n = gather(&h->members, false, list);
	for (size_t i = 0; i < n; i++)
		f(ctx, list[i]);
	for (size_t i = 0; i < h->members.room; i++) {
		const struct member *m = h->members.slots[i].value;

		if (m && m->exec)
			f(ctx, m->exec);
	}
	n = gather(&h->objects, true, list);
	for (size_t i = 0; i < n; i++)
		f(ctx, list[i]);
}

/* ---- events ------------------------------------------------------------------------- */

static const struct event *event_at(const struct chunk *c, size_t offset, size_t *size)
{
	*size = *(const size_t *)(const void *)(c->data + offset);
	return (const void *)(c->data + offset + sizeof(size_t));
}

static void drop_first(struct history *h)
{
	struct chunk *c = h->first;
	size_t size;

	for (size_t at = 0; at < c->used; at += size)
		to_base(h, event_at(c, at, &size));
	h->bytes -= sizeof(*c) + c->room;
	h->first = c->next;
	if (!h->first)
		h->last = NULL;
	free(c);
}

void history_age(struct history *h, uint64_t now)
{
	while (h->first && h->first->last_time + h->ns < now)
		drop_first(h);
}

static uint8_t *room_for(struct history *h, size_t size)
{
	size_t room = size > CHUNK - sizeof(struct chunk) ? size : CHUNK - sizeof(struct chunk);
	struct chunk *c = h->last;

	if (!c || c->room - c->used < size) {
		while (h->first && h->bytes + sizeof(*c) + room > h->most)
			drop_first(h);
		c = malloc(sizeof(*c) + room);
		if (!c)
			return NULL;
		*c = (struct chunk){ .first = h->next, .room = room };
		if (h->last)
			h->last->next = c;
		else
			h->first = c;
		h->last = c;
		h->bytes += sizeof(*c) + room;
	}
	c->used += size;
	return c->data + c->used - size;
}

static int add_too_large(struct history *h, const struct event *e)
{
	struct event hole = { .kind = EV_HOLE, .time = e->time, .task = e->task,
			      .hole = { "budget", "history", "a call with more bytes than the history may have", 1 } };

	h->lost++;
	return history_add(h, &hole);
}

int history_add(struct history *h, const struct event *e)
{
	size_t size = sizeof(size_t) + keep_size(e);
	uint8_t *at;

	if (!e->time && e->kind != EV_HOLE) {
		to_base(h, e);
		return 0;
	}
	if (size > h->most / 4)
		return add_too_large(h, e);
	if (e->time)
		history_age(h, e->time);
	at = room_for(h, size);
	if (!at) {
		h->lost++;
		return -ENOMEM;
	}
	memcpy(at, &size, sizeof(size));
	keep_event(at + sizeof(size), e);
	h->last->last_time = e->time;
	h->next++;
	return 0;
}

uint64_t history_next(const struct history *h)
{
	return h->next;
}

uint64_t history_first(const struct history *h)
{
	return h->first ? h->first->first : h->next;
}

uint64_t history_bytes(const struct history *h)
{
	return h->bytes;
}

uint64_t history_lost(const struct history *h)
{
	return h->lost;
}

void history_begin(struct history_at *at, const struct history *h)
{
	*at = (struct history_at){ .h = h, .chunk = h->first, .number = history_first(h) - 1 };
}

const struct event *history_each(struct history_at *at)
{
	const struct chunk *c = at->chunk;
	const struct event *e;
	size_t size;

	while (c && at->offset >= c->used) {
		c = c->next;
		at->offset = 0;
	}
	at->chunk = c;
	if (!c)
		return NULL;
	e = event_at(c, at->offset, &size);
	at->offset += size;
	at->number++;
	return e;
}

/* ---- objects that nobody has any more ---------------------------------------------------- */

int history_objects(const struct history *h, struct map *used)
{
	struct history_at at;
	const struct event *e;
	int rc = 0;

	history_begin(&at, h);
	while ((e = history_each(&at)) && rc == 0) {
		if (e->kind == EV_OBJECT)
			rc = map_put(used, e->object.id, 0, used);
		if (e->kind == EV_CALL && e->call.obj)
			rc = map_put(used, e->call.obj, 0, used);
		if (e->kind == EV_CALL && e->call.obj2 && rc == 0)
			rc = map_put(used, e->call.obj2, 0, used);
	}
	return rc;
}

void history_sweep(struct history *h, bool (*alive)(void *ctx, uint32_t object), void *ctx)
{
	for (size_t i = 0; i < h->objects.room; i++) {
		const struct map_slot *s = &h->objects.slots[i];

		if (s->value && !alive(ctx, (uint32_t)s->a))
			free(map_take(&h->objects, s->a, 0));
	}
}

/* ---- beginning and end ---------------------------------------------------------------- */

int history_new(struct history **ret, uint64_t bytes, uint64_t ns, struct err *err)
{
	struct history *h = calloc(1, sizeof(*h));

	if (!h)
		return err_set(err, ENOMEM, "out of memory");
	h->most = bytes < HISTORY_LEAST ? HISTORY_LEAST : bytes;
	h->ns = ns;
	*ret = h;
	return 0;
}

void history_limit(struct history *h, uint64_t bytes, uint64_t ns)
{
	h->most = bytes < HISTORY_LEAST ? HISTORY_LEAST : bytes;
	h->ns = ns;
}

void history_free(struct history *h)
{
	if (!h)
		return;
	for (struct chunk *c = h->first, *next; c; c = next) {
		next = c->next;
		free(c);
	}
	for (size_t i = 0; i < h->members.room; i++)
		member_free(h->members.slots[i].value);
	for (size_t i = 0; i < h->objects.room; i++)
		free(h->objects.slots[i].value);
	map_clear(&h->members);
	map_clear(&h->objects);
	free(h);
}
