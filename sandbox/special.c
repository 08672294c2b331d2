/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What every sandbox has anew: /proc of its own pid namespace, the host's
 * /sys read-only, a /dev with the harmless devices.
 *
 * A replay started by root has a guest with the host's uid 0, without
 * capabilities.  File modes alone would let it write to /proc/sys and to
 * sysfs, so these are read-only mounts.
 */
#include "sandbox/internal.h"

#include "format/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mount.h>

static int make_node(int root, const char *name, mode_t type_mode)
{
	int e = S_ISDIR(type_mode) ? mkdirat(root, name, 0700) : mknodat(root, name, S_IFREG | 0600, 0);

	if (e < 0 && errno != EEXIST)
		return -errno;
	return fchmodat(root, name, type_mode & 07777, 0) < 0 ? -errno : 0;
}

static int attach_to(int mnt, int root, const char *path)
{
	if (mnt < 0)
		return mnt;
	return move_mount(mnt, "", root, path, MOVE_MOUNT_F_EMPTY_PATH) < 0 ? -errno : 0;
}

static int mount_proc(int root, int *ns_last_pid, struct err *err)
{
	static const char *const readonly[] = {
		"proc/sys", "proc/sysrq-trigger", "proc/irq", "proc/bus", "proc/fs", "proc/scsi", "proc/acpi",
	};

	_cleanup_fd_ int fs = fsopen("proc", FSOPEN_CLOEXEC);
	_cleanup_fd_ int mnt = -1;
	if (fs >= 0 && fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) == 0)
		mnt = fsmount(fs, FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
	if (mnt < 0 && errno == EPERM)
		return err_set(err, EPERM, "mounting a new /proc is not permitted: parts of this machine's /proc are "
			       "hidden, as containers do; mend: start the container with --security-opt unmask=ALL");
	if (mnt < 0 || make_node(root, "proc", S_IFDIR | 0555) < 0 || attach_to(mnt, root, "proc") < 0)
		return err_sys(err, errno, "mounting a new /proc");
	*ns_last_pid = openat(root, "proc/sys/kernel/ns_last_pid", O_WRONLY | O_CLOEXEC);
	for (size_t i = 0; i < sizeof(readonly) / sizeof(readonly[0]); i++) {
		_cleanup_fd_ int part = mount_clone_readonly(root, readonly[i], false);
		int e = part == -ENOENT ? 0 : attach_to(part, root, readonly[i]);

		if (e < 0)
			return err_sys(err, -e, "making /%s read-only", readonly[i]);
	}
	return 0;
}

/* An empty /sys where it can't be had read-only. */
static int mount_sys(int root, struct err *err)
{
	_cleanup_fd_ int mnt = mount_clone_readonly(AT_FDCWD, "/sys", true);
	int e = make_node(root, "sys", S_IFDIR | 0555);

	if (!e && mnt >= 0)
		e = attach_to(mnt, root, "sys");
	return e < 0 ? err_sys(err, -e, "mounting /sys") : 0;
}

static const char *const devices[] = {
	"/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty",
};

bool sandbox_has_device(const char *path)
{
	for (size_t i = 0; i < sizeof(devices) / sizeof(devices[0]); i++)
		if (strcmp(path, devices[i]) == 0)
			return true;
	return false;
}

static int bind_device(int root, const char *path)
{
	_cleanup_fd_ int mnt = open_tree(AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);

	if (mnt < 0)
		return errno == ENOENT ? 0 : -errno;	/* a container may lack it */
	int e = make_node(root, path + 1, S_IFREG | 0666);
	return e < 0 ? e : attach_to(mnt, root, path + 1);
}

static int mount_pts(int root)
{
	_cleanup_fd_ int fs = fsopen("devpts", FSOPEN_CLOEXEC);

	if (fs < 0 || fsconfig(fs, FSCONFIG_SET_STRING, "ptmxmode", "0666", 0) < 0 ||
	    fsconfig(fs, FSCONFIG_SET_STRING, "mode", "0620", 0) < 0 ||
	    fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return -errno;
	_cleanup_fd_ int mnt = fsmount(fs, FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC);
	return mnt < 0 ? -errno : attach_to(mnt, root, "dev/pts");
}

static int make_links(int root)
{
	static const char *const links[][2] = {
		{ "dev/ptmx", "pts/ptmx" },
		{ "dev/fd", "/proc/self/fd" },
		{ "dev/stdin", "/proc/self/fd/0" },
		{ "dev/stdout", "/proc/self/fd/1" },
		{ "dev/stderr", "/proc/self/fd/2" },
	};

	for (size_t i = 0; i < sizeof(links) / sizeof(links[0]); i++)
		if (symlinkat(links[i][1], root, links[i][0]) < 0)
			return -errno;
	return 0;
}

static int make_shared(int root, size_t size)
{
	if (size == 0)
		return 0;
	_cleanup_fd_ int fd = openat(root, "dev/.capsule", O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0 || fchmod(fd, 0600) < 0 || ftruncate(fd, size) < 0)
		return -errno;
	return 0;
}

static int mount_dev(int root, size_t shared_size, struct err *err)
{
	int e = make_node(root, "dev", S_IFDIR | 0755);

	for (size_t i = 0; !e && i < sizeof(devices) / sizeof(devices[0]); i++) {
		e = bind_device(root, devices[i]);
		if (e < 0)
			return err_sys(err, -e, "binding %s", devices[i]);
	}
	if (!e)
		e = make_node(root, "dev/shm", S_IFDIR | 01777);
	if (!e)
		e = make_node(root, "dev/pts", S_IFDIR | 0755);
	if (!e)
		e = make_links(root);
	if (!e)
		e = make_shared(root, shared_size);
	if (e < 0)
		return err_sys(err, -e, "making /dev");
	e = mount_pts(root);
	return e < 0 ? err_sys(err, -e, "mounting a new /dev/pts") : 0;
}

int special_mount(const struct rootfs *r, size_t shared_size, int *ns_last_pid, struct err *err)
{
	if (mount_dev(r->root, shared_size, err) < 0 || mount_sys(r->root, err) < 0)
		return -err->code;
	return mount_proc(r->root, ns_last_pid, err);
}
