/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0) */
/*
 * Bytes of a call, whatever their number: few are gathered with the rest of
 * the call, many go into the ring in pieces of fixed sizes, as
 * bpf_ringbuf_reserve() wants constants, in bpf_loop(), as unrolled loops
 * exceed the verifier's million instructions.
 */
#ifndef CAPSULE_PAYLOAD_BPF_H
#define CAPSULE_PAYLOAD_BPF_H

#include "bpf/scope.bpf.h"

#define MAX_PIECES 70000	/* of 32 KiB: more than SC_MAX_RW; the loop ends when nothing is left */

#define READ_PIECE(t, d, n) ({ \
	void *from = (void *)((t)->copy.src + (t)->copy.off); \
	fill_data(d, t, n); \
	if ((t)->copy.kernel ? bpf_probe_read_kernel((d)->data, n, from) : bpf_probe_read_user((d)->data, n, from)) { \
		(d)->h.flags |= REC_F_FAULT; \
		(t)->fault = 1; \
	} \
})

#define COPY_PIECE(t, room, n) ({ \
	struct rec_data *d = bpf_ringbuf_reserve(&ring, REC_DATA_SIZE(room), 0); \
	bool ok = d; \
	if (ok) { \
		READ_PIECE(t, d, n); \
		d->h.flags |= REC_F_ALONE; \
		bpf_ringbuf_submit(d, submit_flags(false)); \
	} \
	ok; \
})

static __always_inline void fill_data(struct rec_data *d, const struct rec_thread *t, __u32 n)
{
	fill_hdr(&d->h, t, REC_DATA);
	if (t->copy.kernel)
		d->h.flags = REC_F_KERNEL;
	d->h.len = n;
	d->off = t->copy.off;
	d->index = t->copy.index;
	d->arg = t->copy.arg;
	d->pad = 0;
}

/* One piece; 1: nothing is left, or no room. A piece of at most 16 KiB does not take 32 of the ring's. */
static long copy_piece(__u32 i, struct rec_thread **ctx)
{
	struct rec_thread *t = *ctx;
	__u32 n = t->copy.left;
	bool ok;

	if (n <= 512) {
		ok = COPY_PIECE(t, 512, n);
	} else if (n <= 2048) {
		ok = COPY_PIECE(t, 2048, n);
	} else if (n <= 16384) {
		if (n > 4096)
			n = 4096;
		ok = COPY_PIECE(t, 4096, n);
	} else {
		if (n > REC_DATA_MAX)
			n = REC_DATA_MAX;
		ok = COPY_PIECE(t, REC_DATA_MAX, n);
	}
	if (!ok) {
		count_lost();
		t->fault = 1;
		return 1;
	}
	t->copy.off += n;
	t->copy.left -= n;
	return t->copy.left == 0;
}

static __always_inline void gather_piece(struct rec_thread *t)
{
	struct rec_data *d = room_to_gather(t);
	__u64 n = t->copy.left;

	bounded(n);
	if (n > GATHER_DATA)
		return;
	READ_PIECE(t, d, n);
	add_gathered(t, REC_DATA_SIZE(n));
	t->copy.off += n;
	t->copy.left = 0;
}

/* What t->copy says: left bytes at src, to be off bytes into their segment. */
__noinline int copy_all(struct rec_thread *t)
{
	if (!t || !t->copy.left || (t->silent && !t->copy.kernel))
		return 0;
	t->copy.src -= t->copy.off;	/* src + off is the first byte */
	if (t->copy.left <= GATHER_DATA) {
		gather_piece(t);
		return 0;
	}
	if (!give_gathered(t, false))	/* it may be the beginning of the same segment */
		t->fault = 1;
	bpf_loop(MAX_PIECES, copy_piece, &t, 0);
	return 0;
}

static __always_inline void copy_from(struct rec_thread *t, __u8 arg, __u16 index, __u64 src, __u32 n, bool kernel)
{
	t->copy.src = src;
	t->copy.left = n;
	t->copy.off = 0;
	t->copy.index = index;
	t->copy.arg = arg;
	t->copy.kernel = kernel;
	copy_all(t);
}

/* @n bytes of the program's memory at @src: argument @arg. */
static __always_inline void give(struct rec_thread *t, __u8 arg, __u16 index, __u64 src, __u64 n)
{
	copy_from(t, arg, index, src, n, false);
}

/* The verifier follows pointers to what they point at, and refuses to add to them what it does not know: make it forget. */
static __always_inline __u64 just_a_number(struct rec_thread *t, const void *p)
{
	t->number = (__u64)p;
	return *(volatile __u64 *)&t->number;
}

static __always_inline void give_kernel(struct rec_thread *t, __u8 arg, __u16 index, const void *src, __u32 n)
{
	copy_from(t, arg, index, just_a_number(t, src), n, true);
}

/* ---- vectors ---------------------------------------------------------------- */

static long iov_step(__u32 i, struct rec_thread **ctx)
{
	struct rec_thread *t = *ctx;
	__u64 v[2];		/* a struct iovec */

	if (i >= t->vec.count || !t->vec.left)
		return 1;
	if (bpf_probe_read_user(v, sizeof(v), (void *)(t->vec.iov + i * sizeof(v)))) {
		t->fault = 1;
		return 1;
	}
	if (v[1] > t->vec.left)
		v[1] = t->vec.left;
	t->copy.src = v[0];
	t->copy.left = v[1];
	copy_all(t);		/* leaves copy.off behind what it copied */
	t->vec.left -= v[1];
	return 0;
}

#define IOV_MAX 1024

/* The first @n bytes of a struct iovec[@count]. */
static __always_inline void give_iov(struct rec_thread *t, __u8 arg, __u16 index, __u64 iov, __u64 count, __u64 n)
{
	if (!n)
		return;
	t->vec.iov = iov;
	t->vec.left = n;
	t->vec.count = count > IOV_MAX ? IOV_MAX : count;
	t->copy.off = 0;
	t->copy.index = index;
	t->copy.arg = arg;
	t->copy.kernel = 0;
	bpf_loop(IOV_MAX, iov_step, &t, 0);
}

/* Words of a struct msghdr. */
enum { MSG_NAME, MSG_NAMELEN, MSG_IOV, MSG_IOVLEN, MSG_CONTROL, MSG_CONTROLLEN, MSG_FLAGS, MSG_WORDS };
#define SEG_REMOTE_ 0xe1	/* SEG_REMOTE and SEG_CONTROL of format/event.h, which needs libc */
#define SEG_CONTROL_ 0xe3
#define SEG_PLACE_ 0xe4
#define SEG_FLAGS_ 0xe6
#define CONTROL_MAX 4096

/* The message in t->msg, of which @n bytes moved. */
__noinline int give_msg(struct rec_thread *t, __u8 arg, __u16 index, __u64 n)
{
	__u64 control;
	__u32 name;

	if (!t)
		return 0;
	control = t->msg[MSG_CONTROLLEN];
	name = t->msg[MSG_NAMELEN];
	if (t->msg[MSG_NAME] && name)
		give(t, SEG_REMOTE_, index, t->msg[MSG_NAME], name > 128 ? 128 : name);
	if (t->msg[MSG_CONTROL] && control)
		give(t, SEG_CONTROL_, index, t->msg[MSG_CONTROL], control > CONTROL_MAX ? CONTROL_MAX : control);
	give_iov(t, arg, index, t->msg[MSG_IOV], t->msg[MSG_IOVLEN], n);
	return 0;
}

#endif
