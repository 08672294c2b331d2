/* SPDX-License-Identifier: Apache-2.0 */
#include "recorder/spawn.h"

#include "format/cleanup.h"
#include "format/io.h"
#include "sandbox/image_root.h"
#include "sandbox/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>

extern char **environ;

int signals_take(struct our_signals *ret, struct err *err)
{
	struct sigaction dfl = { .sa_handler = SIG_DFL };
	sigset_t ours;

	sigemptyset(&ours);
	sigaddset(&ours, SIGCHLD);
	sigaddset(&ours, SIGTERM);
	sigaddset(&ours, SIGHUP);
	sigaddset(&ours, SIGINT);
	sigaddset(&ours, SIGQUIT);
	ret->fd = signalfd(-1, &ours, SFD_CLOEXEC | SFD_NONBLOCK);
	if (ret->fd < 0)
		return err_sys(err, errno, "signalfd");
	sigprocmask(SIG_BLOCK, &ours, &ret->before);
	sigaction(SIGCHLD, &dfl, &ret->child);	/* ignored, it would take the exit status away */
	return 0;
}

void signals_give_back(struct our_signals *s)
{
	struct signalfd_siginfo gone;

	if (s->fd < 0)
		return;
	while (read(s->fd, &gone, sizeof(gone)) > 0)
		;	/* they were for the command */
	close(s->fd);
	s->fd = -1;
	sigaction(SIGCHLD, &s->child, NULL);
	sigprocmask(SIG_SETMASK, &s->before, NULL);
}

/* ---- the command ----------------------------------------------------------------- */

static int enter_rootfs(const char *rootfs)
{
	if (strcmp(rootfs, "/") == 0)
		return 0;
	return chroot(rootfs) < 0 || chdir("/") < 0 ? -errno : 0;
}

/* What the child says of itself before it waits. */
struct readiness {
	bool declines;
	struct err err;		/* code set: it can't go on */
};

static void child(const struct record_opts *opts, const struct our_signals *s, int go, int failed)
{
	struct readiness ready = { 0 };
	struct err ignored;
	char word;
	int e;

	ready.declines = !opts->io_uring && filter_decline(&ignored) == 0;
	if (opts->container && container_enter(opts->container, &ready.err) == 0)
		environ = opts->container->env;
	/* Before the wait: the manifest is taken meanwhile, from what /proc says of us; @failed says that it may be. */
	sigaction(SIGCHLD, &s->child, NULL);
	sigprocmask(SIG_SETMASK, &s->before, NULL);
	(void)!io_write(failed, &ready, sizeof(ready));
	if (io_read(go, &word, 1) != 1)
		_exit(0);	/* the recorder has failed, and says why */
	e = opts->container ? 0 : enter_rootfs(opts->rootfs);
	if (!e) {
		if (!opts->aslr)
			personality((unsigned long)personality(0xffffffff) | ADDR_NO_RANDOMIZE);
		execvp(opts->argv[0], opts->argv);
		e = -errno;
	}
	e = -e;
	(void)!io_write(failed, &e, sizeof(e));
	_exit(127);
}

int command_spawn(struct command *ret, const struct record_opts *opts, const struct our_signals *s, struct err *err)
{
	struct readiness ready = { .err = { .code = ECHILD, .text = "the command's process died" } };
	int go[2], failed[2];

	*ret = (struct command){ .pid = -1, .pidfd = -1, .go = -1, .failed = -1 };
	if (pipe2(go, O_CLOEXEC) < 0)
		return err_sys(err, errno, "pipe");
	if (pipe2(failed, O_CLOEXEC) < 0) {
		int e = errno;

		close(go[0]);
		close(go[1]);
		return err_sys(err, e, "pipe");
	}
	ret->pid = fork();
	if (ret->pid == 0) {
		close(go[1]);
		close(failed[0]);
		child(opts, s, go[0], failed[1]);
	}
	close(go[0]);
	close(failed[1]);
	ret->go = go[1];
	ret->failed = failed[0];
	if (ret->pid < 0)
		return err_sys(err, errno, "fork");
	(void)!io_read(ret->failed, &ready, sizeof(ready));
	if (ready.err.code) {
		*err = ready.err;
		return -err->code;
	}
	ret->declines = ready.declines;
	ret->pidfd = (int)syscall(SYS_pidfd_open, ret->pid, 0);
	return ret->pidfd < 0 ? err_sys(err, errno, "pidfd_open") : 0;
}

int command_go(struct command *c)
{
	int e = 0;

	(void)!io_write(c->go, "", 1);
	return io_read(c->failed, &e, sizeof(e)) == sizeof(e) ? e : 0;
}

void command_end(struct command *c)
{
	const int fds[] = { c->go, c->failed, c->pidfd };

	for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++)
		if (fds[i] >= 0)
			close(fds[i]);
}
