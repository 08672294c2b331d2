/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Waiting: poll, select, epoll_wait, and sleeps.
 *
 * What was recorded as a timeout is one at once: time is virtual, the clocks
 * are served.  What was recorded as "ready" is made so: the peers may say
 * their next word, and then the kernel (epoll) or the record (poll, select)
 * tells the program.
 */
#include <linux/types.h>

#include "replayer/replay.h"

#include "format/cleanup.h"
#include "format/sysdesc.h"
#include "replayer/timed.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/select.h>
#include <sys/syscall.h>
#include <time.h>

#define MS 1000000ull

static bool waits_for_ever(const struct call *c)
{
	switch (c->nr) {
	case SYS_poll:
		return (int)c->args[2] < 0;
	case SYS_ppoll:
		return !c->args[2];
	case SYS_select: case SYS_pselect6:
		return !c->args[4];
	case SYS_epoll_wait: case SYS_epoll_pwait:
		return (int)c->args[3] < 0;
	default:
		return !c->args[3];	/* epoll_pwait2: a timespec */
	}
}

static uint32_t u32_at(const uint8_t *p)
{
	return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

/* Lets the peers of what was ready speak; how many of the ready fds were outside objects. */
static size_t show_ready(struct replay *r, const struct rec_call *rc)
{
	const struct ev_seg *s = call_seg(rc->call, SEG_READY);
	size_t n = 0;

	for (size_t i = 0; s && s->data && i + 8 <= s->len; i += 8) {
		uint32_t id = u32_at(s->data + i), events = u32_at(s->data + i + 4);

		if (!id || id >= r->rec->nobjects || r->rec->objects[id].inner)
			continue;
		n++;
		if (events & (POLLIN | POLLPRI | POLLRDNORM | POLLHUP | POLLRDHUP | POLLERR))
			peer_show(r, &r->live[id], rc->order, events & (POLLHUP | POLLRDHUP));
	}
	return n;
}

static bool is_poll(const struct call *c)
{
	return c->nr == SYS_poll || c->nr == SYS_ppoll;
}

static bool is_select(const struct call *c)
{
	return c->nr == SYS_select || c->nr == SYS_pselect6;
}

/* What was left of the limit: ppoll, select and pselect6 tell. */
static void give_left(struct call *c, const struct rec_call *rc)
{
	static const uint8_t nothing[sizeof(struct timespec)];
	uint8_t arg = is_select(c) ? 4 : 2;
	const struct ev_seg *s = call_seg(rc->call, arg);

	if (c->nr == SYS_poll || !c->args[arg])
		return;
	if (rc->call->ret == 0)
		guest_write(c->t->tid, c->args[arg], nothing, sizeof(nothing));
	else if (s && s->data && s->len == sizeof(nothing))
		guest_write(c->t->tid, c->args[arg], s->data, s->len);
}

enum { MAX_POLLFDS = 65536 };

/* The recorded revents (none of them for a timeout) into the guest's array, if it asks for the same fds. */
static bool give_poll(struct replay *r, struct call *c, const struct rec_call *rc)
{
	const struct ev_seg *s = call_seg(rc->call, 0);
	size_t n = c->args[1], bytes = n * sizeof(struct pollfd);
	const struct pollfd *then;

	if (n > MAX_POLLFDS)
		return false;
	_cleanup_free_ struct pollfd *now = malloc(bytes ? bytes : 1);
	if (!now || guest_read(c->t->tid, c->args[0], now, bytes) < 0)
		return false;
	if (rc->call->ret > 0 && (!s || !s->data || s->len != bytes))
		return false;
	then = s ? (const struct pollfd *)s->data : NULL;
	for (size_t i = 0; i < n; i++) {
		struct pollfd p = { 0 };

		if (rc->call->ret > 0) {
			memcpy(&p, &then[i], sizeof(p));
			if (!same_polled(r, c, rc, &p, now[i].fd))
				return false;
		}
		now[i].revents = p.revents;
	}
	give_left(c, rc);
	return guest_write(c->t->tid, c->args[0], now, bytes) == 0;
}

static bool give_select(struct replay *r, struct call *c, const struct rec_call *rc)
{
	size_t bytes = (c->args[0] + 63) / 64 * 8;
	char zero[FD_SETSIZE / 8] = { 0 };

	if (c->args[0] > FD_SETSIZE || c->args[0] != rc->call->args[0])
		return false;
	for (uint8_t i = 1; i <= 3; i++) {
		const struct ev_seg *s = call_seg(rc->call, i);

		if (!c->args[i])
			continue;
		if (rc->call->ret == 0)
			guest_write(c->t->tid, c->args[i], zero, bytes);
		else if (!s || !s->data)
			return false;
	}
	give_left(c, rc);
	return rc->call->ret == 0 || give_outputs(r, c, rc) == 0;
}

/* Something ready that has no end in the kernel: epoll would never tell. */
static bool is_direct(const struct replay *r, const struct rec_call *rc)
{
	const struct ev_seg *s = call_seg(rc->call, SEG_READY);

	for (size_t i = 0; s && s->data && i + 8 <= s->len; i += 8) {
		uint32_t id = u32_at(s->data + i);

		if (id && id < r->rec->nobjects && r->live[id].direct)
			return true;
	}
	return false;
}

/* The recorded events; what the program has put into them is the same, addresses too. */
static bool give_epoll(struct replay *r, struct call *c, const struct rec_call *rc)
{
	const struct ev_seg *s = call_seg(rc->call, 1);

	return s && s->data && (uint64_t)rc->call->ret <= c->args[2] && is_direct(r, rc) && give_outputs(r, c, rc) == 0;
}

/* The time limit of a wait that has one, ns. */
static uint64_t limit_of(const struct call *c)
{
	struct timespec ts = { 0 };
	int64_t v[2] = { 0 };

	switch (c->nr) {
	case SYS_poll:
		return c->args[2] * MS;
	case SYS_epoll_wait: case SYS_epoll_pwait:
		return c->args[3] * MS;
	case SYS_select:
		guest_read(c->t->tid, c->args[4], v, sizeof(v));
		return (uint64_t)v[0] * 1000 * MS + (uint64_t)v[1] * 1000;
	default:
		guest_read(c->t->tid, c->args[c->nr == SYS_ppoll ? 2 : c->nr == SYS_pselect6 ? 4 : 3], &ts, sizeof(ts));
		return (uint64_t)ts.tv_sec * 1000 * MS + (uint64_t)ts.tv_nsec;
	}
}

/* A timeout, as recorded. */
static bool time_out(struct replay *r, struct call *c, const struct rec_call *rc)
{
	if (is_poll(c) ? !give_poll(r, c, rc) : is_select(c) && !give_select(r, c, rc))
		return false;
	r->v->served++;
	pace(r, c, rc, limit_of(c));
	return true;
}

static bool answer_epoll(struct replay *r, struct call *c, const struct rec_call *rc)
{
	bool private = false;
	struct epolled *e = epoll_begin(r, c, rc, &private);

	if (private)
		call_go_on(c, true);
	if (!e)
		return private;
	if (epoll_complete(c, e, false))
		epolled_free(e);
	else
		park_epoll(r, c, e);
	r->v->served++;
	return true;
}

/* Is it a wait for others of the scope alone, that no word from outside would end? */
static bool waits_inside(struct replay *r, const struct call *c)
{
	struct pollfd fds[16];

	if (!is_poll(c) || !c->args[1] || c->args[1] > sizeof(fds) / sizeof(fds[0]) ||
	    guest_read(c->t->tid, c->args[0], fds, c->args[1] * sizeof(fds[0])) < 0)
		return false;
	for (size_t i = 0; i < c->args[1]; i++)
		if (!leads_inside(r, c, fds[i].fd))
			return false;
	return true;
}

/* Nothing of it is in the record: the kernel does it, but its limit is one by the program's clock. */
static void wait_unmatched(struct replay *r, struct call *c)
{
	bool for_ever = waits_for_ever(c);
	uint64_t ns = for_ever ? 0 : limit_of(c);

	call_go_on(c, for_ever && waits_inside(r, c));
	/* One that looks over and over, or sleeps, is no sign of life; as in pace(). */
	if (!for_ever && !r->opts->real_speed)
		r->last_activity = r->activity_before;
	if (ns && !r->opts->real_speed)
		timed_poll(r, c, ns);
}

void answer_wait(struct replay *r, struct call *c)
{
	const struct rec_call *rc = match_call(r, c, NULL, NULL);
	size_t outside;

	if (!rc) {
		wait_unmatched(r, c);
		return;
	}
	if (rc->call->ret < 0 || (rc->call->ret == 0 && waits_for_ever(c))) {
		call_go_on(c, true);
		return;
	}
	outside = show_ready(r, rc);
	c->ret = rc->call->ret;
	if (rc->call->ret == 0 && time_out(r, c, rc))
		;
	else if (is_poll(c) && (size_t)rc->call->ret == outside && give_poll(r, c, rc))
		r->v->served++;
	else if (is_select(c) && (size_t)rc->call->ret == outside && give_select(r, c, rc))
		r->v->served++;
	else if (!is_poll(c) && !is_select(c) && (size_t)rc->call->ret == outside && give_epoll(r, c, rc))
		r->v->served++;
	else if (!is_poll(c) && !is_select(c) && answer_epoll(r, c, rc))
		return;
	else if (rc->call->ret == 0 || waits_for_ever(c) || !park(r, c))
		call_go_on(c, true);
}

/* How long a sleep is to last, ns. */
static int64_t length_of(struct replay *r, const struct call *c)
{
	bool absolute = c->nr == SYS_clock_nanosleep && (c->args[1] & TIMER_ABSTIME);
	struct timespec ts;
	int64_t ns;

	if (guest_read(c->t->tid, c->args[c->nr == SYS_nanosleep ? 0 : 2], &ts, sizeof(ts)) < 0)
		return -EFAULT;
	if (ts.tv_sec < 0 || __builtin_mul_overflow(ts.tv_sec, 1000000000, &ns) || __builtin_add_overflow(ns, ts.tv_nsec, &ns))
		return 0;
	if (absolute)
		ns -= streams_now(r->streams, c->t->slot, (uint32_t)c->args[0]);
	return ns > 0 ? ns : 0;
}

/* A signal from outside came in front of the call that was just matched, and was sent by that. */
static bool has_signal(const struct gtask *t)
{
	return t->cursor >= 2 && task_call(t->rec, t->cursor - 2)->signal;
}

void answer_sleep(struct replay *r, struct call *c)
{
	const struct rec_call *rc = match_call(r, c, NULL, NULL);
	int64_t ns;

	if (rc && rc->call->ret == -EINTR && has_signal(c->t) && !r->opts->real_speed) {
		c->ret = give_outputs(r, c, rc) < 0 ? -EFAULT : -EINTR;
		r->v->served++;
		return;
	}
	if (rc ? rc->call->ret == -EINTR : ends_waiting(c->t)) {
		call_go_on(c, true);
		if (!rc && !r->opts->real_speed)
			r->last_activity = r->activity_before;	/* as in pace() */
		return;
	}
	ns = length_of(r, c);
	c->ret = rc ? rc->call->ret : ns < 0 ? ns : 0;
	r->v->served += rc != NULL;
	if (c->ret == 0 && ns >= 0)
		pace(r, c, rc, (uint64_t)ns);
}
