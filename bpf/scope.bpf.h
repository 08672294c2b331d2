/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0) */
/* Who is recorded, what is known about descriptors, and the ring. */
#ifndef CAPSULE_SCOPE_BPF_H
#define CAPSULE_SCOPE_BPF_H

#include "bpf/kernel.h"
#include "bpf/record.h"

#include <linux/bpf.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

/* Set by the recorder before loading. */
const volatile __u32 ns_level;		/* of the recorder's pid namespace */
const volatile __u32 recorder_tgid;	/* in it */
const volatile __u32 ring_bytes = 1 << 24;

__u64 lost;				/* records that found no room */
__s64 live;				/* threads of the scope */
__u32 started;				/* the command's first exec has been seen */
__u32 woken;				/* the recorder was woken and has not come yet; it resets this */
__u64 root_dentry, root_mnt;		/* of the scope's root directory */
__u32 inherited_files;			/* regular files among the inherited descriptors */
__u8 told[SC_MAX];			/* holes are told once a call */
__u8 told_compat;

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 24);
} ring SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct rec_thread);
} threads SEC(".maps");

struct inode_key {
	__u64 ino;
	__u32 dev, pad;
};

enum {
	MARK_INSIDE = 1,	/* made by socketpair in the scope */
	MARK_SEEN = 2,		/* the recorder has the socket's addresses */
	MARK_KNOWN = 4,		/* the recorder has seen the file's content */
	MARK_CREATED = 8,	/* the scope made the file */
};
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 32768);
	__type(key, struct inode_key);
	__type(value, __u32);
} marks SEC(".maps");

/* Descriptors that the command was started with lead outside, whatever they are. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, struct inode_key);
	__type(value, __u32);
} inherited SEC(".maps");

/* What a program calls a descriptor in an epoll set, and what it is. */
struct epoll_key {
	__u64 set;		/* the epoll file's address */
	__u64 data;
};
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, struct epoll_key);
	__type(value, struct rec_fd);
} epolls SEC(".maps");

static __always_inline struct rec_thread *thread_of(struct task_struct *task)
{
	return bpf_task_storage_get(&threads, task, 0, 0);
}

static __always_inline __u32 mark_of(const struct rec_fd *fd)
{
	struct inode_key key = { .ino = fd->ino, .dev = fd->dev };
	__u32 *mark = bpf_map_lookup_elem(&marks, &key);

	return mark ? *mark : 0;
}

static __always_inline void mark(const struct rec_fd *fd, __u32 bits)
{
	struct inode_key key = { .ino = fd->ino, .dev = fd->dev };
	__u32 all = mark_of(fd) | bits;

	bpf_map_update_elem(&marks, &key, &all, BPF_ANY);
}

/* ---- the ring -------------------------------------------------------------- */

static __always_inline void count_lost(void)
{
	__sync_fetch_and_add(&lost, 1);
}

static __always_inline void fill_hdr(struct rec_hdr *h, const struct rec_thread *t, __u8 type)
{
	h->type = type;
	h->flags = 0;
	h->len = 0;
	h->tid = t->tid;
	h->seq = t->seq;
	h->lost = lost;
}

/* The recorder looks at the ring every few milliseconds by itself. */
static __always_inline __u64 submit_flags(bool now)
{
	if (!now && (woken || bpf_ringbuf_query(&ring, BPF_RB_AVAIL_DATA) < ring_bytes / 8))
		return BPF_RB_NO_WAKEUP;
	woken = 1;
	return BPF_RB_FORCE_WAKEUP;
}

static __always_inline struct rec_task *task_room(const struct rec_thread *t, __u8 type)
{
	struct rec_task *r = bpf_ringbuf_reserve(&ring, sizeof(*r), 0);

	if (!r) {
		count_lost();
		return NULL;
	}
	fill_hdr(&r->h, t, type);
	r->time = bpf_ktime_get_boot_ns();
	return r;
}

static __always_inline void tell_hole(const struct rec_thread *t, __u32 why, __u32 nr)
{
	struct rec_task *r = task_room(t, REC_HOLE);

	if (!r)
		return;
	r->hole.why = why;
	r->hole.nr = nr;
	bpf_ringbuf_submit(r, submit_flags(false));
}

#endif
