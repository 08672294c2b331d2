/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0) */
/* Calls that name files: the names, what was opened, and the stop before it can change. */
#ifndef CAPSULE_NAMES_BPF_H
#define CAPSULE_NAMES_BPF_H

#include "bpf/calls.bpf.h"
#include "bpf/paths.bpf.h"

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
	if (sc_path_error(c->t->ret))
		give_failed(c);
	else
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
	return end_path(c);
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
