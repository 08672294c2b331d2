/* SPDX-License-Identifier: Apache-2.0 */
/* Stops when it is told that its child was stopped, and goes on when it is continued, as su(1) does. */
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

static volatile sig_atomic_t stopped;

static void told(int sig, siginfo_t *si, void *ctx)
{
	(void)sig;
	(void)ctx;
	stopped |= si->si_code == CLD_STOPPED;
}

static int one(const sigset_t *none)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		sigprocmask(SIG_SETMASK, none, NULL);
		execl("/bin/sleep", "sleep", "0.01", NULL);
		_exit(127);
	}
	while (waitpid(pid, &status, WNOHANG) == 0) {
		sigsuspend(none);
		if (stopped)
			kill(getpid(), SIGSTOP);
		stopped = 0;
	}
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

int main(void)
{
	struct sigaction a = { .sa_sigaction = told, .sa_flags = SA_SIGINFO };
	sigset_t chld, none;

	sigemptyset(&none);
	sigemptyset(&chld);
	sigaddset(&chld, SIGCHLD);
	sigprocmask(SIG_BLOCK, &chld, NULL);
	sigaction(SIGCHLD, &a, NULL);
	for (int i = 0; i < 50; i++)
		if (one(&none) != 0)
			return 1;
	puts("EXIT-SUCCESS");
	return 0;
}
