/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The shared file is struct shim_shared, its slots, and behind them a shelf for
 * each stream, with the readings that are due next; where more are due than fit
 * there, the shim asks, and the shelf is filled again.  Each recorded task that
 * read a clock has a slot; SPARE more are for tasks that only the replay has.  A
 * stream that does not fit in there (a clock id of SHIM_STREAMS or more, a task
 * without a slot) lives here and is served by notification only.
 */
#include "replayer/streams.h"

#include "format/cleanup.h"
#include "format/io.h"
#include "preload/shim.h"

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <time.h>

#define SPARE 64
#define BUCKETS 1024
#define PAGE 4096ull
#define SHELF 4096ull	/* readings on it at most */
#define PAST_MAX (1ull << 40)	/* readings past the end that are believed; a guest can write anything */

struct reading {
	int64_t ns;
	uint32_t order;		/* among all events */
};

/* Readings are numbered from the first of the recording. */
struct series {
	uint32_t clk;
	bool open;		/* has readings, or a start */
	bool shared;		/* the cursor is in the file, and the shelf */
	struct reading *ring;	/* those from @first on and before @count */
	uint64_t room, first, count;
	uint64_t all;		/* that there will be */
	uint64_t shelf, shelf_room;	/* shared: its byte offset; readings that fit on it */
	uint64_t base, shelved;	/* those from @base on and before @shelved are on it */
	uint64_t told;		/* the shim asks when its cursor comes to this one, */
	bool asks;		/* if it was told to */
	uint64_t cursor;	/* the last one known */
	/* Due now: from @first_due, before @due. What came before is counted in @given and @more. */
	uint64_t first_due, due, given, more;
	int64_t before;		/* the one before @first */
	int64_t last;		/* what the readings beyond @due go on from, */
	int64_t until;		/* and not beyond */
};

struct task {
	struct task *next;	/* of its bucket */
	uint32_t number;
	int slot;		/* -1: none */
	struct series *series;
	size_t nseries;
	uint32_t to;		/* readings up to this event are due; UINT32_MAX: all that are read */
};

struct streams {
	struct task *bucket[BUCKETS];
	uint32_t used, nslots;	/* slots */
	uint64_t shelves;	/* readings that fit on all of them */
	uint64_t held;		/* readings in all rings */
	int64_t start[SHIM_STREAMS];
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

	for (size_t i = 0; i < t->nseries; i++)
		free(t->series[i].ring);
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
	t->to = UINT32_MAX;
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
	*new = (struct series){ .clk = clk, .shared = t->slot >= 0 && clk < SHIM_STREAMS, .until = INT64_MAX };
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

static int no_memory(struct err *err)
{
	return err_set(err, ENOMEM, "out of memory");
}

static void add_shelf(struct streams *s, struct task *t, struct series *q, uint64_t room)
{
	s->shelves += room - q->shelf_room;
	q->shelf_room = room;
	if (t->slot < 0)
		t->slot = (int)s->used++;
}

int streams_expect(struct streams *s, uint32_t number, uint32_t clk, uint64_t count, struct err *err)
{
	struct task *t = task_get(s, number);
	struct series *q = t ? series_get(t, clk) : NULL;

	if (!q)
		return no_memory(err);
	q->all = count;
	q->open = true;
	q->last = q->before = clk < SHIM_STREAMS ? s->start[clk] : 0;
	if (clk < SHIM_STREAMS)
		add_shelf(s, t, q, count < SHELF ? count : SHELF);
	return 0;
}

static int ring_grow(struct series *q)
{
	uint64_t room = q->room ? q->room * 2 : 16;
	struct reading *bigger = calloc(room, sizeof(*bigger));

	if (!bigger)
		return -ENOMEM;
	for (uint64_t i = q->first; i < q->count; i++)
		bigger[i & (room - 1)] = q->ring[i & (q->room - 1)];
	free(q->ring);
	q->ring = bigger;
	q->room = room;
	return 0;
}

int streams_add(struct streams *s, uint32_t number, uint32_t clk, int64_t ns, uint32_t order, struct err *err)
{
	struct task *t = task_get(s, number);
	struct series *q = t ? series_get(t, clk) : NULL;

	if (!q || (q->count - q->first == q->room && ring_grow(q) < 0))
		return no_memory(err);
	q->ring[q->count++ & (q->room - 1)] = (struct reading){ ns, order };
	if (q->all < q->count)
		q->all = q->count;
	q->open = true;
	if (s->fd < 0 && clk < SHIM_STREAMS && q->count > q->shelf_room && q->shelf_room < SHELF)
		add_shelf(s, t, q, q->shelf_room + 1);
	s->held++;
	if (order < t->to) {
		q->due = q->count;
		q->last = ns;
	} else if (q->due + 1 == q->count) {
		q->until = ns;
	}
	return 0;
}

void streams_start(struct streams *s, uint32_t clk, int64_t ns)
{
	if (clk < SHIM_STREAMS)
		s->start[clk] = ns;
}

static uint64_t slot_offset(uint64_t slot)
{
	return sizeof(struct shim_shared) + slot * sizeof(struct shim_slot);
}

uint64_t streams_size(const struct streams *s)
{
	uint64_t size = slot_offset((uint64_t)s->used + SPARE) + s->shelves * sizeof(int64_t);

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

static const struct reading *recorded(const struct series *q, uint64_t i)
{
	return &q->ring[i & (q->room - 1)];
}

/* Tells the shim of what is due.  Its cursor counts from the shelf's first. */
static int put_stream(struct streams *s, const struct task *t, struct series *q)
{
	struct shim_stream out = {
		/* An empty stream has no readings, but may not have first 0. */
		.first = q->open ? q->shelf : 0, .cursor = q->cursor - q->base, .last = q->last, .until = q->until,
	};

	q->told = q->due < q->shelved ? q->due : q->shelved;
	q->asks = q->shelved < q->due || (t->to == UINT32_MAX && q->count < q->all);
	out.count = q->told > q->base ? q->told - q->base : 0;
	out.more = q->asks;
	return put(s->fd, stream_offset(t, q), &out, sizeof(out));
}

/* Lets go what is before @upto. */
static void pass(struct streams *s, struct series *q, uint64_t upto)
{
	if (upto <= q->first)
		return;
	q->before = recorded(q, upto - 1)->ns;
	s->held -= upto - q->first;
	q->first = upto;
	if (q->first == q->count && q->room > 64) {
		free(q->ring);
		q->ring = NULL;
		q->room = 0;
	}
}

/* A task that has no marks for long reads on and on. */
static void let_go_of_read(struct streams *s, struct series *q)
{
	uint64_t end = q->cursor < q->due ? q->cursor : q->due;

	if (end <= q->first_due)
		return;
	q->given += end - q->first_due;
	q->first_due = end;
	pass(s, q, end);
}

/* Puts what is due from the cursor on onto the shelf. */
static int fill_shelf(struct streams *s, const struct task *t, struct series *q)
{
	int64_t buf[SHELF];
	uint64_t n = 0;
	int rc;

	let_go_of_read(s, q);
	if (q->cursor >= q->base && q->shelved >= q->due)
		return put_stream(s, t, q);
	while (n < q->shelf_room && q->cursor + n < q->count) {
		buf[n] = recorded(q, q->cursor + n)->ns;
		n++;
	}
	q->base = q->cursor;
	q->shelved = q->base + n;
	rc = put(s->fd, q->shelf, buf, n * sizeof(buf[0]));
	return rc < 0 ? rc : put_stream(s, t, q);
}

static int publish_series(struct streams *s, struct task *t, struct series *q, void *ctx)
{
	uint64_t *end = ctx;

	if (q->clk >= SHIM_STREAMS)
		return 0;
	q->shared = true;
	q->shelf = *end;
	*end += q->shelf_room * sizeof(int64_t);
	return fill_shelf(s, t, q);
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
	q->cursor = q->base + (cursor > PAST_MAX ? PAST_MAX : cursor);
	if (q->cursor < q->first)
		q->cursor = q->first;
	/* It moved its cursor before it saw that it had to ask. */
	if (q->asks && q->cursor > q->told)
		q->cursor = q->told;
}

/* The reading at the cursor. */
static int64_t reading(struct streams *s, struct series *q)
{
	int64_t ns;

	if (q->cursor < q->due)
		return q->cursor < q->first ? q->before : recorded(q, q->cursor)->ns;
	ns = (int64_t)((uint64_t)q->last + (q->cursor - q->due + 1) * SHIM_STEP + (uint64_t)s->skipped);
	return ns < q->until ? ns : q->until;
}

/* Do both tell the time of day? */
static bool is_same_time(uint32_t a, uint32_t b)
{
	return a == b || (a == CLOCK_REALTIME && b == SHIM_SECONDS) || (a == SHIM_SECONDS && b == CLOCK_REALTIME);
}

/* The latest time that a reading of the same clock has shown. */
static int latest(struct streams *s, struct task *t, struct series *q, void *ctx)
{
	struct series *wanted = ctx, before;
	int64_t ns;

	if (!is_same_time(q->clk, wanted->clk) || !q->open)
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
	q->last = q->clk < SHIM_STREAMS ? s->start[q->clk] : 0;
	each(s, latest, q);
	q->open = true;
	q->shelf = sizeof(struct shim_shared);
	if (q->shared)
		put_stream(s, t, q);
}

static void assign_slot(struct streams *s, struct task *t)
{
	if (t->slot < 0 && s->used < s->nslots)
		t->slot = (int)s->used++;
}

static void put_cursor(struct streams *s, const struct task *t, const struct series *q)
{
	uint64_t cursor = q->cursor - q->base;

	put(s->fd, stream_offset(t, q) + offsetof(struct shim_stream, cursor), &cursor, sizeof(cursor));
}

bool streams_wants(struct streams *s, uint32_t number, uint32_t clk)
{
	struct task *t = task_get(s, number);

	for (size_t i = 0; t && i < t->nseries; i++) {
		struct series *q = &t->series[i];

		if (q->clk != clk || t->to != UINT32_MAX || q->count == q->all)
			continue;
		sync_cursor(s, t, q);
		return q->cursor >= q->count;
	}
	return false;
}

/* A thread that reads it more often than it did, and before it did so first. */
static int64_t before_first(struct streams *s, const struct series *q)
{
	struct series now = { .clk = q->clk, .last = q->clk < SHIM_STREAMS ? s->start[q->clk] : 0 };

	each(s, latest, &now);
	return now.last;
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
	if (!q->cursor && !q->due)
		q->last = before_first(s, q);
	*ns = reading(s, q);
	q->cursor++;
	if (q->shared && q->asks)
		fill_shelf(s, t, q);
	else if (q->shared)
		put_cursor(s, t, q);
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
	while (from < q->count && recorded(q, from)->order < order)
		from++;
	return from;
}

static void reach(struct streams *s, const struct task *t, struct series *q, uint32_t from)
{
	uint64_t first_due = first_behind(q, q->first_due, from);
	uint64_t due = t->to == UINT32_MAX ? q->count : first_behind(q, first_due, t->to);

	if (!q->all || (first_due == q->first_due && due == q->due && !q->asks))
		return;
	sync_cursor(s, t, q);
	count_due(q, &q->given, &q->more);
	q->first_due = first_due;
	q->due = due;
	pass(s, q, q->first_due);
	q->cursor = q->first_due;
	q->last = q->due > q->first ? recorded(q, q->due - 1)->ns : q->first ? q->before : before_first(s, q);
	q->until = q->due < q->count ? recorded(q, q->due)->ns : INT64_MAX;
	if (q->shared)
		fill_shelf(s, t, q);
}

void streams_reach(struct streams *s, uint32_t number, uint32_t from, uint32_t to)
{
	struct task *t = task_get(s, number);

	if (!t)
		return;
	t->to = to;
	for (size_t i = 0; i < t->nseries; i++)
		reach(s, t, &t->series[i], from);
}

void streams_mark(struct streams *s, uint32_t number, uint32_t order)
{
	struct task *t = task_get(s, number);

	if (t && t->to == UINT32_MAX)
		t->to = order;
}

uint64_t streams_held(const struct streams *s)
{
	return s->held * sizeof(struct reading);
}

uint32_t streams_next(struct streams *s, uint32_t number, uint32_t clk)
{
	struct task *t = task_get(s, number);

	for (size_t i = 0; t && i < t->nseries; i++) {
		struct series *q = &t->series[i];

		if (q->clk != clk || !q->all)
			continue;
		sync_cursor(s, t, q);
		return q->cursor >= q->first && q->cursor < q->count ? recorded(q, q->cursor)->order : UINT32_MAX;
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

void streams_at_least(struct streams *s, uint32_t number, uint32_t clk, int64_t ns)
{
	struct task *t = task_get(s, number);
	struct series *q;
	int64_t now;

	if (!t)
		return;
	assign_slot(s, t);
	q = series_get(t, clk);
	if (!q || q->all)
		return;
	if (!q->open)
		open_empty(s, t, q);
	sync_cursor(s, t, q);
	now = reading(s, q);
	if (now >= ns)
		return;
	q->last += ns - now;
	if (q->shared)
		put(s->fd, stream_offset(t, q) + offsetof(struct shim_stream, last), &q->last, sizeof(q->last));
}

void streams_skip(struct streams *s, int64_t ns)
{
	s->skipped = (int64_t)((uint64_t)s->skipped + (uint64_t)ns);
	put(s->fd, offsetof(struct shim_shared, skipped), &s->skipped, sizeof(s->skipped));
}

int64_t streams_skipped(const struct streams *s)
{
	return s->skipped;
}

int64_t streams_now(struct streams *s, uint32_t number, uint32_t clk)
{
	struct series anybody = { .clk = clk, .last = clk < SHIM_STREAMS ? s->start[clk] : 0 };
	struct task *t = task_get(s, number);

	for (size_t i = 0; t && i < t->nseries; i++) {
		struct series before = t->series[i];

		if (before.clk != clk || !before.open)
			continue;
		sync_cursor(s, t, &before);
		if (before.cursor-- > 0)
			return reading(s, &before);
	}
	each(s, latest, &anybody);
	return (int64_t)((uint64_t)anybody.last + (uint64_t)s->skipped);
}

/* ---- for the verdict ----------------------------------------------------- */

static void total_of(struct streams *s, struct task *t, struct series *q, struct streams_total *ret)
{
	sync_cursor(s, t, q);
	ret->recorded = q->all;
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
