/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When sleeps, timeouts and waits with a time limit end.  Time is virtual, but
 * what they slept through has to happen first: a thread that slept a second
 * while another printed does not come back before it has printed.  So what is
 * in the record ends when all others have done what was recorded before its
 * end, at once where they have; when everybody sleeps, the one that ended
 * first; and never later than in real time.  Others that were in the middle of
 * computing then are so again: they get as long as they had had by then.
 *
 * What is not in the record ends when everybody sleeps, or in real time; then
 * the clocks are moved on to its end.  Its end is a time on a clock that only
 * such ends move (streams_skipped()), so of two sleeps side by side the shorter
 * one ends first, however often it is made anew.
 */
#include <linux/types.h>

#include "replayer/replay.h"

#include "replayer/timed.h"
#include "replayer/timers.h"

#include <stdlib.h>

#define QUIET_NS 2000000ull	/* nothing asked for so long: time to look whether all are asleep */
#define OTHERS_NS 20000000ull
#define SLACK_NS 500000000ull	/* with --speed real, for others that are slower than they were */
#define PATIENCE_NS 50000000ull	/* the same for a wait that was recorded to be woken */

enum paced_kind {
	PACED_CALL,	/* a notification that is not answered yet */
	PACED_STOP,	/* stopped before a wait that was recorded to time out */
	PACED_WAIT,	/* in the kernel, waiting without its limit, or until that comes in real time */
};

struct paced {
	struct paced *next;
	enum paced_kind kind;
	struct seccomp_notif n;		/* PACED_CALL */
	struct gtask *t;
	int64_t ret;
	uint32_t order;			/* of its recorded end; UINT32_MAX: not known, nobody waits for it */
	bool recorded;
	uint64_t time;			/* of its recorded end, since the recording began */
	uint64_t since, deadline;	/* real time */
	int64_t until;			/* of streams_skipped() */
};

static struct paced *add(struct replay *r, struct gtask *t, enum paced_kind kind, uint64_t ns)
{
	struct paced *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	*p = (struct paced){ .kind = kind, .t = t, .order = UINT32_MAX, .since = now_ns(), .next = r->paced };
	p->deadline = ns > UINT64_MAX - p->since ? UINT64_MAX : p->since + ns;
	if (__builtin_add_overflow(streams_skipped(r->streams), ns, &p->until))
		p->until = INT64_MAX;
	r->paced = p;
	task_kept(t, kind != PACED_WAIT);
	return p;
}

bool waits_are_past(struct replay *r, const struct gtask *self, uint32_t order)
{
	for (struct gtask *t = r->tasks; t; t = t->next) {
		const struct rec_wait *w = t != self && !t->exited ? timed_next(r, t) : NULL;

		if (w && w->order < order)
			return false;
	}
	return true;
}

/* Have those who compute had as long for it as they had when recorded, by @time? */
static bool had_their_time(const struct replay *r, const struct gtask *self, uint64_t time)
{
	for (const struct gtask *t = r->tasks; t; t = t->next) {
		const struct rec_call *before = t->rec && t->cursor ? task_call(t->rec, t->cursor - 1) : NULL;

		if (t == self || t->exited || t->kept || !before || before->time >= time)
			continue;
		if (now_ns() - t->moved < time - before->time && !task_sleeps(t))
			return false;
	}
	return true;
}

/* With --speed real, as long after the program's begin as it did. */
static void end_as(const struct replay *r, struct paced *p, uint32_t order, uint64_t time)
{
	p->recorded = true;
	p->order = order;
	p->time = time;
	if (r->opts->real_speed)
		p->deadline = r->set_off + time;
}

bool pace_is_time(const struct replay *r, uint64_t time)
{
	return now_ns() >= r->set_off + time;
}

bool pace(struct replay *r, struct call *c, const struct rec_call *rc, uint64_t ns)
{
	struct paced *p;

	if (rc && !r->opts->real_speed && all_are_past(r, rc->order) && waits_are_past(r, c->t, rc->order) &&
	    !signals_wait(r, rc->order) && had_their_time(r, c->t, rc->time))
		return false;
	p = add(r, c->t, PACED_CALL, ns);
	if (!p)
		return false;
	p->n = *c->n;
	p->ret = c->ret;
	if (rc)
		end_as(r, p, rc->order, rc->time);
	else	/* One that keeps watch by sleeping over and over is no sign of life. */
		r->last_activity = r->activity_before;
	c->answered = true;
	return true;
}

bool pace_stop(struct replay *r, struct gtask *t, const struct rec_wait *w, uint64_t ns)
{
	struct paced *p;

	if (!r->opts->real_speed && others_are_past(r, t, w->order) && waits_are_past(r, t, w->order) &&
	    !signals_wait(r, w->order) && had_their_time(r, t, w->time))
		return false;
	p = add(r, t, PACED_STOP, ns);
	if (!p)
		return false;
	end_as(r, p, w->order, w->time);
	return true;
}

void pace_wait(struct replay *r, struct gtask *t, bool recorded, uint64_t ns)
{
	struct paced *p = add(r, t, PACED_WAIT, ns);

	if (p)
		p->recorded = recorded;
}

void pace_forget(struct replay *r, const struct gtask *t)
{
	for (struct paced **at = &r->paced; *at;) {
		struct paced *p = *at;

		if (p->t != t || p->kind != PACED_WAIT) {
			at = &p->next;
			continue;
		}
		*at = p->next;
		free(p);
	}
}

bool pace_owes(const struct replay *r, uint64_t before)
{
	for (const struct paced *p = r->paced; p; p = p->next)
		if (p->since < before)
			return true;
	return false;
}

/* Clocks past their end have got to @p's. */
static void move_clocks(struct replay *r, const struct paced *p)
{
	int64_t now = streams_skipped(r->streams);

	if (!p->recorded && now < p->until)
		streams_skip(r->streams, p->until - now);
}

static void wake(struct replay *r, struct paced **at)
{
	struct paced *p = *at;
	struct call c = { .n = &p->n, .t = p->t, .ret = p->ret };

	*at = p->next;
	if (p->kind != PACED_WAIT) {
		task_kept(p->t, false);
		move_clocks(r, p);
	}
	if (p->kind == PACED_CALL)
		call_respond(r, &c);
	else if (p->kind == PACED_STOP)
		timed_out(r, p->t);
	else if (timed_cut_off(p->t))
		move_clocks(r, p);
	free(p);
}

static bool is_first(const struct paced *a, const struct paced *b)
{
	return a->order != b->order ? a->order < b->order : a->until < b->until;
}

/* Who waits for something that is not in the record may be told of it out of turn first, see when_quiet(). */
static uint64_t patience_with_all(const struct replay *r)
{
	for (const struct gtask *t = r->tasks; t; t = t->next)
		if (!t->exited && t->blocked && !t->matched)
			return peers_owe(r) && !r->rec->goroutines ? OTHERS_NS : QUIET_NS;
	return QUIET_NS;
}

static uint64_t patience_with(const struct replay *r, const struct paced *p)
{
	if (!p->recorded)
		return patience_with_all(r);
	return p->kind == PACED_WAIT ? PATIENCE_NS : QUIET_NS;
}

/* For a sleep that is not in the record the clock is moved on only if nothing that is in it is still to come. */
static bool may_end(struct replay *r, const struct paced *p, uint64_t now)
{
	uint64_t patience = patience_with(r, p);

	if (now - r->last_activity < patience || now - p->since < patience)
		return false;
	if ((!p->recorded || p->kind == PACED_WAIT) && (r->parked || r->early || r->kept))
		return false;
	return tasks_asleep(r);
}

/* Have the others done what was recorded before its end? */
static bool is_past(struct replay *r, const struct paced *p)
{
	if (p->order == UINT32_MAX || signals_wait(r, p->order) || !waits_are_past(r, p->t, p->order))
		return false;
	return (p->kind == PACED_CALL ? all_are_past(r, p->order) : others_are_past(r, p->t, p->order)) &&
	       had_their_time(r, p->t, p->time);
}

static bool is_over(struct replay *r, const struct paced *p, uint64_t now)
{
	bool late = now >= p->deadline;

	if (p->t->exited || (p->kind == PACED_STOP && timed_is_woken(p->t)))
		return true;
	if (p->kind == PACED_WAIT)
		return late && (!p->recorded || (r->opts->real_speed && tasks_asleep(r)));
	if (r->opts->real_speed && p->recorded)
		return late && (is_past(r, p) || now - p->deadline > SLACK_NS);
	return late || is_past(r, p);
}

/* Timers that come before @until strike first. */
static bool timers_end(struct replay *r, int64_t until)
{
	uint64_t quiet = now_ns() - r->last_activity;

	if (!r->timers || quiet < QUIET_NS || r->parked || r->early || r->kept || !tasks_asleep(r))
		return false;
	return timers_expire(r, quiet, patience_with_all(r), until);
}

void pace_look(struct replay *r)
{
	uint64_t now = r->paced ? now_ns() : 0;
	struct paced **first = &r->paced;
	bool woke = false;

	for (struct paced **at = &r->paced; *at;) {
		if (is_over(r, *at, now)) {
			wake(r, at);
			woke = true;
		} else {
			at = &(*at)->next;
		}
	}
	if (woke || (!r->paced && !r->timers) || r->opts->real_speed)
		return;
	if (!r->paced) {
		timers_end(r, INT64_MAX);
		return;
	}
	for (struct paced **at = &r->paced; *at; at = &(*at)->next)
		if (is_first(*at, *first))
			first = at;
	if ((*first)->order == UINT32_MAX && timers_end(r, (*first)->until))
		return;
	if (!may_end(r, *first, now) || (signals_wait(r, (*first)->order) && signals_next(r)))
		return;
	if ((*first)->recorded)
		r->last_activity = now;
	/* Nobody is going to make the waits that were recorded before this one. */
	if ((*first)->order != UINT32_MAX)
		timed_pass(r, (*first)->order);
	wake(r, first);
}

void pace_free(struct replay *r)
{
	while (r->paced) {
		struct paced *next = r->paced->next;

		free(r->paced);
		r->paced = next;
	}
}
