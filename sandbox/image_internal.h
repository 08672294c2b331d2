/* SPDX-License-Identifier: Apache-2.0 */
/* What the image_*.c files share. */
#ifndef CAPSULE_IMAGE_INTERNAL_H
#define CAPSULE_IMAGE_INTERNAL_H

#include "sandbox/image.h"

/* ---- image_describe.c ---- */

/* From a config's text; the rest is the caller's to fill in. */
int image_from_config(struct image **ret, const char *text, size_t len, struct err *err);
/* @text, a manifest or an index of manifests, names @i's config, or the manifest to be asked for: into @i->manifest. */
int image_take_manifest(struct image *i, const char *text, size_t len, struct err *err);
bool image_is_digest(const char *s);
void image_digest(const void *data, size_t len, char out[IMAGE_DIGEST]);
/* The names of the images in the OCI layout @dir, "" for one without; a list to free. */
int layout_tags(const char *dir, char ***ret);
bool image_same_layers(char *const *a, char *const *b);

/* ---- image_cache.c ---- */

/* The entry of the config @digest, else the first that @is says it is, locked; ENOENT. */
int cache_find(struct image **ret, const char *digest, bool (*is)(const struct image *, void *ctx), void *ctx, struct err *err);
/* @image, which image_describe() gave, is in the cache afterwards, locked, with dir and root. */
int cache_fill(struct image *image, struct err *err);

/* ---- image_tree.c ---- */

/*
 * The digest of everything below @root.  @open_up: its owner may read all of it
 * afterwards, which the image's modes may not say.
 */
int tree_digest(const char *root, bool open_up, char out[IMAGE_DIGEST], uint64_t *bytes, uint64_t *files, struct err *err);
/* Also where directories are not writable. */
int tree_remove(const char *root, struct err *err);

#endif
