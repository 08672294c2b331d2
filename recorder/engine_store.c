/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The store is not asked through its engine: while that starts the container it
 * holds locks that it would have to take to answer.
 */
#include "recorder/engine_store.h"

#include "format/cleanup.h"
#include "format/io.h"

#include <errno.h>
#include <json-c/json.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum { MAX_LIST = 64 << 20 };

static void cleanup_json(struct json_object **o) { json_object_put(*o); }
#define _cleanup_json_ _cleanup_(cleanup_json)

static const char *text_of(struct json_object *o, const char *key)
{
	struct json_object *v = NULL;

	if (!json_object_is_type(o, json_type_object) || !json_object_object_get_ex(o, key, &v) || !json_object_is_type(v, json_type_string))
		return "";
	return json_object_get_string(v);
}

static struct json_object *read_json(const char *path)
{
	_cleanup_free_ char *text = NULL;

	return io_slurp(path, MAX_LIST, &text, NULL) < 0 ? NULL : json_tokener_parse(text);
}

/* "GRAPH/DRIVER-containers/ID/userdata", taken apart. */
struct place {
	char graph[PATH_MAX], driver[64], run[PATH_MAX];
};

static bool take_apart(const char *bundle, const char *id, struct place *p)
{
	static const char behind[] = "-containers/";
	char tail[PATH_MAX];
	const char *end, *name;

	if ((size_t)snprintf(tail, sizeof(tail), "%s%s/userdata", behind, id) >= sizeof(tail) || strlen(bundle) < strlen(tail))
		return false;
	end = bundle + strlen(bundle) - strlen(tail);
	if (strcmp(end, tail) != 0)
		return false;
	for (name = end; name > bundle && name[-1] != '/'; name--)
		;
	if (name == bundle || (size_t)(end - name) >= sizeof(p->driver) || (size_t)(name - bundle) >= sizeof(p->graph))
		return false;
	snprintf(p->driver, sizeof(p->driver), "%.*s", (int)(end - name), name);
	snprintf(p->graph, sizeof(p->graph), "%.*s", (int)(name - bundle) - 1, bundle);
	return true;
}

/* Where the store keeps what is gone with the next boot: files of it are mounted into each container. */
static void find_run(struct place *p, const char *bundle, const char *id)
{
	char path[PATH_MAX], part[PATH_MAX];
	struct json_object *mounts = NULL;

	p->run[0] = 0;
	if ((size_t)snprintf(path, sizeof(path), "%s/config.json", bundle) >= sizeof(path) ||
	    (size_t)snprintf(part, sizeof(part), "/%s-containers/%s/userdata/", p->driver, id) >= sizeof(part))
		return;
	_cleanup_json_ struct json_object *o = read_json(path);
	if (!o || !json_object_object_get_ex(o, "mounts", &mounts) || !json_object_is_type(mounts, json_type_array))
		return;
	for (size_t i = 0; i < json_object_array_length(mounts); i++) {
		const char *source = text_of(json_object_array_get_idx(mounts, i), "source"), *at = strstr(source, part);

		if (at && (size_t)(at - source) < sizeof(p->run) && strncmp(source, p->graph, strlen(p->graph)) != 0) {
			snprintf(p->run, sizeof(p->run), "%.*s", (int)(at - source), source);
			return;
		}
	}
}

/* The entry of @id in a list of containers; the caller does not own it. */
static struct json_object *find_container(struct json_object *list, const char *id)
{
	for (size_t i = 0; json_object_is_type(list, json_type_array) && i < json_object_array_length(list); i++)
		if (strcmp(text_of(json_object_array_get_idx(list, i), "id"), id) == 0)
			return json_object_array_get_idx(list, i);
	return NULL;
}

static bool take_entry(struct store_image *ret, const struct place *p, struct json_object *entry)
{
	const char *image = text_of(entry, "image"), *name;

	if (!image[0] || strspn(image, "0123456789abcdef") != strlen(image))
		return false;
	_cleanup_json_ struct json_object *more = json_tokener_parse(text_of(entry, "metadata"));
	name = text_of(more, "image-name");
	ret->called[0] = 0;
	if (name[0])
		snprintf(ret->called, sizeof(ret->called), "containers-storage:%.1000s", name);
	snprintf(ret->reference, sizeof(ret->reference), "containers-storage:[%s@%s%s%s]@%s", p->driver, p->graph, p->run[0] ? "+" : "", p->run, image);
	return true;
}

int store_image_of(struct store_image *ret, const char *bundle, const char *id, struct err *err)
{
	/* Of those that go with the next boot the newer stores keep a list of its own. */
	static const char *const lists[] = { "containers.json", "volatile-containers.json" };
	struct place p;

	if (!take_apart(bundle, id, &p))
		return err_set(err, ENOENT, "'%s' is not in a store of podman or CRI-O", bundle);
	find_run(&p, bundle, id);
	for (size_t i = 0; i < 4; i++) {
		const char *base = i < 2 ? p.graph : p.run;
		char path[PATH_MAX + 128];
		struct json_object *entry;

		snprintf(path, sizeof(path), "%s/%s-containers/%s", base, p.driver, lists[i % 2]);
		_cleanup_json_ struct json_object *list = base[0] ? read_json(path) : NULL;
		entry = list ? find_container(list, id) : NULL;
		if (entry && take_entry(ret, &p, entry))
			return 0;
	}
	return err_set(err, ENOENT, "'%s' lists no image of container %s", p.graph, id);
}
