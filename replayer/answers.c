/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Answers to calls that only ask (uname, getrusage, ...), the last one that
 * each task got to each of its questions: changed code may ask again, or
 * where it did not.
 */
#include "replayer/window.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { BUCKETS = 1024, MAX_ANSWERS = 1 << 14 };

struct answer {
	struct rec_answer a;
	struct answer *next;	/* of its bucket */
	uint8_t *bytes;		/* the copy's */
	size_t room;
};

struct answers {
	struct answer *bucket[BUCKETS];
};

static bool is_number(unsigned int nr, int arg)
{
	uint8_t kind = sc_table[nr].arg[arg].kind;

	return kind == SC_VAL || kind == SC_FDARG;
}

static bool same_text(const struct ev_call *a, const struct ev_call *b, uint8_t arg)
{
	const struct ev_seg *s = call_seg(a, arg), *t = call_seg(b, arg);

	if (!s || !t || !s->data || !t->data)
		return s == t;
	return s->len == t->len && memcmp(s->data, t->data, s->len) == 0;
}

static bool same_question(const struct ev_call *a, const struct ev_call *b)
{
	if (a->nr != b->nr)
		return false;
	for (int i = 0; i < sc_table[a->nr].nargs; i++) {
		if (is_number(a->nr, i) && (uint32_t)a->args[i] != (uint32_t)b->args[i])
			return false;
		if (sc_table[a->nr].arg[i].kind == SC_STR && !same_text(a, b, (uint8_t)i))
			return false;
	}
	return true;
}

static size_t bucket_of(uint32_t task, const struct ev_call *c)
{
	uint64_t h = task * 31ull + c->nr;

	for (int i = 0; i < sc_table[c->nr].nargs; i++)
		h = (h ^ (is_number(c->nr, i) ? (uint32_t)c->args[i] : 0)) * 0x9e3779b97f4a7c15ull;
	return (size_t)(h >> 32) % BUCKETS;
}

static struct answer *find(struct recording_private *p, uint32_t task, const struct ev_call *c)
{
	for (struct answer *a = p->answers->bucket[bucket_of(task, c)]; a; a = a->next)
		if (a->a.task == task && same_question(a->a.rc.call, c))
			return a;
	return NULL;
}

static struct answer *add(struct recording_private *p, uint32_t task, const struct ev_call *c)
{
	struct answer *a = facts_room(p, sizeof(*a)), **head = &p->answers->bucket[bucket_of(task, c)];

	if (!a || APPEND(p->r.answers, p->r.nanswers, &a->a) < 0)
		return NULL;
	*a = (struct answer){ .a.task = task, .next = *head };
	*head = a;
	return a;
}

int answer_note(struct recording_private *p, uint32_t task, const struct ev_call *c, struct err *err)
{
	size_t need = call_room(c);
	struct answer *a;

	if (!p->answers && !(p->answers = facts_room(p, sizeof(*p->answers))))
		return err_set(err, ENOMEM, "out of memory");
	if (!p->r.nanswers)
		memset(p->answers, 0, sizeof(*p->answers));
	a = find(p, task, c);
	if (!a && p->r.nanswers >= MAX_ANSWERS)
		return 0;
	if (!a)
		a = add(p, task, c);
	if (a && need > a->room) {
		a->bytes = facts_room(p, need);
		a->room = a->bytes ? need : 0;
	}
	if (!a || !a->bytes)
		return err_set(err, ENOMEM, "out of memory");
	a->a.rc = (struct rec_call){ .object = c->obj, .made = c->obj2, .order = p->order };
	return call_copy(p, c, a->bytes, &a->a.rc.call, err);
}
