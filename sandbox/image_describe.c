/* SPDX-License-Identifier: Apache-2.0 */
/* What an image is, as its manifest and its config say. */
#include "sandbox/image_internal.h"

#include "format/cleanup.h"
#include "format/io.h"
#include "format/sha256.h"
#include "sandbox/tool.h"

#include <errno.h>
#include <json-c/json.h>
#include <limits.h>
#include <string.h>

enum { MAX_WORDS = 4096, MAX_DEPTH = 32, MAX_INDEX = 4 << 20 };

void image_free(struct image *i)
{
	if (!i)
		return;
	char **const lists[] = { i->layers, i->entrypoint, i->command, i->env };

	for (size_t n = 0; n < sizeof(lists) / sizeof(lists[0]); n++) {
		for (char **s = lists[n]; s && *s; s++)
			free(*s);
		free(lists[n]);
	}
	free(i->reference);
	free(i->user);
	free(i->workdir);
	free(i->text);
	free(i->dir);
	free(i->root);
	cleanup_fd(&i->lock);
	free(i);
}

bool image_is_digest(const char *s)
{
	return strncmp(s, "sha256:", 7) == 0 && strspn(s + 7, "0123456789abcdef") == 64 && !s[71];
}

bool image_is_reference(const char *ref)
{
	static const char *const kinds[] = { "oci:", "docker-archive:", "oci-archive:", "containers-storage:", "docker://" };

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (strncmp(ref, kinds[i], strlen(kinds[i])) == 0 && ref[strlen(kinds[i])])
			return true;
	return image_is_digest(ref);
}

void image_digest(const void *data, size_t len, char out[IMAGE_DIGEST])
{
	uint8_t hash[SHA256_LEN];

	sha256_of(data, len, hash);
	memcpy(out, "sha256:", 7);
	sha256_hex(hash, out + 7);
}

bool image_same_layers(char *const *a, char *const *b)
{
	if (!a || !b || !*a)
		return false;
	while (*a && *b && strcmp(*a, *b) == 0)
		a++, b++;
	return !*a && !*b;
}

/* ---- JSON: untrusted, like all that an image says ---------------------------- */

static void cleanup_json(struct json_object **o) { json_object_put(*o); }
#define _cleanup_json_ _cleanup_(cleanup_json)

static struct json_object *parse(const char *text, size_t len)
{
	struct json_tokener *t = json_tokener_new_ex(MAX_DEPTH);
	struct json_object *o = t && len < INT32_MAX ? json_tokener_parse_ex(t, text, (int)len) : NULL;

	if (t && json_tokener_get_error(t) != json_tokener_success) {
		json_object_put(o);
		o = NULL;
	}
	if (t)
		json_tokener_free(t);
	return o;
}

/* The member @key of @o if it is of @type; NULL. */
static struct json_object *member(struct json_object *o, const char *key, enum json_type type)
{
	struct json_object *v = NULL;

	if (!json_object_is_type(o, json_type_object) || !json_object_object_get_ex(o, key, &v) || !json_object_is_type(v, type))
		return NULL;
	return v;
}

/* One without a NUL inside. */
static char *take_string(struct json_object *v)
{
	const char *s = v ? json_object_get_string(v) : "";

	return v && strlen(s) != (size_t)json_object_get_string_len(v) ? NULL : strdup(s);
}

static char **take_words(struct json_object *list)
{
	size_t n = list ? json_object_array_length(list) : 0;
	char **words = n > MAX_WORDS ? NULL : calloc(n + 1, sizeof(*words));

	for (size_t i = 0; words && i < n; i++) {
		struct json_object *v = json_object_array_get_idx(list, i);

		words[i] = json_object_is_type(v, json_type_string) ? take_string(v) : NULL;
		if (!words[i]) {
			while (i > 0)
				free(words[--i]);
			free(words);
			return NULL;
		}
	}
	return words;
}

int image_from_config(struct image **ret, const char *text, size_t len, struct err *err)
{
	_cleanup_json_ struct json_object *o = parse(text, len);
	struct json_object *c = member(o, "config", json_type_object), *rootfs = member(o, "rootfs", json_type_object);
	struct json_object *arch = member(o, "architecture", json_type_string), *os = member(o, "os", json_type_string);

	if (!rootfs || !member(rootfs, "diff_ids", json_type_array))
		return err_set(err, EBADMSG, "the image's config is not one (image-spec: rootfs.diff_ids)");
	if ((arch && strcmp(json_object_get_string(arch), "amd64") != 0) || (os && strcmp(json_object_get_string(os), "linux") != 0))
		return err_set(err, EBADMSG, "the image is for %.40s/%.40s, not for linux/amd64", os ? json_object_get_string(os) : "linux",
			       arch ? json_object_get_string(arch) : "amd64");
	_cleanup_image_ struct image *i = calloc(1, sizeof(*i));
	if (!i)
		return err_set(err, ENOMEM, "out of memory");
	i->lock = -1;
	i->layers = take_words(member(rootfs, "diff_ids", json_type_array));
	i->entrypoint = take_words(member(c, "Entrypoint", json_type_array));
	i->command = take_words(member(c, "Cmd", json_type_array));
	i->env = take_words(member(c, "Env", json_type_array));
	i->user = take_string(member(c, "User", json_type_string));
	i->workdir = take_string(member(c, "WorkingDir", json_type_string));
	i->text = malloc(len + 1);
	if (!i->layers || !i->entrypoint || !i->command || !i->env || !i->user || !i->workdir || !i->text)
		return err_set(err, EBADMSG, "the image's config is not one, or too large");
	memcpy(i->text, text, len);
	i->text[len] = 0;
	i->len = len;
	for (char **l = i->layers; *l; l++)
		if (!image_is_digest(*l))
			return err_set(err, EBADMSG, "the image's config has a layer that is named by no SHA-256");
	image_digest(text, len, i->config);
	*ret = TAKE_PTR(i);
	return 0;
}

/* ---- the manifest ---------------------------------------------------------------- */

/* Of an index, the entry for this architecture; NULL: none, or its digest is none. */
static const char *chosen(struct json_object *list)
{
	for (size_t i = 0; i < json_object_array_length(list); i++) {
		struct json_object *m = json_object_array_get_idx(list, i), *p = member(m, "platform", json_type_object);
		struct json_object *arch = member(p, "architecture", json_type_string), *os = member(p, "os", json_type_string);
		struct json_object *digest = member(m, "digest", json_type_string);

		if (arch && os && digest && strcmp(json_object_get_string(arch), "amd64") == 0 &&
		    strcmp(json_object_get_string(os), "linux") == 0)
			return image_is_digest(json_object_get_string(digest)) ? json_object_get_string(digest) : NULL;
	}
	return NULL;
}

int image_take_manifest(struct image *i, const char *text, size_t len, struct err *err)
{
	_cleanup_json_ struct json_object *o = parse(text, len);
	struct json_object *list = member(o, "manifests", json_type_array), *config = member(o, "config", json_type_object);
	struct json_object *digest = member(config, "digest", json_type_string);

	if (list) {
		const char *one = chosen(list);

		if (!one)
			return err_set(err, ENOENT, "there is none for linux/amd64 among its manifests");
		snprintf(i->manifest, sizeof(i->manifest), "%s", one);
		return 0;
	}
	if (!digest)
		return err_set(err, EBADMSG, "its manifest names no config");
	if (strcmp(json_object_get_string(digest), i->config) != 0)
		return err_set(err, EBADMSG, "its config is not the one that its manifest names: %s, not %.80s", i->config,
			       json_object_get_string(digest));
	image_digest(text, len, i->manifest);
	return 0;
}

static int inspect(const char *ref, bool config, char **text, size_t *len, struct err *err)
{
	char *const argv[] = { "skopeo", "inspect", "--raw", (char *)ref, config ? "--config" : NULL, NULL };

	return tool_run(argv, text, len, err);
}

int image_describe(struct image **ret, const char *ref, struct err *err)
{
	_cleanup_free_ char *manifest = NULL, *config = NULL;
	_cleanup_image_ struct image *i = NULL;
	size_t mlen, clen;

	if (inspect(ref, false, &manifest, &mlen, err) < 0 || inspect(ref, true, &config, &clen, err) < 0) {
		if (err->code == EIO)
			err->code = ENOENT;
		return err_in(err, "image '%s'", ref);
	}
	if (image_from_config(&i, config, clen, err) < 0 || image_take_manifest(i, manifest, mlen, err) < 0)
		return err_in(err, "image '%s'", ref);
	i->reference = strdup(ref);
	if (!i->reference)
		return err_set(err, ENOMEM, "out of memory");
	*ret = TAKE_PTR(i);
	return 0;
}

int layout_tags(const char *dir, char ***ret)
{
	_cleanup_free_ char *text = NULL;
	char path[PATH_MAX];
	size_t len, n = 0;

	if (snprintf(path, sizeof(path), "%s/index.json", dir) >= (int)sizeof(path) || io_slurp(path, MAX_INDEX, &text, &len) < 0)
		return -ENOENT;
	_cleanup_json_ struct json_object *o = parse(text, len);
	struct json_object *list = member(o, "manifests", json_type_array);
	size_t count = list ? json_object_array_length(list) : 0;
	char **tags = count > MAX_WORDS ? NULL : calloc(count + 1, sizeof(*tags));

	for (size_t i = 0; tags && i < count; i++) {
		struct json_object *a = member(json_object_array_get_idx(list, i), "annotations", json_type_object);

		tags[n] = take_string(member(a, "org.opencontainers.image.ref.name", json_type_string));
		n += tags[n] != NULL;
	}
	*ret = tags;
	return tags ? 0 : -ENOMEM;
}
