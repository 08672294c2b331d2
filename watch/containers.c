/* SPDX-License-Identifier: Apache-2.0 */
#include "watch/containers.h"

#include "format/cleanup.h"
#include "recorder/proc.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
	ID_LEN = 64,		/* hexadecimal digits */
	MOST = 1024,		/* that are remembered */
	TRIES = 20,		/* of one that nobody knows, or that does not begin: what it runs may be gone from its own files */
};

struct one {
	char id[ID_LEN + 1];
	unsigned int tries;
	bool known;
	struct found_container found;
};

struct containers {
	struct one *list;
	size_t n;
};

struct containers *containers_new(void)
{
	return calloc(1, sizeof(struct containers));
}

void containers_free(struct containers *cs)
{
	if (!cs)
		return;
	free(cs->list);
	free(cs);
}

/* The first id among the names of its cgroups; who looks after a container is not in it. */
static bool id_of(pid_t pid, char id[ID_LEN + 1])
{
	_cleanup_free_ char *cgroups = proc_cgroups(pid);

	if (!cgroups || strstr(cgroups, "conmon"))
		return false;
	for (const char *at = cgroups; *at; at += strspn(at, "0123456789abcdef") + 1) {
		size_t n = strspn(at, "0123456789abcdef");

		if (n == ID_LEN) {
			memcpy(id, at, ID_LEN);
			id[ID_LEN] = 0;
			return true;
		}
		if (!at[n])
			break;
	}
	return false;
}

static struct one *one_of(struct containers *cs, const char *id)
{
	struct one *more;

	for (size_t i = 0; i < cs->n; i++)
		if (strcmp(cs->list[i].id, id) == 0)
			return &cs->list[i];
	if (cs->n == MOST)		/* most of them are gone */
		memmove(cs->list, cs->list + 1, --cs->n * sizeof(*cs->list));
	more = reallocarray(cs->list, cs->n + 1, sizeof(*more));
	if (!more)
		return NULL;
	cs->list = more;
	more[cs->n] = (struct one){ 0 };
	memcpy(more[cs->n].id, id, ID_LEN + 1);
	return &more[cs->n++];
}

/* Its runtime gets it ready in the program of its own, which the container's files don't have. */
static bool has_begun(pid_t pid)
{
	char link[64], exe[PATH_MAX], inside[PATH_MAX + 64];
	struct stat runs, there;
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/%d/exe", (int)pid);
	n = readlink(link, exe, sizeof(exe) - 1);
	if (n <= 0 || stat(link, &runs) < 0)
		return false;
	exe[n] = 0;
	snprintf(inside, sizeof(inside), "/proc/%d/root%s", (int)pid, exe);
	return stat(inside, &there) == 0 && there.st_dev == runs.st_dev && there.st_ino == runs.st_ino;
}

static bool is_in(pid_t pid, const char *id)
{
	char its[ID_LEN + 1];

	return id_of(pid, its) && strcmp(its, id) == 0;
}

const struct found_container *containers_of(struct containers *cs, pid_t pid)
{
	struct err ignored = ERR_INIT;
	char id[ID_LEN + 1];
	struct one *one;

	if (!id_of(pid, id) || !(one = one_of(cs, id)))
		return NULL;
	if (one->known && is_in(one->found.pid, id))
		return &one->found;
	if (one->known) {	/* it was started again */
		one->known = false;
		one->tries = 0;
	}
	if (one->tries > TRIES || (!has_begun(pid) && one->tries++ < TRIES))
		return NULL;
	one->known = container_find(&one->found, id, &ignored) == 0;
	one->tries += !one->known;
	memcpy(one->found.id, id, sizeof(one->found.id));
	return one->known ? &one->found : NULL;
}
