/* SPDX-License-Identifier: Apache-2.0 */
/* What the guest gives to outside fds: taken from its memory, compared, and answered as it was then. */
#include <linux/types.h>

#include "replayer/replay.h"

#include "format/cleanup.h"
#include "format/io.h"
#include "format/sysdesc.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

/* sendfile, splice, copy_file_range: the bytes come from another fd of the guest's and pass through no memory of its own. */
static bool is_blind(const struct call *c)
{
	return c->nr == SYS_sendfile || c->nr == SYS_splice || c->nr == SYS_copy_file_range;
}

int out_fd(const struct call *c)
{
	return (int)c->args[is_blind(c) && c->nr != SYS_sendfile ? 2 : 0];
}

/* At most @count bytes; what is read is gone from the fd, so no more is read than the call takes. */
static int gather_from_fd(struct call *c, uint64_t count, uint8_t **data, size_t *len)
{
	bool file = c->nr == SYS_sendfile;
	int in = (int)c->args[file ? 1 : 0];
	uint64_t off_addr = c->args[file ? 2 : 1];
	size_t want = count < GUEST_MAX_CALL ? count : GUEST_MAX_CALL;
	int64_t off = -1;
	ssize_t n;
	int room;

	_cleanup_fd_ int fd = guest_fd(c->t->tgid, in);
	if (fd < 0)
		return fd;
	if (off_addr && guest_read(c->t->tid, off_addr, &off, sizeof(off)) < 0)
		return -EFAULT;
	/* A pipe that is empty would block us instead of the guest. */
	if (off < 0 && lseek(fd, 0, SEEK_CUR) < 0 && ioctl(fd, FIONREAD, &room) == 0 && (size_t)room < want) {
		struct pollfd p = { .fd = fd, .events = POLLIN };

		want = (size_t)room;
		if (!want)
			return poll(&p, 1, 0) > 0 && (p.revents & POLLHUP) ? 0 : -EAGAIN;
	}
	_cleanup_free_ uint8_t *buf = malloc(want ? want : 1);
	if (!buf)
		return -ENOMEM;
	if (off >= 0) {
		n = io_pread(fd, buf, want, (uint64_t)off);
		off += n > 0 ? n : 0;
		guest_write(c->t->tid, off_addr, &off, sizeof(off));
	} else {
		n = read(fd, buf, want);
		if (n < 0)
			n = -errno;
	}
	if (n < 0)
		return (int)n;
	*data = TAKE_PTR(buf);
	*len = (size_t)n;
	return 0;
}

/* From a /proc file or a device: this machine's has other bytes, so the recorded ones go. */
static int gather_recorded(struct replay *r, const struct rec_call *rc, uint8_t **data, size_t *len)
{
	struct bytes b = call_payload(r->rec, rc->call);

	*data = malloc(b.len + 1);
	if (!*data)
		return -ENOMEM;
	if (b.len)
		memcpy(*data, b.data, b.len);
	*len = b.len;
	return 0;
}

static int in_fd(const struct call *c)
{
	return (int)c->args[c->nr == SYS_sendfile ? 1 : 0];
}

static bool from_outside(struct replay *r, const struct call *c)
{
	struct live *l = object_of_fd(r, c, in_fd(c), NULL, NULL);

	return l && l->direct;
}

static int gather(struct replay *r, struct call *c, const struct rec_call *rc, unsigned int index, uint8_t **data,
		  size_t *len)
{
	struct guest_iov iov;
	uint64_t count;
	int e;

	if (is_blind(c)) {
		if (rc && from_outside(r, c))
			return gather_recorded(r, rc, data, len);
		count = c->args[c->nr == SYS_sendfile ? 3 : 4];
		return gather_from_fd(c, rc && (uint64_t)rc->call->ret < count ? (uint64_t)rc->call->ret : count, data, len);
	}
	e = guest_iov_of(c->t->tid, c->nr, c->args, index, &iov, NULL);
	if (e < 0)
		return e;
	return guest_gather(c->t->tid, &iov, GUEST_MAX_CALL, data, len);
}

int write_words(struct replay *r, struct call *c, uint8_t **data, size_t *len)
{
	return is_blind(c) ? -EINVAL : gather(r, c, NULL, 0, data, len);
}

/* The guest's stdout and stderr are the replay's own. */
static void pass_on(struct replay *r, const struct live *l, int fd, const uint8_t *data, size_t len)
{
	const struct ev_object *o = l->rec->o;
	bool out = false, error = false;

	if (!o || !o->nfds)
		return;
	for (size_t i = 0; i < o->nfds; i++) {
		out |= o->fds[i] == 1;
		error |= o->fds[i] == 2;
	}
	if ((out || error) && !r->opts->silent)
		(void)io_write(r->stdio[error && (fd == 2 || !out) ? 2 : 1], data, len);
}

static void raise_sigpipe(struct call *c)
{
	bool quiet = (c->nr == SYS_sendto && (c->args[3] & MSG_NOSIGNAL)) ||
		     (c->nr == SYS_sendmsg && (c->args[2] & MSG_NOSIGNAL)) ||
		     (c->nr == SYS_sendmmsg && (c->args[3] & MSG_NOSIGNAL));

	if (!quiet)
		syscall(SYS_tgkill, c->t->tgid, c->t->tid, SIGPIPE);
}

/*
 * How much of @len bytes this call takes.  A recorded call that took less than
 * was offered (the socket was full) is one whose bytes all stand in front of
 * what is offered now; a stream's writer copes with that, changed or not.
 */
static size_t taken(struct replay *r, const struct live *l, const struct rec_call *rc, const uint8_t *data, size_t len)
{
	struct bytes b;

	if (!rc || rc->call->ret < 0 || (size_t)rc->call->ret >= len)
		return len;
	if ((rc->call->nr == SYS_write || rc->call->nr == SYS_sendto) && (uint64_t)rc->call->ret >= rc->call->args[2])
		return len;	/* it took all of what was offered then: this is more */
	if (l->rec->o && l->rec->o->kind == OBJ_SOCKET && l->rec->o->type != SOCK_STREAM)
		return len;
	b = call_payload(r->rec, rc->call);
	if (b.len == (size_t)rc->call->ret && memcmp(b.data, data, b.len) == 0)
		return b.len;
	return len;
}

/* What was taken from one fd of the guest's goes into the file behind the other, which moves its position. */
static void into_file(struct call *c, const uint8_t *data, size_t len)
{
	_cleanup_fd_ int fd = guest_fd(c->t->tgid, out_fd(c));

	if (fd >= 0)
		(void)io_write(fd, data, len);
}

static int64_t print_only(struct replay *r, struct call *c, struct live *l, unsigned int index)
{
	_cleanup_free_ uint8_t *data = NULL;
	size_t len = 0;
	int e = gather(r, c, NULL, index, &data, &len);

	if (e < 0)
		return e;
	pass_on(r, l, out_fd(c), data, len);
	if (is_blind(c) && l->rec->o->kind == OBJ_FILE)
		into_file(c, data, len);
	return (int64_t)len;
}

static int64_t write_one(struct replay *r, struct call *c, struct live *l, const struct rec_call *rc, unsigned int index)
{
	_cleanup_free_ uint8_t *data = NULL;
	size_t len = 0, n;
	bool differed;
	int e;

	if (!rc && start_up_prints(r, c, l))
		return print_only(r, c, l, index);
	if (rc && rc->call->ret < 0) {
		if (rc->call->ret == -EPIPE)
			raise_sigpipe(c);
		return rc->call->ret;
	}
	e = gather(r, c, rc, index, &data, &len);
	if (e < 0)
		return e;
	n = taken(r, l, rc, data, len);
	differed = r->v->first.set;
	observe(r, l, data, n);
	if (!differed)
		stack_want(r, c->t);
	if (talk_is_by_content(l))
		talk_hear(r, l, data, n);
	else
		talk_asked(r, l, data, n);
	pass_on(r, l, out_fd(c), data, n);
	if (is_blind(c) && l->rec->o && l->rec->o->kind == OBJ_FILE)
		into_file(c, data, n);
	return (int64_t)n;
}

static void write_messages(struct replay *r, struct call *c, struct live *l, const struct rec_call *rc)
{
	unsigned int i = 0, room = c->args[2] < 1024 ? (unsigned int)c->args[2] : 1024;
	int64_t n = 0;

	while (i < room) {
		uint32_t len;

		n = write_one(r, c, l, rc, i);
		if (n < 0)
			break;
		len = (uint32_t)n;
		guest_write(c->t->tid, c->args[1] + i * sizeof(struct mmsghdr) + sizeof(struct msghdr), &len, sizeof(len));
		i++;
		if (rc && !(rc = next_message(r, c->t, rc, i)))
			break;
	}
	c->ret = i ? (int64_t)i : n;
}

void write_matched(struct replay *r, struct call *c, struct live *l, const struct rec_call *rc)
{
	const struct rec_call *last = rc;

	if (c->nr == SYS_sendmmsg) {
		write_messages(r, c, l, rc);
		if (rc)
			last = task_call(c->t->rec, c->t->cursor - 1);
	} else {
		c->ret = write_one(r, c, l, rc, 0);
	}
	if (last && l->turn <= last->turn)
		l->turn = last->turn + 1;
	if (c->nr == SYS_sendmmsg)
		return;
	/* A file keeps its position and its size: the bytes go there, too. */
	if (c->ret >= 0 && !is_blind(c) && l->rec->o && l->rec->o->kind == OBJ_FILE)
		call_go_on(c, true);
	/* An empty pipe in front of a splice: the guest waits, not we. */
	if (c->ret == -EAGAIN && c->nr == SYS_splice)
		call_go_on(c, false);
}

static struct live *choose(struct replay *r, struct call *c, struct live *l)
{
	_cleanup_free_ uint8_t *data = NULL;
	size_t len = 0;

	if (gather(r, c, NULL, 0, &data, &len) < 0 || !len)
		return l;
	if (c->t->goroutine) {
		l = script_continue(r, l, data, len);
		if (script_is_next(l, data, len))
			return l;
	}
	if (script_is_open(r, l))
		return script_choose(r, l, data, len);
	return talk_is_between(l) ? talk_choose(r, c, l, data, len) : l;
}

bool write_is_early(struct replay *r, struct call *c)
{
	const struct live *l = object_of_fd(r, c, out_fd(c), NULL, NULL);
	_cleanup_free_ uint8_t *data = NULL;
	size_t len = 0;

	return l && gather(r, c, NULL, 0, &data, &len) == 0 && len && script_is_early(r, l, data, len);
}

void answer_said(struct replay *r, struct call *c)
{
	struct live *l = object_of_fd(r, c, out_fd(c), NULL, NULL);
	const struct rec_call *rc;

	if (!l) {
		c->ret = -EBADF;
		return;
	}
	l = choose(r, c, l);
	rc = match_call(r, c, l, NULL);
	if (!order_write(r, c, l, rc))
		write_matched(r, c, l, rc);
}

void answer_write(struct replay *r, struct call *c)
{
	struct socket_kind kind;
	const struct rec_call *rc;
	struct live *l;
	struct stat st;

	if (is_blind(c) && !object_of_fd(r, c, in_fd(c), &st, &kind) && !kind.family)
		unrecorded_read(r, c, in_fd(c), &st);
	l = object_of_fd(r, c, out_fd(c), &st, &kind);
	if (!l && !kind.family) {
		if (!is_blind(c) || !copy_taken(r, c))
			answer_inside(r, c, &st);
		if (c->cont && c->nr == SYS_copy_file_range)
			copy_between(c);
		return;
	}
	if (l && !is_blind(c) && c->t->goroutine) {
		if (!order_said(r, c))
			answer_said(r, c);
		return;
	}
	if (l && (script_is_open(r, l) || talk_is_between(l)) && !is_blind(c))
		l = choose(r, c, l);
	rc = match_call(r, c, l, &kind);
	if (!l && rc)
		l = adopt(r, c, out_fd(c), rc, &st);
	if (!l) {
		call_go_on(c, true);
		return;
	}
	if (!order_write(r, c, l, rc))
		write_matched(r, c, l, rc);
}
