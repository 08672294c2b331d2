/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The recording is read on as the replay goes, and what the guest is done with
 * is let go: the calls that its tasks have made, what they took and gave.
 */
#include <linux/types.h>

#include "replayer/replay.h"

#include "format/cli.h"
#include "format/sysdesc.h"

#include <sys/syscall.h>
#include <time.h>

enum {
	LOOK_EVERY = 32,	/* calls */
	AT_ONCE = 1024,		/* events */
	BEHIND = 4,		/* calls of a task that stay when it has made them: others look at what it did last */
	WAITS = 4096,		/* recorded waits that may be behind what the guest has done: more are those that it did not make */
};

/* ---- what is read ---------------------------------------------------------------- */

static void hear_clock(void *ctx, const struct rec_clock *k)
{
	struct replay *r = ctx;
	struct err err = ERR_INIT;

	if (streams_add(r->streams, k->task, (uint32_t)k->clock, k->ns, k->order, &err) < 0)
		miss(r, "clock %d: %s", k->clock, err.text);
}

static void hear_call(void *ctx, const struct rec_task *t, const struct rec_call *rc)
{
	struct replay *r = ctx;

	if (is_mark(rc))
		streams_mark(r->streams, t->id, rc->order);
}

static void count_held(struct replay *r)
{
	uint64_t held = streams_held(r->streams);

	recording_held(r->rec, (int64_t)(held - r->held));
	r->held = held;
}

int ahead_begin(struct replay *r, struct err *err)
{
	const struct recording_ears ears = { .ctx = r, .clock = hear_clock, .call = hear_call };

	for (size_t i = 1; i < r->rec->ntasks; i++)
		for (size_t k = 0; k < r->rec->tasks[i].nclocks; k++) {
			const struct rec_clocks *c = &r->rec->tasks[i].clocks[k];

			if (streams_expect(r->streams, (uint32_t)i, (uint32_t)c->clock, c->count, err) < 0)
				return -err->code;
		}
	recording_begin(r->rec, r->opts->window, &ears);
	count_held(r);
	return 0;
}

bool ahead_is_missing(struct replay *r, const struct call *c)
{
	const struct rec_task *rec = c->t->rec;
	const struct rec_call *rc;
	size_t i = c->t->cursor;

	if (recording_ended(r->rec))
		return false;
	if (sc_table[c->nr].fate == SC_CLOCK)
		return streams_wants(r->streams, c->t->slot, call_clock(c));
	/* Signals stand among the calls; the next call is behind them. */
	while (rec && (rc = task_call(rec, i)) && !rc->call)
		i++;
	return rec && i >= rec->calls.end && i < rec->ncalls;
}

static bool read_for(struct replay *r, const struct call *c, bool (*one)(struct recording *))
{
	bool missing = true, more = true;

	while (missing && more) {
		for (int i = 0; i < AT_ONCE && more; i++)
			more = one(r->rec);
		missing = ahead_is_missing(r, c);
		count_held(r);
	}
	return !missing;
}

bool ahead_of(struct replay *r, const struct call *c)
{
	if (!ahead_is_missing(r, c))
		return true;
	if (r->rec->ntasks <= 2) {
		ahead_at_once(r, c);
		return true;
	}
	/* While the others get on, it is for them to do so. */
	if (c->t->asked != r->passed) {
		c->t->asked = r->passed;
		return false;
	}
	return read_for(r, c, recording_near);
}

void ahead_at_once(struct replay *r, const struct call *c)
{
	if (ahead_is_missing(r, c))
		read_for(r, c, recording_more);
}

/* ---- what is let go ----------------------------------------------------------------- */

static void object_passed(struct replay *r, struct live *l, const struct rec_call *rc)
{
	struct rec_object *o = &r->rec->objects[l->id];

	if (rc->arrivals > l->taken)
		l->taken = rc->arrivals;
	recording_pass_arrivals(r->rec, o, l->taken < l->released ? l->taken : l->released);
	recording_pass_out(r->rec, o, l->differs || o->out_unseen ? SIZE_MAX : l->out_part);
}

static void call_passed(struct replay *r, struct rec_task *rec)
{
	const struct rec_call *rc = task_call(rec, rec->calls.first);

	if (rc->order > r->passed)
		r->passed = rc->order;
	if (rc->object)
		object_passed(r, &r->live[rc->object], rc);
	recording_pass_calls(r->rec, rec, rec->calls.first + 1);
}

/* A thread that is gone may leave its part to another of its process. */
static bool is_over(const struct replay *r, const struct gtask *gone)
{
	if (!gone->exited)
		return false;
	for (const struct gtask *t = r->tasks; t; t = t->next)
		if (t->tgid == gone->tgid && !t->exited)
			return false;
	return true;
}

static void waits_passed(const struct replay *r, struct gtask *t, struct rec_task *rec)
{
	const struct rec_wait *w;

	while (rec->waits.end - t->wait_cursor > WAITS && (w = task_wait(rec, t->wait_cursor)) && w->order < r->passed)
		t->wait_cursor++;
	recording_pass_waits(rec, t->wait_cursor > 1 ? t->wait_cursor - 1 : 0);	/* one may be made again */
}

static void task_passed(struct replay *r, struct gtask *t)
{
	struct rec_task *rec = &r->rec->tasks[t->rec->id];
	size_t upto = t->cursor > BEHIND ? t->cursor - BEHIND : 0;

	if (rec->over)
		return;
	rec->over = is_over(r, t);
	if (rec->over)
		upto = rec->calls.end;
	while (rec->calls.first < upto && rec->calls.first < rec->calls.end)
		call_passed(r, rec);
	recording_pass_random(r->rec, rec, t->random_part);
	waits_passed(r, t, rec);
}

void ahead_look(struct replay *r)
{
	if (r->v->calls - r->looked < LOOK_EVERY)
		return;
	r->looked = r->v->calls;
	for (struct gtask *t = r->tasks; t; t = next_player(r, t))
		if (t->rec)
			task_passed(r, t);
	recording_ahead(r->rec, r->passed);
	count_held(r);
}

/* ---- the end ------------------------------------------------------------------------- */

void ahead_end(struct replay *r)
{
	const struct err *e = recording_failed(r->rec);

	if (e) {
		r->v->error = EXIT_CAPSULE;
		r->v->err = *e;
	}
	if (r->rec->starved)
		miss(r, "a task was further ahead of the others than the window on the recording reaches (give it more with --window)");
}
