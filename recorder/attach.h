/* SPDX-License-Identifier: Apache-2.0 */
/* Processes that run already enter the scope, with what they have open. */
#ifndef CAPSULE_ATTACH_H
#define CAPSULE_ATTACH_H

#include "recorder/kernel.h"
#include "recorder/state.h"

struct attached;

/* The process that the manifest is about: the first named, or the first of the cgroup to have started. 0: there is none. */
pid_t attach_root(const struct record_opts *opts);
/* All of them; the programs in the kernel are at work.  What could not be done is a hole; the root's failure is an error. */
int attach_all(struct attached **ret, struct recording *r, struct kernel *k, pid_t root, struct err *err);
/* Who came into the cgroup meanwhile. */
void attach_look(struct attached *a);
/* Nothing is recorded any more: everybody gets back what is theirs. How long one was stopped at most, ns. Frees; NULL is fine. */
uint64_t attach_end(struct attached *a);

#endif
