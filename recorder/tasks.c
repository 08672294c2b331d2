/* SPDX-License-Identifier: Apache-2.0 */
#include "recorder/tasks.h"

#include "format/cleanup.h"
#include "recorder/map.h"

#include <errno.h>
#include <stdlib.h>

struct tasks {
	struct map by_tid;
	struct map ever;	/* all there were: a signal to one that has ended is no signal to others */
	uint32_t last;		/* number given */
	bool forgets;		/* who has ended */
};

static void task_free(struct task *t)
{
	if (!t)
		return;
	task_drop_held(t);
	free(t);
}

struct task *task_add(struct tasks *ts, uint32_t tid, uint32_t tgid)
{
	struct task *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	task_free(map_take(&ts->by_tid, tid, 0));
	if (map_put(&ts->by_tid, tid, 0, t) < 0) {
		free(t);
		return NULL;
	}
	t->tid = tid;
	t->tgid = t->own_tgid = tgid;
	t->own_tid = tid;
	t->number = ++ts->last;
	return t;
}

void task_owns(struct tasks *ts, struct task *t, uint32_t tid, uint32_t tgid)
{
	t->own_tid = tid;
	t->own_tgid = tgid;
	map_put(&ts->ever, tid, 0, ts);
}

bool task_known(const struct tasks *ts, uint32_t own)
{
	return map_get(&ts->ever, own, 0);
}

struct task *task_there(const struct tasks *ts, uint32_t tid)
{
	return map_get(&ts->by_tid, tid, 0);
}

struct task *task_of(struct tasks *ts, uint32_t tid)
{
	struct task *t = task_there(ts, tid);

	if (!t && (t = task_add(ts, tid, tid)))
		task_owns(ts, t, tid, tid);
	return t;
}

/* In the same table, by process and number; threads have 0 there. */
struct task *task_goroutine(struct tasks *ts, uint32_t tgid, uint32_t number, bool *made)
{
	struct task *t = map_get(&ts->by_tid, tgid, number);

	*made = !t;
	if (t || !(t = calloc(1, sizeof(*t))))
		return t;
	if (map_put(&ts->by_tid, tgid, number, t) < 0) {
		free(t);
		return NULL;
	}
	t->tid = t->tgid = tgid;
	t->number = ++ts->last;
	return t;
}

void task_end_goroutines(struct tasks *ts, uint32_t tgid)
{
	for (size_t i = 0; i < ts->by_tid.room; i++) {
		const struct map_slot *s = &ts->by_tid.slots[i];

		if (s->value && s->a == tgid && s->b)
			task_free(map_take(&ts->by_tid, s->a, s->b));
	}
}

void task_rename(struct tasks *ts, uint32_t from, uint32_t to)
{
	struct task *t;

	if (from == to)
		return;
	t = map_take(&ts->by_tid, from, 0);
	if (!t)
		return;
	task_free(map_take(&ts->by_tid, to, 0));
	t->tid = to;
	if (map_put(&ts->by_tid, to, 0, t) < 0)
		task_free(t);
}

void task_end(struct tasks *ts, uint32_t tid)
{
	task_free(map_take(&ts->by_tid, tid, 0));
	if (ts->forgets)
		map_take(&ts->ever, tid, 0);
}

void tasks_may_forget(struct tasks *ts)
{
	ts->forgets = true;
}

void tasks_each(const struct tasks *ts, void (*f)(void *ctx, const struct task *t), void *ctx)
{
	for (size_t i = 0; i < ts->by_tid.room; i++)
		if (ts->by_tid.slots[i].value && !ts->by_tid.slots[i].b)
			f(ctx, ts->by_tid.slots[i].value);
}

void task_drop_held(struct task *t)
{
	free(t->held);
	parts_free(t->held_parts);
	t->held = NULL;
	t->held_parts = NULL;
}

int task_hold(struct task *t, const struct rec_call *c, struct parts *p)
{
	task_drop_held(t);
	_cleanup_free_ struct rec_call *held = malloc(sizeof(*held));
	if (!held)
		return -ENOMEM;
	t->held_parts = parts_take(p);
	if (!t->held_parts)
		return -ENOMEM;
	*held = *c;
	t->held = TAKE_PTR(held);
	return 0;
}

int tasks_new(struct tasks **ret, struct err *err)
{
	*ret = calloc(1, sizeof(**ret));
	return *ret ? 0 : err_set(err, ENOMEM, "out of memory");
}

void tasks_forget(struct tasks *ts)
{
	if (!ts)
		return;
	for (size_t i = 0; i < ts->by_tid.room; i++)
		task_free(ts->by_tid.slots[i].value);
	map_clear(&ts->by_tid);
	map_clear(&ts->ever);
	free(ts);
}
