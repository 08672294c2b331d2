/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0) */
/*
 * What is already there when the recorder comes to a running process: its
 * threads, which enter the scope, and its descriptors.  Iterators, read by the
 * recorder while the process is stopped; what they give are the structs of
 * bpf/record.h, one behind the other.
 */
#ifndef CAPSULE_HERE_BPF_H
#define CAPSULE_HERE_BPF_H

#include "bpf/fds.bpf.h"

struct seq_file;
struct bpf_iter_meta {
	struct seq_file *seq;
} __attribute__((preserve_access_index));

struct bpf_iter__task {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
} __attribute__((preserve_access_index));

struct bpf_iter__task_file {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
	__u32 fd;
	struct file *file;
} __attribute__((preserve_access_index));

__u32 here_scope;			/* that it enters */
__u32 here_tgid;			/* the process, in the recorder's pid namespace; set before each reading */

/* One reading at a time; not on the stack, which has no room for it. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct rec_here_file);
} here_files SEC(".maps");

static __always_inline __u32 number_in(struct task_struct *task, __u32 level)
{
	struct pid *pid = BPF_CORE_READ(task, thread_pid);
	__u32 nr = 0;

	bpf_probe_read_kernel(&nr, sizeof(nr), (void *)pid + bpf_core_field_offset(struct pid, numbers) +
					       level * bpf_core_type_size(struct upid));
	return nr;
}

/* Its number in the recorder's pid namespace. */
static __always_inline __u32 number_of(struct task_struct *task)
{
	return number_in(task, ns_level);
}

/* ... and in its own. */
static __always_inline __u32 own_number_of(struct task_struct *task)
{
	__u32 level = BPF_CORE_READ(task, thread_pid, level);

	return number_in(task, level & 31);
}

static __always_inline bool is_here(struct task_struct *task)
{
	return here_tgid && number_of(BPF_CORE_READ(task, group_leader)) == here_tgid;
}

SEC("iter/task_file")
int on_here_file(struct bpf_iter__task_file *ctx)
{
	struct task_struct *task = ctx->task;
	struct file *file = ctx->file;
	__u32 zero = 0;
	__u64 at;
	struct rec_here_file *h = bpf_map_lookup_elem(&here_files, &zero);

	if (!task || !file || !h || !is_here(task))
		return 0;
	__builtin_memset(h, 0, sizeof(*h));
	h->fd = ctx->fd;
	h->pos = BPF_CORE_READ(file, f_pos);
	h->file = (__u64)file;
	at = *(volatile __u64 *)&h->file;	/* just a number, as just_a_number() makes them */
	describe_file(at, &h->what);
	if (h->what.class == FDC_SOCK)
		fill_sock(&h->sock, at, &h->what);
	bpf_seq_write(ctx->meta->seq, h, sizeof(*h));
	return 0;
}

/* A call that the stop interrupted, and that the kernel will go on with under another number. */
static __always_inline void begin_restart(struct rec_thread *t, struct task_struct *task)
{
	struct pt_regs *regs = (struct pt_regs *)bpf_task_pt_regs(task);
	long ax = BPF_CORE_READ(regs, ax);

	if (ax > -RESTART_FIRST || ax < -RESTART_LAST)
		return;
	t->restart = -ax;
	t->restart_nr = BPF_CORE_READ(regs, orig_ax);
}

SEC("iter/task")
int on_here_task(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;
	struct rec_here_task h = {};
	struct rec_thread *t;
	bool new;

	if (!task || !is_here(task))
		return 0;
	started = 1;
	begin_scope(here_scope, task);
	h.tid = number_of(task);
	h.own_tid = own_number_of(task);
	h.own_tgid = own_number_of(BPF_CORE_READ(task, group_leader));
	t = thread_of(task);
	new = !t;
	if (t && level_of(t) != REC_NOTHING) {
		h.known = 1;	/* its creator was followed already when it was made */
	} else if (t || (t = bpf_task_storage_get(&threads, task, 0, BPF_LOCAL_STORAGE_GET_F_CREATE))) {
		__sync_fetch_and_add(&live, new);	/* of a scope that is no more, it was counted then */
		t->gathered = 0;
		t->tid = h.tid;
		t->tgid = here_tgid;
		t->scope = here_scope;
		begin_restart(t, task);
		t->active = 1;
	} else {
		h.failed = 1;
	}
	bpf_seq_write(ctx->meta->seq, &h, sizeof(h));
	return 0;
}

#endif
