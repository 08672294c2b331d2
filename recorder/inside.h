/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A container that an engine has made and whose processes are recorded: its
 * root directory and its image as seen from here, and what a capsule keeps of
 * it beside the image.
 *
 * Its image is seen through the layers that its own overlay is made of, so that
 * what was before the container changed it is known at any time; nothing is
 * unpacked for it.
 */
#ifndef CAPSULE_RECORDER_INSIDE_H
#define CAPSULE_RECORDER_INSIDE_H

#include "recorder/recorder.h"
#include "sandbox/image_root.h"

struct inside {
	char *name;		/* "podman web" */
	struct image *image;	/* NULL: not known; its reference is what people call it */
	char *reference;	/* ... and this is what skopeo(1) finds it by */
	struct container container;	/* of the image, for opts->container */
	char root[32];		/* its root directory for this process */
	int root_fd, lower_fd, ns_fd;
	char **own;		/* paths that are not the image's; sorted, NULL-terminated, as are the lists below */
	size_t nown;
	bool too_many;		/* not all of them are listed */
	char **mounts;		/* "bind /data rw from /srv/data" */
	char **namespaces;	/* "net net:[4026532288]", "user the host's" */
	char **addresses;	/* of its network: "eth0 10.88.0.2" */
	char *uid_map, *gid_map;	/* as user_namespaces(7) has them */
	char *hostname, *domainname;
};

/*
 * @image: a reference that skopeo(1) reads, NULL: not known; @called: what
 * people call it, NULL: the same.
 */
int inside_new(struct inside **ret, const char *name, const char *image, const char *called, struct err *err);
/* Its process @pid is there, with its root directory: @o is told of it. */
int inside_enter(struct inside *in, pid_t pid, struct record_opts *o, struct err *err);
/* What is not known of it becomes holes of @r. */
struct recording;
void inside_tell(const struct inside *in, struct recording *r);
void inside_free(struct inside *in);	/* NULL is fine */

/* What of the host's ids @id is in a map of user_namespaces(7). */
uint32_t inside_id(const char *map, uint32_t id);

#endif
