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

/* What a look through a descriptor is about; where that is in the tree. */
static __always_inline void give_looked_at(struct call *c, __s32 fd)
{
	struct file *f = file_of(fd);

	describe(f, &c->told.fd);
	if (!c->told.fd.class)
		return;
	if (is_synthetic(c->told.fd.magic) || (c->told.fd.class != FDC_FILE && c->told.fd.class != FDC_DIR))
		c->told.flags |= REC_F_WHOLE;
	else if (BPF_CORE_READ(f, f_inode, i_nlink) && !c->told.fd.outside)
		give_path_of(c->t, REC_ARG_OPENED, 0, (__u64)path_in(f));
}

/* The strings, and for relative ones the directories that they are relative to. */
static long give_name(__u32 i, struct call *c)
{
	struct rec_thread *t = c->t;
	__u32 before = i - 1;	/* where a DIRFD would be */
	struct path *base;
	__s32 dirfd = AT_FDCWD;
	int first;

	bounded(i);
	if (i >= 6)
		return 1;
	if (c->d->arg[i].kind != SC_STR)
		return c->d->arg[i].kind == SC_NONE;
	first = give_string(t, i, t->args[i]);
	if (first == '/')
		return 0;
	bounded(before);
	if (before < 6 && c->d->arg[before].kind == SC_DIRFD)
		dirfd = t->args[before];
	if (!first && c->d->fate == SC_LOOK) {	/* AT_EMPTY_PATH */
		give_looked_at(c, dirfd);
		return 0;
	}
	base = dirfd == AT_FDCWD ? working_directory() : path_in(file_of(dirfd));
	give_path_of(t, REC_ARG_BASE + i, 0, (__u64)base);
	return 0;
}

static __noinline int end_path(struct call *c)
{
	if (c->d->fate == SC_OWNER && c->d->fd)		/* fchown() */
		give_looked_at(c, first_fd(c));
	bpf_loop(6, give_name, c, 0);
	if (sc_path_error(c->t->ret) || sc_change_error(c->t->ret) || sc_got_none(c->t->nr, 0, c->t->ret))
		give_failed(c);
	else
		give_call(c, 0);
	return 0;
}

static long give_answer(__u32 i, struct call *c)
{
	bounded(i);
	if (i >= 6)
		return 1;
	if (c->d->arg[i].kind == SC_MEM)
		give(c->t, i, 0, c->t->args[i], bytes_of(c, i));
	return c->d->arg[i].kind == SC_NONE;
}

/* What a file is, by name or by descriptor. */
static __noinline int end_look(struct call *c)
{
	bpf_loop(6, give_name, c, 0);
	if (sc_path_error(c->t->ret)) {
		give_failed(c);
		return 0;
	}
	if (c->d->fd)
		give_looked_at(c, first_fd(c));
	bpf_loop(6, give_answer, c, 0);
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

#define O_PATH 010000000
#define SIG_IGN_ 1
#define SA_NOCLDSTOP_ 1
#define SA_RESTART_ 0x10000000

static __always_inline bool is_read_ahead(const struct rec_fd *fd, const struct rec_state *s)
{
	struct inode_key key = { .ino = fd->ino, .dev = fd->dev };
	__s64 *ctime = bpf_map_lookup_elem(&ahead, &key);

	return ctime && *ctime == s->ctime;
}

/*
 * Would a stop interrupt what its parent waits in, with a SIGCHLD?  vsftpd for
 * one takes that for its child's end.  A parent whose child runs a program of
 * its own has had one already, when that started.
 */
static __always_inline bool interrupts_parent(struct task_struct *task)
{
	struct sighand_struct *of = BPF_CORE_READ(task, real_parent, sighand);

	return task->self_exec_id == task->parent_exec_id &&
	       (unsigned long)BPF_CORE_READ(of, action[SIGCHLD - 1].sa.sa_handler) > SIG_IGN_ &&
	       !(BPF_CORE_READ(of, action[SIGCHLD - 1].sa.sa_flags) & (SA_NOCLDSTOP_ | SA_RESTART_));
}

/*
 * A file that no image holds is about to be used: the recorder must read it
 * before it can change.  A program with one thread waits in any case, and does
 * not notice.  Where others would see a call of theirs interrupted, its other
 * threads or its parent, it waits only if it may write.
 */
static __always_inline void hold(struct call *c, const struct rec_state *s)
{
	struct task_struct *task = bpf_get_current_task_btf();

	if (c->told.fd2.class != FDC_FILE || s->size == 0 || (s->fmode & FMODE_CREATED) || (s->how_flags & (O_TRUNC | O_PATH)))
		return;
	if (mark_of(&c->told.fd2) & MARK_KNOWN)
		return;
	mark(&c->told.fd2, MARK_KNOWN);
	if (is_read_ahead(&c->told.fd2, s))
		return;
	c->told.wake = true;
	c->told.stop = (s->fmode & FMODE_WRITE) || (BPF_CORE_READ(task, signal, nr_threads) == 1 && !interrupts_parent(task));
}

static __noinline int give_opened(struct call *c)
{
	struct rec_thread *t = c->t;
	struct file *f = file_of(t->ret);
	struct inode *inode;
	struct rec_state s;
	struct walk *w;

	describe(f, &c->told.fd2);
	if (!f || c->told.fd2.class == FDC_NULL)
		return 0;
	if (c->told.fd2.rdev == DEV_PTMX && !c->told.fd2.outside)
		mark_own_pty(f);
	inode = BPF_CORE_READ(f, f_inode);
	s.size = BPF_CORE_READ(inode, i_size);
	s.ctime = ctime_of(inode);
	s.fmode = BPF_CORE_READ(f, f_mode);
	s.how_flags = open_flags(t);
	give_kernel(t, REC_ARG_STATE, 0, &s, sizeof(s));
	w = find_path(t, path_in(f));
	if (!w)
		return 0;
	give_path(t, REC_ARG_OPENED, 0, w);
	if (c->told.fd2.class == FDC_FILE && in_synthetic(w)) {
		mark(&c->told.fd2, MARK_SYNTH);
		covered = 1;
		c->told.fd2.class = FDC_SYNTH;
		c->told.fd2.outside = 1;
		return 0;
	}
	if (s.fmode & FMODE_CREATED)
		mark(&c->told.fd2, MARK_CREATED | MARK_KNOWN);
	if (!in_image(w) || (s.fmode & FMODE_WRITE))
		hold(c, &s);
	return 0;
}

static __noinline int end_open(struct call *c)
{
	if (c->t->ret >= 0)
		give_opened(c);
	end_path(c);
	if (c->told.wake)
		rouse();
	return 0;
}

/* ---- shared memory ---------------------------------------------------------------------------- */

enum { PROT_WRITE = 2, MAP_SHARED = 1, MAP_ANONYMOUS = 0x20 };

/* A device, or a file in memory that somebody outside made and can name. */
static __always_inline bool is_shared_outside(const struct rec_fd *what, struct file *f)
{
	if (what->class == FDC_CHR)
		return true;
	return what->class == FDC_FILE && what->magic == TMPFS_MAGIC && (what->flags & 3) && !(mark_of(what) & MARK_CREATED) &&
	       BPF_CORE_READ(f, f_inode, i_nlink);
}

/* mmap: what others of the scope may write, too, is told, and by which name they could find it. */
static __noinline int end_mmap(struct call *c)
{
	const __u64 *args = c->t->args;
	struct file *f = args[3] & MAP_ANONYMOUS ? NULL : file_of(args[4]);
	struct rec_fd what;

	if (!(args[3] & MAP_SHARED))
		return 0;
	describe(f, &what);
	if (is_shared_outside(&what, f))
		tell_hole(c->t, HOLE_SHARED, NR_mmap);
	if (!(args[2] & PROT_WRITE))
		return 0;
	if (f)
		give_path_of(c->t, REC_ARG_OPENED, 0, (__u64)path_in(f));
	give_call(c, 0);
	return 0;
}

#endif
