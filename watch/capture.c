/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What was chosen of a history, as a capsule of something that ran already:
 * first what was there (threads, programs, descriptors), then what happened.
 * Threads and objects get numbers of their own, since a scope that is followed
 * for weeks has used up many.
 */
#include <linux/types.h>

#include "watch/capture.h"

#include "format/cleanup.h"
#include "format/observe.h"
#include "format/signature.h"
#include "format/sysdesc.h"
#include "watch/choice.h"
#include "watch/keep.h"
#include "watch/redact_copy.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

struct making {
	const struct capture *c;
	struct choice choice;
	struct capsule_writer *w;
	struct observation *seen;
	struct map base;		/* before the first event: number of a task → the EV_FORK that made it */
	struct map execs;		/* likewise → its EV_EXEC */
	struct map objects;		/* number → EV_OBJECT */
	struct map tasks, things;	/* numbers here → in the capsule, plus 1 */
	uint32_t ntasks, nthings;
	uint64_t zero;			/* ns: when it begins */
	uint64_t events, holes;
	struct err broken;
};

/* ---- numbers ------------------------------------------------------------------------- */

static uint32_t number_in(struct making *m, struct map *map, uint32_t *last, uint32_t old)
{
	uintptr_t n = (uintptr_t)map_get(map, old, 0);

	if (n || !old)
		return (uint32_t)n;
	if (map_put(map, old, 0, (void *)(uintptr_t)(*last + 1)) < 0) {
		err_set(&m->broken, ENOMEM, "out of memory");
		return 0;
	}
	return ++*last;
}

static uint32_t task_in(struct making *m, uint32_t old)
{
	return number_in(m, &m->tasks, &m->ntasks, old);
}

static uint32_t thing_in(struct making *m, uint32_t old)
{
	return number_in(m, &m->things, &m->nthings, old);
}

/* ---- writing --------------------------------------------------------------------------- */

static void write_out(struct making *m, struct event *e)
{
	struct err err = ERR_INIT;
	int rc;

	if (m->broken.code)
		return;
	m->holes += e->kind == EV_HOLE;
	rc = capsule_write(m->w, e, &err);
	if (rc == 0) {
		m->events++;
		rc = observation_event(m->seen, e, NULL, &err);
	}
	if (rc < 0 && rc != -EINVAL && rc != -EFBIG)
		m->broken = err;
	else if (rc < 0 && e->kind != EV_HOLE)
		write_out(m, &(struct event){ .kind = EV_HOLE, .time = e->time, .task = e->task,
					      .hole = { "event", ev_kind_name(e->kind), err.text, 1 } });
}

static void write_hole(struct making *m, const char *what, const char *where, const char *why, uint64_t count)
{
	write_out(m, &(struct event){ .kind = EV_HOLE, .hole = { what, where, why, count } });
}

/* ---- what was there ------------------------------------------------------------------------ */

static void note(struct making *m, const struct event *e)
{
	struct map *map = e->kind == EV_FORK ? &m->base : e->kind == EV_EXEC ? &m->execs : &m->objects;
	uint32_t key = e->kind == EV_FORK ? e->fork.child : e->kind == EV_EXEC ? e->task : e->object.id;

	if (map_put(map, key, 0, (void *)e) < 0)
		err_set(&m->broken, ENOMEM, "out of memory");
}

static void note_base(void *ctx, const struct event *e)
{
	note(ctx, e);
}

/* All that happened before what was chosen changes what was there. */
static void find_base(struct making *m)
{
	const struct event *e;
	struct history_at at;

	history_base(m->c->history, note_base, m);
	history_begin(&at, m->c->history);
	while ((e = history_each(&at)) && at.number < m->choice.from) {
		if (e->kind == EV_FORK || e->kind == EV_EXEC || e->kind == EV_OBJECT)
			note(m, e);
		if (e->kind == EV_EXIT) {
			map_take(&m->base, e->task, 0);
			map_take(&m->execs, e->task, 0);
		}
	}
}

/* The first thread of the process that @f made a thread in; 1: the first process's. */
static uint32_t leader_of(struct making *m, const struct ev_fork *f)
{
	for (size_t i = 0; i < m->base.room; i++) {
		const struct event *e = m->base.slots[i].value;

		if (e && !e->fork.thread && e->fork.tid == f->pid)
			return e->fork.child;
	}
	return 1;
}

static void tell_task(struct making *m, uint32_t old);

/* Who made @fork, and is there yet: its process's first thread, or the process that made its own. */
static uint32_t maker_of(struct making *m, const struct event *fork)
{
	uint32_t maker = fork->fork.thread ? leader_of(m, &fork->fork) : fork->task;

	if (maker == fork->fork.child || (maker != 1 && !map_get(&m->base, maker, 0)))
		maker = 1;
	tell_task(m, maker);
	return task_in(m, maker);
}

/* The thread, behind those that it comes from; what it runs. */
static void tell_task(struct making *m, uint32_t old)
{
	const struct event *fork = map_get(&m->base, old, 0), *exec = map_get(&m->execs, old, 0);
	struct event e = { .kind = EV_FORK, .fork = { .thread = true } };

	if (!old || map_get(&m->tasks, old, 0))
		return;
	if (old == 1) {
		task_in(m, old);
	} else {
		if (fork)
			e.fork = fork->fork;
		e.task = fork ? maker_of(m, fork) : task_in(m, 1);
		e.fork.child = task_in(m, old);
		write_out(m, &e);
	}
	if (exec) {
		e = *exec;
		e.time = 0;
		e.task = task_in(m, old);
		write_out(m, &e);
	}
}

/* Who is made by what was chosen: the fork is told there. */
static void find_born(struct making *m, struct map *born)
{
	const struct event *e;
	struct history_at at;

	history_begin(&at, m->c->history);
	while ((e = history_each(&at)))
		if (e->kind == EV_FORK && choice_has(&m->choice, e, at.number) && map_put(born, e->fork.child, 0, m) < 0)
			err_set(&m->broken, ENOMEM, "out of memory");
}

static void tell_tasks(struct making *m)
{
	struct map born = { 0 };
	const struct event *e;
	struct history_at at;

	find_born(m, &born);
	tell_task(m, 1);
	if (!m->choice.request)
		for (size_t i = 0; i < m->base.room; i++)
			if (m->base.slots[i].value)
				tell_task(m, (uint32_t)m->base.slots[i].a);
	history_begin(&at, m->c->history);
	while ((e = history_each(&at)))
		if (choice_has(&m->choice, e, at.number) && e->task && !map_get(&m->tasks, e->task, 0) && !map_get(&born, e->task, 0))
			tell_task(m, e->task);
	map_clear(&born);
}

static void tell_object(struct making *m, const struct event *object)
{
	struct event e = *object;

	e.time = 0;
	e.task = 0;
	e.object.id = thing_in(m, e.object.id);
	write_out(m, &e);
}

static uint32_t word_at(const uint8_t *p)
{
	return p[0] | p[1] << 8 | p[2] << 16 | (uint32_t)p[3] << 24;
}

static void want(struct making *m, struct map *wanted, uint32_t object)
{
	if (object && map_get(&m->objects, object, 0) && map_put(wanted, object, 0, m) < 0)
		err_set(&m->broken, ENOMEM, "out of memory");
}

static void want_ready(struct making *m, struct map *wanted, const struct ev_call *c)
{
	for (uint32_t i = 0; i < c->nsegs; i++)
		for (uint64_t k = 0; c->segs[i].arg == SEG_READY && k + 8 <= c->segs[i].len; k += 8)
			if (!choice_is_foreign(&m->choice, word_at(c->segs[i].data + k)))
				want(m, wanted, word_at(c->segs[i].data + k));
}

/* Whoever is connected already connects again, there. */
static bool may_listen(const struct ev_object *o)
{
	return o->kind == OBJ_SOCKET && (o->type & 0xf) == SOCK_STREAM && o->local.len && !o->remote.len;
}

/* Of the objects that were there: those that are used, those that listen, and the streams that every program has. */
static void tell_objects(struct making *m)
{
	struct map wanted = { 0 };
	const struct event *e;
	struct history_at at;

	for (size_t i = 0; i < m->objects.room; i++) {
		e = m->objects.slots[i].value;
		for (size_t k = 0; e && k < e->object.nfds; k++)
			if (e->object.fds[k] <= 2)
				want(m, &wanted, e->object.id);
		if (e && may_listen(&e->object))
			want(m, &wanted, e->object.id);
	}
	history_begin(&at, m->c->history);
	while ((e = history_each(&at)))
		if (e->kind == EV_CALL && choice_has(&m->choice, e, at.number)) {
			want(m, &wanted, e->call.obj);
			want(m, &wanted, e->call.obj2);
			want_ready(m, &wanted, &e->call);
		}
	for (size_t i = 0; i < wanted.room; i++)
		if (wanted.slots[i].value)
			tell_object(m, map_get(&m->objects, wanted.slots[i].a, 0));
	map_clear(&wanted);
}

/* What was said on connections when they were opened: nobody's calls, on objects of their own. */
static void tell_opening(void *ctx, const struct event *e)
{
	_cleanup_free_ struct event *copy = keep_alone(e);
	struct making *m = ctx;

	if (!copy) {
		err_set(&m->broken, ENOMEM, "out of memory");
		return;
	}
	m->nthings += e->kind == EV_OBJECT;
	copy->time = 0;
	copy->task = 0;
	if (e->kind == EV_OBJECT) {
		copy->object.id = m->nthings;
		copy->object.nfds = 0;
	} else {
		copy->call.obj = m->nthings;
		copy->call.obj2 = 0;
	}
	write_out(m, copy);
}

/* ---- what happened --------------------------------------------------------------------------- */

static void put_word(uint8_t *p, uint32_t v)
{
	for (int i = 0; i < 4; i++)
		p[i] = (uint8_t)(v >> 8 * i);
}

/* What was ready, without what is for others. */
static void filter_ready(struct making *m, struct ev_call *c, struct ev_seg *s)
{
	uint8_t *p = (uint8_t *)s->data;
	uint64_t n = 0;

	for (uint64_t k = 0; k + 8 <= s->len; k += 8) {
		uint32_t object = word_at(p + k);

		if (choice_is_foreign(&m->choice, object)) {
			c->ret -= c->ret > 0;
			continue;
		}
		memmove(p + n, p + k, 8);
		put_word(p + n, thing_in(m, object));
		n += 8;
	}
	s->len = n;
}

static void renumber(struct making *m, struct event *e)
{
	e->task = task_in(m, e->task);
	if (e->kind == EV_FORK)
		e->fork.child = task_in(m, e->fork.child);
	if (e->kind == EV_OBJECT)
		e->object.id = thing_in(m, e->object.id);
	if (e->kind != EV_CALL)
		return;
	e->call.obj = thing_in(m, e->call.obj);
	e->call.obj2 = thing_in(m, e->call.obj2);
	for (uint32_t i = 0; i < e->call.nsegs; i++)
		if (e->call.segs[i].arg == SEG_READY)
			filter_ready(m, &e->call, &e->call.segs[i]);
}

static void tell_event(struct making *m, const struct event *e)
{
	_cleanup_free_ struct event *copy = keep_alone(e);

	if (!copy) {
		err_set(&m->broken, ENOMEM, "out of memory");
		return;
	}
	copy->time = e->time > m->zero ? e->time - m->zero : 0;
	renumber(m, copy);
	write_out(m, copy);
}

static void tell_events(struct making *m)
{
	const struct event *e;
	struct history_at at;

	history_begin(&at, m->c->history);
	while ((e = history_each(&at)) && !m->broken.code)
		if (choice_has(&m->choice, e, at.number))
			tell_event(m, e);
}

/* ---- what is missing ---------------------------------------------------------------------------- */

static void tell_holes(struct making *m)
{
	const struct request *q = m->c->request;

	if (m->c->metadata)
		write_hole(m, "level", "policy", "the level of its scope let no payload be recorded: there is nothing to replay from", 1);
	if (q && q->from < history_first(m->c->history))
		write_hole(m, "budget", "history", "the beginning of the request was pushed out of the history", history_first(m->c->history) - q->from);
	if (m->choice.mixed)
		write_hole(m, "mixed", "request", "the threads that worked on it worked on other requests meanwhile: what of their readings and upstream calls was for which is not known", m->choice.mixed);
	if (m->choice.shared)
		write_hole(m, "mixed", "connection", "others used connections that it used, meanwhile: their bytes are not here", m->choice.shared);
	if (history_lost(m->c->history))
		write_hole(m, "budget", "history", "events were too large for the history, or found no memory", history_lost(m->c->history));
}

/* ---- all of it -------------------------------------------------------------------------------------- */

static uint64_t first_time(const struct making *m)
{
	const struct event *e;
	struct history_at at;

	history_begin(&at, m->c->history);
	while ((e = history_each(&at)))
		if (choice_has(&m->choice, e, at.number) && e->time)
			return e->time;
	return 0;
}

static uint64_t last_time(const struct making *m)
{
	const struct event *e;
	struct history_at at;
	uint64_t last = m->zero;

	history_begin(&at, m->c->history);
	while ((e = history_each(&at)))
		if (choice_has(&m->choice, e, at.number) && e->time > last)
			last = e->time;
	return last;
}

static void making_clear(struct making *m)
{
	choice_clear(&m->choice);
	map_clear(&m->base);
	map_clear(&m->execs);
	map_clear(&m->objects);
	map_clear(&m->tasks);
	map_clear(&m->things);
	observation_free(m->seen);
	capsule_writer_free(m->w);
}

/* The manifest's clocks are those of the moment when what was chosen began. */
static int open_at(struct making *m, const char *path, struct err *err)
{
	struct manifest *mf = armed_manifest(m->c->scope), at = *mf;
	int64_t later = m->zero ? (int64_t)m->zero - mf->boottime : 0;

	at.created += later;
	at.monotonic += later;
	at.boottime += later;
	at.limits = (char *)m->c->limits;
	if (capsule_writer_open(&m->w, path, &at, err) < 0)
		return -err->code;
	if (m->c->max_bytes)
		capsule_writer_limit(m->w, m->c->max_bytes);
	return 0;
}

static int finish(struct making *m, struct captured *ret, struct err *err)
{
	struct capsule_end end = { .status = m->c->status, .duration = last_time(m) - m->zero, .lost = m->c->lost };
	int rc;

	snprintf(end.ended, sizeof(end.ended), "%s", m->c->ended);
	if (!capsule_end_is_open(&end))
		observation_end(m->seen, end.status, true);
	if (signature_derive(end.signature, m->seen, err) < 0)
		return -err->code;
	end.holes = m->holes;
	memcpy(ret->signature, end.signature, sizeof(ret->signature));
	ret->events = m->events;
	ret->holes = m->holes;
	rc = capsule_writer_finish(TAKE_PTR(m->w), &end, err);
	if (rc != -EDQUOT)
		return rc;
	*err = (struct err)ERR_INIT;	/* full: it says so itself, and is a capsule */
	return 0;
}

static int make(struct making *m, const char *path, struct captured *ret, struct err *err)
{
	if (choose(&m->choice, m->c->history, m->c->requests, m->c->request) < 0)
		return err_set(err, ENOMEM, "out of memory");
	m->zero = first_time(m);
	if (observation_new(&m->seen, err) < 0 || armed_renew(m->c->scope, err) < 0 || open_at(m, path, err) < 0)
		return -err->code;
	find_base(m);
	tell_tasks(m);
	tell_objects(m);
	openings_each(m->c->openings, tell_opening, m);
	tell_holes(m);
	tell_events(m);
	if (!m->broken.code)
		m->holes += armed_files(m->c->scope, m->w, (int64_t)m->zero, last_time(m) - m->zero);
	if (m->broken.code && m->broken.code != EDQUOT) {
		*err = m->broken;
		return -err->code;
	}
	return finish(m, ret, err);
}

int capture_write(const struct capture *c, const char *path, struct captured *ret, struct err *err)
{
	_cleanup_(making_clear) struct making m = { .c = c };
	struct redact_copy copy = { .out = path, .rules = c->policy->redact, .n = c->policy->nredact, .name = c->policy->name, .max_bytes = c->max_bytes };
	char name[64];
	struct stat st;

	*ret = (struct captured){ 0 };
	_cleanup_fd_ int memory = memfd_create("capsule", MFD_CLOEXEC);
	if (memory < 0)
		return err_sys(err, errno, "memory for a capsule");
	snprintf(name, sizeof(name), "/proc/self/fd/%d", memory);
	copy.in = name;
	if (make(&m, name, ret, err) < 0 || redact_copy(&copy, &ret->copied, err) < 0)
		return -err->code;
	ret->bytes = stat(path, &st) == 0 ? (uint64_t)st.st_size : 0;
	return 0;
}
