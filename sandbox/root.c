/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What root gives up before anything of a capsule runs: all of it.  Code under
 * replay has the uid of its supervisor outside, so that becomes nobody's.  What
 * the user gave by name is his to give: it is mounted where nobody can reach
 * it, as if what root owns in it were nobody's.
 */
#include "sandbox/internal.h"

#include "format/cleanup.h"
#include "format/io.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { NOBODY = 65534 };
#define PLACES "/run/capsule"	/* of a mount namespace of our own: a tmpfs */

/* Root of a namespace that has no nobody is not the machine's, and can't become anybody. */
static bool has_nobody(const char *map)
{
	_cleanup_free_ char *text = NULL;
	unsigned long first, outside, n;
	char *save = NULL;

	if (io_slurp(map, 1 << 16, &text, NULL) < 0)
		return false;
	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
		if (sscanf(line, "%lu %lu %lu", &first, &outside, &n) == 3 && first <= NOBODY && NOBODY - first < n)
			return true;
	return false;
}

static int write_map(pid_t pid, const char *name)
{
	static const char map[] = "0 65534 1\n1 1 65533\n";
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
	_cleanup_fd_ int fd = open(path, O_WRONLY | O_CLOEXEC);
	return fd < 0 ? -errno : io_write(fd, map, sizeof(map) - 1);
}

/* A user namespace in which root is our nobody, for idmapped mounts; the fd, or -errno. */
static int namespace_of_nobody(void)
{
	char path[64];
	int fd = -EIO, ready[2];
	pid_t pid;
	char c;

	if (pipe2(ready, O_CLOEXEC) < 0)
		return -errno;
	pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		bool made = unshare(CLONE_NEWUSER) == 0 && write(ready[1], "", 1) == 1;

		close(ready[1]);
		while (made)
			pause();
		_exit(1);
	}
	close(ready[1]);
	snprintf(path, sizeof(path), "/proc/%d/ns/user", (int)pid);
	if (pid > 0 && io_read(ready[0], &c, 1) == 1 && write_map(pid, "uid_map") == 0 && write_map(pid, "gid_map") == 0)
		fd = open(path, O_RDONLY | O_CLOEXEC);
	close(ready[0]);
	if (pid > 0)
		kill(pid, SIGKILL);
	while (pid > 0 && waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	return fd;
}

/* What @place->path is, at @place->at, whose root is nobody. Where that can't be, it stays where it is, for nobody to read what he may. */
static void move_place(struct sandbox_place *place, size_t number, int owners)
{
	struct mount_attr attr = { .attr_set = MOUNT_ATTR_IDMAP, .userns_fd = (uint64_t)owners };
	char at[sizeof(place->at)];
	struct stat st;

	_cleanup_fd_ int mnt = (int)syscall(SYS_open_tree, AT_FDCWD, place->path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);
	if (mnt < 0 || fstat(mnt, &st) < 0)
		return;
	if (syscall(SYS_mount_setattr, mnt, "", AT_EMPTY_PATH | AT_RECURSIVE, &attr, sizeof(attr)) < 0 &&
	    syscall(SYS_mount_setattr, mnt, "", AT_EMPTY_PATH, &attr, sizeof(attr)) < 0)
		return;		/* Linux 5.12, and some file systems later */
	snprintf(at, sizeof(at), PLACES "/%zu", number);
	_cleanup_fd_ int file = S_ISDIR(st.st_mode) ? -1 : open(at, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if ((S_ISDIR(st.st_mode) ? mkdir(at, 0755) < 0 : file < 0) ||
	    syscall(SYS_move_mount, mnt, "", AT_FDCWD, at, MOVE_MOUNT_F_EMPTY_PATH) < 0)
		return;
	memcpy(place->at, at, sizeof(at));
}

static void move_places(struct sandbox_place *places, size_t n)
{
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 || (mkdir(PLACES, 0755) < 0 && errno != EEXIST) ||
	    mount("capsule", PLACES, "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755") < 0)
		return;
	_cleanup_fd_ int owners = namespace_of_nobody();
	for (size_t i = 0; i < n && owners >= 0; i++)
		move_place(&places[i], i, owners);
}

int sandbox_give_up_root(struct sandbox_place *places, size_t n, struct err *err)
{
	for (size_t i = 0; i < n; i++)
		snprintf(places[i].at, sizeof(places[i].at), "%s", "");
	if (geteuid() != 0 || !has_nobody("/proc/self/uid_map") || !has_nobody("/proc/self/gid_map"))
		return 0;
	if (n)
		move_places(places, n);
	if (setgroups(0, NULL) < 0 || setresgid(NOBODY, NOBODY, NOBODY) < 0 || setresuid(NOBODY, NOBODY, NOBODY) < 0)
		return err_sys(err, errno, "giving root up");
	prctl(PR_SET_PDEATHSIG, SIGKILL);	/* which another user's process has not */
	return 0;
}
