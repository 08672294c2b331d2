/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes that go from one descriptor to another inside the kernel, where the replay's kernel would not move them, or others. */
#include <linux/types.h>

#include "replayer/replay.h"

#include "format/cleanup.h"
#include "format/sysdesc.h"

#include <errno.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

struct copy {
	int in, out;			/* copies of the guest's descriptors */
	uint64_t in_at, out_at;		/* where its offsets lie; 0: the descriptor's own position */
	int64_t in_off, out_off;	/* they; -1: none */
	uint64_t count;
};

static int64_t offset_of(const struct call *c, uint64_t at)
{
	int64_t off = -1;

	return at && guest_read(c->t->tid, at, &off, sizeof(off)) < 0 ? -EFAULT : off;
}

static bool begin(const struct call *c, struct copy *ret)
{
	bool file = c->nr == SYS_sendfile;

	*ret = (struct copy){
		.in = guest_fd(c->t->tgid, (int)c->args[file ? 1 : 0]),
		.out = guest_fd(c->t->tgid, out_fd(c)),
		.in_at = c->args[file ? 2 : 1],
		.out_at = file ? 0 : c->args[3],
		.count = c->args[file ? 3 : 4],
	};
	ret->in_off = offset_of(c, ret->in_at);
	ret->out_off = offset_of(c, ret->out_at);
	return ret->in >= 0 && ret->out >= 0 && ret->in_off >= -1 && ret->out_off >= -1;
}

static void end(struct copy *k)
{
	if (k->in >= 0)
		close(k->in);
	if (k->out >= 0)
		close(k->out);
}

/* @n bytes came from there: the position is behind them. */
static void advance(const struct call *c, int fd, uint64_t at, int64_t off, size_t n)
{
	if (at) {
		off += (int64_t)n;
		guest_write(c->t->tid, at, &off, sizeof(off));
	} else {
		lseek(fd, (off_t)n, SEEK_CUR);
	}
}

static ssize_t put(const struct copy *k, const uint8_t *data, size_t len, int64_t off)
{
	size_t done = 0;

	while (done < len) {
		ssize_t n = off < 0 ? write(k->out, data + done, len - done) :
				      pwrite(k->out, data + done, len - done, (off_t)off + (off_t)done);

		if (n <= 0)
			return done ? (ssize_t)done : -errno;
		done += (size_t)n;
	}
	return (ssize_t)done;
}

bool copy_taken(struct replay *r, struct call *c)
{
	struct socket_kind kind;
	struct live *l = object_of_fd(r, c, (int)c->args[c->nr == SYS_sendfile ? 1 : 0], NULL, &kind);
	const struct rec_call *rc;
	struct bytes b;
	struct copy k;
	ssize_t n;

	rc = l ? match_call(r, c, l, &kind) : NULL;
	if (!rc)
		return false;
	c->ret = rc->call->ret;
	if (c->ret <= 0)
		return true;
	b = call_payload(r->rec, rc->call);
	if (b.len != (size_t)c->ret)
		return false;	/* a hole, which is told */
	n = begin(c, &k) ? put(&k, b.data, b.len, k.out_off) : -EFAULT;
	if (n >= 0) {
		if (!l->direct || k.in_at)
			advance(c, k.in, k.in_at, k.in_off, (size_t)n);
		if (k.out_at)
			advance(c, k.out, k.out_at, k.out_off, (size_t)n);
	}
	end(&k);
	c->ret = n;
	r->v->served++;
	return true;
}

/* As copy_file_range() does it on one file system: up to @k->count bytes, or the end of the file. */
static int64_t by_hand(struct copy *k)
{
	uint64_t done = 0;

	_cleanup_free_ uint8_t *buf = malloc(1 << 20);
	if (!buf)
		return -ENOMEM;
	while (done < k->count && done < SC_MAX_RW) {
		size_t want = k->count - done < 1 << 20 ? (size_t)(k->count - done) : 1 << 20;
		ssize_t n = pread(k->in, buf, want, (off_t)(k->in_off + (int64_t)done)), put_in;

		if (n < 0 && !done)
			return -errno;
		if (n <= 0)
			break;
		put_in = put(k, buf, (size_t)n, k->out_off < 0 ? -1 : k->out_off + (int64_t)done);
		if (put_in < 0 && !done)
			return put_in;
		if (put_in < n)
			return (int64_t)done + (put_in > 0 ? put_in : 0);
		done += (uint64_t)n;
	}
	return (int64_t)done;
}

void copy_between(struct call *c)
{
	struct copy k;

	/* Of no bytes the kernel tells, too, that it won't. */
	if (!begin(c, &k) || c->args[5] || copy_file_range(k.in, NULL, k.out, NULL, 0, 0) >= 0 || errno != EXDEV) {
		end(&k);
		return;
	}
	if (!k.in_at)
		k.in_off = lseek(k.in, 0, SEEK_CUR);
	if (k.in_off >= 0) {
		c->ret = by_hand(&k);
		c->cont = false;
		c->t->blocked = false;
	}
	if (c->ret > 0) {
		advance(c, k.in, k.in_at, k.in_off, (size_t)c->ret);
		if (k.out_at)
			advance(c, k.out, k.out_at, k.out_off, (size_t)c->ret);
	}
	end(&k);
}
