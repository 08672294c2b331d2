/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See timed.h.  The kernel's clocks are not the program's, so its limits are
 * worth nothing here: one by date is long past, and how long others compute is
 * the machine's affair.
 *
 * - Recorded as timed out: the task does not wait at all, it stays stopped
 *   until its time has come (pace.c), then gets the recorded result.  What it
 *   waited for may come meanwhile: a futex is looked at, as the kernel does.
 * - Otherwise it waits in the kernel, without a limit, so that no wake-up is
 *   lost and none costs anything.  If the limit has to strike (pace.c), the
 *   wait is cut off by a stop of ptrace and its result replaced.  A wake-up
 *   that comes first wins.
 *
 * The limit is taken away by setting its argument to NULL.  The program needs
 * that register behind the call, so the call returns to where the shim puts it
 * right: see shim_head.back.
 */
#include <linux/types.h>

#include "replayer/timed.h"

#include "format/cleanup.h"
#include "format/io.h"
#include "format/sysdesc.h"
#include "preload/shim.h"
#include "replayer/inject.h"

#include <errno.h>
#include <linux/futex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/select.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <time.h>

#define NS 1000000000ll

/* What the kernel itself uses to say that a call was cut off: include/linux/errno.h. */
enum { ERESTARTSYS = 512, ERESTARTNOINTR = 513, ERESTARTNOHAND = 514, ERESTART_RESTARTBLOCK = 516 };

static bool was_cut_off(const struct user_regs_struct *regs)
{
	int64_t ret = (int64_t)regs->rax;

	return (int64_t)regs->orig_rax >= 0 && ret <= -ERESTARTSYS && ret >= -ERESTART_RESTARTBLOCK;
}

static int64_t timeout_of(unsigned int nr)
{
	return nr == SYS_rt_sigtimedwait || nr == SYS_semtimedop ? -EAGAIN : -ETIMEDOUT;
}

/* ---- the limit ------------------------------------------------------------- */

static void args_of(const struct user_regs_struct *regs, __u64 args[6])
{
	args[0] = regs->rdi;
	args[1] = regs->rsi;
	args[2] = regs->rdx;
	args[3] = regs->r10;
	args[4] = regs->r8;
	args[5] = regs->r9;
}

static unsigned int futex_op(const __u64 args[6])
{
	return (unsigned int)args[1] & ~SC_FUTEX_FLAGS;
}

/* The clock by which the limit is a date, or -1: it is a length. */
static int clock_of(unsigned int nr, const __u64 args[6])
{
	switch (nr) {
	case SYS_futex:
		if (futex_op(args) == FUTEX_WAIT)
			return -1;
		return futex_op(args) == FUTEX_LOCK_PI || (args[1] & FUTEX_CLOCK_REALTIME) ? CLOCK_REALTIME : CLOCK_MONOTONIC;
	case 449:	/* futex_waitv */
		return (int)args[4];
	case 455:	/* futex_wait */
		return (int)args[5];
	case SYS_mq_timedsend:
	case SYS_mq_timedreceive:
		return CLOCK_REALTIME;
	default:
		return -1;
	}
}

/* How long it may wait from now on, ns; negative: that is past.  False: the kernel has to say what is wrong. */
static bool length_of(struct replay *r, const struct gtask *t, unsigned int nr, const __u64 args[6], int64_t *ret)
{
	int clk = clock_of(nr, args);
	struct timespec ts;

	if (guest_read(t->tid, args[sc_table[nr].limit - 1], &ts, sizeof(ts)) < 0 || ts.tv_sec < 0 || ts.tv_nsec < 0 ||
	    ts.tv_nsec >= NS)
		return false;
	if (__builtin_mul_overflow(ts.tv_sec, NS, ret) || __builtin_add_overflow(*ret, ts.tv_nsec, ret))
		*ret = INT64_MAX;
	if (clk >= 0 && *ret < INT64_MAX)
		*ret -= streams_now(r->streams, t->slot, (uint32_t)clk);
	return true;
}

/* ---- what was recorded -------------------------------------------------------- */

const struct rec_wait *timed_next(struct replay *r, struct gtask *t)
{
	const struct rec_task *rec = t->rec;
	const struct rec_wait *w;

	(void)r;
	if (!rec)
		return NULL;
	if (!t->mark_known) {
		t->mark_known = true;
		t->next_mark = next_mark(rec, t->cursor);
	}
	while ((w = task_wait(rec, t->wait_cursor)) && w->order < t->last_mark)
		t->wait_cursor++;
	return w && w->order <= t->next_mark ? w : NULL;
}

void timed_pass(struct replay *r, uint32_t order)
{
	const struct rec_wait *w;

	for (struct gtask *t = r->tasks; t; t = t->next)
		while (t->rec && (w = task_wait(t->rec, t->wait_cursor)) && w->order < order)
			t->wait_cursor++;
}

static const struct rec_wait *take(struct replay *r, struct gtask *t, unsigned int nr)
{
	const struct rec_wait *w = timed_next(r, t);

	if (!w || w->nr != nr)
		return NULL;
	t->wait_cursor++;
	return w;
}

/* ---- before the call ------------------------------------------------------------ */

static bool futex_changed(const struct gtask *t, unsigned int nr, const __u64 args[6])
{
	uint32_t now;

	if (nr != SYS_futex || (futex_op(args) != FUTEX_WAIT && futex_op(args) != FUTEX_WAIT_BITSET))
		return false;
	return guest_read(t->tid, args[0], &now, sizeof(now)) == 0 && now != (uint32_t)args[2];
}

static void go_on(const struct gtask *t)
{
	ptrace(PTRACE_CONT, t->tid, NULL, NULL);
}

/* Without the call, as if it had given @ret. */
static void give(const struct gtask *t, struct user_regs_struct *regs, int64_t ret)
{
	regs->orig_rax = (uint64_t)-1;
	regs->rax = (uint64_t)ret;
	ptrace(PTRACE_SETREGS, t->tid, NULL, regs);
	go_on(t);
}

static void end(const struct gtask *t, struct user_regs_struct *regs)
{
	unsigned int nr = (unsigned int)regs->orig_rax;
	__u64 args[6];

	args_of(regs, args);
	give(t, regs, futex_changed(t, nr, args) ? -EAGAIN : timeout_of(nr));
}

void timed_out(struct replay *r, struct gtask *t)
{
	struct user_regs_struct regs;

	if (t->exited || ptrace(PTRACE_GETREGS, t->tid, NULL, &regs) < 0)
		return;
	r->v->served++;
	end(t, &regs);
}

bool timed_is_woken(const struct gtask *t)
{
	struct user_regs_struct regs;
	__u64 args[6];

	if (ptrace(PTRACE_GETREGS, t->tid, NULL, &regs) < 0)
		return true;
	args_of(&regs, args);
	return futex_changed(t, (unsigned int)regs.orig_rax, args);
}

static uint64_t *limit_in(struct user_regs_struct *regs, unsigned int limit)
{
	return (uint64_t *)(limit == 2 ? &regs->rdx : limit == 3 ? &regs->r10 : &regs->r8);
}

static void wait_without_limit(struct gtask *t, struct user_regs_struct *regs, unsigned int limit)
{
	uint64_t *arg = limit_in(regs, limit);

	regs->rcx = *arg;
	regs->r11 = regs->rip;
	regs->rip = inject_back(limit);
	*arg = 0;
	if (ptrace(PTRACE_SETREGS, t->tid, NULL, regs) == 0)
		t->unlimited = limit;
	go_on(t);
}

void timed_begin(struct replay *r, struct gtask *t)
{
	struct user_regs_struct regs;
	const struct rec_wait *w;
	__u64 args[6];
	unsigned int nr;
	int64_t ns;

	pace_forget(r, t);
	t->blocked = false;
	t->unlimited = t->limited = 0;
	if (!t->shim || ptrace(PTRACE_GETREGS, t->tid, NULL, &regs) < 0 || regs.orig_rax >= SC_MAX) {
		go_on(t);
		return;
	}
	args_of(&regs, args);
	nr = (unsigned int)regs.orig_rax;
	if (!sc_has_limit(&sc_table[nr], nr, args) || !length_of(r, t, nr, args, &ns)) {
		go_on(t);
		return;
	}
	w = take(r, t, nr);
	t->wait_taken = w && w->ret != -EINTR;
	if (w)
		r->last_activity = now_ns();
	if (w && w->ret == timeout_of(nr)) {
		if (!pace_stop(r, t, w, ns > 0 ? (uint64_t)ns : 0))
			timed_out(r, t);
	} else if (!w && ns <= 0 && nr != SYS_futex) {
		go_on(t);	/* it only looks */
	} else if (!w && ns <= 0) {
		end(t, &regs);
	} else {
		wait_without_limit(t, &regs, sc_table[nr].limit - 1u);
		pace_wait(r, t, w, ns > 0 ? (uint64_t)ns : 0);
	}
}

/* ---- in the call ------------------------------------------------------------------- */

/* Does @rip lie in the way back from a call without its limit? */
static bool on_its_way(const struct gtask *t, uint64_t rip)
{
	uint64_t back = t->unlimited ? inject_back(t->unlimited) : 0;

	return back && rip >= back && rip < back + SHIM_BACK_SIZE;
}

void timed_poll(struct replay *r, struct call *c, uint64_t ns)
{
	c->t->limited = c->nr + 1;
	pace_wait(r, c->t, false, ns);
}

/* Is it still where it waited?  @text: /proc/PID/syscall: number, arguments, stack, pc; or "running". */
static bool still_waits(const struct gtask *t, const char *text)
{
	const char *pc = strrchr(text, ' ');

	if (t->limited)
		return strtoul(text, NULL, 10) == t->limited - 1;
	return pc && on_its_way(t, strtoull(pc, NULL, 16));
}

bool timed_cut_off(struct gtask *t)
{
	_cleanup_free_ char *text = NULL;
	char path[64];

	if (t->exited || (!t->unlimited && !t->limited))
		return false;
	snprintf(path, sizeof(path), "/proc/%d/syscall", t->tid);
	if (io_slurp(path, 4096, &text, NULL) < 0 || text[0] < '0' || text[0] > '9' || !still_waits(t, text))
		return false;
	t->cut_off = ptrace(PTRACE_INTERRUPT, t->tid, NULL, NULL) == 0;
	return t->cut_off;
}

/* The call that our stop cut off: the limit has come, or something else stopped it and it is made again. */
static void mend_result(struct gtask *t, struct user_regs_struct *regs)
{
	if (t->cut_off) {
		regs->rax = (uint64_t)timeout_of((unsigned int)regs->orig_rax);
		regs->orig_rax = (uint64_t)-1;
		return;
	}
	regs->rax = (uint64_t)-ERESTARTNOHAND;	/* with a limit it is EINTR for every handler */
	t->wait_cursor -= t->wait_taken;
}

/* Nothing was ready: a poll() has said so already, a select() has not. */
static void mend_poll(struct gtask *t, struct user_regs_struct *regs)
{
	static const char none[FD_SETSIZE / 8];
	const uint64_t sets[] = { regs->rsi, regs->rdx, regs->r10 };
	size_t len = ((uint32_t)regs->rdi + 63ull) / 64 * 8;

	if (regs->orig_rax == SYS_select || regs->orig_rax == SYS_pselect6)
		for (int i = 0; i < 3; i++)
			if (sets[i])
				guest_write(t->tid, sets[i], none, len < sizeof(none) ? len : sizeof(none));
	regs->rax = 0;
	regs->orig_rax = (uint64_t)-1;
}

void timed_mend(struct gtask *t)
{
	struct user_regs_struct regs;

	if ((!t->unlimited && !t->cut_off) || ptrace(PTRACE_GETREGS, t->tid, NULL, &regs) < 0)
		return;
	if (on_its_way(t, regs.rip)) {
		if (regs.rip < inject_back(t->unlimited) + SHIM_BACK_JUMP)
			*limit_in(&regs, t->unlimited) = regs.rcx;
		regs.rip = regs.r11;
		if (was_cut_off(&regs))
			mend_result(t, &regs);
	} else if (t->cut_off && t->limited && regs.orig_rax == t->limited - 1 &&
		   (was_cut_off(&regs) || (int64_t)regs.rax == -EINTR)) {
		mend_poll(t, &regs);
	} else if (t->cut_off && (int64_t)regs.rax == -EINTR && (int64_t)regs.orig_rax >= 0) {
		/* It was woken before our stop, which then found it in a call that is not made again by itself. */
		regs.rax = (uint64_t)-ERESTARTNOINTR;
	}
	t->unlimited = t->limited = 0;
	t->cut_off = false;
	t->wait_taken = false;
	ptrace(PTRACE_SETREGS, t->tid, NULL, &regs);
}
