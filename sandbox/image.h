/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Container images: what one is, and its root file system, unpacked once.
 *
 * An image is known by three things, each of which is enough: the digest of
 * its manifest, that of its config, and those of its layers, uncompressed
 * (the config's diff_ids).  A conversion between formats may change the first
 * and the second, never the third.
 *
 * skopeo(1) reads every kind of store, umoci(1) unpacks.  What is unpacked
 * lies in a cache, a directory for each config's digest:
 *
 *	DIGEST.lock	locked, shared: in use; exclusively: being made or removed.
 *			Its time is that of the last use
 *	DIGEST/		there is all of it or nothing: it was made elsewhere and renamed
 *	  rootfs/	the root file system, which nobody writes to
 *	  config.json	the image's config, as it was: DIGEST is its SHA-256
 *	  image.json	where it came from, what it is, how large
 *	  run/		an empty directory, to mount on
 */
#ifndef CAPSULE_IMAGE_H
#define CAPSULE_IMAGE_H

#include "format/capsule.h"
#include "format/err.h"

#include <stdbool.h>
#include <stdint.h>

#define IMAGE_DIGEST 72		/* "sha256:", 64 digits, NUL */

struct image {
	char *reference;			/* as it was named */
	char manifest[IMAGE_DIGEST], config[IMAGE_DIGEST];
	char **layers;				/* of each, uncompressed; NULL-terminated, as are the lists below */
	char **entrypoint, **command, **env;
	char *user, *workdir;			/* "": none said */
	char *text;				/* the config itself */
	size_t len;
	/* In the cache: */
	char *dir, *root;			/* absolute; NULL: not unpacked */
	char tree[IMAGE_DIGEST];		/* of all that was unpacked */
	uint64_t bytes, files;
	int lock;				/* held while it is in use */
};
void image_free(struct image *image);		/* NULL is fine */
static inline void cleanup_image(struct image **image) { image_free(*image); }
#define _cleanup_image_ __attribute__((cleanup(cleanup_image)))

/* Is @ref of a form that names an image? */
bool image_is_reference(const char *ref);

/*
 * The image that @ref names, unpacked: oci:DIR[:TAG], docker-archive:FILE,
 * oci-archive:FILE, containers-storage:NAME, docker://HOST/NAME, or the digest
 * of one in the cache.  EINVAL: no such form; ENOENT: no such image; ENOPKG.
 */
int image_open(struct image **ret, const char *ref, struct err *err);

/* What @ref names, by skopeo(1), which knows more forms than those; not unpacked. */
int image_describe(struct image **ret, const char *ref, struct err *err);

/* Was @m recorded in an image? */
bool image_wanted(const struct manifest *m);
/* Is it this one, by digest? */
bool image_is(const struct image *image, const struct manifest *m);

/*
 * The image that @m was recorded in, unpacked, whatever it is called here: from
 * the cache, from where @m says it came from, from @places (directories and
 * archives), from containers-storage.  ENOENT: it is not here, and the text says
 * what is, where its name leads to another one.
 */
int image_find(struct image **ret, const struct manifest *m, const char *const *places, size_t n, struct err *err);

/* ---- the cache ------------------------------------------------------------ */

/* What is in it; NULL-terminated, for images_free(). */
int images_list(struct image ***ret, struct err *err);
void images_free(struct image **list);
/* @digest: of its config. EBUSY: in use. */
int image_remove(const char *digest, struct err *err);
/* When it was last used, seconds since the epoch. */
int64_t image_last_use(const struct image *image);
/* ESTALE: what is there is not what was unpacked. */
int image_verify(const struct image *image, struct err *err);

#endif
