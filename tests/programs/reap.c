/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Children that race to their end, and who is reaped first.
 *
 *	reap wait|signal|vfork N ROUNDS
 *
 * wait: waitpid(-1); signal: a handler of SIGCHLD tells them; vfork: children of vfork and exec.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static volatile sig_atomic_t nreaped;
static struct { pid_t pid; int status; } reaped[1024];

static void reap(int sig)
{
	int status;
	pid_t pid;

	(void)sig;
	while (nreaped < 1024 && (pid = waitpid(-1, &status, WNOHANG)) > 0) {
		reaped[nreaped].pid = pid;
		reaped[nreaped].status = status;
		nreaped++;
	}
}

static void child(int gate, int i)
{
	volatile unsigned long work = 0;
	char c;

	while (read(gate, &c, 1) < 0)
		;
	for (unsigned long k = 0; k < 20000; k++)
		work += k;
	_exit(i);
}

static void run_true(void)
{
	if (vfork() == 0) {
		execl("/bin/true", "true", (char *)NULL);
		_exit(127);
	}
}

static void start(int n, const char *how)
{
	int gate[2];

	if (pipe(gate) < 0)
		exit(1);
	for (int i = 0; i < n; i++) {
		if (strcmp(how, "vfork") == 0) {
			run_true();
		} else if (fork() == 0) {
			close(gate[1]);
			child(gate[0], i);
		}
	}
	close(gate[0]);
	close(gate[1]);		/* they are off, all at once */
}

int main(int argc, char **argv)
{
	int n = argc == 4 ? atoi(argv[2]) : 0, rounds = argc == 4 ? atoi(argv[3]) : 0, status;
	struct sigaction sa = { .sa_handler = reap };
	sigset_t chld, old;
	pid_t pid;

	if (n < 1 || n > 64 || rounds < 1)
		return 2;
	sigemptyset(&chld);
	sigaddset(&chld, SIGCHLD);
	for (int k = 0; k < rounds; k++) {
		if (strcmp(argv[1], "signal") == 0) {
			sigaction(SIGCHLD, &sa, NULL);
			sigprocmask(SIG_BLOCK, &chld, &old);
			nreaped = 0;
			start(n, argv[1]);
			while (nreaped < n)
				sigsuspend(&old);
			for (int i = 0; i < n; i++)
				printf("%d %d\n", (int)reaped[i].pid, reaped[i].status);
			sigprocmask(SIG_SETMASK, &old, NULL);
		} else {
			start(n, argv[1]);
			while ((pid = waitpid(-1, &status, 0)) > 0 || errno == EINTR)
				printf("%d %d\n", (int)pid, status);
		}
		puts("--");
	}
	puts("EXIT-SUCCESS");
	return 0;
}
