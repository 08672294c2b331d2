/* SPDX-License-Identifier: Apache-2.0 */
/* Containers and cgroups, by the names that people give them. */
#ifndef CAPSULE_CONTAINER_H
#define CAPSULE_CONTAINER_H

#include "format/err.h"

#include <limits.h>
#include <sys/types.h>

/* The directory of cgroup @path, which is a directory or as /proc/PID/cgroup says it; of version 2, or of 1. */
int cgroup_dir(const char *path, char out[PATH_MAX], struct err *err);

/* A running container, as its engine says: podman, docker, containerd (by nerdctl). */
struct found_container {
	const char *engine;
	char name[256], id[65];	/* id "": not asked for */
	pid_t pid;		/* of its first process */
	char cgroup[PATH_MAX];	/* that one's directory */
	char image[256], called[512];	/* see inside_new(); "": not known */
};
/* @name: or its id. */
int container_find(struct found_container *ret, const char *name, struct err *err);

#endif
