/* SPDX-License-Identifier: Apache-2.0 */
/* The user namespace: one user and one group, ours outside, the recorded ones inside. */
#include "sandbox/internal.h"

#include "format/cleanup.h"
#include "format/io.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/prctl.h>

static int write_proc(const char *path, const char *text, struct err *err)
{
	_cleanup_fd_ int fd = open(path, O_WRONLY | O_CLOEXEC);
	int e;

	if (fd < 0)
		return err_sys(err, errno, "opening %s", path);
	e = io_write(fd, text, strlen(text));
	return e < 0 ? err_sys(err, -e, "writing \"%s\" to %s", text, path) : 0;
}

static long read_setting(const char *path)
{
	_cleanup_free_ char *text = NULL;

	if (io_slurp(path, 64, &text, NULL) < 0)
		return -1;
	return strtol(text, NULL, 10);
}

int userns_hint(struct err *err)
{
	static const struct {
		const char *path;
		long at_most;	/* this or less explains the failure */
		long at_least;
		const char *mend;
	} known[] = {
		{ "/proc/sys/kernel/unprivileged_userns_clone", 0, 0, "sysctl -w kernel.unprivileged_userns_clone=1" },
		{ "/proc/sys/kernel/apparmor_restrict_unprivileged_userns", 9, 1,
		  "sysctl -w kernel.apparmor_restrict_unprivileged_userns=0" },
		{ "/proc/sys/user/max_user_namespaces", 0, 0, "sysctl -w user.max_user_namespaces=10000" },
		{ "/proc/sys/user/max_net_namespaces", 0, 0, "sysctl -w user.max_net_namespaces=10000" },
		{ "/proc/sys/user/max_mnt_namespaces", 0, 0, "sysctl -w user.max_mnt_namespaces=10000" },
		{ "/proc/sys/user/max_pid_namespaces", 0, 0, "sysctl -w user.max_pid_namespaces=10000" },
	};
	const char *mend = NULL;
	size_t n = strlen(err->text);

	if (err->code != EPERM && err->code != EACCES && err->code != ENOSPC && err->code != EUSERS)
		return -err->code;
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]) && !mend; i++) {
		long v = read_setting(known[i].path);

		if (v >= known[i].at_least && v <= known[i].at_most)
			mend = known[i].mend;
	}
	if (!mend && (err->code == ENOSPC || err->code == EUSERS))
		mend = "namespaces are used up; raise user.max_user_namespaces and its sisters under /proc/sys/user";
	if (!mend)
		mend = "user namespaces are forbidden here (by a container, a chroot or a security module); "
		       "run outside of it, or the container with --security-opt seccomp=unconfined";
	snprintf(err->text + n, sizeof(err->text) - n, "; mend: %s", mend);
	return -err->code;
}

static int write_maps(const struct manifest *m, uid_t euid, gid_t egid, struct err *err)
{
	char map[64];

	if (write_proc("/proc/self/setgroups", "deny", err) < 0)
		return -err->code;
	snprintf(map, sizeof(map), "%u %u 1", m->euid, euid);
	if (write_proc("/proc/self/uid_map", map, err) < 0)
		return -err->code;
	snprintf(map, sizeof(map), "%u %u 1", m->egid, egid);
	return write_proc("/proc/self/gid_map", map, err);
}

int sandbox_enter(const struct manifest *m, struct err *err)
{
	uid_t euid = geteuid();
	gid_t egid = getegid();

	if (m->euid == UINT32_MAX || m->egid == UINT32_MAX)
		return err_set(err, EINVAL, "the capsule names no user to run as");
	/* A process that changed its user (su without exec) does not own its own /proc files otherwise. */
	prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
	if (unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0) {
		err_sys(err, errno, "making a user and a network namespace");
		return userns_hint(err);
	}
	if (write_maps(m, euid, egid, err) < 0 || network_setup(m->egid, err) < 0)
		return userns_hint(err);
	return 0;
}
