/* SPDX-License-Identifier: Apache-2.0 */
/* Inside look.c, listing.c and facts.c: a guest's question about a file. */
#ifndef CAPSULE_LOOK_H
#define CAPSULE_LOOK_H

#include "replayer/replay.h"

#include <limits.h>
#include <sys/stat.h>

/* A question as the guest asks it now. */
struct ask {
	struct look_question q;
	int32_t fd;			/* it is about that, or the name is relative to it; AT_FDCWD */
	char path[PATH_MAX];		/* "": none */
	char base[PATH_MAX];		/* as in struct look_words; "": none */
	char word[PATH_MAX];		/* likewise */
	const struct look_answer *then;	/* the recorded answer, or NULL */
	bool last;			/* it was given before: there is no other */
};

/* ---- look.c ----------------------------------------------------------------------- */

/* The name in a call as one below the guest's root; false: it is none. */
bool ask_name(struct replay *r, const struct call *c, char out[2 * PATH_MAX]);
/* The O_* of an open. */
uint64_t open_flags(const struct call *c);
/* Takes the recorded answer to what is asked. */
void ask_record(struct replay *r, const struct call *c, struct ask *a);

/* An O_PATH descriptor of what it is about, or -errno. */
int ask_open(struct replay *r, const struct call *c, const struct ask *a);

/* ---- attributes.c ------------------------------------------------------------------ */

/* Are the attributes that are asked for what the program itself has made of them, for the kernel to say? */
bool attributes_are_own(struct replay *r, const struct call *c, const struct ask *a);

/* ---- named.c ----------------------------------------------------------------------- */

/* Do links on the way of @name, which is changed, lead to what is another thing for each who asks, as /proc/self is? */
bool name_is_askers(struct replay *r, char name[2 * PATH_MAX]);

/* ---- facts.c: what is the machine's in a struct stat ---------------------------- */

/* The recorded bytes of a call of the stat family; false: they are none. */
bool facts_recorded(struct statx *ret, const struct look_answer *a);
/* @now, which the file is here, becomes what the guest is told: as it was @then (NULL: it was not asked). */
void facts_overlay(struct replay *r, struct statx *now, const struct statx *then);
/* Number and device of a file that was not asked about, so that no two of them get one. */
uint64_t facts_inode(struct replay *r, const struct statx *now);
/* Into the guest's memory, in the form that the call wants. 0, or -EFAULT. */
int facts_give(struct call *c, const struct statx *st);
void facts_free(struct replay *r);

/* ---- listing.c ------------------------------------------------------------------- */

/* Names of a directory; false: the kernel shall say. */
bool listing_answer(struct replay *r, struct call *c, struct ask *a);
void listing_free(struct replay *r);

#endif
