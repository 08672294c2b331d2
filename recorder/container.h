/* SPDX-License-Identifier: Apache-2.0 */
/* Containers and cgroups, by the names that people give them. */
#ifndef CAPSULE_CONTAINER_H
#define CAPSULE_CONTAINER_H

#include "format/err.h"

#include <limits.h>

/* The directory of cgroup @path, which is a directory or as /proc/PID/cgroup says it; of version 2, or of 1. */
int cgroup_dir(const char *path, char out[PATH_MAX], struct err *err);
/* That of a container's first process, as its engine says: podman, docker, containerd (by nerdctl). */
int container_cgroup(const char *name, char out[PATH_MAX], struct err *err);

#endif
