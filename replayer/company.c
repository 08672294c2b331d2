/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which processes share memory?  They race with each other as threads do: how
 * often one of them looks at the clock, and where a signal from another one
 * interrupts it, is chance.
 *
 * Memory that can be written comes to others over fork, or they map the same
 * file, or attach the same segment.  A program that is started has none of it: a
 * child that was born to start one was no company, nor was its parent to it.
 */
#include "replayer/window.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

enum { MAX_NAMED = 1024 };	/* what is beyond is taken for shared */

static uint64_t hash_of(const void *data, size_t len, uint64_t h)
{
	for (size_t i = 0; i < len; i++)
		h = (h ^ ((const uint8_t *)data)[i]) * 0x100000001b3ull;
	return h;
}

/* By what others could have the same memory: a segment's number, a file's path; files without one are taken for the same. */
static uint64_t name_of(const struct ev_call *c)
{
	const struct ev_seg *path = call_seg(c, SEG_BASE);
	uint32_t id = (uint32_t)c->args[0];
	uint64_t h = hash_of(&c->nr, sizeof(c->nr), 0xcbf29ce484222325ull);

	if (c->nr == SYS_shmat)
		return hash_of(&id, sizeof(id), h);
	return path && path->data ? hash_of(path->data, path->len, h) : h;
}

static bool is_anonymous(const struct ev_call *c)
{
	enum { ANONYMOUS = 0x20 };	/* MAP_ANONYMOUS */

	return c->nr == SYS_mmap && (c->args[3] & ANONYMOUS);
}

int company_shares(struct recording_private *p, uint32_t process, const struct ev_call *c)
{
	struct rec_task *tasks = p->r.tasks;
	struct named_memory new = { .process = process };

	tasks[process].has_shared = true;
	if (is_anonymous(c))
		return 0;
	new.name = name_of(c);
	for (size_t i = 0; i < p->nnamed; i++) {
		if (p->named[i].name != new.name)
			continue;
		if (p->named[i].process == process)
			return 0;
		tasks[p->named[i].process].company++;
		tasks[process].company++;
	}
	if (p->nnamed < MAX_NAMED)
		return APPEND(p->named, p->nnamed, new);
	tasks[process].company++;
	return 0;
}

void company_forks(struct recording_private *p, uint32_t parent, uint32_t child)
{
	struct rec_task *tasks = p->r.tasks;

	if (!tasks[parent].has_shared)
		return;
	tasks[parent].company++;
	tasks[child].company++;
	tasks[child].has_shared = true;
	tasks[child].shares_with = parent;
}

void company_ends(struct recording_private *p, uint32_t process)
{
	struct rec_task *t = &p->r.tasks[process];

	if (t->shares_with && p->r.tasks[t->shares_with].company)
		p->r.tasks[t->shares_with].company--;
	t->shares_with = 0;
	t->company = 0;
	t->has_shared = false;
}
