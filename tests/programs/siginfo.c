/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tells who sent each signal, in every way that there is to learn it: a handler
 * with SA_SIGINFO, sigwaitinfo(2), sigtimedwait(2), signalfd(2).  SIGTERM ends it.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

static struct { int signo, code, value; pid_t pid; uid_t uid; } seen;

static void on_signal(int sig, siginfo_t *info, void *context)
{
	(void)context;
	seen.signo = sig;
	seen.code = info->si_code;
	seen.pid = info->si_pid;
	seen.uid = info->si_uid;
	seen.value = info->si_code == SI_QUEUE ? info->si_value.sival_int : 0;
}

static void tell(const char *how, int signo, int code, pid_t pid, uid_t uid, int value)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	printf("%s: signal %d code %d from %d of user %u, value %d, at %ld.%09ld\n", how, signo, code, (int)pid, uid, value,
	       (long)now.tv_sec, now.tv_nsec);
	fflush(stdout);
}

static void by_handler(sigset_t *none)
{
	struct sigaction sa = { .sa_sigaction = on_signal, .sa_flags = SA_SIGINFO };

	sigaction(SIGUSR1, &sa, NULL);
	sigaction(SIGUSR2, &sa, NULL);
	puts("handler ready");
	fflush(stdout);
	for (int i = 0; i < 2; i++) {
		sigsuspend(none);
		tell("handler", seen.signo, seen.code, seen.pid, seen.uid, seen.value);
	}
}

static void by_sigwaitinfo(const sigset_t *set)
{
	struct timespec limit = { .tv_sec = 60 };
	siginfo_t info;

	puts("sigwaitinfo ready");
	fflush(stdout);
	for (int i = 0; i < 2; i++) {
		int sig = i == 0 ? sigwaitinfo(set, &info) : sigtimedwait(set, &info, &limit);

		tell("sigwaitinfo", sig, info.si_code, info.si_pid, info.si_uid, info.si_code == SI_QUEUE ? info.si_value.sival_int : 0);
	}
}

static void by_signalfd(const sigset_t *set)
{
	int fd = signalfd(-1, set, SFD_CLOEXEC);
	struct pollfd p = { .fd = fd, .events = POLLIN };
	struct signalfd_siginfo info;

	puts("signalfd ready");
	fflush(stdout);
	do {
		if (poll(&p, 1, -1) != 1 || read(fd, &info, sizeof(info)) != sizeof(info)) {
			printf("signalfd: %s\n", strerror(errno));
			return;
		}
		tell("signalfd", (int)info.ssi_signo, info.ssi_code, (pid_t)info.ssi_pid, info.ssi_uid, info.ssi_int);
	} while (info.ssi_signo != SIGTERM);
}

int main(void)
{
	sigset_t all, none;

	sigemptyset(&none);
	sigemptyset(&all);
	sigaddset(&all, SIGUSR1);
	sigaddset(&all, SIGUSR2);
	sigaddset(&all, SIGTERM);
	sigaddset(&all, SIGRTMIN + 3);
	sigprocmask(SIG_BLOCK, &all, NULL);
	by_handler(&none);
	by_sigwaitinfo(&all);
	by_signalfd(&all);
	puts("EXIT-SUCCESS");
	return 0;
}
