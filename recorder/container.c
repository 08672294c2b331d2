/* SPDX-License-Identifier: Apache-2.0 */
#include "recorder/container.h"

#include "format/cleanup.h"
#include "format/io.h"
#include "recorder/engine_state.h"
#include "recorder/proc.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- cgroups ------------------------------------------------------------------- */

static bool is_cgroup(const char *dir)
{
	char path[PATH_MAX];

	return (size_t)snprintf(path, sizeof(path), "%s/cgroup.procs", dir) < sizeof(path) && access(path, R_OK) == 0;
}

int cgroup_dir(const char *path, char out[PATH_MAX], struct err *err)
{
	/* Version 2 alone, beside version 1, and the hierarchies of version 1 that hold processes by name. */
	static const char *const roots[] = { "", "/sys/fs/cgroup", "/sys/fs/cgroup/unified", "/sys/fs/cgroup/systemd", "/sys/fs/cgroup/pids",
					     "/sys/fs/cgroup/memory", "/sys/fs/cgroup/cpu", "/sys/fs/cgroup/freezer" };

	for (size_t i = 0; i < sizeof(roots) / sizeof(roots[0]); i++)
		if ((size_t)snprintf(out, PATH_MAX, "%s%s%s", roots[i], path[0] == '/' || !roots[i][0] ? "" : "/", path) < PATH_MAX &&
		    is_cgroup(out))
			return 0;
	return err_set(err, ENOENT, "there is no such cgroup below /sys/fs/cgroup");
}

/* ---- engines --------------------------------------------------------------------- */

/* The first line that @argv prints, into @text; false: it can't be run, or does not know. */
static bool ask(const char *const argv[], char *text, size_t len)
{
	posix_spawn_file_actions_t to;
	int ends[2], status = -1;
	ssize_t n = 0;
	pid_t pid;

	if (pipe(ends) < 0)
		return false;
	posix_spawn_file_actions_init(&to);
	posix_spawn_file_actions_addopen(&to, 0, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(&to, ends[1], 1);
	posix_spawn_file_actions_addopen(&to, 2, "/dev/null", O_WRONLY, 0);
	posix_spawn_file_actions_addclose(&to, ends[0]);
	if (posix_spawnp(&pid, argv[0], &to, NULL, (char *const *)argv, environ) != 0)
		pid = 0;
	posix_spawn_file_actions_destroy(&to);
	close(ends[1]);
	if (pid)
		n = io_read(ends[0], text, len - 1);
	close(ends[0]);
	while (pid && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	text[n > 0 ? n : 0] = 0;
	text[strcspn(text, "\n")] = 0;
	return pid && WIFEXITED(status) && WEXITSTATUS(status) == 0 && text[0];
}

/* What an engine says of a container: its first process, its name, its image's id, the image's name. */
static const struct {
	const char *name, *format;
	const char *image;	/* what leads skopeo(1) to the id; NULL: nothing does */
	const char *called;	/* ... and to the name */
} engines[] = {
	{ "podman", "{{.State.Pid}} {{.Name}} {{.Image}} {{.ImageName}}", "containers-storage:@", "containers-storage:" },
	{ "docker", "{{.State.Pid}} {{.Name}} {{.Image}} {{.Config.Image}}", "docker-daemon:", "docker-daemon:" },
	{ "nerdctl", "{{.State.Pid}} {{.Name}} {{.Image}} {{.Image}}", NULL, NULL },
};

/* Names are the engine's own, a word each. */
static bool understand(const char *text, size_t i, struct found_container *ret)
{
	char own[256] = "", id[128] = "", name[256] = "";
	long pid = 0;

	if (sscanf(text, "%ld %255s %127s %255s", &pid, own, id, name) < 2 || pid <= 0 || pid > INT_MAX)
		return false;
	*ret = (struct found_container){ .engine = engines[i].name, .pid = (pid_t)pid };
	snprintf(ret->name, sizeof(ret->name), "%s", own[0] == '/' ? own + 1 : own);	/* docker has a slash before it */
	if (!engines[i].image || !id[0])
		return true;
	snprintf(ret->image, sizeof(ret->image), "%s%s", engines[i].image, id);
	if (name[0])
		snprintf(ret->called, sizeof(ret->called), "%s%s", engines[i].called, name);
	return true;
}

static bool ask_engines(const char *name, struct found_container *ret)
{
	char text[1024];

	for (size_t i = 0; i < sizeof(engines) / sizeof(engines[0]); i++) {
		const char *const argv[] = { engines[i].name, "inspect", "--type", "container", "--format", engines[i].format, "--", name, NULL };

		if (ask(argv, text, sizeof(text)) && understand(text, i, ret))
			return true;
	}
	return false;
}

/* The longest of the paths in /proc/PID/cgroup that is a directory here: an engine need not use every hierarchy. */
static int cgroup_of(pid_t pid, char out[PATH_MAX], struct err *err)
{
	_cleanup_free_ char *text = proc_cgroups(pid);
	char dir[PATH_MAX], *save = NULL;
	struct err ignored = ERR_INIT;
	size_t longest = 1;

	if (!text)
		return err_set(err, ESRCH, "its first process (%d) is gone", (int)pid);
	out[0] = 0;
	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		char *at = strchr(line, ':');

		at = at ? strchr(at + 1, ':') : NULL;
		if (at && strlen(at + 1) > longest && cgroup_dir(at + 1, dir, &ignored) == 0) {
			longest = strlen(at + 1);
			strcpy(out, dir);
		}
	}
	return out[0] ? 0 : err_set(err, ENOENT, "its first process (%d) is in no cgroup of its own", (int)pid);
}

/* The engine of the container with the digits @name that @pid is in, or NULL. */
static const char *is_inside(const char *pid, const char *name)
{
	_cleanup_free_ char *text = NULL;
	char path[NAME_MAX + 32], id[CONTAINER_ID + 1], *save = NULL;
	const char *engine = NULL;

	snprintf(path, sizeof(path), "/proc/%s/cgroup", pid);
	if (io_slurp(path, 1 << 20, &text, NULL) < 0)
		return NULL;
	for (char *line = strtok_r(text, "\n", &save); line && !engine; line = strtok_r(NULL, "\n", &save)) {
		engine = engine_of_cgroup(line, id);
		if (engine && strncmp(id, name, strlen(name)) != 0)
			engine = NULL;
	}
	return engine;
}

static bool is_first(const char *pid)
{
	_cleanup_free_ char *text = NULL;
	char path[NAME_MAX + 32], *line;

	snprintf(path, sizeof(path), "/proc/%s/status", pid);
	if (io_slurp(path, 1 << 16, &text, NULL) < 0)
		return false;
	line = strstr(text, "\nNSpid:");
	if (!line)
		return false;
	line[1 + strcspn(line + 1, "\n")] = 0;
	line = strrchr(line, '\t');
	return line && strcmp(line, "\t1") == 0;
}

/* No engine tells, but its processes' cgroups do: the first process of its pid namespace. */
static bool find_by_cgroup(const char *name, struct found_container *ret)
{
	enum { DIGITS = 12 };	/* as engines print them */
	struct dirent *d;
	size_t n = strlen(name);

	if (n < DIGITS || strspn(name, "0123456789abcdef") != n)
		return false;
	_cleanup_dir_ DIR *all = opendir("/proc");
	while (all && (d = readdir(all))) {
		const char *engine = d->d_name[0] >= '1' && d->d_name[0] <= '9' ? is_inside(d->d_name, name) : NULL;

		if (!engine || !is_first(d->d_name))
			continue;
		*ret = (struct found_container){ .engine = engine, .pid = (pid_t)strtol(d->d_name, NULL, 10) };
		return true;
	}
	return false;
}

int container_find(struct found_container *ret, const char *name, struct err *err)
{
	struct err why = ERR_INIT;

	if (!ask_engines(name, ret) && engine_state_find(ret, "", name, &why) < 0) {
		if (why.code != ENOENT)
			return err_set(err, why.code, "%s", why.text);
		if (!find_by_cgroup(name, ret))
			return err_set(err, ENOENT, "neither podman, docker nor nerdctl, nor the files of docker and containerd, know a running container of that name");
	}
	if (!ret->name[0])
		snprintf(ret->name, sizeof(ret->name), "%s", name);
	return cgroup_of(ret->pid, ret->cgroup, err);
}
