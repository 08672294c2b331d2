/* SPDX-License-Identifier: Apache-2.0 */
#include <linux/types.h>

#include "replayer/recording.h"

#include "format/cleanup.h"
#include "format/sysdesc.h"
#include "sandbox/sandbox.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>

/*
 * A capsule can name any number, and memory is made for all below.  They are
 * given in order of appearance, so a number is hardly higher than that of the
 * events so far; which can come in another order than their numbers did.
 */
#define NUMBER_SLACK (1u << 16)
#define MAX_NUMBER (1u << 22)

struct blob_bytes {		/* a blob that a segment stands for, loaded */
	struct blob_bytes *next;
	uint8_t sha256[32];
	uint8_t *data;
	size_t len;
};


/* Events must stay where they are: everything points into them. */
struct event_chunk {
	struct event_chunk *next;
	size_t n;
	struct event e[256];
};

/* What the recording owns and nobody else looks at. */
struct recording_private {
	struct recording r;
	struct blob_bytes *blobs;
	struct event_chunk *chunks;
	uint32_t order;		/* of the event that is being added */
};

static int grow(void **array, size_t n, size_t size)
{
	void *bigger;

	if (n & (n - 1))
		return 0;
	bigger = reallocarray(*array, n ? n * 2 : 1, size);
	if (!bigger)
		return -ENOMEM;
	*array = bigger;
	return 0;
}
/* Room for one more at the end of an array whose capacity is the next power of two. */
#define APPEND(array, n, value) \
	(grow((void **)&(array), (n), sizeof(*(array))) < 0 ? -ENOMEM : ((array)[(n)++] = (value), 0))

const struct ev_seg *call_seg(const struct ev_call *c, uint8_t arg)
{
	for (uint32_t i = 0; i < c->nsegs; i++)
		if (c->segs[i].arg == arg)
			return &c->segs[i];
	return NULL;
}

int call_payload_arg(unsigned int nr)
{
	const struct sc_desc *d = nr < SC_MAX ? &sc_table[nr] : NULL;

	if (!d || (d->fate != SC_READ && d->fate != SC_WRITE))
		return -1;
	for (int i = 0; i < d->nargs; i++) {
		uint8_t kind = d->arg[i].kind;

		if (kind == SC_MEM || kind == SC_IOV || kind == SC_MSG || kind == SC_MMSG)
			return i;
	}
	/* Through no memory of the program: the recorder puts the bytes at the offset's place. */
	return nr == SYS_sendfile || nr == SYS_splice || nr == SYS_tee || nr == SYS_copy_file_range ? 1 : -1;
}

int recording_bytes(struct recording *r, const struct ev_seg *seg, struct bytes *ret, struct err *err)
{
	struct recording_private *p = (struct recording_private *)r;

	*ret = (struct bytes){ seg->data, seg->len };
	if (seg->data || !seg->len)
		return 0;
	for (struct blob_bytes *b = p->blobs; b; b = b->next)
		if (memcmp(b->sha256, seg->sha256, sizeof(b->sha256)) == 0) {
			*ret = (struct bytes){ b->data, b->len };
			return 0;
		}
	_cleanup_free_ struct blob_bytes *b = calloc(1, sizeof(*b));
	if (!b)
		return err_set(err, ENOMEM, "out of memory");
	if (capsule_blob_load(r->reader, seg->sha256, 1u << 30, &b->data, &b->len, err) < 0)
		return -err->code;
	memcpy(b->sha256, seg->sha256, sizeof(b->sha256));
	b->next = p->blobs;
	*ret = (struct bytes){ b->data, b->len };
	p->blobs = TAKE_PTR(b);
	return 0;
}

static const struct ev_seg *payload_seg(const struct ev_call *c)
{
	int arg = call_payload_arg(c->nr);

	return arg < 0 ? NULL : call_seg(c, (uint8_t)arg);
}

struct bytes call_payload(const struct recording *r, const struct ev_call *c)
{
	const struct ev_seg *seg = payload_seg(c);
	struct bytes b = { NULL, 0 };
	struct err ignored = ERR_INIT;

	/* Loaded and found whole when the recording was loaded. */
	if (seg && recording_bytes((struct recording *)r, seg, &b, &ignored) < 0)
		b = (struct bytes){ NULL, 0 };
	return b;
}

static bool makes_sense(const struct recording *r, uint32_t number)
{
	const struct recording_private *p = (const struct recording_private *)r;

	return number > 0 && number < MAX_NUMBER && number / 2 < (uint64_t)p->order + NUMBER_SLACK / 2;
}

static struct rec_task *task_of(struct recording *r, uint32_t id, struct err *err)
{
	if (!makes_sense(r, id)) {
		err_set(err, EBADMSG, "task number %u makes no sense", id);
		return NULL;
	}
	if (id >= r->ntasks) {
		size_t n = (size_t)id + 1;
		struct rec_task *bigger = reallocarray(r->tasks, n, sizeof(*bigger));

		if (!bigger) {
			err_set(err, ENOMEM, "out of memory");
			return NULL;
		}
		memset(bigger + r->ntasks, 0, (n - r->ntasks) * sizeof(*bigger));
		r->tasks = bigger;
		r->ntasks = n;
	}
	r->tasks[id].id = id;
	return &r->tasks[id];
}

static struct rec_object *object_of(struct recording *r, uint32_t id, struct err *err)
{
	if (!makes_sense(r, id)) {
		err_set(err, EBADMSG, "object number %u makes no sense", id);
		return NULL;
	}
	if (id >= r->nobjects) {
		size_t n = (size_t)id + 1;
		struct rec_object *bigger;

		n += n / 2;
		bigger = reallocarray(r->objects, n, sizeof(*bigger));
		if (!bigger) {
			err_set(err, ENOMEM, "out of memory");
			return NULL;
		}
		memset(bigger + r->nobjects, 0, (n - r->nobjects) * sizeof(*bigger));
		r->objects = bigger;
		r->nobjects = n;
	}
	return &r->objects[id];
}

static bool is_datagram(const struct rec_object *o)
{
	return o->o && o->o->kind == OBJ_SOCKET && o->o->type != SOCK_STREAM;
}

static struct bytes sender(const struct ev_call *c)
{
	const struct ev_seg *seg = call_seg(c, SEG_REMOTE);

	if (!seg && c->nr == SYS_recvfrom)
		seg = call_seg(c, 4);
	return seg ? (struct bytes){ seg->data, seg->len } : (struct bytes){ NULL, 0 };
}

static bool is_peek(const struct ev_call *c)
{
	if (c->nr == SYS_recvfrom || c->nr == SYS_recvmmsg)
		return c->args[3] & MSG_PEEK;
	return c->nr == SYS_recvmsg && (c->args[2] & MSG_PEEK);
}

/* A read took something: it becomes an arrival of its object. */
static int add_read(struct recording *r, struct rec_call *rc, struct err *err)
{
	const struct ev_call *c = rc->call;
	struct rec_object *o = &r->objects[rc->object];
	struct rec_arrival a = { .order = rc->order, .from = sender(c) };
	const struct ev_seg *seg = payload_seg(c);

	rc->arrivals = (uint32_t)o->narrivals + (is_peek(c) && c->ret > 0);
	if (c->ret < 0 || is_peek(c))
		return 0;
	if (seg && recording_bytes(r, seg, &a.data, err) < 0)
		return -err->code;
	if (is_datagram(o))
		a.kind = ARRIVAL_DATAGRAM;
	else
		a.kind = c->ret == 0 ? ARRIVAL_EOF : ARRIVAL_DATA;
	if (APPEND(o->arrivals, o->narrivals, a) < 0)
		return err_set(err, ENOMEM, "out of memory");
	rc->arrivals = (uint32_t)o->narrivals;
	return 0;
}

static int add_write(struct recording *r, uint32_t task, struct rec_call *rc, struct err *err)
{
	const struct ev_call *c = rc->call;
	struct rec_object *o = &r->objects[rc->object];
	const struct ev_seg *seg = payload_seg(c);
	struct bytes b = { NULL, 0 };

	rc->turn = o->nwrites++;
	o->shared |= rc->turn && o->writer != task;
	o->writer = task;
	if (c->ret < 0)
		return 0;
	if (seg && recording_bytes(r, seg, &b, err) < 0)
		return -err->code;
	o->out_unseen |= c->flags & CALL_PARTIAL;
	if (APPEND(o->out, o->nout, b) < 0)
		return err_set(err, ENOMEM, "out of memory");
	o->out_bytes += b.len;
	return 0;
}

static int add_accept(struct recording *r, struct rec_call *rc, struct err *err)
{
	const struct ev_call *c = rc->call;
	struct rec_object *o = &r->objects[rc->object];
	struct rec_arrival a = { .kind = ARRIVAL_CONNECTION, .order = rc->order, .made = rc->made, .from = sender(c) };

	o->listens = true;
	rc->arrivals = (uint32_t)o->narrivals;
	if (c->ret < 0)
		return 0;
	if (APPEND(o->arrivals, o->narrivals, a) < 0)
		return err_set(err, ENOMEM, "out of memory");
	rc->arrivals = (uint32_t)o->narrivals;
	return 0;
}

/* A socket that was connected in the end is one whose peer is there, whatever it tried before. */
static void end_connect(struct rec_object *o, int error)
{
	o->connected |= !error;
	o->async_error = o->connected ? 0 : error;
}

/* getsockopt(SO_ERROR) after a connect in progress tells how that ended. */
static void note_async_error(struct rec_object *o, const struct ev_call *c)
{
	const struct ev_seg *seg = call_seg(c, 3);
	int value;

	if (c->nr == SYS_connect && c->ret == 0)
		end_connect(o, 0);
	if (c->nr != SYS_getsockopt || c->ret < 0 || (int)c->args[1] != SOL_SOCKET || (int)c->args[2] != SO_ERROR)
		return;
	if (!seg || !seg->data || seg->len < sizeof(value))
		return;
	memcpy(&value, seg->data, sizeof(value));
	if (value >= 0 && value < 4096 && !o->narrivals && !o->nout)
		end_connect(o, value);
}

static int add_clock(struct recording *r, uint32_t order, uint32_t task, const struct ev_call *c, struct err *err)
{
	bool is_timeval = c->nr == SYS_gettimeofday;
	struct rec_clock k = { .task = task, .clock = CLOCK_REALTIME, .order = order };
	const struct ev_seg *seg;
	uint64_t v[2];

	if (c->ret < 0)
		return 0;
	if (c->nr == SYS_time) {
		k.ns = (int64_t)((uint64_t)c->ret * 1000000000);
	} else {
		seg = call_seg(c, is_timeval ? 0 : 1);
		if (!seg || !seg->data || seg->len < sizeof(v))
			return 0;	/* gettimeofday(NULL, tz) */
		memcpy(v, seg->data, sizeof(v));
		k.ns = (int64_t)(v[0] * 1000000000 + v[1] * (is_timeval ? 1000 : 1));
		if (!is_timeval)
			k.clock = (int32_t)c->args[0];
	}
	if (APPEND(r->clocks, r->nclocks, k) < 0)
		return err_set(err, ENOMEM, "out of memory");
	return 0;
}

static int add_random(struct recording *r, struct rec_task *t, const struct ev_call *c, struct err *err)
{
	const struct ev_seg *seg = call_seg(c, 0);
	struct bytes b;

	if (c->ret <= 0 || !seg)
		return 0;
	if (recording_bytes(r, seg, &b, err) < 0)
		return -err->code;
	if (APPEND(t->random, t->nrandom, b) < 0)
		return err_set(err, ENOMEM, "out of memory");
	return 0;
}

static void note_failure(struct recording *r, unsigned int nr)
{
	int fate = sc_table[nr].fate;

	r->failures = true;
	r->notify[nr] = fate == SC_OPEN || fate == SC_PATH || (fate == SC_RUN && sc_table[nr].fd);
}

static int add_call(struct recording *r, uint32_t order, const struct event *e, struct err *err)
{
	const struct ev_call *c = &e->call;
	struct rec_task *t = task_of(r, e->task, err);
	struct rec_call rc = { .call = c, .object = c->obj, .made = c->obj2, .order = order };
	int fate;

	if (!t)
		return -err->code;
	if (c->nr >= SC_MAX)
		return err_set(err, EBADMSG, "system call number %u makes no sense", c->nr);
	if ((c->obj && !object_of(r, c->obj, err)) || (c->obj2 && !object_of(r, c->obj2, err)))
		return -err->code;
	fate = sc_table[c->nr].fate;
	if (fate == SC_CLOCK)
		return add_clock(r, order, e->task, c, err);
	if (fate == SC_RANDOM)
		return add_random(r, t, c, err);
	if (call_seg(c, SEG_PLACE))
		note_failure(r, c->nr);
	else if (!filter_notifies(c->nr))
		return 0;
	if (fate == SC_READ && c->obj && add_read(r, &rc, err) < 0)
		return -err->code;
	if (fate == SC_WRITE && c->obj && add_write(r, e->task, &rc, err) < 0)
		return -err->code;
	if ((c->nr == SYS_accept || c->nr == SYS_accept4) && c->obj && add_accept(r, &rc, err) < 0)
		return -err->code;
	if (c->obj)
		note_async_error(&r->objects[c->obj], c);
	if (APPEND(t->calls, t->ncalls, rc) < 0)
		return err_set(err, ENOMEM, "out of memory");
	return 0;
}

static int add_fork(struct recording *r, const struct event *e, struct err *err)
{
	struct rec_task *child = task_of(r, e->fork.child, err), *t;

	if (!child)
		return -err->code;
	child->pid = e->fork.pid;
	child->tid = e->fork.tid;
	child->thread = e->fork.thread;
	t = task_of(r, e->task, err);	/* after the child: the array may have moved */
	if (!t)
		return -err->code;
	if (APPEND(t->children, t->nchildren, e->fork.child) < 0)
		return err_set(err, ENOMEM, "out of memory");
	return 0;
}

static int add_file(struct recording *r, const struct ev_file *f, struct err *err)
{
	if (APPEND(r->files, r->nfiles, f) < 0)
		return err_set(err, ENOMEM, "out of memory");
	return 0;
}

static int add_event(struct recording *r, uint32_t order, const struct event *e, struct err *err)
{
	struct rec_object *o;
	struct rec_task *t;
	struct rec_call signal = { .order = order };

	switch (e->kind) {
	case EV_CALL:
		return add_call(r, order, e, err);
	case EV_FORK:
		return add_fork(r, e, err);
	case EV_EXEC:
		t = task_of(r, e->task, err);
		if (!t || APPEND(t->execs, t->nexecs, &e->exec) < 0)
			return t ? err_set(err, ENOMEM, "out of memory") : -err->code;
		return 0;
	case EV_EXIT:
		t = task_of(r, e->task, err);
		if (!t)
			return -err->code;
		t->exited = true;
		t->group_exit = e->exit.group;
		t->status = e->exit.status;
		return 0;
	case EV_SIGNAL:
		t = task_of(r, e->task, err);
		if (!t)
			return -err->code;
		signal.signal = &e->signal;
		if (APPEND(t->calls, t->ncalls, signal) < 0)
			return err_set(err, ENOMEM, "out of memory");
		return 0;
	case EV_OBJECT:
		o = object_of(r, e->object.id, err);
		if (!o)
			return -err->code;
		o->o = &e->object;
		return 0;
	case EV_FILE:
		return add_file(r, &e->file, err);
	case EV_OUTPUT:
		if (APPEND(r->outputs, r->noutputs, &e->file) < 0)
			return err_set(err, ENOMEM, "out of memory");
		return 0;
	case EV_HOLE:
		if (APPEND(r->holes, r->nholes, &e->hole) < 0)
			return err_set(err, ENOMEM, "out of memory");
		return 0;
	}
	return err_set(err, EBADMSG, "event of unknown kind %u", e->kind);
}

static int load_events(struct recording *r, struct event_chunk **chunks, struct err *err)
{
	for (uint32_t order = 1;; order++) {
		struct event_chunk *c = *chunks;
		int n;

		if (!c || c->n == 256) {
			c = calloc(1, sizeof(*c));
			if (!c)
				return err_set(err, ENOMEM, "out of memory");
			c->next = *chunks;
			*chunks = c;
		}
		n = capsule_next(r->reader, &c->e[c->n], err);
		if (n <= 0)
			return n;
		((struct recording_private *)r)->order = order;
		if (add_event(r, order, &c->e[c->n], err) < 0)
			return err_in(err, "event %u", order);
		c->n++;
	}
}

/*
 * Connections of the scope's own.  What was recorded on them before they turned
 * out to be that is dropped; what made them keeps its place among other calls
 * of the kind.
 */
static bool is_inner_call(const struct recording *r, const struct rec_call *rc)
{
	if (!rc->call || !rc->object || !r->objects[rc->object].inner)
		return false;
	return rc->call->nr != SYS_connect && rc->call->nr != SYS_bind;
}

static void drop_inner_calls(struct recording *r, struct rec_task *t)
{
	size_t n = 0;

	for (size_t i = 0; i < t->ncalls; i++)
		if (!is_inner_call(r, &t->calls[i]))
			t->calls[n++] = t->calls[i];
	t->ncalls = n;
}

/* Clients from inside come by themselves; a listener without others is itself the scope's own. */
static void drop_inner_clients(struct recording *r, struct rec_object *o)
{
	size_t n = 0;

	for (size_t i = 0; i < o->narrivals; i++)
		if (o->arrivals[i].kind != ARRIVAL_CONNECTION || !r->objects[o->arrivals[i].made].inner)
			o->arrivals[n++] = o->arrivals[i];
	o->inner |= o->listens && o->narrivals && !n;
	o->narrivals = n;
}

static void count_clients(struct recording *r, struct rec_task *t)
{
	for (size_t i = 0; i < t->ncalls; i++) {
		struct rec_call *rc = &t->calls[i];
		const struct rec_object *o = &r->objects[rc->object];

		if (!rc->call || !rc->object || !o->listens)
			continue;
		while (rc->arrivals && (rc->arrivals > o->narrivals || o->arrivals[rc->arrivals - 1].order > rc->order))
			rc->arrivals--;
	}
}

static void set_inner_apart(struct recording *r)
{
	for (size_t i = 1; i < r->nobjects; i++) {
		struct rec_object *o = &r->objects[i];

		if (!o->o || o->o->kind != OBJ_INNER)
			continue;
		r->inner = o->inner = true;
		o->narrivals = o->nout = 0;
		o->out_bytes = 0;
		o->shared = o->out_unseen = false;
	}
	for (size_t i = 1; r->inner && i < r->nobjects; i++)
		drop_inner_clients(r, &r->objects[i]);
	for (size_t i = 1; r->inner && i < r->ntasks; i++) {
		drop_inner_calls(r, &r->tasks[i]);
		count_clients(r, &r->tasks[i]);
	}
}

static int by_path(const void *a, const void *b)
{
	const struct ev_file *const *x = a, *const *y = b;

	return strcmp((*x)->path, (*y)->path);
}

/* Parents before what is in them; of several descriptions of a path the last. glibc's qsort is a stable merge sort. */
static void sort_files(struct recording *r)
{
	size_t n = 0;

	if (!r->nfiles)
		return;
	qsort(r->files, r->nfiles, sizeof(*r->files), by_path);
	for (size_t i = 0; i < r->nfiles; i++) {
		if (i + 1 < r->nfiles && strcmp(r->files[i]->path, r->files[i + 1]->path) == 0)
			continue;
		r->files[n++] = r->files[i];
	}
	r->nfiles = n;
}

void recording_free(struct recording *r)
{
	struct recording_private *p = (struct recording_private *)r;

	if (!r)
		return;
	for (size_t i = 0; i < r->ntasks; i++) {
		free(r->tasks[i].calls);
		free(r->tasks[i].children);
		free(r->tasks[i].execs);
		free(r->tasks[i].random);
	}
	for (size_t i = 0; i < r->nobjects; i++) {
		free(r->objects[i].arrivals);
		free(r->objects[i].out);
	}
	while (p->chunks) {
		struct event_chunk *next = p->chunks->next;

		free(p->chunks);
		p->chunks = next;
	}
	while (p->blobs) {
		struct blob_bytes *next = p->blobs->next;

		free(p->blobs->data);
		free(p->blobs);
		p->blobs = next;
	}
	free(r->tasks);
	free(r->objects);
	free(r->clocks);
	free(r->files);
	free(r->outputs);
	free(r->holes);
	capsule_reader_close(r->reader);
	free(r);
}

static void cleanup_recording(struct recording **r) { recording_free(*r); }

int recording_load(struct recording **ret, const char *path, struct err *err)
{
	struct recording_private *p = calloc(1, sizeof(*p));
	const char *why = "";

	if (!p)
		return err_set(err, ENOMEM, "out of memory");
	_cleanup_(cleanup_recording) struct recording *r = &p->r;
	if (capsule_reader_open(&r->reader, path, CAPSULE_KEEP, err) < 0)
		return -err->code;
	if (!capsule_complete(r->reader, &why))
		return err_set(err, EBADMSG, "'%s' is cut short (%s): a replay needs it whole; record again", path, why);
	r->m = capsule_manifest(r->reader);
	r->end = capsule_end(r->reader);
	if (load_events(r, &p->chunks, err) < 0)
		return err_in(err, "'%s'", path);
	if (r->ntasks < 2 || !r->tasks[1].nexecs)
		return err_set(err, EBADMSG, "'%s' holds no program: its command never started", path);
	r->tasks[1].pid = r->tasks[1].tid = r->m->pid;
	set_inner_apart(r);
	sort_files(r);
	*ret = TAKE_PTR(r);
	return 0;
}
