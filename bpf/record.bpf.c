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
#include "bpf/here.bpf.h"
#include "bpf/names.bpf.h"
#include "bpf/wait.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* ---- calls ----------------------------------------------------------------- */

static __always_inline void begin_call(struct rec_thread *t, struct pt_regs *regs, __u32 nr, long ret)
{
	t->nr = nr;
	t->ret = ret;
	t->fault = 0;
	t->silent = 0;
	t->gathered = 0;
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
	case SC_REAP:
	case SC_DECLINE:
		return give_plain(c);
	case SC_SERVE:
	case SC_TIMER:
		return c->d->fd ? end_io(c) : give_plain(c);
	case SC_READ:
		return end_io(c);
	case SC_WRITE:
		return end_write(c);
	case SC_SIGNAL:
		return end_signal(c);
	case SC_TIMED:
		return sc_has_limit(c->d, c->t->nr, c->t->args) ? give_plain(c) : 0;
	case SC_WAIT:
		return end_wait(c);
	case SC_NET:
		return end_net(c);
	case SC_OPEN:
		return end_open(c);
	case SC_PATH:
	case SC_OWNER:
	case SC_TASK:
		return end_path(c);
	case SC_LOOK:
		return end_look(c);
	case SC_FD:
		return end_fd(c);
	}
	return 0;
}

/* clock_gettime, and gettimeofday without a time zone, told in one small record; false: to be told as others are. */
static __always_inline bool give_clock(struct rec_thread *t, struct pt_regs *regs, __u64 nr, long ret)
{
	bool second = nr == NR_clock_gettime;
	__u64 at = second ? regs->si : regs->di;
	struct rec_clock *r;

	if (ret || !at || (!second && (nr != NR_gettimeofday || regs->si)) || is_behind())
		return false;
	r = bpf_ringbuf_reserve(&ring, sizeof(*r), 0);
	if (r) {
		fill_hdr(&r->h, t, REC_CLOCK);
		r->time = bpf_ktime_get_boot_ns();
		r->args[0] = regs->di;
		r->args[1] = regs->si;
		r->nr = nr;
		r->arg = second;
		fill_goroutine(&r->goroutine, t);
		if (bpf_probe_read_user(r->value, sizeof(r->value), (void *)at))
			r->h.flags = REC_F_PART;
		bpf_ringbuf_submit(r, submit_flags(false));
	} else {
		count_lost();
	}
	t->seq++;
	return true;
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

static __always_inline void end_signalfd(struct rec_thread *t, __u64 mask)
{
	__u64 set;

	if (!bpf_probe_read_user(&set, sizeof(set), (void *)mask) && (set & 1ul << (SIGCHLD - 1)))
		t->hears = 1;
}

/* SC_RUN, for the most part not our business. */
static __always_inline int end_run(struct call *c, struct pt_regs *regs, __u32 nr, long ret)
{
	bool failed = ret < 0 && ret >= -4095;

	if (nr == NR_epoll_ctl && ret == 0 && regs->si != 2)	/* EPOLL_CTL_DEL */
		end_epoll_ctl(c->t, regs->di, regs->dx, regs->r10);
	if ((nr == NR_signalfd || nr == NR_signalfd4) && !failed)
		end_signalfd(c->t, regs->si);
	if (failed || (nr != NR_shmat && (nr != NR_mmap || !(regs->r10 & MAP_SHARED))))
		return 0;
	begin_call(c->t, regs, nr, ret);
	return nr == NR_shmat ? give_plain(c) : end_mmap(c);
}

enum { SIGSYS = 31 };

/* A seccomp filter of the program's own ended the call before it began: what looks like its result is its number. */
static __always_inline bool is_filtered(__u64 nr, long ret)
{
	struct task_struct *task = bpf_get_current_task_btf();

	return (__u64)ret == nr && (task->pending.signal.sig[0] & 1ul << (SIGSYS - 1));
}

SEC("tp_btf/sys_exit")
int BPF_PROG(on_sys_exit, struct pt_regs *regs, long ret)
{
	struct rec_thread *t = thread_of(bpf_get_current_task_btf());
	struct call c = {};
	__u32 level;
	__u64 nr;

	if (!t || !t->active)
		return 0;
	level = level_of(t);
	if (level == REC_NOTHING)
		return 0;
	nr = regs->orig_ax;
	if (nr == NR_restart_syscall && t->restart)
		nr = t->restart_nr;
	t->restart = 0;
	if ((__s64)nr < 0 || is_filtered(nr, ret))	/* negative: the return from a signal handler */
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
	if (c.d->fate == SC_CLOCK && level == REC_METADATA)	/* nothing is replayed from it: no reading is worth a record */
		return 0;
	if (c.d->fate == SC_CLOCK && give_clock(t, regs, nr, ret))
		return 0;
	c.t = t;
	if (sc_takes(nr)) {
		t->taken[sc_takes(nr) & 3]++;
		if (c.d->fate != SC_OPEN && sc_got_none(nr, regs->di, ret)) {
			begin_call(t, regs, nr, ret);
			give_failed(&c);
			return 0;
		}
	}
	if (c.d->fate == SC_RUN && c.d->fd && sc_change_error(ret)) {
		begin_call(t, regs, nr, ret);
		return end_file_call(&c);
	}
	if (c.d->fate == SC_RUN)
		return end_run(&c, regs, nr, ret);
	if (c.d->fate == SC_NOROW || c.d->fate == SC_REFUSE || (c.d->fate == SC_DECLINE && ret >= 0))
		return ret >= 0 ? refuse(t, nr, c.d->fate ? HOLE_REFUSED : HOLE_NOROW) : 0;
	if (c.d->fate == SC_TASK && ret >= 0)
		return 0;
	if (is_restart(ret)) {
		t->restart = -ret;
		t->restart_nr = nr;
	}
	begin_call(t, regs, nr, ret);
	t->silent = level == REC_METADATA && sc_is_payload(c.d->fate);
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

SEC("tp_btf/sched_process_fork")
int BPF_PROG(on_fork, struct task_struct *parent, struct task_struct *child)
{
	struct rec_thread *t = thread_of(parent), *new;
	struct rec_task *r;

	/* Who gets ready for its first program is not recorded; nor is whom it starts for that. */
	if (!t || !t->active)
		return 0;
	__sync_fetch_and_add(&live, 1);
	new = bpf_task_storage_get(&threads, child, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (!new) {
		__sync_fetch_and_add(&live, -1);
		tell_hole(t, HOLE_TASK, 0);
		return 0;
	}
	new->active = t->active;
	new->scope = t->scope;
	new->tid = number_of(child);
	new->tgid = parent->tgid == child->tgid ? t->tgid : new->tid;
	new->hears = parent->tgid == child->tgid && t->hears;
	r = task_room(t, REC_FORK);
	if (!r)
		return 0;
	r->fork.child = new->tid;
	r->fork.child_tgid = new->tgid;
	r->fork.own_tid = own_number_of(child);
	r->fork.own_tgid = parent->tgid == child->tgid ? own_number_of(BPF_CORE_READ(parent, group_leader)) : r->fork.own_tid;
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
	begin_scope(t->scope, task);
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
	t->hears = 0;
	t->seq++;
	t->active = 1;
	if (!started)
		start(t, task);
	give_gathered(t, false);
	r = task_room(t, REC_EXEC);
	if (!r)
		return 0;
	r->exec.old_tid = old_tid;
	r->exec.heard = is_heard();
	r->exec.stopped = may_stop() && bpf_send_signal(SIGSTOP) == 0;
	bpf_ringbuf_submit(r, submit_flags(true));
	rouse();
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
	r->exit.oom = BPF_CORE_READ(sig, oom_mm) != 0;
	bpf_ringbuf_submit(r, submit_flags(live <= 0));
	return 0;
}

/* ---- signals -------------------------------------------------------------------- */

enum { SIGHUP = 1, SIGINT = 2, SIGQUIT = 3, SIGKILL = 9, SIGALRM = 14, SIGCONT = 18, SIGSTOP_ = 19, SIGTSTP = 20, SIGVTALRM = 26, SIGPROF = 27, SIGWINCH = 28 };
enum { DELIVERED = 0, LOST_INFO = 4 };	/* enum of include/trace/events/signal.h */
enum { SI_USER = 0, SI_QUEUE = -1, SI_TKILL = -6, SI_TIMER = -2, SI_KERNEL = 0x80 };

/* Signals that the kernel sends for someone outside: a terminal, the killer of those who eat too much memory. */
static __always_inline bool is_for_others(int sig)
{
	return sig == SIGHUP || sig == SIGINT || sig == SIGQUIT || sig == SIGKILL || sig == SIGCONT || sig == SIGTSTP ||
	       sig == SIGWINCH;
}

static __always_inline bool is_from_outside(int sig, int code)
{
	return code == SI_KERNEL ? is_for_others(sig) : code == SI_USER || code == SI_QUEUE || code == SI_TKILL;
}

static __always_inline bool is_timers(int sig, int code)
{
	return code == SI_TIMER || (code == SI_KERNEL && (sig == SIGALRM || sig == SIGVTALRM || sig == SIGPROF));
}

/* Some do when they see that a child was stopped; it may have been by us. */
static __always_inline void tell_halt(const struct rec_thread *t)
{
	struct rec_task *r = task_room(t, REC_HALT);

	if (r)
		bpf_ringbuf_submit(r, submit_flags(true));
	rouse();
}

SEC("tp_btf/signal_generate")
int BPF_PROG(on_signal, int sig, struct kernel_siginfo *info, struct task_struct *task, int group, int result)
{
	struct task_struct *sender = bpf_get_current_task_btf();
	struct rec_thread *t = thread_of(task);
	__u64 how = (__u64)info;
	struct rec_task *r;
	struct { __s32 pid; __u32 uid; __u64 value; } from = {};	/* siginfo's _rt; _kill begins likewise */
	int code = SI_USER;

	if (!t || !t->active || (result != DELIVERED && result != LOST_INFO))
		return 0;
	if (sig == SIGCONT && number_of(sender) == recorder_tgid)
		return 0;
	if (sig == SIGSTOP_ && how > 1 && sender->tgid == task->tgid) {
		tell_halt(t);
		return 0;
	}
	if (result == LOST_INFO)		/* no memory for it: the handler is told of SI_USER, from nobody */
		how = 0;
	if (how == 1)				/* SEND_SIG_PRIV */
		code = SI_KERNEL;
	else if (how)				/* not SEND_SIG_NOINFO */
		bpf_probe_read_kernel(&code, sizeof(code), (void *)how + bpf_core_field_offset(struct kernel_siginfo, si_code));
	/* A timer expires in whichever task happens to run. */
	if (!is_timers(sig, code) && (thread_of(sender) || !is_from_outside(sig, code)))
		return 0;
	if (how > 1)
		bpf_probe_read_kernel(&from, sizeof(from), (void *)how + bpf_core_field_offset(struct kernel_siginfo, _sifields));
	r = task_room(t, REC_SIGNAL);
	if (!r)
		return 0;
	r->signal.signo = sig;
	r->signal.code = code;
	r->signal.pid = from.pid;
	r->signal.uid = from.uid;
	r->signal.value = code == SI_QUEUE || code == SI_TIMER ? from.value : 0;
	r->signal.group = group;
	bpf_ringbuf_submit(r, submit_flags(false));
	return 0;
}
