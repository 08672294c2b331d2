/* SPDX-License-Identifier: Apache-2.0 */
/* The places in a JSON document that rules name. What is cut short is read as far as it goes. */
#include "watch/redact_internal.h"

#include "format/cleanup.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { JSON_DEPTH = 200 };

struct walk {
	struct redactor *r;
	uint32_t body;
	const uint8_t *data;
	size_t at, len;
	struct err *err;
};

/* How far each path has come at a node: bit i: its first i steps lead here. */
typedef uint32_t reach;
_Static_assert(JSON_STEPS < 32, "a bit for each step");

struct child {			/* of an object, or of an array */
	const uint8_t *key;
	size_t len;
	uint32_t index;
	bool named;
};

static void skip_space(struct walk *w)
{
	while (w->at < w->len && (w->data[w->at] == ' ' || w->data[w->at] == '\t' || w->data[w->at] == '\n' || w->data[w->at] == '\r'))
		w->at++;
}

/* Over a string, whose content is [@from, @to). False: it has no end. */
static bool string(struct walk *w, size_t *from, size_t *to)
{
	*from = ++w->at;
	while (w->at < w->len && w->data[w->at] != '"')
		w->at += w->data[w->at] == '\\' && w->at + 1 < w->len ? 2 : 1;
	*to = w->at < w->len ? w->at : w->len;
	return w->at++ < w->len;
}

/* Does @key, as it stands in the document, mean @name? */
static bool same_key(const struct child *c, const struct json_step *s)
{
	size_t n = 0;

	for (size_t i = 0; i < c->len;) {
		struct unit u;

		unit_decode(CODE_JSON, c->key + i, c->len - i, &u);
		if (n + u.nbytes > s->len || memcmp(s->name + n, u.bytes, u.nbytes) != 0)
			return false;
		n += u.nbytes;
		i += u.n;
	}
	return n == s->len;
}

static bool leads(const struct json_step *s, const struct child *c)
{
	switch (s->kind) {
	case STEP_NAME:
		return c->named && same_key(c, s);
	case STEP_INDEX:
		return !c->named && s->index == c->index;
	case STEP_EACH:
		return true;
	}
	return false;
}

/* From a node's reach to its child's. True: a rule names the child; @rule is the first that does. */
static bool descend(const struct redactor *r, const reach *from, const struct child *c, reach *to, uint32_t *rule)
{
	bool named = false;

	for (size_t i = 0; i < r->nrules; i++) {
		const struct json_path *p = &r->rules[i].path;

		to[i] = 0;
		for (size_t k = 0; k < p->n; k++) {
			if (!(from[i] & 1u << k))
				continue;
			if (leads(&p->step[k], c))
				to[i] |= 1u << (k + 1);
			if (p->step[k].deep)
				to[i] |= 1u << k;
		}
		if (p->n && to[i] & 1u << p->n && !named) {
			named = true;
			*rule = (uint32_t)i;
		}
	}
	return named;
}

/* @rule: of what all this is a part; UINT32_MAX: none. False: it goes no further. */
static bool value(struct walk *w, const reach *at, uint32_t rule, unsigned int depth);

static bool child_value(struct walk *w, const reach *at, const struct child *c, uint32_t rule, unsigned int depth)
{
	_cleanup_free_ reach *below = calloc(w->r->nrules, sizeof(*below));
	uint32_t named = UINT32_MAX;

	if (!below) {
		redact_no_memory(w->err);
		return false;
	}
	descend(w->r, at, c, below, &named);
	return value(w, below, rule != UINT32_MAX ? rule : named, depth + 1);
}

static bool members(struct walk *w, const reach *at, uint32_t rule, unsigned int depth)
{
	bool list = w->data[w->at++] == '[';
	struct child c = { .named = !list };
	size_t from, to;

	for (;; c.index++) {
		skip_space(w);
		if (w->at >= w->len)
			return false;
		if (w->data[w->at] == (list ? ']' : '}')) {
			w->at++;
			return true;
		}
		if (!list) {
			if (w->data[w->at] != '"' || !string(w, &from, &to))
				return false;
			c.key = w->data + from;
			c.len = to - from;
			skip_space(w);
			if (w->at >= w->len || w->data[w->at++] != ':')
				return false;
		}
		if (!child_value(w, at, &c, rule, depth))
			return false;
		skip_space(w);
		if (w->at < w->len && w->data[w->at] == ',')
			w->at++;
		else if (w->at >= w->len || w->data[w->at] != (list ? ']' : '}'))
			return false;
	}
}

static bool add(struct walk *w, size_t from, size_t to, enum coding c, enum redact_as as, uint32_t rule)
{
	return rule == UINT32_MAX || place_add(w->r, w->body, from, to, c, rule, as, w->err) == 0;
}

static bool value(struct walk *w, const reach *at, uint32_t rule, unsigned int depth)
{
	size_t from, to;
	bool whole;

	skip_space(w);
	if (w->at >= w->len || depth > JSON_DEPTH)
		return false;
	switch (w->data[w->at]) {
	case '{':
	case '[':
		return members(w, at, rule, depth);
	case '"':
		whole = string(w, &from, &to);
		return add(w, from, to, CODE_JSON, rule == UINT32_MAX ? AS_TOKEN : w->r->rules[rule].r.as, rule) && whole;
	}
	for (from = w->at; w->at < w->len && (isalnum(w->data[w->at]) || w->data[w->at] == '-' || w->data[w->at] == '+' || w->data[w->at] == '.'); w->at++)
		;
	if (w->at == from)
		return false;
	/* true, false and null have no other form of their length. */
	if (isalpha(w->data[from]))
		return rule == UINT32_MAX || redact_note(w->r, "%s %.100s: a truth value or null, which stays", redact_kind_names[REDACT_JSON], w->r->rules[rule].r.what) == 0;
	return add(w, from, w->at, CODE_PLAIN, AS_DIGITS, rule);
}

int json_places(struct redactor *r, uint32_t body, struct err *err)
{
	_cleanup_free_ reach *top = calloc(r->nrules + 1, sizeof(*top));
	struct walk w = { .r = r, .body = body, .data = r->bodies.at[body].data, .len = r->bodies.at[body].len, .err = err };
	char where[REDACT_WHERE];

	if (!top)
		return redact_no_memory(err);
	for (size_t i = 0; i < r->nrules; i++)
		top[i] = r->rules[i].path.n ? 1 : 0;
	/* One document, or several behind each other. */
	for (skip_space(&w); w.at < w.len; skip_space(&w)) {
		if (value(&w, top, UINT32_MAX, 0))
			continue;
		if (err->code)
			return -err->code;
		redact_where(r, &r->texts.at[r->bodies.at[body].text], where);
		return redact_note(r, "%s: JSON that ends or is none at byte %zu of a body; nothing was looked for behind it", where, w.at) < 0 ?
			redact_no_memory(err) : 0;
	}
	return 0;
}
