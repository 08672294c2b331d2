/* SPDX-License-Identifier: Apache-2.0 */
#include "recorder/objects.h"

#include "format/cleanup.h"
#include "recorder/map.h"
#include "recorder/proc.h"
#include "recorder/tasks.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/sysmacros.h>

struct object {
	uint32_t id;
	uint8_t class;		/* enum fd_class */
	uint8_t kind;		/* enum obj_kind */
	uint16_t family, type, protocol;
	uint8_t local[REC_ADDR_MAX], remote[REC_ADDR_MAX];
	uint16_t local_len, remote_len;
	char *path;
	uint64_t rdev;
	uint32_t open_flags;
	uint64_t offset;
	int32_t *fds;
	size_t nfds;
	uint64_t ino;
	uint32_t dev;
	bool gone;		/* nobody had it open at the last sweep */
	struct object *next;	/* of all, in order of appearance */
};

struct objects {
	struct map by_inode;	/* (dev, ino), or (BY_RDEV, device number) → struct object */
	struct map by_id;
	struct map by_ends;	/* hash of both addresses → struct object, of internet sockets */
	struct object *first, **end;
	uint32_t last;
};

#define BY_RDEV UINT64_MAX

static void tell(struct recording *r, const struct object *o)
{
	struct event e = { .kind = EV_OBJECT };

	e.object = (struct ev_object){
		.id = o->id, .kind = o->kind, .family = o->family, .type = o->type, .protocol = o->protocol,
		.local = { o->local, o->local_len }, .remote = { o->remote, o->remote_len },
		.path = o->path ? o->path : "", .rdev = o->rdev, .open_flags = o->open_flags, .offset = o->offset,
		.nfds = o->nfds, .fds = o->fds,
	};
	emit(r, &e);
}

static bool is_terminal(uint32_t dev)
{
	unsigned int major = dev >> 20;	/* the kernel's own form */

	return major == 4 || major == 5 || (major >= 136 && major <= 143);
}

static uint8_t kind_of(const struct rec_fd *fd)
{
	switch (fd->class) {
	case FDC_SOCK:
		return OBJ_SOCKET;
	case FDC_PIPE: case FDC_FIFO:
		return OBJ_PIPE;
	case FDC_CHR:
		return is_terminal(fd->rdev) ? OBJ_TTY : OBJ_CHR;
	case FDC_NULL:
		return OBJ_CHR;
	case FDC_SYNTH:
		return OBJ_SYNTH;
	case FDC_FILE:
		return OBJ_FILE;
	}
	return OBJ_OTHER;
}

static bool is_device(const struct rec_fd *fd)
{
	return fd->class == FDC_CHR || fd->class == FDC_NULL;
}

static struct object *find(const struct objects *os, const struct rec_fd *fd)
{
	struct object *o = is_device(fd) ? map_get(&os->by_inode, BY_RDEV, fd->rdev) :
					   map_get(&os->by_inode, fd->dev, fd->ino);

	return o && o->class == fd->class ? o : NULL;	/* numbers of inodes are given again */
}

static int enter(struct objects *os, const struct rec_fd *fd, struct object *o)
{
	return is_device(fd) ? map_put(&os->by_inode, BY_RDEV, fd->rdev, o) :
			       map_put(&os->by_inode, fd->dev, fd->ino, o);
}

static struct object *make(struct objects *os, const struct rec_fd *fd)
{
	_cleanup_free_ struct object *o = calloc(1, sizeof(*o));

	if (!o)
		return NULL;
	o->class = fd->class;
	o->kind = kind_of(fd);
	o->ino = fd->ino;
	o->dev = fd->dev;
	if (is_device(fd))	/* as stat() gives it */
		o->rdev = makedev(fd->rdev >> 20, fd->rdev & 0xfffff);
	if (fd->class == FDC_TIMER && !(o->path = strdup("anon_inode:[timerfd]")))
		return NULL;
	o->id = os->last + 1;
	if (enter(os, fd, o) < 0)
		return NULL;
	if (map_put(&os->by_id, o->id, 0, o) < 0) {
		map_take(&os->by_inode, is_device(fd) ? BY_RDEV : fd->dev, is_device(fd) ? fd->rdev : fd->ino);
		return NULL;
	}
	os->last++;
	*os->end = o;
	os->end = &o->next;
	return TAKE_PTR(o);
}

const struct rec_sock *sock_of(const struct parts *p, const struct rec_fd *fd)
{
	for (size_t i = 0; p && i < p->nsocks; i++)
		if (p->sock[i].ino == fd->ino && p->sock[i].dev == fd->dev)
			return &p->sock[i];
	return NULL;
}

static bool is_new_address(const uint8_t *old, uint16_t old_len, const uint8_t *new, uint16_t len)
{
	return len > sizeof(sa_family_t) && (len != old_len || memcmp(old, new, len) != 0);
}

/* What became known stays known: a closed connection has no far end any more, and had one. */
static bool learn(struct object *o, const struct rec_sock *s)
{
	bool news = false;

	if (!s)
		return false;
	news = o->family != s->family || o->type != s->type || o->protocol != s->protocol;
	o->family = s->family;
	o->type = s->type;
	o->protocol = s->protocol;
	if (is_new_address(o->local, o->local_len, s->local, s->local_len)) {
		memcpy(o->local, s->local, s->local_len);
		o->local_len = s->local_len;
		news = true;
	}
	if (is_new_address(o->remote, o->remote_len, s->remote, s->remote_len)) {
		memcpy(o->remote, s->remote, s->remote_len);
		o->remote_len = s->remote_len;
		news = true;
	}
	return news;
}

static uint64_t address_hash(const uint8_t *p, size_t len)
{
	uint64_t h = 0xcbf29ce484222325ull;

	for (size_t i = 0; i < len; i++)
		h = (h ^ p[i]) * 0x100000001b3ull;
	return h;
}

static bool are_two_ends(const struct object *a, const struct object *b)
{
	return a->type == b->type && a->local_len == b->remote_len && a->remote_len == b->local_len &&
	       memcmp(a->local, b->remote, a->local_len) == 0 && memcmp(a->remote, b->local, a->remote_len) == 0;
}

static void set_inner(struct recording *r, struct object *a, struct object *b)
{
	a->kind = b->kind = OBJ_INNER;
	tell(r, a);
	tell(r, b);
}

/* Unix sockets at the client's end have no name; the kernel knows which is at the other end. */
static void look_for_far_end(struct recording *r, struct object *o, const struct rec_fd *fd, const struct rec_sock *s)
{
	struct object *other = s && s->far_ino ? map_get(&r->objects->by_inode, fd->dev, s->far_ino) : NULL;

	if (other && other != o && o->kind == OBJ_SOCKET && other->kind == OBJ_SOCKET && other->family == AF_UNIX &&
	    other->type != SOCK_DGRAM)
		set_inner(r, other, o);
}

/* Both ends of a connection were seen: it is the scope's own. */
static void look_for_other_end(struct recording *r, struct object *o)
{
	uint64_t here = address_hash(o->local, o->local_len), there = address_hash(o->remote, o->remote_len);
	struct object *other;

	if ((o->family != AF_INET && o->family != AF_INET6) || !o->local_len || !o->remote_len || o->kind == OBJ_INNER)
		return;
	other = map_get(&r->objects->by_ends, there, here);
	if (other && other != o && other->kind != OBJ_INNER && are_two_ends(o, other)) {
		set_inner(r, other, o);
	} else if (map_put(&r->objects->by_ends, here, there, o) < 0) {
		emit_holef(r, "memory", "the recorder has no memory to find the other end of a connection", "object %u", o->id);
	}
}

uint32_t object_of(struct recording *r, const struct rec_fd *fd, const struct parts *p)
{
	struct object *o;
	bool news;

	if (!fd->outside)
		return 0;
	o = find(r->objects, fd);
	news = !o;
	if (!o)
		o = make(r->objects, fd);
	if (!o)
		return 0;
	news |= learn(o, sock_of(p, fd));
	if (news) {
		tell(r, o);
		look_for_other_end(r, o);
	}
	look_for_far_end(r, o, fd, sock_of(p, fd));
	return o->id;
}

static bool set_path(struct object *o, const char *path)
{
	if (o->path || !path || !*path)
		return false;
	o->path = strdup(path);
	return o->path;
}

/* A file of /proc is the same object however often its inode is made anew. */
static struct object *by_path(const struct objects *os, const struct rec_fd *fd, const char *path)
{
	for (struct object *o = os->first; o; o = o->next)
		if (o->class == fd->class && o->path && strcmp(o->path, path) == 0)
			return o;
	return NULL;
}

uint32_t object_opened(struct recording *r, const struct rec_fd *fd, const char *path, bool inner)
{
	struct object *o = fd->class == FDC_SYNTH ? by_path(r->objects, fd, path) : find(r->objects, fd);
	bool news = !o;

	if (o && enter(r->objects, fd, o) < 0)
		return 0;
	if (!o)
		o = make(r->objects, fd);
	if (!o)
		return 0;
	news |= set_path(o, path);
	if (inner && o->kind != OBJ_INNER) {
		o->kind = OBJ_INNER;
		news = true;
	}
	if (news)
		tell(r, o);
	return o->id;
}

/* One object may be open several times: for all that any of them may do. */
static uint32_t merge_flags(uint32_t a, uint32_t b)
{
	uint32_t mode = (a & O_ACCMODE) == (b & O_ACCMODE) ? a & O_ACCMODE : O_RDWR;

	return mode | ((a | b) & (O_APPEND | O_NONBLOCK));
}

static int add_fd(struct object *o, const struct rec_fdinfo *f)
{
	int32_t *fds;

	fds = reallocarray(o->fds, o->nfds + 1, sizeof(*fds));
	if (!fds)
		return -ENOMEM;
	o->open_flags = merge_flags(o->nfds ? o->open_flags : f->what.flags, f->what.flags);
	o->fds = fds;
	o->fds[o->nfds++] = f->fd;
	o->offset = f->pos;
	return 0;
}

/* NULL: no memory. */
static struct object *found_open(struct recording *r, const struct rec_fdinfo *f, const char *path, const struct parts *p)
{
	struct object *o = find(r->objects, &f->what);

	if (!o)
		o = make(r->objects, &f->what);
	if (!o || (f->fd >= 0 && add_fd(o, f) < 0))
		return NULL;
	set_path(o, path);
	learn(o, sock_of(p, &f->what));
	return o;
}

int object_inherited(struct recording *r, const struct rec_fdinfo *f, const char *path, const struct parts *p)
{
	return found_open(r, f, path, p) ? 0 : -ENOMEM;
}

int object_here(struct recording *r, const struct rec_fdinfo *f, const char *path, const struct parts *p)
{
	struct object *o = found_open(r, f, path, p);

	if (!o)
		return -ENOMEM;
	if (f->what.class == FDC_PIPE && !f->what.outside)
		o->kind = OBJ_INNER;
	look_for_other_end(r, o);
	look_for_far_end(r, o, &f->what, sock_of(p, &f->what));
	return 0;
}

void objects_tell_inherited(struct recording *r)
{
	for (struct object *o = r->objects->first; o; o = o->next)
		tell(r, o);
}

void object_meant(struct recording *r, uint32_t id, const void *addr, size_t len)
{
	struct object *o = map_get(&r->objects->by_id, id, 0);

	if (!o || o->remote_len || len <= sizeof(sa_family_t) || len > sizeof(o->remote))
		return;
	memcpy(o->remote, addr, len);
	o->remote_len = len;
	tell(r, o);
}

bool object_is_inner(const struct recording *r, uint32_t id)
{
	const struct object *o = map_get(&r->objects->by_id, id, 0);

	return o && o->kind == OBJ_INNER;
}

bool object_is_there(const struct recording *r, uint32_t id)
{
	return map_get(&r->objects->by_id, id, 0);
}

bool object_is_datagram(const struct recording *r, uint32_t id)
{
	const struct object *o = map_get(&r->objects->by_id, id, 0);

	return o && o->kind == OBJ_SOCKET && o->type == SOCK_DGRAM;
}

/* ---- sweeping -------------------------------------------------------------------- */

static void see_open(void *ctx, pid_t pid, int fd, const struct stat *st, int flags)
{
	(void)pid, (void)fd, (void)flags;
	if (S_ISSOCK(st->st_mode) || S_ISFIFO(st->st_mode))
		map_put(ctx, st->st_ino, 0, ctx);
}

static void see_task(void *ctx, const struct task *t)
{
	if (t->tid == t->tgid)
		proc_each_open((pid_t)t->tgid, see_open, ctx);
}

static void forget(struct objects *os, struct object *o)
{
	uint64_t here = address_hash(o->local, o->local_len), there = address_hash(o->remote, o->remote_len);

	if (map_get(&os->by_inode, o->dev, o->ino) == o)
		map_take(&os->by_inode, o->dev, o->ino);
	map_take(&os->by_id, o->id, 0);
	if (map_get(&os->by_ends, here, there) == o)
		map_take(&os->by_ends, here, there);
	free(o->path);
	free(o->fds);
	free(o);
}

/* Twice not open: what was told of it may have been in the ring yet at the first time. */
void objects_sweep(struct recording *r, bool (*keep)(void *ctx, uint32_t object), void *ctx)
{
	struct objects *os = r->objects;
	struct object **at = &os->first, *o;
	struct map open = { 0 };

	tasks_each(r->tasks, see_task, &open);
	while ((o = *at)) {
		bool closed = (o->class == FDC_SOCK || o->class == FDC_PIPE) && !map_get(&open, o->ino, 0);

		if (closed && o->gone && !keep(ctx, o->id)) {
			*at = o->next;
			forget(os, o);
			continue;
		}
		o->gone = closed;
		at = &o->next;
	}
	os->end = at;
	map_clear(&open);
}

int objects_new(struct objects **ret, struct err *err)
{
	*ret = calloc(1, sizeof(**ret));
	if (!*ret)
		return err_set(err, ENOMEM, "out of memory");
	(*ret)->end = &(*ret)->first;
	return 0;
}

void objects_free(struct objects *os)
{
	if (!os)
		return;
	for (struct object *o = os->first, *next; o; o = next) {
		next = o->next;
		free(o->path);
		free(o->fds);
		free(o);
	}
	map_clear(&os->by_inode);
	map_clear(&os->by_id);
	map_clear(&os->by_ends);
	free(os);
}
