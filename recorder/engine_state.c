/* SPDX-License-Identifier: Apache-2.0 */
#include "recorder/engine_state.h"

#include "format/cleanup.h"
#include "format/io.h"

#include <dirent.h>
#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DOCKER "/var/lib/docker/containers"
#define CONTAINERD "/run/containerd/io.containerd.runtime.v2.task"
#define PODMAN "podman"
enum { MAX_STATE = 16 << 20, MIN_DIGITS = 4 };

static void cleanup_json(struct json_object **o) { json_object_put(*o); }
#define _cleanup_json_ _cleanup_(cleanup_json)

/* ---- cgroups ----------------------------------------------------------------------- */

static bool is_id(const char *s)
{
	return strlen(s) == CONTAINER_ID && strspn(s, "0123456789abcdef") == CONTAINER_ID;
}

/* By what stands before the id; their monitors' have more words. */
static const char *engine_of_prefix(const char *prefix, size_t len)
{
	static const struct { const char *prefix, *engine; } known[] = {
		{ "docker", "docker" }, { "libpod", PODMAN }, { "cri-containerd", "containerd" }, { "nerdctl", "containerd" }, { "crio", "cri-o" },
	};

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (strlen(known[i].prefix) == len && strncmp(known[i].prefix, prefix, len) == 0)
			return known[i].engine;
	return NULL;
}

/* By the directories above, where the id stands alone. */
static const char *engine_of_parents(const char *path, size_t len)
{
	if (memmem(path, len, "/docker", 7))
		return "docker";
	return memmem(path, len, "kubepods", 8) ? "containerd" : memmem(path, len, "libpod", 6) ? PODMAN : NULL;
}

/* @word, a component of a path that begins at @path: "ID", "docker-ID.scope", "...pod1.slice:cri-containerd:ID". */
static const char *engine_of_word(const char *path, const char *word, size_t len, char id[CONTAINER_ID + 1])
{
	const char *end = word + len, *at, *prefix;

	if (len > 6 && strncmp(end - 6, ".scope", 6) == 0)
		end -= 6;
	if (end - word < CONTAINER_ID)
		return NULL;
	at = end - CONTAINER_ID;
	snprintf(id, CONTAINER_ID + 1, "%.*s", CONTAINER_ID, at);
	if (!is_id(id))
		return NULL;
	if (at == word)
		return engine_of_parents(path, (size_t)(word - path));
	if (*--at != '-' && *at != ':')
		return NULL;
	for (prefix = at; prefix > word && prefix[-1] != ':'; prefix--)
		;
	return engine_of_prefix(prefix, (size_t)(at - prefix));
}

const char *engine_of_cgroup(const char *path, char id[CONTAINER_ID + 1])
{
	const char *found = NULL, *engine;
	char one[CONTAINER_ID + 1];

	/* The last one: containers may be made inside of others. */
	for (const char *word = path; *word; word += strcspn(word, "/")) {
		word += *word == '/';
		engine = engine_of_word(path, word, strcspn(word, "/"), one);
		if (engine) {
			found = engine;
			memcpy(id, one, sizeof(one));
		}
	}
	return found;
}

/* ---- files ------------------------------------------------------------------------- */

static struct json_object *member(struct json_object *o, const char *key)
{
	struct json_object *v = NULL;

	return json_object_is_type(o, json_type_object) && json_object_object_get_ex(o, key, &v) ? v : NULL;
}

static const char *text_of(struct json_object *o, const char *key)
{
	struct json_object *v = member(o, key);

	return json_object_is_type(v, json_type_string) ? json_object_get_string(v) : "";
}

static struct json_object *read_json(const char *dir, const char *name)
{
	_cleanup_free_ char *text = NULL;
	char path[PATH_MAX];

	if ((size_t)snprintf(path, sizeof(path), "%s/%s", dir, name) >= sizeof(path) || io_slurp(path, MAX_STATE, &text, NULL) < 0)
		return NULL;
	return json_tokener_parse(text);
}

/* Is @id meant by @name? */
static bool is_digits_of(const char *id, const char *name)
{
	size_t n = strlen(name);

	return n >= MIN_DIGITS && n <= CONTAINER_ID && is_id(id) && strncmp(id, name, n) == 0;
}

struct search {
	const char *name;
	struct found_container *ret;
	size_t found;
};

static void take(struct search *s, const char *engine, int64_t pid)
{
	if (pid <= 0 || pid > INT_MAX)
		return;
	*s->ret = (struct found_container){ .engine = engine, .pid = (pid_t)pid };
	s->found++;
}

static void look_at_docker(struct search *s, const char *dir, const char *id)
{
	_cleanup_json_ struct json_object *o = read_json(dir, "config.v2.json");
	struct json_object *state = member(o, "State");
	const char *name = text_of(o, "Name"), *image = text_of(o, "Image"), *called = text_of(member(o, "Config"), "Image");

	if ((strcmp(name + (name[0] == '/'), s->name) != 0 && !is_digits_of(id, s->name)) || !json_object_get_boolean(member(state, "Running")))
		return;
	take(s, "docker", json_object_get_int64(member(state, "Pid")));
	if (image[0])
		snprintf(s->ret->image, sizeof(s->ret->image), "docker-daemon:%s", image);
	if (called[0])
		snprintf(s->ret->called, sizeof(s->ret->called), "docker-daemon:%s", called);
}

static bool is_called(struct json_object *annotations, const char *name)
{
	const char *container = text_of(annotations, "io.kubernetes.cri.container-name"), *pod = text_of(annotations, "io.kubernetes.cri.sandbox-name");
	char both[1024];

	if (strcmp(text_of(annotations, "io.kubernetes.cri.container-type"), "sandbox") == 0)
		return false;	/* it only holds the namespaces */
	snprintf(both, sizeof(both), "%s/%s", pod, container);
	return (container[0] && (strcmp(container, name) == 0 || strcmp(both, name) == 0)) || strcmp(text_of(annotations, "nerdctl/name"), name) == 0;
}

static void look_at_bundle(struct search *s, const char *dir, const char *id)
{
	_cleanup_json_ struct json_object *o = read_json(dir, "config.json");
	_cleanup_free_ char *pid = NULL;
	char path[PATH_MAX];

	if (!o || (!is_called(member(o, "annotations"), s->name) && !is_digits_of(id, s->name)) ||
	    (size_t)snprintf(path, sizeof(path), "%s/init.pid", dir) >= sizeof(path) || io_slurp(path, 64, &pid, NULL) < 0)
		return;
	take(s, "containerd", strtol(pid, NULL, 10));
}

/* @look at each directory in @dir. */
static void each_dir(struct search *s, const char *dir, void (*look)(struct search *s, const char *dir, const char *name))
{
	char path[PATH_MAX];
	struct dirent *d;

	_cleanup_dir_ DIR *names = opendir(dir);
	while (names && (d = readdir(names)))
		if (d->d_name[0] != '.' && (size_t)snprintf(path, sizeof(path), "%s/%s", dir, d->d_name) < sizeof(path))
			look(s, path, d->d_name);
}

/* Of "k8s.io", "moby" (docker's own, which are known already), "default". */
static void look_at_namespace(struct search *s, const char *dir, const char *name)
{
	if (strcmp(name, "moby") != 0)
		each_dir(s, dir, look_at_bundle);
}

int engine_state_find(struct found_container *ret, const char *root, const char *name, struct err *err)
{
	struct found_container found;
	struct search s = { .name = name, .ret = &found };
	char dir[PATH_MAX];

	if ((size_t)snprintf(dir, sizeof(dir), "%s%s", root, DOCKER) < sizeof(dir))
		each_dir(&s, dir, look_at_docker);
	if ((size_t)snprintf(dir, sizeof(dir), "%s%s", root, CONTAINERD) < sizeof(dir))
		each_dir(&s, dir, look_at_namespace);
	if (s.found > 1)
		return err_set(err, ENOTUNIQ, "several running containers are called so: give its id, or POD/CONTAINER");
	if (!s.found)
		return err_set(err, ENOENT, "no engine's files tell of it");
	*ret = found;
	return 0;
}
