/* SPDX-License-Identifier: Apache-2.0 */
/* Which bytes of a capsule are texts, and how they come back into its events. */
#include <linux/types.h>

#include "watch/redact_internal.h"

#include "format/cleanup.h"
#include "format/payload.h"
#include "format/sha256.h"
#include "format/sysdesc.h"

#include <errno.h>
#include <fnmatch.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/syscall.h>

enum { MATCH_LIMIT = 10000000, MATCH_HEAP = 32 << 10 /* KiB */, NOTES_MAX = 1000 };

int redact_no_memory(struct err *err)
{
	return err_set(err, ENOMEM, "redaction: out of memory");
}

void *redact_own(struct redactor *r, void *p)
{
	void **owned = p ? list_add(&r->memory) : NULL;

	if (owned)
		*owned = p;
	else
		free(p);
	return owned ? p : NULL;
}

int redact_note(struct redactor *r, const char *fmt, ...)
{
	char *text, **note;
	va_list ap;

	if (r->notes.n >= NOTES_MAX)
		return 0;
	va_start(ap, fmt);
	if (vasprintf(&text, fmt, ap) < 0)
		text = NULL;
	va_end(ap);
	for (size_t i = 0; text && i < r->notes.n; i++)
		if (strcmp(r->notes.at[i], text) == 0) {
			free(text);
			return 0;
		}
	note = text ? list_add(&r->notes) : NULL;
	if (!note) {
		free(text);
		return -ENOMEM;
	}
	*note = text;
	return 0;
}

int redact_hole(struct redactor *r, const char *what, const char *where, uint64_t count, struct err *err, const char *fmt, ...)
{
	struct event *e = list_add(&r->holes);
	char *text;
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&text, fmt, ap) < 0)
		text = NULL;
	va_end(ap);
	char *place = redact_own(r, strdup(where));
	if (!e || !place || !redact_own(r, text))
		return redact_no_memory(err);
	*e = (struct event){ .kind = EV_HOLE, .hole = { .what = what, .where = place, .why = text, .count = count } };
	return 0;
}

void redact_where(const struct redactor *r, const struct text *t, char *buf)
{
	if (t->is_stream) {
		snprintf(buf, REDACT_WHERE, "object %u %s", t->object, t->in ? "in" : "out");
		return;
	}
	snprintf(buf, REDACT_WHERE, "%s%s%.250s", t->what, t->name ? " " : "", t->name ? t->name : "");
	secrets_replace(r, buf);
}

/* ---- a redactor ------------------------------------------------------------------------------ */

static int take_rule(struct redactor *r, const struct redact_rule *from, struct err *err)
{
	struct rule *to = &r->rules[r->nrules];
	PCRE2_SIZE at;
	int error;

	to->r = *from;
	to->r.what = strdup(from->what);
	if (!to->r.what)
		return redact_no_memory(err);
	r->nrules++;
	if (from->kind == REDACT_JSON) {
		r->npaths++;
		return json_path_parse(&to->path, from->what, err);
	}
	if (from->kind != REDACT_REGEX)
		return 0;
	to->regex = pcre2_compile((PCRE2_SPTR)from->what, PCRE2_ZERO_TERMINATED, PCRE2_NEVER_BACKSLASH_C, &error, &at, NULL);
	if (!to->regex)
		return err_set(err, EINVAL, "regex '%.100s': wrong at character %zu", from->what, (size_t)at + 1);
	pcre2_jit_compile(to->regex, PCRE2_JIT_COMPLETE);
	return 0;
}

int redactor_new(struct redactor **ret, const struct redact_rule *rules, size_t n, const char *policy, struct err *err)
{
	_cleanup_redactor_ struct redactor *r = calloc(1, sizeof(*r));

	if (!r || !(r->policy = strdup(policy)) || !(r->rules = calloc(n + 1, sizeof(*r->rules))))
		return redact_no_memory(err);
	r->limits = pcre2_match_context_create(NULL);
	r->match = pcre2_match_data_create(1, NULL);
	if (!r->limits || !r->match)
		return redact_no_memory(err);
	pcre2_set_match_limit(r->limits, MATCH_LIMIT);
	pcre2_set_heap_limit(r->limits, MATCH_HEAP);
	if (getrandom(r->key, sizeof(r->key), 0) != sizeof(r->key))
		return err_sys(err, errno, "redaction: a random key");
	for (size_t i = 0; i < n; i++)
		if (take_rule(r, &rules[i], err) < 0)
			return -err->code;
	*ret = TAKE_PTR(r);
	return 0;
}

static void texts_clear(struct redactor *r)
{
	for (size_t i = 0; i < r->texts.n; i++) {
		free(r->texts.at[i].data);
		free(r->texts.at[i].out);
		free(r->texts.at[i].done);
	}
	for (size_t i = 0; i < r->bodies.n; i++) {
		free(r->bodies.at[i].own);
		free(r->bodies.at[i].pos);
	}
	free(r->texts.at);
	free(r->bodies.at);
	free(r->places.at);
	free(r->packed.at);
	free(r->fixes.at);
}

void redactor_free(struct redactor *r)
{
	if (!r)
		return;
	texts_clear(r);
	for (size_t i = 0; i < r->secrets.n; i++) {
		/* Nobody is to find them in what was freed. */
		explicit_bzero(r->secrets.at[i].plain, r->secrets.at[i].len);
		free(r->secrets.at[i].plain);
		free(r->secrets.at[i].token);
	}
	free(r->secrets.at);
	for (size_t i = 0; i < r->nrules; i++) {
		free(r->rules[i].r.what);
		json_path_clear(&r->rules[i].path);
		pcre2_code_free(r->rules[i].regex);
	}
	free(r->rules);
	for (size_t i = 0; i < r->memory.n; i++)
		free(r->memory.at[i]);
	free(r->memory.at);
	for (size_t i = 0; i < r->listed.n; i++)
		free(r->listed.at[i]);
	free(r->listed.at);
	for (size_t i = 0; i < r->notes.n; i++)
		free(r->notes.at[i]);
	free(r->notes.at);
	for (size_t i = 0; i < r->before.n; i++)
		free(r->before.at[i]);
	free(r->before.at);
	free(r->blobs.at);
	free(r->holes.at);
	table_clear(&r->streams);
	table_clear(&r->plains);
	table_clear(&r->tokens);
	free(r->first);
	pcre2_match_context_free(r->limits);
	pcre2_match_data_free(r->match);
	explicit_bzero(r->key, sizeof(r->key));
	free(r->policy);
	free(r);
}

/* ---- texts -------------------------------------------------------------------------------------- */

static int append(struct text *t, const void *data, size_t len, struct err *err)
{
	if (t->len + len > t->room) {
		size_t room = t->room ? t->room : len < 64 ? 64 : len;

		while (room < t->len + len)
			room *= 2;
		uint8_t *more = realloc(t->data, room);

		if (!more)
			return redact_no_memory(err);
		t->data = more;
		t->room = room;
	}
	if (len)
		memcpy(t->data + t->len, data, len);
	t->len += len;
	return 0;
}

/* A text of its own, with the place that it goes back to. */
static int text_new(struct redactor *r, const char *what, const void *data, size_t len, const struct fix *fix, struct err *err)
{
	struct text *t = list_add(&r->texts);
	struct fix *f = t ? list_add(&r->fixes) : NULL;

	if (!f)
		return redact_no_memory(err);
	t->what = what;
	*f = *fix;
	f->text = (uint32_t)(r->texts.n - 1);
	t->room = len ? len : 1;
	t->data = malloc(t->room);
	if (!t->data)
		return redact_no_memory(err);
	return append(t, data, len, err);
}

/* @at: a string, which is replaced there if it changes. */
static int string(struct redactor *r, const char *what, const char **at, struct err *err)
{
	if (!*at || !**at)
		return 0;
	return text_new(r, what, *at, strlen(*at), &(struct fix){ .string = at }, err);
}

/* A copy of a list of strings, whose elements may change. */
static int strings(struct redactor *r, const char *what, const char *const **list, size_t n, struct err *err)
{
	const char **copy = redact_own(r, malloc((n + 1) * sizeof(*copy)));
	int ret = 0;

	if (!copy)
		return redact_no_memory(err);
	for (size_t i = 0; i < n; i++)
		copy[i] = (*list)[i];
	copy[n] = NULL;
	for (size_t i = 0; ret == 0 && i < n; i++) {
		ret = string(r, what, &copy[i], err);
		if (ret == 0 && copy[i][0])
			r->texts.at[r->texts.n - 1].is_env = strcmp(what, "environment") == 0;
	}
	*list = copy;
	return ret;
}

static int stream_text(struct redactor *r, uint32_t object, bool in, uint32_t *ret, struct err *err)
{
	uint8_t key[SHA256_LEN] = { 0 };
	uint64_t *known, id = (uint64_t)object << 1 | in;
	struct text *t;

	memcpy(key, &id, sizeof(id));
	known = table_get(&r->streams, key);
	if (known) {
		*ret = (uint32_t)*known - 1;
		return 0;
	}
	t = list_add(&r->texts);
	if (!t)
		return redact_no_memory(err);
	*t = (struct text){ .is_stream = true, .in = in, .object = object };
	*ret = (uint32_t)(r->texts.n - 1);
	return table_add(&r->streams, key, r->texts.n, err);
}

/* Bytes that are no one's words. */
static bool is_number(const struct ev_call *c, const struct ev_seg *s)
{
	int fate = c->nr < SC_MAX ? sc_table[c->nr].fate : SC_NOROW;

	return s->arg == SEG_READY || s->arg == SEG_PLACE || s->arg == SEG_FLAGS || fate == SC_CLOCK || fate == SC_RANDOM || fate == SC_SLEEP ||
	       fate == SC_TIMED || fate == SC_TIMER || (fate == SC_WAIT && s->arg < SEG_LOCAL);
}

/*
 * The bytes of a call on a stream. What was only looked at (MSG_PEEK) or refused comes again; it is the same bytes
 * of the stream then, and a text of its own if not.
 */
static int stream_seg(struct redactor *r, const struct ev_call *c, struct ev_seg *s, struct err *err)
{
	int fate = sc_table[c->nr].fate;
	bool in = fate == SC_READ || (c->flags & CALL_TAKEN);
	bool peek = (c->nr == SYS_recvfrom && (c->args[3] & MSG_PEEK)) || (c->nr == SYS_recvmsg && (c->args[2] & MSG_PEEK));
	struct fix *f;
	uint32_t text = 0;

	if (stream_text(r, c->obj, in, &text, err) < 0)
		return -err->code;
	if (peek || c->ret < 0)
		return text_new(r, "words not taken", s->data, s->len, &(struct fix){ .seg = s, .twin = text + 1, .at = r->texts.at[text].len }, err);
	f = list_add(&r->fixes);
	if (!f)
		return redact_no_memory(err);
	*f = (struct fix){ .text = text, .seg = s, .at = r->texts.at[text].len };
	return append(&r->texts.at[text], s->data, s->len, err);
}

static int take_seg(struct redactor *r, struct ev_call *c, struct ev_seg *s, redact_load load, void *ctx, struct err *err)
{
	int payload = call_payload_arg(c->nr);
	uint8_t *data = NULL;
	size_t len = 0;

	if (!s->len || is_number(c, s))
		return 0;
	if (!s->data) {
		if (load(ctx, s->sha256, &data, &len, err) < 0)
			return -err->code;
		if (!redact_own(r, data))
			return redact_no_memory(err);
		if (len != s->len)
			return err_set(err, EBADMSG, "a call's bytes are %zu, not %llu", len, (unsigned long long)s->len);
		s->data = data;
	}
	if (c->obj && payload >= 0 && s->arg == payload)
		return stream_seg(r, c, s, err);
	return text_new(r, sc_name(c->nr) ? sc_name(c->nr) : "call", s->data, s->len, &(struct fix){ .seg = s }, err);
}

static int take_file(struct redactor *r, struct ev_file *f, redact_load load, void *ctx, struct err *err)
{
	_cleanup_free_ uint8_t *data = NULL;
	size_t len = 0;

	if (string(r, "path", &f->path, err) < 0 || string(r, "link", &f->target, err) < 0 || string(r, "path", &f->link, err) < 0)
		return -err->code;
	if (f->attributes.len && text_new(r, "attributes", f->attributes.data, f->attributes.len, &(struct fix){ .bytes = &f->attributes }, err) < 0)
		return -err->code;
	if (f->state != FILE_REGULAR || !(f->flags & FILE_CONTENT) || !f->has_hash || !f->size)
		return 0;
	if (load(ctx, f->sha256, &data, &len, err) < 0)
		return err->code == EFBIG ? err_in(err, "'%.200s' is too large to be looked through", f->path) : -err->code;
	if (text_new(r, "file", data, len, &(struct fix){ .file = f }, err) < 0)
		return -err->code;
	r->texts.at[r->texts.n - 1].name = f->path;
	return 0;
}

static int take_address(struct redactor *r, struct bytes *b, struct err *err)
{
	/* Names of unix sockets are words; others are numbers. */
	if (b->len <= 2 || b->data[0] != AF_UNIX)
		return 0;
	return text_new(r, "address", b->data, b->len, &(struct fix){ .bytes = b }, err);
}

static int take_event(struct redactor *r, struct event *e, redact_load load, void *ctx, struct err *err)
{
	int ret = 0;

	switch (e->kind) {
	case EV_CALL:
		for (uint32_t i = 0; ret == 0 && i < e->call.nsegs; i++)
			ret = take_seg(r, &e->call, &e->call.segs[i], load, ctx, err);
		return ret;
	case EV_EXEC:
		if (string(r, "path", &e->exec.path, err) < 0 || string(r, "directory", &e->exec.cwd, err) < 0 ||
		    strings(r, "argument", &e->exec.argv, e->exec.argc, err) < 0)
			return -err->code;
		return strings(r, "environment", &e->exec.env, e->exec.envc, err);
	case EV_OBJECT:
		if (take_address(r, &e->object.local, err) < 0 || take_address(r, &e->object.remote, err) < 0)
			return -err->code;
		return string(r, "path", &e->object.path, err);
	case EV_FILE:
	case EV_OUTPUT:
		return take_file(r, &e->file, load, ctx, err);
	case EV_HOLE:
		return string(r, "hole", &e->hole.where, err) < 0 || string(r, "hole", &e->hole.why, err) < 0 ? -err->code : 0;
	default:
		return 0;
	}
}

/* The manifest's texts change in their places. */
static int place(struct redactor *r, const char *what, char *at, bool is_env, struct err *err)
{
	if (!at || !*at)
		return 0;
	if (text_new(r, what, at, strlen(at), &(struct fix){ .place = at }, err) < 0)
		return -err->code;
	r->texts.at[r->texts.n - 1].is_env = is_env;
	return 0;
}

static int take_manifest(struct redactor *r, struct manifest *m, struct err *err)
{
	int ret = 0;

	for (char **at = m->argv; ret == 0 && at && *at; at++)
		ret = place(r, "argument", *at, false, err);
	for (char **at = m->env; ret == 0 && at && *at; at++)
		ret = place(r, "environment", *at, true, err);
	for (char **at = m->redacted; ret == 0 && at && *at; at++) {
		char **before = list_add(&r->before);

		if (!before || !(*before = strdup(*at)))
			return redact_no_memory(err);
	}
	return ret || place(r, "directory", m->cwd, false, err) < 0 ? -err->code : place(r, "signature", m->signature, false, err);
}

/* ---- rules that know no HTTP -------------------------------------------------------------------- */

static int env_places(struct redactor *r, uint32_t text, struct err *err)
{
	const struct text t = r->texts.at[text];
	const uint8_t *eq = memchr(t.data, '=', t.len);
	uint32_t body;

	if (!eq)
		return 0;
	_cleanup_free_ char *name = strndup((const char *)t.data, (size_t)(eq - t.data));
	if (!name)
		return redact_no_memory(err);
	for (uint32_t i = 0; i < r->nrules; i++) {
		size_t from = (size_t)(eq + 1 - t.data);

		if (r->rules[i].r.kind != REDACT_ENV || fnmatch(r->rules[i].r.what, name, 0) != 0 || from == t.len)
			continue;
		if (body_of(r, text, from, t.len - from, &body, err) < 0)
			return -err->code;
		return place_add(r, body, 0, t.len - from, CODE_PLAIN, i, r->rules[i].r.as, err);
	}
	return 0;
}

static int regex_places(struct redactor *r, uint32_t body, struct err *err)
{
	const struct body b = r->bodies.at[body];

	for (uint32_t i = 0; i < r->nrules; i++) {
		const struct rule *rule = &r->rules[i];

		for (size_t at = 0; rule->regex && at < b.len;) {
			const PCRE2_SIZE *v;
			int n = pcre2_match(rule->regex, b.data, b.len, at, 0, r->match, r->limits);

			if (n == PCRE2_ERROR_NOMATCH)
				break;
			if (n < 0)
				return err_set(err, EOVERFLOW, "redaction: regex '%.100s' takes too long or too much memory", rule->r.what);
			v = pcre2_get_ovector_pointer(r->match);
			/* \K in a lookahead can say anything. */
			if (v[1] > v[0] && v[1] <= b.len && place_add(r, body, v[0], v[1], CODE_PLAIN, i, rule->r.as, err) < 0)
				return -err->code;
			at = v[1] > at ? v[1] : at + 1;
		}
	}
	return 0;
}

static int find_regexes(struct redactor *r, struct err *err)
{
	size_t n = r->bodies.n;
	uint32_t body;

	if (!rules_have(r, REDACT_REGEX))
		return 0;
	for (size_t i = 0; i < n; i++)
		if (r->bodies.at[i].own && regex_places(r, (uint32_t)i, err) < 0)
			return -err->code;
	for (uint32_t i = 0; i < r->texts.n; i++)
		if (body_of(r, i, 0, r->texts.at[i].len, &body, err) < 0 || regex_places(r, body, err) < 0)
			return -err->code;
	return 0;
}

static int other_direction(struct redactor *r, const struct text *t, uint32_t *ret)
{
	uint8_t key[SHA256_LEN] = { 0 };
	uint64_t *known, id = (uint64_t)t->object << 1 | !t->in;

	memcpy(key, &id, sizeof(id));
	known = table_get(&r->streams, key);
	*ret = known ? (uint32_t)*known - 1 : UINT32_MAX;
	return known != NULL;
}

static int find_structured(struct redactor *r, struct err *err)
{
	int ret = 0;

	for (uint32_t i = 0; ret == 0 && i < r->texts.n; i++) {
		const struct text *t = &r->texts.at[i];
		uint32_t other;

		if (t->is_env)
			ret = env_places(r, i, err);
		if (!t->is_stream)
			continue;
		if (!other_direction(r, t, &other) || i < other)
			ret = http_places(r, t->in ? i : other, t->in ? other : i, err);
	}
	return ret;
}

/* ---- back into the events --------------------------------------------------------------------------- */

static int give_back_string(struct redactor *r, const struct text *t, const char **at, struct err *err)
{
	char *s = redact_own(r, strndup((const char *)t->out, t->len));

	if (!s)
		return redact_no_memory(err);
	*at = s;
	return 0;
}

/* What was looked at and came again has the stream's tokens: by itself it may end in the middle of a secret. */
static bool is_twin(const struct redactor *r, const struct fix *f)
{
	const struct text *t = f->twin ? &r->texts.at[f->twin - 1] : NULL;

	return t && f->at + f->seg->len <= t->len && memcmp(t->data + f->at, f->seg->data, f->seg->len) == 0;
}

static void give_back_seg(const struct redactor *r, const struct text *t, const struct fix *f)
{
	if (is_twin(r, f))
		t = &r->texts.at[f->twin - 1];
	if (t->out)
		f->seg->data = t->out + (f->twin && !is_twin(r, f) ? 0 : f->at);
}

static int give_back_file(struct redactor *r, const struct text *t, struct ev_file *f, struct err *err)
{
	struct redacted_blob *b = list_add(&r->blobs);

	if (!b)
		return redact_no_memory(err);
	*b = (struct redacted_blob){ t->out, t->len };
	sha256_of(t->out, t->len, f->sha256);
	return 0;
}

static int give_back(struct redactor *r, struct err *err)
{
	int ret = 0;

	for (size_t i = 0; ret == 0 && i < r->fixes.n; i++) {
		const struct fix *f = &r->fixes.at[i];
		const struct text *t = &r->texts.at[f->text];

		if (f->seg)
			give_back_seg(r, t, f);
		else if (!t->out)
			continue;
		else if (f->string)
			ret = give_back_string(r, t, f->string, err);
		else if (f->place)
			memcpy(f->place, t->out, t->len);
		else if (f->bytes)
			f->bytes->data = t->out;
		else
			ret = give_back_file(r, t, f->file, err);
	}
	return ret;
}

/* What the program wrote into files is known by hash only: it may have been a secret, and then both the hash and the comparison are wrong. */
static int forget_outputs(struct redactor *r, struct event *events, size_t n, struct err *err)
{
	uint64_t count = 0;
	const char *first = NULL;

	for (size_t i = 0; r->secrets.n && i < n; i++) {
		struct ev_file *f = &events[i].file;

		if (events[i].kind != EV_OUTPUT || f->state != FILE_REGULAR || !f->has_hash || (f->flags & FILE_CONTENT) || !f->size)
			continue;
		f->has_hash = false;
		memset(f->sha256, 0, sizeof(f->sha256));
		first = first ? first : f->path;
		count++;
	}
	if (!count)
		return 0;
	return redact_hole(r, "redacted", first, count, err, "what the program wrote into files may hold what was redacted: its hash was left out and is not compared");
}

static int say(struct redactor *r, char ***to, char *text, struct err *err)
{
	if (!redact_own(r, text))
		return redact_no_memory(err);
	/* A rule may be the secret itself. */
	secrets_replace(r, text);
	*(*to)++ = text;
	return 0;
}

__attribute__((format(printf, 4, 5)))
static int sayf(struct redactor *r, char ***to, struct err *err, const char *fmt, ...)
{
	char *text;
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&text, fmt, ap) < 0)
		text = NULL;
	va_end(ap);
	return say(r, to, text, err);
}

static int summary(struct redactor *r, struct err *err)
{
	char **list = redact_own(r, calloc(r->before.n + r->nrules + r->notes.n + r->listed.n + 2, sizeof(*list)));
	int ret = 0;

	if (!list)
		return redact_no_memory(err);
	r->list = list;
	for (size_t i = 0; ret == 0 && i < r->before.n; i++)
		ret = say(r, &list, strdup(r->before.at[i]), err);
	for (size_t i = 0; ret == 0 && i < r->nrules; i++)
		ret = sayf(r, &list, err, "%s: %s %s: %llu places, %llu bytes", r->policy, redact_kind_names[r->rules[i].r.kind], r->rules[i].r.what,
			   (unsigned long long)r->rules[i].places, (unsigned long long)r->rules[i].bytes);
	for (size_t i = 0; ret == 0 && i < r->notes.n; i++)
		ret = say(r, &list, strdup(r->notes.at[i]), err);
	for (size_t i = 0; ret == 0 && i < r->listed.n; i++)
		ret = say(r, &list, strdup(r->listed.at[i]), err);
	if (ret == 0 && r->nplaces > REDACT_LISTED)
		ret = sayf(r, &list, err, "and %llu more places", (unsigned long long)(r->nplaces - REDACT_LISTED));
	return ret;
}

static int look_through(struct redactor *r, struct err *err)
{
	if (find_structured(r, err) < 0 || find_regexes(r, err) < 0 || secrets_settle(r, err) < 0)
		return -err->code;
	return places_apply(r, err) < 0 || packed_blot(r, err) < 0 || secrets_find(r, err) < 0 ? -err->code : 0;
}

int redact(struct redactor *r, struct manifest *m, struct event *events, size_t n, redact_load load, void *ctx, struct err *err)
{
	if (take_manifest(r, m, err) < 0)
		return -err->code;
	for (size_t i = 0; i < n; i++)
		if (take_event(r, &events[i], load, ctx, err) < 0)
			return -err->code;
	if (look_through(r, err) < 0 || give_back(r, err) < 0 || forget_outputs(r, events, n, err) < 0)
		return -err->code;
	return summary(r, err);
}

size_t redacted_blobs(const struct redactor *r, const struct redacted_blob **ret)
{
	*ret = r->blobs.at;
	return r->blobs.n;
}

size_t redacted_holes(const struct redactor *r, const struct event **ret)
{
	*ret = r->holes.at;
	return r->holes.n;
}

char **redacted_list(const struct redactor *r)
{
	return r->list;
}

int redact_text(const struct redactor *r, const char *text, char **ret, struct err *err)
{
	*ret = strdup(text);
	if (!*ret)
		return redact_no_memory(err);
	secrets_replace(r, *ret);
	return 0;
}

uint64_t redacted_places(const struct redactor *r)
{
	return r->nplaces;
}
