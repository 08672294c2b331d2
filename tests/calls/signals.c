/* SPDX-License-Identifier: Apache-2.0 */
/* Signals, of the process' own and from outside. */
#include "tests/calls/calls.h"

#include <pthread.h>
#include <sys/wait.h>
#include <ucontext.h>

/* As the kernel has it: libc's is another. */
struct action {
	void (*handler)(int, siginfo_t *, void *);
	unsigned long flags;
	void (*restorer)(void);
	uint64_t mask;
};

static volatile sig_atomic_t came;
static siginfo_t last;

static void take(int sig, siginfo_t *si, void *context)
{
	(void)context;
	last = *si;
	came = sig;
}

static void expect(int sig)
{
	struct sigaction a = { .sa_sigaction = take, .sa_flags = SA_SIGINFO };

	came = 0;
	must(sigaction(sig, &a, NULL) == 0);
}

static void from_outside(int sig)
{
	ask(peer_stream(), "signal %d %d\n", getpid(), sig);
}

#define BIT(sig) (1ull << ((sig) - 1))

static void block(uint64_t set)
{
	must(DO(rt_sigprocmask, SIG_SETMASK, &set, NULL, 8) == 0);
}

CALL(rt_sigaction)
{
	struct action old = { 0 }, ignore = { (void *)SIG_IGN, 0, NULL, 0 };

	expect(SIGUSR1);
	ok(DO(rt_sigaction, SIGUSR1, &ignore, &old, 8));
	must(old.handler == take && raise(SIGUSR1) == 0 && came == 0);
	ok(DO(rt_sigaction, SIGUSR1, NULL, &old, 8));
	must(old.handler == (void *)SIG_IGN);
	fails(EINVAL, DO(rt_sigaction, SIGKILL, &ignore, NULL, 8));
	fails(EINVAL, DO(rt_sigaction, SIGUSR1, &ignore, NULL, 3));
	fails(EFAULT, DO(rt_sigaction, SIGUSR1, 8, NULL, 8));
}

CALL(rt_sigprocmask)
{
	uint64_t set = BIT(SIGUSR1), old = 0;

	expect(SIGUSR1);
	ok(DO(rt_sigprocmask, SIG_BLOCK, &set, NULL, 8));
	must(raise(SIGUSR1) == 0 && came == 0);
	ok(DO(rt_sigprocmask, SIG_UNBLOCK, &set, &old, 8));
	must(came == SIGUSR1 && (old & set));
	fails(EINVAL, DO(rt_sigprocmask, 99, &set, NULL, 8));
	fails(EINVAL, DO(rt_sigprocmask, SIG_BLOCK, &set, NULL, 3));
}

/* How a handler returns: to where and with what it was told to, here with another result of the system call. */
static void change_result(int sig, siginfo_t *si, void *context)
{
	ucontext_t *u = context;

	(void)sig, (void)si;
	u->uc_mcontext.gregs[REG_RAX] = 4711;
}

CALL(rt_sigreturn)
{
	struct sigaction a = { .sa_sigaction = change_result, .sa_flags = SA_SIGINFO };

	must(sigaction(SIGUSR1, &a, NULL) == 0);
	must(DO(kill, getpid(), SIGUSR1) == 4711);
	say("returned");
}

CALL(rt_sigpending)
{
	uint64_t set = 0;

	expect(SIGUSR1);
	block(BIT(SIGUSR1));
	must(raise(SIGUSR1) == 0);
	ok(DO(rt_sigpending, &set, 8));
	must(set == BIT(SIGUSR1));
	block(0);
	ok(DO(rt_sigpending, &set, 8));
	must(set == 0 && came == SIGUSR1);
	fails(EINVAL, DO(rt_sigpending, &set, 99));
}

CALL(rt_sigtimedwait)
{
	uint64_t set = BIT(SIGUSR1);
	struct timespec t = { 0, 10000000 }, bad = { 0, -1 };
	siginfo_t si = { 0 };

	block(set);
	fails(EAGAIN, DO(rt_sigtimedwait, &set, &si, &t, 8));
	from_outside(SIGUSR1);
	must(DO(rt_sigtimedwait, &set, &si, NULL, 8) == SIGUSR1 && si.si_signo == SIGUSR1 && si.si_code == SI_USER);
	say("from %d of user %u", si.si_pid, si.si_uid);
	fails(EINVAL, DO(rt_sigtimedwait, &set, &si, &bad, 8));
	fails(EINVAL, DO(rt_sigtimedwait, &set, &si, &t, 3));
	block(0);
}

CALL(rt_sigsuspend)
{
	uint64_t none = 0;

	expect(SIGUSR1);
	block(BIT(SIGUSR1));
	from_outside(SIGUSR1);
	fails(EINTR, DO(rt_sigsuspend, &none, 8));
	must(came == SIGUSR1);
	say("from %d", last.si_pid);
	fails(EINVAL, DO(rt_sigsuspend, &none, 3));
	block(0);
}

CALL(sigaltstack)
{
	static char stack[1 << 16];
	stack_t s = { .ss_sp = stack, .ss_size = sizeof(stack) }, old;

	ok(DO(sigaltstack, &s, &old));
	must(old.ss_flags == SS_DISABLE);
	s.ss_size = 10;
	fails(ENOMEM, DO(sigaltstack, &s, NULL));
	s.ss_flags = 77;
	fails(EINVAL, DO(sigaltstack, &s, NULL));
	s = (stack_t){ .ss_flags = SS_DISABLE };
	ok(DO(sigaltstack, &s, &old));
	must(old.ss_sp == stack);
}

CALL(kill)
{
	pid_t pid = fork();
	int status;

	if (pid == 0)
		for (;;)
			pause();
	ok(DO(kill, pid, 0));
	ok(DO(kill, pid, SIGTERM));
	must(waitpid(pid, &status, 0) == pid && WTERMSIG(status) == SIGTERM);
	fails(ESRCH, DO(kill, pid, SIGTERM));
	fails(EINVAL, DO(kill, getpid(), 999));
	expect(SIGUSR2);
	ok(DO(kill, getpid(), SIGUSR2));
	must(came == SIGUSR2 && last.si_pid == getpid() && last.si_code == SI_USER);
}

CALL(tkill)
{
	expect(SIGUSR2);
	ok(DO(tkill, gettid(), SIGUSR2));
	must(came == SIGUSR2 && last.si_code == SI_TKILL);
	fails(ESRCH, DO(tkill, 4000000, SIGUSR2));
	fails(EINVAL, DO(tkill, -1, SIGUSR2));
}

CALL(tgkill)
{
	expect(SIGUSR2);
	ok(DO(tgkill, getpid(), gettid(), SIGUSR2));
	must(came == SIGUSR2 && last.si_code == SI_TKILL && last.si_pid == getpid());
	fails(ESRCH, DO(tgkill, getpid(), 4000000, SIGUSR2));
	fails(EINVAL, DO(tgkill, getpid(), gettid(), 999));
}

static siginfo_t with_word(int word)
{
	siginfo_t si = { .si_signo = SIGUSR2, .si_code = SI_QUEUE };

	si.si_pid = getpid();
	si.si_value.sival_int = word;
	return si;
}

CALL(rt_sigqueueinfo)
{
	siginfo_t si = with_word(99);

	expect(SIGUSR2);
	ok(DO(rt_sigqueueinfo, getpid(), SIGUSR2, &si));
	must(came == SIGUSR2 && last.si_code == SI_QUEUE && last.si_value.sival_int == 99);
	fails(ESRCH, DO(rt_sigqueueinfo, 4000000, SIGUSR2, &si));
	fails(EFAULT, DO(rt_sigqueueinfo, getpid(), SIGUSR2, 8));
}

CALL(rt_tgsigqueueinfo)
{
	siginfo_t si = with_word(98);

	expect(SIGUSR2);
	ok(DO(rt_tgsigqueueinfo, getpid(), gettid(), SIGUSR2, &si));
	must(came == SIGUSR2 && last.si_value.sival_int == 98);
	fails(ESRCH, DO(rt_tgsigqueueinfo, getpid(), 4000000, SIGUSR2, &si));
}
