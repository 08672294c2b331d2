/* SPDX-License-Identifier: Apache-2.0 */
#include <linux/types.h>

#include "watch/openings.h"

#include "format/payload.h"
#include "format/sysdesc.h"
#include "watch/keep.h"
#include "watch/requests.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>

enum {
	GOING_ON = 32,		/* connections that are being opened at once; of more the oldest is given up */
	WORKERS = 256,		/* tasks that are remembered to have heard clients */
};

struct opening {
	uint32_t task;		/* who opens it */
	struct event *object;	/* NULL: this one is free */
	struct event *calls[OPENING_CALLS];
	size_t n, bytes;
	bool connected, answered;
	bool for_client;	/* who opens it had heard one before */
	bool turned;		/* who opens it has turned to a client since the last answer */
};

struct openings {
	struct opening going_on[GOING_ON];
	unsigned int oldest;
	struct opening kept[OPENINGS];
	unsigned int oldest_kept;
	uint32_t workers[WORKERS];
	unsigned int oldest_worker;
};

struct openings *openings_new(void)
{
	return calloc(1, sizeof(struct openings));
}

static void clear(struct opening *o)
{
	for (size_t i = 0; i < o->n; i++)
		free(o->calls[i]);
	free(o->object);
	*o = (struct opening){ 0 };
}

void openings_free(struct openings *os)
{
	for (size_t i = 0; os && i < GOING_ON; i++)
		clear(&os->going_on[i]);
	for (size_t i = 0; os && i < OPENINGS; i++)
		clear(&os->kept[i]);
	free(os);
}

static bool same_far_end(const struct opening *a, const struct opening *b)
{
	const struct bytes *x = &a->object->object.remote, *y = &b->object->object.remote;

	return x->len == y->len && memcmp(x->data, y->data, x->len) == 0;
}

static bool is_write(const struct event *e)
{
	return sc_table[e->call.nr].fate == SC_WRITE;
}

/* The place of @o's @k-th write among its calls; n: it has not so many. */
static size_t write_at(const struct opening *o, size_t k)
{
	size_t i = 0;

	while (i < o->n && (!is_write(o->calls[i]) || k--))
		i++;
	return i;
}

static const struct ev_seg *words(const struct event *e)
{
	return e->call.nsegs && call_payload_arg(e->call.nr) >= 0 ? call_seg(&e->call, (uint8_t)call_payload_arg(e->call.nr)) : NULL;
}

/* What two connections to one place begin with alike is how they are opened; what comes behind was asked for somebody's work. */
static void cut(struct opening *o, const struct opening *other)
{
	size_t k = 0, at, its;

	while ((at = write_at(o, k)) < o->n && (its = write_at(other, k)) < other->n) {
		const struct ev_seg *a = words(o->calls[at]), *b = words(other->calls[its]);

		if (!a || !b || a->len != b->len || !a->data || !b->data || memcmp(a->data, b->data, a->len) != 0)
			break;
		k++;
	}
	while (o->n > at)
		free(o->calls[--o->n]);
	o->answered = k > 0;
}

/* It is over, and kept in the place of the last one to the same address. */
static void keep(struct openings *os, struct opening *o)
{
	struct opening *to = NULL;

	for (size_t i = 0; o->answered && i < OPENINGS && !to; i++)
		if (os->kept[i].object && same_far_end(&os->kept[i], o))
			to = &os->kept[i];
	for (size_t i = 0; o->answered && i < OPENINGS && !to; i++)
		if (!os->kept[i].object)
			to = &os->kept[i];
	if (o->answered && !to)
		to = &os->kept[os->oldest_kept++ % OPENINGS];
	if (to) {
		if (to->object && same_far_end(to, o))
			cut(o, to);
		clear(to);
		*to = *o;
		*o = (struct opening){ 0 };
	}
	clear(o);
}

/* It is over, without that anybody used the connection again. */
static void end(struct openings *os, struct opening *o)
{
	if (o->for_client)
		clear(o);
	else
		keep(os, o);
}

static struct opening *of_object(struct openings *os, uint32_t object)
{
	for (size_t i = 0; i < GOING_ON; i++)
		if (os->going_on[i].object && os->going_on[i].object->object.id == object)
			return &os->going_on[i];
	return NULL;
}

static void see_object(struct openings *os, const struct event *e)
{
	const struct ev_object *o = &e->object;
	struct opening *at = of_object(os, o->id);
	struct event *copy;

	if (o->kind != OBJ_SOCKET || (o->type & 0xf) != SOCK_STREAM) {
		if (at)
			end(os, at);
		return;
	}
	copy = keep_alone(e);
	if (!copy)
		return;
	if (at) {
		free(at->object);
		at->object = copy;
		return;
	}
	at = &os->going_on[os->oldest++ % GOING_ON];
	if (at->object)
		end(os, at);
	at->object = copy;
}

static void keep_call(struct openings *os, struct opening *o, const struct event *e)
{
	struct event *copy = keep_alone(e);

	if (!copy || o->n == OPENING_CALLS || o->bytes + keep_size(e) > OPENING_BYTES) {
		free(copy);
		end(os, o);
		return;
	}
	o->calls[o->n++] = copy;
	o->bytes += keep_size(e);
}

static bool is_worker(const struct openings *os, uint32_t task)
{
	for (size_t i = 0; i < WORKERS; i++)
		if (os->workers[i] == task)
			return true;
	return false;
}

static void see_own(struct openings *os, struct opening *o, const struct event *e)
{
	const struct ev_call *c = &e->call;
	int fate = sc_table[c->nr].fate;

	if (!o->connected) {
		if (c->nr != SYS_connect || (c->ret != 0 && c->ret != -EINPROGRESS)) {
			if (c->nr != SYS_bind)
				clear(o);	/* it listens, say */
			return;
		}
		o->connected = true;
		o->task = e->task;
		o->for_client = is_worker(os, e->task);
		return;
	}
	if (c->nr == SYS_shutdown || (fate == SC_READ && c->ret == 0)) {
		end(os, o);
		return;
	}
	if ((fate != SC_READ && fate != SC_WRITE) || c->ret <= 0)
		return;
	if (e->task != o->task || (fate == SC_WRITE && o->turned)) {
		keep(os, o);
		return;
	}
	o->answered |= fate == SC_READ;
	keep_call(os, o, e);
}

/* Who opens a connection has turned to one of its clients: what it has heard of the other end was all that it wanted. */
static void see_clients(struct openings *os, const struct event *e)
{
	if (!is_worker(os, e->task))
		os->workers[os->oldest_worker++ % WORKERS] = e->task;
	for (size_t i = 0; i < GOING_ON; i++)
		if (os->going_on[i].object && os->going_on[i].connected && os->going_on[i].task == e->task)
			os->going_on[i].turned = os->going_on[i].answered;
}

static void see_call(struct openings *os, const struct event *e, const struct requests *rs)
{
	const struct ev_call *c = &e->call;
	struct opening *o = c->obj ? of_object(os, c->obj) : NULL;

	if (c->obj2 && (c->nr == SYS_accept || c->nr == SYS_accept4) && (o = of_object(os, c->obj2)))
		clear(o);	/* a client's */
	else if (o)
		see_own(os, o, e);
	else if (c->obj && sc_is_payload(sc_table[c->nr].fate) && c->ret > 0 && requests_is_inbound(rs, c->obj))
		see_clients(os, e);
}

void openings_event(struct openings *os, const struct event *e, const struct requests *rs)
{
	if (e->kind == EV_OBJECT && e->time)
		see_object(os, e);
	else if (e->kind == EV_CALL && e->call.nr < SC_MAX)
		see_call(os, e, rs);
}

static void each(const struct opening *o, void (*f)(void *ctx, const struct event *e), void *ctx)
{
	if (!o->object || !o->answered || !o->n)
		return;
	f(ctx, o->object);
	for (size_t i = 0; i < o->n; i++)
		f(ctx, o->calls[i]);
}

/* One that goes on yet, as those of a start that were not used since, where no other to that address is kept. */
void openings_each(const struct openings *os, void (*f)(void *ctx, const struct event *e), void *ctx)
{
	for (size_t i = 0; i < OPENINGS; i++)
		each(&os->kept[i], f, ctx);
	for (size_t i = 0; i < GOING_ON; i++) {
		bool known = os->going_on[i].for_client;

		for (size_t k = 0; os->going_on[i].object && k < OPENINGS; k++)
			known |= os->kept[k].object && same_far_end(&os->kept[k], &os->going_on[i]);
		if (!known)
			each(&os->going_on[i], f, ctx);
	}
}
