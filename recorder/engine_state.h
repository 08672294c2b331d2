/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Containers as engines leave them in files, for where their programs are not
 * installed or do not answer: docker's state, containerd's bundles (of
 * Kubernetes, too), and the names of cgroups, which tell ids only.
 */
#ifndef CAPSULE_RECORDER_ENGINE_STATE_H
#define CAPSULE_RECORDER_ENGINE_STATE_H

#include "recorder/container.h"

#include <stdbool.h>

enum { CONTAINER_ID = 64 };	/* hexadecimal digits */

/*
 * The running container @name below @root ("": this machine): its name, its id or
 * as many digits of that as tell it, in Kubernetes CONTAINER or POD/CONTAINER.
 * ret->cgroup is left alone.  ENOENT: there is none; ENOTUNIQ: several.
 */
int engine_state_find(struct found_container *ret, const char *root, const char *name, struct err *err);

/* The container that a cgroup's path names: its engine, or NULL; @id gets its digits. */
const char *engine_of_cgroup(const char *path, char id[CONTAINER_ID + 1]);

#endif
