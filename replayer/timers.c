/* SPDX-License-Identifier: Apache-2.0 */
/* See timers.h. */
#include <linux/types.h>

#include "replayer/timers.h"

#include "format/cleanup.h"
#include "format/io.h"
#include "format/sysdesc.h"

#include <errno.h>
#include <linux/kcmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define NS 1000000000ll
#ifndef TFD_IOC_SET_TICKS
#define TFD_IOC_SET_TICKS _IOW('T', 0, uint64_t)
#endif
enum { MAX_TIMERS = 4096 };

/* How long nothing happened before a timer strikes whose expiry is not in the record: a signal is not taken back, but a descriptor may well be readable. */
#define PATIENCE_NS 2000000000ull
#define PATIENCE_FD_NS 200000000ull

enum timer_kind { TIMER_INTERVAL, TIMER_POSIX, TIMER_FD };

struct timer {
	struct timer *next;
	enum timer_kind kind;
	pid_t tgid;
	int id;			/* ITIMER_*, what timer_create() gave, our copy of the timerfd */
	int clock;
	int signo;		/* 0: it is silent */
	pid_t tid;		/* of the guest's pid namespace; 0: the signal is for the process */
	uint64_t value;
	struct live *live;	/* of a timerfd */
	bool armed, recorded;
	int64_t until, interval;	/* of streams_skipped() */
	uint64_t deadline;		/* real time */
};

struct limits {			/* both struct itimerval and itimerspec, in ns */
	int64_t interval, value;
};

/* ---- finding ----------------------------------------------------------------- */

static struct timer *find(const struct replay *r, enum timer_kind kind, pid_t tgid, int id)
{
	for (struct timer *t = r->timers; t; t = t->next)
		if (t->kind == kind && t->tgid == tgid && t->id == id)
			return t;
	return NULL;
}

static struct timer *add(struct replay *r, enum timer_kind kind, pid_t tgid, int id)
{
	struct timer *t = r->ntimers < MAX_TIMERS ? calloc(1, sizeof(*t)) : NULL;

	if (!t)
		return NULL;
	*t = (struct timer){ .kind = kind, .tgid = tgid, .id = id, .next = r->timers };
	r->timers = t;
	r->ntimers++;
	return t;
}

static void drop(struct replay *r, struct timer **at)
{
	struct timer *t = *at;

	*at = t->next;
	if (t->kind == TIMER_FD)
		close(t->id);
	free(t);
	r->ntimers--;
}

static bool is_same_file(int a, int b)
{
	pid_t self = getpid();

	return syscall(SYS_kcmp, self, self, KCMP_FILE, a, b) == 0;
}

static struct timer *find_fd(const struct replay *r, int fd)
{
	struct timer *t = r->timers;

	while (t && (t->kind != TIMER_FD || !is_same_file(t->id, fd)))
		t = t->next;
	return t;
}

/* The timer behind a descriptor of the guest's, made if it is new; NULL: there is none. */
static struct timer *get_fd(struct replay *r, const struct call *c)
{
	struct itimerspec now;
	struct timer *t;

	_cleanup_fd_ int copy = guest_fd(c->t->tgid, (int)c->args[0]);
	if (copy < 0 || timerfd_gettime(copy, &now) < 0)
		return NULL;
	t = find_fd(r, copy);
	if (!t && (t = add(r, TIMER_FD, c->t->tgid, copy)))
		TAKE_FD(copy);
	return t;
}

struct live *timers_live(const struct replay *r, pid_t tgid, int fd)
{
	const struct timer *t;

	_cleanup_fd_ int copy = guest_fd(tgid, fd);
	t = copy < 0 ? NULL : find_fd(r, copy);
	return t ? t->live : NULL;
}

/* ---- arming -------------------------------------------------------------------- */

static bool get_limits(const struct call *c, unsigned int arg, bool micro, struct limits *ret)
{
	int64_t v[4];

	if (!c->args[arg] || guest_read(c->t->tid, c->args[arg], v, sizeof(v)) < 0)
		return false;
	for (int i = 0; i < 4; i += 2)
		if (v[i] < 0 || v[i] > INT64_MAX / NS / 2 || v[i + 1] < 0 || v[i + 1] >= (micro ? 1000000 : NS))
			return false;
	ret->interval = v[0] * NS + v[1] * (micro ? 1000 : 1);
	ret->value = v[2] * NS + v[3] * (micro ? 1000 : 1);
	return true;
}

static void put_limits(const struct call *c, unsigned int arg, bool micro, const struct limits *l)
{
	const int64_t unit = micro ? 1000 : 1;
	const int64_t v[4] = { l->interval / NS, l->interval % NS / unit, l->value / NS, l->value % NS / unit };

	if (c->args[arg])
		guest_write(c->t->tid, c->args[arg], v, sizeof(v));
}

static struct limits limits_of(const struct replay *r, const struct timer *t)
{
	struct limits l = { 0 };

	if (!t || !t->armed)
		return l;
	l.interval = t->interval;
	l.value = t->until - streams_skipped(r->streams);
	if (l.value < 1000)	/* not 0, which says that it is not armed */
		l.value = 1000;
	return l;
}

static void set(struct replay *r, struct timer *t, int64_t ns, int64_t interval, bool recorded)
{
	t->armed = true;
	t->recorded = recorded;
	t->interval = interval;
	t->until = streams_skipped(r->streams) + (ns > 0 ? ns : 0);
	t->deadline = now_ns() + (uint64_t)(ns > 0 ? ns : 0);
}

/* @date: the value is one of the timer's clock. */
static void arm(struct replay *r, const struct call *c, struct timer *t, struct limits l, bool date, bool recorded)
{
	static const struct itimerspec off;

	if (t->kind == TIMER_FD)
		timerfd_settime(t->id, 0, &off, NULL);	/* what it had counted is forgotten, as by any arming */
	t->armed = false;
	if (!l.value)
		return;
	if (date)
		l.value -= streams_now(r->streams, c->t->slot, (uint32_t)t->clock);
	set(r, t, l.value, l.interval, recorded);
}

/* It has expired. */
static void next_expiry(struct timer *t)
{
	if (t->interval) {
		t->until += t->interval;
		t->deadline += (uint64_t)t->interval;
	} else {
		t->armed = false;
	}
}

/* ---- expiring ------------------------------------------------------------------- */

static struct gtask *any_task(const struct replay *r, pid_t tgid)
{
	for (struct gtask *t = r->tasks; t; t = t->next)
		if (!t->exited && t->tgid == tgid)
			return t;
	return NULL;
}

/* The number that the task has in the guest's own pid namespace. */
static pid_t own_tid(pid_t tid)
{
	_cleanup_free_ char *text = NULL;
	char path[64], *at, *end;

	snprintf(path, sizeof(path), "/proc/%d/status", tid);
	if (io_slurp(path, 1 << 16, &text, NULL) < 0 || !(at = strstr(text, "\nNSpid:")) || !(end = strchr(at + 1, '\n')))
		return 0;
	*end = 0;
	return (pid_t)atoi(strrchr(at, '\t') ?: at);
}

static struct gtask *target_of(const struct replay *r, const struct timer *t)
{
	if (!t->tid)
		return any_task(r, t->tgid);
	for (struct gtask *task = r->tasks; task; task = task->next)
		if (!task->exited && task->tgid == t->tgid && own_tid(task->tid) == t->tid)
			return task;
	return NULL;
}

/* One more is counted; a kernel that lets nobody set the count says that it was one. */
static void tick(int fd)
{
	static const struct itimerspec at_once = { .it_value.tv_nsec = 1 };
	_cleanup_free_ char *text = NULL;
	char path[64];
	const char *at;
	uint64_t n = 0;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	if (io_slurp(path, 4096, &text, NULL) == 0 && (at = strstr(text, "\nticks:")))
		n = strtoull(at + 7, NULL, 10);
	n++;
	if (n == 1 || ioctl(fd, TFD_IOC_SET_TICKS, &n) < 0)
		timerfd_settime(fd, 0, &at_once, NULL);
}

static void expire(struct replay *r, struct timer *t)
{
	int64_t now = streams_skipped(r->streams);
	struct ev_signal s = { .signo = t->signo, .code = t->kind == TIMER_POSIX ? SI_TIMER : SI_KERNEL, .group = !t->tid,
			       .pid = t->kind == TIMER_POSIX ? (uint32_t)t->id : 0, .value = t->value };
	struct gtask *target;

	if (!t->recorded && t->until > now)
		streams_skip(r->streams, t->until - now);
	target = target_of(r, t);
	if (t->kind == TIMER_FD)
		tick(t->id);
	else if (t->signo && target)
		signal_send(r, target, &s);
	next_expiry(t);
}

void timers_look(struct replay *r)
{
	uint64_t now = r->timers ? now_ns() : 0;

	for (struct timer **at = &r->timers; *at;) {
		struct timer *t = *at;

		if (!any_task(r, t->tgid)) {
			drop(r, at);
			continue;
		}
		if (t->armed && !t->recorded && now >= t->deadline)
			expire(r, t);
		at = &t->next;
	}
}

bool timers_expire(struct replay *r, uint64_t quiet, uint64_t patience, int64_t until)
{
	const uint64_t recorded[] = { [TIMER_INTERVAL] = PATIENCE_NS, [TIMER_POSIX] = PATIENCE_NS, [TIMER_FD] = PATIENCE_FD_NS };
	struct timer *first = NULL;

	for (struct timer *t = r->timers; t; t = t->next)
		if (t->armed && quiet >= (t->recorded ? recorded[t->kind] : patience) && t->until < until && (!first || t->until < first->until))
			first = t;
	if (first)
		expire(r, first);
	return first;
}

static struct timer *timer_of(const struct replay *r, pid_t tgid, const struct ev_signal *s)
{
	if (s->code == SI_TIMER)
		return find(r, TIMER_POSIX, tgid, (int)s->pid);
	if (s->code != SI_KERNEL)
		return NULL;
	return find(r, TIMER_INTERVAL, tgid, s->signo == SIGALRM ? ITIMER_REAL : s->signo == SIGVTALRM ? ITIMER_VIRTUAL : ITIMER_PROF);
}

void timers_sent(struct replay *r, pid_t tgid, const struct ev_signal *s)
{
	struct timer *t = timer_of(r, tgid, s);

	if (t && t->armed)
		next_expiry(t);
}

void timers_read(struct replay *r, const struct live *l)
{
	for (struct timer *t = r->timers; t; t = t->next)
		if (t->live == l && t->armed && t->recorded)
			next_expiry(t);
}

bool timers_late(const struct replay *r, pid_t tgid, const struct ev_signal *s)
{
	const struct timer *t = timer_of(r, tgid, s);

	return t && t->armed && now_ns() >= t->deadline;
}

void timers_exec(struct replay *r, pid_t tgid)
{
	for (struct timer **at = &r->timers; *at;)
		if ((*at)->kind == TIMER_POSIX && (*at)->tgid == tgid)
			drop(r, at);
		else
			at = &(*at)->next;
}

void timers_free(struct replay *r)
{
	while (r->timers)
		drop(r, &r->timers);
}

/* ---- the calls --------------------------------------------------------------------- */

/* @rc: the recorded call, which has been answered, or NULL. */
static void take_alarm(struct replay *r, struct call *c, const struct rec_call *rc)
{
	struct timer *t = find(r, TIMER_INTERVAL, c->t->tgid, ITIMER_REAL);
	struct limits l = limits_of(r, t), next = { .value = (int64_t)(uint32_t)c->args[0] * NS };

	if (!rc)
		c->ret = (l.value + NS - 1) / NS;
	if (!t && !(t = add(r, TIMER_INTERVAL, c->t->tgid, ITIMER_REAL)))
		return;
	t->signo = SIGALRM;
	arm(r, c, t, next, false, rc);
}

static void take_interval(struct replay *r, struct call *c, const struct rec_call *rc)
{
	static const int signals[] = { SIGALRM, SIGVTALRM, SIGPROF };
	unsigned int which = (unsigned int)c->args[0];
	struct timer *t = which < 3 ? find(r, TIMER_INTERVAL, c->t->tgid, (int)which) : NULL;
	struct limits old = limits_of(r, t), next = { 0 };

	/* Of processor time, or wrong: the kernel's business if it is not recorded. */
	if (which > 2 || (!rc && which) || (c->nr == SYS_setitimer && c->args[1] && !get_limits(c, 1, true, &next))) {
		c->cont = !rc;
		return;
	}
	if (!rc)
		put_limits(c, c->nr == SYS_setitimer ? 2 : 1, true, &old);
	if (c->nr != SYS_setitimer || (!t && !(t = add(r, TIMER_INTERVAL, c->t->tgid, (int)which))))
		return;
	t->signo = signals[which];
	arm(r, c, t, next, false, rc);
	t->armed &= which == 0;
}

static int free_id(const struct replay *r, pid_t tgid)
{
	int id = 0;

	while (find(r, TIMER_POSIX, tgid, id))
		id++;
	return id;
}

static void take_create(struct replay *r, struct call *c, const struct rec_call *rc)
{
	struct { uint64_t value; int32_t signo, notify, tid; } how = { 0, SIGALRM, SIGEV_SIGNAL, 0 };	/* struct sigevent */
	int32_t id = free_id(r, c->t->tgid);
	struct timer *t;

	if ((c->args[1] && guest_read(c->t->tid, c->args[1], &how, sizeof(how)) < 0) ||
	    (rc && guest_read(c->t->tid, c->args[2], &id, sizeof(id)) < 0))
		return;
	t = find(r, TIMER_POSIX, c->t->tgid, id) ?: add(r, TIMER_POSIX, c->t->tgid, id);
	if (!t)
		return;
	t->clock = (int)c->args[0];
	t->signo = how.notify == SIGEV_NONE || how.signo < 0 || how.signo > 64 ? 0 : how.signo;
	t->tid = how.notify == SIGEV_THREAD_ID ? how.tid : 0;
	t->value = c->args[1] ? how.value : (uint64_t)id;
	t->armed = false;
	if (!rc && guest_write(c->t->tid, c->args[2], &id, sizeof(id)) < 0)
		c->ret = -EFAULT;
}

static void take_settime(struct replay *r, struct call *c, const struct rec_call *rc, struct timer *t)
{
	struct limits old = limits_of(r, t), next;

	if (!get_limits(c, 2, false, &next)) {
		c->ret = rc ? c->ret : -EINVAL;
		return;
	}
	if (!rc)
		put_limits(c, 3, false, &old);
	arm(r, c, t, next, c->args[1] & TIMER_ABSTIME, rc);
}

static void take_posix(struct replay *r, struct call *c, const struct rec_call *rc)
{
	struct timer *t = find(r, TIMER_POSIX, c->t->tgid, (int)c->args[0]);
	struct limits old = limits_of(r, t);

	if (!t) {
		c->ret = rc ? c->ret : -EINVAL;
		return;
	}
	if (c->nr == SYS_timer_settime)
		take_settime(r, c, rc, t);
	else if (c->nr == SYS_timer_gettime && !rc)
		put_limits(c, 1, false, &old);
	else if (c->nr == SYS_timer_delete)
		for (struct timer **at = &r->timers; *at; at = &(*at)->next)
			if (*at == t) {
				drop(r, at);
				break;
			}
}

static void take_fd(struct replay *r, struct call *c, const struct rec_call *rc)
{
	struct timer *t = get_fd(r, c);
	struct limits old = limits_of(r, t);

	if (!t) {
		c->cont = !rc;
		return;
	}
	if (rc && rc->object)
		t->live = &r->live[rc->object];
	if (c->nr == SYS_timerfd_settime)
		take_settime(r, c, rc, t);
	else if (!rc)
		put_limits(c, 1, false, &old);
}

void answer_timer(struct replay *r, struct call *c)
{
	const struct rec_call *rc = match_call(r, c, NULL, NULL);

	c->ret = rc ? rc->call->ret : 0;
	if (rc) {
		r->v->served++;
		if (c->ret >= 0 && give_outputs(r, c, rc) < 0)
			c->ret = -EFAULT;
		if (c->ret < 0)
			return;
	}
	switch (c->nr) {
	case SYS_alarm:
		take_alarm(r, c, rc);
		break;
	case SYS_setitimer:
	case SYS_getitimer:
		take_interval(r, c, rc);
		break;
	case SYS_timer_create:
		take_create(r, c, rc);
		break;
	case SYS_timerfd_settime:
	case SYS_timerfd_gettime:
		take_fd(r, c, rc);
		break;
	default:
		take_posix(r, c, rc);
	}
}
