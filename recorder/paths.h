/* SPDX-License-Identifier: Apache-2.0 */
/* Paths as the kernel gives them, and where they lead. */
#ifndef CAPSULE_RECORDER_PATHS_H
#define CAPSULE_RECORDER_PATHS_H

#include "recorder/assemble.h"

#include <limits.h>
#include <sys/stat.h>

/* The path in a part of bpf/record.h's form, into @out; false: it is torn, too long, or not below the root. */
bool path_of_part(const struct part *part, char out[PATH_MAX]);

/* Of the files of the image: those are checked by hash, not kept. The list is the manifest's image_dirs. */
extern const char *const image_dirs[];
bool path_in_image(const char *path);
/* Likewise where the scope is in a container: all that is not its own. */
struct container;
bool path_in_container(const struct container *c, const char *path);
/* Below /proc, /sys or /dev, where nothing is a file; /dev/shm is an exception. */
bool path_is_synthetic(const char *path);

/* Where a name leads. */
struct walked {
	char path[PATH_MAX];	/* absolute and clean, symlinks of its directory resolved */
	bool absent;		/* it does not exist: the path is that of the first component that is missing */
	struct stat st;		/* else: lstat() of it */
};

struct walk_ops {
	/* It is known to be a directory: no need to look. */
	bool (*is_dir)(void *ctx, const char *path);
	/* A directory on the way; the symlink @target. Not for where the way ends. */
	void (*dir)(void *ctx, const char *path, const struct stat *st);
	void (*link)(void *ctx, const char *path, const struct stat *st, const char *target);
};

/*
 * Follows @name from the directory @base (absolute, clean) below @root, "/" or
 * a directory that stands for it.  @follow: the last component, too.  -ELOOP,
 * -ENAMETOOLONG, or the system's; ENOENT is no error.
 */
int path_walk(struct walked *ret, const char *root, const char *base, const char *name, bool follow,
	      const struct walk_ops *ops, void *ctx);

/* @path below @root, into @out; -ENAMETOOLONG. */
int path_below(const char *root, const char *path, char out[PATH_MAX]);

#endif
