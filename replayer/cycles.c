/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The CPU's cycle counter (rdtsc, rdtscp).  A recording can't see it; so that
 * at least all replays agree, the instruction traps (PR_SET_TSC, sandbox/) and
 * is given a counter of 1 GHz that follows the thread's recorded clock.  The
 * verdict counts the readings: what depends on one is not what it was.
 *
 * A trap with SIGSEGV blocked or ignored makes the kernel forget that; nobody
 * has been seen to read the counter then.
 */
#include <linux/types.h>

#include "replayer/replay.h"

#include "preload/shim.h"

#include <signal.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <time.h>

/* The length of the instruction at @rip if it reads the counter, or 0. */
static unsigned int length_at(pid_t tid, uint64_t rip, bool *with_cpu)
{
	uint8_t code[3] = { 0 };

	if (guest_read(tid, rip, code, 3) < 0 && guest_read(tid, rip, code, 2) < 0)
		return 0;
	*with_cpu = code[0] == 0x0f && code[1] == 0x01 && code[2] == 0xf9;
	return *with_cpu ? 3 : code[0] == 0x0f && code[1] == 0x31 ? 2 : 0;
}

bool cycles_serve(struct replay *r, struct gtask *t, int signo)
{
	struct user_regs_struct regs;
	unsigned int length;
	uint64_t counter;
	bool with_cpu;
	siginfo_t si;

	if (signo != SIGSEGV || ptrace(PTRACE_GETSIGINFO, t->tid, NULL, &si) < 0 || si.si_code != SI_KERNEL ||
	    ptrace(PTRACE_GETREGS, t->tid, NULL, &regs) < 0)
		return false;
	length = length_at(t->tid, regs.rip, &with_cpu);
	if (!length)
		return false;
	/* One who waits for it to go on gets out. */
	counter = (uint64_t)streams_now(r->streams, t->slot, CLOCK_MONOTONIC) + ++t->cycles * SHIM_STEP;
	regs.rax = (uint32_t)counter;
	regs.rdx = counter >> 32;
	if (with_cpu)
		regs.rcx = 0;
	regs.rip += length;
	r->v->cycles++;
	return ptrace(PTRACE_SETREGS, t->tid, NULL, &regs) == 0;
}
