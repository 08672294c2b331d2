/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which of a process's threads does what?  Runtimes that put many tasks on few
 * threads (Go, pools of workers) decide it by chance.  So a recorded thread is
 * a role: a thread that makes a call on an outside object which the recording
 * has as the next of another thread takes that one's role, and gives it its
 * own; its calls, readings and random bytes go on from there.
 */
#include <linux/types.h>

#include "replayer/replay.h"


#include <stdlib.h>

#define SWAP(a, b) do { __typeof__(a) swap_ = (a); (a) = (b); (b) = swap_; } while (0)

bool has_company(const struct replay *r, uint32_t slot)
{
	pid_t tgid = 0;

	for (const struct gtask *t = r->tasks; t; t = next_player(r, t))
		if (t->slot == slot)
			tgid = t->tgid;
	for (const struct gtask *t = r->tasks; t; t = t->next)
		if (t->tgid == tgid && t->rec && t->rec->thread)
			return true;
	return false;
}

bool shares_memory(const struct replay *r, uint32_t slot)
{
	return slot < r->rec->ntasks && r->rec->tasks[r->rec->tasks[slot].process].company;
}

void role_exchange(struct replay *r, struct gtask *a, struct gtask *b)
{
	SWAP(a->rec, b->rec);
	SWAP(a->slot, b->slot);
	SWAP(a->cursor, b->cursor);
	SWAP(a->nchildren, b->nchildren);
	SWAP(a->wait_cursor, b->wait_cursor);
	SWAP(a->mark_known, b->mark_known);
	SWAP(a->last_mark, b->last_mark);
	SWAP(a->next_mark, b->next_mark);
	a->wait_taken = b->wait_taken = false;
	SWAP(a->random_part, b->random_part);
	SWAP(a->random_off, b->random_off);
	SWAP(a->signals_due, b->signals_due);
	SWAP(a->signals_since, b->signals_since);
	task_serve(r, a);
	task_serve(r, b);
}

void role_begin(struct replay *r, struct gtask *t, const struct rec_task *rec)
{
	t->rec = rec;
	t->slot = rec->id;
	t->cursor = t->wait_cursor = t->random_part = t->random_off = 0;
	t->file_writes = t->file_reads = 0;
	t->mark_known = t->wait_taken = false;
	t->nchildren = rec->nhere;	/* those that came before are there */
	if (t->nexecs < rec->nexecs)
		t->nexecs = rec->nexecs;
	r->born[rec->id] = true;
	task_serve(r, t);
}

static struct gtask *holder(const struct replay *r, const struct rec_task *rec)
{
	for (struct gtask *t = r->tasks; t; t = t->next)
		if (t->rec == rec)
			return t;
	return NULL;
}

/* The recorded process of @t. */
static uint32_t process_of(const struct replay *r, const struct gtask *t)
{
	for (const struct gtask *o = r->tasks; o; o = o->next)
		if (o->tgid == t->tgid && o->rec)
			return o->rec->pid;
	return 0;
}

bool role_take(struct replay *r, struct gtask *t, role_wanted wanted, void *ctx)
{
	uint32_t pid = process_of(r, t), first = UINT32_MAX;
	struct gtask *from = NULL;

	if (!pid || !has_company(r, t->slot))
		return false;
	for (size_t i = 1; i < r->rec->ntasks; i++) {
		const struct rec_task *rec = &r->rec->tasks[i];
		struct gtask *o = rec->pid == pid && rec != t->rec && r->born[i] ? holder(r, rec) : NULL;
		uint32_t order = o && o->tgid == t->tgid ? wanted(ctx, rec, o->cursor) : UINT32_MAX;

		if (order < first) {
			first = order;
			from = o;
		}
	}
	if (!from)
		return false;
	role_exchange(r, t, from);
	return true;
}
