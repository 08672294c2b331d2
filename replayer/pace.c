/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sleeps and timeouts among other threads.  Time is virtual, but what they
 * slept through has to happen first: a thread that slept a second while
 * another printed does not come back before it has printed.  So such a call is
 * answered when all others have done what was recorded before its end, at once
 * where they have; when everybody sleeps, the one that ended first; and never
 * later than in real time.
 */
#include <linux/types.h>

#include "replayer/replay.h"

#include <stdlib.h>

#define QUIET_NS 2000000ull	/* nothing asked for so long: time to look whether all are asleep */

struct paced {
	struct paced *next;
	struct seccomp_notif n;
	struct gtask *t;
	int64_t ret;
	uint32_t order;		/* of its recorded end; UINT32_MAX: it is not in the record */
	uint64_t since, deadline, slept;
};

bool pace(struct replay *r, struct call *c, const struct rec_call *rc, uint64_t ns)
{
	struct paced *p;

	if (rc && all_are_past(r, rc->order))
		return false;
	p = calloc(1, sizeof(*p));
	if (!p)
		return false;
	*p = (struct paced){
		.n = *c->n, .t = c->t, .ret = c->ret, .order = rc ? rc->order : UINT32_MAX,
		.since = now_ns(), .deadline = now_ns() + ns, .slept = rc ? 0 : ns, .next = r->paced,
	};
	/* One that keeps watch by sleeping over and over is no sign of life. */
	if (!rc)
		r->last_activity = r->activity_before;
	r->paced = p;
	c->t->kept = true;
	c->answered = true;
	return true;
}

static void wake(struct replay *r, struct paced **at)
{
	struct paced *p = *at;
	struct call c = { .n = &p->n, .t = p->t, .ret = p->ret };

	*at = p->next;
	p->t->kept = false;
	if (p->slept)
		streams_skip(r->streams, (int64_t)p->slept);
	call_respond(r, &c);
	free(p);
}

static bool is_first(const struct paced *a, const struct paced *b)
{
	return a->order != b->order ? a->order < b->order : a->deadline < b->deadline;
}

/* For a sleep that is not in the record the clock is moved on only if nothing that is in it is still to come. */
static bool may_end(struct replay *r, const struct paced *p, uint64_t now)
{
	if (now - r->last_activity < QUIET_NS || now - p->since < QUIET_NS)
		return false;
	if (p->slept && (r->parked || r->early || r->kept))
		return false;
	return tasks_asleep(r) && !call_waits(r);
}

void pace_look(struct replay *r)
{
	uint64_t now = r->paced ? now_ns() : 0;
	struct paced **first = &r->paced;
	bool woke = false;

	for (struct paced **at = &r->paced; *at;) {
		struct paced *p = *at;

		if (p->t->exited || now >= p->deadline || (p->order != UINT32_MAX && all_are_past(r, p->order))) {
			wake(r, at);
			woke = true;
		} else {
			at = &p->next;
		}
	}
	if (woke || !r->paced)
		return;
	for (struct paced **at = &r->paced; *at; at = &(*at)->next)
		if (is_first(*at, *first))
			first = at;
	if (!may_end(r, *first, now))
		return;
	if (!(*first)->slept)
		r->last_activity = now;
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
