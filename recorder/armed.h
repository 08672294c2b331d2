/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Programs that run already, followed for as long as it takes: what would be
 * written into a capsule is handed to whoever armed the scope, and nothing is
 * kept here but what the next event needs.  One set of programs in the kernel
 * and one ring for all scopes.
 *
 * Times of events are CLOCK_BOOTTIME in ns; 0 is "before", what was there when
 * the recorder came.  Nobody is stopped for the recorder's sake but at attach
 * and at an exec (with exact clocks: the vDSO).
 */
#ifndef CAPSULE_ARMED_H
#define CAPSULE_ARMED_H

#include "format/capsule.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct armed;
struct armed_scope;

enum armed_level { ARMED_PAYLOAD, ARMED_METADATA, ARMED_NOTHING };	/* enum rec_levels of bpf/record.h */

struct found_container;

struct armed_what {
	pid_t root;		/* with its descendants ... */
	const struct found_container *container;	/* ... or all that is in this one, of which it is the first; NULL: in none, as far as is known */
	const char *what;	/* how the manifest calls it: "pid 7" */
	bool causal;		/* leave the vDSO alone */
	uint64_t snapshot_limit;	/* bytes of a file that go into a capsule */
	enum armed_level level;
	void (*event)(void *ctx, const struct event *e);	/* valid until it returns */
	void *ctx;
};

/* @ring: bytes, a power of two. */
int armed_new(struct armed **ret, uint64_t ring, struct err *err);
/* Everybody gets back what is theirs; scopes too. @longest (may be NULL): how long one was stopped at most, ns. NULL is fine. */
void armed_free(struct armed *a, uint64_t *longest);

/* The texts of @w are copied. The first events, of what is there already, come before it returns. */
int armed_add(struct armed *a, struct armed_scope **ret, const struct armed_what *w, struct err *err);
/* It is told of no more; the vDSOs of its processes stay redirected until armed_free(). */
void armed_remove(struct armed *a, struct armed_scope *s);
void armed_set_level(struct armed *a, struct armed_scope *s, enum armed_level level);
/* Is the thread of any scope? */
bool armed_knows(const struct armed *a, pid_t tid);
/* The scope that the thread is of, or NULL. */
struct armed_scope *armed_scope_of(const struct armed *a, pid_t tid);
/* Who came into its container otherwise than by a fork (podman exec) belongs to it. */
void armed_look_into(struct armed *a, struct armed_scope *s);
/* Does anybody of it live? */
bool armed_lives(const struct armed_scope *s);

/* Hands over what is in the ring. How many records there were. */
int armed_look(struct armed *a);
/* The same before a rest: from now on armed_fd() becomes readable when there is much. */
int armed_rest(struct armed *a);
int armed_fd(const struct armed *a);
/* For idle times: hashes of the programs' files, who came into a cgroup, what nobody will ask for again. True: there is more. */
bool armed_idle(struct armed *a);
/* Objects and threads that nobody has any more are forgotten. @keep: of those objects that the caller still has in a history. */
void armed_sweep(struct armed *a, struct armed_scope *s, bool (*keep)(void *ctx, uint32_t object), void *ctx);
bool armed_has_object(const struct armed_scope *s, uint32_t object);
/* Records that found no room, in all. */
uint64_t armed_lost(const struct armed *a);

/* ---- a capsule ---- */

/* As it was when the scope was armed; the scope's own, to be changed before a capsule is opened with it. */
struct manifest *armed_manifest(struct armed_scope *s);
/* A new uuid for the next one. */
int armed_renew(struct armed_scope *s, struct err *err);
/* The files that the scope has used, as they were before or as they are, into @w; returns how many holes that made. */
uint64_t armed_files(struct armed_scope *s, struct capsule_writer *w, int64_t start, uint64_t time);

#endif
