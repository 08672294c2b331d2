/* SPDX-License-Identifier: Apache-2.0 */
#include "recorder/personality.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <signal.h>
#include <sys/personality.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>

#define SYSCALL_INSN 0x050f	/* in memory: 0f 05 */

/* Until it stops; signals that are on their way are kept for it, one at most. */
static int wait_stopped(pid_t tid, int *signal)
{
	int status;

	while (waitpid(tid, &status, __WALL) < 0)
		if (errno != EINTR)
			return -errno;
	if (!WIFSTOPPED(status))
		return -ESRCH;
	if (status >> 16 == 0 && WSTOPSIG(status) != SIGTRAP)
		*signal = WSTOPSIG(status);
	return 0;
}

/* One instruction, which is the system call. */
static int step(pid_t tid, int *signal)
{
	if (ptrace(PTRACE_SINGLESTEP, tid, NULL, NULL) < 0)
		return -errno;
	return wait_stopped(tid, signal);
}

/* The instruction before the one where it waits is the system call that it waits in. */
static int call_personality(pid_t tid, const struct user_regs_struct *was, int *signal)
{
	struct user_regs_struct regs = *was;
	long word;
	int rc;

	errno = 0;
	word = ptrace(PTRACE_PEEKTEXT, tid, (void *)(was->rip - 2), NULL);
	if (errno || (word & 0xffff) != SYSCALL_INSN || (int64_t)was->orig_rax < 0)
		return -EBUSY;
	regs.rip -= 2;
	regs.rax = SYS_personality;
	regs.orig_rax = (uint64_t)-1;	/* what it waits in is made again when its own registers are back, and not before */
	regs.rdi = ADDR_NO_RANDOMIZE;
	rc = ptrace(PTRACE_SETREGS, tid, NULL, &regs) < 0 ? -errno : step(tid, signal);
	if (rc == 0 && ptrace(PTRACE_GETREGS, tid, NULL, &regs) == 0 && (int64_t)regs.rax < 0)
		rc = (int)(int64_t)regs.rax;
	if (ptrace(PTRACE_SETREGS, tid, NULL, was) < 0)
		return -errno;
	return rc;
}

int personality_no_randomize(pid_t tid, struct err *err)
{
	struct user_regs_struct was;
	int rc, signal = 0;

	if (ptrace(PTRACE_SEIZE, tid, NULL, NULL) < 0)
		return err_sys(err, errno, "stopping process %d", (int)tid);
	rc = ptrace(PTRACE_INTERRUPT, tid, NULL, NULL) < 0 ? -errno : wait_stopped(tid, &signal);
	if (rc == 0)
		rc = ptrace(PTRACE_GETREGS, tid, NULL, &was) < 0 ? -errno : call_personality(tid, &was, &signal);
	ptrace(PTRACE_DETACH, tid, NULL, (void *)(long)signal);
	return rc < 0 ? err_sys(err, -rc, "setting the personality of process %d", (int)tid) : 0;
}
