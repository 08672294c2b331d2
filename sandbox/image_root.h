/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A container of an image for who records in it: its root file system with
 * room to write, its user, environment and working directory, as podman gives
 * them; the machine's network, host name and processes.
 */
#ifndef CAPSULE_IMAGE_ROOT_H
#define CAPSULE_IMAGE_ROOT_H

#include "sandbox/image.h"

#include <sys/types.h>

struct container {
	const struct image *image;
	char *root;		/* where its root directory is, for this process and its children */
	char **argv, **env;	/* NULL-terminated */
	const char *const *own;	/* paths that are not the image's, with all that is below them; sorted */
	size_t nown;
	const char *workdir;	/* the image's, or "/" */
	uid_t uid;
	gid_t gid, *groups;
	int ngroups;
};

/*
 * @argv: instead of the image's command; NULL: that.  The calling process,
 * which needs CAP_SYS_ADMIN, gets a mount namespace of its own, in which the
 * root is; what is written there is in memory and gone with the namespace.
 */
int container_new(struct container **ret, const struct image *image, char *const *argv, struct err *err);
void container_free(struct container *c);	/* NULL is fine; the mounts stay */
/* The calling process into it, with the user's identity and no more than podman's capabilities. */
int container_enter(const struct container *c, struct err *err);

#endif
