/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0) */
/*
 * The recorder's part in the kernel: what the tasks of the scope take in from
 * outside and give out, as records in a ring (bpf/record.h).
 *
 * sys_exit is the one hot hook: the registers still hold the arguments, and
 * output buffers are filled.  Tracepoints of fork, exec, exit and signals
 * follow the tasks.
 */
#include "bpf/kernel.h"
#include "format/sysdesc_words.h"

#include "bpf/calls.bpf.h"
#include "bpf/names.bpf.h"
#include "bpf/wait.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* ---- calls ----------------------------------------------------------------- */

static __always_inline void begin_call(struct rec_thread *t, struct pt_regs *regs, __u32 nr, long ret)
{
	t->nr = nr;
	t->ret = ret;
	t->fault = 0;
	t->inl_len = 0;
	t->args[0] = regs->di;
	t->args[1] = regs->si;
	t->args[2] = regs->dx;
	t->args[3] = regs->r10;
	t->args[4] = regs->r8;
	t->args[5] = regs->r9;
}

static __always_inline int end_call(struct call *c)
{
	switch (c->d->fate) {
	case SC_CLOCK:
	case SC_RANDOM:
	case SC_SLEEP:
		return give_plain(c);
	case SC_SERVE:
		return c->d->fd ? end_io(c) : give_plain(c);
	case SC_READ:
		return end_io(c);
	case SC_WRITE:
		return end_write(c);
	case SC_WAIT:
		return end_wait(c);
	case SC_NET:
		return end_net(c);
	case SC_OPEN:
		return end_open(c);
	case SC_PATH:
	case SC_TASK:
		return end_path(c);
	case SC_FD:
		return end_fd(c);
	}
	return 0;
}

/* A call that can't be recorded has succeeded. */
static __noinline int refuse(struct rec_thread *t, __u32 nr, __u32 why)
{
	nr &= SC_MAX - 1;
	if (!told[nr]) {
		told[nr] = 1;
		tell_hole(t, why, nr);
	}
	return 0;
}

static __always_inline bool is_foreign(__u64 nr)
{
	struct task_struct *task = bpf_get_current_task_btf();

	return (task->thread_info.status & TS_COMPAT) || (nr & X32_SYSCALL_BIT);
}

static __always_inline bool is_restart(long ret)
{
	return ret <= -RESTART_FIRST && ret >= -RESTART_LAST;
}

/* SC_RUN, for the most part not our business. */
static __always_inline int end_run(struct rec_thread *t, struct pt_regs *regs, __u32 nr, long ret)
{
	if (nr == NR_epoll_ctl && ret == 0 && regs->si != 2)	/* EPOLL_CTL_DEL */
		end_epoll_ctl(t, regs->di, regs->dx, regs->r10);
	else if (nr == NR_mmap && (ret >= 0 || ret < -4095))
		end_mmap(t, regs->r10, regs->r8);
	return 0;
}

SEC("tp_btf/sys_exit")
int BPF_PROG(on_sys_exit, struct pt_regs *regs, long ret)
{
	struct rec_thread *t = thread_of(bpf_get_current_task_btf());
	struct call c = {};
	__u64 nr;

	if (!t || !t->active)
		return 0;
	nr = regs->orig_ax;
	if (nr == NR_restart_syscall && t->restart)
		nr = t->restart_nr;
	t->restart = 0;
	if ((__s64)nr < 0)		/* the return from a signal handler */
		return 0;
	if (is_foreign(nr)) {
		if (!told_compat)
			tell_hole(t, HOLE_COMPAT, nr);
		told_compat = 1;
		return 0;
	}
	if (nr >= SC_MAX)
		return 0;
	c.d = &sc_rows[nr & (SC_MAX - 1)];
	if (c.d->fate == SC_RUN && c.d->fd && sc_machine_error(ret)) {
		c.t = t;
		begin_call(t, regs, nr, ret);
		return end_file_call(&c);
	}
	if (c.d->fate == SC_RUN)
		return end_run(t, regs, nr, ret);
	if (c.d->fate == SC_NOROW || c.d->fate == SC_REFUSE)
		return ret >= 0 ? refuse(t, nr, c.d->fate ? HOLE_REFUSED : HOLE_NOROW) : 0;
	if (c.d->fate == SC_TASK && ret >= 0)
		return 0;
	if (is_restart(ret)) {
		t->restart = -ret;
		t->restart_nr = nr;
	}
	c.t = t;
	begin_call(t, regs, nr, ret);
	return end_call(&c);
}

/*
 * A call was interrupted by a signal with a handler: does the program see
 * EINTR, or is the call made again?  As arch_do_signal_or_restart() decides.
 */
SEC("tp_btf/signal_deliver")
int BPF_PROG(on_signal_deliver, int sig, struct kernel_siginfo *info, struct k_sigaction *ka)
{
	struct rec_thread *t = thread_of(bpf_get_current_task_btf());
	struct rec_hdr *r;

	if (!t || !t->restart)
		return 0;
	if (BPF_CORE_READ(ka, sa.sa_handler) <= (void *)1)	/* SIG_DFL, SIG_IGN */
		return 0;
	if (t->restart == ERESTARTNOINTR ||
	    (t->restart == ERESTARTSYS && (BPF_CORE_READ(ka, sa.sa_flags) & SA_RESTART)))
		return 0;
	t->restart = 0;
	r = bpf_ringbuf_reserve(&ring, sizeof(*r), 0);
	if (!r) {
		count_lost();
		return 0;
	}
	fill_hdr(r, t, REC_EINTR);
	bpf_ringbuf_submit(r, submit_flags(false));
	return 0;
}

/* ---- tasks ------------------------------------------------------------------- */

static __always_inline __u32 number_of(struct task_struct *task)
{
	struct pid *pid = BPF_CORE_READ(task, thread_pid);
	__u32 nr = 0;

	bpf_probe_read_kernel(&nr, sizeof(nr), (void *)pid + bpf_core_field_offset(struct pid, numbers) +
					       ns_level * bpf_core_type_size(struct upid));
	return nr;
}

SEC("tp_btf/sched_process_fork")
int BPF_PROG(on_fork, struct task_struct *parent, struct task_struct *child)
{
	struct rec_thread *t = thread_of(parent), init = {};
	struct rec_task *r;

	if (!t)
		return 0;
	init.active = t->active;
	init.tid = number_of(child);
	init.tgid = parent->tgid == child->tgid ? t->tgid : init.tid;
	__sync_fetch_and_add(&live, 1);
	if (!bpf_task_storage_get(&threads, child, &init, BPF_LOCAL_STORAGE_GET_F_CREATE)) {
		__sync_fetch_and_add(&live, -1);
		tell_hole(t, HOLE_TASK, 0);
		return 0;
	}
	if (!t->active)
		return 0;
	r = task_room(t, REC_FORK);
	if (!r)
		return 0;
	r->fork.child = init.tid;
	r->fork.child_tgid = init.tgid;
	bpf_ringbuf_submit(r, submit_flags(false));
	return 0;
}

static long inherit_fd(__u32 i, struct rec_thread **ctx)
{
	struct rec_thread *t = *ctx;
	struct file *f = file_of(i);
	struct inode_key key = {};
	struct rec_fd what;
	__u32 one = 1;

	if (!f)
		return 0;
	describe(f, &what);
	key.ino = what.ino;
	key.dev = what.dev;
	bpf_map_update_elem(&inherited, &key, &one, BPF_ANY);
	if (what.class == FDC_FILE)
		inherited_files = 1;
	what.outside = is_outside(&what);
	give_sock_once(t, f, &what, false);
	if (what.class != FDC_SOCK && what.class != FDC_PIPE)
		give_path_of(t, REC_ARG_INHERITED, i, (__u64)path_in(f));
	give_fd(t, FD_INHERITED, i, 0, BPF_CORE_READ(f, f_pos), &what);
	return 0;
}

/* The command's own program begins: from here on is recorded. */
static __always_inline void start(struct rec_thread *t, struct task_struct *task)
{
	started = 1;
	root_dentry = (__u64)BPF_CORE_READ(task, fs, root.dentry);
	root_mnt = (__u64)BPF_CORE_READ(task, fs, root.mnt);
	bpf_loop(1024, inherit_fd, &t, 0);
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(on_exec, struct task_struct *task, int old_pid, struct linux_binprm *bprm)
{
	struct rec_thread *t = thread_of(task);
	struct rec_task *r;
	__u32 old_tid;

	if (!t)
		return 0;
	old_tid = t->tid;
	t->tid = t->tgid;	/* of whichever thread called it, the program goes on as the first */
	t->restart = 0;
	t->seq++;
	t->active = 1;
	if (!started)
		start(t, task);
	r = task_room(t, REC_EXEC);
	if (!r)
		return 0;
	r->exec.old_tid = old_tid;
	r->exec.stopped = bpf_send_signal(SIGSTOP) == 0;
	bpf_ringbuf_submit(r, submit_flags(true));
	return 0;
}

SEC("tp_btf/sched_process_exit")
int BPF_PROG(on_exit, struct task_struct *task)
{
	struct rec_thread *t = thread_of(task);
	struct signal_struct *sig;
	struct rec_task *r;

	if (!t)
		return 0;
	__sync_fetch_and_add(&live, -1);
	if (!t->active)
		return 0;
	r = task_room(t, REC_EXIT);
	if (!r)
		return 0;
	sig = BPF_CORE_READ(task, signal);
	r->exit.group = BPF_CORE_READ(sig, live.counter) == 0;
	r->exit.status = BPF_CORE_READ(sig, flags) & SIGNAL_GROUP_EXIT ? BPF_CORE_READ(sig, group_exit_code) :
									 BPF_CORE_READ(task, exit_code);
	bpf_ringbuf_submit(r, submit_flags(r->exit.group));
	return 0;
}

/* ---- signals -------------------------------------------------------------------- */

enum { SIGHUP = 1, SIGINT = 2, SIGQUIT = 3, SIGKILL = 9, SIGCONT = 18, SIGTSTP = 20, SIGWINCH = 28 };
enum { SI_USER = 0, SI_QUEUE = -1, SI_TKILL = -6, SI_KERNEL = 0x80 };

/* Signals that the kernel sends for someone outside: a terminal, the killer of those who eat too much memory. */
static __always_inline bool is_for_others(int sig)
{
	return sig == SIGHUP || sig == SIGINT || sig == SIGQUIT || sig == SIGKILL || sig == SIGCONT || sig == SIGTSTP ||
	       sig == SIGWINCH;
}

SEC("tp_btf/signal_generate")
int BPF_PROG(on_signal, int sig, struct kernel_siginfo *info, struct task_struct *task, int group, int result)
{
	struct task_struct *sender = bpf_get_current_task_btf();
	struct rec_thread *t = thread_of(task);
	__u64 how = (__u64)info;
	struct rec_task *r;
	int code = SI_USER;

	if (!t || !t->active || result != 0)	/* TRACE_SIGNAL_DELIVERED */
		return 0;
	if (sig == SIGCONT && number_of(sender) == recorder_tgid)
		return 0;
	if (thread_of(sender))
		return 0;
	if (how == 1)				/* SEND_SIG_PRIV */
		code = SI_KERNEL;
	else if (how)				/* not SEND_SIG_NOINFO */
		bpf_probe_read_kernel(&code, sizeof(code), (void *)how + bpf_core_field_offset(struct kernel_siginfo, si_code));
	if (code == SI_KERNEL ? !is_for_others(sig) : code != SI_USER && code != SI_QUEUE && code != SI_TKILL)
		return 0;
	r = task_room(t, REC_SIGNAL);
	if (!r)
		return 0;
	r->signal.signo = sig;
	r->signal.code = code;
	bpf_ringbuf_submit(r, submit_flags(false));
	return 0;
}
