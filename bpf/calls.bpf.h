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

struct call {
	struct rec_thread *t;
	const struct sc_desc *d;
	struct rec_fd fd, fd2;
	__u8 flags;		/* REC_F_* */
	bool wake;
	bool stop;		/* the process, until the recorder has seen this */
};

/* ---- the record itself ------------------------------------------------------------ */

static __always_inline void fill_call(struct rec_call *r, const struct call *c, __u16 index)
{
	const struct rec_thread *t = c->t;

	fill_hdr(&r->h, t, REC_CALL);
	r->h.flags = c->flags | (t->fault ? REC_F_PART : 0);
	r->time = bpf_ktime_get_boot_ns();
	r->ret = t->ret;
	for (int i = 0; i < 6; i++)
		r->args[i] = t->args[i];
	r->nr = t->nr;
	r->inl_arg = t->inl_arg;
	r->inl_len = t->inl_len;
	r->inl_index = t->inl_index;
	r->index = index;
	__builtin_memcpy(r->inl, t->inl, REC_INLINE);
}

/* Ends the call; messages of a vector end one by one. */
static __always_inline void give_call(struct call *c, __u16 index)
{
	struct rec_call *r;

	if (c->fd.class || c->fd2.class) {
		r = bpf_ringbuf_reserve(&ring, sizeof(*r), 0);
		if (r) {
			c->flags |= REC_F_FDS;
			fill_call(r, c, index);
			r->fd = c->fd;
			r->fd2 = c->fd2;
		}
	} else {
		r = bpf_ringbuf_reserve(&ring, offsetof(struct rec_call, fd), 0);
		if (r)
			fill_call(r, c, index);
	}
	/* Only who has told of it may stop: else nobody would continue it. */
	if (r && c->stop && bpf_send_signal(SIGSTOP) == 0)
		r->h.flags |= REC_F_STOPPED;
	if (r)
		bpf_ringbuf_submit(r, submit_flags(c->wake));
	else
		count_lost();
	c->t->seq++;
	c->t->inl_len = 0;
	c->t->fault = 0;
}

/* Keeps the compiler from comparing one copy of a number and using another: the verifier knows only the one. */
#define bounded(x) asm volatile("" : "+r"(x))

/* ---- arguments ---------------------------------------------------------------------- */

static __always_inline __u64 bytes_of(struct call *c, __u32 i)
{
	const struct sc_arg *a = &c->d->arg[i];
	__u32 deref = 0;

	if (a->len == SC_DEREF && c->t->ret >= 0)
		bpf_probe_read_user(&deref, sizeof(deref), (void *)c->t->args[a->len_arg & 7]);
	return sc_bytes(c->d, i, c->t->args, c->t->ret, deref);
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
	c->flags = i + 1 < m->count ? c->flags | REC_F_MORE : c->flags & ~REC_F_MORE;
	if (bpf_probe_read_user(t->msg, 64, (void *)(t->args[m->arg & 7] + 64 * i)))
		t->fault = 1;
	else
		give_msg(t, m->arg, i, (__u32)t->msg[MSG_WORDS]);
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

/* SC_READ, SC_WRITE, and SC_SERVE with a descriptor. */
static __noinline int end_io(struct call *c)
{
	struct file *f = file_of(first_fd(c));
	struct messages m = { .c = c, .arg = 1 };

	describe(f, &c->fd);
	if (!c->fd.outside)
		return 0;
	give_sock_once(c->t, f, &c->fd, false);
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

	describe(f, &c->fd);
	if (!c->fd.outside)
		return 0;
	give_sock_once(c->t, f, &c->fd, true);
	if (c->t->ret >= 0 && (c->t->nr == NR_accept || c->t->nr == NR_accept4)) {
		made = file_of(c->t->ret);
		describe(made, &c->fd2);
		give_sock_once(c->t, made, &c->fd2, true);
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
	__u64 off = began_at(t, f, off_arg, t->ret);

	give_path_of(t, REC_ARG_SOURCE, 0, (__u64)path_in(f));
	give_kernel(t, REC_ARG_OFFSET, 0, &off, sizeof(off));
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
		return 0;
	c->flags |= REC_F_BLIND;
	c->fd = what_out.outside ? what_out : what_in;
	c->fd2 = what_out.outside ? what_in : what_out;
	give_sock_once(t, what_out.outside ? out : in, &c->fd, false);
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

/* ---- waiting --------------------------------------------------------------------------- */

enum { WAIT_IN = 1, WAIT_PRI = 2, WAIT_OUT = 4 };	/* POLLIN, POLLPRI, POLLOUT */
#define MAX_POLLED 4096

static __always_inline void give_ready(struct rec_thread *t, __s32 fd, __u32 events)
{
	struct rec_fd what;

	describe_fd(fd, &what);
	if (what.outside)
		give_fd(t, FD_READY, fd, events, 0, &what);
}

static long poll_step(__u32 i, struct call *c)
{
	struct { __s32 fd; __s16 events, revents; } p;

	if (i >= (__u32)c->t->args[1])
		return 1;
	if (bpf_probe_read_user(&p, sizeof(p), (void *)(c->t->args[0] + 8 * i))) {
		c->t->fault = 1;
		return 1;
	}
	if (p.revents && p.fd >= 0)
		give_ready(c->t, p.fd, (__u16)p.revents);
	return 0;
}

struct selected {
	struct call *c;
	__u64 in, out, pri;
	__u32 first;
};

static long select_bit(__u32 i, struct selected *s)
{
	__u64 bit = 1ull << (i & 63);
	__u32 events = (s->in & bit ? WAIT_IN : 0) | (s->out & bit ? WAIT_OUT : 0) | (s->pri & bit ? WAIT_PRI : 0);

	if (events)
		give_ready(s->c->t, s->first + i, events);
	return 0;
}

static __always_inline __u64 read_word(__u64 set, __u32 i)
{
	__u64 word = 0;

	if (set)
		bpf_probe_read_user(&word, sizeof(word), (void *)(set + 8 * i));
	return word;
}

static long select_word(__u32 i, struct call *c)
{
	struct selected s = { .c = c, .first = 64 * i };
	const __u64 *args = c->t->args;

	if (64 * i >= (__u32)args[0])
		return 1;
	s.in = read_word(args[1], i);
	s.out = read_word(args[2], i);
	s.pri = read_word(args[3], i);
	if (s.in | s.out | s.pri)
		bpf_loop(64, select_bit, &s, 0);
	return 0;
}

struct epolled {
	struct call *c;
	struct epoll_key key;
};

static long epoll_step(__u32 i, struct epolled *e)
{
	struct { __u32 events; __u64 data; } __attribute__((packed)) ev;
	struct rec_thread *t = e->c->t;
	struct rec_fd *what;

	if (i >= (__u32)t->ret)
		return 1;
	if (bpf_probe_read_user(&ev, sizeof(ev), (void *)(t->args[1] + sizeof(ev) * i))) {
		t->fault = 1;
		return 1;
	}
	e->key.data = ev.data;
	what = bpf_map_lookup_elem(&epolls, &e->key);
	if (what)
		give_fd(t, FD_READY, -1, ev.events, 0, what);
	return 0;
}

static __noinline int end_wait(struct call *c)
{
	struct epolled e = { .c = c };
	struct rec_thread *t = c->t;
	__u32 sets;

	if (t->ret > 0)
		switch (t->nr) {
		case NR_poll:
		case NR_ppoll:
			bpf_loop(MAX_POLLED, poll_step, c, 0);
			give(t, 0, 0, t->args[0], bytes_of(c, 0));
			break;
		case NR_select:
		case NR_pselect6:
			bpf_loop(1024 / 64, select_word, c, 0);
			sets = ((__u32)t->args[0] > 1024 ? 1024 : (__u32)t->args[0] + 63) / 64 * 8;
			for (int i = 1; i < 4; i++)
				if (t->args[i])
					give(t, i, 0, t->args[i], sets);
			break;
		default:
			e.key.set = (__u64)file_of(t->args[0]);
			bpf_loop(MAX_POLLED, epoll_step, &e, 0);
		}
	give_call(c, 0);
	return 0;
}

/* A descriptor entered an epoll set: what its events will be called by. */
static __noinline int end_epoll_ctl(struct rec_thread *t, __u64 epfd, __u64 fd, __u64 event)
{
	struct epoll_key key = { .set = (__u64)file_of(epfd) };
	struct rec_fd what;

	if (!event || bpf_probe_read_user(&key.data, sizeof(key.data), (void *)(event + 4)))
		return 0;
	describe_fd(fd, &what);
	if (what.outside)
		bpf_map_update_elem(&epolls, &key, &what, BPF_ANY);
	else
		bpf_map_delete_elem(&epolls, &key);
	return 0;
}

/* ---- names ------------------------------------------------------------------------------- */

static __always_inline struct path *working_directory(void)
{
	struct task_struct *task = bpf_get_current_task_btf();

	return (void *)BPF_CORE_READ(task, fs) + bpf_core_field_offset(struct fs_struct, pwd);
}

/* The strings, and for relative ones the directories that they are relative to. */
static long give_name(__u32 i, struct call *c)
{
	struct rec_thread *t = c->t;
	__u32 before = i - 1;	/* where a DIRFD would be */
	struct path *base;
	__s32 dirfd = AT_FDCWD;

	bounded(i);
	if (i >= 6)
		return 1;
	if (c->d->arg[i].kind != SC_STR)
		return c->d->arg[i].kind == SC_NONE;
	if (give_string(t, i, t->args[i]) == '/')
		return 0;
	bounded(before);
	if (before < 6 && c->d->arg[before].kind == SC_DIRFD)
		dirfd = t->args[before];
	base = dirfd == AT_FDCWD ? working_directory() : path_in(file_of(dirfd));
	give_path_of(t, REC_ARG_BASE + i, 0, (__u64)base);
	return 0;
}

static __noinline int end_path(struct call *c)
{
	bpf_loop(6, give_name, c, 0);
	give_call(c, 0);
	return 0;
}

static __always_inline __u32 open_flags(const struct rec_thread *t)
{
	__u64 flags = t->args[2];

	if (t->nr == NR_open)
		flags = t->args[1];
	else if (t->nr == NR_creat)
		flags = O_TRUNC | 1;
	else if (t->nr == NR_openat2)
		bpf_probe_read_user(&flags, sizeof(flags), (void *)t->args[2]);
	return flags;
}

static __always_inline __s64 ctime_of(struct inode *inode)
{
	if (bpf_core_field_exists(inode->i_ctime_sec))	/* the highest bit of nsec is the kernel's own: I_CTIME_QUERIED */
		return BPF_CORE_READ(inode, i_ctime_sec) * 1000000000ll + (BPF_CORE_READ(inode, i_ctime_nsec) & 0x7fffffff);
	if (bpf_core_field_exists(((struct inode___66 *)inode)->__i_ctime))
		return BPF_CORE_READ((struct inode___66 *)inode, __i_ctime.tv_sec) * 1000000000ll +
		       BPF_CORE_READ((struct inode___66 *)inode, __i_ctime.tv_nsec);
	return BPF_CORE_READ((struct inode___old *)inode, i_ctime.tv_sec) * 1000000000ll +
	       BPF_CORE_READ((struct inode___old *)inode, i_ctime.tv_nsec);
}

#define O_PATH 010000000

/*
 * A file that no image holds is about to be used: the recorder must read it
 * before it can change.  A program with one thread waits in any case, and does
 * not notice.  One with more would see waiting calls of its other threads
 * interrupted, so it waits only where it may write.
 */
static __always_inline void hold(struct call *c, const struct rec_state *s)
{
	struct task_struct *task = bpf_get_current_task_btf();

	if (c->fd2.class != FDC_FILE || s->size == 0 || (s->fmode & FMODE_CREATED) || (s->how_flags & (O_TRUNC | O_PATH)))
		return;
	if (mark_of(&c->fd2) & MARK_KNOWN)
		return;
	mark(&c->fd2, MARK_KNOWN);
	c->wake = true;
	c->stop = (s->fmode & FMODE_WRITE) || BPF_CORE_READ(task, signal, nr_threads) == 1;
}

static __noinline int give_opened(struct call *c)
{
	struct rec_thread *t = c->t;
	struct file *f = file_of(t->ret);
	struct inode *inode;
	struct rec_state s;
	struct walk w;

	describe(f, &c->fd2);
	if (!f || c->fd2.class == FDC_NULL)
		return 0;
	inode = BPF_CORE_READ(f, f_inode);
	s.size = BPF_CORE_READ(inode, i_size);
	s.ctime = ctime_of(inode);
	s.fmode = BPF_CORE_READ(f, f_mode);
	s.how_flags = open_flags(t);
	give_kernel(t, REC_ARG_STATE, 0, &s, sizeof(s));
	if (!find_path(&w, path_in(f)))
		return 0;
	give_path(t, REC_ARG_OPENED, 0, &w);
	if (s.fmode & FMODE_CREATED)
		mark(&c->fd2, MARK_CREATED | MARK_KNOWN);
	if (!in_image(&w) || (s.fmode & FMODE_WRITE))
		hold(c, &s);
	return 0;
}

static __noinline int end_open(struct call *c)
{
	if (c->t->ret >= 0)
		give_opened(c);
	bpf_loop(6, give_name, c, 0);
	give_call(c, 0);
	return 0;
}

/* ---- memory shared with the outside ---------------------------------------------------------- */

/* mmap: MAP_SHARED of a device, or of a file in memory that somebody outside made and can name. */
static __always_inline void end_mmap(struct rec_thread *t, __u64 flags, __s32 fd)
{
	struct rec_fd what;

	if (!(flags & 1) || (flags & 0x20) || fd < 0)	/* MAP_SHARED, MAP_ANONYMOUS */
		return;
	describe_fd(fd, &what);
	if (what.class == FDC_CHR ||
	    (what.class == FDC_FILE && what.magic == TMPFS_MAGIC && (what.flags & 3) && !(mark_of(&what) & MARK_CREATED) &&
	     BPF_CORE_READ(file_of(fd), f_inode, i_nlink)))
		tell_hole(t, HOLE_SHARED, NR_mmap);
}

#endif
