/* SPDX-License-Identifier: Apache-2.0 */
/* The cache of unpacked images; image.h has its form. */
#include "sandbox/image_internal.h"

#include "format/cleanup.h"
#include "format/io.h"
#include "sandbox/tool.h"

#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <limits.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

enum { MAX_CONFIG = 16 << 20, HEX = 64 };

static int join(char out[PATH_MAX], const char *dir, const char *name, struct err *err)
{
	int n = snprintf(out, PATH_MAX, "%s/%s", dir, name);

	return n < 0 || n >= PATH_MAX ? err_set(err, ENAMETOOLONG, "'%.200s/%.80s' is too long", dir, name) : 0;
}

static int make_dirs(const char *path, struct err *err)
{
	char part[PATH_MAX + 1];

	snprintf(part, sizeof(part), "%s/", path);
	for (char *slash = strchr(part + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = 0;
		if (mkdir(part, 0755) < 0 && errno != EEXIST)
			return err_sys(err, errno, "making '%s'", part);
		*slash = '/';
	}
	return 0;
}

/* ---- where it is ------------------------------------------------------------- */

static int cache_dir(char path[PATH_MAX], struct err *err)
{
	const char *base = getenv("XDG_CACHE_HOME"), *home = getenv("HOME"), *rest = "capsule/images";

	if (base && base[0] == '/')
		return join(path, base, rest, err);
	if (geteuid() == 0)
		return join(path, "/var/cache", rest, err);
	if (home && home[0] == '/')
		return join(path, home, ".cache/capsule/images", err);
	return err_set(err, ENOENT, "no place for unpacked images: neither XDG_CACHE_HOME nor HOME is set");
}

static int entry_path(char path[PATH_MAX], const char *before, const char *digest, const char *behind, struct err *err)
{
	char name[HEX + 16], dir[PATH_MAX];

	snprintf(name, sizeof(name), "%s%.*s%s", before, HEX, digest + 7, behind);
	if (cache_dir(dir, err) < 0)
		return -err->code;
	return join(path, dir, name, err);
}

/* The lock of @digest; -EBUSY with LOCK_NB. Who removes an entry removes its lock, too: then this was no lock. */
static int lock_entry(const char *digest, int how, struct err *err)
{
	char path[PATH_MAX];
	struct stat ours, there;

	if (entry_path(path, "", digest, ".lock", err) < 0)
		return -err->code;
	for (;;) {
		_cleanup_fd_ int fd = open(path, O_RDONLY | O_CREAT | O_CLOEXEC, 0644);
		if (fd < 0)
			return err_sys(err, errno, "opening '%s'", path);
		while (flock(fd, how) < 0) {
			if (errno == EWOULDBLOCK)
				return err_set(err, EBUSY, "%s is in use", digest);
			if (errno != EINTR)
				return err_sys(err, errno, "locking '%s'", path);
		}
		if (fstat(fd, &ours) == 0 && stat(path, &there) == 0 && ours.st_ino == there.st_ino)
			return TAKE_FD(fd);
	}
}

/* ---- an entry's description ----------------------------------------------------- */

static int write_file(const char *dir, const char *name, const char *text, size_t len, struct err *err)
{
	char path[PATH_MAX];
	int e;

	if (join(path, dir, name, err) < 0)
		return -err->code;
	_cleanup_fd_ int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	if (fd < 0)
		return err_sys(err, errno, "making '%s'", path);
	e = io_write(fd, text, len);
	return e < 0 ? err_sys(err, -e, "writing '%s'", path) : 0;
}

static int describe_entry(const struct image *i, const char *dir, struct err *err)
{
	struct json_object *o = json_object_new_object();
	const char *text;
	int e = -ENOMEM;

	if (!o)
		return err_set(err, ENOMEM, "out of memory");
	json_object_object_add(o, "reference", json_object_new_string(i->reference));
	json_object_object_add(o, "manifest", json_object_new_string(i->manifest));
	json_object_object_add(o, "tree", json_object_new_string(i->tree));
	json_object_object_add(o, "bytes", json_object_new_int64((int64_t)i->bytes));
	json_object_object_add(o, "files", json_object_new_int64((int64_t)i->files));
	text = json_object_to_json_string(o);
	if (text)
		e = write_file(dir, "image.json", text, strlen(text), err);
	json_object_put(o);
	if (e == -ENOMEM)
		return err_set(err, ENOMEM, "out of memory");
	return e < 0 ? e : write_file(dir, "config.json", i->text, i->len, err);
}

static const char *text_of(struct json_object *o, const char *key)
{
	struct json_object *v = NULL;

	return json_object_object_get_ex(o, key, &v) && json_object_is_type(v, json_type_string) ? json_object_get_string(v) : "";
}

static uint64_t number_of(struct json_object *o, const char *key)
{
	struct json_object *v = NULL;

	return json_object_object_get_ex(o, key, &v) && json_object_is_type(v, json_type_int) ? (uint64_t)json_object_get_int64(v) : 0;
}

/* What describe_entry() wrote of it. */
static int read_description(struct image *i, struct err *err)
{
	_cleanup_free_ char *text = NULL;
	char path[PATH_MAX];
	struct json_object *o;
	int e;

	if (join(path, i->dir, "image.json", err) < 0)
		return -err->code;
	e = io_slurp(path, MAX_CONFIG, &text, NULL);
	o = e < 0 ? NULL : json_tokener_parse(text);
	if (!json_object_is_type(o, json_type_object) || !image_is_digest(text_of(o, "manifest")) || !image_is_digest(text_of(o, "tree"))) {
		json_object_put(o);
		return err_set(err, EBADMSG, "'%s' is damaged; mend: capsule images rm %s", path, i->config);
	}
	i->reference = strdup(text_of(o, "reference"));
	snprintf(i->manifest, sizeof(i->manifest), "%s", text_of(o, "manifest"));
	snprintf(i->tree, sizeof(i->tree), "%s", text_of(o, "tree"));
	i->bytes = number_of(o, "bytes");
	i->files = number_of(o, "files");
	json_object_put(o);
	return i->reference ? 0 : err_set(err, ENOMEM, "out of memory");
}

static int place(struct image *i, const char *dir, struct err *err)
{
	i->dir = strdup(dir);
	if (!i->dir || asprintf(&i->root, "%s/rootfs", dir) < 0) {
		i->root = NULL;
		return err_set(err, ENOMEM, "out of memory");
	}
	return 0;
}

/* ENOENT: there is none. Its lock is the caller's business. */
static int load_entry(struct image **ret, const char *digest, struct err *err)
{
	_cleanup_free_ char *text = NULL;
	_cleanup_image_ struct image *i = NULL;
	char dir[PATH_MAX], path[PATH_MAX];
	size_t len;
	int e;

	if (entry_path(dir, "", digest, "", err) < 0 || join(path, dir, "config.json", err) < 0)
		return -err->code;
	e = io_slurp(path, MAX_CONFIG, &text, &len);
	if (e < 0)
		return err_sys(err, -e, "reading '%s'", path);
	if (image_from_config(&i, text, len, err) < 0)
		return err_in(err, "%s", path);
	if (strcmp(i->config, digest) != 0)
		return err_set(err, EBADMSG, "'%s' is damaged; mend: capsule images rm %s", path, digest);
	if (place(i, dir, err) < 0 || read_description(i, err) < 0)
		return -err->code;
	*ret = TAKE_PTR(i);
	return 0;
}

static int load_locked(struct image **ret, const char *digest, int lock, struct err *err)
{
	if (load_entry(ret, digest, err) < 0)
		return -err->code;
	(void)futimens(lock, NULL);
	(*ret)->lock = lock;
	return 0;
}

static int take_entry(struct image **ret, const char *digest, struct err *err)
{
	char dir[PATH_MAX];
	struct stat st;

	if (entry_path(dir, "", digest, "", err) < 0)
		return -err->code;
	if (stat(dir, &st) < 0)		/* nothing is made for what is not there */
		return err_sys(err, errno, "image %s", digest);
	_cleanup_fd_ int lock = lock_entry(digest, LOCK_SH, err);
	if (lock < 0 || load_locked(ret, digest, lock, err) < 0)
		return -err->code;
	(void)TAKE_FD(lock);
	return 0;
}

/* ---- unpacking ---------------------------------------------------------------------- */

/* The user's word on whose images may be used is followed where there is one. */
static bool has_policy(void)
{
	const char *home = getenv("HOME");
	char path[PATH_MAX];

	if (access("/etc/containers/policy.json", R_OK) == 0)
		return true;
	snprintf(path, sizeof(path), "%s/.config/containers/policy.json", home ? home : "");
	return home && access(path, R_OK) == 0;
}

/* As an OCI layout, which is what umoci unpacks. */
static int fetch(const struct image *i, const char *layout, struct err *err)
{
	_cleanup_free_ char *to = NULL;
	_cleanup_image_ struct image *got = NULL;

	if (asprintf(&to, "oci:%s:image", layout) < 0) {
		to = NULL;
		return err_set(err, ENOMEM, "out of memory");
	}
	char *const argv[] = { "skopeo", "copy", "-q", i->reference, to, has_policy() ? NULL : "--insecure-policy", NULL };
	if (tool_run(argv, NULL, NULL, err) < 0 || image_describe(&got, to, err) < 0)
		return -err->code;
	if (!image_same_layers(got->layers, i->layers))
		return err_set(err, ESTALE, "it became another image while it was copied");
	return 0;
}

static int unpack(const char *layout, const char *root, struct err *err)
{
	_cleanup_free_ char *image = NULL;

	if (asprintf(&image, "%s:image", layout) < 0) {
		image = NULL;
		return err_set(err, ENOMEM, "out of memory");
	}
	char *const as_user[] = { "umoci", "raw", "unpack", "--rootless", "--image", image, (char *)root, NULL };
	char *const as_root[] = { "umoci", "raw", "unpack", "--image", image, (char *)root, NULL };
	/* It checks the digest of each layer, packed and not. */
	return tool_run(geteuid() ? as_user : as_root, NULL, NULL, err);
}

static int fill_entry(struct image *i, const char *dir, struct err *err)
{
	char layout[PATH_MAX], root[PATH_MAX], run[PATH_MAX];

	if (join(layout, dir, "layout", err) < 0 || join(root, dir, "rootfs", err) < 0 || join(run, dir, "run", err) < 0 ||
	    fetch(i, layout, err) < 0 || unpack(layout, root, err) < 0 || tree_remove(layout, err) < 0 ||
	    tree_digest(root, geteuid() != 0, i->tree, &i->bytes, &i->files, err) < 0 || describe_entry(i, dir, err) < 0)
		return -err->code;
	return mkdir(run, 0755) < 0 ? err_sys(err, errno, "making '%s'", run) : 0;
}

/* Under the exclusive lock. What a killed one left is in the way. */
static int make_entry(struct image *i, const char *dir, struct err *err)
{
	struct err ignored = ERR_INIT;
	char new[PATH_MAX];

	if (entry_path(new, ".new-", i->config, "", err) < 0 || (access(new, F_OK) == 0 && tree_remove(new, err) < 0))
		return -err->code;
	if (mkdir(new, 0755) < 0)
		return err_sys(err, errno, "making '%s'", new);
	if (fill_entry(i, new, err) < 0) {
		tree_remove(new, &ignored);
		return err_in(err, "unpacking image '%s'", i->reference);
	}
	return rename(new, dir) < 0 ? err_sys(err, errno, "renaming '%s'", new) : 0;
}

static int relock(int fd, int how, struct err *err)
{
	while (flock(fd, how) < 0)
		if (errno != EINTR)
			return err_sys(err, errno, "locking the cache of images");
	return 0;
}

int cache_fill(struct image *i, struct err *err)
{
	_cleanup_image_ struct image *there = NULL;
	char path[PATH_MAX];

	if (cache_dir(path, err) < 0 || make_dirs(path, err) < 0 || entry_path(path, "", i->config, "", err) < 0)
		return -err->code;
	_cleanup_fd_ int lock = access(path, F_OK) < 0 ? lock_entry(i->config, LOCK_EX, err) : lock_entry(i->config, LOCK_SH, err);
	if (lock < 0)
		return -err->code;
	if (access(path, F_OK) < 0) {
		/* Only the exclusive lock lets one make it; whoever waited for it finds it made. */
		if (relock(lock, LOCK_EX, err) < 0 || (access(path, F_OK) < 0 && make_entry(i, path, err) < 0) ||
		    relock(lock, LOCK_SH, err) < 0)
			return -err->code;
	}
	if (place(i, path, err) < 0 || load_entry(&there, i->config, err) < 0)
		return -err->code;
	memcpy(i->tree, there->tree, sizeof(i->tree));
	i->bytes = there->bytes;
	i->files = there->files;
	(void)futimens(lock, NULL);
	i->lock = TAKE_FD(lock);
	return 0;
}

/* ---- what is in it -------------------------------------------------------------------- */

static bool is_entry(const char *name)
{
	return strspn(name, "0123456789abcdef") == HEX && !name[HEX];
}

void images_free(struct image **list)
{
	for (struct image **i = list; i && *i; i++)
		image_free(*i);
	free(list);
}
static void cleanup_images(struct image ***list) { images_free(*list); }

int images_list(struct image ***ret, struct err *err)
{
	_cleanup_(cleanup_images) struct image **list = calloc(1, sizeof(*list));
	char path[PATH_MAX], digest[IMAGE_DIGEST];
	struct dirent *d;
	size_t n = 0;

	if (!list)
		return err_set(err, ENOMEM, "out of memory");
	if (cache_dir(path, err) < 0)
		return -err->code;
	_cleanup_dir_ DIR *dir = opendir(path);
	if (!dir && errno != ENOENT)
		return err_sys(err, errno, "reading '%s'", path);
	while (dir && (d = readdir(dir)) != NULL) {
		struct err damaged = ERR_INIT;
		struct image **more, *i = NULL;

		if (!is_entry(d->d_name))
			continue;
		snprintf(digest, sizeof(digest), "sha256:%.64s", d->d_name);
		if (load_entry(&i, digest, &damaged) < 0)
			continue;	/* gone just now, or damaged, which its own use tells */
		more = reallocarray(list, n + 2, sizeof(*list));
		if (!more) {
			image_free(i);
			return err_set(err, ENOMEM, "out of memory");
		}
		list = more;
		list[n++] = i;
		list[n] = NULL;
	}
	*ret = TAKE_PTR(list);
	return 0;
}

int image_remove(const char *digest, struct err *err)
{
	char path[PATH_MAX], old[PATH_MAX], lock_path[PATH_MAX];

	if (entry_path(path, "", digest, "", err) < 0 || entry_path(old, ".old-", digest, "", err) < 0 ||
	    entry_path(lock_path, "", digest, ".lock", err) < 0)
		return -err->code;
	if (access(path, F_OK) < 0)
		return err_sys(err, errno, "image %s", digest);
	_cleanup_fd_ int lock = lock_entry(digest, LOCK_EX | LOCK_NB, err);
	if (lock < 0)
		return -err->code;
	if (access(old, F_OK) == 0 && tree_remove(old, err) < 0)
		return -err->code;
	if (rename(path, old) < 0)
		return err_sys(err, errno, "removing '%s'", path);
	unlink(lock_path);
	return tree_remove(old, err);
}

int64_t image_last_use(const struct image *i)
{
	struct err ignored = ERR_INIT;
	char path[PATH_MAX];
	struct stat st;

	if (entry_path(path, "", i->config, ".lock", &ignored) < 0 || stat(path, &st) < 0)
		return 0;
	return st.st_mtim.tv_sec;
}

int image_verify(const struct image *i, struct err *err)
{
	char tree[IMAGE_DIGEST];
	uint64_t bytes, files;

	if (tree_digest(i->root, false, tree, &bytes, &files, err) < 0)
		return -err->code;
	if (strcmp(tree, i->tree) != 0)
		return err_set(err, ESTALE, "%s is not what was unpacked; mend: capsule images rm %s", i->root, i->config);
	return 0;
}

int cache_find(struct image **ret, const char *digest, bool (*is)(const struct image *, void *ctx), void *ctx, struct err *err)
{
	_cleanup_(cleanup_images) struct image **list = NULL;

	if (take_entry(ret, digest, err) == 0 || err->code != ENOENT)
		return -err->code;
	*err = ERR_INIT;
	if (images_list(&list, err) < 0)
		return -err->code;
	for (struct image **i = list; *i; i++)
		if (is(*i, ctx))
			return take_entry(ret, (*i)->config, err);
	return err_set(err, ENOENT, "image %s is not in the cache (capsule images lists what is)", digest);
}
