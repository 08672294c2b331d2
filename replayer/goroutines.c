/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goroutines: tasks that a runtime puts on threads, as chance has it.  They are
 * what the recording tells of such a program (ev_fork.goroutine), so they are
 * the players here, and the threads only carry them.
 *
 * - What a goroutine asks comes from its own recorded part: calls, readings,
 *   random bytes, on whichever thread it is.  Numbers differ between runs.  So
 *   which part it plays is told by what it does: the first call on an outside
 *   object that the recording has one goroutine make.  One that asks for the
 *   time before that plays the part with its number, or the first that begins
 *   so, until its call tells; then the two change parts.
 * - What comes in on an object has one order, whoever takes it.  If another
 *   goroutine than recorded comes first, it takes that call out of the other's
 *   part and keeps its own.
 * - How often they find nothing there yet is not recorded, nor how their
 *   runtime waits.  A word from outside is said when all that moved something
 *   before it was done and all threads rest; the kernel does the waking.
 * - The runtime's own clock readings are not recorded either.  All threads of
 *   a process share one clock for them, which is never behind what its
 *   goroutines have done, and which sleeps move on.
 */
#include <linux/types.h>

#include "replayer/replay.h"

#include "format/goroutine.h"
#include "format/sysdesc.h"
#include "replayer/seat.h"

#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>

/* ---- who is it? ---------------------------------------------------------------- */

/* The recorded process of live process @tgid; 0: none. */
static uint32_t process_of(const struct replay *r, pid_t tgid)
{
	bool has_some = false;

	for (const struct gtask *t = r->tasks; t; t = t->next) {
		if (t->tgid == tgid && t->rec)
			return t->rec->process;
		has_some |= t->tgid == tgid && t->number_at;
	}
	/* What ran already when it was recorded has no part as a process, only its goroutines have. */
	return r->rec->attached && has_some ? 1 : 0;
}

static bool is_part(const struct replay *r, uint32_t id, uint32_t process)
{
	const struct rec_task *rec = &r->rec->tasks[id];

	return rec->goroutine && rec->process == process;
}

static struct gtask *player_of(const struct replay *r, const struct rec_task *rec)
{
	for (struct gtask *g = r->born[rec->id] ? r->goroutines : NULL; g; g = g->next)
		if (g->rec == rec)
			return g;
	return NULL;
}

static void give_part(struct replay *r, struct gtask *g, const struct rec_task *rec)
{
	g->rec = rec;
	g->slot = rec->id;
	r->born[rec->id] = true;
}

static struct gtask *add(struct replay *r, pid_t tgid, uint32_t number)
{
	struct gtask *g = calloc(1, sizeof(*g));

	if (!g)
		return NULL;
	g->tgid = tgid;
	g->goroutine = number;
	g->known = g->started = true;
	g->next = r->goroutines;
	r->goroutines = g;
	return g;
}

static struct gtask *find(struct replay *r, pid_t tgid, uint32_t number)
{
	for (struct gtask **at = &r->goroutines; *at; at = &(*at)->next) {
		struct gtask *g = *at;

		if (g->tgid != tgid || g->goroutine != number || g->exited || !g->carrier)
			continue;
		*at = g->next;
		g->next = r->goroutines;
		r->goroutines = g;
		return g;
	}
	return NULL;
}

/* The first goroutine is main's. */
static void begin(struct replay *r, struct gtask *g)
{
	uint32_t process = process_of(r, g->tgid);

	g->slot = (uint32_t)r->rec->ntasks + r->spare_slot++;
	for (uint32_t i = 1; g->goroutine == 1 && !r->rec->attached && i < r->rec->ntasks; i++)
		if (is_part(r, i, process) && r->rec->tasks[i].goroutine == 1 && !r->born[i]) {
			give_part(r, g, &r->rec->tasks[i]);
			g->sure = true;
			return;
		}
}

struct gtask *goroutine_on(struct replay *r, struct gtask *t)
{
	uint32_t number = 0;
	struct gtask *g;
	uint64_t at = 0;

	if (!t->number_at || !t->fsbase || guest_read(t->tid, t->fsbase + GOROUTINE_FS, &at, sizeof(at)) < 0 || !at ||
	    guest_read(t->tid, at + t->number_at, &number, sizeof(number)) < 0 || !number)
		return t;
	g = find(r, t->tgid, number);
	if (!g) {
		g = add(r, t->tgid, number);
		if (!g)
			return t;
		if (t->begins_at)
			guest_read(t->tid, at + t->begins_at, &g->begins, sizeof(g->begins));
		begin(r, g);
	}
	g->carrier = t;
	g->tid = t->tid;
	g->shim = t->shim;
	return g;
}

void goroutine_register(struct replay *r, const struct gtask *g)
{
	int slot = g->carrier && g->shim ? streams_slot(r->streams, g->slot) : -1;

	if (slot >= 0)
		seat_goroutine(g->tgid, g->goroutine, (uint64_t)slot + 1);
}

/* ---- which part does it play? ---------------------------------------------------- */

static void drop(struct replay *r, struct gtask *gone)
{
	struct gtask **at = &r->goroutines;

	while (*at != gone)
		at = &(*at)->next;
	*at = gone->next;
	free(gone);
}

/* @g goes on with the part of @o, which may be nobody's yet (@o NULL). */
static void take_part(struct replay *r, struct gtask *g, struct gtask *o, const struct rec_task *rec)
{
	if (!o && !g->rec) {
		give_part(r, g, rec);
	} else {
		if (!o && !(o = add(r, g->tgid, UINT32_MAX)))
			return;
		if (!o->rec)
			give_part(r, o, rec);
		role_exchange(r, g, o);
		if (!o->carrier && !o->rec)
			drop(r, o);
		else
			goroutine_register(r, o);
	}
	goroutine_register(r, g);
}

/* Does it begin with a reading of @clock (or, -1, with random bytes)?  When; UINT32_MAX: it does not. */
static uint32_t begins_so(const struct replay *r, const struct rec_task *rec, int clock)
{
	const struct rec_call *first = task_call(rec, 0);
	uint32_t order;

	if (clock < 0)
		return rec->nrandom ? rec->born_order : UINT32_MAX;
	order = streams_next(r->streams, rec->id, (uint32_t)clock);
	return order && order < (first ? first->order : UINT32_MAX) ? order : UINT32_MAX;
}

/* One that nobody plays and that begins as @g does: when; UINT32_MAX: it is none. */
static uint32_t may_be(const struct replay *r, const struct gtask *g, uint32_t id, uint32_t process, int clock)
{
	const struct rec_task *rec = &r->rec->tasks[id];

	if (!is_part(r, id, process) || r->born[id] || (g->begins && rec->begins && rec->begins != g->begins))
		return UINT32_MAX;
	return begins_so(r, rec, clock);
}

bool goroutine_is_any(const struct replay *r, const struct gtask *g, int clock)
{
	uint32_t process = process_of(r, g->tgid);
	size_t n = 0;

	for (uint32_t i = 1; g->goroutine && !g->rec && !g->placed && i < r->rec->ntasks && n < 2; i++)
		n += may_be(r, g, i, process, clock) != UINT32_MAX;
	return n > 1;
}

static struct goroutine_kin *kin_of(struct replay *r, const struct gtask *g)
{
	for (size_t i = 0; i < r->nkin; i++)
		if (r->kin[i].tgid == g->tgid && r->kin[i].begins == g->begins)
			return &r->kin[i];
	return NULL;
}

/* The first that asks: the one whose reading came first, or the one whose number tells. */
static uint32_t first_of(struct replay *r, const struct gtask *g, int clock)
{
	const struct goroutine_kin *kin = kin_of(r, g);
	uint32_t process = process_of(r, g->tgid), first = UINT32_MAX, chosen = 0;

	for (uint32_t i = 1; i < r->rec->ntasks; i++) {
		uint32_t order = may_be(r, g, i, process, clock);

		if (order == UINT32_MAX)
			continue;
		if (kin && r->rec->tasks[i].goroutine == g->goroutine + kin->delta)
			return i;
		if (!chosen || order < first) {
			first = order;
			chosen = i;
		}
	}
	return chosen;
}

/* Is a part with that number there to be played? */
static bool is_there(const struct replay *r, const struct gtask *g, uint32_t process, uint32_t number, int clock)
{
	for (uint32_t i = 1; i < r->rec->ntasks; i++)
		if (r->rec->tasks[i].goroutine == number && may_be(r, g, i, process, clock) != UINT32_MAX)
			return true;
	return false;
}

void goroutines_align(struct replay *r, const struct gtask *last, int clock)
{
	uint32_t process = process_of(r, last->tgid), chosen = first_of(r, last, clock), number;
	struct goroutine_kin *kin = kin_of(r, last);

	if (!chosen || (kin && is_there(r, last, process, last->goroutine + kin->delta, clock)) || (!kin && r->nkin == sizeof(r->kin) / sizeof(r->kin[0])))
		return;
	/* Those that were made one behind the other have numbers one behind the other, and the last of them begins at once. */
	number = r->rec->tasks[chosen].goroutine;
	while (is_there(r, last, process, number + 1, clock))
		number++;
	kin = kin ? kin : &r->kin[r->nkin++];
	*kin = (struct goroutine_kin){ .tgid = last->tgid, .begins = last->begins, .delta = number - last->goroutine };
}

void goroutine_asks(struct replay *r, struct gtask *g, int clock)
{
	uint32_t chosen = g->goroutine && !g->rec ? first_of(r, g, clock) : 0;

	if (chosen)
		take_part(r, g, NULL, &r->rec->tasks[chosen]);
}

/* ---- calls ------------------------------------------------------------------------- */

struct found {
	struct gtask *player;		/* NULL: nobody yet */
	const struct rec_task *rec;
	const struct rec_call *rc;
	size_t seen;
};

static void consider(const struct question *q, const struct rec_task *rec, struct found *best)
{
	struct found f = { .player = player_of(q->r, rec), .rec = rec };

	if (f.player && (f.player->exited || f.player->tgid != q->c->t->tgid))
		return;
	f.rc = match_look(q, rec, f.player ? f.player->cursor : 0, is_mark, &f.seen);
	if (f.rc && (!best->rc || f.rc->order < best->rc->order))
		*best = f;
}

/* Whose call on the object is next?  Of a socket that nothing leads to yet it may be anybody's. */
static void find_next(const struct question *q, struct found *best)
{
	const struct replay *r = q->r;
	uint32_t process = process_of(r, q->c->t->tgid);

	if (q->l)
		for (size_t i = 0; i < q->l->rec->ntallies; i++) {
			uint32_t id = q->l->rec->tallies[i].task;

			if (is_part(r, id, process))
				consider(q, &r->rec->tasks[id], best);
		}
	else
		for (uint32_t i = 1; i < r->rec->ntasks; i++)
			if (is_part(r, i, process))
				consider(q, &r->rec->tasks[i], best);
}

/* The calls of @g's part up to @rc are behind it. */
static void pass(struct replay *r, struct gtask *g, const struct rec_call *rc, size_t seen)
{
	while (task_call(g->rec, g->cursor) != rc)
		g->cursor++;
	g->cursor++;
	r->v->unused += seen;
}

/* A goroutine that makes a call of another's part, and keeps its own. */
static void borrow(struct replay *r, struct found *f, pid_t tgid)
{
	if (!f->player && (f->player = add(r, tgid, UINT32_MAX)))
		give_part(r, f->player, f->rec);
	if (!f->player)
		return;
	pass(r, f->player, f->rc, f->seen);
	if (!f->player->carrier)
		match_clocks(r, f->player, f->rc);
}

static void note_time(struct replay *r, const struct gtask *g, const struct rec_call *rc)
{
	if (g->carrier)
		streams_at_least(r->streams, g->carrier->slot, CLOCK_MONOTONIC, r->rec->m->monotonic + (int64_t)rc->time);
}

const struct rec_call *goroutine_match(struct replay *r, struct call *c, const struct live *l, const struct socket_kind *kind)
{
	struct question q = { r, c, l, kind };
	struct found own = { .player = c->t, .rec = c->t->rec }, next = { 0 };
	int fate = sc_table[c->nr].fate;
	bool outside = (l && !is_anytime(l->rec)) || (!l && kind && kind->family);

	/* What the start of a program asks for that ran already is in no record, whoever did the like later. */
	if (attached_is_lost(r) && c->nr == SYS_connect)
		return NULL;
	own.rc = match_look(&q, own.rec, c->t->cursor, is_mark, &own.seen);
	if (outside && (!own.rc || fate == SC_READ || !c->t->sure))
		find_next(&q, &next);
	if (next.rc && next.rec != own.rec && (!own.rc || next.rc->order < own.rc->order)) {
		if (c->t->sure || (next.player && next.player->sure && next.player->carrier)) {
			borrow(r, &next, c->t->tgid);
			r->v->matched++;
			c->matched = true;
			note_time(r, c->t, next.rc);
			return next.rc;
		}
		take_part(r, c->t, next.player, next.rec);
		own = (struct found){ .rec = c->t->rec, .rc = next.rc, .seen = next.seen };
	}
	if (!own.rc)
		own.rc = match_look(&q, c->t->rec, c->t->cursor, outside ? NULL : weighty, &own.seen);
	if (!own.rc)
		return NULL;
	pass(r, c->t, own.rc, own.seen);
	r->v->matched++;
	c->matched = true;
	match_clocks(r, c->t, own.rc);
	if (is_mark(own.rc)) {
		c->t->sure = true;
		note_time(r, c->t, own.rc);
	}
	return own.rc;
}

void goroutine_connect_passed(struct replay *r, uint32_t object)
{
	for (uint32_t i = 1; i < r->rec->ntasks; i++) {
		const struct rec_task *rec = &r->rec->tasks[i];
		struct found f = { .player = rec->goroutine ? player_of(r, rec) : NULL, .rec = rec };
		size_t at = f.player ? f.player->cursor : 0;

		if (!rec->goroutine)
			continue;
		while ((f.rc = task_call(rec, at)) && !is_mark(f.rc))
			at++;
		if (f.rc && f.rc->call->nr == SYS_connect && f.rc->object == object) {
			borrow(r, &f, f.player ? f.player->tgid : 0);
			return;
		}
	}
}

bool goroutine_early(const struct call *c, const struct live *l)
{
	return c->t->goroutine && l->made && !l->direct && l->released <= l->heard && l->heard < l->rec->narrivals;
}

/* ---- its processes and threads ------------------------------------------------------- */

/* Which thread makes a thread, or a process, is chance, too: they are taken as they come. */
const struct rec_task *goroutine_child(const struct replay *r, const struct gtask *t)
{
	uint32_t process = process_of(r, t->tgid);
	const struct rec_task *first = NULL;

	for (size_t i = 1; i < r->rec->ntasks; i++) {
		const struct rec_task *rec = &r->rec->tasks[i];

		if (rec->process != process || rec->goroutine)
			continue;
		for (size_t k = 0; k < rec->nchildren; k++) {
			const struct rec_task *child = &r->rec->tasks[rec->children[k]];

			if (!r->born[child->id] && child->thread == t->makes_thread && (!first || child->born_order < first->born_order))
				first = child;
		}
	}
	return first;
}

void goroutines_end(struct replay *r, pid_t tgid)
{
	for (struct gtask *g = r->goroutines; g; g = g->next)
		g->exited |= g->tgid == tgid;
}

/* ---- what comes in ---------------------------------------------------------------------- */

/* The process that gets the next signal, and when. */
static struct gtask *first_signalled(const struct replay *r, size_t *at, uint32_t *order)
{
	struct gtask *first = NULL;

	*order = UINT32_MAX;
	for (struct gtask *t = r->tasks; t; t = t->next) {
		const struct rec_call *rc;
		size_t i = t->cursor;

		if (!t->number_at || !t->rec || t->exited)
			continue;
		while ((rc = task_call(t->rec, i)) && !rc->signal)
			i++;
		if (rc && rc->order < *order) {
			*order = rc->order;
			*at = i;
			first = t;
		}
	}
	return first;
}

void goroutines_look(struct replay *r)
{
	uint32_t word, signal;
	struct gtask *t;
	struct live *l;
	size_t at = 0;

	if (!r->rec->goroutines)
		return;
	l = peers_first(r, &word);
	if (l && r->rec->attached && l->rec->listens && !l->bound)
		return;		/* its start has not come so far */
	t = first_signalled(r, &at, &signal);
	if ((!l && !t) || !marks_are_made(r, word < signal ? word : signal) || call_waits(r) || !tasks_asleep(r) ||
	    call_waits(r))
		return;
	if (word < signal && l->released == l->heard) {
		peer_release(r, l, l->wanted + 1);
		r->last_activity = now_ns();
	} else if (signal < word) {
		t->cursor = at;
		signals_due(r, t);
		t->cursor++;
		r->last_activity = now_ns();
	}
}

void goroutines_free(struct replay *r)
{
	while (r->goroutines)
		drop(r, r->goroutines);
}
