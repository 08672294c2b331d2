/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The shared file is struct shim_shared, its slots, and behind them the
 * readings.  Each recorded task that read a clock has a slot; SPARE more are
 * for tasks that only the replay has.  A stream that does not fit in there (a
 * clock id of 12 or more, a task without a slot) lives here and is served by
 * notification only.
 */
#include "replayer/streams.h"

#include "format/cleanup.h"
#include "format/io.h"
#include "preload/shim.h"

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#define SPARE 64
#define BUCKETS 1024
#define PAGE 4096ull
#define PAST_MAX (1ull << 40)	/* readings past the end that are believed; a guest can write anything */

struct series {
	uint32_t clk;
	bool open;		/* has readings, or a start */
	bool shared;		/* the cursor is in the file, and so are the readings */
	uint64_t first;		/* shared: byte offset of the readings */
	int64_t *data;		/* while loading, and where it isn't shared */
	uint32_t *order;	/* of each reading, among all events */
	uint64_t count, room;
	uint64_t cursor;	/* the last one known */
	/* Due now: from @first_due, before @due. What came before is counted in @given and @more. */
	uint64_t first_due, due, given, more;
	int64_t last;		/* what the readings beyond @due go on from, */
	int64_t until;		/* and not beyond */
};

struct task {
	struct task *next;	/* of its bucket */
	uint32_t number;
	int slot;		/* -1: none */
	struct series *series;
	size_t nseries;
};

struct streams {
	struct task *bucket[BUCKETS];
	uint32_t used, nslots;	/* slots */
	uint64_t readings;	/* of clocks that can be shared */
	int64_t start[SHIM_CLOCKS];
	int64_t skipped;
	int fd;			/* of the shared file; -1: not published */
};

int streams_new(struct streams **ret, struct err *err)
{
	struct streams *s = calloc(1, sizeof(*s));

	if (!s)
		return err_set(err, ENOMEM, "out of memory");
	s->fd = -1;
	*ret = s;
	return 0;
}

static struct task *task_free(struct task *t)
{
	struct task *next = t->next;

	for (size_t i = 0; i < t->nseries; i++) {
		free(t->series[i].data);
		free(t->series[i].order);
	}
	free(t->series);
	free(t);
	return next;
}

void streams_free(struct streams *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < BUCKETS; i++)
		for (struct task *t = s->bucket[i]; t;)
			t = task_free(t);
	free(s);
}

/* ---- finding ------------------------------------------------------------- */

/* Of @number; made if it is new. NULL: out of memory. */
static struct task *task_get(struct streams *s, uint32_t number)
{
	struct task **head = &s->bucket[number % BUCKETS], *t;

	for (t = *head; t; t = t->next)
		if (t->number == number)
			return t;
	t = calloc(1, sizeof(*t));
	if (!t)
		return NULL;
	t->number = number;
	t->slot = -1;
	t->next = *head;
	*head = t;
	return t;
}

static struct series *series_get(struct task *t, uint32_t clk)
{
	struct series *more, *new;

	for (size_t i = 0; i < t->nseries; i++)
		if (t->series[i].clk == clk)
			return &t->series[i];
	more = reallocarray(t->series, t->nseries + 1, sizeof(*more));
	if (!more)
		return NULL;
	t->series = more;
	new = &more[t->nseries++];
	*new = (struct series){ .clk = clk, .shared = t->slot >= 0 && clk < SHIM_CLOCKS, .until = INT64_MAX };
	return new;
}

/* Calls @f for each series. */
static int each(struct streams *s, int (*f)(struct streams *s, struct task *t, struct series *q, void *ctx), void *ctx)
{
	for (size_t i = 0; i < BUCKETS; i++)
		for (struct task *t = s->bucket[i]; t; t = t->next)
			for (size_t k = 0; k < t->nseries; k++) {
				int rc = f(s, t, &t->series[k], ctx);

				if (rc != 0)
					return rc;
			}
	return 0;
}

/* ---- loading ------------------------------------------------------------- */

int streams_add(struct streams *s, uint32_t number, uint32_t clk, int64_t ns, uint32_t order, struct err *err)
{
	struct task *t = task_get(s, number);
	struct series *q = t ? series_get(t, clk) : NULL;

	if (!q)
		return err_set(err, ENOMEM, "out of memory");
	if (q->count == q->room) {
		uint64_t room = q->room ? q->room * 2 : 16;
		int64_t *data = reallocarray(q->data, room, sizeof(*data));
		uint32_t *orders = data ? reallocarray(q->order, room, sizeof(*orders)) : NULL;

		q->data = data ?: q->data;
		if (!orders)
			return err_set(err, ENOMEM, "out of memory");
		q->order = orders;
		q->room = room;
	}
	q->order[q->count] = order;
	q->data[q->count++] = ns;
	q->due = q->count;
	q->last = ns;
	q->open = true;
	if (clk < SHIM_CLOCKS) {
		s->readings++;
		if (t->slot < 0)
			t->slot = (int)s->used++;
	}
	return 0;
}

void streams_start(struct streams *s, uint32_t clk, int64_t ns)
{
	if (clk < SHIM_CLOCKS)
		s->start[clk] = ns;
}

static uint64_t slot_offset(uint64_t slot)
{
	return sizeof(struct shim_shared) + slot * sizeof(struct shim_slot);
}

uint64_t streams_size(const struct streams *s)
{
	uint64_t size = slot_offset((uint64_t)s->used + SPARE) + s->readings * sizeof(int64_t);

	return (size + PAGE - 1) / PAGE * PAGE;
}

static int put(int fd, uint64_t off, const void *data, size_t len)
{
	size_t done = 0;

	while (done < len) {
		ssize_t n = pwrite(fd, (const char *)data + done, len - done, (off_t)(off + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		done += (size_t)n;
	}
	return 0;
}

static uint64_t stream_offset(const struct task *t, const struct series *q)
{
	return slot_offset((uint64_t)t->slot) + q->clk * sizeof(struct shim_stream);
}

static int put_stream(struct streams *s, const struct task *t, const struct series *q)
{
	const struct shim_stream out = {
		/* An empty stream has no readings, but may not have first 0. */
		.first = q->open ? q->first : 0,
		.count = q->due,
		.cursor = q->cursor,
		.last = q->last,
		.until = q->until,
	};

	return put(s->fd, stream_offset(t, q), &out, sizeof(out));
}

static int publish_series(struct streams *s, struct task *t, struct series *q, void *ctx)
{
	uint64_t *end = ctx;
	int rc;

	if (q->clk >= SHIM_CLOCKS)
		return 0;
	q->shared = true;
	q->first = *end;
	rc = put(s->fd, *end, q->data, q->count * sizeof(*q->data));
	if (rc < 0)
		return rc;
	*end += q->count * sizeof(*q->data);
	free(TAKE_PTR(q->data));
	return put_stream(s, t, q);
}

int streams_publish(struct streams *s, int fd, struct err *err)
{
	static const struct shim_slot spare[SPARE];
	struct shim_shared head = { .version = SHIM_VERSION, .size = streams_size(s) };
	uint64_t end;
	int rc;

	s->fd = fd;
	s->nslots = head.nslots = s->used + SPARE;
	end = slot_offset(s->nslots);
	rc = put(fd, 0, &head, sizeof(head));
	/* Whole pages of zeros first, so that the file has no holes for which memory may be short later. */
	for (uint32_t i = 0; rc == 0 && i < s->nslots; i += SPARE)
		rc = put(fd, slot_offset(i), spare, (s->nslots - i < SPARE ? s->nslots - i : SPARE) * sizeof(spare[0]));
	if (rc == 0)
		rc = each(s, publish_series, &end);
	if (rc == 0 && ftruncate(fd, (off_t)head.size) < 0)
		rc = -errno;
	if (rc < 0)
		return err_sys(err, -rc, "writing the clock readings for the shim");
	return 0;
}

/* ---- serving ------------------------------------------------------------- */

/* Takes over the shim's cursor. */
static void sync_cursor(struct streams *s, const struct task *t, struct series *q)
{
	uint64_t cursor;

	if (!q->shared || !q->open)
		return;
	if (io_pread(s->fd, &cursor, sizeof(cursor), stream_offset(t, q) + offsetof(struct shim_stream, cursor)) !=
	    sizeof(cursor))
		return;
	q->cursor = cursor > q->count + PAST_MAX ? q->count + PAST_MAX : cursor;
}

static int64_t recorded(const struct streams *s, const struct series *q, uint64_t i)
{
	int64_t ns;

	if (!q->shared || q->data)
		return q->data[i];
	if (io_pread(s->fd, &ns, sizeof(ns), q->first + i * sizeof(ns)) != sizeof(ns))
		return q->last;
	return ns;
}

/* The reading at the cursor. */
static int64_t reading(struct streams *s, struct series *q)
{
	int64_t ns;

	if (q->cursor < q->due)
		return recorded(s, q, q->cursor);
	ns = (int64_t)((uint64_t)q->last + (q->cursor - q->due + 1) * SHIM_STEP + (uint64_t)s->skipped);
	return ns < q->until ? ns : q->until;
}

/* The latest time that a reading of the same clock has shown. */
static int latest(struct streams *s, struct task *t, struct series *q, void *ctx)
{
	struct series *wanted = ctx, before;
	int64_t ns;

	if (q->clk != wanted->clk || !q->open)
		return 0;
	sync_cursor(s, t, q);
	if (q->cursor == 0)
		return 0;
	before = *q;
	before.cursor--;
	ns = (int64_t)((uint64_t)reading(s, &before) - (uint64_t)s->skipped);	/* which reading() adds again */
	if (ns > wanted->last)
		wanted->last = ns;
	return 0;
}

/* A clock of which the record has no reading by this task: it goes on from where the others are. */
static void open_empty(struct streams *s, const struct task *t, struct series *q)
{
	q->last = q->clk < SHIM_CLOCKS ? s->start[q->clk] : 0;
	each(s, latest, q);
	q->open = true;
	q->first = sizeof(struct shim_shared);
	if (q->shared)
		put_stream(s, t, q);
}

static void assign_slot(struct streams *s, struct task *t)
{
	if (t->slot < 0 && s->used < s->nslots)
		t->slot = (int)s->used++;
}

int streams_take(struct streams *s, uint32_t number, uint32_t clk, int64_t *ns)
{
	struct task *t = task_get(s, number);
	struct series *q;
	bool known;

	if (!t)
		return -ENOMEM;
	assign_slot(s, t);
	q = series_get(t, clk);
	if (!q)
		return -ENOMEM;
	if (!q->open)
		open_empty(s, t, q);
	sync_cursor(s, t, q);
	known = q->cursor < q->due;
	*ns = reading(s, q);
	q->cursor++;
	if (q->shared)
		put(s->fd, stream_offset(t, q) + offsetof(struct shim_stream, cursor), &q->cursor, sizeof(q->cursor));
	return known;
}

/* Counts what was read of what was due. */
static void count_due(const struct series *q, uint64_t *given, uint64_t *more)
{
	uint64_t end = q->cursor < q->due ? q->cursor : q->due;

	*given = q->given + (end > q->first_due ? end - q->first_due : 0);
	*more = q->more + (q->cursor > q->due ? q->cursor - q->due : 0);
}

/* The first reading at or after place @from that is behind event @order. */
static uint64_t first_behind(const struct series *q, uint64_t from, uint32_t order)
{
	while (from < q->count && q->order[from] < order)
		from++;
	return from;
}

static void reach(struct streams *s, const struct task *t, struct series *q, uint32_t from, uint32_t to)
{
	if (!q->count || (q->first_due == q->count && q->due == q->count))
		return;
	sync_cursor(s, t, q);
	count_due(q, &q->given, &q->more);
	q->first_due = first_behind(q, q->first_due, from);
	q->due = to == UINT32_MAX ? q->count : first_behind(q, q->first_due, to);
	q->cursor = q->first_due;
	q->last = recorded(s, q, q->due ? q->due - 1 : 0);
	q->until = q->due < q->count ? recorded(s, q, q->due) : INT64_MAX;
	if (q->shared)
		put_stream(s, t, q);
}

void streams_reach(struct streams *s, uint32_t number, uint32_t from, uint32_t to)
{
	struct task *t = task_get(s, number);

	for (size_t i = 0; t && i < t->nseries; i++)
		reach(s, t, &t->series[i], from, to);
}

uint32_t streams_next(struct streams *s, uint32_t number, uint32_t clk)
{
	struct task *t = task_get(s, number);

	for (size_t i = 0; t && i < t->nseries; i++) {
		struct series *q = &t->series[i];

		if (q->clk != clk || !q->count)
			continue;
		sync_cursor(s, t, q);
		return q->cursor < q->count ? q->order[q->cursor] : UINT32_MAX;
	}
	return 0;
}

int streams_slot(struct streams *s, uint32_t number)
{
	struct task *t = task_get(s, number);

	if (!t)
		return -ENOMEM;
	assign_slot(s, t);
	return t->slot < 0 ? -ENOSPC : t->slot;
}

void streams_skip(struct streams *s, int64_t ns)
{
	s->skipped = (int64_t)((uint64_t)s->skipped + (uint64_t)ns);
	put(s->fd, offsetof(struct shim_shared, skipped), &s->skipped, sizeof(s->skipped));
}

/* ---- for the verdict ----------------------------------------------------- */

static void total_of(struct streams *s, struct task *t, struct series *q, struct streams_total *ret)
{
	sync_cursor(s, t, q);
	ret->recorded = q->count;
	count_due(q, &ret->given, &ret->more);
}

static int add_total(struct streams *s, struct task *t, struct series *q, void *ctx)
{
	struct streams_total *sum = ctx, one;

	total_of(s, t, q, &one);
	sum->recorded += one.recorded;
	sum->given += one.given;
	sum->more += one.more;
	return 0;
}

void streams_total(struct streams *s, struct streams_total *ret)
{
	*ret = (struct streams_total){ 0 };
	each(s, add_total, ret);
}

struct odd {
	streams_each f;
	void *ctx;
};

static int tell_odd(struct streams *s, struct task *t, struct series *q, void *ctx)
{
	const struct odd *odd = ctx;
	struct streams_total one;

	total_of(s, t, q, &one);
	if (one.more == 0 && one.given == one.recorded)
		return 0;
	return odd->f(odd->ctx, t->number, q->clk, &one);
}

int streams_odd(struct streams *s, streams_each f, void *ctx)
{
	struct odd odd = { f, ctx };

	return each(s, tell_odd, &odd);
}
