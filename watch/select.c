/* SPDX-License-Identifier: Apache-2.0 */
#include <linux/types.h>

#include "watch/select.h"

#include "format/cleanup.h"
#include "format/io.h"
#include "recorder/map.h"
#include "recorder/proc.h"
#include "watch/containers.h"

#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Sockets that listen on a policy's ports in one network: reading them takes as long as all the rest. */
struct listeners {
	const struct policy *policy;
	ino_t network;
	struct map sockets;	/* by inode */
	struct listeners *next;
};

struct surroundings {
	struct containers *containers;
	struct listeners *listeners;
	struct map known;	/* (inode, policy): of processes that are watched */
};

struct surroundings *surroundings_look(struct containers *containers)
{
	struct surroundings *s = calloc(1, sizeof(*s));

	if (s)
		s->containers = containers;
	return s;
}

void surroundings_free(struct surroundings *s)
{
	if (!s)
		return;
	while (s->listeners) {
		struct listeners *l = s->listeners;

		s->listeners = l->next;
		map_clear(&l->sockets);
		free(l);
	}
	map_clear(&s->known);
	free(s);
}

/* ---- containers ------------------------------------------------------------------- */

static bool container_matches(const struct policy *p, const struct found_container *c)
{
	const struct policy_select *s = &p->select;
	const char *image = c && strchr(c->called, ':') ? strchr(c->called, ':') + 1 : "";

	if (!policy_names_containers(p))
		return true;
	return c && (policy_globs_match(&s->container, c->name) || (s->container.n && policy_globs_match(&s->container, c->id))) &&
	       policy_globs_match(&s->image, image);
}

const struct found_container *select_container(const struct policy *p, pid_t pid, struct surroundings *s)
{
	return policy_names_containers(p) ? containers_of(s->containers, pid) : NULL;
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

static bool in_cgroup(const struct policy_select *s, pid_t pid)
{
	_cleanup_free_ char *cgroups = s->cgroup.n ? proc_cgroups(pid) : NULL;
	char *save = NULL;

	if (!cgroups)
		return !s->cgroup.n;
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

	if (!has_pid(sel, pid) || !has_uid(sel, pid) || !has_binary(sel, pid))
		return false;
	if (!in_cgroup(sel, pid) || !container_matches(p, select_container(p, pid, s)))
		return false;
	return listens(s, p, pid);
}
