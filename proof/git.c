/* SPDX-License-Identifier: Apache-2.0 */
#include "proof/git.h"

#include "format/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static volatile sig_atomic_t stopped, group;

void child_stop(int signo)
{
	(void)signo;
	stopped = 1;
	if (group)
		kill(-group, SIGTERM);
}

bool child_stopped(void)
{
	return stopped;
}

/* Runs @argv; stdout and stderr go to the fds given. */
static pid_t start(const char *dir, char *const *argv, int out, int error)
{
	pid_t pid = fork();
	int null;

	if (pid) {
		if (pid > 0)
			setpgid(pid, pid);
		return pid;
	}
	setpgid(0, 0);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	signal(SIGINT, SIG_DFL);
	signal(SIGTERM, SIG_DFL);
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null < 0 || dup2(null, 0) < 0 || dup2(out, 1) < 0 || dup2(error, 2) < 0 || chdir(dir) < 0)
		_exit(127);
	setenv("LC_ALL", "C", 1);
	execvp(argv[0], argv);
	_exit(127);
}

static int left_until(const struct timespec *end)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec >= end->tv_sec ? 0 : (int)(end->tv_sec - now.tv_sec) * 1000;
}

static int wait_for(pid_t pid, unsigned int seconds, int *status, struct err *err)
{
	_cleanup_fd_ int fd = (int)syscall(SYS_pidfd_open, pid, 0);
	struct pollfd p = { .fd = fd, .events = POLLIN };
	struct timespec end;
	bool late = false;

	clock_gettime(CLOCK_MONOTONIC, &end);
	end.tv_sec += seconds;
	group = pid;
	if (stopped)
		kill(-pid, SIGTERM);
	while (seconds && !late && !stopped && poll(&p, 1, left_until(&end)) <= 0)
		late = left_until(&end) == 0;
	if (late)
		kill(-pid, SIGKILL);
	while (waitpid(pid, status, 0) < 0)
		if (errno != EINTR)
			return err_sys(err, errno, "waiting for a child");
	group = 0;
	if (stopped)
		return err_set(err, EINTR, "interrupted");
	return late ? err_set(err, ETIMEDOUT, "it took longer than %u s", seconds) : 0;
}

/* What is in @fd, NUL-terminated. */
static char *content(int fd)
{
	off_t size = lseek(fd, 0, SEEK_END);
	char *text = size >= 0 ? malloc((size_t)size + 1) : NULL;
	ssize_t n;

	if (!text)
		return NULL;
	n = pread(fd, text, (size_t)size, 0);
	text[n > 0 ? n : 0] = 0;
	n = (ssize_t)strlen(text);
	if (n && text[n - 1] == '\n')
		text[n - 1] = 0;
	return text;
}

static const char *last_line(const char *text)
{
	const char *newline = strrchr(text, '\n');

	return newline ? newline + 1 : text;
}

int git_run(const char *dir, char **out, struct err *err, const char *arg, ...)
{
	/* A repository's hooks are for its user's own check-outs. */
	char *argv[32] = { "git", "-c", "core.hooksPath=/dev/null", "-c", "advice.detachedHead=false" };
	size_t n = 5;
	va_list ap;
	int status, rc;
	pid_t pid;

	va_start(ap, arg);
	for (; arg && n < 31; arg = va_arg(ap, const char *))
		argv[n++] = (char *)arg;
	va_end(ap);
	_cleanup_fd_ int said = memfd_create("stdout", MFD_CLOEXEC);
	_cleanup_fd_ int erred = memfd_create("stderr", MFD_CLOEXEC);
	if (said < 0 || erred < 0)
		return err_sys(err, errno, "running git");
	pid = start(dir, argv, said, erred);
	if (pid < 0)
		return err_sys(err, errno, "running git");
	rc = wait_for(pid, 0, &status, err);
	if (rc < 0)
		return rc;
	if (status) {
		_cleanup_free_ char *why = content(erred);

		if (WIFEXITED(status) && WEXITSTATUS(status) == 127)
			return err_set(err, EIO, "git could not be started (is it installed?)");
		return err_set(err, EIO, "git %s: %.300s", argv[5], why ? last_line(why) : "");
	}
	if (out) {
		*out = content(said);
		if (!*out)
			return err_set(err, ENOMEM, "out of memory");
	}
	return 0;
}

void git_clean_up(const char *repo, const char *tree)
{
	struct err ignored = ERR_INIT;

	stopped = 0;
	git_run(repo, NULL, &ignored, "worktree", "remove", "--force", tree, NULL);
	git_run(repo, NULL, &ignored, "worktree", "prune", NULL);
}

int child_run(const char *dir, char *const *argv, int log, unsigned int seconds, int *status, struct err *err)
{
	pid_t pid = start(dir, argv, log, log);

	if (pid < 0)
		return err_sys(err, errno, "running '%s'", argv[0]);
	return wait_for(pid, seconds, status, err);
}

int build_run(const char *dir, const char *command, int log, unsigned int seconds, int *status, struct err *err)
{
	char *const argv[] = { "sh", "-c", (char *)command, NULL };

	return child_run(dir, argv, log, seconds, status, err);
}
