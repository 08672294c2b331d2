/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A server sends the same files over and over: small ones stay in memory for
 * as long as their inode has the change time of then.
 */
#include "recorder/blind.h"

#include "format/cleanup.h"
#include "format/io.h"
#include "format/sysdesc.h"
#include "recorder/files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

#define MAX_BLIND (256ll << 20)
enum {
	SLOTS = 64,
	SMALL = 256 << 10,	/* bytes of a file that is kept */
};

struct source {
	uint64_t ino;
	uint32_t dev;
	int64_t ctime;
	size_t len;
	uint8_t *data;		/* the whole file; NULL: the slot is free */
};

struct sources {
	struct source slots[SLOTS];
	uint8_t *part;		/* of a file that is not kept */
};

int sources_new(struct sources **ret, struct err *err)
{
	*ret = calloc(1, sizeof(**ret));
	return *ret ? 0 : err_set(err, ENOMEM, "out of memory");
}

void sources_free(struct sources *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < SLOTS; i++)
		free(s->slots[i].data);
	free(s->part);
	free(s);
}

static int64_t ctime_of(const struct stat *st)
{
	return st->st_ctim.tv_sec * 1000000000ll + st->st_ctim.tv_nsec;
}

/* The file at which the bytes can still be read. */
struct end {
	const struct rec_fd *fd;
	const struct rec_place *place;
	bool came;		/* they came from it; else they went there */
};

static bool find_end(struct end *ret, const struct rec_call *c, const struct parts *p)
{
	const struct rec_fd *in = c->h.flags & REC_F_TAKEN ? &c->fd : &c->fd2, *out = in == &c->fd ? &c->fd2 : &c->fd;
	const struct part *place = parts_find(p, REC_ARG_PLACE);

	if (!place || place->torn || place->len != sizeof(*ret->place))
		return false;
	ret->came = in->class == FDC_FILE;
	ret->fd = ret->came ? in : out;
	ret->place = (const void *)place->data;
	return true;
}

/* An overlay's inodes have other numbers inside the kernel than it tells of: there the change time decides. */
static bool is_end(const struct recording *r, const struct end *end, const struct stat *st)
{
	return r->opts->container ? ctime_of(st) == end->place->ctime : st->st_ino == end->fd->ino;
}

static int open_if_end(const struct recording *r, const struct end *end, const char *host, struct stat *st)
{
	_cleanup_fd_ int fd = open(host, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (fstat(fd, st) < 0 || !is_end(r, end, st))
		return -ESTALE;	/* another file has its name by now */
	return TAKE_FD(fd);
}

static int open_end(const struct recording *r, const struct end *end, const struct parts *p, struct stat *st)
{
	char path[PATH_MAX], host[PATH_MAX];
	int fd;

	if (!path_of_part(parts_find(p, REC_ARG_SOURCE), path) || file_host(r, path, host) < 0)
		return -ENOENT;
	fd = open_if_end(r, end, host, st);
	/* An image that was unpacked for us has times of its own. */
	if (fd < 0 && path_below(r->opts->rootfs, path, host) == 0)
		fd = open_if_end(r, end, host, st);
	return fd;
}

/* The whole file into @s; false: it is too large, or changed meanwhile. */
static bool keep(struct source *s, const struct end *end, int fd, const struct stat *st)
{
	size_t len = (size_t)st->st_size;
	struct stat after;

	if (st->st_size > SMALL || ctime_of(st) != end->place->ctime)
		return false;
	_cleanup_free_ uint8_t *data = malloc(len + 1);
	if (!data || io_pread(fd, data, len, 0) != (ssize_t)len || fstat(fd, &after) < 0 || ctime_of(&after) != end->place->ctime)
		return false;
	free(s->data);
	*s = (struct source){ .ino = end->fd->ino, .dev = end->fd->dev, .ctime = end->place->ctime, .len = len, .data = TAKE_PTR(data) };
	return true;
}

static bool holds(const struct source *s, const struct end *end, size_t n)
{
	return s->data && s->ino == end->fd->ino && s->dev == end->fd->dev && s->ctime == end->place->ctime &&
	       end->place->offset <= s->len && n <= s->len - end->place->offset;
}

/* The bytes; NULL: they are not to be had. */
static const uint8_t *read_end(struct recording *r, const struct end *end, const struct rec_call *c, const struct parts *p)
{
	struct source *s = &r->sources->slots[end->fd->ino % SLOTS];
	size_t n = (size_t)c->ret;
	struct stat st;

	if (end->came && holds(s, end, n))
		return s->data + end->place->offset;
	_cleanup_fd_ int fd = open_end(r, end, p, &st);
	if (fd < 0)
		return NULL;
	if (end->came && keep(s, end, fd, &st) && holds(s, end, n))
		return s->data + end->place->offset;
	free(r->sources->part);
	r->sources->part = malloc(n);
	if (!r->sources->part || io_pread(fd, r->sources->part, n, end->place->offset) != c->ret)
		return NULL;
	return r->sources->part;
}

void add_blind(struct recording *r, struct ev_call *e, const struct rec_call *c, const struct parts *p)
{
	const uint8_t *data = NULL;
	struct end end;

	if (c->h.flags & REC_F_TAKEN)
		e->flags |= CALL_TAKEN;
	if (c->ret <= 0)
		return;
	if (c->ret <= MAX_BLIND && find_end(&end, c, p))
		data = read_end(r, &end, c, p);
	if (data) {
		call_add_seg(e, c->nr == SYS_sendfile ? 2 : 1, 0, data, (size_t)c->ret);	/* the first that points at memory */
		return;
	}
	e->flags |= CALL_PARTIAL;
	emit_holef(r, "splice", "its bytes went from descriptor to descriptor without passing the program's memory",
		   "%s of task %u", sc_name(c->nr), r->task);
}
