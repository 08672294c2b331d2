/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a fork of the init to the program: identity, limits of power, the
 * filter, then the wait before execve().
 *
 * Once the filter is installed nobody answers notified calls yet, so the
 * guest makes none: it closes a pipe to say that it is ready, sleeps in a
 * futex, and the supervisor takes the listener out of it by its number.
 */
#include "sandbox/internal.h"

#include "format/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <linux/seccomp.h>
#include <linux/securebits.h>
#include <sched.h>
#include <signal.h>
#include <sys/wait.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#ifndef SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
#define SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV (1UL << 5)	/* Linux 5.19 */
#endif

static int compare_guest(const void *a, const void *b)
{
	return ((const struct sandbox_fd *)a)->guest - ((const struct sandbox_fd *)b)->guest;
}

/* The limit of the recording is set by the supervisor in the end; the fds must find room before. */
static void raise_nofile(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
}

/*
 * Exactly @fds, at their numbers, and *@ready above them.  All are first
 * moved above every number that is wanted, so that none is overwritten.
 */
static int arrange_fds(const struct sandbox_fd *fds, size_t n, int *ready, struct err *err)
{
	_cleanup_free_ struct sandbox_fd *high = calloc(n + 1, sizeof(*high));
	int top = 0;

	if (!high)
		return err_set(err, ENOMEM, "out of memory");
	for (size_t i = 0; i < n; i++) {
		if (fds[i].guest < 0 || fds[i].guest >= INT_MAX - 1)
			return err_set(err, EBADF, "fd %d of the guest", fds[i].guest);
		top = fds[i].guest >= top ? fds[i].guest + 1 : top;
		high[i] = fds[i];
	}
	raise_nofile();
	high[n] = (struct sandbox_fd){ top, *ready };
	for (size_t i = 0; i <= n; i++) {
		high[i].fd = fcntl(high[i].fd, F_DUPFD_CLOEXEC, top + 1);
		if (high[i].fd < 0)
			return err_sys(err, errno, "preparing fd %d of the guest", high[i].guest);
	}
	qsort(high, n, sizeof(*high), compare_guest);
	for (size_t i = 0; i <= n; i++) {
		int from = i ? high[i - 1].guest + 1 : 0;

		if (high[i].guest > from)
			close_range(from, high[i].guest - 1, 0);
		if (dup3(high[i].fd, high[i].guest, i == n ? O_CLOEXEC : 0) < 0)
			return err_sys(err, errno, "preparing fd %d of the guest", high[i].guest);
	}
	close_range(top + 1, UINT_MAX, 0);
	*ready = top;
	return 0;
}

static int set_identity(const struct sandbox_spec *spec, struct err *err)
{
	const struct manifest *m = spec->m;
	cpu_set_t set;

	if (m->pid && m->pid == m->sid)
		setsid();
	else if (m->pid && m->pid == m->pgid)
		setpgid(0, 0);
	umask(m->umask & 0777);
	personality(ADDR_NO_RANDOMIZE);
	if (spec->cpu >= 0 && spec->cpu < CPU_SETSIZE) {
		CPU_ZERO(&set);
		CPU_SET(spec->cpu, &set);
		if (sched_setaffinity(0, sizeof(set), &set) < 0)
			return err_sys(err, errno, "moving the guest to CPU %d", spec->cpu);
	}
	if (m->cwd && chdir(m->cwd) < 0)
		return err_sys(err, errno, "entering the working directory '%s'", m->cwd);
	return 0;
}

static int drop_capabilities(struct err *err)
{
	const unsigned int bits = SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_NO_SETUID_FIXUP |
		SECBIT_NO_SETUID_FIXUP_LOCKED | SECBIT_KEEP_CAPS_LOCKED | SECBIT_NO_CAP_AMBIENT_RAISE |
		SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED;
	cap_t none = cap_init();
	int e;

	if (!none)
		return err_set(err, ENOMEM, "out of memory");
	e = cap_reset_ambient() < 0 || prctl(PR_SET_SECUREBITS, bits, 0, 0, 0) < 0 ? errno : 0;
	for (int cap = 0; !e && cap < cap_max_bits(); cap++)
		e = cap_drop_bound(cap) < 0 ? errno : 0;
	if (!e && (cap_set_proc(none) < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0))
		e = errno;
	cap_free(none);
	return e ? err_sys(err, e, "dropping capabilities") : 0;
}

void wait_while_zero(const _Atomic uint32_t *word)
{
	while (*word == 0)
		syscall(SYS_futex, word, FUTEX_WAIT, 0, NULL, NULL, 0);
}

/* The listener's fd. */
static int install_filter(const struct setup *s, struct err *err)
{
	struct sock_fprog prog = { .filter = s->gate->filter };
	unsigned long flags = SECCOMP_FILTER_FLAG_NEW_LISTENER | SECCOMP_FILTER_FLAG_SPEC_ALLOW;
	int fd;

	wait_while_zero(&s->gate->nfilter);
	prog.len = s->gate->nfilter;
	fd = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV, &prog);
	if (fd < 0 && errno == EINVAL)
		fd = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &prog);
	return fd < 0 ? err_sys(err, errno, "installing the seccomp filter") : fd;
}

/* By the system calls themselves: the C library keeps signals 32 and 33 out of everybody's reach. */
static void signals_as_recorded(const struct manifest *m)
{
	uint64_t ignore[4] = { (uint64_t)(uintptr_t)SIG_IGN }, blocked = (uint64_t)m->sig_blocked;	/* struct kernel_sigaction */

	signals_default();
	for (int sig = 1; sig <= 64; sig++)
		if ((uint64_t)m->sig_ignored >> (sig - 1) & 1)
			syscall(SYS_rt_sigaction, sig, ignore, NULL, sizeof(uint64_t));
	syscall(SYS_rt_sigprocmask, SIG_SETMASK, &blocked, NULL, sizeof(blocked));
}

static int prepare(const struct setup *s, int *ready, struct err *err)
{
	signals_as_recorded(s->spec->m);
	if (arrange_fds(s->spec->fds, s->spec->nfds, ready, err) < 0 || set_identity(s->spec, err) < 0 ||
	    drop_capabilities(err) < 0)
		return -err->code;
	/* Its memory belongs to the outer user namespace until execve(): without this nobody inside could trace it. */
	if (prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) < 0)
		return err_sys(err, errno, "making the guest traceable");
	/* Outlives execve(). */
	if (s->spec->trap_cycles)
		prctl(PR_SET_TSC, PR_TSC_SIGSEGV, 0, 0, 0);
	return 0;
}

bool sandbox_traps_cycles(void)
{
#ifdef __x86_64__
	int status = 0;
	pid_t pid = fork();

	if (pid == 0) {
		signal(SIGSEGV, SIG_DFL);
		prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);	/* no core */
		if (prctl(PR_SET_TSC, PR_TSC_SIGSEGV, 0, 0, 0) == 0)
			__asm__ volatile("rdtsc" : : : "rax", "rdx");
		_exit(0);
	}
	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return pid < 0 || !WIFEXITED(status);
#else
	return false;
#endif
}

void guest_main(const struct setup *s)
{
	const struct manifest *m = s->spec->m;
	char *const *argv = s->spec->argv ? s->spec->argv : m->argv;
	struct gate *gate = s->gate;
	int ready = s->ready[1], listener = -1;
	struct err err = ERR_INIT;

	if (prepare(s, &ready, &err) == 0)
		listener = install_filter(s, &err);
	if (listener < 0) {
		gate->err = err;
		_exit(126);
	}
	gate->listener = listener;
	close(ready);
	wait_while_zero(&gate->go);
	execve(s->spec->exec_path, argv, m->env);
	gate->exec_errno = errno;
	_exit(127);
}
