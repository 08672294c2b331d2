/* SPDX-License-Identifier: Apache-2.0 */
#include <linux/types.h>

#include "watch/target.h"

#include "format/sysdesc.h"
#include "recorder/container.h"
#include "recorder/map.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>

enum { SNAPSHOT_LIMIT = 16 << 20 };

/* ---- moments --------------------------------------------------------------------- */

/* No policy's storm keeps another's single failure out. */
static bool has_place(const struct target *t, const struct policy *p)
{
	size_t mine = 0;

	for (size_t i = 0; i < t->nwaiting; i++)
		mine += t->waiting[i].policy == p;
	return t->nwaiting < TARGET_WAITING && mine < TARGET_WAITING / t->npolicies;
}

static void want(struct target *t, const struct policy *p, const struct moment *m, const char *why)
{
	struct wanted *w;

	if (!has_place(t, p)) {
		t->overflowed++;
		return;
	}
	w = &t->waiting[t->nwaiting++];
	*w = (struct wanted){ .policy = p, .why = why };
	w->is_request = m->kind == MOMENT_REQUEST;
	if (w->is_request)
		w->request = *m->request;
	w->gone = strcmp(why, "all gone") == 0;
	w->status = m->status;
}

static bool is_for(const struct policy *p, const struct request *r)
{
	for (size_t i = 0; i < p->select.nports; i++)
		if (p->select.ports[i] == r->port)
			return true;
	return !p->select.nports;
}

/* So many good ones in each period. */
static bool is_sample(struct target *t, size_t i, uint64_t now)
{
	const struct policy *p = t->policies[i].policy;

	if (!p->healthy.count)
		return false;
	if (!t->policies[i].period || now - t->policies[i].period >= p->healthy.period) {
		t->policies[i].period = now;
		t->policies[i].samples = 0;
	}
	return t->policies[i].samples++ < p->healthy.count;
}

static void on_moment(struct target *t, const struct moment *m, const char *why)
{
	for (size_t i = 0; i < t->npolicies; i++) {
		const struct policy *p = t->policies[i].policy;

		if (m->kind == MOMENT_REQUEST && (p->scope != SCOPE_REQUEST || !is_for(p, m->request)))
			continue;
		if (conditions_hold(t->policies[i].conditions, m))
			want(t, p, m, why);
		else if (m->kind == MOMENT_REQUEST && is_sample(t, i, m->time))
			want(t, p, m, "healthy");
	}
}

static void on_request(void *ctx, const struct request *r)
{
	struct target *t = ctx;

	on_moment(t, &(struct moment){ .kind = MOMENT_REQUEST, .time = r->ended, .request = r }, "request");
}

static uint32_t process_of(const struct target *t, uint32_t task)
{
	uintptr_t process = (uintptr_t)map_get(t->processes, task, 0);

	return process ? (uint32_t)process : 1;
}

static void on_fork(struct target *t, const struct event *e)
{
	uint32_t process = e->fork.thread ? process_of(t, e->task) : e->fork.child;

	if (process != 1)
		map_put(t->processes, e->fork.child, 0, (void *)(uintptr_t)process);
}

/* Of the selected process; of policies for trees, of every one. The last of its threads tells of it, whichever that is. */
static void on_exit_(struct target *t, const struct event *e)
{
	struct moment m = { .kind = MOMENT_EXIT, .time = e->time, .status = e->exit.status };
	bool first = process_of(t, e->task) == 1;

	map_take(t->processes, e->task, 0);
	if (!e->exit.group)
		return;
	m.oom = e->exit.oom && WIFSIGNALED(e->exit.status) && WTERMSIG(e->exit.status) == SIGKILL;
	for (size_t i = 0; i < t->npolicies; i++) {
		const struct policy *p = t->policies[i].policy;

		if ((first || p->scope == SCOPE_TREE) && conditions_hold(t->policies[i].conditions, &m))
			want(t, p, &m, first ? "all gone" : "exit");
	}
}

static void on_call(struct target *t, const struct event *e)
{
	for (size_t i = 0; i < t->npolicies; i++) {
		struct moment m = { .kind = MOMENT_CALL, .time = e->time };

		if (conditions_event(t->policies[i].conditions, e) && conditions_hold(t->policies[i].conditions, &m))
			want(t, t->policies[i].policy, &m, "call");
	}
}

static void on_event(void *ctx, const struct event *e)
{
	struct target *t = ctx;
	uint64_t number = history_next(t->history);

	history_add(t->history, e);
	requests_event(t->requests, e, number);
	openings_event(t->openings, e, t->requests);
	switch (e->kind) {
	case EV_CALL:
		if (conditions_may_fail(e))
			on_call(t, e);
		break;
	case EV_FORK:
		on_fork(t, e);
		break;
	case EV_EXIT:
		on_exit_(t, e);
		break;
	}
}

void target_trigger(struct target *t, const struct policy *p)
{
	struct moment m = { .kind = MOMENT_TRIGGER };

	for (size_t i = 0; i < t->npolicies; i++)
		if (t->policies[i].policy == p && conditions_hold(t->policies[i].conditions, &m))
			want(t, p, &m, "trigger");
}

/* ---- policies ---------------------------------------------------------------------- */

bool target_has(const struct target *t, const struct policy *p)
{
	for (size_t i = 0; i < t->npolicies; i++)
		if (t->policies[i].policy == p)
			return true;
	return false;
}

int target_add_policy(struct target *t, const struct policy *p, struct err *err)
{
	struct conditions *cs;

	if (t->npolicies == TARGET_POLICIES)
		return err_set(err, E2BIG, "more than %d policies mean process %d", TARGET_POLICIES, (int)t->root);
	cs = conditions_new(&p->when);
	if (!cs)
		return err_set(err, ENOMEM, "out of memory");
	t->policies[t->npolicies].policy = p;
	t->policies[t->npolicies].period = t->policies[t->npolicies].samples = 0;
	t->policies[t->npolicies++].conditions = cs;
	return 0;
}

void target_drop_policies(struct target *t)
{
	for (size_t i = 0; i < t->npolicies; i++)
		conditions_free(t->policies[i].conditions);
	t->npolicies = 0;
	t->nwaiting = 0;
}

static enum armed_level level_at(const struct target *t, int64_t now)
{
	for (size_t i = 0; i < t->npolicies; i++) {
		const struct policy *p = t->policies[i].policy;

		if (p->capture.level == LEVEL_PAYLOAD && now - t->armed_at < (int64_t)p->capture.ttl)
			return ARMED_PAYLOAD;
	}
	return ARMED_METADATA;
}

void target_adjust(struct target *t, struct armed *a, int64_t now)
{
	uint64_t bytes = 0, ns = 0;

	for (size_t i = 0; i < t->npolicies; i++) {
		const struct policy *p = t->policies[i].policy;

		bytes = p->history.bytes > bytes ? p->history.bytes : bytes;
		ns = p->history.time > ns ? p->history.time : ns;
	}
	history_limit(t->history, bytes, ns);
	t->level = level_at(t, now);
	if (t->level == ARMED_METADATA)
		t->metadata_until = now;
	armed_set_level(a, t->scope, t->level);
}

/* ---- sweeping ------------------------------------------------------------------------ */

static bool is_used(void *ctx, uint32_t object)
{
	return map_get(((void **)ctx)[0], object, 0);
}

static bool is_used_or_open(void *ctx, uint32_t object)
{
	return is_used(ctx, object) || armed_has_object(((void **)ctx)[1], object);
}

void target_sweep(struct target *t, struct armed *a)
{
	struct map used = { 0 };

	if (history_objects(t->history, &used) == 0) {
		armed_sweep(a, t->scope, is_used, (void *[]){ &used, t->scope });
		history_sweep(t->history, is_used_or_open, (void *[]){ &used, t->scope });
		requests_sweep(t->requests, is_used_or_open, (void *[]){ &used, t->scope });
	}
	map_clear(&used);
}

/* ---- beginning and end ------------------------------------------------------------------ */

static int64_t boottime(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_BOOTTIME, &ts);
	return ts.tv_sec * 1000000000ll + ts.tv_nsec;
}

static int arm(struct target *t, struct armed *a, const struct found_container *c, const char *what, const struct policy *p, struct err *err)
{
	struct armed_what w = { .root = t->root, .container = c, .what = what, .snapshot_limit = SNAPSHOT_LIMIT, .causal = t->causal,
				.event = on_event, .ctx = t };

	t->requests = requests_new(on_request, t);
	t->openings = openings_new();
	t->processes = calloc(1, sizeof(*t->processes));
	t->cgroup = c ? strdup(c->cgroup) : NULL;
	if (!t->requests || !t->openings || !t->processes || (c && !t->cgroup))
		return err_set(err, ENOMEM, "out of memory");
	if (history_new(&t->history, p->history.bytes, p->history.time, err) < 0 || target_add_policy(t, p, err) < 0)
		return -err->code;
	t->armed_at = boottime();
	w.level = t->level = level_at(t, t->armed_at);
	t->metadata_until = t->level == ARMED_METADATA ? t->armed_at : 0;
	t->lost_before = armed_lost(a);
	return armed_add(a, &t->scope, &w, err);
}

int target_arm(struct target **ret, struct armed *a, pid_t root, const struct found_container *c, const char *what, const struct policy *p,
	       bool causal, struct err *err)
{
	struct target *t = calloc(1, sizeof(*t));

	if (!t)
		return err_set(err, ENOMEM, "out of memory");
	t->root = root;
	t->causal = causal;
	if (arm(t, a, c, what, p, err) < 0) {
		target_free(t, a);
		return -err->code;
	}
	*ret = t;
	return 0;
}

void target_free(struct target *t, struct armed *a)
{
	if (!t)
		return;
	if (t->scope)
		armed_remove(a, t->scope);
	target_drop_policies(t);
	requests_free(t->requests);
	openings_free(t->openings);
	if (t->processes)
		map_clear(t->processes);
	free(t->processes);
	free(t->cgroup);
	history_free(t->history);
	free(t);
}
