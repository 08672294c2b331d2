/* SPDX-License-Identifier: Apache-2.0 */
#include "watch/conditions.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

/* When the last failures of a call were, as many as count: a ring. */
struct failures {
	const struct condition *of;
	uint64_t *times;
	uint32_t n, next;
};

struct conditions {
	const struct condition *when;
	struct failures *list;
	size_t n;
};

enum tri { NO, YES, UNKNOWN };

static enum tri tri(bool yes)
{
	return yes ? YES : NO;
}

/* ---- calls that fail -------------------------------------------------------------- */

static size_t count_calls(const struct condition *c)
{
	size_t n = c->kind == WHEN_SYSCALL;

	for (size_t i = 0; i < c->nparts; i++)
		n += count_calls(&c->parts[i]);
	return n;
}

static bool add_calls(struct conditions *cs, const struct condition *c)
{
	if (c->kind == WHEN_SYSCALL) {
		struct failures *f = &cs->list[cs->n++];

		f->of = c;
		f->times = calloc(c->call.count ? c->call.count : 1, sizeof(*f->times));
		if (!f->times)
			return false;
	}
	for (size_t i = 0; i < c->nparts; i++)
		if (!add_calls(cs, &c->parts[i]))
			return false;
	return true;
}

/* SO_ERROR; 0: it does not say of any. */
static int late_error(const struct ev_call *c)
{
	int32_t error = 0;

	if (c->nr != SYS_getsockopt || c->ret < 0 || (int)c->args[1] != SOL_SOCKET || (int)c->args[2] != SO_ERROR)
		return 0;
	for (uint32_t i = 0; i < c->nsegs; i++)
		if (c->segs[i].arg == 3 && c->segs[i].data && c->segs[i].len == sizeof(error))
			memcpy(&error, c->segs[i].data, sizeof(error));
	return error;
}

bool conditions_may_fail(const struct event *e)
{
	return e->kind == EV_CALL && (e->call.ret < 0 || e->call.nr == SYS_getsockopt);
}

static bool is_failure(const struct condition *c, const struct event *e)
{
	if (c->call.nr == SYS_connect && e->kind == EV_CALL && late_error(&e->call))
		return !c->call.error || late_error(&e->call) == c->call.error;
	return e->kind == EV_CALL && e->call.nr == c->call.nr && e->call.ret < 0 && (!c->call.error || e->call.ret == -c->call.error);
}

static bool has_failed(const struct failures *f, uint64_t now)
{
	uint32_t count = f->of->call.count ? f->of->call.count : 1;

	return f->n == count && (!f->of->call.within || f->times[f->next] + f->of->call.within >= now);
}

/* Counted anew after each time that it held. */
static bool note(struct failures *f, const struct event *e)
{
	uint32_t count = f->of->call.count ? f->of->call.count : 1;

	if (f->n == count && has_failed(f, e->time))
		f->n = f->next = 0;
	f->times[f->next] = e->time;
	f->next = (f->next + 1) % count;
	f->n += f->n < count;
	return has_failed(f, e->time);
}

bool conditions_event(struct conditions *cs, const struct event *e)
{
	bool moment = false;

	for (size_t i = 0; i < cs->n; i++)
		if (is_failure(cs->list[i].of, e))
			moment |= note(&cs->list[i], e);
	return moment;
}

static enum tri call_holds(const struct conditions *cs, const struct condition *c, uint64_t now)
{
	for (size_t i = 0; i < cs->n; i++)
		if (cs->list[i].of == c)
			return tri(has_failed(&cs->list[i], now));
	return UNKNOWN;
}

/* ---- the tree ------------------------------------------------------------------------ */

static enum tri holds(const struct conditions *cs, const struct condition *c, const struct moment *m);

static enum tri any_holds(const struct conditions *cs, const struct condition *c, const struct moment *m)
{
	enum tri all = NO;

	for (size_t i = 0; i < c->nparts && all != YES; i++) {
		enum tri one = holds(cs, &c->parts[i], m);

		all = one == NO ? all : one;
	}
	return all;
}

static enum tri all_hold(const struct conditions *cs, const struct condition *c, const struct moment *m)
{
	enum tri all = YES;

	for (size_t i = 0; i < c->nparts && all != NO; i++) {
		enum tri one = holds(cs, &c->parts[i], m);

		all = one == YES ? all : one;
	}
	return all;
}

static enum tri request_holds(const struct condition *c, const struct moment *m)
{
	if (m->kind != MOMENT_REQUEST)
		return UNKNOWN;
	if (c->kind == WHEN_LATENCY)
		return tri(policy_compare(c->compare, m->request->ended - m->request->begun, c->number));
	return m->request->http ? tri(policy_compare(c->compare, m->request->status, c->number)) : UNKNOWN;
}

static enum tri exit_holds(const struct condition *c, const struct moment *m)
{
	if (m->kind != MOMENT_EXIT)
		return UNKNOWN;
	if (c->kind == WHEN_OOM)
		return tri(m->oom);
	if (c->kind == WHEN_SIGNAL)
		return tri(WIFSIGNALED(m->status) && (c->signals & 1ull << (WTERMSIG(m->status) - 1)));
	return WIFEXITED(m->status) ? tri(policy_compare(c->compare, (uint64_t)WEXITSTATUS(m->status), c->number)) : UNKNOWN;
}

static enum tri holds(const struct conditions *cs, const struct condition *c, const struct moment *m)
{
	enum tri one;

	switch (c->kind) {
	case WHEN_ANY:
		return any_holds(cs, c, m);
	case WHEN_ALL:
		return all_hold(cs, c, m);
	case WHEN_NOT:
		one = holds(cs, &c->parts[0], m);
		return one == UNKNOWN ? UNKNOWN : tri(one == NO);
	case WHEN_HTTP_STATUS:
	case WHEN_LATENCY:
		return request_holds(c, m);
	case WHEN_SIGNAL:
	case WHEN_EXIT:
	case WHEN_OOM:
		return exit_holds(c, m);
	case WHEN_SYSCALL:
		return call_holds(cs, c, m->time);
	case WHEN_TRIGGER:
		return m->kind == MOMENT_TRIGGER ? YES : UNKNOWN;
	case WHEN_RETRANSMITS:
	case CONDITION_KINDS:
		break;
	}
	return UNKNOWN;
}

bool conditions_hold(const struct conditions *cs, const struct moment *m)
{
	return holds(cs, cs->when, m) == YES;
}

struct conditions *conditions_new(const struct condition *when)
{
	struct conditions *cs = calloc(1, sizeof(*cs));
	size_t n = count_calls(when);

	if (!cs)
		return NULL;
	cs->when = when;
	cs->list = calloc(n ? n : 1, sizeof(*cs->list));
	if (!cs->list || !add_calls(cs, when)) {
		conditions_free(cs);
		return NULL;
	}
	return cs;
}

void conditions_free(struct conditions *cs)
{
	if (!cs)
		return;
	for (size_t i = 0; cs->list && i < cs->n; i++)
		free(cs->list[i].times);
	free(cs->list);
	free(cs);
}
