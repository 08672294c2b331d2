/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The first reading of a recording: tasks, objects, files, and how much there
 * is of everything.  What is kept grows with their number, not with what they
 * did.  Here all numbers are looked at; the second reading can rely on them.
 */
#include "replayer/window.h"

#include "format/attributes.h"
#include "format/cleanup.h"
#include "sandbox/sandbox.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>

/*
 * A capsule can name any number, and memory is made for all below.  They are
 * given in order of appearance, so a number is hardly higher than that of the
 * events so far; which can come in another order than their numbers did.
 */
#define NUMBER_SLACK (1u << 16)
#define MAX_NUMBER (1u << 22)
#define MAX_HOLES 4096		/* that are kept to be shown; all are counted */
#define MAX_OPENINGS_OF 1024	/* connections ... */
#define MAX_OPENINGS (16u << 20)	/* ... and bytes, each time that some are added counted whole */
#define MAX_CLOCKS 1024		/* ids, of a task */
enum { FACTS = 16 << 10 };	/* bytes of a piece */

static int no_memory(struct err *err)
{
	return err_set(err, ENOMEM, "out of memory");
}

/* ---- facts -------------------------------------------------------------------- */

void *facts_room(struct recording_private *p, size_t size)
{
	struct piece *at = p->facts;

	size = (size + 7) & ~(size_t)7;
	if (!at || size > at->room - at->used) {
		size_t room = size > FACTS ? size : FACTS;

		at = malloc(sizeof(*at) + room);
		if (!at)
			return NULL;
		*at = (struct piece){ .room = room, .next = p->facts };
		p->facts = at;
	}
	at->used += size;
	return at->data + at->used - size;
}

static void *keep(struct recording_private *p, const void *data, size_t len)
{
	void *kept = facts_room(p, len + 1);

	if (!kept)
		return NULL;
	if (len)
		memcpy(kept, data, len);
	((char *)kept)[len] = 0;
	return kept;
}

static const char *keep_text(struct recording_private *p, const char *s)
{
	return s ? keep(p, s, strlen(s)) : NULL;
}

/* ---- tasks and objects ---------------------------------------------------------- */

static bool makes_sense(const struct recording_private *p, uint32_t number)
{
	return number > 0 && number < MAX_NUMBER && number / 2 < (uint64_t)p->order + NUMBER_SLACK / 2;
}

/* Room for number @id, with some for those to come. */
static int make_room(void **array, size_t *n, uint32_t id, size_t size)
{
	size_t more = (size_t)id + 1 + id / 2;
	char *bigger;

	if (id < *n)
		return 0;
	bigger = reallocarray(*array, more, size);
	if (!bigger)
		return -ENOMEM;
	memset(bigger + *n * size, 0, (more - *n) * size);
	*array = bigger;
	*n = more;
	return 0;
}

static struct rec_task *task_of(struct recording_private *p, uint32_t id, struct err *err)
{
	struct recording *r = &p->r;

	if (!makes_sense(p, id)) {
		err_set(err, EBADMSG, "task number %u makes no sense", id);
		return NULL;
	}
	if (make_room((void **)&r->tasks, &p->tasks_room, id, sizeof(*r->tasks)) < 0) {
		no_memory(err);
		return NULL;
	}
	if (id >= r->ntasks)
		r->ntasks = (size_t)id + 1;
	r->tasks[id].id = id;
	if (!r->tasks[id].process)
		r->tasks[id].process = id;
	return &r->tasks[id];
}

static struct rec_object *object_of(struct recording_private *p, uint32_t id, struct err *err)
{
	struct recording *r = &p->r;

	if (!makes_sense(p, id)) {
		err_set(err, EBADMSG, "object number %u makes no sense", id);
		return NULL;
	}
	if (make_room((void **)&r->objects, &p->objects_room, id, sizeof(*r->objects)) < 0) {
		no_memory(err);
		return NULL;
	}
	if (id >= r->nobjects)
		r->nobjects = (size_t)id + 1;
	return &r->objects[id];
}

/* The same address, or the same port of any address. */
static bool is_listener_of(const struct bytes *l, const struct bytes *local)
{
	static const uint8_t any[16];
	size_t at = 4, n = 4;

	if (l->len == local->len && memcmp(l->data, local->data, l->len) == 0)
		return true;
	if (l->len < sizeof(struct sockaddr_in) || local->len < l->len || l->data[0] == AF_UNIX)
		return false;
	if (l->data[0] == AF_INET6) {
		at = 8;
		n = 16;
	}
	return memcmp(l->data + 2, local->data + 2, 2) == 0 && l->len >= at + n && memcmp(l->data + at, any, n) == 0;
}

/* Of a socket that was open when the recorder came: whose client is it, or does it listen itself? */
static void place_here(struct recording *r, struct rec_object *o)
{
	const struct ev_object *e = o->o;

	if (o->opening || e->kind != OBJ_SOCKET || (e->type & 0xf) != SOCK_STREAM || !e->local.len)
		return;
	o->listens |= !e->remote.len;
	for (size_t i = 1; i < r->nobjects && e->remote.len && !o->accepted; i++) {
		const struct rec_object *l = &r->objects[i];

		if (l->here && l->o && l->o->kind == OBJ_SOCKET && !l->o->remote.len && l->o->family == e->family &&
		    is_listener_of(&l->o->local, &e->local))
			o->accepted = (uint32_t)i;
	}
	o->connected |= e->remote.len && !o->accepted;
}

/* What was open when the recorder came is told of before anything else; listeners may be behind their clients. */
static void place_all_here(struct recording *r)
{
	for (size_t i = 1; i < r->nobjects; i++)
		if (r->objects[i].here && r->objects[i].o)
			place_here(r, &r->objects[i]);
}

static int add_object(struct recording_private *p, const struct ev_object *o, struct err *err)
{
	static const unsigned int opens[] = { SYS_open, SYS_openat, SYS_openat2, SYS_creat };
	struct rec_object *at = object_of(p, o->id, err);
	struct ev_object *kept;

	if (!at)
		return -err->code;
	kept = facts_room(p, sizeof(*kept));
	if (!kept)
		return no_memory(err);
	*kept = *o;
	kept->local.data = keep(p, o->local.data, o->local.len);
	kept->remote.data = keep(p, o->remote.data, o->remote.len);
	kept->path = keep_text(p, o->path);
	kept->fds = keep(p, o->fds, o->nfds * sizeof(*o->fds));
	if (!kept->local.data || !kept->remote.data || (o->path && !kept->path) || !kept->fds)
		return no_memory(err);
	at->o = kept;
	at->here |= p->r.attached && !p->calls_seen;
	for (size_t i = 0; has_own_end(kept) && i < sizeof(opens) / sizeof(opens[0]); i++)
		p->r.notify[opens[i]] = true;
	return 0;
}

/* ---- calls ------------------------------------------------------------------------ */

static int count_blob(void *ctx, const void *data, size_t len, struct err *err)
{
	(void)data, (void)err;
	*(uint64_t *)ctx += len;
	return 0;
}

/* All its bytes are in the capsule, and are what their names say. */
static int look_at_blobs(struct recording_private *p, const struct ev_call *c, struct err *err)
{
	for (uint32_t i = 0; i < c->nsegs; i++) {
		const struct ev_seg *s = &c->segs[i];
		uint64_t len = 0;

		if (s->data || !s->len)
			continue;
		if (capsule_blob(p->r.reader, s->sha256, count_blob, &len, err) < 0)
			return -err->code;
		if (len != s->len || len > CALL_BYTES_MAX)
			return err_set(err, EBADMSG, "a blob of %llu bytes for one of %llu", (unsigned long long)len,
				       (unsigned long long)s->len);
	}
	return 0;
}

static int add_read(struct recording_private *p, struct rec_object *o, const struct ev_call *c, struct err *err)
{
	struct bytes from = sender_of(c);

	if (!is_taken(c))
		return 0;
	o->narrivals++;
	o->heard |= c->ret > 0;
	o->ended |= c->ret == 0;
	if (!from.data || from.len < sizeof(sa_family_t) || o->sender.data)
		return 0;
	o->sender = (struct bytes){ keep(p, from.data, from.len), from.len };
	return o->sender.data ? 0 : no_memory(err);
}

/*
 * Writes of two tasks to one pipe stand in the order in which their calls ended.
 * On two processors that need not be the order in which their bytes went in.
 */
#define AT_ONCE_NS 100000ull

static void add_write(struct recording_private *p, struct rec_object *o, uint32_t task, uint64_t time, const struct ev_call *c)
{
	int arg = call_payload_arg(c->nr);
	const struct ev_seg *seg = arg < 0 ? NULL : call_seg(c, (uint8_t)arg);

	bool another = o->nwrites && o->writer != task;

	if (o->heard && c->ret > 0) {
		o->exchanges++;
		p->r.exchanges += o->accepted != 0;
		o->heard = false;
	}
	o->shared |= another;
	o->nwrites++;
	o->writer = task;
	if (c->ret < 0)
		return;
	p->r.unsure += another && time - o->written < AT_ONCE_NS;
	o->written = time;
	o->out_unseen |= c->flags & CALL_PARTIAL;
	o->nout++;
	o->out_bytes += seg ? seg->len : 0;
}

static void add_accept(struct recording_private *p, struct rec_object *o, const struct ev_call *c)
{
	o->listens = true;
	if (c->ret < 0)
		return;
	o->narrivals++;
	if (!c->obj2)
		return;
	p->r.objects[c->obj2].accepted = c->obj;
	p->r.objects[c->obj2].here = false;	/* it was told of before the first call, which made it */
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

static int note_no_clock(struct recording *r, const struct ev_call *c, struct err *err)
{
	struct rec_clock k = { .clock = (int32_t)c->args[0], .ns = c->ret };

	for (size_t i = 0; i < r->nno_clocks; i++)
		if (r->no_clocks[i].clock == k.clock)
			return 0;
	if (r->nno_clocks >= MAX_CLOCKS)
		return err_set(err, EBADMSG, "so many clocks make no sense");
	return APPEND(r->no_clocks, r->nno_clocks, k) < 0 ? no_memory(err) : 0;
}

static int count_clock(struct recording_private *p, struct rec_task *t, const struct ev_call *c, struct err *err)
{
	struct rec_clock k;

	if (c->ret < 0 && c->nr == SYS_clock_gettime && c->ret != -EFAULT)
		return note_no_clock(&p->r, c, err);
	if (!clock_of(c, &k))
		return 0;
	for (size_t i = 0; i < t->nclocks; i++)
		if (t->clocks[i].clock == k.clock) {
			t->clocks[i].count++;
			return 0;
		}
	if (t->nclocks >= MAX_CLOCKS)
		return err_set(err, EBADMSG, "so many clocks make no sense");
	if (APPEND(t->clocks, t->nclocks, ((struct rec_clocks){ k.clock, 1 })) < 0)
		return no_memory(err);
	return 0;
}

static void note_failure(struct recording *r, const struct ev_call *c)
{
	int fate = sc_table[c->nr].fate;

	r->failures = true;
	r->notify[c->nr] = fate == SC_OPEN || fate == SC_PATH || fate == SC_FD || fate == SC_RUN;
	/* Its place is counted in all that take the same. */
	for (unsigned int nr = 0; nr < SC_MAX; nr++)
		r->notify[nr] |= sc_got_none(c->nr, c->args[0], c->ret) && sc_takes(nr) == sc_takes(c->nr);
}

/* Who is busy with an object is most often the one who was. */
static int tally(struct rec_object *o, uint32_t task, struct err *err)
{
	struct rec_tally one = { .task = task, .calls = 1 };

	for (size_t i = 0; i < o->ntallies; i++)
		if (o->tallies[i].task == task) {
			one.calls += o->tallies[i].calls;
			o->tallies[i] = o->tallies[0];
			o->tallies[0] = one;
			return 0;
		}
	return APPEND(o->tallies, o->ntallies, one) < 0 ? no_memory(err) : 0;
}

static int add_to_object(struct recording_private *p, const struct event *e, struct err *err)
{
	const struct ev_call *c = &e->call;
	struct rec_object *o = &p->r.objects[c->obj];
	int fate = sc_table[c->nr].fate;

	if (!o->user)
		o->user = e->task;
	if (fate == SC_READ && add_read(p, o, c, err) < 0)
		return -err->code;
	if (fate == SC_WRITE && !(c->flags & CALL_TAKEN))
		add_write(p, o, e->task, e->time, c);
	if (is_accept(c))
		add_accept(p, o, c);
	o->managed |= p->r.tasks[p->r.tasks[e->task].process].managed;
	note_async_error(o, c);
	return stays_when_inner(c->nr) ? 0 : tally(o, e->task, err);
}

/* The string that argument @arg (-1: none) was; false: it is none. */
static bool string_of(const struct ev_call *c, int arg, const char **ret)
{
	const struct ev_seg *s = arg >= 0 ? call_seg(c, (uint8_t)arg) : NULL;

	*ret = s ? (const char *)s->data : NULL;
	return !s || (s->data && s->len && !s->data[s->len - 1]);
}

static int add_look(struct recording_private *p, const struct rec_task *t, const struct ev_call *c, struct err *err)
{
	int out_arg = look_out_arg(c->nr);
	const struct ev_seg *out = out_arg >= 0 ? call_seg(c, (uint8_t)out_arg) : NULL;
	struct look_answer a = { .nr = c->nr, .whole = c->flags & CALL_WHOLE, .ret = c->ret, .object = c->obj, .made = c->obj2 };
	struct bytes data = { out ? out->data : NULL, out ? out->len : 0 };
	_cleanup_free_ uint8_t *blob = NULL;
	struct look_question q;
	struct look_words w;

	if ((c->flags & CALL_PARTIAL) || !string_of(c, look_path_arg(c->nr), &w.path) ||
	    !string_of(c, look_word_arg(c->nr), &w.word) || !string_of(c, SEG_BASE, &w.base))
		return 0;
	if (data.len && !data.data) {
		if (capsule_blob_load(p->r.reader, out->sha256, CALL_BYTES_MAX, &blob, &data.len, err) < 0)
			return -err->code;
		data.data = blob;
	}
	q = look_question(c->nr, c->args, &w);
	q.process = t->process;
	q.program = (uint32_t)p->r.tasks[t->process].nexecs;
	p->r.notify[c->nr] = true;
	return looks_add(p->r.looks, &q, &a, data, p->order) < 0 ? no_memory(err) : 0;
}

/* Pids are given again: of several children with this one the last. A child that only stopped has no end yet. */
static void note_reaped(struct recording *r, struct rec_task *reaper, const struct ev_call *c, uint32_t order)
{
	uint32_t pid = reaped_child(c);

	for (size_t i = pid ? r->ntasks : 0; i-- > 1;) {
		struct rec_task *t = &r->tasks[i];

		if (t->tid != pid || t->thread)
			continue;
		if (t->exited && !t->reap_order) {
			t->reap_order = order;
			t->reaper = reaper->id;
			t->reaped_as_any = reaps_any(c);
			if (t->exit_order < reaper->none_order)
				t->exit_order = reaper->none_order;
		}
		return;
	}
}

/* ---- openings ---------------------------------------------------------------------------- */

static int append(struct recording_private *p, struct bytes *to, const struct ev_seg *s, struct err *err)
{
	uint8_t *both;

	p->opening_bytes += to->len + s->len;
	if (p->opening_bytes > MAX_OPENINGS)
		return err_set(err, EBADMSG, "connections that were opened with so many bytes make no sense");
	both = facts_room(p, to->len + s->len + 1);
	if (!both)
		return no_memory(err);
	if (to->len)
		memcpy(both, to->data, to->len);
	memcpy(both + to->len, s->data, s->len);
	*to = (struct bytes){ both, to->len + s->len };
	return 0;
}

/* Something asked behind an answer begins the next exchange. */
static int add_opening(struct recording_private *p, const struct ev_call *c, struct err *err)
{
	struct rec_object *o = c->obj ? object_of(p, c->obj, err) : NULL;
	const struct ev_seg *s = NULL;
	struct rec_opening *of;
	bool asks;

	if (c->nr >= SC_MAX || !o || !p->r.attached || p->calls_seen)
		return err_set(err, EBADMSG, "a call of no task makes no sense");
	asks = sc_table[c->nr].fate == SC_WRITE;
	for (uint32_t i = 0; i < c->nsegs; i++)
		if ((int)c->segs[i].arg == call_payload_arg(c->nr))
			s = &c->segs[i];
	if (!o->opening && p->nopenings++ == MAX_OPENINGS_OF)
		return err_set(err, EBADMSG, "so many connections that were opened before make no sense");
	of = o->opening ? o->opening : facts_room(p, sizeof(*of));
	if (!of)
		return no_memory(err);
	if (!o->opening)
		of->n = 0;
	o->opening = of;
	if (!s || !s->data || (!asks && sc_table[c->nr].fate != SC_READ))
		return 0;
	if (!of->n || (asks && of->exchanges[of->n - 1].answer.len)) {
		if (of->n == OPENING_EXCHANGES)
			return 0;
		memset(&of->exchanges[of->n++], 0, sizeof(of->exchanges[0]));
	}
	return append(p, asks ? &of->exchanges[of->n - 1].asked : &of->exchanges[of->n - 1].answer, s, err);
}

static int add_call(struct recording_private *p, const struct event *e, struct err *err)
{
	const struct ev_call *c = &e->call;

	if (is_opening(e))
		return add_opening(p, c, err);
	struct rec_task *t = task_of(p, e->task, err);
	int fate;

	if (!t)
		return -err->code;
	if (c->nr >= SC_MAX)
		return err_set(err, EBADMSG, "system call number %u makes no sense", c->nr);
	if ((c->obj && !object_of(p, c->obj, err)) || (c->obj2 && !object_of(p, c->obj2, err)))
		return -err->code;
	fate = sc_table[c->nr].fate;
	if (p->r.attached && !p->calls_seen) {
		p->calls_seen = true;
		p->r.tasks[1].here = p->r.ntasks > 1;
		for (unsigned int nr = 0; nr < SC_MAX; nr++)
			p->r.notify[nr] |= sc_table[nr].fate == SC_OWNER || nr == SYS_listen;
		place_all_here(&p->r);
	}
	if (is_before(t, &t->begun, c) || (c->obj && answers_before(&p->r.objects[c->obj], p->r.objects[c->obj].narrivals, c)))
		return 0;
	if (is_runtimes(&p->r, t, c) && fate != SC_SERVE)
		return 0;
	if (is_runtimes(&p->r, t, c))
		return look_at_blobs(p, c, err) < 0 ? -err->code : answer_note(p, e->task, c, err);
	if (fate == SC_CLOCK)
		return count_clock(p, t, c, err);
	if (fate == SC_REAP)
		note_reaped(&p->r, t, c, p->order);
	if (c->ret == -EINTR || (fate == SC_REAP && c->ret == 0 && reaps_any(c) && !reaped_child(c)))
		t->none_order = p->order;
	if (look_at_blobs(p, c, err) < 0)
		return -err->code;
	if (fate == SC_RANDOM) {
		t->nrandom += c->ret > 0 && call_seg(c, 0);
		return 0;
	}
	if (is_look(c))
		return add_look(p, t, c, err);
	if ((c->nr == SYS_mmap || c->nr == SYS_shmat) && (c->ret >= 0 || c->ret < -4095))
		return company_shares(p, t->process, c) < 0 ? no_memory(err) : 0;
	if (fate == SC_TIMED || !is_asked(c))
		return 0;
	if (call_seg(c, SEG_PLACE) && fate != SC_TASK)
		note_failure(&p->r, c);
	if (fate == SC_SIGNAL)
		p->r.notify[c->nr] = true;
	t->ncalls++;
	if (c->obj && add_to_object(p, e, err) < 0)
		return -err->code;
	return fate == SC_SERVE && !sc_table[c->nr].fd ? answer_note(p, e->task, c, err) : 0;
}

/* ---- the rest ------------------------------------------------------------------------ */

static int add_fork(struct recording_private *p, const struct event *e, struct err *err)
{
	struct rec_task *child = task_of(p, e->fork.child, err), *t;

	if (!child)
		return -err->code;
	child->pid = e->fork.pid;
	child->tid = e->fork.tid;
	child->thread = e->fork.thread;
	child->goroutine = e->fork.goroutine;
	child->begins = e->fork.begins;
	child->born_order = p->order;
	t = task_of(p, e->task, err);	/* after the child: the array may have moved */
	if (!t)
		return -err->code;
	p->r.tasks[e->fork.child].process = e->fork.thread ? t->process : e->fork.child;
	p->r.tasks[t->process].threads |= e->fork.thread;
	if (e->fork.goroutine)
		return 0;
	if (!e->fork.thread)
		company_forks(p, t->process, e->fork.child);
	if (p->r.attached && !p->calls_seen) {
		p->r.tasks[e->fork.child].here = true;
		t->nhere++;
	}
	return APPEND(t->children, t->nchildren, e->fork.child) < 0 ? no_memory(err) : 0;
}

static int add_exec(struct recording_private *p, struct rec_task *t, const struct ev_exec *e, struct err *err)
{
	struct rec_exec x = { .path = keep_text(p, e->path) };

	memcpy(x.at_random, e->at_random, sizeof(x.at_random));
	company_ends(p, t->process);
	p->r.tasks[t->process].managed = e->goroutines;
	p->r.goroutines |= e->goroutines;
	return !x.path || APPEND(t->execs, t->nexecs, x) < 0 ? no_memory(err) : 0;
}

static int add_file(struct recording_private *p, const struct ev_file *f, const struct ev_file ***list, size_t *n, struct err *err)
{
	struct ev_file *kept = facts_room(p, sizeof(*kept));

	if (!kept)
		return no_memory(err);
	*kept = *f;
	kept->path = keep_text(p, f->path);
	kept->target = keep_text(p, f->target);
	kept->link = keep_text(p, f->link);
	kept->attributes.data = f->attributes.len ? keep(p, f->attributes.data, f->attributes.len) : NULL;
	if (!kept->path || (f->target && !kept->target) || (f->link && !kept->link) ||
	    (f->attributes.len && !kept->attributes.data))
		return no_memory(err);
	return APPEND(*list, *n, kept) < 0 ? no_memory(err) : 0;
}

/* Whoever asks for an attribute that is not known is to be seen. */
static void note_unknown(struct recording *r, struct bytes rest)
{
	struct attribute a;

	while (attributes_next(&rest, &a))
		if (!a.value)
			r->notify[SYS_getxattr] = r->notify[SYS_lgetxattr] = r->notify[SYS_fgetxattr] = true;
}

static int add_hole(struct recording_private *p, const struct ev_hole *h, struct err *err)
{
	struct recording *r = &p->r;
	struct ev_hole *kept;

	if (r->nholes >= MAX_HOLES)
		return 0;
	kept = facts_room(p, sizeof(*kept));
	if (!kept)
		return no_memory(err);
	*kept = (struct ev_hole){ keep_text(p, h->what), keep_text(p, h->where), keep_text(p, h->why), h->count };
	return APPEND(r->holes, r->nholes, kept) < 0 ? no_memory(err) : 0;
}

static int add_of_task(struct recording_private *p, const struct event *e, struct err *err)
{
	struct rec_task *t = task_of(p, e->task, err);

	if (!t)
		return -err->code;
	if (e->kind == EV_EXEC)
		return add_exec(p, t, &e->exec, err);
	if (e->kind == EV_SIGNAL) {
		p->r.tasks[task_of_signal(&p->r, t)].ncalls++;
		return 0;
	}
	t->exited = true;
	t->group_exit = e->exit.group;
	t->status = e->exit.status;
	t->exit_order = p->order;
	return 0;
}

static int add_event(struct recording_private *p, const struct event *e, struct err *err)
{
	struct recording *r = &p->r;

	switch (e->kind) {
	case EV_CALL:
		return add_call(p, e, err);
	case EV_FORK:
		return add_fork(p, e, err);
	case EV_EXEC:
	case EV_EXIT:
	case EV_SIGNAL:
		return add_of_task(p, e, err);
	case EV_OBJECT:
		return add_object(p, &e->object, err);
	case EV_FILE:
		note_unknown(r, e->file.attributes);
		return add_file(p, &e->file, &r->files, &r->nfiles, err);
	case EV_OUTPUT:
		return add_file(p, &e->file, &r->outputs, &r->noutputs, err);
	case EV_HOLE:
		return add_hole(p, &e->hole, err);
	}
	return err_set(err, EBADMSG, "event of unknown kind %u", e->kind);
}

/* ---- connections of the scope's own --------------------------------------------------- */

/*
 * What was recorded on them before they turned out to be that is dropped; what
 * made them keeps its place among other calls of the kind.
 */
static void set_inner_apart(struct recording *r, struct rec_object *o)
{
	r->inner = o->inner = true;
	o->narrivals = o->nout = 0;
	o->out_bytes = 0;
	o->shared = o->out_unseen = false;
	if (o->accepted && r->objects[o->accepted].narrivals)
		r->objects[o->accepted].narrivals--;
}

static void find_inner(struct recording *r)
{
	bool own;

	for (size_t i = 1; i < r->nobjects; i++)
		if (r->objects[i].o && r->objects[i].o->kind == OBJ_INNER)
			set_inner_apart(r, &r->objects[i]);
	for (size_t i = 1; r->inner && i < r->nobjects; i++) {
		struct rec_object *l = r->objects[i].accepted && r->objects[i].inner ? &r->objects[r->objects[i].accepted] : NULL;

		own = l && l->listens && !l->narrivals;	/* a listener without other clients */
		if (own)
			l->inner = true;
	}
	for (size_t i = 1; r->inner && i < r->nobjects; i++)
		for (size_t k = 0; r->objects[i].inner && k < r->objects[i].ntallies; k++)
			r->tasks[r->objects[i].tallies[k].task].ncalls -= r->objects[i].tallies[k].calls;
}

static void drop_tallies(struct recording *r)
{
	for (size_t i = 0; i < r->nobjects; i++) {
		free(r->objects[i].tallies);
		r->objects[i].tallies = NULL;
		r->objects[i].ntallies = 0;
	}
}

int survey(struct recording_private *p, struct err *err)
{
	struct event e;
	int n;

	for (p->order = 1; (n = capsule_next(p->r.reader, &e, err)) > 0; p->order++) {
		if (p->order == UINT32_MAX)
			return err_set(err, EFBIG, "more than %u events", UINT32_MAX - 1);
		if (add_event(p, &e, err) < 0)
			return err_in(err, "event %u", p->order);
	}
	if (n < 0)
		return -err->code;
	find_inner(&p->r);
	if (!p->r.goroutines)
		drop_tallies(&p->r);
	return 0;
}
