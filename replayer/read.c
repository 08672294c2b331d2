/* SPDX-License-Identifier: Apache-2.0 */
/* What the guest takes from outside fds. */
#include <linux/types.h>

#include "replayer/replay.h"

#include "format/cleanup.h"
#include "format/sysdesc.h"
#include "replayer/timers.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

struct live *adopt(struct replay *r, struct call *c, int fd, const struct rec_call *rc, const struct stat *st)
{
	struct live *l = &r->live[rc->object];
	const struct ev_object *o = l->rec->o;

	object_bind(r, l, st);
	if ((o->family == AF_INET || o->family == AF_INET6 || o->family == AF_UNIX) && (o->type & 0xf) == SOCK_DGRAM) {
		_cleanup_fd_ int copy = guest_fd(c->t->tgid, fd);
		if (copy >= 0)
			peer_datagram(r, l, copy);
	} else if (!l->made) {
		l->direct = true;
	}
	return l;
}

static const struct ev_seg *seg_of(const struct ev_call *c, uint8_t arg)
{
	const struct ev_seg *s = call_seg(c, arg);

	return s && s->data ? s : NULL;
}

/* The fields of a message beside its bytes: who sent it, control data, flags. */
static void give_message(struct call *c, uint64_t addr, const struct ev_call *rec)
{
	const struct ev_seg *name = seg_of(rec, SEG_REMOTE), *control = seg_of(rec, SEG_CONTROL), *flags = seg_of(rec, SEG_FLAGS);
	struct msghdr h;

	if (guest_read(c->t->tid, addr, &h, sizeof(h)) < 0)
		return;
	if (h.msg_name && name) {
		guest_write(c->t->tid, (uint64_t)h.msg_name, name->data,
			    name->len < h.msg_namelen ? name->len : h.msg_namelen);
		h.msg_namelen = (socklen_t)name->len;
	} else {
		h.msg_namelen = 0;
	}
	if (h.msg_control && control && control->len <= h.msg_controllen) {
		guest_write(c->t->tid, (uint64_t)h.msg_control, control->data, control->len);
		h.msg_controllen = control->len;
	} else {
		h.msg_controllen = 0;
	}
	h.msg_flags = 0;
	if (flags && flags->len == sizeof(h.msg_flags))
		memcpy(&h.msg_flags, flags->data, sizeof(h.msg_flags));
	guest_write(c->t->tid, addr, &h, sizeof(h));
}

/* The recorded bytes straight into the guest's memory. */
static int64_t give_bytes(struct replay *r, struct call *c, const struct rec_call *rc, unsigned int index)
{
	struct bytes data = call_payload(r->rec, rc->call);
	struct guest_iov iov;
	uint64_t msghdr;
	ssize_t n;
	int e;

	e = guest_iov_of(c->t->tid, c->nr, c->args, index, &iov, &msghdr);
	if (e < 0)
		return e;
	n = guest_scatter(c->t->tid, &iov, data);
	if (n < 0)
		return n;
	r->v->served++;
	if (msghdr)
		give_message(c, msghdr, rc->call);
	else if (c->nr == SYS_recvfrom)
		give_outputs(r, c, rc);
	/* With MSG_TRUNC the result says more than was given. */
	return (size_t)n < data.len ? n : rc->call->ret;
}

/* Datagrams given by hand must not be heard again. */
static void drain_datagram(struct call *c, int fd)
{
	char byte;

	_cleanup_fd_ int copy = guest_fd(c->t->tgid, fd);
	if (copy >= 0)
		(void)!recv(copy, &byte, 1, MSG_DONTWAIT | MSG_TRUNC);
}

/*
 * A chunk that is more than the kernel holds between us and the guest: it is
 * taken off the guest's end as fast as it is said, and then given by hand.
 */
static void drain_stream(struct replay *r, struct call *c, struct live *l, size_t upto)
{
	const struct rec_arrival *a = object_arrival(l->rec, upto - 1);
	size_t left = a ? a->data.len : 0;
	uint8_t buf[65536];

	_cleanup_fd_ int copy = guest_fd(c->t->tgid, (int)c->args[0]);
	while (copy >= 0 && left) {
		struct pollfd p = { .fd = copy, .events = POLLIN };
		ssize_t n;

		if (poll(&p, 1, 1000) <= 0 || !(p.revents & POLLIN))
			return;
		n = read(copy, buf, left < sizeof(buf) ? left : sizeof(buf));
		if (n <= 0)
			return;
		left -= (size_t)n;
		peer_flush(r, l);
	}
}

static bool has_room(const struct call *c, size_t len)
{
	struct guest_iov iov;
	uint64_t msghdr;

	return guest_iov_of(c->t->tid, c->nr, c->args, 0, &iov, &msghdr) == 0 && iov.total >= len;
}

static bool is_peek(const struct call *c)
{
	return (c->nr == SYS_recvfrom && (c->args[3] & MSG_PEEK)) || (c->nr == SYS_recvmsg && (c->args[2] & MSG_PEEK));
}

/* Messages come with their senders, of which an unconnected socket has many and our end is but one. */
static bool is_message(const struct live *l)
{
	return l->rec->o && l->rec->o->kind == OBJ_SOCKET && (l->rec->o->type & 0xf) != SOCK_STREAM;
}

/* How many arrivals @rc has seen: a look ahead shows what later reads took in parts. */
static size_t seen_by(const struct live *l, const struct rec_call *rc, bool peek)
{
	const struct rec_arrival *a;
	size_t upto = rc->arrivals;
	uint64_t seen = 0;

	for (size_t i = upto - 1; peek && upto && (a = object_arrival(l->rec, i)) && a->kind == ARRIVAL_DATA; i++) {
		if (seen >= (uint64_t)rc->call->ret)
			break;
		seen += a->data.len;
		upto = i + 1;
	}
	return upto;
}

/* The recorded call's bytes are on their way to the guest: the kernel hands them over, or we. */
static void read_said(struct replay *r, struct call *c, struct live *l, const struct rec_call *rc)
{
	peer_release(r, l, seen_by(l, rc, is_peek(c)));
	if (is_message(l) && !is_peek(c)) {
		drain_datagram(c, (int)c->args[0]);
		c->ret = give_bytes(r, c, rc, 0);
	} else if (l->rec->o && l->rec->o->kind == OBJ_TTY && rc->call->ret == 0) {
		c->ret = 0;		/* the end of a terminal's input is no state that a peer could make */
	} else if (l->fd >= 0 && l->released < rc->arrivals && !is_peek(c) && has_room(c, (size_t)rc->call->ret)) {
		drain_stream(r, c, l, rc->arrivals);
		c->ret = give_bytes(r, c, rc, 0);
	} else {
		call_go_on(c, true);
	}
}

static void read_messages(struct replay *r, struct call *c, struct live *l, const struct rec_call *rc)
{
	unsigned int i = 0, room = c->args[2] < 1024 ? (unsigned int)c->args[2] : 1024;

	while (rc && i < room) {
		int64_t n = rc->call->ret;
		uint32_t len;

		peer_release(r, l, rc->arrivals);
		n = give_bytes(r, c, rc, i);
		if (n < 0)
			break;
		if (l->fd >= 0)
			drain_datagram(c, (int)c->args[0]);
		len = (uint32_t)n;
		guest_write(c->t->tid, c->args[1] + i * sizeof(struct mmsghdr) + sizeof(struct msghdr), &len, sizeof(len));
		i++;
		rc = next_message(r, c->t, rc, i);
	}
	c->ret = i ? (int64_t)i : -EFAULT;
}

/* Who only looks whether there is something is told the truth: there is nothing. */
static bool only_looks(const struct call *c)
{
	uint64_t flags = c->nr == SYS_recvfrom ? c->args[3] : c->nr == SYS_recvmsg ? c->args[2] : 0;

	_cleanup_fd_ int fd = guest_fd(c->t->tgid, (int)c->args[0]);
	return (flags & MSG_DONTWAIT) || (fd >= 0 && (fcntl(fd, F_GETFL) & O_NONBLOCK));
}

bool looks_in_vain(const struct call *c, const struct live *l)
{
	return l && !l->direct && l->released <= l->heard && only_looks(c);
}

/* Beyond the record, or out of its order. */
static void read_unmatched(struct replay *r, struct call *c, struct live *l)
{
	struct rec_call next = { 0 };
	struct ev_call ev = { .nr = (uint16_t)c->nr };
	const struct rec_arrival *a;
	char name[160];

	if (l->timer) {
		call_go_on(c, false);	/* it is the program's own, and expires by itself */
		return;
	}
	if (!l->direct) {
		if (l->wanted >= l->rec->narrivals && !l->hung_up && l->made && !ends_waiting(c->t) && !only_looks(c) &&
		    !talk_is_by_content(l))
			miss(r, "read on %s: the capsule holds no more of it", outside_name(l->rec, name, sizeof(name)));
		call_go_on(c, false);
		return;
	}
	if (is_content(l) && has_company(r, c->t->slot) && content_again(r, c, l))
		return;
	a = recording_arrival_at(r->rec, l->rec, l->released);
	if (!a) {
		/* A timer's file, say, when the recorder had left. */
		if (r->rec->attached && recording_ended(r->rec) && is_anytime(l->rec))
			r->v->after++;
		else
			miss(r, "read on %s: the capsule holds no more of it", outside_name(l->rec, name, sizeof(name)));
		call_go_on(c, false);
		return;
	}
	l->released++;
	ev.nsegs = 1;
	ev.segs[0] = (struct ev_seg){ .arg = (uint8_t)call_payload_arg(c->nr), .len = a->data.len, .data = a->data.data };
	ev.ret = (int64_t)a->data.len;
	next.call = &ev;
	c->ret = give_bytes(r, c, &next, 0);
}

static bool is_random_device(const struct stat *st)
{
	return S_ISCHR(st->st_mode) && major(st->st_rdev) == 1 && (minor(st->st_rdev) == 8 || minor(st->st_rdev) == 9);
}

static void read_random_device(struct replay *r, struct call *c)
{
	struct guest_iov iov;
	uint64_t none;
	size_t len;

	if (guest_iov_of(c->t->tid, c->nr, c->args, 0, &iov, &none) < 0) {
		c->ret = -EFAULT;
		return;
	}
	len = iov.total < (1u << 20) ? iov.total : 1u << 20;
	_cleanup_free_ uint8_t *buf = malloc(len ? len : 1);
	if (!buf) {
		c->ret = -ENOMEM;
		return;
	}
	make_random(r, c->t, buf, len);
	miss(r, "%zu bytes of /dev/urandom beyond the recorded ones", len);
	c->ret = guest_scatter(c->t->tid, &iov, (struct bytes){ buf, len });
}

/* The kernel has not read what was given: the file's position is ours to move. */
static void advance(const struct call *c)
{
	if (c->nr != SYS_read && c->nr != SYS_readv)
		return;
	_cleanup_fd_ int fd = guest_fd(c->t->tgid, (int)c->args[0]);
	if (fd >= 0)
		(void)lseek(fd, c->ret, SEEK_CUR);
}

void answer_read(struct replay *r, struct call *c)
{
	struct socket_kind kind;
	const struct rec_call *rc;
	int fd = (int)c->args[0];
	struct bytes data;
	struct live *l;
	struct stat st;

	l = object_of_fd(r, c, fd, &st, &kind);
	if (!l && !kind.family) {
		if (is_random_device(&st)) {
			read_random_device(r, c);
			return;
		}
		if (!unrecorded_read(r, c, fd, &st))
			answer_inside(r, c, &st);
		return;
	}
	if (l && goroutine_early(c, l)) {
		call_go_on(c, false);
		return;
	}
	rc = match_call(r, c, l, &kind);
	if (!l && rc)
		l = adopt(r, c, fd, rc, &st);
	if (!l) {
		call_go_on(c, true);
		return;
	}
	if (!rc) {
		if (is_random_device(&st))
			read_random_device(r, c);
		else
			read_unmatched(r, c, l);
		return;
	}
	if (rc->arrivals > l->heard)
		l->heard = rc->arrivals;
	if (rc->call->ret == -EINTR && !l->direct && l->fd >= 0) {
		call_go_on(c, true);	/* the signal comes again, from inside or from us */
		return;
	}
	if (rc->call->ret < 0) {
		c->ret = rc->call->ret;
		return;
	}
	if (c->nr == SYS_recvmmsg) {
		read_messages(r, c, l, rc);
		return;
	}
	if (l->rec->o && l->rec->o->kind == OBJ_FILE && !l->direct) {
		call_go_on(c, true);	/* its content lies there, with the position it had */
		return;
	}
	if (l->direct || (l->fd < 0 && !l->hung_up)) {
		if (l->released < rc->arrivals)
			l->released = rc->arrivals;
		c->ret = give_bytes(r, c, rc, 0);
		data = call_payload(r->rec, rc->call);
		if (is_content(l) && c->ret > 0 && (size_t)c->ret <= data.len)
			content_given(c, l, data.data, (size_t)c->ret);
		if (c->ret > 0 && !l->timer && S_ISREG(st.st_mode))
			advance(c);
		if (l->timer)
			timers_read(r, l);
		if (l->timer && r->opts->real_speed)
			pace(r, c, rc, 0);
		return;
	}
	read_said(r, c, l, rc);
}
