/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The places in HTTP/1.x messages that rules name: headers, query parameters, form fields, JSON bodies. The parsing is http-parser's. A
 * stream that begins in the middle of a message, or is none of HTTP's, is read from the next place on that looks like the beginning of
 * one; what lies between is searched for lines that look like the headers.
 */
#include "watch/redact_internal.h"

#include "format/cleanup.h"

#include <ctype.h>
#include <errno.h>
#include <http_parser.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

enum { BOUNDARY = 72, INFLATED = 64 << 20, START_LINE = 16 << 10 };

enum encoding { AS_IT_IS, GZIP, FOREIGN };

struct methods {		/* of a connection's requests, in order: is it HEAD? */
	uint8_t *head;
	size_t n, room, at;
};

struct span {
	size_t from, len;
};

struct message {
	http_parser parser;	/* first: callbacks know the message by it */
	struct redactor *r;
	struct methods *methods;
	uint32_t text;
	const uint8_t *data;
	struct err *err;
	bool request;

	const char *name;	/* of the header that is being read */
	size_t name_len;
	bool in_value;
	bool form, json, multipart;
	enum encoding encoding;
	char boundary[BOUNDARY];
	LIST(struct span) spans;	/* of the body */
};

bool rules_have(const struct redactor *r, enum redact_kind kind)
{
	for (size_t i = 0; i < r->nrules; i++)
		if (r->rules[i].r.kind == kind)
			return true;
	return false;
}

static bool same(const uint8_t *p, size_t len, const char *word)
{
	return strlen(word) == len && strncasecmp((const char *)p, word, len) == 0;
}

/* Is @word in the value, whatever the case? */
static bool mentions(const uint8_t *p, size_t len, const char *word)
{
	size_t n = strlen(word);

	for (size_t i = 0; i + n <= len; i++)
		if (strncasecmp((const char *)p + i, word, n) == 0)
			return true;
	return false;
}

/* ---- a place in the text ------------------------------------------------------------------- */

static int add(struct redactor *r, uint32_t text, size_t from, size_t len, enum coding c, uint32_t rule, struct err *err)
{
	uint32_t body;

	if (!len)
		return 0;
	if (body_of(r, text, from, len, &body, err) < 0)
		return -err->code;
	return place_add(r, body, 0, len, c, rule, r->rules[rule].r.as, err);
}

/* ---- headers ---------------------------------------------------------------------------------- */

/* The values of "a=1; b=2"; of Set-Cookie's the first, behind which are attributes. */
static int cookies(struct redactor *r, uint32_t text, size_t from, size_t len, bool first_only, uint32_t rule, struct err *err)
{
	const uint8_t *p = r->texts.at[text].data + from, *end = p + len;
	int ret = 0;

	while (ret == 0 && p < end) {
		const uint8_t *stop = memchr(p, ';', (size_t)(end - p)), *eq;

		stop = stop ? stop : end;
		eq = memchr(p, '=', (size_t)(stop - p));
		eq = eq ? eq + 1 : p;	/* without a name all of it is the value */
		ret = add(r, text, (size_t)(eq - r->texts.at[text].data), (size_t)(stop - eq), CODE_PLAIN, rule, err);
		if (first_only)
			break;
		for (p = stop + 1; p < end && *p == ' '; p++)
			;
	}
	return ret;
}

/* "Bearer x": the scheme stays. "Basic x": what is in the base64 is the secret. */
static int credentials(struct redactor *r, uint32_t text, size_t from, size_t len, uint32_t rule, struct err *err)
{
	const uint8_t *p = r->texts.at[text].data + from, *space = memchr(p, ' ', len);
	size_t scheme = space ? (size_t)(space - p) : 0;
	enum coding c = CODE_PLAIN;

	if (space) {
		while (scheme < len && p[scheme] == ' ')
			scheme++;
		c = same(p, (size_t)(space - p), "Basic") ? CODE_BASE64 : CODE_PLAIN;
		from += scheme;
		len -= scheme;
	}
	while (c == CODE_BASE64 && len && p[scheme + len - 1] == '=')
		len--;
	return add(r, text, from, len, c, rule, err);
}

static int header(struct redactor *r, uint32_t text, const uint8_t *name, size_t name_len, size_t from, size_t len, struct err *err)
{
	const uint8_t *p = r->texts.at[text].data + from;

	while (len && (*p == ' ' || *p == '\t')) {
		p++;
		from++;
		len--;
	}
	while (len && (p[len - 1] == ' ' || p[len - 1] == '\t'))
		len--;
	for (uint32_t i = 0; i < r->nrules; i++) {
		const struct redact_rule *rule = &r->rules[i].r;

		if (rule->kind != REDACT_HEADER || !same(name, name_len, rule->what))
			continue;
		if (same(name, name_len, "cookie") || same(name, name_len, "set-cookie"))
			return cookies(r, text, from, len, name_len > 6, i, err);
		if (same(name, name_len, "authorization") || same(name, name_len, "proxy-authorization"))
			return credentials(r, text, from, len, i, err);
		return add(r, text, from, len, CODE_PLAIN, i, err);
	}
	return 0;
}

/* ---- name=value&name=value -------------------------------------------------------------------------- */

static bool same_parameter(const uint8_t *p, size_t len, const char *name)
{
	size_t n = 0, want = strlen(name);

	for (size_t i = 0; i < len;) {
		struct unit u;

		unit_decode(CODE_PERCENT, p + i, len - i, &u);
		if (n >= want || (uint8_t)name[n] != u.bytes[0])
			return false;
		n++;
		i += u.n;
	}
	return n == want;
}

/* In [@from, @to) of a body. */
static int parameters(struct redactor *r, uint32_t body, size_t from, size_t to, enum redact_kind kind, struct err *err)
{
	const uint8_t *data = r->bodies.at[body].data;
	int ret = 0;

	for (size_t at = from; ret == 0 && at < to;) {
		size_t end = at, eq;

		while (end < to && data[end] != '&' && data[end] != ';')
			end++;
		for (eq = at; eq < end && data[eq] != '='; eq++)
			;
		for (uint32_t i = 0; ret == 0 && eq < end && i < r->nrules; i++)
			if (r->rules[i].r.kind == kind && same_parameter(data + at, eq - at, r->rules[i].r.what))
				ret = place_add(r, body, eq + 1, end, CODE_PERCENT, i, r->rules[i].r.as, err);
		at = end + 1;
	}
	return ret;
}

static int on_url(http_parser *parser, const char *at, size_t len)
{
	struct message *m = (struct message *)parser;
	const char *query = memchr(at, '?', len), *fragment;
	uint32_t body;

	if (!query || !rules_have(m->r, REDACT_QUERY))
		return 0;
	query++;
	len -= (size_t)(query - at);
	fragment = memchr(query, '#', len);
	if (fragment)
		len = (size_t)(fragment - query);
	if (body_of(m->r, m->text, (size_t)((const uint8_t *)query - m->data), len, &body, m->err) < 0)
		return 1;
	return parameters(m->r, body, 0, len, REDACT_QUERY, m->err) < 0;
}

/* ---- multipart/form-data ------------------------------------------------------------------------------ */

/* Of a part's headers in [@p, @end): name="..."; NULL: none. */
static const uint8_t *part_name(const uint8_t *p, const uint8_t *end, size_t *len)
{
	static const char key[] = "name=\"";
	const uint8_t *at = p, *quote;

	while ((at = memmem(at, (size_t)(end - at), key, sizeof(key) - 1))) {
		bool whole = at > p && (at[-1] == ' ' || at[-1] == ';');

		at += sizeof(key) - 1;
		quote = memchr(at, '"', (size_t)(end - at));
		if (!quote)
			return NULL;
		*len = (size_t)(quote - at);
		if (whole)
			return at;
	}
	return NULL;
}

static int parts(struct redactor *r, uint32_t body, const char *boundary, struct err *err)
{
	const struct body b = r->bodies.at[body];
	const uint8_t *at = b.data, *end = b.data + b.len, *next, *name, *content;
	char mark[BOUNDARY + 2];
	size_t n = (size_t)snprintf(mark, sizeof(mark), "--%s", boundary), len;
	int ret = 0;

	at = memmem(at, b.len, mark, n);
	for (; ret == 0 && at; at = next) {
		at += n;
		next = memmem(at, (size_t)(end - at), mark, n);
		content = memmem(at, (size_t)((next ? next : end) - at), "\r\n\r\n", 4);
		if (!content || !(name = part_name(at, content, &len)))
			continue;
		content += 4;
		size_t to = (size_t)((next ? next : end) - b.data);

		if (next && to >= 2 + (size_t)(content - b.data))
			to -= 2;
		for (uint32_t i = 0; ret == 0 && i < r->nrules; i++)
			if (r->rules[i].r.kind == REDACT_FORM && strlen(r->rules[i].r.what) == len && memcmp(name, r->rules[i].r.what, len) == 0)
				ret = place_add(r, body, (size_t)(content - b.data), to, CODE_PLAIN, i, r->rules[i].r.as, err);
	}
	return ret;
}

/* ---- bodies ----------------------------------------------------------------------------------------------- */

static int on_begin(http_parser *parser)
{
	struct message *m = (struct message *)parser;

	m->name = NULL;
	m->in_value = m->form = m->json = m->multipart = false;
	m->encoding = AS_IT_IS;
	m->boundary[0] = 0;
	m->spans.n = 0;
	return 0;
}

static int on_field(http_parser *parser, const char *at, size_t len)
{
	struct message *m = (struct message *)parser;

	if (m->in_value || !m->name) {
		m->name = at;
		m->name_len = 0;
	}
	m->in_value = false;
	m->name_len += len;
	return 0;
}

static void take_boundary(struct message *m, const uint8_t *p, size_t len)
{
	static const char key[] = "boundary=";
	const uint8_t *at = NULL;
	size_t n = 0;

	for (size_t i = 0; !at && i + sizeof(key) - 1 < len; i++)
		if (strncasecmp((const char *)p + i, key, sizeof(key) - 1) == 0)
			at = p + i + sizeof(key) - 1;
	if (!at)
		return;
	if (*at == '"')
		at++;
	while (at + n < p + len && n < sizeof(m->boundary) - 1 && at[n] != '"' && at[n] != ';' && at[n] != ' ')
		n++;
	memcpy(m->boundary, at, n);
	m->boundary[n] = 0;
	m->multipart = n > 0;
}

static int on_value(http_parser *parser, const char *at, size_t len)
{
	struct message *m = (struct message *)parser;
	const uint8_t *name = (const uint8_t *)m->name, *p = (const uint8_t *)at;

	m->in_value = true;
	if (!m->name)
		return 0;
	if (same(name, m->name_len, "content-type")) {
		m->form |= mentions(p, len, "x-www-form-urlencoded");
		m->json |= mentions(p, len, "json");
		if (mentions(p, len, "multipart/form-data"))
			take_boundary(m, p, len);
	}
	if (same(name, m->name_len, "content-encoding") && len && !mentions(p, len, "identity"))
		m->encoding = same(p, len, "gzip") || same(p, len, "deflate") || same(p, len, "x-gzip") ? GZIP : FOREIGN;
	return header(m->r, m->text, name, m->name_len, (size_t)(p - m->data), len, m->err) < 0;
}

static int on_headers(http_parser *parser)
{
	struct message *m = (struct message *)parser;
	struct methods *l = m->methods;

	if (m->request) {
		if (l->n == l->room) {
			size_t room = l->room ? l->room * 2 : 64;
			uint8_t *more = realloc(l->head, room);

			if (!more) {
				redact_no_memory(m->err);
				return -1;
			}
			l->head = more;
			l->room = room;
		}
		l->head[l->n++] = parser->method == HTTP_HEAD;
		return 0;
	}
	if (parser->status_code >= 200)
		l->at++;
	return parser->status_code >= 200 && l->at <= l->n && l->head[l->at - 1];
}

static int on_body(http_parser *parser, const char *at, size_t len)
{
	struct message *m = (struct message *)parser;
	struct span *s = list_add(&m->spans);

	if (!s) {
		redact_no_memory(m->err);
		return 1;
	}
	*s = (struct span){ (size_t)((const uint8_t *)at - m->data), len };
	return 0;
}

/* The spans as one body: where there are several, put together. */
static int whole_body(struct message *m, uint32_t *ret)
{
	struct body *b;
	size_t len = 0, at = 0;

	if (m->spans.n == 1)
		return body_of(m->r, m->text, m->spans.at[0].from, m->spans.at[0].len, ret, m->err);
	for (size_t i = 0; i < m->spans.n; i++)
		len += m->spans.at[i].len;
	b = list_add(&m->r->bodies);
	if (!b)
		return redact_no_memory(m->err);
	b->text = m->text;
	b->own = malloc(len ? len : 1);
	b->pos = malloc((len ? len : 1) * sizeof(*b->pos));
	b->data = b->own;
	if (!b->own || !b->pos)
		return redact_no_memory(m->err);
	for (size_t i = 0; i < m->spans.n; i++)
		for (size_t k = 0; k < m->spans.at[i].len; k++) {
			b->own[at] = m->data[m->spans.at[i].from + k];
			b->pos[at++] = m->spans.at[i].from + k;
		}
	b->len = len;
	*ret = (uint32_t)(m->r->bodies.n - 1);
	return 0;
}

/* What is in a gzip or deflate body, as a detached one; UINT32_MAX: it can't be told. */
static int unpack(struct message *m, uint32_t packed, uint32_t *ret)
{
	const struct body *b = &m->r->bodies.at[packed];
	z_stream z = { .next_in = (uint8_t *)b->data, .avail_in = (unsigned int)b->len };
	_cleanup_free_ uint8_t *out = NULL;
	size_t len = 0, room = 0;
	int n = Z_OK;

	*ret = UINT32_MAX;
	if (b->len > INFLATED || inflateInit2(&z, 15 + 32) != Z_OK)
		return 0;
	while (n == Z_OK) {
		if (len == room) {
			room = room ? room * 2 : 64 << 10;
			uint8_t *more = room <= INFLATED ? realloc(out, room) : NULL;

			if (!more)
				break;
			out = more;
		}
		z.next_out = out + len;
		z.avail_out = (unsigned int)(room - len);
		n = inflate(&z, Z_NO_FLUSH);
		len = room - z.avail_out;
	}
	inflateEnd(&z);
	if (n != Z_STREAM_END || z.avail_in)
		return 0;
	struct body *inside = list_add(&m->r->bodies);
	if (!inside)
		return redact_no_memory(m->err);
	*inside = (struct body){ .text = m->text, .own = out, .data = out, .len = len, .detached = true };
	out = NULL;
	*ret = (uint32_t)(m->r->bodies.n - 1);
	return 0;
}

static int structured(struct message *m, uint32_t body)
{
	const uint8_t *p = m->r->bodies.at[body].data;
	size_t len = m->r->bodies.at[body].len, i = 0;

	while (i < len && isspace(p[i]))
		i++;
	if (m->form && parameters(m->r, body, 0, len, REDACT_FORM, m->err) < 0)
		return -m->err->code;
	if (m->multipart && parts(m->r, body, m->boundary, m->err) < 0)
		return -m->err->code;
	if (m->r->npaths && i < len && (m->json || p[i] == '{' || p[i] == '['))
		return json_places(m->r, body, m->err);
	return 0;
}

static int body_places(struct message *m)
{
	struct packed p = { 0, UINT32_MAX }, *added;

	if (!m->spans.n)
		return 0;
	if (whole_body(m, &p.body) < 0)
		return -m->err->code;
	m->spans.n = 0;
	if (m->encoding == AS_IT_IS)
		return structured(m, p.body);
	if (m->encoding == GZIP && unpack(m, p.body, &p.inside) < 0)
		return -m->err->code;
	added = list_add(&m->r->packed);
	if (!added)
		return redact_no_memory(m->err);
	*added = p;
	return p.inside == UINT32_MAX ? 0 : structured(m, p.inside);
}

static int on_complete(http_parser *parser)
{
	struct message *m = (struct message *)parser;

	return body_places(m) < 0;
}

static const http_parser_settings settings = {
	.on_message_begin = on_begin, .on_url = on_url, .on_header_field = on_field, .on_header_value = on_value,
	.on_headers_complete = on_headers, .on_body = on_body, .on_message_complete = on_complete,
};

/* ---- streams ------------------------------------------------------------------------------------------------- */

/* Lines that look like the headers of rules, where nothing was understood. */
static int loose_headers(struct redactor *r, uint32_t text, size_t from, size_t to, struct err *err)
{
	const uint8_t *data = r->texts.at[text].data;

	while (from < to) {
		const uint8_t *line = data + from, *end = memchr(line, '\n', to - from), *colon;
		size_t len = end ? (size_t)(end - line) : to - from;

		colon = memchr(line, ':', len < 80 ? len : 80);
		if (colon) {
			size_t value = (size_t)(colon + 1 - line), n = len;

			if (n > value && line[n - 1] == '\r')
				n--;
			if (header(r, text, line, value - 1, from + value, n - value, err) < 0)
				return -err->code;
		}
		from += len + 1;
	}
	return 0;
}

static const char *const method_names[] = { "GET ", "POST ", "PUT ", "PATCH ", "DELETE ", "HEAD ", "OPTIONS ", "CONNECT ", "TRACE " };

/* Where the next message may begin, from @at on; the length: nowhere. */
static size_t request_start(const struct text *t, size_t at)
{
	size_t begin = at;

	while (at < t->len) {
		const uint8_t *end = memmem(t->data + at, t->len - at, " HTTP/1.", 8), *best = NULL;
		size_t from;

		if (!end)
			break;
		from = (size_t)(end - t->data) > START_LINE + begin ? (size_t)(end - t->data) - START_LINE : begin;
		for (size_t i = 0; i < sizeof(method_names) / sizeof(method_names[0]); i++) {
			size_t n = strlen(method_names[i]);

			for (const uint8_t *p = end - n; p >= t->data + from && p[n] != '\n'; p--)
				if (memcmp(p, method_names[i], n) == 0) {
					best = !best || p > best ? p : best;
					break;
				}
		}
		if (best)
			return (size_t)(best - t->data);
		at = (size_t)(end - t->data) + 8;
	}
	return t->len;
}

static size_t answer_start(const struct text *t, size_t at)
{
	const uint8_t *p;

	while (at < t->len && (p = memmem(t->data + at, t->len - at, "HTTP/1.", 7))) {
		at = (size_t)(p - t->data);
		if (t->len - at > 12 && p[8] == ' ' && isdigit(p[9]) && isdigit(p[10]) && isdigit(p[11]))
			return at;
		at++;
	}
	return t->len;
}

static int read_stream(struct redactor *r, uint32_t text, bool request, struct methods *methods, struct err *err)
{
	const struct text t = r->texts.at[text];
	struct message m = { .r = r, .methods = methods, .text = text, .data = t.data, .err = err, .request = request };
	size_t at = 0, start, n;
	int ret = 0;

	while (ret == 0 && at < t.len) {
		start = request ? request_start(&t, at) : answer_start(&t, at);
		if (loose_headers(r, text, at, start, err) < 0)
			break;
		at = start;
		if (at >= t.len)
			break;
		http_parser_init(&m.parser, request ? HTTP_REQUEST : HTTP_RESPONSE);
		on_begin(&m.parser);
		n = http_parser_execute(&m.parser, &settings, (const char *)t.data + at, t.len - at);
		if (!err->code && n == t.len - at && !m.parser.upgrade)
			http_parser_execute(&m.parser, &settings, NULL, 0);
		/* What was cut off has a body all the same. */
		if (!err->code)
			ret = body_places(&m);
		if (!err->code && m.parser.upgrade && at + n < t.len)
			ret = redact_note(r, "object %u %s: not HTTP any more from byte %zu on, where only patterns are looked for", t.object, t.in ? "in" : "out", at + n);
		at += n ? n : 1;
	}
	free(m.spans.at);
	return err->code ? -err->code : ret;
}

static bool is_http2(const struct text *t)
{
	static const char preface[] = "PRI * HTTP/2.0\r\n";

	return t->len >= sizeof(preface) - 1 && memcmp(t->data, preface, sizeof(preface) - 1) == 0;
}

static int one_stream(struct redactor *r, uint32_t text, struct methods *methods, struct err *err)
{
	const struct text *t = &r->texts.at[text];

	if (is_http2(t) && redact_note(r, "object %u: HTTP/2, in which only patterns are looked for", t->object) < 0)
		return redact_no_memory(err);
	return read_stream(r, text, request_start(t, 0) < answer_start(t, 0), methods, err);
}

int http_places(struct redactor *r, uint32_t in, uint32_t out, struct err *err)
{
	struct methods methods = { 0 };
	uint32_t order[2] = { in, out };
	int ret = 0;

	if (in != UINT32_MAX && out != UINT32_MAX && request_start(&r->texts.at[out], 0) < answer_start(&r->texts.at[out], 0)) {
		order[0] = out;		/* requests first: they say which answers have no body */
		order[1] = in;
	}
	for (int i = 0; ret == 0 && i < 2; i++)
		if (order[i] != UINT32_MAX)
			ret = one_stream(r, order[i], &methods, err);
	free(methods.head);
	return ret;
}

/* ---- compressed bodies ------------------------------------------------------------------------------------------ */

static bool holds_secret(const struct redactor *r, uint32_t body)
{
	if (secrets_in(r, r->bodies.at[body].data, r->bodies.at[body].len))
		return true;
	for (size_t i = 0; i < r->places.n; i++)
		if (r->places.at[i].body == body)
			return true;
	return false;
}

int packed_blot(struct redactor *r, struct err *err)
{
	for (size_t i = 0; i < r->packed.n; i++) {
		uint32_t body = r->packed.at[i].body, inside = r->packed.at[i].inside;
		char where[REDACT_WHERE];

		if (!r->nrules || (inside != UINT32_MAX && !holds_secret(r, inside)))
			continue;
		redact_where(r, &r->texts.at[r->bodies.at[body].text], where);
		if (body_blot(r, body, 0, err) < 0 ||
		    redact_hole(r, "body", where, 1, err, "a compressed body of %zu bytes may hold what is to be redacted and was overwritten", r->bodies.at[body].len) < 0)
			return -err->code;
	}
	return 0;
}
