/* SPDX-License-Identifier: Apache-2.0 */
/* Which of the processes that run a policy means. */
#ifndef CAPSULE_SELECT_H
#define CAPSULE_SELECT_H

#include "watch/policy.h"

#include <sys/types.h>

/* Looked at once for all policies: running containers, if any policy names one; who listens where. */
struct surroundings;
struct surroundings *surroundings_look(const struct policies *ps);	/* NULL: no memory */
/* @pid is watched for @p already: nobody need look for who else has its listening sockets. */
void surroundings_known(struct surroundings *s, const struct policy *p, pid_t pid);
void surroundings_free(struct surroundings *s);	/* NULL is fine */

bool select_matches(const struct policy *p, pid_t pid, struct surroundings *s);
/* Of a policy that names containers: the cgroup directory of the one that @pid is in, into @dir, and its name; false: none. */
bool select_container(const struct policy *p, pid_t pid, const struct surroundings *s, char dir[4096], char name[256]);

#endif
