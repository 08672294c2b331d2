/* SPDX-License-Identifier: Apache-2.0 */
/* What the store that a container's bundle lies in says of its image: that of podman and CRI-O (containers/storage). */
#ifndef CAPSULE_RECORDER_ENGINE_STORE_H
#define CAPSULE_RECORDER_ENGINE_STORE_H

#include "format/err.h"

#include <limits.h>

struct store_image {
	char reference[3 * PATH_MAX];	/* for skopeo(1) */
	char called[PATH_MAX];		/* "containers-storage:localhost/app:1"; "": it has no name */
};

/*
 * @bundle: of container @id.  ENOENT: it lies in no such store, or that knows
 * no image of it.
 */
int store_image_of(struct store_image *ret, const char *bundle, const char *id, struct err *err);

#endif
