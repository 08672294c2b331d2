/* SPDX-License-Identifier: Apache-2.0 */
#include "watch/limits.h"

#include "format/cleanup.h"
#include "watch/store.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define HOUR 3600000000000ll
#define DAY (24 * HOUR)
#define LEAST (64ull << 10)	/* bytes: a smaller capsule is none */

struct one {
	char policy[POLICY_NAME + 1];
	int64_t time;
	uint64_t bytes;		/* or what it may come to */
	int number;
	bool open;		/* it is being written: the store does not have it yet */
};

struct limits {
	struct policy_host host;
	struct one *list;	/* of the last day, and those that are open */
	size_t n;
	int last;
};

static int add(struct limits *l, const char *policy, int64_t time, uint64_t bytes, bool open)
{
	struct one *more = reallocarray(l->list, l->n + 1, sizeof(*more));

	if (!more)
		return -ENOMEM;
	l->list = more;
	more[l->n] = (struct one){ .time = time, .bytes = bytes, .number = ++l->last, .open = open };
	snprintf(more[l->n].policy, sizeof(more[l->n].policy), "%s", policy);
	return more[l->n++].number;
}

static void forget_old(struct limits *l, int64_t now)
{
	size_t n = 0;

	for (size_t i = 0; i < l->n; i++)
		if (l->list[i].open || l->list[i].time > now - DAY)
			l->list[n++] = l->list[i];
	l->n = n;
}

/* ---- sums -------------------------------------------------------------------------- */

struct sums {
	uint64_t hour, day_bytes, open;
	int64_t last;
};

/* @policy NULL: of all. */
static struct sums sum(const struct limits *l, const char *policy, int64_t now)
{
	struct sums s = { .last = INT64_MIN };

	for (size_t i = 0; i < l->n; i++) {
		const struct one *o = &l->list[i];

		if (policy && strcmp(o->policy, policy) != 0)
			continue;
		s.hour += o->time > now - HOUR;
		s.day_bytes += o->bytes;
		s.open += o->open;
		s.last = o->time > s.last ? o->time : s.last;
	}
	return s;
}

static void count(void *ctx, const struct stored *s)
{
	(void)s;
	++*(uint64_t *)ctx;
}

static uint64_t left(uint64_t most, uint64_t used)
{
	return most > used ? most - used : 0;
}

uint64_t limits_allow(struct limits *l, const struct policy *p, int64_t now, const char **why)
{
	uint64_t mine = 0, all = 0, bytes = p->capture.max_bytes, room;
	struct sums s, h;

	forget_old(l, now);
	s = sum(l, p->name, now);
	h = sum(l, NULL, now);
	*why = NULL;
	if (s.last != INT64_MIN && now - s.last < (int64_t)p->capture.cool_down)
		*why = "cool_down";
	else if (s.hour >= p->capture.per_hour)
		*why = "per_hour";
	else if (h.hour >= l->host.per_hour)
		*why = "per_hour of the host";
	if (*why)
		return 0;
	store_each(p->store, p->name, count, &mine);
	store_each(p->store, NULL, count, &all);
	room = left(p->capture.bytes_per_day, s.day_bytes);
	bytes = room < bytes ? room : bytes;
	if (mine + s.open >= p->capture.max_capsules)
		*why = "max_capsules";
	else if (all + h.open >= l->host.max_capsules)
		*why = "max_capsules of the host";
	else if (bytes < LEAST)
		*why = "bytes_per_day";
	else if (left(l->host.bytes_per_day, h.day_bytes) < bytes && (bytes = left(l->host.bytes_per_day, h.day_bytes)) < LEAST)
		*why = "bytes_per_day of the host";
	return *why ? 0 : bytes;
}

int limits_begun(struct limits *l, const struct policy *p, int64_t now, uint64_t bytes)
{
	return add(l, p->name, now, bytes, true);
}

void limits_ended(struct limits *l, int number, uint64_t bytes)
{
	for (size_t i = 0; i < l->n; i++) {
		struct one *o = &l->list[i];

		if (o->number != number)
			continue;
		o->open = false;
		o->bytes = bytes;
		if (!bytes)
			l->list[i] = l->list[--l->n];
		return;
	}
}

/* ---- beginning and end --------------------------------------------------------------- */

struct taking {
	struct limits *l;
	int rc;
};

static void take_stored(void *ctx, const struct stored *s)
{
	struct taking *t = ctx;

	for (size_t i = 0; i < t->l->n; i++)
		if (t->l->list[i].time == s->time && strcmp(t->l->list[i].policy, s->policy) == 0)
			return;
	if (add(t->l, s->policy, s->time, s->bytes, false) < 0)
		t->rc = -ENOMEM;
}

int limits_take(struct limits *l, const struct policies *ps, struct err *err)
{
	struct taking t = { .l = l };

	l->host = ps->host;
	l->host.group = NULL;
	for (size_t i = 0; i < ps->n; i++)
		store_each(ps->list[i].store, ps->list[i].name, take_stored, &t);
	return t.rc < 0 ? err_set(err, ENOMEM, "out of memory") : 0;
}

int limits_new(struct limits **ret, const struct policies *ps, struct err *err)
{
	struct limits *l = calloc(1, sizeof(*l));

	if (!l)
		return err_set(err, ENOMEM, "out of memory");
	if (limits_take(l, ps, err) < 0) {
		limits_free(l);
		return -err->code;
	}
	*ret = l;
	return 0;
}

void limits_free(struct limits *l)
{
	if (!l)
		return;
	free(l->list);
	free(l);
}
