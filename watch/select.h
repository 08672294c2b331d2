/* SPDX-License-Identifier: Apache-2.0 */
/* Which of the processes that run a policy means. */
#ifndef CAPSULE_SELECT_H
#define CAPSULE_SELECT_H

#include "watch/policy.h"

#include <sys/types.h>

/* Looked at once for all policies: who listens where. @containers: as long as it is used. */
struct surroundings;
struct containers;
struct surroundings *surroundings_look(struct containers *containers);	/* NULL: no memory */
/* @pid is watched for @p already: nobody need look for who else has its listening sockets. */
void surroundings_known(struct surroundings *s, const struct policy *p, pid_t pid);
void surroundings_free(struct surroundings *s);	/* NULL is fine */

bool select_matches(const struct policy *p, pid_t pid, struct surroundings *s);
/* Of a policy that names containers: the one that @pid is in; NULL: none. Valid until the next one is asked for. */
struct found_container;
const struct found_container *select_container(const struct policy *p, pid_t pid, struct surroundings *s);

#endif
