/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0) */
/* What is recorded of a call that ended, by its fate in the table. */
#ifndef CAPSULE_CALLS_BPF_H
#define CAPSULE_CALLS_BPF_H

#include "bpf/fds.bpf.h"
#include "bpf/paths.bpf.h"

const struct sc_desc sc_rows[SC_MAX] = {
#define SYSCALL SC_ROW
#include "format/syscalls.def"
#undef SYSCALL
};

/* The numbers again, by name. */
enum {
#define SYSCALL(nr, name, ...) NR_##name = nr,
#include "format/syscalls.def"
#undef SYSCALL
};

/* What the record of a call says beside the thread's own memory.  No pointers: it is handed to a global function. */
struct told {
	struct rec_fd fd, fd2;
	__u8 flags;		/* REC_F_* */
	bool wake;
	bool stop;		/* the process, until the recorder has seen this */
};

struct call {
	struct rec_thread *t;
	const struct sc_desc *d;
	struct told told;
};

/* ---- the record itself ------------------------------------------------------------ */

static __always_inline __u32 fds_of(const struct told *told)
{
	return told->fd2.class ? 2 : told->fd.class ? 1 : 0;
}

static __always_inline void fill_call(struct rec_call *r, const struct rec_thread *t, const struct told *told, __u16 index,
				      __u32 fds)
{
	fill_hdr(&r->h, t, REC_CALL);
	r->h.flags = told->flags | (t->fault ? REC_F_PART : 0);
	r->h.len = fds;
	r->time = bpf_ktime_get_boot_ns();
	r->ret = t->ret;
	for (int i = 0; i < 6; i++)
		r->args[i] = t->args[i];
	r->nr = t->nr;
	r->index = index;
	r->pad = 0;
	fill_goroutine(&r->goroutine, t);
	if (fds > 0)
		r->fd = told->fd;
	if (fds > 1)
		r->fd2 = told->fd2;
}

/* Only who has told of it may stop: else nobody would continue it.  So there is room first. */
static __always_inline void give_and_stop(struct rec_thread *t, const struct told *told, __u16 index)
{
	struct rec_call *r;

	if (!give_gathered(t, false))
		t->fault = 1;
	r = bpf_ringbuf_reserve(&ring, sizeof(*r), 0);
	if (!r) {
		count_lost();
		return;
	}
	fill_call(r, t, told, index, 2);
	if (bpf_send_signal(SIGSTOP) == 0)
		r->h.flags |= REC_F_STOPPED;
	bpf_ringbuf_submit(r, submit_flags(told->wake));
}

__noinline int give_told(struct rec_thread *t, struct told *told, __u16 index)
{
	__u32 fds;

	if (!t || !told)
		return 0;
	if (((told->stop && !many_scopes) || is_behind()) && may_stop()) {
		give_and_stop(t, told, index);
	} else {
		fds = fds_of(told);
		fill_call(room_to_gather(t), t, told, index, fds);
		add_gathered(t, REC_CALL_SIZE(fds));
		give_gathered(t, told->wake);
	}
	t->seq++;
	t->fault = 0;
	return 0;
}

/* Ends the call; messages of a vector end one by one. */
static __always_inline void give_call(struct call *c, __u16 index)
{
	give_told(c->t, &c->told, index);
}

/* ---- arguments ---------------------------------------------------------------------- */

/* A recv() has no address and no length of one: to look there would be a page fault, 5 us on a virtual machine. */
static __always_inline __u64 bytes_of(struct call *c, __u32 i)
{
	const struct sc_arg *a = &c->d->arg[i];
	__u64 len = c->t->args[a->len_arg & 7];
	__u32 deref = 0;

	if (!c->t->args[i & 7])
		return 0;
	if (a->len == SC_DEREF && c->t->ret >= 0 && len)
		bpf_probe_read_user(&deref, sizeof(deref), (void *)len);
	return sc_bytes(c->d, i, c->t->args, c->t->ret, deref);
}

/* What the kernel says of the message in t->msg, a struct msghdr at @msg. */
static __always_inline void give_msg_flags(struct call *c, __u16 index, __u64 msg)
{
	if (c->d->fate == SC_READ && (__u32)c->t->msg[MSG_FLAGS])
		give(c->t, SEG_FLAGS_, index, msg + 8 * MSG_FLAGS, sizeof(__u32));
}

static __always_inline void give_message(struct call *c, __u32 i)
{
	struct rec_thread *t = c->t;

	if (t->ret < 0)
		return;
	if (bpf_probe_read_user(t->msg, 56, (void *)t->args[i & 7])) {
		t->fault = 1;
		return;
	}
	give_msg_flags(c, 0, t->args[i & 7]);
	give_msg(t, i, 0, t->ret);
}

struct messages {
	struct call *c;
	__u32 arg, count;
};

static long one_message(__u32 i, struct messages *m)
{
	struct call *c = m->c;
	struct rec_thread *t = c->t;
	__s64 ret = t->ret;

	if (i >= m->count)
		return 1;
	c->told.flags = i + 1 < m->count ? c->told.flags | REC_F_MORE : c->told.flags & ~REC_F_MORE;
	if (bpf_probe_read_user(t->msg, 64, (void *)(t->args[m->arg & 7] + 64 * i))) {
		t->fault = 1;
	} else {
		give_msg_flags(c, i, t->args[m->arg & 7] + 64 * i);
		give_msg(t, m->arg, i, (__u32)t->msg[MSG_WORDS]);
	}
	t->ret = (__u32)t->msg[MSG_WORDS];	/* each message is told as a call of its own */
	give_call(c, i);
	t->ret = ret;
	return 0;
}

static long give_arg(__u32 i, struct call *c)
{
	const struct sc_arg *a;
	struct rec_thread *t = c->t;

	bounded(i);
	if (i >= 6)
		return 1;
	a = &c->d->arg[i];
	switch (a->kind) {
	case SC_MEM:
		give(t, i, 0, t->args[i], bytes_of(c, i));
		break;
	case SC_IOV:
		give_iov(t, i, 0, t->args[i], t->args[a->len_arg & 7], bytes_of(c, i));
		break;
	case SC_MSG:
		give_message(c, i);
		break;
	case SC_STR:
		give_string(t, i, t->args[i]);
		break;
	case SC_NONE:
		return 1;
	}
	return 0;
}

/* A call with its arguments, as the table describes them. */
static __noinline int give_plain(struct call *c)
{
	bpf_loop(6, give_arg, c, 0);
	give_call(c, 0);
	return 0;
}

/* ---- descriptors --------------------------------------------------------------------- */

static __always_inline __s32 first_fd(const struct call *c)
{
	return c->d->fd ? (__s32)c->t->args[(c->d->fd - 1) & 7] : -1;
}

static __always_inline bool takes_messages(const struct call *c)
{
	return c->t->nr == NR_recvmmsg || c->t->nr == NR_sendmmsg;
}

/* What SIOCGIFCONF gives is behind a pointer in what it gives: element 1 of the argument. */
static __always_inline void give_ifconf(struct rec_thread *t)
{
	struct { __s32 len, pad; __u64 list; } conf;

	if (t->ret == 0 && !bpf_probe_read_user(&conf, sizeof(conf), (void *)t->args[2]) && conf.list && conf.len > 0)
		give(t, 2, 1, conf.list, conf.len);
}

/* The scope's own, and yet the machine had a say in it. */
static __always_inline void give_failed(struct call *c)
{
	struct rec_thread *t = c->t;

	if (sc_got_none(t->nr, t->args[0], t->ret))
		give_kernel(t, SEG_PLACE_, 0, &t->taken[sc_takes(t->nr) & 3], sizeof(__u64));
	else
		give_kernel(t, SEG_PLACE_, 0, c->d->fate == SC_READ ? &t->file_reads : &t->file_writes, sizeof(__u64));
	give_call(c, 0);
}

/* Not all that was asked for, and not because the file ends there. */
static __always_inline bool is_short_read(const struct rec_thread *t, struct file *f)
{
	__u64 end = BPF_CORE_READ(f, f_pos);

	if ((t->nr != NR_read && t->nr != NR_pread64) || t->ret <= 0 || t->ret >= t->args[2] || t->args[2] > SC_MAX_RW)
		return false;
	if (t->nr == NR_pread64)
		end = t->args[3] + t->ret;
	return end < BPF_CORE_READ(f, f_inode, i_size);
}

/* A read of a file: its bytes are known, that it failed is not. */
static __noinline int end_file_read(struct call *c, __u64 file)
{
	struct rec_thread *t = c->t;

	if (sc_machine_error(t->ret) || is_short_read(t, (struct file *)file))
		give_failed(c);
	t->file_reads++;
	return 0;
}

/* A write to a file: what it took is seen in the end, that it did not take all is not. */
static __noinline int end_file_write(struct call *c)
{
	struct rec_thread *t = c->t;
	bool counted = t->nr == NR_write || t->nr == NR_pwrite64;

	if (sc_machine_error(t->ret) || (counted && t->ret >= 0 && t->ret < t->args[2] && t->args[2] <= SC_MAX_RW))
		give_failed(c);
	t->file_writes++;
	return 0;
}

/* SC_RUN, with a file. */
static __noinline int end_file_call(struct call *c)
{
	describe(file_of(first_fd(c)), &c->told.fd);
	if (c->told.fd.class == FDC_FILE || c->told.fd.class == FDC_DIR)
		give_failed(c);
	return 0;
}

/* SC_READ, SC_WRITE, and SC_SERVE with a descriptor. */
static __noinline int end_io(struct call *c)
{
	struct file *f = file_of(first_fd(c));
	struct messages m = { .c = c, .arg = 1 };

	describe(f, &c->told.fd);
	if (!c->told.fd.outside && c->told.fd.class == FDC_FILE && c->d->fate == SC_WRITE)
		return end_file_write(c);
	if (!c->told.fd.outside && c->told.fd.class == FDC_FILE && c->d->fate == SC_READ)
		return end_file_read(c, (__u64)f);
	if (!c->told.fd.outside)
		return 0;
	give_sock_once(c->t, f, &c->told.fd, false);
	if (takes_messages(c) && c->t->ret > 0) {
		m.count = c->t->ret;
		bpf_loop(1024, one_message, &m, 0);
		return 0;
	}
	if (c->t->nr == NR_ioctl && (__u32)c->t->args[1] == SIOCGIFCONF)
		give_ifconf(c->t);
	give_plain(c);
	return 0;
}

static __noinline int end_net(struct call *c)
{
	struct file *f = file_of(first_fd(c)), *made = NULL;

	describe(f, &c->told.fd);
	if (!c->told.fd.outside)
		return 0;
	give_sock_once(c->t, f, &c->told.fd, true);
	if (c->t->ret >= 0 && (c->t->nr == NR_accept || c->t->nr == NR_accept4)) {
		made = file_of(c->t->ret);
		describe(made, &c->told.fd2);
		give_sock_once(c->t, made, &c->told.fd2, true);
	}
	give_plain(c);
	return 0;
}

/* Where in @f the last @n bytes of a transfer began: before its position, or before what @off_arg points at. */
static __always_inline __u64 began_at(struct rec_thread *t, struct file *f, __u32 off_arg, __u64 n)
{
	__u64 off = BPF_CORE_READ(f, f_pos);

	if (off_arg < 6 && t->args[off_arg & 7])
		bpf_probe_read_user(&off, sizeof(off), (void *)t->args[off_arg & 7]);
	return off - n;
}

static __always_inline void give_place(struct rec_thread *t, struct file *f, __u32 off_arg)
{
	struct rec_place place = { .offset = began_at(t, f, off_arg, t->ret), .ctime = ctime_of(BPF_CORE_READ(f, f_inode)) };

	give_path_of(t, REC_ARG_SOURCE, 0, (__u64)path_in(f));
	give_kernel(t, REC_ARG_PLACE, 0, &place, sizeof(place));
}

/*
 * Bytes that went from descriptor args[@from] to args[@to] inside the kernel.
 * If either is a file, we say which and where: the recorder reads them there.
 * @off_from, @off_to: the arguments that point at a position; 6: none.
 */
static __noinline int end_blind(struct call *c, __u32 from, __u32 to, __u32 off_from, __u32 off_to)
{
	struct rec_thread *t = c->t;
	struct file *in = file_of(t->args[from & 7]), *out = file_of(t->args[to & 7]);
	struct rec_fd what_in, what_out;

	describe(in, &what_in);
	describe(out, &what_out);
	if (!what_in.outside && !what_out.outside)
		return what_out.class == FDC_FILE ? end_file_write(c) : 0;
	c->told.flags |= what_out.outside ? REC_F_BLIND : REC_F_BLIND | REC_F_TAKEN;
	c->told.fd = what_out.outside ? what_out : what_in;
	c->told.fd2 = what_out.outside ? what_in : what_out;
	give_sock_once(t, what_out.outside ? out : in, &c->told.fd, false);
	if (t->ret > 0 && what_in.class == FDC_FILE)
		give_place(t, in, off_from);
	else if (t->ret > 0 && what_out.class == FDC_FILE)
		give_place(t, out, off_to);
	give_call(c, 0);
	return 0;
}

static __always_inline int end_write(struct call *c)
{
	switch (c->t->nr) {
	case NR_sendfile:
		return end_blind(c, 1, 0, 2, 6);
	case NR_splice:
	case NR_copy_file_range:
		return end_blind(c, 0, 2, 1, 3);
	case NR_tee:
		return end_blind(c, 0, 1, 6, 6);
	}
	return end_io(c);
}

/* To oneself, as runtimes do all the time, is surely inside; of others the recorder knows. */
static __always_inline int end_signal(struct call *c)
{
	__s32 whom = c->t->args[0];

	return whom == 0 || whom == c->t->tgid || whom == c->t->tid ? 0 : give_plain(c);
}

static __always_inline void mark_inside(__s32 fd)
{
	struct rec_fd what;

	describe_fd(fd, &what);
	if (what.class == FDC_SOCK)
		mark(&what, MARK_INSIDE);
}

static __always_inline int end_fd(struct call *c)
{
	__s32 sv[2];

	if (c->t->nr != NR_socketpair || c->t->ret < 0)
		return 0;
	if (bpf_probe_read_user(sv, sizeof(sv), (void *)c->t->args[3]))
		return 0;
	mark_inside(sv[0]);
	mark_inside(sv[1]);
	return 0;
}

#endif
