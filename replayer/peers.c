/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The far ends.  Inbound bytes go through real sockets and pipes, so that the
 * guest's epoll sets, its poll and its blocking reads work natively; they are
 * said just in time, not before the recorded call that first saw them.  What
 * the guest writes never travels: the supervisor takes it from its memory.
 */
#include <linux/types.h>

#include "replayer/replay.h"

#include "format/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pty.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <termios.h>
#include <unistd.h>

struct address {
	struct sockaddr_storage ss;
	socklen_t len;
};

static bool address_of(const struct bytes *b, struct address *a)
{
	if (!b->data || b->len < sizeof(sa_family_t) || b->len > sizeof(a->ss))
		return false;
	memset(&a->ss, 0, sizeof(a->ss));
	memcpy(&a->ss, b->data, b->len);
	a->len = (socklen_t)b->len;
	if (a->ss.ss_family == AF_INET)
		a->len = sizeof(struct sockaddr_in);
	if (a->ss.ss_family == AF_INET6)
		a->len = sizeof(struct sockaddr_in6);
	return true;
}

static bool has_port(const struct address *a)
{
	if (a->ss.ss_family == AF_INET)
		return ((const struct sockaddr_in *)&a->ss)->sin_port;
	if (a->ss.ss_family == AF_INET6)
		return ((const struct sockaddr_in6 *)&a->ss)->sin6_port;
	return true;
}

static bool is_abstract(const struct address *a)
{
	return a->len > sizeof(sa_family_t) && !((const struct sockaddr_un *)&a->ss)->sun_path[0];
}

/*
 * A unix path of the guest, as the supervisor reaches it: through the
 * directory that it is in, found below the sandbox's root, where symlinks lead
 * to the sandbox's own.  @dir: that directory, open as long as @a is used.
 */
static bool through_root(struct replay *r, struct address *a, int *dir)
{
	struct sockaddr_un *un = (void *)&a->ss;
	char path[sizeof(un->sun_path) + 2] = "/", *slash;
	int n;

	if (a->ss.ss_family != AF_UNIX || a->len <= sizeof(sa_family_t) || is_abstract(a))
		return true;
	memcpy(path + (un->sun_path[0] != '/'), un->sun_path, sizeof(un->sun_path));
	path[sizeof(path) - 1] = 0;
	slash = strrchr(path, '/');
	*slash = 0;
	*dir = open_in(sandbox_root(r->sb), slash == path ? "/" : path, O_PATH | O_DIRECTORY);
	if (*dir < 0)
		return false;
	n = snprintf(un->sun_path, sizeof(un->sun_path), "/proc/self/fd/%d/%s", *dir, slash + 1);
	a->len = sizeof(*un);
	return n > 0 && (size_t)n < sizeof(un->sun_path);
}

/* An IPv4 address in IPv6's clothes, as Java's sockets have them. */
static bool is_mapped(const struct address *a)
{
	return a->ss.ss_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&((const struct sockaddr_in6 *)&a->ss)->sin6_addr);
}

/* Any address is local in the sandbox's network, but the kernel wants to be told so for some. */
static void allow_any_address(int fd, const struct address *a)
{
	int one = 1, own_only = !is_mapped(a), family = a->ss.ss_family;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (family == AF_INET)
		setsockopt(fd, IPPROTO_IP, IP_FREEBIND, &one, sizeof(one));
	if (family == AF_INET6) {
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &own_only, sizeof(own_only));
		setsockopt(fd, IPPROTO_IPV6, 78 /* IPV6_FREEBIND */, &one, sizeof(one));
	}
}

static int bound_socket(struct replay *r, const struct address *at, int type)
{
	struct address a = *at;
	struct stat st;

	_cleanup_fd_ int fd = socket(a.ss.ss_family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	allow_any_address(fd, &a);
	_cleanup_fd_ int dir = -1;
	if (!through_root(r, &a, &dir))
		return -ENOENT;
	if (a.ss.ss_family == AF_UNIX && !is_abstract(&a) && a.len > sizeof(sa_family_t)) {
		const char *path = ((struct sockaddr_un *)&a.ss)->sun_path;

		if (lstat(path, &st) == 0 && (S_ISSOCK(st.st_mode) || S_ISLNK(st.st_mode)))
			unlink(path);	/* of the overlay: the recorded name of a server that is not here */
	}
	if (bind(fd, (struct sockaddr *)&a.ss, a.len) < 0)
		return -errno;
	return TAKE_FD(fd);
}

static void made(struct replay *r, struct live *l, int fd)
{
	struct epoll_event ev = { .events = EPOLLET, .data.u64 = 16 + (uint64_t)l->id };

	l->made = true;
	l->fd = fd;
	if (fd >= 0)
		epoll_ctl(r->epoll, EPOLL_CTL_ADD, fd, &ev);
}

void peer_bind_local(const struct live *l, int guest)
{
	struct address a;

	if (l && l->rec->o && address_of(&l->rec->o->local, &a) && has_port(&a) && a.ss.ss_family != AF_UNIX) {
		allow_any_address(guest, &(struct address){ 0 });
		if (bind(guest, (struct sockaddr *)&a.ss, a.len) < 0)
			return;	/* EINVAL: bound already */
	}
}

static int accept_one(int listener)
{
	struct pollfd p = { .fd = listener, .events = POLLIN };

	if (poll(&p, 1, 1000) <= 0)
		return -ETIMEDOUT;
	for (;;) {
		int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

		if (fd >= 0 || errno != EINTR)
			return fd < 0 ? -errno : fd;
	}
}

int peer_connect(struct replay *r, struct live *l, const struct live *name, int guest, const struct bytes *to)
{
	int type = l->rec->o ? l->rec->o->type & 0xf : SOCK_STREAM, e, fd;
	struct address a, path;

	if (!address_of(to, &a))
		return -EINVAL;
	if (type == SOCK_DGRAM)
		return peer_datagram(r, l, guest);
	/* Nobody listens where the connection was refused: the kernel refuses it again. */
	if (!l->rec->async_error) {
		_cleanup_fd_ int listener = bound_socket(r, &a, type);
		if (listener < 0)
			return listener;
		if (listen(listener, 8) < 0)
			return -errno;
		peer_bind_local(name, guest);
		path = a;
		_cleanup_fd_ int dir = -1;
		if (!through_root(r, &path, &dir))
			return -ENOENT;
		e = connect(guest, (struct sockaddr *)&path.ss, path.len) < 0 ? -errno : 0;
		if (e < 0 && e != -EINPROGRESS)
			return e;
		fd = accept_one(listener);
		if (fd < 0)
			return fd;
		made(r, l, fd);
		return e;
	}
	peer_bind_local(name, guest);
	return connect(guest, (struct sockaddr *)&a.ss, a.len) < 0 ? -errno : 0;
}

int peer_datagram(struct replay *r, struct live *l, int guest)
{
	struct address local, remote;
	int fd = -1;

	if (l->made || !l->rec->o)
		return 0;
	peer_bind_local(l, guest);
	if (!address_of(&l->rec->o->remote, &remote)) {
		address_of(&l->rec->sender, &remote);
	}
	if (remote.len && (has_port(&remote) || remote.ss.ss_family == AF_UNIX)) {
		fd = bound_socket(r, &remote, SOCK_DGRAM);
		local = remote;
		_cleanup_fd_ int dir = -1;
		through_root(r, &local, &dir);
		/* Connected datagram sockets hear only their peer; -EADDRINUSE: a peer of this address is there already. */
		if (fd >= 0 && address_of(&l->rec->o->remote, &remote))
			(void)!connect(guest, (struct sockaddr *)&local.ss, local.len);
	}
	made(r, l, fd);
	return 0;
}

/* ---- saying ------------------------------------------------------------ */

static int say_data(struct live *l, const struct rec_arrival *a)
{
	while (l->part < a->data.len) {
		const uint8_t *p = a->data.data + l->part;
		size_t n = a->data.len - l->part;
		ssize_t k;

		k = l->rec->o->kind == OBJ_SOCKET ? send(l->fd, p, n, MSG_DONTWAIT | MSG_NOSIGNAL) : write(l->fd, p, n);
		if (k < 0 && errno == EINTR)
			continue;
		if (k < 0)
			return -errno;
		l->part += (size_t)k;
	}
	return 0;
}

static int say_datagram(struct replay *r, struct live *l, const struct rec_arrival *a)
{
	bool connected = l->rec->o->type != SOCK_DGRAM;
	struct address to;
	ssize_t n;

	if (connected) {
		n = send(l->fd, a->data.data, a->data.len, MSG_DONTWAIT | MSG_NOSIGNAL);
	} else {
		_cleanup_fd_ int dir = -1;
		if (!address_of(&l->rec->o->local, &to) || !through_root(r, &to, &dir))
			return -EDESTADDRREQ;
		n = sendto(l->fd, a->data.data, a->data.len, MSG_DONTWAIT | MSG_NOSIGNAL, (struct sockaddr *)&to.ss,
			   to.len);
	}
	return n < 0 ? -errno : 0;
}

static void hang_up(struct replay *r, struct live *l)
{
	if (l->fd < 0 || l->hung_up || l->rec->o->kind == OBJ_TTY)
		return;		/* a terminal's input can end many times, each for one read */
	l->hung_up = true;
	if (l->rec->o->kind == OBJ_SOCKET) {
		shutdown(l->fd, SHUT_WR);
	} else {
		epoll_ctl(r->epoll, EPOLL_CTL_DEL, l->fd, NULL);
		close(l->fd);
		l->fd = -1;
	}
}

/*
 * A client's address comes again: when recorded, the connection that had it before was over by then, on both sides.  Cut off,
 * it leaves nothing behind that holds the address.
 */
static bool end_former(struct replay *r, const struct live *conn, const struct address *from)
{
	const struct linger cut_off = { .l_onoff = 1 };
	bool ended = false;

	for (size_t i = 1; i < r->rec->nobjects; i++) {
		struct live *l = &r->live[i];
		struct address its;

		if (l == conn || l->fd < 0 || !l->rec->o || l->rec->o->kind != OBJ_SOCKET || !address_of(&l->rec->o->remote, &its) ||
		    its.len != from->len || memcmp(&its.ss, &from->ss, its.len) != 0)
			continue;
		setsockopt(l->fd, SOL_SOCKET, SO_LINGER, &cut_off, sizeof(cut_off));
		close(l->fd);
		l->fd = -1;
		ended = true;
	}
	return ended;
}

/* A client of the guest's server: from its recorded address to the one that the guest listens on. */
static int say_connection(struct replay *r, struct live *l, const struct rec_arrival *a)
{
	struct live *conn = a->made ? &r->live[a->made] : NULL;
	struct address from = { .len = 0 }, to;
	int type = l->rec->o->type & 0xf ? l->rec->o->type & 0xf : SOCK_STREAM, rc;

	if (!conn || conn->made)
		return 0;
	if (!(conn->rec->o && address_of(&conn->rec->o->local, &to)) && !address_of(&l->rec->o->local, &to))
		return -EDESTADDRREQ;
	_cleanup_fd_ int dir = -1;
	if (!through_root(r, &to, &dir))
		return -ENOENT;
	_cleanup_fd_ int fd = socket(to.ss.ss_family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	allow_any_address(fd, &to);
	if (to.ss.ss_family != AF_UNIX && address_of(&a->from, &from) && has_port(&from) &&
	    bind(fd, (struct sockaddr *)&from.ss, from.len) < 0)
		return -errno;
	rc = connect(fd, (struct sockaddr *)&to.ss, to.len);
	if (rc < 0 && errno == EADDRNOTAVAIL && from.len && end_former(r, conn, &from))
		rc = connect(fd, (struct sockaddr *)&to.ss, to.len);
	if (rc < 0 && errno != EINPROGRESS) {
		l->deaf = errno == ECONNREFUSED || errno == ENOENT;
		return l->deaf ? -EAGAIN : -errno;
	}
	made(r, conn, TAKE_FD(fd));
	return 0;
}

void peer_comes(struct replay *r, struct live *listener, struct live *l)
{
	const struct rec_arrival a = { .kind = ARRIVAL_CONNECTION, .made = l->id, .from = l->rec->o->remote };
	char name[160];
	int e = say_connection(r, listener, &a);

	if (e < 0 && e != -EAGAIN)
		miss(r, "the client of %s can't come again: %s", outside_name(l->rec, name, sizeof(name)), strerror(-e));
}

static int say(struct replay *r, struct live *l, const struct rec_arrival *a)
{
	if (a->kind == ARRIVAL_CONNECTION)
		return say_connection(r, l, a);
	if (l->fd < 0)
		return 0;	/* straight into memory when it is read, or nobody to say it any more */
	if (a->kind == ARRIVAL_DATAGRAM)
		return say_datagram(r, l, a);
	if (a->kind == ARRIVAL_EOF) {
		hang_up(r, l);
		return 0;
	}
	return say_data(l, a);
}

static void arm(struct replay *r, struct live *l, bool on)
{
	struct epoll_event ev = { .events = on ? EPOLLOUT : EPOLLET, .data.u64 = 16 + (uint64_t)l->id };

	if (l->armed == on || l->fd < 0)
		return;
	l->armed = on;
	epoll_ctl(r->epoll, EPOLL_CTL_MOD, l->fd, &ev);
}

void peer_flush(struct replay *r, struct live *l)
{
	const struct rec_arrival *a;
	char name[160];

	while (l->released < l->wanted && (a = recording_arrival_at(r->rec, l->rec, l->released))) {
		int e = say(r, l, a);

		if (e == -EAGAIN && l->deaf) {
			l->wanted = l->released;
			return;
		}
		if (e == -EAGAIN) {
			arm(r, l, true);
			return;
		}
		if (e < 0)	/* EPIPE, ECONNRESET: the guest has closed its end and will never hear it */
			if (e != -EPIPE && e != -ECONNRESET)
				miss(r, "the peer of %s can't speak: %s", outside_name(l->rec, name, sizeof(name)), strerror(-e));
		saved_in(r, l, object_arrival(l->rec, l->released));
		talk_answered(r, l, object_arrival(l->rec, l->released));
		l->part = 0;
		l->released++;
		r->v->served++;
	}
	arm(r, l, false);
}

void peer_release(struct replay *r, struct live *l, size_t upto)
{
	if (upto > l->rec->narrivals)
		upto = l->rec->narrivals;
	/* Without an end nothing is said: its first connect may have failed, and the next one make it. */
	if (upto <= l->wanted || (l->fd < 0 && !l->rec->listens))
		return;
	l->wanted = upto;
	l->deaf = false;
	peer_flush(r, l);
}

void peer_show(struct replay *r, struct live *l, uint32_t order, bool hangup)
{
	const struct rec_arrival *a;
	size_t i = l->wanted;

	if (i && (a = object_arrival(l->rec, i - 1)) && a->order > order)
		return;		/* an earlier wait has shown it, and it was not read yet */
	while ((a = object_arrival(l->rec, i)) && a->order < order)
		i++;
	if (i < l->rec->narrivals)
		peer_release(r, l, i + 1);
	else if (hangup && l->wanted >= l->rec->narrivals)
		hang_up(r, l);
}

/* The object whose next word was said first, then, as far as was read; NULL: all is said. */
static struct live *first_owed(const struct replay *r, uint32_t *order)
{
	struct live *first = NULL;

	*order = UINT32_MAX;
	for (size_t i = 1; i < r->rec->nobjects; i++) {
		struct live *l = &r->live[i];
		const struct rec_arrival *a = object_arrival(l->rec, l->wanted);

		if (l->direct || l->deaf || !(l->fd >= 0 || l->rec->listens) || !a)
			continue;
		if (a->order < *order) {
			*order = a->order;
			first = l;
		}
	}
	return first;
}

bool peers_owe(const struct replay *r)
{
	for (size_t i = 1; i < r->rec->nobjects; i++) {
		const struct live *l = &r->live[i];

		if (!l->direct && !l->deaf && (l->fd >= 0 || l->rec->listens) && l->wanted < l->rec->narrivals)
			return true;
	}
	return false;
}

struct live *peers_first(const struct replay *r, uint32_t *order)
{
	struct live *first = NULL;

	*order = UINT32_MAX;
	for (size_t i = 1; i < r->rec->nobjects; i++) {
		struct live *l = &r->live[i];
		const struct rec_arrival *a = l->rec->managed ? object_arrival(l->rec, l->wanted) : NULL;

		if (a && a->order < *order && !l->direct && (l->fd >= 0 || l->rec->listens)) {
			*order = a->order;
			first = l;
		}
	}
	return first;
}

/* Some more of the recording; false: there is no more, or no room for it. */
static bool read_on(struct replay *r)
{
	int n = 0;

	while (n < 1024 && recording_more(r->rec))
		n++;
	return n > 0;
}

bool peer_out_of_turn(struct replay *r)
{
	struct live *first;
	uint32_t order;

	do {
		while (!(first = first_owed(r, &order)))
			if (!peers_owe(r) || !read_on(r))
				return false;
		peer_release(r, first, first->wanted + 1);
	} while (first->deaf);
	/* It is due, only nobody who would be matched has asked for it. */
	if (!marks_are_made(r, order))
		r->v->out_of_turn++;
	return true;
}

/* ---- the fds at the start ----------------------------------------------- */

static int pipe_end(struct replay *r, struct live *l, bool guest_writes)
{
	int p[2];

	if (pipe2(p, O_CLOEXEC) < 0)
		return -errno;
	fcntl(p[!guest_writes], F_SETFL, O_NONBLOCK);
	if (guest_writes) {
		made(r, l, p[0]);
		return p[1];
	}
	made(r, l, p[1]);
	return p[0];
}

static int socket_end(struct replay *r, struct live *l)
{
	int sv[2], type = l->rec->o->type & 0xf;

	if (socketpair(AF_UNIX, (type ? type : SOCK_STREAM) | SOCK_CLOEXEC, 0, sv) < 0)
		return -errno;
	fcntl(sv[0], F_SETFL, O_NONBLOCK);
	made(r, l, sv[0]);
	return sv[1];
}

/* A listener that the program was started with: where it was, for its clients to find. */
static int listener_end(struct replay *r, struct live *l)
{
	const struct ev_object *o = l->rec->o;
	struct address at;
	int fd;

	if (!address_of(&o->local, &at) || (at.ss.ss_family == AF_UNIX && !is_abstract(&at)))
		return socket_end(r, l);
	fd = bound_socket(r, &at, o->type & 0xf ? o->type & 0xf : SOCK_STREAM);
	if (fd < 0)
		return fd;
	if (!(o->open_flags & O_NONBLOCK))
		fcntl(fd, F_SETFL, 0);
	if (listen(fd, SOMAXCONN) < 0) {
		int e = errno;

		close(fd);
		return -e;
	}
	return fd;
}

static int tty_end(struct replay *r, struct live *l)
{
	struct termios raw;
	int master, slave;

	if (openpty(&master, &slave, NULL, NULL, NULL) < 0)
		return -errno;
	/* What is said has been through the recorded terminal's line discipline; what the program asks of this one is served. */
	if (tcgetattr(slave, &raw) == 0) {
		cfmakeraw(&raw);
		tcsetattr(slave, TCSANOW, &raw);
	}
	fcntl(master, F_SETFL, O_NONBLOCK);
	fcntl(master, F_SETFD, FD_CLOEXEC);
	made(r, l, master);
	return slave;
}

static int file_end(struct replay *r, struct live *l, struct err *err)
{
	const struct ev_object *o = l->rec->o;
	char self[64];
	int again;

	_cleanup_fd_ int fd = memfd_create("inherited", MFD_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (files_content(r->rec, o->path ? o->path : "", fd, err) < 0) {
		if (err->code != ENOENT)
			return -err->code;
		*err = ERR_INIT;
		l->direct = true;
	}
	snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
	again = open(self, (int)(o->open_flags & (O_ACCMODE | O_APPEND | O_NONBLOCK)) | O_CLOEXEC);
	if (again >= 0)
		lseek(again, (off_t)o->offset, SEEK_SET);
	return again < 0 ? -errno : again;
}

static int start_end(struct replay *r, struct live *l, struct err *err)
{
	const struct ev_object *o = l->rec->o;
	int acc = (int)(o->open_flags & O_ACCMODE), fd;

	switch (o->kind) {
	case OBJ_PIPE:
		return pipe_end(r, l, acc == O_WRONLY);
	case OBJ_SOCKET:
		return l->rec->listens ? listener_end(r, l) : socket_end(r, l);
	case OBJ_TTY:
		return tty_end(r, l);
	case OBJ_FILE:
		return file_end(r, l, err);
	case OBJ_CHR:
		l->direct = true;
		if (o->nfds > 1)
			acc = O_RDWR;	/* they may have been opened one by one, each for its own use */
		fd = open(o->path && path_is_clean(o->path, strlen(o->path)) && strncmp(o->path, "/dev/", 5) == 0 ?
			  o->path : "/dev/null", acc | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
		return fd < 0 ? open("/dev/null", acc | O_CLOEXEC) : fd;
	default:
		l->direct = true;
		return open("/dev/null", acc | O_CLOEXEC);
	}
}

/* A FIFO that came to its end may begin again: whoever writes to it opens it anew, too. */
static void speak_again(struct replay *r, struct live *l)
{
	char link[64];
	int fd;

	if (l->rec->o->kind != OBJ_PIPE || !l->hung_up || l->fd >= 0)
		return;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", l->stand_in);
	fd = open(link, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return;
	l->hung_up = l->armed = false;
	made(r, l, fd);
}

int peer_opened(struct replay *r, struct live *l, int access)
{
	if (l->stand_in) {
		speak_again(r, l);
		return l->stand_in;
	}
	return l->rec->o->kind == OBJ_TTY ? tty_end(r, l) : pipe_end(r, l, access == O_WRONLY);
}

/* What an attached recorder found open, the program has opened itself, but for its standard streams. */
static bool is_given(const struct replay *r, const struct ev_object *o)
{
	bool standard = false;

	for (size_t i = 0; i < o->nfds; i++)
		standard |= o->fds[i] <= 2;
	return o->nfds && (standard || !r->rec->attached);
}

int peers_stdio(struct replay *r, struct sandbox_fd *fds, size_t *nfds, size_t max, struct err *err)
{
	*nfds = 0;
	for (size_t i = 1; i < r->rec->nobjects; i++) {
		struct live *l = &r->live[i];
		char name[160];
		struct stat st;
		int fd;

		if (!l->rec->o || !is_given(r, l->rec->o))
			continue;
		fd = start_end(r, l, err);
		if (fd < 0)
			return err->code ? -err->code : err_sys(err, -fd, "making %s for the program",
								outside_name(l->rec, name, sizeof(name)));
		/* A terminal's slave and a device are shared with others, their identity is the fd's all the same. */
		if (fstat(fd, &st) == 0 && !answers_by_itself(&st))
			object_bind(r, l, &st);
		for (size_t k = 0; k < l->rec->o->nfds && *nfds < max; k++)
			if (!r->rec->attached || l->rec->o->fds[k] <= 2)
				fds[(*nfds)++] = (struct sandbox_fd){ l->rec->o->fds[k], fd };
	}
	return 0;
}

void peers_unix_paths(struct replay *r)
{
	for (size_t i = 1; i < r->rec->nobjects; i++) {
		struct live *l = &r->live[i];
		struct address a;
		int fd;

		if (!l->rec->o || l->rec->o->kind != OBJ_SOCKET || l->rec->o->nfds ||
		    !address_of(&l->rec->o->remote, &a) || a.ss.ss_family != AF_UNIX || is_abstract(&a))
			continue;
		/* The name stays when its socket is closed; a connection makes a new one in its place. */
		fd = bound_socket(r, &a, l->rec->o->type & 0xf ? l->rec->o->type & 0xf : SOCK_STREAM);
		if (fd >= 0)
			close(fd);
	}
}

void peers_free(struct replay *r)
{
	for (size_t i = 1; i < r->rec->nobjects + r->nspare; i++) {
		if (r->live[i].fd >= 0)
			close(r->live[i].fd);
		free(r->live[i].content);
		talk_free(&r->live[i]);
		opening_free(&r->live[i]);
	}
}
