/* SPDX-License-Identifier: Apache-2.0 */
/* The replay's filter: every number by a small interpreter, a few by the kernel. */
#include "sandbox/sandbox.h"

#include <linux/types.h>

#include "format/sysdesc.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define ENOSYS_ACTION	(SECCOMP_RET_ERRNO | ENOSYS)
#define EPERM_ACTION	(SECCOMP_RET_ERRNO | EPERM)

static struct sock_filter *prog;
static size_t len;
static unsigned int steps;	/* of the last run */

static bool jumps(const struct sock_filter *f, __u32 a)
{
	switch (f->code) {
	case BPF_JMP | BPF_JEQ | BPF_K:
		return a == f->k;
	case BPF_JMP | BPF_JGT | BPF_K:
		return a > f->k;
	case BPF_JMP | BPF_JGE | BPF_K:
		return a >= f->k;
	case BPF_JMP | BPF_JSET | BPF_K:
		return a & f->k;
	}
	fail_msg("an instruction of code %#x", f->code);
	return false;
}

static __u32 run_args(__u32 arch, __u32 nr, const __u64 args[6])
{
	struct seccomp_data d = { .arch = arch, .nr = nr };
	__u32 a = 0;

	memcpy(d.args, args, sizeof(d.args));

	steps = 0;
	for (size_t pc = 0; pc < len; pc++, steps++) {
		const struct sock_filter *f = &prog[pc];

		if (f->code == (BPF_LD | BPF_W | BPF_ABS)) {
			assert_true(f->k <= sizeof(d) - 4);
			memcpy(&a, (char *)&d + f->k, 4);
		} else if (f->code == (BPF_RET | BPF_K)) {
			return f->k;
		} else if (f->code == (BPF_JMP | BPF_JA)) {
			pc += f->k;
		} else if (f->code == (BPF_ALU | BPF_AND | BPF_K)) {
			a &= f->k;
		} else {
			pc += jumps(f, a) ? f->jt : f->jf;
		}
	}
	fail_msg("the program runs past its end");
	return 0;
}

static __u32 run(__u32 arch, __u32 nr, __u64 arg0, __u64 arg1)
{
	return run_args(arch, nr, (__u64[6]){ arg0, arg1 });
}

static int build(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	if (filter_build(NULL, &prog, &len, &err) == 0)
		return 0;
	print_message("%s\n", err.text);
	return -1;
}

static int drop(void **state)
{
	(void)state;
	free(prog);
	return 0;
}

/* Said once more, apart from the filter's own words. */
static __u32 expected(unsigned int nr)
{
	static const __u32 of[] = {
		[SC_NOROW] = ENOSYS_ACTION, [SC_REFUSE] = ENOSYS_ACTION, [SC_DECLINE] = ENOSYS_ACTION,
		[SC_RUN] = SECCOMP_RET_ALLOW, [SC_SIGNAL] = SECCOMP_RET_ALLOW, [SC_OPEN] = SECCOMP_RET_ALLOW, [SC_PATH] = SECCOMP_RET_ALLOW,
		[SC_OWNER] = SECCOMP_RET_ALLOW, [SC_LOOK] = SECCOMP_RET_ALLOW,
		[SC_FD] = SECCOMP_RET_ALLOW, [SC_TIMED] = SECCOMP_RET_ALLOW,	/* without a limit */
		[SC_SERVE] = SECCOMP_RET_USER_NOTIF, [SC_CLOCK] = SECCOMP_RET_USER_NOTIF,
		[SC_RANDOM] = SECCOMP_RET_USER_NOTIF, [SC_READ] = SECCOMP_RET_USER_NOTIF,
		[SC_WRITE] = SECCOMP_RET_USER_NOTIF, [SC_WAIT] = SECCOMP_RET_USER_NOTIF,
		[SC_SLEEP] = SECCOMP_RET_USER_NOTIF, [SC_TIMER] = SECCOMP_RET_USER_NOTIF, [SC_REAP] = SECCOMP_RET_USER_NOTIF,
		[SC_NET] = SECCOMP_RET_USER_NOTIF,
		[SC_TASK] = SECCOMP_RET_USER_NOTIF,
	};

	switch (nr) {
	case SYS_listen:
	case SYS_execve:
	case SYS_execveat:
	case SYS_exit:
	case SYS_exit_group:
		return SECCOMP_RET_ALLOW;
	case SYS_arch_prctl:
		return SECCOMP_RET_USER_NOTIF;
	}
	return nr < SC_MAX ? of[sc_table[nr].fate] : ENOSYS_ACTION;
}

static void every_number_meets_its_fate(void **state)
{
	unsigned int most = 0;

	(void)state;
	for (unsigned int nr = 0; nr < 2000; nr++) {
		__u32 got = run(AUDIT_ARCH_X86_64, nr, 0, 0);

		if (got != expected(nr))
			fail_msg("%u, %s: %#x, not %#x", nr, sc_name(nr) ?: "no row", got, expected(nr));
		assert_int_equal(filter_notifies(nr), got == SECCOMP_RET_USER_NOTIF);
		most = steps > most ? steps : most;
	}
	print_message("%zu instructions, at most %u for a call\n", len, most);
	assert_true(len <= BPF_MAXINSNS);
	assert_true(most < 64);
}

static void other_architectures_are_killed_and_x32_refused(void **state)
{
	static const __u32 archs[] = { AUDIT_ARCH_I386, AUDIT_ARCH_AARCH64, 0, ~0u };

	(void)state;
	for (size_t i = 0; i < sizeof(archs) / sizeof(archs[0]); i++)
		for (unsigned int nr = 0; nr < SC_MAX; nr++)
			assert_int_equal(run(archs[i], nr, 0, 0), SECCOMP_RET_KILL_PROCESS);
	for (unsigned int nr = 0; nr < 600; nr++)
		assert_int_equal(run(AUDIT_ARCH_X86_64, 0x40000000 | nr, 0, 0), ENOSYS_ACTION);
	assert_int_equal(run(AUDIT_ARCH_X86_64, ~0u, 0, 0), ENOSYS_ACTION);
	assert_int_equal(run(AUDIT_ARCH_X86_64, 0x80000000, 0, 0), ENOSYS_ACTION);
}

static void nobody_types_into_a_terminal(void **state)
{
	(void)state;
	assert_int_equal(run(AUDIT_ARCH_X86_64, SYS_ioctl, 0, TIOCSTI), EPERM_ACTION);
	/* The kernel looks at the low half only. */
	assert_int_equal(run(AUDIT_ARCH_X86_64, SYS_ioctl, 0, 0x100000000 | TIOCSTI), EPERM_ACTION);
	assert_int_equal(run(AUDIT_ARCH_X86_64, SYS_ioctl, 0, TCGETS), SECCOMP_RET_USER_NOTIF);
	assert_int_equal(run(AUDIT_ARCH_X86_64, SYS_ioctl, TIOCSTI, 0), SECCOMP_RET_USER_NOTIF);
}

static void what_the_supervisor_has_the_guest_make_passes(void **state)
{
	static const unsigned int calls[] = { SYS_open, SYS_close, SYS_mmap };
	struct sock_filter *was = prog;
	bool also[SC_MAX] = { 0 };
	struct err err = ERR_INIT;
	size_t was_len = len;

	(void)state;
	for (size_t i = 0; i < 3; i++)
		also[calls[i]] = true;
	assert_int_equal(filter_build(also, &prog, &len, &err), 0);
	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(run(AUDIT_ARCH_X86_64, calls[i], 0, 0), SECCOMP_RET_USER_NOTIF);
		assert_int_equal(run_args(AUDIT_ARCH_X86_64, calls[i], (__u64[6]){ [3] = (__u64)FILTER_PASS << 32 | 2 }),
				 SECCOMP_RET_ALLOW);
	}
	assert_int_equal(run_args(AUDIT_ARCH_X86_64, SYS_ptrace, (__u64[6]){ [3] = (__u64)FILTER_PASS << 32 }), ENOSYS_ACTION);
	free(prog);
	prog = was;
	len = was_len;
}

static void nobody_makes_a_namespace(void **state)
{
	static const __u64 flags[] = {
		CLONE_NEWNS, CLONE_NEWCGROUP, CLONE_NEWUTS, CLONE_NEWIPC, CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET,
	};
	const __u64 thread = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM |
			     CLONE_SETTLS | CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID;

	(void)state;
	for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
		assert_int_equal(run(AUDIT_ARCH_X86_64, SYS_clone, flags[i], 0), EPERM_ACTION);
		assert_int_equal(run(AUDIT_ARCH_X86_64, SYS_clone, flags[i] | SIGCHLD, 0), EPERM_ACTION);
	}
	assert_int_equal(run(AUDIT_ARCH_X86_64, SYS_clone, thread, 0), SECCOMP_RET_USER_NOTIF);
	assert_int_equal(run(AUDIT_ARCH_X86_64, SYS_clone, SIGCHLD | CLONE_CHILD_SETTID, 0), SECCOMP_RET_USER_NOTIF);
	assert_int_equal(run(AUDIT_ARCH_X86_64, SYS_unshare, CLONE_NEWUSER, 0), ENOSYS_ACTION);
}

static void waits_with_a_limit_stop(void **state)
{
	static const struct { unsigned int nr, limit; } calls[] = {
		{ SYS_rt_sigtimedwait, 2 }, { SYS_semtimedop, 3 }, { SYS_mq_timedsend, 4 }, { SYS_mq_timedreceive, 4 },
		{ 449, 3 }, { 455, 4 },
	};
	static const __u64 limits[] = { 1, 0x7fffffff1000, 0x100000000 };	/* the last: its low half is 0 */

	(void)state;
	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
		for (size_t k = 0; k < sizeof(limits) / sizeof(limits[0]); k++) {
			__u64 args[6] = { 9, 9, 9, 9, 9, 9 };

			args[calls[i].limit] = limits[k];
			assert_int_equal(run_args(AUDIT_ARCH_X86_64, calls[i].nr, args), SECCOMP_RET_TRACE);
			args[calls[i].limit] = 0;
			assert_int_equal(run_args(AUDIT_ARCH_X86_64, calls[i].nr, args), SECCOMP_RET_ALLOW);
		}
}

/* FUTEX_*, linux/futex.h, said once more. */
static void futexes_stop_if_they_wait_with_a_limit(void **state)
{
	static const unsigned int waits[] = { 0, 6, 9, 11, 13 };

	(void)state;
	for (unsigned int op = 0; op < 0x400; op++) {
		unsigned int command = op & ~0x180u;
		bool wait = false;

		for (size_t i = 0; i < sizeof(waits) / sizeof(waits[0]); i++)
			wait |= command == waits[i];
		assert_int_equal(run_args(AUDIT_ARCH_X86_64, SYS_futex, (__u64[6]){ 1, op, 1, 0, 1, 1 }), SECCOMP_RET_ALLOW);
		for (unsigned int k = 0; k < 64; k += 32)
			assert_int_equal(run_args(AUDIT_ARCH_X86_64, SYS_futex, (__u64[6]){ 1, op, 1, 1ull << k, 1, 1 }),
					 wait ? SECCOMP_RET_TRACE : SECCOMP_RET_ALLOW);
	}
}

/* The guest's side: what the kernel makes of the program. @said is shared with the parent. */
static void guest(int *said)
{
	struct sock_fprog fprog = { .len = len, .filter = prog };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &fprog) < 0) {
		said[0] = -errno;
		_exit(2);
	}
	said[1] = syscall(SYS_getpid) > 0 ? 0 : errno;
	said[2] = syscall(SYS_getppid) < 0 ? errno : 0;	/* notified, but nobody listens */
	said[3] = syscall(SYS_bpf, 0, NULL, 0) < 0 ? errno : 0;
	said[4] = syscall(SYS_ioctl, 0, TIOCSTI, "x") < 0 ? errno : 0;
	said[5] = syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0) < 0 ? errno : 0;
	said[6] = syscall(0x40000000 | SYS_getpid) < 0 ? errno : 0;
	said[7] = syscall(SYS_listen, -1, 0) < 0 ? errno : 0;
	said[8] = syscall(511) < 0 ? errno : 0;
	syscall(SYS_exit_group, 7);
}

static void the_kernel_takes_the_program(void **state)
{
	int *said = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int status;
	pid_t pid;

	(void)state;
	assert_true(said != MAP_FAILED);
	pid = fork();
	if (pid == 0)
		guest(said);
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(said[0], 0);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 7);
	assert_int_equal(said[1], 0);
	assert_int_equal(said[2], ENOSYS);
	assert_int_equal(said[3], ENOSYS);
	assert_int_equal(said[4], EPERM);
	assert_int_equal(said[5], EPERM);
	assert_int_equal(said[6], ENOSYS);
	assert_int_equal(said[7], EBADF);
	assert_int_equal(said[8], ENOSYS);
	munmap(said, 4096);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_number_meets_its_fate),
		cmocka_unit_test(other_architectures_are_killed_and_x32_refused),
		cmocka_unit_test(nobody_types_into_a_terminal),
		cmocka_unit_test(what_the_supervisor_has_the_guest_make_passes),
		cmocka_unit_test(nobody_makes_a_namespace),
		cmocka_unit_test(waits_with_a_limit_stop),
		cmocka_unit_test(futexes_stop_if_they_wait_with_a_limit),
		cmocka_unit_test(the_kernel_takes_the_program),
	};

	return cmocka_run_group_tests(tests, build, drop);
}
