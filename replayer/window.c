/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The second reading of a recording, as the replay goes.
 *
 * An event becomes a few things (a call, an arrival, a part of what went out)
 * that lie behind each other in a piece of memory and stand in the queues of
 * their task and their object.  Each of them holds its piece; when the last is
 * let go, the piece is freed.  So what the window needs is what lies between
 * the slowest task and the place to which it was read, however long the
 * recording is.
 */
#include "replayer/window.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>

enum {
	LEAD = 1 << 16,		/* events that the window is ahead of the replay */
	STEP = 256,		/* events read in one go */
	PIECE = 64 << 10,
	HARD = 4,		/* times the window's size that a task may make of it which is far ahead of others */
};

/* ---- pieces ------------------------------------------------------------------- */

static void piece_release(struct recording_private *p, struct piece *piece)
{
	if (!piece || --piece->refs)
		return;
	p->bytes -= piece->room;
	free(piece);
}

static struct piece *piece_new(struct recording_private *p, size_t room)
{
	struct piece *new = malloc(sizeof(*new) + room);

	if (!new)
		return NULL;
	*new = (struct piece){ .room = room, .refs = 1 };
	p->bytes += room;
	return new;
}

/* @size bytes in a piece that stays the current one until the next call. */
static uint8_t *piece_room(struct recording_private *p, size_t size)
{
	struct piece *new;

	size = (size + 7) & ~(size_t)7;
	if (!p->current || size > p->current->room - p->current->used) {
		new = piece_new(p, size > PIECE ? size : PIECE);
		if (!new)
			return NULL;
		piece_release(p, p->current);
		p->current = new;
	}
	p->current->used += size;
	return p->current->data + p->current->used - size;
}

/* ---- queues ------------------------------------------------------------------- */

static const void *queue_at(const struct queue *q, size_t i)
{
	return i >= q->first && i < q->end ? q->ring[i & (q->room - 1)].item : NULL;
}

static int queue_grow(struct queue *q)
{
	size_t room = q->room ? q->room * 2 : 8;
	struct queued *bigger = calloc(room, sizeof(*bigger));

	if (!bigger)
		return -ENOMEM;
	for (size_t i = q->first; i < q->end; i++)
		bigger[i & (room - 1)] = q->ring[i & (q->room - 1)];
	free(q->ring);
	q->ring = bigger;
	q->room = room;
	return 0;
}

/* @item lies in the current piece. */
static int queue_add(struct recording_private *p, struct queue *q, const void *item)
{
	if (q->end - q->first == q->room && queue_grow(q) < 0)
		return -ENOMEM;
	q->ring[q->end++ & (q->room - 1)] = (struct queued){ item, p->current };
	p->current->refs++;
	return 0;
}

static void queue_pass(struct recording_private *p, struct queue *q, size_t upto)
{
	if (upto > q->end)
		upto = q->end;
	for (; q->first < upto; q->first++)
		piece_release(p, q->ring[q->first & (q->room - 1)].piece);
	if (q->first == q->end && q->room > 8) {
		free(q->ring);
		q->ring = NULL;
		q->room = 0;
	}
}

static void queue_clear(struct recording_private *p, struct queue *q)
{
	queue_pass(p, q, q->end);
	free(q->ring);
	*q = (struct queue){ 0 };
}

/* ---- events ------------------------------------------------------------------- */

/* A call and what comes of it. */
struct loaded {
	struct rec_call rc;
	struct rec_arrival arrival;
	struct bytes out;
};

static int no_memory(struct err *err)
{
	return err_set(err, ENOMEM, "out of memory");
}

static int add_read(struct recording_private *p, struct loaded *l, struct err *err)
{
	const struct ev_call *c = l->rc.call;
	struct rec_object *o = &p->r.objects[l->rc.object];
	bool datagram = o->o && o->o->kind == OBJ_SOCKET && o->o->type != SOCK_STREAM;

	l->rc.arrivals = (uint32_t)o->arrivals.end;
	if (!is_taken(c)) {
		l->rc.arrivals += c->ret > 0;	/* it looked at the next one */
		return 0;
	}
	l->arrival = (struct rec_arrival){
		.kind = datagram ? ARRIVAL_DATAGRAM : c->ret == 0 ? ARRIVAL_EOF : ARRIVAL_DATA,
		.data = call_payload(&p->r, c), .from = sender_of(c), .order = l->rc.order,
	};
	l->rc.arrivals++;
	return queue_add(p, &o->arrivals, &l->arrival) < 0 ? no_memory(err) : 0;
}

static int add_write(struct recording_private *p, struct loaded *l, struct err *err)
{
	struct rec_object *o = &p->r.objects[l->rc.object];

	l->rc.turn = o->turns++;
	if (l->rc.call->ret < 0)
		return 0;
	l->out = call_payload(&p->r, l->rc.call);
	return queue_add(p, &o->out, &l->out) < 0 ? no_memory(err) : 0;
}

/* Clients from inside come by themselves. */
static int add_accept(struct recording_private *p, struct loaded *l, struct err *err)
{
	const struct ev_call *c = l->rc.call;
	struct rec_object *o = &p->r.objects[l->rc.object];

	l->rc.arrivals = (uint32_t)o->arrivals.end;
	if (c->ret < 0 || p->r.objects[l->rc.made].inner)
		return 0;
	l->arrival = (struct rec_arrival){ .kind = ARRIVAL_CONNECTION, .order = l->rc.order, .made = l->rc.made, .from = sender_of(c) };
	l->rc.arrivals++;
	return queue_add(p, &o->arrivals, &l->arrival) < 0 ? no_memory(err) : 0;
}

static int add_to_object(struct recording_private *p, struct loaded *l, struct err *err)
{
	int fate = sc_table[l->rc.call->nr].fate;

	if (fate == SC_READ)
		return add_read(p, l, err);
	if (fate == SC_WRITE && !(l->rc.call->flags & CALL_TAKEN))
		return add_write(p, l, err);
	return is_accept(l->rc.call) ? add_accept(p, l, err) : 0;
}

static int add_random(struct recording_private *p, struct rec_task *t, const struct ev_call *c, struct err *err)
{
	const struct ev_seg *seg = call_seg(c, 0);
	struct bytes *b;

	if (c->ret <= 0 || !seg)
		return 0;
	b = (struct bytes *)piece_room(p, sizeof(*b) + call_room(c));
	if (!b || call_copy(p, c, (uint8_t *)(b + 1), &c, err) < 0)
		return b ? -err->code : no_memory(err);
	seg = call_seg(c, 0);
	*b = (struct bytes){ seg->data, seg->len };
	return queue_add(p, &t->random, b) < 0 ? no_memory(err) : 0;
}

/* A call of a task that nobody will ask for counts, and that is all. */
static int add_to_task(struct recording_private *p, struct rec_task *t, struct rec_call *rc, struct err *err)
{
	rc->piece = p->current;
	if (queue_add(p, &t->calls, rc) < 0)
		return no_memory(err);
	if (p->ears.call)
		p->ears.call(p->ears.ctx, t, rc);
	if (t->over)
		queue_pass(p, &t->calls, t->calls.end);
	return 0;
}

/* By value: a wait that nobody makes must not hold a piece. */
static int add_wait(struct rec_task *t, const struct rec_wait *w, struct err *err)
{
	size_t room = t->waits.room ? t->waits.room * 2 : 16;
	struct rec_wait *bigger;

	if (t->waits.end - t->waits.first == t->waits.room) {
		bigger = calloc(room, sizeof(*bigger));
		if (!bigger)
			return no_memory(err);
		for (size_t i = t->waits.first; i < t->waits.end; i++)
			bigger[i & (room - 1)] = *task_wait(t, i);
		free(t->waits.ring);
		t->waits.ring = bigger;
		t->waits.room = room;
	}
	t->waits.ring[t->waits.end++ & (t->waits.room - 1)] = *w;
	return 0;
}

static int add_call(struct recording_private *p, struct rec_task *t, const struct event *e, struct err *err)
{
	const struct ev_call *c = &e->call;
	struct rec_clock k = { .task = e->task, .order = p->order };
	struct loaded *l;

	if (is_before(t, &t->begun_again, c) || is_runtimes(&p->r, t, c) ||
	    (c->obj && answers_before(&p->r.objects[c->obj], p->r.objects[c->obj].arrivals.end, c)))
		return 0;
	if (sc_table[c->nr].fate == SC_CLOCK) {
		if (clock_of(c, &k) && p->ears.clock)
			p->ears.clock(p->ears.ctx, &k);
		return 0;
	}
	if (sc_table[c->nr].fate == SC_RANDOM)
		return add_random(p, t, c, err);
	if (sc_table[c->nr].fate == SC_TIMED)
		return add_wait(t, &(struct rec_wait){ .nr = c->nr, .ret = (int32_t)c->ret, .order = p->order, .time = e->time }, err);
	if (!is_asked(c) || (c->obj && p->r.objects[c->obj].inner && !stays_when_inner(c->nr)))
		return 0;
	l = (struct loaded *)piece_room(p, sizeof(*l) + call_room(c));
	if (!l)
		return no_memory(err);
	*l = (struct loaded){ .rc = { .object = c->obj, .made = c->obj2, .order = p->order, .time = e->time, .turn = t->forks } };
	l->rc.told = sc_table[c->nr].fate == SC_REAP && p->r.tasks[t->process].company && reaped_child(c);
	l->rc.aside = t->goroutine && (c->nr == SYS_getsockname || c->nr == SYS_getpeername);
	l->rc.anytime = c->obj && sc_table[c->nr].fate == SC_READ && is_anytime(&p->r.objects[c->obj]);
	if (call_copy(p, c, (uint8_t *)(l + 1), &l->rc.call, err) < 0 || (c->obj && add_to_object(p, l, err) < 0))
		return -err->code;
	return add_to_task(p, t, &l->rc, err);
}

static int add_signal(struct recording_private *p, struct rec_task *t, const struct event *e, struct err *err)
{
	struct {
		struct rec_call rc;
		struct ev_signal signal;
	} *s = (void *)piece_room(p, sizeof(*s));

	if (!s)
		return no_memory(err);
	s->signal = e->signal;
	s->rc = (struct rec_call){ .order = p->order, .time = e->time, .signal = &s->signal };
	return add_to_task(p, t, &s->rc, err);
}

/* The survey took all numbers; should the file have changed meanwhile, some would lead nowhere. */
static bool is_surveyed(const struct recording *r, const struct event *e)
{
	const struct ev_call *c = &e->call;

	if (e->task >= r->ntasks)
		return false;
	if (e->kind != EV_CALL)
		return true;
	for (uint32_t i = 0; i < c->nsegs; i++)
		if (c->segs[i].len > CALL_BYTES_MAX)
			return false;
	return c->nr < SC_MAX && (!c->obj || c->obj < r->nobjects) && (!c->obj2 || c->obj2 < r->nobjects);
}

static int add_event(struct recording_private *p, const struct event *e, struct err *err)
{
	if (e->kind != EV_CALL && e->kind != EV_SIGNAL && e->kind != EV_FORK && e->kind != EV_EXEC)
		return 0;
	if (!is_surveyed(&p->r, e))
		return err_set(err, EBADMSG, "it changed while it was read");
	if (is_opening(e))
		return 0;
	if (e->kind == EV_FORK) {
		p->r.tasks[e->task].forks += !e->fork.goroutine;
		return 0;
	}
	if (e->kind == EV_EXEC) {
		p->r.tasks[p->r.tasks[e->task].process].managed = e->exec.goroutines;
		return 0;
	}
	if (e->kind == EV_SIGNAL)
		return add_signal(p, &p->r.tasks[task_of_signal(&p->r, &p->r.tasks[e->task])], e, err);
	return add_call(p, &p->r.tasks[e->task], e, err);
}

/* False: no more. */
static bool read_one(struct recording_private *p)
{
	struct event e;
	int n;

	if (p->ended)
		return false;
	n = capsule_next(p->r.reader, &e, &p->error);
	if (n > 0) {
		p->order++;
		n = add_event(p, &e, &p->error) < 0 ? -1 : 1;
	}
	p->ended = n <= 0;
	p->failed = n < 0;
	return n > 0;
}

/* ---- for the replay --------------------------------------------------------------- */

void recording_begin(struct recording *r, uint64_t bytes, const struct recording_ears *ears)
{
	struct recording_private *p = private_of(r);

	capsule_rewind(r->reader);
	p->order = 0;
	for (size_t i = 0; i < r->ntasks; i++)
		r->tasks[i].begun_again = false;
	p->ears = *ears;
	r->window = bytes;
	for (size_t i = 0; i < r->ntasks; i++)
		r->tasks[i].managed = false;
	while (recording_ahead(r, 0))
		;
}

bool recording_ahead(struct recording *r, uint32_t passed)
{
	struct recording_private *p = private_of(r);

	for (int i = 0; i < STEP; i++)
		if (p->order >= (uint64_t)passed + LEAD || p->bytes >= r->window || !read_one(p))
			return false;
	return true;
}

bool recording_ended(const struct recording *r)
{
	return ((const struct recording_private *)r)->ended;
}

const struct err *recording_failed(const struct recording *r)
{
	const struct recording_private *p = (const struct recording_private *)r;

	return p->failed ? &p->error : NULL;
}

void recording_held(struct recording *r, int64_t bytes)
{
	private_of(r)->bytes += (uint64_t)bytes;
}

/* Somebody needs what is further ahead. */
static bool read_for(struct recording *r)
{
	struct recording_private *p = private_of(r);

	if (p->bytes >= HARD * r->window) {
		r->starved = true;
		return false;
	}
	return read_one(p);
}

bool recording_more(struct recording *r)
{
	return read_for(r);
}

bool recording_near(struct recording *r)
{
	struct recording_private *p = private_of(r);

	return p->bytes < r->window && read_one(p);
}

static const void *item_at(struct recording *r, const struct queue *q, size_t i, size_t all)
{
	while (i >= q->end && i < all && read_for(r))
		;
	return queue_at(q, i);
}

const struct rec_call *recording_call_at(struct recording *r, const struct rec_task *t, size_t i)
{
	return item_at(r, &t->calls, i, t->ncalls);
}

const struct bytes *recording_random_at(struct recording *r, const struct rec_task *t, size_t i)
{
	return item_at(r, &t->random, i, t->nrandom);
}

const struct rec_arrival *recording_arrival_at(struct recording *r, const struct rec_object *o, size_t i)
{
	return item_at(r, &o->arrivals, i, o->narrivals);
}

const struct bytes *recording_out_at(struct recording *r, const struct rec_object *o, size_t i)
{
	return item_at(r, &o->out, i, o->nout);
}

const struct rec_call *task_call(const struct rec_task *t, size_t i)
{
	return queue_at(&t->calls, i);
}

const struct bytes *task_random(const struct rec_task *t, size_t i)
{
	return queue_at(&t->random, i);
}

const struct rec_wait *task_wait(const struct rec_task *t, size_t i)
{
	return i >= t->waits.first && i < t->waits.end ? &t->waits.ring[i & (t->waits.room - 1)] : NULL;
}

const struct rec_arrival *object_arrival(const struct rec_object *o, size_t i)
{
	return queue_at(&o->arrivals, i);
}

const struct bytes *object_out(const struct rec_object *o, size_t i)
{
	return queue_at(&o->out, i);
}

uint32_t object_out_order(const struct rec_object *o, size_t i)
{
	const char *out = queue_at(&o->out, i);

	return out ? ((const struct loaded *)(out - offsetof(struct loaded, out)))->rc.order : UINT32_MAX;
}

void recording_pass_calls(struct recording *r, struct rec_task *t, size_t upto)
{
	queue_pass(private_of(r), &t->calls, upto);
}

void recording_pass_random(struct recording *r, struct rec_task *t, size_t upto)
{
	queue_pass(private_of(r), &t->random, upto);
}

void recording_pass_waits(struct rec_task *t, size_t upto)
{
	t->waits.first = upto < t->waits.end ? upto > t->waits.first ? upto : t->waits.first : t->waits.end;
}

void recording_pass_arrivals(struct recording *r, struct rec_object *o, size_t upto)
{
	queue_pass(private_of(r), &o->arrivals, upto);
}

void recording_pass_out(struct recording *r, struct rec_object *o, size_t upto)
{
	queue_pass(private_of(r), &o->out, upto);
}

void recording_hold(struct recording *r, const struct rec_call *rc)
{
	(void)r;
	if (rc && rc->piece)
		rc->piece->refs++;
}

void recording_release(struct recording *r, const struct rec_call *rc)
{
	if (rc && rc->piece)
		piece_release(private_of(r), rc->piece);
}

void window_free(struct recording_private *p)
{
	for (size_t i = 0; i < p->r.ntasks; i++) {
		queue_clear(p, &p->r.tasks[i].calls);
		queue_clear(p, &p->r.tasks[i].random);
	}
	for (size_t i = 0; i < p->r.nobjects; i++) {
		queue_clear(p, &p->r.objects[i].arrivals);
		queue_clear(p, &p->r.objects[i].out);
	}
	piece_release(p, p->current);
}
