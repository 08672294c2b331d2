/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a recorded epoll_wait() said is said again: of outside objects just
 * those that were ready then, in that order; of the guest's own descriptors
 * as many, from its own epoll set.  We ask that set through a copy of its
 * descriptor, so edges and one-shots are used up as if the guest had asked,
 * and leave out what outside objects say there: a peer may have spoken
 * already what the program is to hear of later.  An event loop does one thing
 * after the other, so the outside objects keep their places among the others.
 *
 * What the program calls a descriptor in its events (epoll_data) may be an
 * address, and so another one in changed code: it is looked up in
 * /proc/PID/fdinfo (proc(5)), where the kernel names the inodes.
 */
#include <linux/types.h>

#include "replayer/replay.h"

#include "format/cleanup.h"
#include "replayer/procs.h"
#include "replayer/timers.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

enum { MAX_EVENTS = 1024 };

struct entry {			/* a descriptor in the set */
	uint64_t data;
	struct live *l;		/* NULL: the guest's own */
};

struct epolled {
	struct entry *entries;
	size_t nentries;
	struct epoll_event *own;	/* what the set said of the guest's own descriptors */
	size_t nown, wanted;
	bool signals;		/* a signalfd is among them */
	struct epoll_event *outside;
	size_t *places;			/* of those, among all events */
	size_t noutside;
	size_t max;		/* events that there is room for */
};

void epolled_free(struct epolled *e)
{
	if (!e)
		return;
	free(e->entries);
	free(e->own);
	free(e->outside);
	free(e->places);
	free(e);
}

static void cleanup_epolled(struct epolled **e) { epolled_free(*e); }

static struct live *entry_live(struct replay *r, const struct call *c, struct epolled *e, int fd, dev_t dev, ino_t ino)
{
	if (dev != r->anonymous)
		return object_of_inode(r, dev, ino);
	e->signals |= is_signalfd(c->t->tgid, fd);
	return r->timerfds ? timers_live(r, c->t->tgid, fd) : NULL;
}

/* The number behind @label, which is behind *@at. */
static bool number(const char **at, const char *label, int base, uint64_t *ret)
{
	const char *from = strstr(*at, label);
	char *end;

	if (!from)
		return false;
	from += strlen(label);
	*ret = strtoull(from, &end, base);
	*at = end;
	return end != from;
}

static int read_entries(struct replay *r, const struct call *c, struct epolled *e)
{
	const char *text = procs_fdinfo(r->procs, c->t->tgid, (int)c->args[0]);
	size_t room = 0;

	if (!text)
		return -ENOENT;
	for (const char *at = text; (at = strstr(at, "tfd:")); at++)
		room++;
	e->entries = calloc(room + 1, sizeof(*e->entries));
	if (!e->entries)
		return -ENOMEM;
	for (const char *at = text; (at = strstr(at, "tfd:")) && e->nentries < room;) {
		uint64_t fd, data, ino, dev;	/* dev as the kernel has it: 12 bits major, 20 bits minor */

		if (!number(&at, "tfd:", 10, &fd) || !number(&at, "data:", 16, &data) || !number(&at, "ino:", 16, &ino) ||
		    !number(&at, "sdev:", 16, &dev))
			return -EINVAL;
		e->entries[e->nentries++] = (struct entry){ .data = data, .l = entry_live(r, c, e, (int)fd, makedev(dev >> 20, dev & 0xfffff), ino) };
	}
	return 0;
}

static const struct entry *entry_of(const struct epolled *e, const struct live *l)
{
	for (size_t i = 0; i < e->nentries; i++)
		if (e->entries[i].l == l)
			return &e->entries[i];
	return NULL;
}

/* A name that is also given to a descriptor of the guest's own is one of those. */
static bool is_outside(const struct epolled *e, uint64_t data)
{
	bool outside = false;

	for (size_t i = 0; i < e->nentries; i++) {
		if (e->entries[i].data == data && !e->entries[i].l)
			return false;
		outside |= e->entries[i].data == data;
	}
	return outside;
}

static int add_outside(struct replay *r, const struct rec_call *rc, struct epolled *e)
{
	const struct ev_seg *s = call_seg(rc->call, SEG_READY);
	uint32_t pair[2];

	for (size_t i = 0; s && s->data && i + sizeof(pair) <= s->len; i += sizeof(pair)) {
		const struct entry *n;

		memcpy(pair, s->data + i, sizeof(pair));
		if (!pair[0] || pair[0] >= r->rec->nobjects || r->rec->objects[pair[0]].inner)
			continue;
		n = entry_of(e, &r->live[pair[0]]);
		if (!n || e->noutside == e->max)
			return -ENOENT;
		e->places[e->noutside] = i / sizeof(pair);
		e->outside[e->noutside++] = (struct epoll_event){ .events = pair[1], .data.u64 = n->data };
	}
	return 0;
}

/* What is in the set that @c waits on. */
static struct epolled *look_into(struct replay *r, const struct call *c)
{
	_cleanup_(cleanup_epolled) struct epolled *e = calloc(1, sizeof(*e));

	if (!e)
		return NULL;
	e->max = c->args[2] < MAX_EVENTS ? c->args[2] : MAX_EVENTS;
	e->own = calloc(e->max, sizeof(*e->own));
	e->outside = calloc(e->max, sizeof(*e->outside));
	e->places = calloc(e->max, sizeof(*e->places));
	if (!e->own || !e->outside || !e->places || read_entries(r, c, e) < 0)
		return NULL;
	return TAKE_PTR(e);
}

struct epolled *epoll_begin(struct replay *r, const struct call *c, const struct rec_call *rc, bool *private)
{
	uint64_t said = (uint64_t)rc->call->ret;

	if (said > c->args[2] || said > MAX_EVENTS)
		return NULL;
	_cleanup_(cleanup_epolled) struct epolled *e = look_into(r, c);
	if (!e || add_outside(r, rc, e) < 0 || e->noutside > said)
		return NULL;
	e->wanted = said - e->noutside;
	*private = e->signals && !e->noutside;
	if (*private)
		return NULL;
	if (e->signals)
		e->wanted = 0;
	return TAKE_PTR(e);
}

/* A level that was seen before may be told again. */
static void add_own(struct epolled *e, const struct epoll_event *ev)
{
	for (size_t i = 0; i < e->nown; i++)
		if (e->own[i].data.u64 == ev->data.u64) {
			e->own[i].events = ev->events;
			return;
		}
	if (e->nown + e->noutside < e->max)
		e->own[e->nown++] = *ev;
}

static void ask_set(const struct call *c, struct epolled *e)
{
	_cleanup_free_ struct epoll_event *ev = calloc(MAX_EVENTS, sizeof(*ev));
	int n = 0;

	_cleanup_fd_ int set = guest_fd(c->t->tgid, (int)c->args[0]);
	if (set >= 0 && ev)
		n = epoll_wait(set, ev, MAX_EVENTS, 0);
	for (int i = 0; i < n; i++)
		if (!is_outside(e, ev[i].data.u64))
			add_own(e, &ev[i]);
}

/* The guest's own fill the places that outside objects leave. */
static void in_order(const struct epolled *e, struct epoll_event *all)
{
	size_t own = 0, outside = 0;

	while (own + outside < e->nown + e->noutside)
		if (outside < e->noutside && (own == e->nown || e->places[outside] <= own + outside)) {
			all[own + outside] = e->outside[outside];
			outside++;
		} else {
			all[own + outside] = e->own[own];
			own++;
		}
}

bool epoll_complete(struct call *c, struct epolled *e, bool enough)
{
	size_t n;

	if (e->nown < e->wanted)
		ask_set(c, e);
	n = e->nown + e->noutside;
	if (!n || (e->nown < e->wanted && !enough))
		return false;
	c->cont = false;
	c->ret = (int64_t)n;
	_cleanup_free_ struct epoll_event *all = calloc(n, sizeof(*all));
	if (!all) {
		c->ret = -ENOMEM;
		return true;
	}
	in_order(e, all);
	if (guest_write(c->t->tid, c->args[1], all, n * sizeof(*all)) < 0)
		c->ret = -EFAULT;
	return true;
}

bool epoll_holds(struct replay *r, const struct call *c, const struct rec_call *rc)
{
	_cleanup_(cleanup_epolled) struct epolled *e = look_into(r, c);

	return !e || add_outside(r, rc, e) == 0;
}

bool is_from_outside(const struct replay *r, const struct rec_call *rc)
{
	const struct ev_seg *s = call_seg(rc->call, SEG_READY);
	uint32_t pair[2];
	int64_t n = 0;

	for (size_t i = 0; s && s->data && i + sizeof(pair) <= s->len; i += sizeof(pair)) {
		memcpy(pair, s->data + i, sizeof(pair));
		n += pair[0] && pair[0] < r->rec->nobjects && !r->rec->objects[pair[0]].inner;
	}
	return n && n == rc->call->ret;
}

bool epoll_inside(struct replay *r, struct call *c)
{
	if (!is_epoll(c))
		return false;
	_cleanup_(cleanup_epolled) struct epolled *e = look_into(r, c);
	if (!e || e->signals || !e->max)
		return false;
	e->wanted = 1;
	return epoll_complete(c, e, false);
}
