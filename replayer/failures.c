/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Calls on what is the guest's own, files for the most part, that the recording
 * machine did not let through, or not as a whole: a full disk, a failing one, a
 * missing right.  They come to the same here, where the program makes them.
 */
#include <linux/types.h>

#include "replayer/replay.h"

#include "format/cleanup.h"
#include "format/sysdesc.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

/* A write that took part of what it was given, into the file. */
static int64_t write_part(struct call *c, size_t len)
{
	_cleanup_free_ uint8_t *data = NULL;
	struct guest_iov iov;
	size_t n = 0;
	ssize_t e;

	_cleanup_fd_ int fd = guest_fd(c->t->tgid, (int)c->args[0]);
	if (fd < 0)
		return fd;
	e = guest_iov_of(c->t->tid, c->nr, c->args, 0, &iov, NULL);
	if (e == 0)
		e = guest_gather(c->t->tid, &iov, len, &data, &n);
	if (e < 0)
		return e;
	e = c->nr == SYS_pwrite64 ? pwrite(fd, data, n, (off_t)c->args[3]) : write(fd, data, n);
	return e < 0 ? -errno : e;
}

/* A read that got part of what is there. */
static int64_t read_part(struct call *c, size_t len)
{
	struct guest_iov iov;
	uint64_t none;
	ssize_t n = guest_iov_of(c->t->tid, c->nr, c->args, 0, &iov, &none);

	if (n < 0)
		return n;
	if (len > iov.total)
		len = iov.total;
	if (len > GUEST_MAX_CALL)
		len = GUEST_MAX_CALL;
	_cleanup_fd_ int fd = guest_fd(c->t->tgid, (int)c->args[0]);
	if (fd < 0)
		return fd;
	_cleanup_free_ uint8_t *data = malloc(len ? len : 1);
	if (!data)
		return -ENOMEM;
	n = c->nr == SYS_pread64 ? pread(fd, data, len, (off_t)c->args[3]) : read(fd, data, len);
	return n < 0 ? -errno : guest_scatter(c->t->tid, &iov, (struct bytes){ data, (size_t)n });
}

bool answer_failure(struct replay *r, struct call *c)
{
	const struct rec_call *rc = match_call(r, c, NULL, NULL);

	if (!rc)
		return false;
	c->ret = rc->call->ret;
	if (sc_got_none(c->nr, c->args[0], c->ret))
		;	/* brk() says so with an address */
	else if (c->ret > 0 && sc_table[c->nr].fate == SC_READ)
		c->ret = read_part(c, (size_t)c->ret);
	else if (c->ret >= 0)
		c->ret = write_part(c, (size_t)c->ret);
	r->v->served++;
	return true;
}

void answer_inside(struct replay *r, struct call *c, const struct stat *st)
{
	bool failed = false;

	if (r->rec->failures && S_ISREG(st->st_mode)) {
		failed = answer_failure(r, c);
		if (sc_table[c->nr].fate == SC_READ)
			c->t->file_reads++;
		else
			c->t->file_writes++;
	}
	if (!failed)
		call_go_on(c, true);
}
