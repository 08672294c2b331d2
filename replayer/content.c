/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Synthetic files: /proc, /sys, control groups.  What was read of them is in
 * the record, in its order.  But how often the threads of a runtime look into
 * one (Java asks for its memory limit every so many milliseconds) is chance:
 * beyond the record they find what was in it last.
 *
 * What we give moves the file's own position, too: so a reader that has just
 * opened it is told from one that goes on, and behind the end is the end.
 */
#include <linux/types.h>

#include "replayer/replay.h"

#include "format/cleanup.h"
#include "format/sysdesc.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { CONTENT_MAX = 1 << 20 };

bool is_content(const struct live *l)
{
	return l->rec->o && l->rec->o->kind == OBJ_SYNTH;
}

static bool has_offset(const struct call *c)
{
	return c->nr == SYS_pread64 || c->nr == SYS_preadv || c->nr == SYS_preadv2;
}

/* Where @c reads, moved on by @by; negative: the file has no positions. */
static int64_t position(const struct call *c, int64_t by)
{
	int64_t at;

	if (has_offset(c))
		return (int64_t)c->args[3];
	_cleanup_fd_ int copy = guest_fd(c->t->tgid, (int)c->args[0]);
	if (copy < 0)
		return -1;
	at = lseek(copy, 0, SEEK_CUR);
	if (at >= 0 && by > 0)
		lseek(copy, by, SEEK_CUR);
	return at;
}

void content_given(struct call *c, struct live *l, const void *data, size_t len)
{
	int64_t at = position(c, 0);
	uint8_t *bigger;

	if (at < 0 || (size_t)at > l->content_len || (size_t)at + len > CONTENT_MAX)
		return;
	bigger = realloc(l->content, (size_t)at + len + 1);
	if (!bigger)
		return;
	l->content = bigger;
	memcpy(l->content + at, data, len);
	l->content_len = (size_t)at + len;
}

/* From where it reads on. */
static bool give_from(struct call *c, const uint8_t *data, size_t len)
{
	struct guest_iov iov;
	uint64_t msghdr;
	int64_t at;
	size_t n;

	if (guest_iov_of(c->t->tid, c->nr, c->args, 0, &iov, &msghdr) < 0)
		return false;
	at = position(c, 0);
	if (at < 0)
		return false;
	n = (size_t)at < len ? len - (size_t)at : 0;
	c->ret = n ? guest_scatter(c->t->tid, &iov, (struct bytes){ data + at, n }) : 0;
	if (c->ret > 0)
		position(c, c->ret);
	return true;
}

bool content_kept(struct replay *r, struct call *c, const char *path)
{
	struct err none = ERR_INIT;
	uint8_t text[4096];
	ssize_t n;

	if (sc_table[c->nr].fate != SC_READ || !files_recorded(r->rec, path))
		return false;
	_cleanup_fd_ int copy = memfd_create("capsule", MFD_CLOEXEC);
	if (copy < 0 || files_content(r->rec, path, copy, &none) < 0)
		return false;
	n = pread(copy, text, sizeof(text), 0);
	r->v->served++;
	return n > 0 && give_from(c, text, (size_t)n);
}

bool content_again(struct replay *r, struct call *c, struct live *l)
{
	if (!l->content || !give_from(c, l->content, l->content_len))
		return false;
	r->v->between++;
	return true;
}
