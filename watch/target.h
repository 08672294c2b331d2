/* SPDX-License-Identifier: Apache-2.0 */
/* A scope that is watched: a process that was selected, with its descendants, or a container. */
#ifndef CAPSULE_TARGET_H
#define CAPSULE_TARGET_H

#include "recorder/armed.h"
#include "watch/conditions.h"
#include "watch/history.h"
#include "watch/openings.h"
#include "watch/policy.h"
#include "watch/requests.h"

enum { TARGET_POLICIES = 16, TARGET_WAITING = 64 };

/* Something that is to become a capsule. */
struct wanted {
	const struct policy *policy;
	bool is_request;
	struct request request;
	const char *why;	/* "request", "healthy", "exit", "call", "trigger": how the capsule's recording ended */
	bool gone;		/* the program has ended */
	int32_t status;
};

struct target {
	struct armed_scope *scope;	/* NULL while it is being armed */
	struct history *history;
	struct requests *requests;
	struct openings *openings;
	struct map *processes;	/* number of a task → that of its process's first one, as a pointer; those of the first process are not there */
	pid_t root;
	char *cgroup;		/* of its container; NULL: it is none */
	int64_t armed_at;	/* CLOCK_BOOTTIME, ns: when levels were raised */
	enum armed_level level;
	bool causal;		/* its clocks are left alone */
	int64_t metadata_until;	/* CLOCK_BOOTTIME, ns: what happened before was told without payload */
	uint64_t lost_before;	/* records of the ring, when it was armed */
	size_t npolicies;
	struct {
		const struct policy *policy;
		struct conditions *conditions;
		uint64_t period, samples;	/* of good requests: when it began, how many since */
	} policies[TARGET_POLICIES];
	size_t nwaiting;
	struct wanted waiting[TARGET_WAITING];
	uint64_t overflowed;	/* of them, that found no place */
	struct target *next;
};

/*
 * What happens is fed by armed_look(). @c: the container that @root is the first process of; NULL: none that is known. @causal: clocks
 * are left alone.
 */
int target_arm(struct target **ret, struct armed *a, pid_t root, const struct found_container *c, const char *what, const struct policy *p,
	       bool causal, struct err *err);
void target_free(struct target *t, struct armed *a);
bool target_has(const struct target *t, const struct policy *p);
int target_add_policy(struct target *t, const struct policy *p, struct err *err);
/* All of them go; new ones come by target_add_policy(). */
void target_drop_policies(struct target *t);
/* Level and history as its policies want them at this time, CLOCK_BOOTTIME. */
void target_adjust(struct target *t, struct armed *a, int64_t now);
/* Somebody asks for what there is. */
void target_trigger(struct target *t, const struct policy *p);
/* What is not there any more is forgotten. */
void target_sweep(struct target *t, struct armed *a);

#endif
