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
#define AGAIN 1000000000ll	/* behind one that failed, and behind a look at a store that was full */

struct one {
	char policy[POLICY_NAME + 1];
	int64_t time;
	uint64_t bytes;		/* or what it may come to */
	int number;
	bool open;		/* it is being written: the store does not have it yet */
	bool failed;		/* there is none; the policy's last one of this kind */
};

struct limits {
	struct policy_host host;
	struct one *list;	/* of the last day, and those that are open */
	size_t n;
	int last;
	struct {
		const struct policy *policy;
		int64_t until;
	} full[POLICIES_MAX];	/* whose store was: a storm must not read it each time */
	size_t nfull;
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
	int64_t last, failed;
};

/* @policy NULL: of all. */
static struct sums sum(const struct limits *l, const char *policy, int64_t now)
{
	struct sums s = { .last = INT64_MIN, .failed = INT64_MIN };

	for (size_t i = 0; i < l->n; i++) {
		const struct one *o = &l->list[i];

		if (policy && strcmp(o->policy, policy) != 0)
			continue;
		if (o->failed) {
			s.failed = o->time > s.failed ? o->time : s.failed;
			continue;
		}
		s.hour += o->time > now - HOUR;
		s.day_bytes += o->bytes;
		s.open += o->open;
		s.last = o->time > s.last ? o->time : s.last;
	}
	return s;
}

struct counting {
	const struct limits *l;
	uint64_t n;
};

static bool is_of(const struct one *o, const struct stored *s)
{
	return o->time == s->time && strcmp(o->policy, s->policy) == 0;
}

/* One that is in its place while it is open yet counts as such. */
static void count(void *ctx, const struct stored *s)
{
	struct counting *c = ctx;

	for (size_t i = 0; i < c->l->n; i++)
		if (c->l->list[i].open && is_of(&c->l->list[i], s))
			return;
	c->n++;
}

static uint64_t in_store(const struct limits *l, const struct policy *p, const char *name)
{
	struct counting c = { .l = l };

	store_each(p->store, name, count, &c);
	return c.n;
}

static uint64_t left(uint64_t most, uint64_t used)
{
	return most > used ? most - used : 0;
}

/* Until when @p's store is taken for full without a look at it. */
static int64_t *full_until(struct limits *l, const struct policy *p)
{
	size_t i = 0;

	while (i < l->nfull && l->full[i].policy != p)
		i++;
	if (i == POLICIES_MAX)
		i = l->nfull = 0;
	if (i == l->nfull) {
		l->full[l->nfull++].policy = p;
		l->full[i].until = INT64_MIN;
	}
	return &l->full[i].until;
}

static bool is_within(int64_t last, int64_t now, uint64_t time)
{
	return last != INT64_MIN && now - last < (int64_t)time;
}

/* Who can't write must not try at every failure. */
static uint64_t pause_of(const struct policy *p)
{
	return p->capture.cool_down > AGAIN ? p->capture.cool_down : AGAIN;
}

uint64_t limits_allow(struct limits *l, const struct policy *p, int64_t now, const char **why)
{
	uint64_t mine, all, bytes = p->capture.max_bytes, room;
	struct sums s, h;

	forget_old(l, now);
	s = sum(l, p->name, now);
	h = sum(l, NULL, now);
	*why = NULL;
	if (is_within(s.last, now, p->capture.cool_down) || is_within(s.failed, now, pause_of(p)))
		*why = "cool_down";
	else if (now < *full_until(l, p))
		*why = "max_capsules";
	else if (s.hour >= p->capture.per_hour)
		*why = "per_hour";
	else if (h.hour >= l->host.per_hour)
		*why = "per_hour of the host";
	if (*why)
		return 0;
	mine = in_store(l, p, p->name) + s.open;
	all = in_store(l, p, NULL) + h.open;
	room = left(p->capture.bytes_per_day, s.day_bytes);
	bytes = room < bytes ? room : bytes;
	if (mine >= p->capture.max_capsules)
		*why = "max_capsules";
	else if (all >= l->host.max_capsules)
		*why = "max_capsules of the host";
	else if (bytes < LEAST)
		*why = "bytes_per_day";
	else if (left(l->host.bytes_per_day, h.day_bytes) < bytes && (bytes = left(l->host.bytes_per_day, h.day_bytes)) < LEAST)
		*why = "bytes_per_day of the host";
	if (mine >= p->capture.max_capsules || all >= l->host.max_capsules)
		*full_until(l, p) = now + AGAIN;
	return *why ? 0 : bytes;
}

int limits_begun(struct limits *l, const struct policy *p, int64_t now, uint64_t bytes)
{
	return add(l, p->name, now, bytes, true);
}

void limits_ended(struct limits *l, int number, uint64_t bytes)
{
	size_t i = 0;

	while (i < l->n && l->list[i].number != number)
		i++;
	if (i == l->n)
		return;
	l->list[i].open = false;
	l->list[i].bytes = bytes;
	if (bytes)
		return;
	l->list[i].failed = true;
	for (size_t k = 0; k < l->n; k++)
		if (k != i && l->list[k].failed && strcmp(l->list[k].policy, l->list[i].policy) == 0) {
			l->list[k] = l->list[--l->n];
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
		if (is_of(&t->l->list[i], s))
			return;
	if (add(t->l, s->policy, s->time, s->bytes, false) < 0)
		t->rc = -ENOMEM;
}

int limits_take(struct limits *l, const struct policies *ps, struct err *err)
{
	struct taking t = { .l = l };

	l->host = ps->host;
	l->host.group = NULL;
	l->nfull = 0;
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
