/* SPDX-License-Identifier: Apache-2.0 */
#include <linux/types.h>

#include "watch/select.h"

#include "format/cleanup.h"
#include "format/io.h"
#include "recorder/container.h"
#include "recorder/map.h"
#include "recorder/proc.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <fcntl.h>
#include <time.h>
#include <unistd.h>

enum { MAX_CONTAINERS = 1024, ENGINES_EVERY = 2 };	/* s: engines are slow to ask */

struct running {
	char *id, *name, *image;
};

/* Sockets that listen on a policy's ports in one network: reading them takes as long as all the rest. */
struct listeners {
	const struct policy *policy;
	ino_t network;
	struct map sockets;	/* by inode */
	struct listeners *next;
};

struct surroundings {
	struct running *list;
	size_t n;
	struct listeners *listeners;
	struct map known;	/* (inode, policy): of processes that are watched */
};

/* ---- containers ------------------------------------------------------------------- */

/* What an engine prints of its running containers; "" if it is not there. */
static char *ask_engine(const char *engine)
{
	const char *const argv[] = { engine, "ps", "--no-trunc", "--format", "{{.ID}} {{.Names}} {{.Image}}", NULL };
	posix_spawn_file_actions_t to;
	char *text = NULL;
	int ends[2], status;
	size_t len;
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return NULL;
	posix_spawn_file_actions_init(&to);
	posix_spawn_file_actions_adddup2(&to, ends[1], 1);
	posix_spawn_file_actions_addopen(&to, 2, "/dev/null", O_WRONLY, 0);
	if (posix_spawnp(&pid, engine, &to, NULL, (char *const *)argv, environ) != 0)
		pid = 0;
	posix_spawn_file_actions_destroy(&to);
	close(ends[1]);
	if (pid)
		io_slurp_fd(ends[0], 1 << 20, &text, &len);
	close(ends[0]);
	while (pid && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return text;
}

static void running_free(struct running *r)
{
	free(r->id);
	free(r->name);
	free(r->image);
}

static void add_running(struct surroundings *s, char *line)
{
	char *save = NULL, *id = strtok_r(line, " ", &save), *name = strtok_r(NULL, " ", &save), *image = strtok_r(NULL, " ", &save);
	struct running r, *more;

	if (!id || !name || s->n >= MAX_CONTAINERS)
		return;
	more = reallocarray(s->list, s->n + 1, sizeof(*more));
	if (!more)
		return;
	s->list = more;
	r = (struct running){ strdup(id), strdup(name), strdup(image ? image : "") };
	if (r.id && r.name && r.image)
		more[s->n++] = r;
	else
		running_free(&r);
}

static void ask_engines(struct surroundings *s)
{
	static const char *const engines[] = { "podman", "docker", "nerdctl" };

	for (size_t i = 0; i < sizeof(engines) / sizeof(engines[0]); i++) {
		_cleanup_free_ char *text = ask_engine(engines[i]);
		char *save = NULL;

		for (char *line = text ? strtok_r(text, "\n", &save) : NULL; line; line = strtok_r(NULL, "\n", &save))
			add_running(s, line);
	}
}

static bool names_containers(const struct policies *ps)
{
	for (size_t i = 0; i < ps->n; i++)
		if (ps->list[i].select.container.n || ps->list[i].select.image.n)
			return true;
	return false;
}

struct surroundings *surroundings_look(const struct policies *ps)
{
	struct surroundings *s = calloc(1, sizeof(*s));

	if (s && names_containers(ps))
		ask_engines(s);
	return s;
}

void surroundings_free(struct surroundings *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < s->n; i++)
		running_free(&s->list[i]);
	while (s->listeners) {
		struct listeners *l = s->listeners;

		s->listeners = l->next;
		map_clear(&l->sockets);
		free(l);
	}
	map_clear(&s->known);
	free(s->list);
	free(s);
}

static char *cgroups_of(pid_t pid)
{
	char path[64], *text = NULL;

	snprintf(path, sizeof(path), "/proc/%d/cgroup", (int)pid);
	return io_slurp(path, 1 << 20, &text, NULL) < 0 ? NULL : text;
}

/* An engine puts the container's id into its cgroup's name. */
static const struct running *container_of(const struct surroundings *s, const char *cgroups)
{
	for (size_t i = 0; i < s->n; i++)
		if (strlen(s->list[i].id) >= 12 && strstr(cgroups, s->list[i].id) && !strstr(cgroups, "conmon"))	/* who looks after it */
			return &s->list[i];
	return NULL;
}

static bool container_matches(const struct policy *p, const struct running *c)
{
	const struct policy_select *s = &p->select;

	if (!s->container.n && !s->image.n)
		return true;
	return c && (policy_globs_match(&s->container, c->name) || (s->container.n && policy_globs_match(&s->container, c->id))) &&
	       policy_globs_match(&s->image, c->image);
}

bool select_container(const struct policy *p, pid_t pid, const struct surroundings *s, char dir[4096], char name[256])
{
	_cleanup_free_ char *cgroups = s->n ? cgroups_of(pid) : NULL;
	const struct running *c = cgroups ? container_of(s, cgroups) : NULL;
	struct err ignored = ERR_INIT;
	char *save = NULL;
	size_t longest = 0;

	if (!c || (!p->select.container.n && !p->select.image.n))
		return false;
	snprintf(name, 256, "%s", c->name);
	for (char *line = strtok_r(cgroups, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		char *at = strstr(line, c->id), *path = strchr(line, ':'), found[PATH_MAX];

		path = path ? strchr(path + 1, ':') : NULL;
		if (!at || !path)
			continue;
		at[strcspn(at, "/")] = 0;	/* what the container made below is its own */
		if (strlen(path + 1) > longest && cgroup_dir(path + 1, found, &ignored) == 0) {
			longest = strlen(path + 1);
			snprintf(dir, 4096, "%s", found);
		}
	}
	return longest > 0;
}

/* ---- ports --------------------------------------------------------------------------- */

enum { TCP_LISTENING = 10 };

/* Sockets that listen on one of the ports, of the process's network: inodes into @list. */
static void find_listeners(const struct policy_select *s, pid_t pid, const char *table, struct map *list)
{
	_cleanup_free_ char *text = NULL;
	char path[64], *save = NULL;

	snprintf(path, sizeof(path), "/proc/%d/net/%s", (int)pid, table);
	if (io_slurp(path, 64 << 20, &text, NULL) < 0)
		return;
	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		unsigned int port, state;
		uint64_t inode;

		if (sscanf(line, " %*d: %*[0-9A-Fa-f]:%x %*[0-9A-Fa-f]:%*x %x %*s %*s %*s %*d %*d %" SCNu64, &port, &state, &inode) != 3 ||
		    state != TCP_LISTENING)
			continue;
		for (size_t i = 0; i < s->nports; i++)
			if (s->ports[i] == port)
				map_put(list, inode, 0, list);
	}
}

struct looking {
	const struct listeners *listeners;
	bool found;
};

static void see_fd(void *ctx, pid_t pid, int fd, const struct stat *st, int flags)
{
	struct looking *l = ctx;

	(void)pid, (void)fd, (void)flags;
	l->found |= S_ISSOCK(st->st_mode) && map_get(&l->listeners->sockets, st->st_ino, 0);
}

static struct listeners *listeners_of(struct surroundings *s, const struct policy *p, pid_t pid)
{
	struct listeners *l;
	struct stat st;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/ns/net", (int)pid);
	if (stat(path, &st) < 0)
		return NULL;
	for (l = s->listeners; l; l = l->next)
		if (l->policy == p && l->network == st.st_ino)
			return l;
	l = calloc(1, sizeof(*l));
	if (!l)
		return NULL;
	*l = (struct listeners){ .policy = p, .network = st.st_ino, .next = s->listeners };
	find_listeners(&p->select, pid, "tcp", &l->sockets);
	find_listeners(&p->select, pid, "tcp6", &l->sockets);
	s->listeners = l;
	return l;
}

static bool somebody_is_unknown(const struct surroundings *s, const struct listeners *l)
{
	for (size_t i = 0; i < l->sockets.room; i++)
		if (l->sockets.slots[i].value && !map_get(&s->known, l->sockets.slots[i].a, (uintptr_t)l->policy))
			return true;
	return false;
}

static bool listens(struct surroundings *s, const struct policy *p, pid_t pid)
{
	struct looking l = { .found = !p->select.nports };

	if (l.found)
		return true;
	l.listeners = listeners_of(s, p, pid);
	if (l.listeners && somebody_is_unknown(s, l.listeners))
		proc_each_open(pid, see_fd, &l);
	return l.found;
}

struct knowing {
	struct surroundings *s;
	const struct policy *p;
};

static void see_known(void *ctx, pid_t pid, int fd, const struct stat *st, int flags)
{
	const struct knowing *k = ctx;

	(void)pid, (void)fd, (void)flags;
	if (S_ISSOCK(st->st_mode))
		map_put(&k->s->known, st->st_ino, (uintptr_t)k->p, k->s);
}

void surroundings_known(struct surroundings *s, const struct policy *p, pid_t pid)
{
	if (p->select.nports)
		proc_each_open(pid, see_known, &(struct knowing){ s, p });
}

/* ---- the rest --------------------------------------------------------------------------- */

static bool has_pid(const struct policy_select *s, pid_t pid)
{
	for (size_t i = 0; i < s->npids; i++)
		if (s->pids[i] == (uint32_t)pid)
			return true;
	return !s->npids;
}

static bool has_uid(const struct policy_select *s, pid_t pid)
{
	char path[64];
	struct stat st;

	if (!s->nuids)
		return true;
	snprintf(path, sizeof(path), "/proc/%d", (int)pid);
	if (stat(path, &st) < 0)
		return false;
	for (size_t i = 0; i < s->nuids; i++)
		if (s->uids[i] == st.st_uid)
			return true;
	return false;
}

static bool has_binary(const struct policy_select *s, pid_t pid)
{
	char path[64], exe[PATH_MAX];
	ssize_t n;

	if (!s->binary.n)
		return true;
	snprintf(path, sizeof(path), "/proc/%d/exe", (int)pid);
	n = readlink(path, exe, sizeof(exe) - 1);
	if (n <= 0)
		return false;	/* a thread of the kernel's, or gone */
	exe[n] = 0;
	return policy_binary_matches(s, exe);
}

static bool in_cgroup(const struct policy_select *s, char *cgroups)
{
	char *save = NULL;

	if (!s->cgroup.n)
		return true;
	for (char *line = strtok_r(cgroups, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		char *path = strchr(line, ':');

		path = path ? strchr(path + 1, ':') : NULL;
		if (path && policy_globs_match(&s->cgroup, path + 1))
			return true;
	}
	return false;
}

bool select_matches(const struct policy *p, pid_t pid, struct surroundings *s)
{
	const struct policy_select *sel = &p->select;
	bool wants_cgroup = sel->cgroup.n || sel->container.n || sel->image.n;

	if (!has_pid(sel, pid) || !has_uid(sel, pid) || !has_binary(sel, pid))
		return false;
	_cleanup_free_ char *cgroups = wants_cgroup ? cgroups_of(pid) : NULL;
	if (wants_cgroup && (!cgroups || !container_matches(p, container_of(s, cgroups)) || !in_cgroup(sel, cgroups)))
		return false;
	return listens(s, p, pid);
}
