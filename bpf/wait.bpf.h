/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0) */
/* poll, select, epoll_wait: which outside descriptors were ready. */
#ifndef CAPSULE_WAIT_BPF_H
#define CAPSULE_WAIT_BPF_H

#include "bpf/calls.bpf.h"

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
		give_fd(t, FD_READY, -1, ev.events, i, what);
	return 0;
}

static __noinline int end_wait(struct call *c)
{
	struct epolled e = { .c = c };
	struct rec_thread *t = c->t;
	__u32 sets, left;

	/* What was left of the limit; of a timeout nothing is. */
	if (t->ret > 0 && (t->nr == NR_ppoll || t->nr == NR_select || t->nr == NR_pselect6)) {
		left = t->nr == NR_ppoll ? 2 : 4;
		give(t, left, 0, t->args[left & 7], t->args[left & 7] ? 16 : 0);
	}
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

#endif
