/* SPDX-License-Identifier: Apache-2.0 */
#include <linux/types.h>

#include "watch/watch.h"

#include "format/cleanup.h"
#include "watch/audit.h"
#include "watch/containers.h"
#include "watch/control.h"
#include "watch/jobs.h"
#include "watch/limits.h"
#include "watch/notify.h"
#include "watch/rights.h"
#include "watch/select.h"
#include "watch/target.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MS 1000000ll
#define SECOND (1000 * MS)
enum { LOOK_EVERY = 50 };	/* ms: at the ring, without being woken, as we are when an eighth of it is full */
#define FIND_EVERY (500 * MS)	/* whom policies mean */
#define ADJUST_EVERY (200 * MS)
#define SWEEP_EVERY (5 * SECOND)
#define EXPIRE_EVERY (60 * SECOND)

struct watch {
	const struct watch_opts *opts;
	struct watch_result *result;
	struct policies *policies;
	struct limits *limits;
	struct armed *armed;
	struct control *control;
	struct audit *audit;
	struct target *targets;
	struct containers *containers;
	struct job jobs[JOBS];
	sigset_t before;	/* the mask that was */
	int signals;
	unsigned int last;	/* number of a capsule */
	int64_t found, adjusted, swept, expired;
	uint64_t told_lost;	/* records */
	bool leave, reload;
	bool waits;		/* a target has something that is to become a capsule */
};

__attribute__((format(printf, 2, 3)))
static void say(struct watch *w, const char *fmt, ...)
{
	char line[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	w->opts->say(w->opts->ctx, line);
}

static void note_fields(struct watch *w, const char *event, const struct audit_field *fields, size_t n)
{
	struct err err = ERR_INIT;

	if (w->audit && audit_add(w->audit, event, fields, n, &err) < 0)
		say(w, "%s", err.text);
}

/* One more line of the log: policy, file and a number that are NULL or 0 are left out. */
static void note(struct watch *w, const char *event, const char *policy, const char *file, const char *key, uint64_t number)
{
	struct audit_field fields[3];
	size_t n = 0;

	if (policy)
		fields[n++] = (struct audit_field){ "policy", policy, 0 };
	if (file)
		fields[n++] = (struct audit_field){ "file", file, 0 };
	if (key)
		fields[n++] = (struct audit_field){ key, NULL, number };
	note_fields(w, event, fields, n);
}

static void note_capture(struct watch *w, const struct job *j, const struct captured *c)
{
	const struct audit_field fields[] = { { "policy", j->policy, 0 }, { "file", j->names.final, 0 }, { "bytes", NULL, c->bytes },
					      { "trace", c->copied.trace, 0 }, { "span", c->copied.span, 0 } };

	note_fields(w, "capture", fields, c->copied.trace[0] ? 5 : 3);
}

static int64_t now_of(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return ts.tv_sec * SECOND + ts.tv_nsec;
}

/* ---- capsules ------------------------------------------------------------------------ */

static struct job *free_job(struct watch *w)
{
	for (int i = 0; i < JOBS; i++)
		if (!w->jobs[i].pid)
			return &w->jobs[i];
	return NULL;
}

static bool is_metadata(const struct target *t, const struct wanted *q)
{
	if (q->is_request)
		return (int64_t)q->request.begun <= t->metadata_until;
	return t->metadata_until && t->metadata_until + (int64_t)q->policy->history.time > now_of(CLOCK_BOOTTIME);
}

static int start_job(struct watch *w, struct job *j, struct target *t, const struct wanted *q, uint64_t bytes, struct err *err)
{
	struct capture c = { .scope = t->scope, .history = t->history, .requests = t->requests, .openings = t->openings, .request = q->is_request ? &q->request : NULL,
			     .ended = q->gone ? "all gone" : q->why, .status = q->status, .metadata = is_metadata(t, q), .max_bytes = bytes, .policy = q->policy,
			     .lost = armed_lost(w->armed) - t->lost_before };
	char limits[64];

	snprintf(limits, sizeof(limits), "%" PRIu64 " bytes", bytes);
	c.limits = limits;
	j->begun = now_of(CLOCK_REALTIME);
	snprintf(j->policy, sizeof(j->policy), "%s", q->policy->name);
	if (store_names(&j->names, q->policy->store, q->policy->name, j->begun, t->root, ++w->last, err) < 0)
		return -err->code;
	j->number = limits_begun(w->limits, q->policy, j->begun, bytes);
	if (j->number < 0)
		return err_set(err, ENOMEM, "out of memory");
	if (job_start(j, &c, err) < 0) {
		limits_ended(w->limits, j->number, 0);
		return -err->code;
	}
	return 0;
}

static void keep(struct watch *w, struct job *j, struct target *t, const struct wanted *q)
{
	struct err err = ERR_INIT;
	const char *why;
	uint64_t bytes = limits_allow(w->limits, q->policy, now_of(CLOCK_REALTIME), &why);

	if (!bytes) {
		w->result->suppressed++;
		return;
	}
	if (start_job(w, j, t, q, bytes, &err) < 0) {
		w->result->failed++;
		say(w, "%s: no capsule: %s", q->policy->name, err.text);
	}
}

/* What has come together at the targets, as far as somebody is free to write it. */
static void keep_all(struct watch *w)
{
	w->waits = false;
	for (struct target *t = w->targets; t; t = t->next) {
		size_t i = 0;

		for (struct job *j; i < t->nwaiting && (j = free_job(w)); i++)
			keep(w, j, t, &t->waiting[i]);
		memmove(t->waiting, t->waiting + i, (t->nwaiting - i) * sizeof(t->waiting[0]));
		t->nwaiting -= i;
		w->result->suppressed += t->overflowed;
		t->overflowed = 0;
		w->waits |= t->nwaiting > 0;
	}
}

static void end_of_job(struct watch *w, struct job *j)
{
	const struct policy *p = policies_find(w->policies, j->policy);
	struct job_result r;
	struct err err = ERR_INIT;

	job_end(j, &r);
	limits_ended(w->limits, j->number, r.err.code ? 0 : r.captured.bytes);
	if (r.err.code) {
		w->result->failed++;
		say(w, "%s: no capsule: %s", j->policy, r.err.text);
		note(w, "failed", j->policy, j->names.final, NULL, 0);
		return;
	}
	w->result->capsules++;
	note_capture(w, j, &r.captured);
	say(w, "%s: %s: %" PRIu64 " bytes, %" PRIu64 " events, %" PRIu64 " hole%s%s%s", j->policy, j->names.final, r.captured.bytes, r.captured.events,
	    r.captured.holes, r.captured.holes == 1 ? "" : "s", r.captured.signature[0] ? ", " : "", r.captured.signature);
	if (p && p->notify && notify_run(p->notify, p->name, j->names.final, &err) < 0)
		say(w, "%s: %s", p->name, err.text);
}

static void reap(struct watch *w)
{
	pid_t pid;

	/* One by one: the guard's end is for others to wait for. */
	for (int i = 0; i < JOBS; i++)
		if (w->jobs[i].pid && (pid = waitpid(w->jobs[i].pid, NULL, WNOHANG)) == w->jobs[i].pid)
			end_of_job(w, &w->jobs[i]);
	notify_reap();
}

static void wait_for_jobs(struct watch *w)
{
	for (int i = 0; i < JOBS; i++)
		if (w->jobs[i].pid) {
			while (waitpid(w->jobs[i].pid, NULL, 0) < 0 && errno == EINTR)
				;
			end_of_job(w, &w->jobs[i]);
		}
}

/* ---- whom policies mean ------------------------------------------------------------------ */

struct candidates {
	pid_t *pids;
	const struct policy **policies;
	size_t n, room;
};

static void candidates_free(struct candidates *cs)
{
	free(cs->pids);
	free(cs->policies);
}

static bool add_candidate(struct candidates *cs, pid_t pid, const struct policy *p)
{
	if (cs->n == cs->room) {
		size_t room = cs->room ? 2 * cs->room : 16;
		pid_t *pids = reallocarray(cs->pids, room, sizeof(*pids));
		const struct policy **policies;

		if (!pids)
			return false;
		cs->pids = pids;
		policies = reallocarray(cs->policies, room, sizeof(*policies));
		if (!policies)
			return false;
		cs->policies = policies;
		cs->room = room;
	}
	cs->pids[cs->n] = pid;
	cs->policies[cs->n++] = p;
	return true;
}

static bool is_candidate(const struct candidates *cs, pid_t pid)
{
	for (size_t i = 0; i < cs->n; i++)
		if (cs->pids[i] == pid)
			return true;
	return false;
}

static pid_t parent_of(pid_t pid)
{
	char path[64], text[512], *at;
	int parent = 0;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	_cleanup_file_ FILE *f = fopen(path, "re");
	if (!f || !fgets(text, sizeof(text), f) || !(at = strrchr(text, ')')) || sscanf(at + 1, " %*c %d", &parent) != 1)
		return 0;
	return parent;
}

/* It comes along with one that it descends from. */
static bool has_ancestor(const struct candidates *cs, pid_t pid)
{
	int depth = 0;

	for (pid_t p = parent_of(pid); p > 1 && depth++ < 64; p = parent_of(p))
		if (is_candidate(cs, p))
			return true;
	return false;
}

static bool is_ours(pid_t pid)
{
	return pid == getpid() || parent_of(pid) == getpid();
}

static struct target *target_of(const struct watch *w, pid_t pid)
{
	struct armed_scope *s = armed_scope_of(w->armed, pid);

	for (struct target *t = w->targets; s && t; t = t->next)
		if (t->scope == s)
			return t;
	return NULL;
}

static void find_candidates(struct watch *w, struct surroundings *s, struct candidates *cs)
{
	struct dirent *d;

	_cleanup_dir_ DIR *dir = opendir("/proc");
	while (dir && (d = readdir(dir))) {
		pid_t pid = d->d_name[0] >= '1' && d->d_name[0] <= '9' ? atoi(d->d_name) : 0;

		for (size_t i = 0; pid && i < w->policies->n; i++) {
			struct target *t = target_of(w, pid);

			if (!(t && target_has(t, &w->policies->list[i])) && select_matches(&w->policies->list[i], pid, s) && !is_ours(pid))
				add_candidate(cs, pid, &w->policies->list[i]);
		}
	}
}

/* A capsule without payload is replayed by nobody: for it no clock reading is made a system call. */
static bool needs_clocks(const struct policy *p)
{
	return p->clocks == CLOCKS_EXACT && p->capture.level == LEVEL_PAYLOAD;
}

static bool wants_clocks(const struct candidates *cs, pid_t pid)
{
	for (size_t i = 0; i < cs->n; i++)
		if (cs->pids[i] == pid && needs_clocks(cs->policies[i]))
			return true;
	return false;
}

/* Another process of a container that is watched already. */
static bool came_into(struct watch *w, const struct found_container *c, const struct policy *p)
{
	struct err err = ERR_INIT;

	for (struct target *t = w->targets; c && t; t = t->next)
		if (t->cgroup && t->root == c->pid) {
			armed_look_into(w->armed, t->scope);
			if (!target_has(t, p) && target_add_policy(t, p, &err) < 0)
				say(w, "%s: %s", p->name, err.text);
			return true;
		}
	return false;
}

static void arm(struct watch *w, pid_t pid, const struct policy *p, const struct candidates *cs, struct surroundings *s)
{
	const struct found_container *c = select_container(p, pid, s);
	struct err err = ERR_INIT;
	struct target *t;
	char what[300];

	if (came_into(w, c, p))
		return;
	if (c)
		snprintf(what, sizeof(what), "container %s", c->name);
	else
		snprintf(what, sizeof(what), "pid %d", (int)pid);
	if (target_arm(&t, w->armed, c ? c->pid : pid, c, what, p, !wants_clocks(cs, pid), &err) < 0) {
		if (err.code != ESRCH)
			say(w, "%s: %s is not watched: %s", p->name, what, err.text);
		return;
	}
	t->next = w->targets;
	w->targets = t;
	say(w, "%s: watching %s", p->name, what);
}

static void drop(struct watch *w, struct target *t)
{
	struct target **at = &w->targets;

	while (*at != t)
		at = &(*at)->next;
	*at = t->next;
	target_free(t, w->armed);
}

static void find(struct watch *w)
{
	_cleanup_(candidates_free) struct candidates cs = { 0 };
	struct surroundings *s = surroundings_look(w->containers);
	struct err err = ERR_INIT;

	if (!s)
		return;
	for (struct target *t = w->targets; t; t = t->next)
		for (size_t i = 0; i < t->npolicies; i++)
			surroundings_known(s, t->policies[i].policy, t->root);
	find_candidates(w, s, &cs);
	for (size_t i = 0; i < cs.n; i++) {
		struct target *t = target_of(w, cs.pids[i]);

		if (t && t->causal && !t->nwaiting && needs_clocks(cs.policies[i])) {
			say(w, "%s: process %d is watched anew, with its clocks", cs.policies[i]->name, (int)t->root);
			drop(w, t);
		} else if (t && !target_has(t, cs.policies[i])) {
			if (target_add_policy(t, cs.policies[i], &err) < 0)
				say(w, "%s: %s", cs.policies[i]->name, err.text);
		} else if (!t && !has_ancestor(&cs, cs.pids[i])) {
			arm(w, cs.pids[i], cs.policies[i], &cs, s);
		}
	}
	surroundings_free(s);
}

/* ---- once in a while ------------------------------------------------------------------------ */

/* Scopes that nobody is in any more, or that no policy means. */
static void drop_ended(struct watch *w)
{
	struct target **at = &w->targets, *t;

	while ((t = *at)) {
		if (t->nwaiting || (armed_lives(t->scope) && t->npolicies)) {
			at = &t->next;
			continue;
		}
		*at = t->next;
		say(w, "process %d is no longer watched: %s", (int)t->root, t->npolicies ? "it has ended" : "no policy means it");
		target_free(t, w->armed);
	}
}

struct expiring {
	struct watch *w;
	const struct policy *policy;
	int64_t now;
};

static void expire(void *ctx, const struct stored *s)
{
	const struct expiring *e = ctx;

	if (e->now - s->time < (int64_t)e->policy->retention || unlink(s->path) < 0)
		return;
	note(e->w, "expired", s->policy, s->path, NULL, 0);
	say(e->w, "%s: %s is removed: it is older than may be", s->policy, s->path);
}

static void expire_all(struct watch *w)
{
	struct expiring e = { .w = w, .now = now_of(CLOCK_REALTIME) };

	for (size_t i = 0; i < w->policies->n; i++) {
		e.policy = &w->policies->list[i];
		if (e.policy->retention)
			store_each(e.policy->store, e.policy->name, expire, &e);
	}
}

static bool is_due(int64_t *last, int64_t every, int64_t now)
{
	if (now - *last < every)
		return false;
	*last = now;
	return true;
}

/* A request whose end was lost becomes no capsule that could say so. */
static void tell_lost(struct watch *w)
{
	uint64_t lost = armed_lost(w->armed);

	if (lost == w->told_lost)
		return;
	note(w, "lost", NULL, NULL, "records", lost - w->told_lost);
	say(w, "%" PRIu64 " records were lost: what happened at that time is not whole (a larger --ring may help)", lost - w->told_lost);
	w->told_lost = lost;
}

static void look_after(struct watch *w)
{
	int64_t now = now_of(CLOCK_BOOTTIME);

	if (w->waits)
		keep_all(w);
	if (is_due(&w->adjusted, ADJUST_EVERY, now)) {
		drop_ended(w);
		for (struct target *t = w->targets; t; t = t->next) {
			target_adjust(t, w->armed, now);
			history_age(t->history, (uint64_t)now);
		}
	}
	if (is_due(&w->found, FIND_EVERY, now))
		find(w);
	if (is_due(&w->swept, SWEEP_EVERY, now)) {
		tell_lost(w);
		for (struct target *t = w->targets; t; t = t->next)
			target_sweep(t, w->armed);
		w->waits = true;
	}
	if (is_due(&w->expired, EXPIRE_EVERY, now))
		expire_all(w);
}

/* ---- policies ---------------------------------------------------------------------------------- */

static int open_stores(const struct policies *ps, struct err *err)
{
	for (size_t i = 0; i < ps->n; i++)
		if (store_open(ps->list[i].store, err) < 0)
			return -err->code;
	return 0;
}

/* What a policy asks for and this recorder does not do. */
static void say_missing(struct watch *w)
{
	if (policies_name_containers(w->policies) && !rights_for_containers())
		say(w, "containers can't be looked into: the recorder gave the right to up when no policy named any; start it again");
	for (size_t i = 0; i < w->policies->n; i++) {
		const struct policy *p = &w->policies->list[i];

		if (condition_has(&p->when, WHEN_RETRANSMITS))
			say(w, "%s: tcp.retransmits is not looked at: that condition never holds", p->name);
		if (p->capture.level == LEVEL_HASHES)
			say(w, "%s: level hashes is kept as level metadata, without the hashes", p->name);
	}
}

/* Whom they mean is found anew; histories stay. */
static void reload(struct watch *w)
{
	struct err err = ERR_INIT;
	struct policies *ps;

	w->reload = false;
	if (policies_load(&ps, w->opts->policies, &err) < 0 || open_stores(ps, &err) < 0 || limits_take(w->limits, ps, &err) < 0 ||
	    (w->control && control_group(w->control, ps->host.group, &err) < 0)) {
		say(w, "%s; the policies stay what they were", err.text);
		return;
	}
	keep_all(w);
	for (struct target *t = w->targets; t; t = t->next) {
		if (t->nwaiting)
			say(w, "process %d: %zu capsules were waited for by policies that are no more", (int)t->root, t->nwaiting);
		w->result->suppressed += t->nwaiting;
		target_drop_policies(t);
		t->armed_at = now_of(CLOCK_BOOTTIME);
	}
	policies_free(w->policies);
	w->policies = ps;
	find(w);
	say_missing(w);
	note(w, "policies", NULL, w->opts->policies, "policies", ps->n);
	say(w, "%s was read again: %zu polic%s", w->opts->policies, ps->n, ps->n == 1 ? "y" : "ies");
}

static void on_asked(void *ctx, const struct control_peer *who, const char *policy, char *answer, size_t len)
{
	struct watch *w = ctx;
	const struct policy *p = policies_find(w->policies, policy);
	size_t n = 0;

	if (!p || !condition_has(&p->when, WHEN_TRIGGER)) {
		snprintf(answer, len, "no policy '%.100s' that waits for a trigger", policy);
		return;
	}
	for (struct target *t = w->targets; t; t = t->next)
		if (target_has(t, p)) {
			target_trigger(t, p);
			w->waits = true;
			n++;
		}
	note(w, "trigger", p->name, NULL, "uid", who->uid);
	say(w, "%s: triggered by user %u (process %d)", p->name, (unsigned int)who->uid, (int)who->pid);
	snprintf(answer, len, "ok %zu scope%s", n, n == 1 ? "" : "s");
}

/* ---- the loop ------------------------------------------------------------------------------------- */

static void take_signals(struct watch *w)
{
	struct signalfd_siginfo s;

	while (read(w->signals, &s, sizeof(s)) == sizeof(s)) {
		w->leave |= s.ssi_signo == SIGINT || s.ssi_signo == SIGTERM;
		w->reload |= s.ssi_signo == SIGHUP;
	}
}

static void loop(struct watch *w)
{
	struct pollfd fds[] = { { .fd = armed_fd(w->armed), .events = POLLIN }, { .fd = w->signals, .events = POLLIN },
				{ .fd = w->control ? control_fd(w->control) : -1, .events = POLLIN } };

	while (!w->leave) {
		int n = armed_look(w->armed);

		w->waits |= n > 0;
		look_after(w);
		n += armed_rest(w->armed);
		w->waits |= n > 0;
		/* Hashes are for when nothing happens. */
		if (poll(fds, 3, n == 0 && armed_idle(w->armed) ? 0 : LOOK_EVERY) < 0)
			continue;
		if (fds[1].revents)
			take_signals(w);
		if (fds[2].revents)
			control_answer(w->control, on_asked, w);
		if (w->reload)
			reload(w);
		reap(w);
	}
}

static int take_over_signals(struct watch *w, struct err *err)
{
	sigset_t ours;

	sigemptyset(&ours);
	sigaddset(&ours, SIGINT);
	sigaddset(&ours, SIGTERM);
	sigaddset(&ours, SIGHUP);
	sigaddset(&ours, SIGCHLD);
	sigprocmask(SIG_BLOCK, &ours, &w->before);
	w->signals = signalfd(-1, &ours, SFD_CLOEXEC | SFD_NONBLOCK);
	return w->signals < 0 ? err_sys(err, errno, "signalfd") : 0;
}

static void end(struct watch *w)
{
	if (w->armed) {
		armed_look(w->armed);
		keep_all(w);
		tell_lost(w);
		w->result->lost = armed_lost(w->armed);
	}
	wait_for_jobs(w);
	while (w->targets) {
		struct target *t = w->targets;

		w->targets = t->next;
		target_free(t, w->armed);
	}
	armed_free(w->armed, &w->result->longest_stop);
	note(w, "end", NULL, NULL, "capsules", w->result->capsules);
	audit_close(w->audit);
	control_close(w->control);
	limits_free(w->limits);
	containers_free(w->containers);
	policies_free(w->policies);
	if (w->signals >= 0) {
		close(w->signals);
		sigprocmask(SIG_SETMASK, &w->before, NULL);
	}
}

static int open_audit(struct watch *w, struct err *err)
{
	char path[PATH_MAX];

	if (!w->opts->audit && (size_t)snprintf(path, sizeof(path), "%s/audit.log", w->policies->list[0].store) >= sizeof(path))
		return err_set(err, ENAMETOOLONG, "the store's name is too long");
	return audit_open(&w->audit, w->opts->audit ? w->opts->audit : path, err);
}

int watch_run(const struct watch_opts *opts, struct watch_result *ret, struct err *err)
{
	_cleanup_(end) struct watch w = { .opts = opts, .result = ret, .signals = -1 };

	*ret = (struct watch_result){ 0 };
	/* First: who reloads a recorder that has just been started does not mean to end it. */
	if (take_over_signals(&w, err) < 0)
		return -err->code;
	if (policies_load(&w.policies, opts->policies, err) < 0 || open_stores(w.policies, err) < 0 || limits_new(&w.limits, w.policies, err) < 0)
		return -err->code;
	if (open_audit(&w, err) < 0)
		return -err->code;
	if (opts->socket && control_open(&w.control, opts->socket, w.policies->host.group, err) < 0)
		return -err->code;
	w.containers = containers_new();
	if (!w.containers)
		return err_set(err, ENOMEM, "out of memory");
	if (armed_new(&w.armed, opts->ring, err) < 0)
		return -err->code;
	setpriority(PRIO_PROCESS, 0, -5);
	if (rights_give_up(policies_name_containers(w.policies), err) < 0)
		return -err->code;
	note(&w, "start", NULL, opts->policies, "policies", w.policies->n);
	say_missing(&w);
	say(&w, "%s: %zu polic%s", opts->policies, w.policies->n, w.policies->n == 1 ? "y" : "ies");
	loop(&w);
	return 0;
}
