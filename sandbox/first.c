/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest that was pid 1 of its container.  It gets a pid namespace inside the
 * init's, with all that it means to be the first process: no signal kills it
 * that it does not handle, orphans are its children, and with it ends all.
 * The kernel makes the first child of who made a namespace that one's pid 1, so
 * the guest is there before its root file system.
 *
 * Whoever acts for that namespace (mounts its /proc, says what its next pid
 * is) must be in it: the init starts a process for each such act, with a high
 * pid, out of the guest's way.
 */
#include "sandbox/internal.h"

#include "format/cleanup.h"

#include <errno.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>

pid_t first_start(const struct setup *s, struct err *err)
{
	/* One root directory for the two, until the new one is there. */
	struct clone_args args = { .flags = CLONE_FS, .exit_signal = SIGCHLD };
	pid_t pid;

	if (unshare(CLONE_NEWPID) < 0)
		return err_sys(err, errno, "making a pid namespace");
	pid = (pid_t)syscall(SYS_clone3, &args, sizeof(args));
	if (pid < 0)
		return err_sys(err, errno, "starting the guest");
	if (pid)
		return pid;
	wait_while_zero(&s->gate->built);
	if (unshare(CLONE_FS) < 0 || chdir("/") < 0)
		_exit(126);
	guest_main(s);
}

/* A process of ours in the guest's namespace; 0 in it. */
static pid_t clone_into(uint64_t flags)
{
	static const pid_t high[] = { 4194303, 32767, 0 };	/* below the kernel's own limit, below the usual one, any */
	pid_t pid = -1;

	for (size_t i = 0; i < sizeof(high) / sizeof(high[0]) && pid < 0; i++) {
		struct clone_args args = { .flags = flags, .exit_signal = SIGCHLD };

		if (high[i]) {
			args.set_tid = (uintptr_t)&high[i];
			args.set_tid_size = 1;
		}
		pid = (pid_t)syscall(SYS_clone3, &args, sizeof(args));
	}
	return pid;
}

/* The exit status of @pid; -1: it was killed. */
static int end_of(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, __WALL) < 0)
		if (errno != EINTR)
			return -1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

int first_build(const struct setup *s, int *ns_last_pid, int *upper, struct err *err)
{
	struct gate *gate = s->gate;
	/* What it opens and where its root is, is so for the init. */
	pid_t pid = clone_into(CLONE_FILES | CLONE_FS);

	if (pid == 0) {
		gate->ns_last_pid = gate->upper = -1;
		_exit(rootfs_enter(s->spec, &gate->ns_last_pid, &gate->upper, &gate->err) < 0);
	}
	if (pid < 0)
		return err_sys(err, errno, "starting a process in the guest's pid namespace");
	if (end_of(pid) != 0) {
		*err = gate->err.code ? gate->err : (struct err){ .code = ECHILD, .text = "the builder of the root file system died" };
		return -err->code;
	}
	*ns_last_pid = gate->ns_last_pid;
	*upper = gate->upper;
	return 0;
}

int first_write(int ns_last_pid, const char *text, size_t len)
{
	pid_t pid = clone_into(0);
	int e;

	if (pid == 0)
		_exit(pwrite(ns_last_pid, text, len, 0) < 0 ? errno : 0);
	if (pid < 0)
		return -errno;
	e = end_of(pid);
	return e < 0 ? -ESRCH : -e;
}
