/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What has to wait for the guest's own business: a wait with a time limit whose
 * recorded result came from inside (another thread, a pipe).  Nobody can say
 * here how long inside business takes in real time, so the limit must not
 * strike before it is done.
 */
#include <linux/types.h>

#include "replayer/replay.h"

#include "format/cleanup.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { MAX_PARKED_FDS = 1024 };
#define PATIENCE_NS 2000000000ull
#define QUIET_NS 2000000ull	/* nothing was asked for so long: somebody may wait for a handler */
#define INSIDE_NS 30000000ull	/* all sleep, and nothing was asked for so long: nobody inside is going to do it */

struct parked {
	struct parked *next;
	struct seccomp_notif n;
	struct gtask *t;
	struct call c;
	struct epolled *epolled;	/* NULL: poll() tells when it is over */
	struct pollfd *fds;		/* copies of the guest's */
	size_t nfds;
	uint64_t since;
};

static void parked_free(struct replay *r, struct parked *p)
{
	for (size_t i = 0; i < p->nfds; i++) {
		epoll_ctl(r->epoll, EPOLL_CTL_DEL, p->fds[i].fd, NULL);
		close(p->fds[i].fd);
	}
	free(p->fds);
	epolled_free(p->epolled);
	free(p);
}

/* Only its own events wake us, and only once: what is ready is looked at again each turn. */
static int add_fd(struct replay *r, struct call *c, struct parked *p, int guest, short events)
{
	struct epoll_event ev = { .events = (uint32_t)events | EPOLLONESHOT, .data.u64 = TAG_PARKED };
	int fd;

	if (guest < 0 || p->nfds == MAX_PARKED_FDS)
		return guest < 0 ? 0 : -E2BIG;
	if (is_signalfd(c->t->tgid, guest))
		return -EINVAL;
	fd = guest_fd(c->t->tgid, guest);
	if (fd < 0)
		return fd;
	p->fds[p->nfds++] = (struct pollfd){ .fd = fd, .events = events };
	epoll_ctl(r->epoll, EPOLL_CTL_ADD, fd, &ev);	/* a regular file can't be watched, and is always ready */
	return 0;
}

static int add_poll(struct replay *r, struct call *c, struct parked *p)
{
	struct pollfd then[MAX_PARKED_FDS];
	int e;

	if (c->args[1] > MAX_PARKED_FDS)
		return -E2BIG;
	e = guest_read(c->t->tid, c->args[0], then, c->args[1] * sizeof(*then));
	for (size_t i = 0; i < c->args[1] && e == 0; i++)
		e = add_fd(r, c, p, then[i].fd, then[i].events);
	return e;
}

static int add_select(struct replay *r, struct call *c, struct parked *p)
{
	static const short events[] = { 0, POLLIN, POLLOUT, POLLPRI };
	fd_set set[4];
	int e = 0;

	if (c->args[0] > FD_SETSIZE)
		return -E2BIG;
	for (int i = 1; i <= 3; i++) {
		FD_ZERO(&set[i]);
		if (c->args[i] && guest_read(c->t->tid, c->args[i], &set[i], (c->args[0] + 63) / 64 * 8) < 0)
			return -EFAULT;
	}
	for (int fd = 0; fd < (int)c->args[0] && e == 0; fd++) {
		short want = 0;

		for (int i = 1; i <= 3; i++)
			want |= FD_ISSET(fd, &set[i]) ? events[i] : 0;
		if (want)
			e = add_fd(r, c, p, fd, want);
	}
	return e;
}

static int add_fds(struct replay *r, struct call *c, struct parked *p)
{
	switch (c->nr) {
	case SYS_poll: case SYS_ppoll:
		return add_poll(r, c, p);
	case SYS_select: case SYS_pselect6:
		return add_select(r, c, p);
	default:
		return add_fd(r, c, p, (int)c->args[0], POLLIN);
	}
}

static void keep(struct replay *r, struct call *c, struct parked *p)
{
	call_go_on(c, true);
	p->n = *c->n;
	p->c = *c;
	p->c.n = &p->n;
	p->t = c->t;
	p->since = now_ns();
	p->next = r->parked;
	r->parked = p;
	task_kept(c->t, true);
	c->answered = true;
}

bool park(struct replay *r, struct call *c)
{
	struct parked *p = calloc(1, sizeof(*p));

	if (!p)
		return false;
	p->fds = calloc(MAX_PARKED_FDS, sizeof(*p->fds));
	if (!p->fds || add_fds(r, c, p) < 0 || poll(p->fds, p->nfds, 0) != 0) {
		parked_free(r, p);
		return false;
	}
	keep(r, c, p);
	return true;
}

void park_epoll(struct replay *r, struct call *c, struct epolled *e)
{
	struct parked *p = calloc(1, sizeof(*p));

	if (!p || !(p->fds = calloc(1, sizeof(*p->fds)))) {
		free(p);
		epolled_free(e);
		call_go_on(c, true);
		return;
	}
	add_fd(r, c, p, (int)c->args[0], POLLIN);
	p->epolled = e;
	keep(r, c, p);
}

/*
 * How often threads wake each other is chance (a collector's, a pool's), so a
 * word from inside may not come: the program hears the others without it.
 */
static bool is_given_up(struct replay *r, const struct parked *p, uint64_t now)
{
	uint64_t patience = p->epolled ? INSIDE_NS : PATIENCE_NS;

	return now - p->since > patience && now - r->last_activity > patience && tasks_asleep(r);
}

static bool is_over(struct parked *p, bool given_up)
{
	if (p->t->exited || p->t->interrupted)
		return true;
	if (p->epolled)
		return epoll_complete(&p->c, p->epolled, given_up);
	return poll(p->fds, p->nfds, 0) != 0;
}

/*
 * A signal from inside that a handler is to take does not reach who waits for our answer.  What ends the wait may be what
 * the handler does (it writes to a pipe of its own): so the call is made again behind it.
 */
static bool send_back(struct replay *r, struct parked *p)
{
	enum { ERESTARTNOINTR = 513 };	/* include/linux/errno.h */

	if (p->t->exited || now_ns() - r->last_activity < QUIET_NS || !signal_is_pending(p->t))
		return false;
	task_kept(p->t, false);
	if (!p->epolled)
		p->t->again = p->c.nr + 1;	/* into the kernel; a set is asked by us */
	p->c.cont = false;
	p->c.ret = -ERESTARTNOINTR;
	call_respond(r, &p->c);
	return true;
}

/* Without anything to say it is the next recorded wait, or goes on into the kernel. */
static void let_go(struct replay *r, struct parked *p, bool over)
{
	struct call c;

	task_kept(p->t, false);
	if (over || !p->epolled) {
		call_respond(r, &p->c);
		return;
	}
	call_of(&c, &p->n, p->t);
	if (!turn_keep(r, &c))
		call_take(r, &c);
}

void park_look(struct replay *r)
{
	uint64_t now = r->parked ? now_ns() : 0;

	for (struct parked **at = &r->parked; *at;) {
		struct parked *p = *at;
		bool given_up = is_given_up(r, p, now), over = is_over(p, given_up);

		if (!over && !given_up && !send_back(r, p)) {
			at = &p->next;
			continue;
		}
		*at = p->next;
		if (over || given_up)
			let_go(r, p, over);
		parked_free(r, p);
	}
}

void park_free(struct replay *r)
{
	while (r->parked) {
		struct parked *p = r->parked;

		r->parked = p->next;
		parked_free(r, p);
	}
}

/* Such a call would be cut off by a signal. */
bool call_waits(const struct replay *r)
{
	struct pollfd p = { .fd = r->listener, .events = POLLIN };

	return poll(&p, 1, 0) > 0;
}
