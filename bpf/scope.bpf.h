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
const volatile __u32 many_scopes;	/* they have levels, and nobody is stopped to have a file read */
const volatile __u32 pause_bytes;	/* so full, whoever makes a call is stopped until it was read; 0: never */

__u64 lost;				/* samples that found no room */
__s64 live;				/* threads of the scope */
__u32 started;				/* the command's first exec has been seen */
__u32 awake;				/* the recorder looks at the ring, or is about to; it resets this before it sleeps */
__u32 inherited_files;			/* regular files among the inherited descriptors */
__u32 covered;				/* files mounted over those of /proc or /sys have been opened */
__u32 goroutines;			/* there are processes with some */
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
	MARK_SYNTH = 16,	/* it is mounted over a file of /proc or /sys */
};
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 32768);
	__type(key, struct inode_key);
	__type(value, __u32);
} marks SEC(".maps");

/* Files whose content the recorder has read ahead, as it was at this change time (ns). */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, struct inode_key);
	__type(value, __s64);
} ahead SEC(".maps");

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

/* Of the processes that have goroutines, by tgid. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1024);
	__type(key, __u32);
	__type(value, struct rec_layout);
} layouts SEC(".maps");

/* enum rec_levels, by scope. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, REC_SCOPES);
	__type(key, __u32);
	__type(value, __u32);
} levels SEC(".maps");

/* Their root directories, likewise: that of the first process of each; 0: it has none yet. */
struct root {
	__u64 dentry, mnt;
};
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, REC_SCOPES);
	__type(key, __u32);
	__type(value, struct root);
} roots SEC(".maps");

static __always_inline struct rec_thread *thread_of(struct task_struct *task)
{
	return bpf_task_storage_get(&threads, task, 0, 0);
}

static __always_inline void begin_scope(__u32 scope, struct task_struct *task)
{
	struct root *root = bpf_map_lookup_elem(&roots, &scope);

	if (!root || root->dentry)
		return;
	root->dentry = (__u64)BPF_CORE_READ(task, fs, root.dentry);
	root->mnt = (__u64)BPF_CORE_READ(task, fs, root.mnt);
}

static __always_inline __u32 level_of(const struct rec_thread *t)
{
	__u32 scope = t->scope, *level;

	if (!many_scopes)
		return REC_ALL;
	level = bpf_map_lookup_elem(&levels, &scope);
	return level ? *level : REC_NOTHING;
}

/* A parent that reads of its children from a signalfd reads of one event at a time, and would take our stop for the one. */
static __always_inline bool is_heard(void)
{
	struct rec_thread *parent = thread_of(bpf_get_current_task_btf()->real_parent);

	return parent && parent->hears;
}

/* Which goroutine has made the call; none: the runtime itself, or there are none. */
static __always_inline void fill_goroutine(struct rec_goroutine *of, const struct rec_thread *t)
{
	struct task_struct *task = bpf_get_current_task_btf();
	__u64 fs = task->thread.fsbase, g = 0;
	struct rec_layout *at;
	__u32 tgid = t->tgid;

	of->number = of->begins = 0;
	if (!goroutines || !fs)
		return;
	at = bpf_map_lookup_elem(&layouts, &tgid);
	if (!at || bpf_probe_read_user(&g, sizeof(g), (void *)(fs + GOROUTINE_FS)) || !g ||
	    bpf_probe_read_user(&of->number, sizeof(of->number), (void *)(g + at->number)))
		return;
	if (of->number && at->begins)
		bpf_probe_read_user(&of->begins, sizeof(of->begins), (void *)(g + at->begins));
}

/* A tracer would be told of the signals with which we stop and continue; it stops its program at an exec by itself. */
static __always_inline bool may_stop(void)
{
	struct task_struct *task = bpf_get_current_task_btf();

	return !task->ptrace && !is_heard();
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

/*
 * The recorder looks at the ring every few milliseconds by itself.  Waking it
 * takes an interrupt, which in a virtual machine costs as much as a hundred
 * calls.
 */
static __always_inline __u64 submit_flags(bool now)
{
	if (awake || (!now && bpf_ringbuf_query(&ring, BPF_RB_AVAIL_DATA) < ring_bytes / 8))
		return BPF_RB_NO_WAKEUP;
	awake = 1;
	return BPF_RB_FORCE_WAKEUP;
}

/* Has the recorder fallen so far behind that the scope has to wait for it? */
static __always_inline bool is_behind(void)
{
	return pause_bytes && bpf_ringbuf_query(&ring, BPF_RB_AVAIL_DATA) > pause_bytes;
}

/* Behind a record that was submitted "now": the recorder may have gone to sleep without having seen it. */
static __always_inline void rouse(void)
{
	void *r;

	if (*(volatile __u32 *)&awake)
		return;
	r = bpf_ringbuf_reserve(&ring, 8, 0);
	if (r) {
		awake = 1;
		bpf_ringbuf_discard(r, BPF_RB_FORCE_WAKEUP);
	}
}

/* Keeps the compiler from comparing one copy of a number and using another: the verifier knows only the one. */
#define bounded(x) asm volatile("" : "+r"(x))

/*
 * What the thread has gathered, into the ring; false: it is lost.
 * Global functions, like this one, are verified once and not at each call.
 */
__noinline int give_gathered(struct rec_thread *t, bool now)
{
	__u64 n;

	if (!t)
		return true;
	n = t->gathered;
	t->gathered = 0;
	bounded(n);
	if (!n || n > sizeof(t->gather))
		return true;
	if (bpf_ringbuf_output(&ring, t->gather, n, submit_flags(now)) == 0)
		return true;
	count_lost();
	return false;
}

/* Room for a record of at most GATHER_MAX bytes behind what was gathered; add_gathered() ends it. */
static __always_inline void *room_to_gather(struct rec_thread *t)
{
	if (t->gathered >= GATHER_BYTES && !give_gathered(t, false))
		t->fault = 1;
	return &t->gather[t->gathered & (GATHER_BYTES - 1)];
}

static __always_inline void add_gathered(struct rec_thread *t, __u32 size)
{
	t->gathered += REC_ALIGN(size);
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
