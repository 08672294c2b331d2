/* SPDX-License-Identifier: Apache-2.0 */
/* Processes and threads. */
#include "tests/calls/calls.h"

#include <asm/ldt.h>
#include <asm/prctl.h>
#include <linux/futex.h>
#include <linux/kcmp.h>
#include <linux/sched.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>

/* What a process of this family ends with when all is well. */
enum { FINE = 42 };

static void reap(long pid, int status)
{
	int got;

	must(pid > 0 && waitpid((pid_t)pid, &got, 0) == pid);
	if (got != status)
		wrong(__FILE__, __LINE__, "how the child ended", got);
	say("%ld ended with %x", pid, got);
}

/* The child's whole life is in this one frame: a vfork's has no other. */
#define LIFE(pid) do { if ((pid) == 0) raw(NR_exit_group, (const long[6]){ FINE }); } while (0)

CALL(clone)
{
	int tid = 0;
	long pid = ok(DO(clone, SIGCHLD | CLONE_PARENT_SETTID, NULL, &tid, NULL, 0));

	LIFE(pid);
	must(tid == pid);
	reap(pid, FINE << 8);
	fails(EINVAL, DO(clone, CLONE_THREAD, NULL, NULL, NULL, 0));
}

CALL(fork)
{
	long pid = ok(DO(fork));

	LIFE(pid);
	reap(pid, FINE << 8);
}

CALL(vfork)
{
	long pid;

	/* Two returns from one frame: what is pushed in between would be overwritten. */
	__asm__ volatile("syscall\n\ttest %%eax, %%eax\n\tjnz 1f\n\tmov $231, %%eax\n\tmov $42, %%edi\n\tsyscall\n1:"
			 : "=a"(pid) : "a"(NR_vfork) : "rcx", "r11", "rdi", "memory");
	reap(ok(pid), FINE << 8);
}

CALL(clone3)
{
	int pidfd = -1;
	struct clone_args a = { .flags = CLONE_PIDFD, .pidfd = (uint64_t)&pidfd, .exit_signal = SIGCHLD };
	long pid = ok(DO(clone3, &a, sizeof(a)));

	LIFE(pid);
	must(pidfd >= 0);
	wait_for(pidfd);
	reap(pid, FINE << 8);
	fails(EINVAL, DO(clone3, &a, 3));
	a.flags = 1ull << 60;
	fails(EINVAL, DO(clone3, &a, sizeof(a)));
}

static void echoes(void)
{
	char *argv[] = { "echo", "from another program", NULL }, *envp[] = { NULL };

	DO(execve, "/bin/echo", argv, envp);
	_exit(1);
}

CALL(execve)
{
	fails(ENOENT, DO(execve, "no/such/program", NULL, NULL));
	fails(EACCES, DO(execve, ".", NULL, NULL));
	close(scratch("neither"));
	fails(EACCES, DO(execve, scratch_path(), NULL, NULL));
	chmod(scratch_path(), 0755);
	fails(ENOEXEC, DO(execve, scratch_path(), NULL, NULL));
	must(in_child(echoes) == 0);
}

static void echoes_at(void)
{
	char *argv[] = { "echo", "by a descriptor", NULL }, *envp[] = { NULL };

	DO(execveat, open("/bin", O_RDONLY | O_DIRECTORY), "echo", argv, envp, 0);
	_exit(1);
}

CALL(execveat)
{
	fails(ENOENT, DO(execveat, AT_FDCWD, "no/such/program", NULL, NULL, 0));
	fails(EINVAL, DO(execveat, AT_FDCWD, "/bin/echo", NULL, NULL, 0x40000000));
	must(in_child(echoes_at) == 0);
}

static void leaves(void)
{
	DO(exit, FINE);
	_exit(1);
}

CALL(exit)
{
	must(in_child(leaves) == FINE << 8);
	say("ended");
}

static void leaves_as_group(void)
{
	DO(exit_group, FINE + 1);
	abort();
}

CALL(exit_group)
{
	must(in_child(leaves_as_group) == (FINE + 1) << 8);
	say("ended");
}

/* A child that ends at once. */
static pid_t child(int status)
{
	pid_t pid = fork();

	must(pid >= 0);
	if (pid == 0)
		_exit(status);
	return pid;
}

CALL(wait4)
{
	pid_t pid = child(7), other = fork();
	struct rusage u;
	int status;

	if (other == 0)
		kill(getpid(), SIGKILL);
	must(DO(wait4, pid, &status, 0, &u) == pid && WEXITSTATUS(status) == 7 && u.ru_maxrss > 0);
	must(DO(wait4, -1, &status, 0, NULL) == other && WTERMSIG(status) == SIGKILL);
	say("%d and %d", pid, other);
	fails(ECHILD, DO(wait4, -1, &status, 0, NULL));
	fails(EINVAL, DO(wait4, -1, &status, 0x1000000, NULL));
}

CALL(waitid)
{
	pid_t pid = child(8);
	siginfo_t si = { 0 };

	ok(DO(waitid, P_PID, pid, &si, WEXITED | WNOWAIT, NULL));
	must(si.si_pid == pid && si.si_code == CLD_EXITED && si.si_status == 8 && si.si_signo == SIGCHLD);
	ok(DO(waitid, P_ALL, 0, &si, WEXITED, NULL));
	say("%d, of user %u", si.si_pid, si.si_uid);
	fails(ECHILD, DO(waitid, P_ALL, 0, &si, WEXITED, NULL));
	fails(EINVAL, DO(waitid, P_ALL, 0, &si, 0, NULL));
}

/* ---- futexes -------------------------------------------------------------------- */

static uint32_t word;
static long (*wake)(void);

static void *waker(void *arg)
{
	long n = 0;

	(void)arg;
	for (int i = 0; i < 2000 && n == 0; i++) {
		usleep(1000);
		__atomic_store_n(&word, 1, __ATOMIC_SEQ_CST);
		n = wake();
	}
	must(n == 0 || n == 1);
	return NULL;
}

/* @wait sleeps until another thread has made @how wake it. */
static void woken(long (*wait)(void), long (*how)(void))
{
	pthread_t t;
	long r;

	word = 0;
	wake = how;
	must(pthread_create(&t, NULL, waker, NULL) == 0);
	r = wait();
	must(pthread_join(t, NULL) == 0);
	if (r != 0 && r != -EAGAIN)
		wrong(__FILE__, __LINE__, "the waiter's result", r);
	say("woken");
}

static long wake_futex(void)
{
	return DO(futex, &word, FUTEX_WAKE, 1, NULL, NULL, 0);
}

static long wait_futex(void)
{
	return DO(futex, &word, FUTEX_WAIT, 0, NULL, NULL, 0);
}

static long wait_new(void)
{
	return DO(futex_wait, &word, 0, ~0u, 2, NULL, 0);	/* FUTEX2_SIZE_U32 */
}

static long wake_new(void)
{
	return DO(futex_wake, &word, ~0u, 1, 2);
}

CALL(futex)
{
	struct timespec t = { 0, 10000000 };

	woken(wait_futex, wake_futex);
	fails(EAGAIN, DO(futex, &word, FUTEX_WAIT, 77, NULL, NULL, 0));
	fails(ETIMEDOUT, DO(futex, &word, FUTEX_WAIT, word, &t, NULL, 0));
	must(DO(futex, &word, FUTEX_WAKE, 5, NULL, NULL, 0) == 0);
	fails(ENOSYS, DO(futex, &word, 99, 0, NULL, NULL, 0));
	fails(EFAULT, DO(futex, 8, FUTEX_WAIT, 0, NULL, NULL, 0));
}

CALL(futex_wait)
{
	struct timespec past = { 1, 0 };

	woken(wait_new, wake_futex);
	fails(EAGAIN, DO(futex_wait, &word, 77, ~0u, 2, NULL, 0));
	fails(ETIMEDOUT, DO(futex_wait, &word, word, ~0u, 2, &past, CLOCK_MONOTONIC));
	fails(EINVAL, DO(futex_wait, &word, word, ~0u, 0x4000, NULL, 0));
}

CALL(futex_wake)
{
	woken(wait_new, wake_new);
	must(DO(futex_wake, &word, ~0u, 1, 2) == 0);
	fails(EINVAL, DO(futex_wake, &word, ~0u, 1, 0x4000));
}

static long wait_vector(void)
{
	struct futex_waitv v[1] = { { .val = 0, .uaddr = (uint64_t)&word, .flags = 2 } };

	return DO(futex_waitv, v, 1, 0, NULL, 0);
}

CALL(futex_waitv)
{
	struct futex_waitv v[1] = { { .val = 77, .uaddr = (uint64_t)&word, .flags = 2 } };

	woken(wait_vector, wake_futex);
	fails(EAGAIN, DO(futex_waitv, v, 1, 0, NULL, 0));
	fails(EINVAL, DO(futex_waitv, v, 0, 0, NULL, 0));
}

CALL(futex_requeue)
{
	uint32_t other = 0;
	struct futex_waitv v[2] = { { .val = 5, .uaddr = (uint64_t)&word, .flags = 2 }, { .uaddr = (uint64_t)&other, .flags = 2 } };

	word = 5;
	must(DO(futex_requeue, v, 0, 1, 1) == 0);
	word = 6;
	fails(EAGAIN, DO(futex_requeue, v, 0, 1, 1));
	fails(EINVAL, DO(futex_requeue, v, 1, 1, 1));
}

/* ---- a thread's own -------------------------------------------------------------- */

CALL(set_robust_list)
{
	long head[3] = { (long)head, 0, 0 };
	void *before;
	size_t size;

	ok(DO(get_robust_list, 0, &before, &size));
	ok(DO(set_robust_list, head, 24));
	ok(DO(set_robust_list, before, size));
	fails(EINVAL, DO(set_robust_list, head, 3));
}

CALL(get_robust_list)
{
	void *head = (void *)9;
	size_t size = 99;

	ok(DO(get_robust_list, 0, &head, &size));
	must(size == 24);
	fails(ESRCH, DO(get_robust_list, 4000000, &head, &size));
}

CALL(set_tid_address)
{
	static int tid;

	must(DO(set_tid_address, &tid) == getpid());
	say("%d", getpid());
}

CALL(rseq)
{
	static char area[32] __attribute__((aligned(32)));

	fails(EINVAL, DO(rseq, area, 32, 0, 0));	/* glibc has registered one */
	fails(EINVAL, DO(rseq, area, 3, 0, 0x53053053));
}

CALL(arch_prctl)
{
	unsigned long fs = 0, gs = 1;

	ok(DO(arch_prctl, ARCH_GET_FS, &fs));
	must(fs != 0);
	ok(DO(arch_prctl, ARCH_GET_GS, &gs));	/* in a replay it is the shim's, which must not show */
	must(gs == 0);
	gs = 1;
	ok(DO(arch_prctl, ARCH_SET_GS, 0));
	ok(DO(arch_prctl, ARCH_GET_GS, &gs));
	must(gs == 0);
	fails(EINVAL, DO(arch_prctl, 7777, 0));
}

CALL(prctl)
{
	char name[16] = "";

	ok(DO(prctl, PR_SET_NAME, "by another name", 0, 0, 0));
	ok(DO(prctl, PR_GET_NAME, name, 0, 0, 0));
	show("name", name, 15);
	say("dumpable %ld, child subreaper %ld", DO(prctl, PR_GET_DUMPABLE, 0, 0, 0, 0), DO(prctl, PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0));
	say("CAP_CHOWN %ld", ok(DO(prctl, PR_CAPBSET_READ, 0, 0, 0, 0)));
	fails(EINVAL, DO(prctl, 7777, 0, 0, 0, 0));
	fails(EFAULT, DO(prctl, PR_SET_NAME, 8, 0, 0, 0));
}

CALL(modify_ldt)
{
	struct user_desc d = { .entry_number = 0, .limit = 1 };
	char table[64];

	must(DO(modify_ldt, 0, table, sizeof(table)) == 0);
	must((int)DO(modify_ldt, 1, &d, sizeof(d)) == 0);
	must((int)DO(modify_ldt, 0, table, sizeof(table)) >= 8);
	must((int)DO(modify_ldt, 77, NULL, 0) == -ENOSYS);
	must((int)DO(modify_ldt, 1, &d, 3) == -EINVAL);
	say("done");
}

CALL(pidfd_open)
{
	pid_t pid = child(9);
	int fd = ok(DO(pidfd_open, pid, 0));

	wait_for(fd);
	reap(pid, 9 << 8);
	fails(EINVAL, DO(pidfd_open, -1, 0));
	fails(ESRCH, DO(pidfd_open, 4000000, 0));
	fails(EINVAL, DO(pidfd_open, getpid(), 77));
}

CALL(pidfd_send_signal)
{
	pid_t pid = fork();
	int fd;

	if (pid == 0)
		for (;;)
			pause();
	fd = (int)DO(pidfd_open, pid, 0);
	ok(DO(pidfd_send_signal, fd, 0, NULL, 0));
	ok(DO(pidfd_send_signal, fd, SIGKILL, NULL, 0));
	reap(pid, SIGKILL);
	fails(ESRCH, DO(pidfd_send_signal, fd, SIGKILL, NULL, 0));
	fails(EBADF, DO(pidfd_send_signal, -1, SIGKILL, NULL, 0));
	fails(EINVAL, DO(pidfd_send_signal, fd, SIGKILL, NULL, 77));
}

CALL(kcmp)
{
	int fd = scratch(""), copy = dup(fd);
	long r = DO(kcmp, getpid(), getpid(), KCMP_FILE, fd, copy);

	must(r == 0 || r == -ENOSYS);	/* not in every kernel */
	r = DO(kcmp, getpid(), 4000000, KCMP_FILE, 0, 0);
	must(r == -ESRCH || r == -ENOSYS);
	say("%s", error_name(r));
}
