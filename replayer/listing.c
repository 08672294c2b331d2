/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A directory's names, in the order in which they were recorded; names that are
 * there now and were not then come behind, sorted.  The place in the listing is
 * the kernel's own, the position of the open directory: so dup, fork and
 * rewinddir do what they always do.
 */
#include <linux/types.h>

#include "replayer/look.h"

#include "format/cleanup.h"
#include "format/sysdesc.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

struct entry {		/* struct linux_dirent64 */
	uint64_t ino, off;
	uint16_t reclen;
	uint8_t type;
	char name[];
} __attribute__((packed));
enum { HEAD = offsetof(struct entry, name), MAX_NAMES = 1 << 20 };

/* getdents has the name in the type's place, and the type behind all (struct linux_dirent). */
static bool is_old(unsigned int nr)
{
	return nr == SYS_getdents;
}

static size_t head_of(unsigned int nr)
{
	return is_old(nr) ? offsetof(struct entry, type) : HEAD;
}

struct name {
	uint64_t ino;
	uint8_t type;
	bool here;		/* it is there now */
	char text[NAME_MAX + 1];
};

struct listing {
	struct listing *next;
	dev_t dev;
	ino_t ino;
	struct name *names;
	size_t n, room;
};

/* ---- lists of names ---------------------------------------------------------------- */

static int add(struct listing *l, uint64_t ino, uint8_t type, const char *text, size_t len)
{
	struct name *bigger;

	if (len > NAME_MAX || l->n >= MAX_NAMES)
		return -EINVAL;
	if (l->n == l->room) {
		bigger = reallocarray(l->names, l->room ? 2 * l->room : 64, sizeof(*bigger));
		if (!bigger)
			return -ENOMEM;
		l->names = bigger;
		l->room = l->room ? 2 * l->room : 64;
	}
	l->names[l->n] = (struct name){ .ino = ino, .type = type };
	memcpy(l->names[l->n++].text, text, len);
	return 0;
}

/* The records of call @nr in @data; what is no whole record ends it. */
static int add_all(struct listing *l, unsigned int nr, const uint8_t *data, size_t size)
{
	const size_t head = head_of(nr);

	while (size > HEAD) {
		const struct entry *d = (const void *)data;
		const char *text = (const char *)data + head;
		size_t len;
		int e;

		if (d->reclen <= HEAD || d->reclen > size)
			return 0;
		len = strnlen(text, d->reclen - HEAD);
		e = len ? add(l, d->ino, is_old(nr) ? data[d->reclen - 1] : d->type, text, len) : 0;
		if (e < 0)
			return e;
		data += d->reclen;
		size -= d->reclen;
	}
	return 0;
}

static int read_names(struct listing *l, int fd)
{
	_Alignas(8) uint8_t buf[32768];
	long n;
	int e = 0;

	while (e == 0 && (n = syscall(SYS_getdents64, fd, buf, sizeof(buf))) > 0)
		e = add_all(l, SYS_getdents64, buf, (size_t)n);
	return e;
}

static int by_text(const void *a, const void *b)
{
	return strcmp(((const struct name *)a)->text, ((const struct name *)b)->text);
}

/* "." and ".." sort before other names, but for a few. */
static struct name *find(const struct listing *sorted, const char *text)
{
	struct name key;

	memcpy(key.text, text, strlen(text) + 1);
	return sorted->n ? bsearch(&key, sorted->names, sorted->n, sizeof(key), by_text) : NULL;
}

/* Keeps those of @l that @now has; a synthetic directory has what it had. */
static void keep_what_is_there(struct listing *l, const struct listing *now)
{
	size_t n = 0;

	for (size_t i = 0; i < l->n; i++) {
		struct name *here = find(now, l->names[i].text);

		if (!here)
			continue;
		here->here = true;
		l->names[n++] = l->names[i];
	}
	l->n = n;
}

/* What @now has and @l has not. */
static int add_what_is_new(struct replay *r, struct listing *l, const struct listing *now, int dir)
{
	for (size_t i = 0; i < now->n; i++) {
		struct name *more = &now->names[i];
		struct statx st;
		uint64_t ino;
		int e;

		if (more->here)
			continue;
		ino = statx(dir, more->text, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, STATX_INO, &st) == 0 ? facts_inode(r, &st) : more->ino;
		e = add(l, ino, more->type, more->text, strlen(more->text));
		if (e < 0)
			return e;
	}
	return 0;
}

/* ---- of an open directory -------------------------------------------------------------- */

static struct listing *listing_of(struct replay *r, const struct stat *st)
{
	struct listing *l = r->listings;

	while (l && (l->dev != st->st_dev || l->ino != st->st_ino))
		l = l->next;
	if (l)
		return l;
	l = calloc(1, sizeof(*l));
	if (!l)
		return NULL;
	l->dev = st->st_dev;
	l->ino = st->st_ino;
	l->next = r->listings;
	r->listings = l;
	return l;
}

/* The directory is read from its start. */
static int begin(struct replay *r, const struct call *c, struct ask *a, struct listing *l)
{
	struct listing now = { 0 };
	char link[64];
	int e;

	l->n = 0;
	ask_record(r, c, a);
	if (a->then && add_all(l, a->then->nr, a->then->data, a->then->len) < 0)
		return -ENOMEM;
	if (a->then && a->then->whole)
		return 0;
	snprintf(link, sizeof(link), "/proc/%d/fd/%d", c->t->tid, a->fd);
	_cleanup_fd_ int dir = open(link, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return -errno;
	e = read_names(&now, dir);
	if (e == 0) {
		qsort(now.names, now.n, sizeof(*now.names), by_text);
		keep_what_is_there(l, &now);
		e = add_what_is_new(r, l, &now, dir);
	}
	free(now.names);
	return e;
}

/* As many names from @at on as find room; the number of bytes, or -errno. @at: moved behind them. */
static int64_t give(const struct call *c, const struct listing *l, size_t *at)
{
	size_t room = (uint32_t)c->args[2] < 65536 ? (uint32_t)c->args[2] : 65536, done = 0;

	_cleanup_free_ uint8_t *buf = calloc(1, room + 1);
	if (!buf)
		return -ENOMEM;
	while (*at < l->n) {
		const struct name *name = &l->names[*at];
		size_t text = strlen(name->text) + 1, len = (HEAD + text + 7) & ~(size_t)7;	/* with the old one's type, as much */
		struct entry *d = (void *)(buf + done);

		if (done + len > room)
			break;
		d->ino = name->ino;
		d->off = ++*at;
		d->reclen = (uint16_t)len;
		if (is_old(c->nr))
			buf[done + len - 1] = name->type;
		else
			d->type = name->type;
		memcpy(buf + done + head_of(c->nr), name->text, text);
		done += len;
	}
	if (!done && *at < l->n)
		return -EINVAL;
	return guest_write(c->t->tid, c->args[1], buf, done) < 0 ? -EFAULT : (int64_t)done;
}

bool listing_answer(struct replay *r, struct call *c, struct ask *a)
{
	struct listing *l;
	struct stat st;
	off_t position;
	size_t at;

	_cleanup_fd_ int dir = guest_fd(c->t->tgid, a->fd);
	if (dir < 0 || fstat(dir, &st) < 0 || !S_ISDIR(st.st_mode))
		return false;
	position = lseek(dir, 0, SEEK_CUR);
	l = listing_of(r, &st);
	if (!l || position < 0)
		return false;
	if (position == 0 && begin(r, c, a, l) < 0)
		return false;
	at = (size_t)position;
	c->ret = give(c, l, &at);
	if (c->ret > 0 && lseek(dir, (off_t)at, SEEK_SET) < 0)
		c->ret = -errno;
	r->v->served++;
	return true;
}

void listing_free(struct replay *r)
{
	while (r->listings) {
		struct listing *next = r->listings->next;

		free(r->listings->names);
		free(r->listings);
		r->listings = next;
	}
}
