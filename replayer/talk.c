/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A connection that is kept, on which changed code asks in another order, once
 * more, or something else.  As long as each request is the recorded next one,
 * the connection follows the record.  From the first that is not, it is served
 * by what is asked:
 *
 *  - what the record has among the next LOOK_AHEAD requests has that answer,
 *    out of its turn, and is listed as such;
 *  - what was asked before is answered again as it was answered last, and is a miss;
 *  - what nobody ever asked for has no answer: a miss, and the connection ends.
 *
 * The same are the same bytes, or HTTP with the same request line; without such
 * a one, HTTP with the same path.  Other protocols than HTTP leave the record only
 * for bytes that are found elsewhere in it.  What was asked and answered is
 * remembered for that, as far as REMEMBERED bytes of all connections go.
 */
#include <linux/types.h>

#include "replayer/replay.h"

#include "format/cleanup.h"
#include "format/payload.h"
#include "format/sysdesc.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

enum { LOOK_AHEAD = 64, REMEMBERED = 8 << 20, ASKED_MAX = 1 << 20, READ_ON = 1 << 16 };

struct pile {
	uint8_t *data;
	size_t len;
};
struct exchange {
	struct pile asked, answer;
	uint32_t given;		/* when, counted from 1; 0: still to come */
	bool ended;		/* the far end hung up behind it */
};
struct talk {
	struct exchange *list;	/* in the recorded order, those given on the record first */
	size_t n, room;
	uint32_t last;		/* given */
	bool by_content;
	struct pile asked;	/* by content: the request that is being made */
};

/* All but the first @n exchanges. */
static void forget(struct talk *t, size_t n)
{
	while (t->n > n) {
		t->n--;
		free(t->list[t->n].asked.data);
		free(t->list[t->n].answer.data);
	}
}

void talk_free(struct live *l)
{
	if (!l->talk)
		return;
	forget(l->talk, 0);
	free(l->talk->list);
	free(l->talk->asked.data);
	free(l->talk);
	l->talk = NULL;
}

static bool add(struct replay *r, struct pile *p, const uint8_t *data, size_t len)
{
	uint8_t *bigger;

	if (!len || r->remembered + len > REMEMBERED || !(bigger = realloc(p->data, p->len + len)))
		return false;
	memcpy(bigger + p->len, data, len);
	p->data = bigger;
	p->len += len;
	r->remembered += len;
	return true;
}

static struct exchange *last_of(struct talk *t)
{
	return t && t->n ? &t->list[t->n - 1] : NULL;
}

/* The exchange to which more that is asked belongs: a new one, once the last has an answer. */
static struct exchange *asking(struct live *l)
{
	struct exchange *x = last_of(l->talk), *bigger;
	struct talk *t;

	if (x && !x->answer.len && !x->ended)
		return x;
	if (!l->talk && !(l->talk = calloc(1, sizeof(*l->talk))))
		return NULL;
	t = l->talk;
	if (t->n == t->room) {
		bigger = reallocarray(t->list, t->room ? 2 * t->room : 8, sizeof(*bigger));
		if (!bigger)
			return NULL;
		t->room = t->room ? 2 * t->room : 8;
		t->list = bigger;
	}
	t->list[t->n] = (struct exchange){ 0 };
	return &t->list[t->n++];
}

static void note_asked(struct replay *r, struct live *l, const uint8_t *data, size_t len)
{
	struct exchange *x = asking(l);

	if (x)
		add(r, &x->asked, data, len);
}

static void note_answer(struct replay *r, struct live *l, enum arrival_kind kind, struct bytes data)
{
	struct exchange *x = last_of(l->talk);

	if (x && kind == ARRIVAL_DATA)
		add(r, &x->answer, data.data, data.len);
	else if (x && kind == ARRIVAL_EOF)
		x->ended = true;
}

void talk_asked(struct replay *r, struct live *l, const uint8_t *data, size_t len)
{
	if (!script_is_outbound(l))
		return;
	note_asked(r, l, data, len);
	if (last_of(l->talk) && !last_of(l->talk)->given)
		last_of(l->talk)->given = ++l->talk->last;
}

void talk_answered(struct replay *r, struct live *l, const struct rec_arrival *a)
{
	if (a && script_is_outbound(l))
		note_answer(r, l, a->kind, a->data);
}

/* ---- what comes, by the record ------------------------------------------------------- */

struct coming {
	const struct rec_call **list;
	size_t n;
};

static int by_order(const void *a, const void *b)
{
	const struct rec_call *x = *(const struct rec_call *const *)a, *y = *(const struct rec_call *const *)b;

	return x->order < y->order ? -1 : x->order > y->order;
}

static bool moves(const struct rec_call *rc, const struct live *l)
{
	int fate = rc->call ? sc_table[rc->call->nr].fate : SC_NOROW;

	return rc->call && rc->object == l->id && rc->call->ret >= 0 && (fate == SC_READ || fate == SC_WRITE);
}

/* All that is recorded to be said on @l after event @order, whoever said it. */
static void find_coming(struct replay *r, const struct live *l, uint32_t order, struct coming *coming)
{
	const struct rec_call *rc, **bigger;

	for (int i = 0; i < READ_ON && recording_near(r->rec); i++)
		;
	for (size_t k = 1; k < r->rec->ntasks; k++)
		for (size_t i = r->rec->tasks[k].calls.first; (rc = task_call(&r->rec->tasks[k], i)); i++) {
			if (rc->order <= order || !moves(rc, l))
				continue;
			bigger = reallocarray(coming->list, coming->n + 1, sizeof(*bigger));
			if (!bigger)
				return;
			coming->list = bigger;
			coming->list[coming->n++] = rc;
		}
	if (coming->n)
		qsort(coming->list, coming->n, sizeof(*coming->list), by_order);
}

/* The list goes on with what is recorded to come. */
static void look_ahead(struct replay *r, struct live *l, uint32_t order)
{
	struct coming coming = { 0 };
	size_t before = l->talk ? l->talk->n : 0;

	find_coming(r, l, order, &coming);
	for (size_t i = 0; i < coming.n && (!l->talk || l->talk->n - before <= LOOK_AHEAD); i++) {
		const struct ev_call *c = coming.list[i]->call;
		struct bytes data = call_payload(r->rec, c);

		if (sc_table[c->nr].fate == SC_WRITE)
			note_asked(r, l, data.data, data.len);
		else
			note_answer(r, l, c->ret ? ARRIVAL_DATA : ARRIVAL_EOF, data);
	}
	free(coming.list);
}

/* ---- which is the same? ---------------------------------------------------------------- */

enum likeness { SAME_BYTES, SAME_LINE, SAME_PATH, LIKENESSES };

/* Bytes of the request line; 0: it is no HTTP, or not whole. */
static size_t line_of(const uint8_t *p, size_t len)
{
	const uint8_t *newline = script_request(p, len) ? memchr(p, '\n', len) : NULL;

	return newline ? (size_t)(newline - p) : 0;
}

static bool alike(struct pile a, const uint8_t *b, size_t len, enum likeness how)
{
	size_t n = how == SAME_LINE ? line_of(b, len) : script_request(b, len);

	if (how == SAME_BYTES)
		return a.len && a.len <= len && memcmp(a.data, b, a.len) == 0;
	return n && (how == SAME_LINE ? line_of(a.data, a.len) : script_request(a.data, a.len)) == n && memcmp(a.data, b, n) == 0;
}

/* The last one that was given; the bytes of HTTP may differ, for the guest that said them is another. */
static struct exchange *find_given(struct talk *t, const uint8_t *data, size_t len, enum likeness how)
{
	struct exchange *found = NULL;

	for (size_t i = 0; i < t->n; i++)
		if (t->list[i].given && (!found || t->list[i].given > found->given) && alike(t->list[i].asked, data, len, how))
			found = &t->list[i];
	return found;
}

/* The exchange to answer with: to come, the next first; or given. */
static struct exchange *find(struct talk *t, const uint8_t *data, size_t len, enum likeness worst)
{
	bool http = script_request(data, len);
	struct exchange *found;

	for (enum likeness how = 0; how <= worst; how++) {
		for (size_t i = 0; i < t->n; i++)
			if (!t->list[i].given && alike(t->list[i].asked, data, len, how))
				return &t->list[i];
		found = how == SAME_BYTES && http ? NULL : find_given(t, data, len, how);
		if (found)
			return found;
	}
	return NULL;
}

/* ---- leaving the record ------------------------------------------------------------------ */

/* @t's next recorded write to @l; *@early: before it the record has something come in from those who ask the program. */
static const struct rec_call *next_write(const struct replay *r, const struct gtask *t, const struct live *l, bool *early)
{
	const struct rec_call *rc;

	*early = false;
	for (size_t i = t->cursor; t->rec && (rc = task_call(t->rec, i)); i++) {
		if (moves(rc, l) && sc_table[rc->call->nr].fate == SC_WRITE)
			return rc;
		if (rc->call && rc->object && rc->call->ret > 0 && sc_table[rc->call->nr].fate == SC_READ)
			*early |= r->rec->objects[rc->object].accepted;
	}
	return NULL;
}

/* All is said that was to be said, and somebody asks anew. */
bool talk_is_between(const struct live *l)
{
	const struct exchange *x = last_of(l->talk);

	return l->fd >= 0 && x && !l->talk->by_content && (x->answer.len || x->ended) && l->released == l->wanted && !l->part;
}

struct live *talk_choose(struct replay *r, const struct call *c, struct live *l, const uint8_t *data, size_t len)
{
	const struct rec_call *rc, *made;
	struct bytes next = { NULL, 0 };
	struct live *x;
	bool early;

	if (!talk_is_between(l))
		return l;
	rc = next_write(r, c->t, l, &early);
	if (rc)
		next = call_payload(r->rec, rc->call);
	if (!early && next.len && (alike((struct pile){ (uint8_t *)next.data, next.len < len ? next.len : len }, data, len, SAME_BYTES) ||
				   alike((struct pile){ (uint8_t *)next.data, next.len }, data, len, SAME_LINE)))
		return l;
	made = c->t->cursor ? task_call(c->t->rec, c->t->cursor - 1) : NULL;
	size_t before = l->talk->n;

	look_ahead(r, l, made ? made->order : 0);
	if (find(l->talk, data, len, SAME_LINE) ||
	    (script_request(data, len) && !alike((struct pile){ (uint8_t *)next.data, next.len }, data, len, SAME_PATH)))
		x = script_leave(r, l);
	else
		x = NULL;	/* the next one, as far as that can be told */
	if (!x)
		forget(l->talk, before);
	return x ? x : l;
}

struct live *talk_begin(struct replay *r, struct live *l, const uint8_t *data, size_t len)
{
	struct live *x = NULL;

	if (l->talk || l->fd < 0)
		return NULL;
	look_ahead(r, l, 0);
	if (l->talk && find(l->talk, data, len, SAME_PATH))
		x = script_leave(r, l);
	if (!x)
		talk_free(l);
	return x;
}

/* ---- by content ------------------------------------------------------------------------------ */

bool talk_is_by_content(const struct live *l)
{
	return l->talk && l->talk->by_content;
}

void talk_move(struct live *from, struct live *to)
{
	to->talk = from->talk;
	from->talk = NULL;
	if (to->talk)
		to->talk->by_content = true;
}

/* The number at @p, behind spaces; more than ASKED_MAX is as good as any. */
static size_t number_at(const uint8_t *p, const uint8_t *end)
{
	size_t n = 0;

	while (p < end && *p == ' ')
		p++;
	for (; p < end && *p >= '0' && *p <= '9' && n <= ASKED_MAX; p++)
		n = n * 10 + *p - '0';
	return n;
}

size_t talk_request(const uint8_t *p, size_t len)
{
	static const char name[] = "content-length:";
	const uint8_t *end = memmem(p, len, "\r\n\r\n", 4), *at = p;
	size_t head, body = 0;

	if (!end)
		return 0;
	head = (size_t)(end - p) + 4;
	while ((at = memchr(at, '\n', head - (size_t)(at - p))) && ++at < end)
		if ((size_t)(end - at) >= sizeof(name) && strncasecmp((const char *)at, name, sizeof(name) - 1) == 0)
			body = number_at(at + sizeof(name) - 1, end);
	return body <= ASKED_MAX && head + body <= len ? head + body : 0;
}

/* Is it the next one, or the first that was left out? */
static bool in_turn(const struct talk *t, const struct exchange *x)
{
	for (const struct exchange *e = t->list; e < x; e++)
		if (!e->given)
			return t->last && x > t->list && x[-1].given == t->last;
	return true;
}

static void answer(struct replay *r, struct live *l, struct exchange *x, size_t len)
{
	char name[160], what[120];
	const uint8_t *p = l->talk->asked.data;

	escape(what, sizeof(what), p, line_of(p, len) ? line_of(p, len) - (p[line_of(p, len) - 1] == '\r') : len < 32 ? len : 32);
	outside_name(l->rec, name, sizeof(name));
	if (!x)
		miss(r, "%s: \"%s\" was not asked when recorded, and has no answer", name, what);
	else if (x->given)
		miss(r, "%s: \"%s\" was asked more often than recorded, and answered again", name, what);
	else if (!in_turn(l->talk, x))
		note_add(&r->v->turned, "%s: \"%s\" was asked and answered out of its turn", name, what);
	/* An answer is small beside a socket's buffer; what doesn't fit is cut off, and that is seen. */
	if (x && x->answer.len && send(l->fd, x->answer.data, x->answer.len, MSG_DONTWAIT | MSG_NOSIGNAL) != (ssize_t)x->answer.len)
		miss(r, "%s: the answer to \"%s\" could not be given whole", name, what);
	if (!x || x->ended)
		shutdown(l->fd, SHUT_WR);
	if (x)
		x->given = ++l->talk->last;
	r->v->served += x != NULL;
}

void talk_hear(struct replay *r, struct live *l, const uint8_t *data, size_t len)
{
	struct pile *p = &l->talk->asked;
	struct exchange *x;
	size_t n;

	if (l->fd < 0 || p->len + len > ASKED_MAX || !add(r, p, data, len))
		return;
	while (p->len) {
		x = find(l->talk, p->data, p->len, SAME_BYTES);
		n = x ? x->asked.len : script_request(p->data, p->len) ? talk_request(p->data, p->len) : 0;
		if (!n)
			return;
		answer(r, l, x ? x : find(l->talk, p->data, n, SAME_PATH), n);
		memmove(p->data, p->data + n, p->len - n);
		p->len -= n;
		r->remembered -= n;
	}
}
