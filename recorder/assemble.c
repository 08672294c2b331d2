/* SPDX-License-Identifier: Apache-2.0 */
#include "recorder/assemble.h"

#include "format/cleanup.h"
#include "recorder/map.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
	MAX_PARTS = 4096,	/* inherited paths are many; a call has a few */
	MAX_FDS = 8192,
	MAX_SOCKS = 2048,
	KEEP_BYTES = 64 << 10,	/* of a buffer between calls */
};

struct assembler {
	const struct assembler_ops *ops;
	void *ctx;
	struct map threads;	/* tid → struct parts */
	struct parts none;	/* of calls without any */
	struct part clock;	/* the only one of a REC_CLOCK */
	uint32_t lost;
	uint64_t strays;
};

/* ---- parts ---------------------------------------------------------------- */

static void parts_release(struct parts *p)
{
	for (size_t i = 0; i < p->parts_room; i++)
		free(p->part[i].data);
	free(p->part);
	free(p->fd);
	free(p->sock);
	*p = (struct parts){ .tid = p->tid, .seq = p->seq };
}

void parts_free(struct parts *p)
{
	if (!p)
		return;
	parts_release(p);
	free(p);
}

struct parts *parts_take(struct parts *p)
{
	struct parts *mine = malloc(sizeof(*mine));

	if (!mine)
		return NULL;
	*mine = *p;
	*p = (struct parts){ .tid = p->tid, .seq = p->seq };
	return mine;
}

/* Buffers stay for the next call, big ones do not. */
static void parts_reset(struct parts *p)
{
	for (size_t i = 0; i < p->nparts; i++)
		if (p->part[i].room > KEEP_BYTES) {
			free(p->part[i].data);
			p->part[i].data = NULL;
			p->part[i].room = 0;
		}
	p->nparts = p->nfds = p->nsocks = 0;
}

const struct part *parts_find(const struct parts *p, uint8_t arg)
{
	for (size_t i = 0; i < p->nparts; i++)
		if (p->part[i].arg == arg)
			return &p->part[i];
	return NULL;
}

/* Room for one more in an array whose capacity is the next power of two; at most @max. */
static int one_more(void **array, size_t n, size_t size, size_t max)
{
	void *bigger;

	if (n >= max)
		return -E2BIG;
	if (n & (n - 1))
		return 0;
	bigger = reallocarray(*array, n ? 2 * n : 1, size);
	if (!bigger)
		return -ENOMEM;
	*array = bigger;
	return 0;
}

static struct part *new_part(struct parts *p, const struct rec_data *d)
{
	struct part *part;

	if (p->nparts == p->parts_room) {
		size_t room = p->parts_room ? 2 * p->parts_room : 4;
		struct part *bigger;

		if (room > MAX_PARTS)
			return NULL;
		bigger = reallocarray(p->part, room, sizeof(*bigger));
		if (!bigger)
			return NULL;
		memset(bigger + p->parts_room, 0, (room - p->parts_room) * sizeof(*bigger));
		p->part = bigger;
		p->parts_room = room;
	}
	part = &p->part[p->nparts++];
	part->arg = d->arg;
	part->index = d->index;
	part->kernel = d->h.flags & REC_F_KERNEL;
	part->torn = false;
	part->len = 0;
	return part;
}

/* Pieces of a segment come one after the other. */
static struct part *part_of(struct parts *p, const struct rec_data *d)
{
	struct part *last = p->nparts ? &p->part[p->nparts - 1] : NULL;

	if (last && last->arg == d->arg && last->index == d->index && d->off)
		return last;
	return new_part(p, d);
}

static int part_add(struct part *part, const struct rec_data *d)
{
	if (part->torn || d->off != part->len || (d->h.flags & REC_F_FAULT)) {
		part->torn = true;
		return 0;
	}
	if (part->room - part->len < d->h.len) {
		size_t room = part->room ? part->room : 64;
		uint8_t *bigger;

		while (room - part->len < d->h.len)
			room *= 2;
		bigger = realloc(part->data, room);
		if (!bigger)
			return -ENOMEM;
		part->data = bigger;
		part->room = room;
	}
	memcpy(part->data + part->len, d->data, d->h.len);
	part->len += d->h.len;
	return 0;
}

/* ---- records ------------------------------------------------------------------ */

static struct parts *parts_of(struct assembler *a, const struct rec_hdr *h)
{
	struct parts *p = map_get(&a->threads, h->tid, 0);

	if (!p) {
		p = calloc(1, sizeof(*p));
		if (!p || map_put(&a->threads, h->tid, 0, p) < 0) {
			free(p);
			return NULL;
		}
		p->tid = h->tid;
		p->seq = h->seq;
	}
	if (p->seq != h->seq) {
		a->strays += p->nparts || p->nfds || p->nsocks;
		parts_reset(p);
		p->seq = h->seq;
	}
	return p;
}

/* The parts that belong to what @h ends. */
static struct parts *parts_ended(struct assembler *a, const struct rec_hdr *h)
{
	struct parts *p = map_get(&a->threads, h->tid, 0);

	if (!p)
		return &a->none;
	if (p->seq != h->seq) {
		a->strays += p->nparts || p->nfds || p->nsocks;
		parts_reset(p);
	}
	return p;
}

static int feed_data(struct assembler *a, const struct rec_data *d)
{
	struct parts *p;
	struct part *part;

	p = parts_of(a, &d->h);
	part = p ? part_of(p, d) : NULL;
	if (!part || part_add(part, d) < 0)
		a->strays++;
	return 0;
}

static int feed_fd(struct assembler *a, const struct rec_fdinfo *f)
{
	struct parts *p = parts_of(a, &f->h);

	if (!p || one_more((void **)&p->fd, p->nfds, sizeof(*p->fd), MAX_FDS) < 0) {
		a->strays++;
		return 0;
	}
	p->fd[p->nfds++] = *f;
	return 0;
}

static int feed_sock(struct assembler *a, const struct rec_sock *s)
{
	struct parts *p = parts_of(a, &s->h);

	if (!p || s->local_len > REC_ADDR_MAX || s->remote_len > REC_ADDR_MAX ||
	    one_more((void **)&p->sock, p->nsocks, sizeof(*p->sock), MAX_SOCKS) < 0) {
		a->strays++;
		return 0;
	}
	p->sock[p->nsocks++] = *s;
	return 0;
}

static int feed_call(struct assembler *a, const struct rec_call *c)
{
	struct rec_call whole = { 0 };
	struct parts *p;
	int rc;

	memcpy(&whole, c, REC_CALL_SIZE(c->h.len));
	p = parts_ended(a, &c->h);
	rc = a->ops->call(a->ctx, &whole, p);
	parts_reset(p);
	return rc;
}

static int feed_clock(struct assembler *a, const struct rec_clock *k)
{
	struct rec_call c = { .h = k->h, .time = k->time, .args = { k->args[0], k->args[1] }, .nr = k->nr, .goroutine = k->goroutine };
	struct parts p = { .tid = k->h.tid, .seq = k->h.seq, .part = &a->clock };

	parts_reset(parts_ended(a, &k->h));
	if (!(k->h.flags & REC_F_PART)) {
		a->clock = (struct part){ .arg = k->arg, .data = (uint8_t *)k->value, .len = sizeof(k->value) };
		p.nparts = 1;
	}
	return a->ops->call(a->ctx, &c, &p);
}

static int feed_task(struct assembler *a, const struct rec_task *t)
{
	struct parts *p = &a->none;
	int rc;

	/* The others stand anywhere, in the midst of a call's parts, too. */
	if (t->h.type == REC_EXEC)
		p = parts_ended(a, &t->h);
	rc = a->ops->task(a->ctx, t, p);
	parts_reset(p);
	return rc;
}

/* 0: it is none. */
static size_t size_of(const struct rec_hdr *h)
{
	switch (h->type) {
	case REC_DATA:
		return REC_DATA_SIZE(h->len);
	case REC_CALL:
		return h->len <= 2 ? REC_CALL_SIZE(h->len) : 0;
	case REC_EINTR:
		return sizeof(*h);
	case REC_CLOCK:
		return sizeof(struct rec_clock);
	case REC_FD:
		return sizeof(struct rec_fdinfo);
	case REC_SOCK:
		return sizeof(struct rec_sock);
	case REC_FORK: case REC_EXEC: case REC_EXIT: case REC_SIGNAL: case REC_HALT: case REC_HOLE:
		return sizeof(struct rec_task);
	}
	return 0;
}

static int feed_record(struct assembler *a, const struct rec_hdr *h)
{
	const void *data = h;
	int rc = 0;

	if ((int32_t)(h->lost - a->lost) > 0) {	/* records of other CPUs may bring older counts */
		rc = a->ops->lost(a->ctx, h->lost - a->lost);
		a->lost = h->lost;
	}
	if (rc < 0)
		return rc;
	switch (h->type) {
	case REC_DATA:
		return feed_data(a, data);
	case REC_FD:
		return feed_fd(a, data);
	case REC_SOCK:
		return feed_sock(a, data);
	case REC_CALL:
		return feed_call(a, data);
	case REC_CLOCK:
		return feed_clock(a, data);
	case REC_EINTR:
		return a->ops->eintr(a->ctx, h->tid);
	}
	return feed_task(a, data);
}

int assemble_feed(struct assembler *a, const void *data, size_t len)
{
	const uint8_t *p = data;
	int rc = 0;

	do {
		const struct rec_hdr *h = (const void *)p;
		size_t size = len < sizeof(*h) ? 0 : size_of(h);

		if (!size || size > len) {
			a->strays++;
			return 0;
		}
		rc = feed_record(a, h);
		if (h->type == REC_DATA && (h->flags & REC_F_ALONE))
			break;
		size = REC_ALIGN(size);
		if (size >= len)
			break;
		p += size;
		len -= size;
	} while (rc >= 0);
	return rc;
}

void assemble_forget(struct assembler *a, uint32_t tid)
{
	parts_free(map_take(&a->threads, tid, 0));
}

uint64_t assemble_strays(const struct assembler *a)
{
	return a->strays;
}

int assembler_new(struct assembler **ret, const struct assembler_ops *ops, void *ctx, struct err *err)
{
	struct assembler *a = calloc(1, sizeof(*a));

	if (!a)
		return err_set(err, ENOMEM, "out of memory");
	a->ops = ops;
	a->ctx = ctx;
	*ret = a;
	return 0;
}

void assembler_free(struct assembler *a)
{
	if (!a)
		return;
	for (size_t i = 0; i < a->threads.room; i++)
		parts_free(a->threads.slots[i].value);
	map_clear(&a->threads);
	free(a);
}
