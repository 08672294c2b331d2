/* SPDX-License-Identifier: Apache-2.0 */
/* Images by name, and by digest wherever they are. */
#include "sandbox/image_internal.h"

#include "format/cleanup.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

static bool has_manifest(const struct image *i, void *digest)
{
	return strcmp(i->manifest, digest) == 0;
}

int image_open(struct image **ret, const char *ref, struct err *err)
{
	_cleanup_image_ struct image *i = NULL;

	if (!image_is_reference(ref))
		return err_set(err, EINVAL, "'%s' names no image: oci:DIR[:TAG], oci-archive:FILE, docker-archive:FILE, "
			       "containers-storage:NAME, docker://HOST/NAME or the sha256: of one in the cache", ref);
	if (image_is_digest(ref))
		return cache_find(ret, ref, has_manifest, (void *)ref, err);
	if (image_describe(&i, ref, err) < 0 || cache_fill(i, err) < 0)
		return -err->code;
	*ret = TAKE_PTR(i);
	return 0;
}

bool image_wanted(const struct manifest *m)
{
	return m->image_config && m->image_config[0];
}

bool image_is(const struct image *i, const struct manifest *m)
{
	return strcmp(i->config, m->image_config) == 0 || strcmp(i->manifest, m->image_manifest) == 0 ||
	       image_same_layers(i->layers, m->image_layers);
}

/* ---- where it may be ------------------------------------------------------------- */

struct search {
	const struct manifest *m;
	struct image *found;
	char other[2 * IMAGE_DIGEST];	/* what the recorded name leads to here */
};

static bool is_wanted(const struct image *i, void *m)
{
	return image_is(i, m);
}

/* Is it the one? Then it is unpacked. */
static int try_reference(struct search *s, const char *ref, struct err *err)
{
	_cleanup_image_ struct image *i = NULL;
	struct err absent = ERR_INIT;

	if (image_describe(&i, ref, &absent) < 0) {
		if (absent.code == ENOPKG)
			*err = absent;
		return -err->code;
	}
	if (!image_is(i, s->m)) {
		if (strcmp(ref, s->m->image) == 0)
			snprintf(s->other, sizeof(s->other), "%s", i->manifest);
		return 0;
	}
	if (cache_fill(i, err) < 0)
		return -err->code;
	s->found = TAKE_PTR(i);
	return 0;
}

static bool exists(const char *dir, const char *name)
{
	char path[PATH_MAX];

	return snprintf(path, sizeof(path), "%s/%s", dir, name) < (int)sizeof(path) && access(path, F_OK) == 0;
}

static int try_kind(struct search *s, const char *kind, const char *path, const char *tag, struct err *err)
{
	char ref[PATH_MAX + 64];

	if (s->found || snprintf(ref, sizeof(ref), "%s:%s%s%s", kind, path, tag ? ":" : "", tag ? tag : "") >= (int)sizeof(ref))
		return 0;
	return try_reference(s, ref, err);
}

static int try_layout(struct search *s, const char *dir, struct err *err)
{
	char **tags = NULL;
	int e = 0;

	if (layout_tags(dir, &tags) < 0)
		return 0;
	for (char **t = tags; *t; t++) {
		if (e == 0)
			e = try_kind(s, "oci", dir, (*t)[0] ? *t : NULL, err);
		free(*t);
	}
	free(tags);
	return e;
}

static int try_archive(struct search *s, const char *path, struct err *err)
{
	int e = try_kind(s, "oci-archive", path, NULL, err);

	return e < 0 ? e : try_kind(s, "docker-archive", path, NULL, err);
}

/* A layout, an archive, or a directory of them. */
static int try_place(struct search *s, const char *path, int depth, struct err *err)
{
	char sub[PATH_MAX];
	struct dirent *d;
	struct stat st;
	int e = 0;

	if (stat(path, &st) < 0)
		return depth ? 0 : err_sys(err, errno, "--images %s", path);
	if (S_ISREG(st.st_mode))
		return try_archive(s, path, err);
	if (!S_ISDIR(st.st_mode) || depth > 1)
		return 0;
	if (exists(path, "oci-layout"))
		return try_layout(s, path, err);
	_cleanup_dir_ DIR *dir = opendir(path);
	while (!e && !s->found && dir && (d = readdir(dir)) != NULL)
		if (d->d_name[0] != '.' && snprintf(sub, sizeof(sub), "%s/%s", path, d->d_name) < (int)sizeof(sub))
			e = try_place(s, sub, depth + 1, err);
	return e;
}

/* By the image's own digest, whatever its name is there. */
static int try_storage(struct search *s, struct err *err)
{
	char ref[128];

	if (s->found || !image_is_digest(s->m->image_config))
		return 0;
	snprintf(ref, sizeof(ref), "containers-storage:@%s", s->m->image_config + 7);
	return try_reference(s, ref, err);
}

static int absent(const struct search *s, struct err *err)
{
	if (s->other[0])
		return err_set(err, ESTALE, "the capsule was recorded in image %s (%s), which is another one here: %s; "
			       "mend: --images DIR where the recorded one is, or --image to try another one on purpose", s->m->image,
			       s->m->image_manifest, s->other);
	return err_set(err, ENOENT, "the image %s (%s) that the capsule was recorded in is not here; "
		       "mend: --images DIR or ARCHIVE where it is, or --image to try another one on purpose", s->m->image,
		       s->m->image_manifest);
}

static bool is_kind(const char *ref, const char *kind, char path[PATH_MAX])
{
	size_t n = strlen(kind);

	if (strncmp(ref, kind, n) != 0)
		return false;
	snprintf(path, PATH_MAX, "%s", ref + n);
	path[strcspn(path, ":")] = 0;
	return true;
}

/*
 * The capsule's own word for where its image came from is looked into only
 * if it leads to a file or a directory of this machine, or to a plain name in its
 * usual store: whoever made the capsule chose it.  Nothing is fetched from
 * elsewhere unasked, no device or FIFO is read, no store opened or made.
 */
static bool is_harmless(const char *ref)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._:/-@";
	char path[PATH_MAX];
	struct stat st;

	if (is_kind(ref, "containers-storage:", path))
		return strspn(ref, plain) == strlen(ref);
	if (is_kind(ref, "oci:", path))
		return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
	if (is_kind(ref, "oci-archive:", path) || is_kind(ref, "docker-archive:", path))
		return stat(path, &st) == 0 && S_ISREG(st.st_mode);
	return false;
}

int image_find(struct image **ret, const struct manifest *m, const char *const *places, size_t n, struct err *err)
{
	struct search s = { .m = m };
	int e;

	if (!image_is_digest(m->image_config) || !image_is_digest(m->image_manifest))
		return err_set(err, EBADMSG, "the capsule names an image by no digest");
	if (cache_find(ret, m->image_config, is_wanted, (void *)m, err) == 0)
		return 0;
	*err = ERR_INIT;
	for (size_t i = 0; i < n && !s.found; i++)
		if (try_place(&s, places[i], 0, err) < 0)
			return -err->code;
	e = s.found || !is_harmless(m->image) ? 0 : try_reference(&s, m->image, err);
	if (!e)
		e = try_storage(&s, err);
	if (e < 0)
		return err_in(err, "looking for image %s (%s)", m->image, m->image_manifest);
	if (!s.found)
		return absent(&s, err);
	*ret = s.found;
	return 0;
}
