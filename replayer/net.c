/* SPDX-License-Identifier: Apache-2.0 */
/* Connections: connect, bind, accept and the names of both ends. */
#include <linux/types.h>

#include "replayer/replay.h"

#include "format/cleanup.h"
#include "format/io.h"
#include "format/sysdesc.h"

#include <errno.h>
#include <poll.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

static bool has_peer(const struct ev_object *o)
{
	return o && (o->family == AF_INET || o->family == AF_INET6 || o->family == AF_UNIX);
}

bool same_address(const struct bytes *a, const uint8_t *b, size_t len)
{
	size_t n = a->len < len ? a->len : len;

	/* sin6_scope_id and what lies behind a port or a path's end may be padding; family, port and address are not. */
	if (n >= sizeof(struct sockaddr_in) && a->data[0] == AF_INET)
		n = 8;
	if (n > 2 && a->data[0] == AF_UNIX && a->data[2])
		n = 2 + strnlen((const char *)a->data + 2, n - 2);
	return n >= 2 && memcmp(a->data, b, n) == 0;
}

/*
 * Changed code may connect in another order: the first recorded connection to the same address that nobody has. What was made while
 * it was recorded is not for the start.
 */
static struct live *connection_to(struct replay *r, const uint8_t *addr, size_t len, bool start_up)
{
	for (size_t i = 1; i < r->rec->nobjects; i++) {
		struct live *l = &r->live[i];

		if (!l->bound && (!start_up || l->rec->here) && !l->rec->inner && l->rec->o && l->rec->o->kind == OBJ_SOCKET && !script_is_inherited(l->rec) &&
		    (l->rec->connected || (l->rec->o->type & 0xf) != SOCK_STREAM) &&
		    l->rec->o->remote.len && same_address(&l->rec->o->remote, addr, len))
			return l;
	}
	return NULL;
}

static void connect_to_peer(struct replay *r, struct call *c, struct live *l, const struct rec_call *rc,
			    const struct stat *st, const uint8_t *addr, size_t len)
{
	struct bytes to = { addr, len };
	char name[160];
	int e;

	_cleanup_fd_ int copy = guest_fd(c->t->tgid, (int)c->args[0]);
	if (copy < 0) {
		c->ret = copy;
		return;
	}
	object_bind(r, l, st);
	if (!has_peer(l->rec->o)) {
		l->direct = true;
		c->ret = rc ? rc->call->ret : 0;
		return;
	}
	/* It was refused later, and the socket connected to another address then. */
	if (rc && rc->call->ret == -EINPROGRESS && l->rec->connected && l->rec->o->remote.len &&
	    !same_address(&l->rec->o->remote, addr, len)) {
		c->ret = rc->call->ret;
		return;
	}
	/* A second connect() asks how the first one went. */
	e = l->made ? 0 : peer_connect(r, l, rc && rc->object ? &r->live[rc->object] : l->id < r->rec->nobjects ? l : NULL, copy, &to);
	c->ret = rc ? rc->call->ret : e;
	if (!rc && (e == 0 || e == -EINPROGRESS))
		opening_begins(r, l);
	if (e < 0 && e != -EINPROGRESS && !l->rec->async_error)
		miss(r, "no peer for %s: %s", outside_name(l->rec, name, sizeof(name)), strerror(-e));
	r->v->served++;
}

/* Does somebody listen on the port of @addr? Peers don't: they come when they are called. */
static bool guest_listens(const uint8_t *addr, size_t len)
{
	static const char *const tables[] = { "/proc/thread-self/net/tcp", "/proc/thread-self/net/tcp6" };
	unsigned int want, port, state;

	if (len < sizeof(struct sockaddr_in))
		return false;
	want = (unsigned int)addr[2] << 8 | addr[3];
	for (size_t i = 0; i < 2; i++) {
		_cleanup_free_ char *text = NULL;

		if (io_slurp(tables[i], 1 << 20, &text, NULL) < 0)
			continue;
		for (char *line = text; (line = strchr(line, '\n')); line++)
			if (sscanf(line, " %*u: %*[0-9A-F]:%x %*[0-9A-F]:%*x %x", &port, &state) == 2 && port == want && state == 10)
				return true;	/* TCP_LISTEN */
	}
	return false;
}

/* Both ends are inside: the kernel connects them, the client at its recorded address. */
static void connect_inside(struct replay *r, struct call *c, struct live *l, const struct stat *st)
{
	_cleanup_fd_ int copy = guest_fd(c->t->tgid, (int)c->args[0]);

	object_bind(r, l, st);
	if (copy >= 0)
		peer_bind_local(l, copy);
	call_go_on(c, true);
}

/* A unix path that is relative is relative to the task's directory; one too long for an address stays as it is. */
static void make_absolute(const struct call *c, uint8_t *addr, size_t *len, size_t room)
{
	struct sockaddr_un *un = (void *)addr, full = { .sun_family = AF_UNIX };
	char link[64], cwd[PATH_MAX];
	ssize_t n;

	if (un->sun_family != AF_UNIX || *len <= sizeof(sa_family_t) || !un->sun_path[0] || un->sun_path[0] == '/')
		return;
	snprintf(link, sizeof(link), "/proc/%d/cwd", c->t->tid);
	n = readlink(link, cwd, sizeof(cwd) - 1);
	if (n <= 0 || room < sizeof(full))
		return;
	cwd[n] = 0;
	n = snprintf(full.sun_path, sizeof(full.sun_path), "%s/%.*s", cwd, (int)(*len - sizeof(sa_family_t)), un->sun_path);
	if (n <= 0 || (size_t)n >= sizeof(full.sun_path))
		return;
	memcpy(addr, &full, sizeof(full));
	*len = sizeof(full);
}

static void answer_connect(struct replay *r, struct call *c)
{
	size_t len = c->args[2] < sizeof(struct sockaddr_storage) ? c->args[2] : sizeof(struct sockaddr_storage);
	uint8_t addr[sizeof(struct sockaddr_storage)] = { 0 };
	const struct rec_call *rc;
	struct socket_kind kind;
	struct live *l;
	struct stat st;

	l = object_of_fd(r, c, (int)c->args[0], &st, &kind);
	/* Of no family: a connection inside is asked about again. */
	if (!S_ISSOCK(st.st_mode) || (!l && !kind.family) || guest_read(c->t->tid, c->args[1], addr, len) < 0) {
		call_go_on(c, true);
		return;
	}
	rc = match_call(r, c, l, &kind);
	if (rc && !l && rc->object)
		l = c->t->goroutine ? &r->live[TAKE(r->live[rc->object].instead, 0)] : &r->live[rc->object];
	if (l && l->rec->inner) {
		connect_inside(r, c, l, &st);
		return;
	}
	if (rc && rc->call->ret < 0 && rc->call->ret != -EINPROGRESS && rc->call->ret != -EINTR) {
		if (l)
			object_bind(r, l, &st);
		c->ret = rc->call->ret;
		return;
	}
	if (!rc && !l && !c->t->goroutine)	/* another one will be made of what it says: script_continue() */
		l = connection_to(r, addr, len, in_start_up(r, c->t));
	if (!rc && !l)
		l = script_more(r, addr, len);
	if (!l) {
		/* A server of the guest's own may be there; nobody else is. */
		if (kind.family != AF_UNIX && !guest_listens(addr, len))
			miss(r, "a connection that was not recorded was tried");
		call_go_on(c, false);
		return;
	}
	make_absolute(c, addr, &len, sizeof(addr));
	connect_to_peer(r, c, l, rc, &st, addr, len);
}

static void answer_bind(struct replay *r, struct call *c)
{
	const struct rec_call *rc;
	const struct ev_seg *local;
	struct socket_kind kind;
	struct live *l;
	struct stat st;
	int family;

	l = object_of_fd(r, c, (int)c->args[0], &st, &kind);
	rc = match_call(r, c, l, &kind);
	if (!rc) {
		call_go_on(c, false);
		return;
	}
	if (!l && rc->object) {
		l = &r->live[rc->object];
		object_bind(r, l, &st);
		l->direct = !has_peer(l->rec->o);
	}
	c->ret = rc->call->ret;
	if (c->ret < 0)
		return;
	/* The port, or the abstract name, that the kernel chose then. */
	local = call_seg(rc->call, SEG_LOCAL);
	family = l && l->rec->o ? l->rec->o->family : AF_UNSPEC;
	if (local && local->data && (family == AF_INET || family == AF_INET6 ||
	    (family == AF_UNIX && c->args[2] == sizeof(sa_family_t)))) {
		_cleanup_fd_ int copy = guest_fd(c->t->tgid, (int)c->args[0]);
		if (copy >= 0 && bind(copy, (const struct sockaddr *)local->data, (socklen_t)local->len) == 0)
			return;
	}
	call_go_on(c, true);
}

/* The recorded client connects, the supervisor accepts in the guest's place and hands the connection over. */
static int hand_over(struct replay *r, struct call *c, struct live *listener, const struct rec_call *rc)
{
	int flags = c->nr == SYS_accept4 ? (int)c->args[3] : 0;
	struct seccomp_notif_addfd add = { .id = c->n->id, .flags = SECCOMP_ADDFD_FLAG_SEND };
	struct stat st;

	peer_release(r, listener, rc->arrivals);
	_cleanup_fd_ int copy = guest_fd(c->t->tgid, (int)c->args[0]);
	if (copy < 0)
		return copy;
	/* What comes over the loopback is there at once; if not, the guest shall wait for it, not we. */
	if (poll(&(struct pollfd){ .fd = copy, .events = POLLIN }, 1, 100) <= 0)
		return -ECONNABORTED;
	_cleanup_fd_ int conn = accept4(copy, NULL, NULL, (flags & SOCK_NONBLOCK) | SOCK_CLOEXEC);
	if (conn < 0)
		return -errno;
	if (rc->made && fstat(conn, &st) == 0)
		object_bind(r, &r->live[rc->made], &st);
	give_outputs(r, c, rc);
	add.srcfd = (uint32_t)conn;
	add.newfd_flags = flags & SOCK_CLOEXEC ? O_CLOEXEC : 0;
	if (ioctl(r->listener, SECCOMP_IOCTL_NOTIF_ADDFD, &add) < 0)
		return -errno;
	c->answered = true;
	r->v->served++;
	return 0;
}

static void answer_accept(struct replay *r, struct call *c)
{
	const struct rec_call *rc;
	struct socket_kind kind;
	struct live *l;
	struct stat st;
	char name[160];
	int e;

	l = object_of_fd(r, c, (int)c->args[0], &st, &kind);
	if (l && c->t->goroutine && l->released <= l->heard) {
		call_go_on(c, false);
		return;
	}
	if (start_up_accepts(r, c, l))
		return;
	rc = match_call(r, c, l, &kind);
	if (rc && !l && rc->object) {
		l = &r->live[rc->object];
		object_bind(r, l, &st);
	}
	if (!rc || !l) {
		call_go_on(c, false);
		return;
	}
	c->ret = rc->call->ret;
	if (rc->arrivals > l->heard)
		l->heard = rc->arrivals;
	if (c->ret < 0)
		return;
	if (r->rec->objects[rc->made].inner) {
		call_go_on(c, true);
		return;
	}
	e = hand_over(r, c, l, rc);
	if (e < 0) {
		miss(r, "no client for %s: %s", outside_name(l->rec, name, sizeof(name)), strerror(-e));
		call_go_on(c, false);
	}
}

static void answer_name(struct replay *r, struct call *c)
{
	const struct rec_call *rc;
	struct socket_kind kind;
	struct live *l;
	struct stat st;

	l = object_of_fd(r, c, (int)c->args[0], &st, &kind);
	rc = match_call(r, c, l, &kind);
	if (!rc) {
		c->cont = true;
		return;
	}
	if (!l && rc->object)
		object_bind(r, &r->live[rc->object], &st);
	c->ret = rc->call->ret;
	if (c->ret >= 0 && give_outputs(r, c, rc) < 0)
		c->cont = true;
	r->v->served++;
}

void answer_net(struct replay *r, struct call *c)
{
	switch (c->nr) {
	case SYS_connect:
		answer_connect(r, c);
		return;
	case SYS_bind:
		if (in_start_up(r, c->t))
			start_up_bind(r, c);
		else
			answer_bind(r, c);
		return;
	case SYS_listen:
		if (in_start_up(r, c->t))
			start_up_listen(r, c);
		else
			call_go_on(c, true);
		return;
	case SYS_accept: case SYS_accept4:
		answer_accept(r, c);
		return;
	case SYS_getsockname: case SYS_getpeername:
		answer_name(r, c);
		return;
	default:
		call_go_on(c, true);
	}
}
