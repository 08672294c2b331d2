/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which outside object does this fd lead to?  The kernel's own identity (the
 * inode) decides, so dup, fork and SCM_RIGHTS need no bookkeeping of ours.
 */
#include <linux/types.h>

#include "replayer/replay.h"

#include "format/cleanup.h"
#include "replayer/procs.h"
#include "replayer/timers.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/vfs.h>
#include <unistd.h>

static size_t bucket_of(dev_t dev, ino_t ino)
{
	return (size_t)((ino * 0x9e3779b97f4a7c15ull ^ dev) >> 13) % LIVE_BUCKETS;
}

void object_bind(struct replay *r, struct live *l, const struct stat *st)
{
	size_t b = bucket_of(st->st_dev, st->st_ino);

	if (l->bound)
		return;
	l->bound = true;
	l->dev = st->st_dev;
	l->ino = st->st_ino;
	l->chain = r->bucket[b];
	r->bucket[b] = l;
}

void object_unbind(struct replay *r, struct live *l)
{
	struct live **at = &r->bucket[bucket_of(l->dev, l->ino)];

	while (*at && *at != l)
		at = &(*at)->chain;
	if (*at)
		*at = l->chain;
	l->bound = false;
	l->chain = NULL;
}

static struct live *find(struct replay *r, dev_t dev, ino_t ino)
{
	for (struct live *l = r->bucket[bucket_of(dev, ino)]; l; l = l->chain)
		if (l->dev == dev && l->ino == ino)
			return l;
	return NULL;
}

struct live *object_of_inode(struct replay *r, dev_t dev, ino_t ino)
{
	struct live *l = find(r, dev, ino);

	return l && l->rec->inner ? NULL : l;
}

int guest_fd(pid_t tid, int fd)
{
	int pidfd, copy;

	/* PIDFD_THREAD is young: a thread that is no leader is reached through its leader, which shares the fds. */
	pidfd = (int)syscall(SYS_pidfd_open, tid, 0);
	if (pidfd < 0)
		return -errno;
	copy = (int)syscall(SYS_pidfd_getfd, pidfd, fd, 0);
	if (copy < 0)
		copy = -errno;
	close(pidfd);
	return copy;
}

static bool is_synthetic(struct replay *r, const struct stat *st, const char *link)
{
	struct statfs fs;
	bool yes;

	for (size_t i = 0; i < r->ndevs; i++)
		if (r->devs[i].dev == st->st_dev)
			return r->devs[i].synthetic;
	if (statfs(link, &fs) < 0)
		return false;
	switch ((unsigned long)fs.f_type) {
	case PROC_SUPER_MAGIC: case SYSFS_MAGIC: case CGROUP_SUPER_MAGIC: case CGROUP2_SUPER_MAGIC:
	case TRACEFS_MAGIC: case DEBUGFS_MAGIC: case SECURITYFS_MAGIC:
		yes = true;
		break;
	default:
		yes = false;
	}
	if (r->ndevs < sizeof(r->devs) / sizeof(r->devs[0])) {
		r->devs[r->ndevs].dev = st->st_dev;
		r->devs[r->ndevs++].synthetic = yes;
	}
	return yes;
}

static struct live *by_path(struct replay *r, enum obj_kind kind, const char *link, const struct stat *st)
{
	char path[4096];
	ssize_t n = readlink(link, path, sizeof(path) - 1);

	if (n <= 0)
		return NULL;
	path[n] = 0;
	for (size_t i = 0; i < r->npaths; i++) {
		const struct ev_object *o = r->rec->objects[r->paths[i]].o;

		if (o->kind != kind)
			continue;
		if (kind == OBJ_CHR ? o->rdev == st->st_rdev : o->path && strcmp(o->path, path) == 0) {
			struct live *l = &r->live[r->paths[i]];

			l->direct = true;
			return l;
		}
	}
	return NULL;
}

bool unrecorded_read(struct replay *r, struct call *c, int fd, const struct stat *st)
{
	char link[64], path[120];
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/%d/fd/%d", (int)c->t->tgid, fd);
	if (!S_ISREG(st->st_mode) || !is_synthetic(r, st, link))
		return false;
	n = readlink(link, path, sizeof(path) - 1);
	path[n > 0 ? n : 0] = 0;
	if (content_kept(r, c, path))
		return true;
	if (strncmp(path, "/proc/", 6) != 0 || path[6] < '0' || path[6] > '9')
		miss(r, "%s was not read when recorded: it tells of this machine", path);
	return false;
}

bool answers_by_itself(const struct stat *st)
{
	unsigned int n = minor(st->st_rdev);

	return S_ISCHR(st->st_mode) && major(st->st_rdev) == 1 && (n == 3 || n == 5 || n == 7);
}

static bool same_name(const struct bytes *a, const struct sockaddr_storage *ss, socklen_t len)
{
	return a->len == len && memcmp(a->data, ss, len) == 0;
}

/* An accepted connection whose client is inside: known by its addresses, which are the recorded ones. */
static void bind_inner(struct replay *r, int copy, const struct stat *st)
{
	struct sockaddr_storage local = { 0 }, remote = { 0 };
	socklen_t n = sizeof(local), m = sizeof(remote);

	if (getpeername(copy, (struct sockaddr *)&remote, &m) < 0 || getsockname(copy, (struct sockaddr *)&local, &n) < 0)
		return;
	for (size_t i = 1; i < r->rec->nobjects; i++) {
		const struct rec_object *o = &r->rec->objects[i];

		if (!o->inner || !o->o || !same_name(&o->o->local, &local, n) || !same_name(&o->o->remote, &remote, m))
			continue;
		object_bind(r, &r->live[i], st);
		return;
	}
}

/* Our peers' connections are known from their connect() or accept() on: another one has both ends inside, as socketpair() makes it. */
static bool is_connected(int fd, int family)
{
	struct sockaddr_storage peer;
	socklen_t len = sizeof(peer);

	return (family == AF_UNIX || family == AF_INET || family == AF_INET6) && getpeername(fd, (struct sockaddr *)&peer, &len) == 0;
}

/* None of a connection inside. */
static void socket_kind_of(struct replay *r, const struct call *c, int fd, const struct stat *st, struct socket_kind *kind)
{
	socklen_t len = sizeof(int);
	int family = 0;

	_cleanup_fd_ int copy = guest_fd(c->t->tgid, fd);
	if (copy < 0 || getsockopt(copy, SOL_SOCKET, SO_DOMAIN, &family, &len) < 0)
		return;
	if (is_connected(copy, family)) {
		if (r->rec->inner)
			bind_inner(r, copy, st);
		return;
	}
	kind->family = family;
	getsockopt(copy, SOL_SOCKET, SO_TYPE, &kind->type, &len);
	getsockopt(copy, SOL_SOCKET, SO_PROTOCOL, &kind->protocol, &len);
}

static bool has_name(pid_t tgid, int fd, const char *want)
{
	char link[64], name[64];
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/%d/fd/%d", tgid, fd);
	n = readlink(link, name, sizeof(name));
	return n == (ssize_t)strlen(want) && memcmp(name, want, (size_t)n) == 0;
}

bool is_signalfd(pid_t tgid, int fd)
{
	return has_name(tgid, fd, "anon_inode:[signalfd]");
}

bool leads_inside(struct replay *r, const struct call *c, int fd)
{
	struct socket_kind kind;
	struct stat st;

	return fd < 0 || (!object_of_fd(r, c, fd, &st, &kind) && st.st_mode && !kind.family &&
			  !has_name(c->t->tgid, fd, "anon_inode:[eventpoll]"));
}

struct live *object_of_fd(struct replay *r, const struct call *c, int fd, struct stat *st, struct socket_kind *kind)
{
	char link[64];
	struct stat own;
	struct live *l;

	if (!st)
		st = &own;
	if (kind)
		*kind = (struct socket_kind){ 0 };
	st->st_mode = 0;
	if (fd < 0)
		return NULL;
	if (procs_stat(r->procs, c->t->tid, fd, st) < 0) {
		st->st_mode = 0;
		return NULL;
	}
	l = find(r, st->st_dev, st->st_ino);
	if (l)
		return l->rec->inner ? NULL : l;
	if (r->timerfds && st->st_dev == r->anonymous && (l = timers_live(r, c->t->tgid, fd)))
		return l;
	if (S_ISSOCK(st->st_mode) && kind)
		socket_kind_of(r, c, fd, st, kind);
	snprintf(link, sizeof(link), "/proc/%d/fd/%d", c->t->tid, fd);
	if (S_ISREG(st->st_mode) && is_synthetic(r, st, link))
		return by_path(r, OBJ_SYNTH, link, st);
	if (S_ISCHR(st->st_mode) && !answers_by_itself(st))
		return by_path(r, OBJ_CHR, link, st);
	return NULL;
}

static const char *sockaddr_name(const struct bytes *a, char *buf, size_t len)
{
	char text[INET6_ADDRSTRLEN] = "?";
	struct sockaddr_storage ss = { 0 };

	memcpy(&ss, a->data, a->len < sizeof(ss) ? a->len : sizeof(ss));
	if (ss.ss_family == AF_INET) {
		struct sockaddr_in *in = (void *)&ss;

		inet_ntop(AF_INET, &in->sin_addr, text, sizeof(text));
		snprintf(buf, len, "%s:%u", text, ntohs(in->sin_port));
	} else if (ss.ss_family == AF_INET6) {
		struct sockaddr_in6 *in6 = (void *)&ss;

		inet_ntop(AF_INET6, &in6->sin6_addr, text, sizeof(text));
		snprintf(buf, len, "[%s]:%u", text, ntohs(in6->sin6_port));
	} else if (ss.ss_family == AF_UNIX) {
		struct sockaddr_un *un = (void *)&ss;
		bool abstract = a->len > 2 && !un->sun_path[0];

		snprintf(buf, len, "unix:%s%.100s", abstract ? "@" : "", un->sun_path + abstract);
	} else {
		snprintf(buf, len, "a socket of family %d", ss.ss_family);
	}
	return buf;
}

const char *outside_name(const struct rec_object *o, char *buf, size_t len)
{
	static const char *const std[] = { "stdin", "stdout", "stderr" };

	if (!o->o)
		return "an object that the capsule does not describe";
	for (size_t i = 0; i < o->o->nfds; i++)
		if (o->o->fds[i] >= 0 && o->o->fds[i] <= 2)
			return std[o->o->fds[i]];
	if (o->o->kind == OBJ_SOCKET && o->o->remote.len >= 2)
		return sockaddr_name(&o->o->remote, buf, len);
	if (o->o->kind == OBJ_SOCKET)
		snprintf(buf, len, "a socket of family %d", o->o->family);
	else if (o->o->path && o->o->path[0])
		snprintf(buf, len, "%s", o->o->path);
	else
		snprintf(buf, len, "object %u", o->o->id);
	return buf;
}
