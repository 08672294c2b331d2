/* SPDX-License-Identifier: Apache-2.0 */
#include "recorder/proc.h"

#include "format/cleanup.h"
#include "format/io.h"
#include "format/vdso.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

enum { MAX_NESTING = 16 };	/* of cgroups */

/* ---- /proc/PID/stat --------------------------------------------------------------- */

/* What stands behind the name, which may hold anything: field 3 and on. */
static char *stat_text(pid_t pid)
{
	char path[64], *text = NULL, *at;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	if (io_slurp(path, 1 << 16, &text, NULL) < 0)
		return NULL;
	at = strrchr(text, ')');
	if (at && at[1])
		memmove(text, at + 2, strlen(at + 2) + 1);
	else
		text[0] = 0;
	return text;
}

pid_t proc_parent(pid_t pid)
{
	_cleanup_free_ char *text = stat_text(pid);
	int parent = 0;

	return text && sscanf(text, "%*c %d", &parent) == 1 ? parent : 0;
}

uint64_t proc_start_time(pid_t pid)
{
	_cleanup_free_ char *text = stat_text(pid);
	char *at = text;

	for (int field = 3; field < 22 && at; field++)
		at = strchr(at + 1, ' ');
	return at ? strtoull(at, NULL, 10) : 0;
}

bool proc_at_random(pid_t pid, uint8_t bytes[16])
{
	struct vdso_map map = { 0 };
	struct err ignored = { 0 };

	_cleanup_fd_ int mem = vdso_open(pid);
	if (mem < 0)
		return false;
	vdso_find(pid, mem, &map, &ignored);
	return map.at_random && vdso_read(mem, map.at_random, bytes, 16) == 0;
}

/* ---- namespaces ---------------------------------------------------------------------- */

uint32_t proc_own_number(pid_t pid)
{
	_cleanup_free_ char *text = NULL;
	char path[64], *at;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	if (io_slurp(path, 1 << 20, &text, NULL) < 0 || !(at = strstr(text, "\nNSpid:")))
		return (uint32_t)pid;
	at += strcspn(at + 1, "\n");
	while (at[-1] >= '0' && at[-1] <= '9')
		at--;
	return (uint32_t)strtoul(at, NULL, 10);
}

bool proc_same_namespace(pid_t a, pid_t b, const char *which)
{
	char path[64];
	struct stat of[2];

	for (int i = 0; i < 2; i++) {
		snprintf(path, sizeof(path), "/proc/%d/ns/%s", (int)(i ? b : a), which);
		if (stat(path, &of[i]) < 0)
			return false;
	}
	return of[0].st_ino == of[1].st_ino && of[0].st_dev == of[1].st_dev;
}

char *proc_cgroups(pid_t pid)
{
	char path[64], *text = NULL;

	snprintf(path, sizeof(path), "/proc/%d/cgroup", (int)pid);
	return io_slurp(path, 1 << 20, &text, NULL) < 0 ? NULL : text;
}

bool proc_same_root(pid_t pid)
{
	char path[64];
	struct stat its, ours;

	snprintf(path, sizeof(path), "/proc/%d/root", (int)pid);
	return stat(path, &its) < 0 || stat("/", &ours) < 0 || (its.st_dev == ours.st_dev && its.st_ino == ours.st_ino);
}

/* ---- lists -------------------------------------------------------------------------- */

static int add(pid_t **list, size_t *n, pid_t pid)
{
	pid_t *more = reallocarray(*list, *n + 1, sizeof(*more));

	if (!more)
		return -ENOMEM;
	*list = more;
	more[(*n)++] = pid;
	return 0;
}

static bool has(const pid_t *list, size_t n, pid_t pid)
{
	for (size_t i = 0; i < n; i++)
		if (list[i] == pid)
			return true;
	return false;
}

/* Children of those that are listed; how many were new, or -errno. */
static int add_children(pid_t **list, size_t *n)
{
	struct dirent *d;
	int new = 0;

	_cleanup_dir_ DIR *dir = opendir("/proc");
	while (dir && (d = readdir(dir))) {
		pid_t pid = d->d_name[0] >= '1' && d->d_name[0] <= '9' ? atoi(d->d_name) : 0;

		if (!pid || has(*list, *n, pid) || !has(*list, *n, proc_parent(pid)))
			continue;
		if (add(list, n, pid) < 0)
			return -ENOMEM;
		new++;
	}
	return new;
}

int proc_family(const pid_t *roots, size_t nroots, pid_t **ret, size_t *n)
{
	int rc = 1;

	*ret = NULL;
	*n = 0;
	for (size_t i = 0; i < nroots; i++)
		if (add(ret, n, roots[i]) < 0)
			return -ENOMEM;
	while (rc > 0)
		rc = add_children(ret, n);
	return rc;
}

static int add_cgroup(const char *dir, pid_t **list, size_t *n, int nesting)
{
	_cleanup_free_ char *text = NULL;
	char path[PATH_MAX], *save = NULL;
	struct dirent *d;
	int rc = 0;

	if ((size_t)snprintf(path, sizeof(path), "%s/cgroup.procs", dir) >= sizeof(path))
		return -ENAMETOOLONG;
	if (io_slurp(path, 16 << 20, &text, NULL) == 0)
		for (char *l = strtok_r(text, "\n", &save); l && rc == 0; l = strtok_r(NULL, "\n", &save))
			if (atoi(l) > 0 && !has(*list, *n, atoi(l)))
				rc = add(list, n, atoi(l));
	_cleanup_dir_ DIR *names = nesting < MAX_NESTING ? opendir(dir) : NULL;
	while (names && rc == 0 && (d = readdir(names)))
		if (d->d_type == DT_DIR && d->d_name[0] != '.' &&
		    (size_t)snprintf(path, sizeof(path), "%s/%s", dir, d->d_name) < sizeof(path))
			rc = add_cgroup(path, list, n, nesting + 1);
	return rc;
}

int proc_in_cgroup(const char *dir, pid_t **ret, size_t *n)
{
	*ret = NULL;
	*n = 0;
	return add_cgroup(dir, ret, n, 0);
}

/* ---- descriptors ------------------------------------------------------------------------ */

bool proc_fd_link(pid_t pid, int fd, char *buf, size_t len)
{
	static const char deleted[] = " (deleted)";
	const size_t tail = sizeof(deleted) - 1;
	char path[64];
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)pid, fd);
	n = readlink(path, buf, len - 1);
	if (n < 0)
		return false;
	buf[n] = 0;
	if ((size_t)n > tail && strcmp(buf + n - tail, deleted) == 0)
		buf[(size_t)n - tail] = 0;
	return true;
}

static int flags_of(pid_t pid, const char *fd)
{
	_cleanup_free_ char *text = NULL;
	unsigned int flags = 0;
	char path[300], *at;

	snprintf(path, sizeof(path), "/proc/%d/fdinfo/%s", (int)pid, fd);
	if (io_slurp(path, 16 << 20, &text, NULL) == 0 && (at = strstr(text, "flags:")))
		sscanf(at, "flags: %o", &flags);
	return (int)flags;
}

static void each_fd(pid_t pid, proc_fd f, void *ctx, bool flags)
{
	char path[300];
	struct dirent *d;
	struct stat st;

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
	_cleanup_dir_ DIR *dir = opendir(path);
	while (dir && (d = readdir(dir))) {
		snprintf(path, sizeof(path), "/proc/%d/fd/%s", (int)pid, d->d_name);
		if (d->d_name[0] != '.' && stat(path, &st) == 0)
			f(ctx, pid, atoi(d->d_name), &st, flags ? flags_of(pid, d->d_name) : 0);
	}
}

void proc_each_fd(pid_t pid, proc_fd f, void *ctx)
{
	each_fd(pid, f, ctx, true);
}

void proc_each_open(pid_t pid, proc_fd f, void *ctx)
{
	each_fd(pid, f, ctx, false);
}

uint32_t proc_kernel_dev(dev_t dev)
{
	return (uint32_t)(major(dev) << 20 | minor(dev));
}
