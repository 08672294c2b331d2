/* SPDX-License-Identifier: Apache-2.0 */
/* Secrets, their tokens, and where they stand. */
#include "watch/redact_internal.h"

#include "format/cleanup.h"
#include "format/sha256.h"
#include "format/text.h"

#include <ctype.h>
#include <errno.h>
#include <openssl/hmac.h>
#include <stdlib.h>
#include <string.h>

/* ---- codings ----------------------------------------------------------------------- */

static const char base64_chars[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static int base64_value(uint8_t c)
{
	const char *at = c ? strchr(base64_chars, c) : NULL;

	return at ? (int)(at - base64_chars) : c == '-' ? 62 : c == '_' ? 63 : -1;
}

static int hex_value(uint8_t c)
{
	return c >= '0' && c <= '9' ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : -1;
}

static int hex4(const uint8_t *p)
{
	int n = 0;

	for (int i = 0; i < 4; i++) {
		if (hex_value(p[i]) < 0)
			return -1;
		n = n * 16 + hex_value(p[i]);
	}
	return n;
}

static uint8_t utf8_put(uint32_t c, uint8_t *p)
{
	if (c < 0x80) {
		p[0] = (uint8_t)c;
		return 1;
	}
	if (c < 0x800) {
		p[0] = (uint8_t)(0xc0 | c >> 6);
		p[1] = (uint8_t)(0x80 | (c & 63));
		return 2;
	}
	if (c < 0x10000) {
		p[0] = (uint8_t)(0xe0 | c >> 12);
		p[1] = (uint8_t)(0x80 | (c >> 6 & 63));
		p[2] = (uint8_t)(0x80 | (c & 63));
		return 3;
	}
	p[0] = (uint8_t)(0xf0 | c >> 18);
	p[1] = (uint8_t)(0x80 | (c >> 12 & 63));
	p[2] = (uint8_t)(0x80 | (c >> 6 & 63));
	p[3] = (uint8_t)(0x80 | (c & 63));
	return 4;
}

static void decode_json(const uint8_t *p, size_t len, struct unit *u)
{
	static const char from[] = "bfnrt\"\\/", to[] = "\b\f\n\r\t\"\\/";
	const char *at;
	int c, low;

	if (len < 2 || p[0] != '\\')
		return;
	at = p[1] ? strchr(from, p[1]) : NULL;
	if (at) {
		u->n = 2;
		u->bytes[0] = (uint8_t)to[at - from];
		return;
	}
	c = p[1] == 'u' && len >= 6 ? hex4(p + 2) : -1;
	if (c < 0)
		return;
	u->n = 6;
	if (c >= 0xd800 && c < 0xdc00 && len >= 12 && p[6] == '\\' && p[7] == 'u' && (low = hex4(p + 8)) >= 0xdc00 && low < 0xe000) {
		u->n = 12;
		c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
	}
	u->nbytes = utf8_put((uint32_t)c, u->bytes);
}

static void decode_base64(const uint8_t *p, size_t len, struct unit *u)
{
	uint32_t bits = 0;
	size_t n = 0;

	while (n < 4 && n < len && base64_value(p[n]) >= 0)
		bits = bits << 6 | (uint32_t)base64_value(p[n++]);
	if (n < 2)
		return;
	bits <<= 6 * (4 - n);
	u->n = n;
	u->nbytes = (uint8_t)(n - 1);
	for (int i = 0; i < 3; i++)
		u->bytes[i] = (uint8_t)(bits >> (16 - 8 * i));
}

void unit_decode(enum coding c, const uint8_t *p, size_t len, struct unit *u)
{
	*u = (struct unit){ .n = 1, .bytes = { p[0] }, .nbytes = 1 };
	if (c == CODE_PERCENT && p[0] == '%' && len >= 3 && hex_value(p[1]) >= 0 && hex_value(p[2]) >= 0) {
		u->n = 3;
		u->bytes[0] = (uint8_t)(hex_value(p[1]) * 16 + hex_value(p[2]));
	} else if (c == CODE_PERCENT && p[0] == '+') {
		u->bytes[0] = ' ';
	} else if (c == CODE_JSON) {
		decode_json(p, len, u);
	} else if (c == CODE_BASE64) {
		decode_base64(p, len, u);
	} else if (c == CODE_LATIN1) {
		u->nbytes = utf8_put(p[0], u->bytes);
	}
}

/* In the case of what stands at @p. */
static void put_hex(const uint8_t *p, uint32_t value, int digits, uint8_t *out)
{
	bool upper = false;

	for (int i = 0; i < digits; i++)
		upper |= p[i] >= 'A' && p[i] <= 'F';
	for (int i = digits - 1; i >= 0; i--, value >>= 4)
		out[i] = (uint8_t)(upper ? "0123456789ABCDEF" : "0123456789abcdef")[value & 15];
}

static void encode_json(const uint8_t *p, const struct unit *u, uint8_t *out)
{
	uint32_t c = 0;

	if (u->n < 6) {
		memcpy(out, p, u->n);	/* an escape, which a token leaves alone */
		return;
	}
	memcpy(out, p, u->n);
	if (!utf8_next(u->bytes, u->nbytes, &c))
		return;		/* half of a pair: no character, and left */
	if (u->n == 6) {
		put_hex(p + 2, c, 4, out + 2);
	} else {
		c -= 0x10000;
		put_hex(p + 2, 0xd800 + (c >> 10), 4, out + 2);
		put_hex(p + 8, 0xdc00 + (c & 1023), 4, out + 8);
	}
}

static void encode_base64(const uint8_t *p, const struct unit *u, uint8_t *out)
{
	uint32_t bits = (uint32_t)u->bytes[0] << 16 | (u->nbytes > 1 ? (uint32_t)u->bytes[1] << 8 : 0) | (u->nbytes > 2 ? u->bytes[2] : 0);

	for (size_t i = 0; i < u->n; i++) {
		out[i] = (uint8_t)base64_chars[bits >> (18 - 6 * i) & 63];
		/* The other alphabet, where that is seen. */
		if ((p[i] == '-' || p[i] == '_') && (out[i] == '+' || out[i] == '/'))
			out[i] = out[i] == '+' ? '-' : '_';
	}
}

void unit_encode(enum coding c, const uint8_t *p, const struct unit *u, uint8_t *out)
{
	if (c == CODE_PERCENT && u->n == 3) {
		out[0] = '%';
		put_hex(p + 1, u->bytes[0], 2, out + 1);
	} else if (c == CODE_PERCENT && p[0] == '+') {
		out[0] = '+';
	} else if (c == CODE_JSON && u->n > 1) {
		encode_json(p, u, out);
	} else if (c == CODE_BASE64 && u->n > 1) {
		encode_base64(p, u, out);
	} else if (c == CODE_LATIN1 && u->nbytes == 2) {
		out[0] = (uint8_t)(u->bytes[0] << 6 | (u->bytes[1] & 63));
	} else {
		out[0] = u->bytes[0];
	}
}

/* ---- bodies ---------------------------------------------------------------------------- */

static size_t where(const struct body *b, size_t i)
{
	return b->pos ? b->pos[i] : b->from + i;
}

static int start_writing(struct text *t, struct err *err)
{
	if (t->out)
		return 0;
	t->out = malloc(t->len ? t->len : 1);
	t->done = calloc(t->len ? t->len : 1, 1);
	if (!t->out || !t->done)
		return redact_no_memory(err);
	memcpy(t->out, t->data, t->len);
	return 0;
}

int body_of(struct redactor *r, uint32_t text, size_t from, size_t len, uint32_t *ret, struct err *err)
{
	struct body *b = list_add(&r->bodies);

	if (!b)
		return redact_no_memory(err);
	*b = (struct body){ .text = text, .data = r->texts.at[text].data + from, .len = len, .from = from };
	*ret = (uint32_t)(r->bodies.n - 1);
	return 0;
}

/* ---- tokens ------------------------------------------------------------------------------ */

struct stream {			/* of bytes that only the key and the secret decide */
	const struct redactor *r;
	struct { uint32_t salt, block; uint8_t hash[SHA256_LEN]; } message;	/* the hash of the secret stands for it */
	uint32_t at;
	uint8_t bytes[32];
};

static uint32_t draw(struct stream *s, uint32_t below)
{
	if (s->at == 0 || s->at + 4 > sizeof(s->bytes)) {
		unsigned int n = sizeof(s->bytes);

		HMAC(EVP_sha256(), s->r->key, sizeof(s->r->key), (const uint8_t *)&s->message, sizeof(s->message), s->bytes, &n);
		s->message.block++;
		s->at = 0;
	}
	uint32_t value;

	memcpy(&value, s->bytes + s->at, sizeof(value));
	s->at += sizeof(value);
	return value % below;
}

/* The word of letters and digits at @p is hexadecimal, and so must its token be. */
static size_t hex_word(const uint8_t *p, size_t len)
{
	size_t n = 0;
	bool digit = false, other = false;

	for (; n < len && isalnum(p[n]); n++) {
		digit |= isdigit(p[n]) != 0;
		other |= !isxdigit(p[n]);
	}
	return n >= 8 && digit && !other ? n : 0;
}

/* Another character of as many bytes; 0: @p begins none. */
static size_t beyond_ascii(struct stream *s, const uint8_t *p, size_t len, uint8_t *out)
{
	uint32_t c;
	size_t n = utf8_next(p, len, &c);

	if (n < 2)
		return 0;
	if (n == 2 && c < 0x100)
		utf8_put(0xc0 + draw(s, 0x40), out);	/* ISO 8859-1 can still say it */
	else if (n == 2)
		utf8_put(0x100 + draw(s, 0x700), out);
	else if (n == 3)
		utf8_put(0x1000 + draw(s, 0xc000), out);	/* up to U+CFFF: no surrogates */
	else
		utf8_put(0x10000 + draw(s, 0x100000), out);
	return n;
}

static void make_token(struct redactor *r, const struct secret *x, uint32_t salt, uint8_t *out)
{
	struct stream s = { .r = r, .message.salt = salt };
	size_t hex = 0, n;
	bool run = false;

	sha256_of(x->plain, x->len, s.message.hash);
	for (size_t i = 0; i < x->len; i += n) {
		const uint8_t c = x->plain[i];

		n = 1;
		if (!hex && x->as == AS_TOKEN && (i == 0 || !isalnum(x->plain[i - 1])))
			hex = hex_word(x->plain + i, x->len - i);
		if (isdigit(c))		/* a number stays one: no zeros in front that were not there */
			out[i] = (uint8_t)(run ? '0' + draw(&s, 10) : c == '0' ? '0' : '1' + draw(&s, 9));
		else if (x->as == AS_DIGITS)
			out[i] = c;
		else if (isupper(c))
			out[i] = (uint8_t)('A' + draw(&s, hex ? 6 : 26));
		else if (islower(c))
			out[i] = (uint8_t)('a' + draw(&s, hex ? 6 : 26));
		else if (c >= 0x80 && (n = beyond_ascii(&s, x->plain + i, x->len - i, out + i)) == 0)
			out[i] = (uint8_t)(0x80 + draw(&s, 0x80)), n = 1;
		else if (c < 0x80)
			out[i] = c;
		run = isdigit(c) != 0;
		hex -= hex ? 1 : 0;
	}
}

/* ---- the secrets ------------------------------------------------------------------------- */

static uint32_t first_of(const uint8_t *p)
{
	uint64_t v = 0;

	memcpy(&v, p, REDACT_ELSEWHERE);
	return (uint32_t)(v * 0x9e3779b97f4a7c15u >> 48);
}
_Static_assert(FIRSTS == 1 << 16, "first_of() gives 16 bits");

static int secret_add(struct redactor *r, uint8_t *plain, size_t len, enum redact_as as, uint32_t rule, uint32_t *ret, struct err *err)
{
	uint8_t key[SHA256_LEN];
	uint64_t *known;
	struct secret *s;

	sha256_of(plain, len, key);
	known = table_get(&r->plains, key);
	if (known) {
		free(plain);
		*ret = (uint32_t)*known - 1;
		/* What hides more holds. */
		if (as == AS_TOKEN)
			r->secrets.at[*ret].as = AS_TOKEN;
		return 0;
	}
	s = list_add(&r->secrets);
	if (!s) {
		free(plain);
		return redact_no_memory(err);
	}
	*s = (struct secret){ .plain = plain, .len = len, .as = as, .rule = rule };
	*ret = (uint32_t)(r->secrets.n - 1);
	return table_add(&r->plains, key, r->secrets.n, err);
}

int place_add(struct redactor *r, uint32_t body, size_t from, size_t to, enum coding c, uint32_t rule, enum redact_as as, struct err *err)
{
	const struct body *b = &r->bodies.at[body];
	struct place p = { .body = body, .from = from, .to = to, .coding = c, .rule = rule };
	struct place *added;
	size_t n = 0;
	uint8_t *plain;

	if (from >= to)
		return 0;
	plain = malloc(to - from + 4);
	if (!plain)
		return redact_no_memory(err);
	for (size_t i = from; i < to;) {
		struct unit u;

		unit_decode(c, b->data + i, to - i, &u);
		memcpy(plain + n, u.bytes, u.nbytes);
		n += u.nbytes;
		i += u.n;
	}
	if (secret_add(r, plain, n, as, rule, &p.secret, err) < 0)
		return -err->code;
	added = list_add(&r->places);
	if (!added)
		return redact_no_memory(err);
	*added = p;
	return 0;
}

/* The longest secret that begins at @p and is shorter than @max; NULL: none. */
static const struct secret *secret_at(const struct redactor *r, const uint8_t *p, size_t len, size_t max)
{
	const struct secret *best = NULL;

	if (len < REDACT_ELSEWHERE)
		return NULL;
	for (uint32_t i = r->first[first_of(p)]; i; i = r->secrets.at[i - 1].next) {
		const struct secret *s = &r->secrets.at[i - 1];

		if (s->len <= len && s->len < max && (!best || s->len > best->len) && memcmp(s->plain, p, s->len) == 0)
			best = s;
	}
	return best;
}

static bool only_digits(const struct secret *s)
{
	for (size_t i = 0; i < s->len; i++)
		if (isalpha(s->plain[i]) || s->plain[i] >= 0x80)
			return false;
	return true;
}

/* What is a secret by itself has the same token inside a longer one, since the program may take that apart. */
static void put_inner_tokens(const struct redactor *r, const struct secret *s, uint8_t *token)
{
	for (size_t i = 0; i + REDACT_ELSEWHERE <= s->len;) {
		const struct secret *inner = secret_at(r, s->plain + i, s->len - i, s->len);

		if (inner && (inner->as == AS_TOKEN || only_digits(inner))) {
			memcpy(token + i, inner->token, inner->len);
			i += inner->len;
		} else {
			i++;
		}
	}
}

static int settle(struct redactor *r, uint32_t i, struct err *err)
{
	struct secret *s = &r->secrets.at[i];
	uint8_t key[SHA256_LEN];
	uint32_t salt = 0, h;

	s->token = malloc(s->len);
	if (!s->token)
		return redact_no_memory(err);
	/* Two secrets with one token would be one to the program; short ones can't help it. */
	do {
		make_token(r, s, salt, s->token);
		put_inner_tokens(r, s, s->token);
		sha256_of(s->token, s->len, key);
	} while (salt++ < 64 && s->len >= REDACT_ELSEWHERE && (table_get(&r->tokens, key) || table_get(&r->plains, key)));
	if (!table_get(&r->tokens, key) && table_add(&r->tokens, key, 1, err) < 0)
		return -err->code;
	for (size_t k = 0; k < s->len; k++)
		r->latin |= s->plain[k] == 0xc2 || s->plain[k] == 0xc3;
	if (s->len > r->longest)
		r->longest = s->len;
	if (s->len >= REDACT_ELSEWHERE) {
		h = first_of(s->plain);
		s->next = r->first[h];
		r->first[h] = i + 1;
	}
	return 0;
}

static int by_length(const void *a, const void *b, void *secrets)
{
	const struct secret *s = secrets, *x = &s[*(const uint32_t *)a], *y = &s[*(const uint32_t *)b];

	return x->len != y->len ? (x->len < y->len ? -1 : 1) : *(const uint32_t *)a < *(const uint32_t *)b ? -1 : 1;
}

int secrets_settle(struct redactor *r, struct err *err)
{
	_cleanup_free_ uint32_t *order = malloc((r->secrets.n + 1) * sizeof(*order));
	int ret = 0;

	r->first = calloc(FIRSTS, sizeof(*r->first));
	if (!order || !r->first)
		return redact_no_memory(err);
	for (size_t i = 0; i < r->secrets.n; i++)
		order[i] = (uint32_t)i;
	qsort_r(order, r->secrets.n, sizeof(*order), by_length, r->secrets.at);
	for (size_t i = 0; ret == 0 && i < r->secrets.n; i++)
		ret = settle(r, order[i], err);
	return ret;
}

bool secrets_in(const struct redactor *r, const uint8_t *data, size_t len)
{
	for (size_t i = 0; i + REDACT_ELSEWHERE <= len; i++)
		if (secret_at(r, data + i, len - i, SIZE_MAX))
			return true;
	return false;
}

void secrets_replace(const struct redactor *r, char *text)
{
	size_t len = strlen(text);

	for (size_t i = 0; r->first && i + REDACT_ELSEWHERE <= len; i++) {
		const struct secret *s = secret_at(r, (uint8_t *)text + i, len - i, SIZE_MAX);

		if (s) {
			memcpy(text + i, s->token, s->len);
			i += s->len - 1;
		}
	}
}

/* ---- writing tokens --------------------------------------------------------------------------- */

static int tell(struct redactor *r, const struct body *b, size_t from, size_t to, uint32_t rule, struct err *err)
{
	struct rule *x = &r->rules[rule];
	size_t at = where(b, from), end = where(b, to - 1) + 1;
	char buf[REDACT_WHERE], *line, **listed;

	x->places++;
	x->bytes += to - from;
	if (r->nplaces++ >= REDACT_LISTED)
		return 0;
	redact_where(r, &r->texts.at[b->text], buf);
	if (asprintf(&line, "%s %.200s in %s %zu+%zu", redact_kind_names[x->r.kind], x->r.what, buf, at, end - at) < 0)
		return redact_no_memory(err);
	listed = list_add(&r->listed);
	if (!listed) {
		free(line);
		return redact_no_memory(err);
	}
	*listed = line;
	return 0;
}

/*
 * The token over bytes @skip ... of the units from @from to @to, but not where another one's stands. @shared: units hold bytes of
 * their neighbours, too (base64).
 */
static int write_token(struct redactor *r, uint32_t body, enum coding c, size_t from, size_t to, size_t skip, const uint8_t *token, size_t len,
		       uint32_t rule, struct err *err)
{
	const struct body *b = &r->bodies.at[body];
	struct text *t = &r->texts.at[b->text];
	bool wrote = false;

	if (start_writing(t, err) < 0)
		return -err->code;
	for (size_t i = from; i < to;) {
		uint8_t raw[12], coded[12];
		struct unit u;

		unit_decode(c, b->data + i, to - i, &u);
		for (size_t k = 0; k < u.n; k++)
			raw[k] = t->out[where(b, i + k)];
		if (c == CODE_BASE64)
			unit_decode(c, raw, u.n, &u);
		for (size_t k = 0; k < u.nbytes; k++) {
			if (skip) {
				skip--;
			} else if (len) {
				u.bytes[k] = *token++;
				len--;
			}
		}
		unit_encode(c, raw, &u, coded);
		for (size_t k = 0; k < u.n; k++) {
			size_t at = where(b, i + k);

			if (t->done[at] && c != CODE_BASE64)
				continue;
			wrote |= !t->done[at];
			t->out[at] = coded[k];
			t->done[at] = 1;
		}
		i += u.n;
	}
	return wrote ? tell(r, b, from, to, rule, err) : 0;
}

static int longest_first(const void *a, const void *b)
{
	const struct place *x = a, *y = b;
	size_t n = x->to - x->from, m = y->to - y->from;

	if (n != m)
		return n > m ? -1 : 1;
	if (x->body != y->body)
		return x->body < y->body ? -1 : 1;
	return x->from < y->from ? -1 : x->from > y->from;
}

int places_apply(struct redactor *r, struct err *err)
{
	int ret = 0;

	if (r->places.n)
		qsort(r->places.at, r->places.n, sizeof(*r->places.at), longest_first);
	for (size_t i = 0; ret == 0 && i < r->places.n; i++) {
		const struct place *p = &r->places.at[i];
		const struct secret *s = &r->secrets.at[p->secret];

		if (!r->bodies.at[p->body].detached)
			ret = write_token(r, p->body, p->coding, p->from, p->to, 0, s->token, s->len, p->rule, err);
	}
	return ret;
}

int body_blot(struct redactor *r, uint32_t body, uint32_t rule, struct err *err)
{
	const struct body *b = &r->bodies.at[body];
	struct text *t = &r->texts.at[b->text];

	if (!b->len)
		return 0;
	if (start_writing(t, err) < 0)
		return -err->code;
	for (size_t i = 0; i < b->len; i++) {
		t->out[where(b, i)] = 'x';
		t->done[where(b, i)] = 1;
	}
	return tell(r, b, 0, b->len, rule, err);
}

/* ---- finding them elsewhere --------------------------------------------------------------------- */

/* Decoded bytes, and where each comes from. */
struct view {
	uint8_t *data;
	size_t *unit;		/* where its unit begins in the body */
	uint8_t *place;		/* which of the unit's it is */
	size_t len;
};

static void view_clear(struct view *v)
{
	free(v->data);
	free(v->unit);
	free(v->place);
}

static int view_of(struct view *v, const struct body *b, size_t from, size_t to, enum coding c, struct err *err)
{
	size_t room = 2 * (to - from) + 4;

	v->data = malloc(room);
	v->unit = malloc(room * sizeof(*v->unit));
	v->place = malloc(room);
	if (!v->data || !v->unit || !v->place)
		return redact_no_memory(err);
	for (size_t i = from; i < to;) {
		struct unit u;

		unit_decode(c, b->data + i, to - i, &u);
		for (uint8_t k = 0; k < u.nbytes; k++) {
			v->data[v->len] = u.bytes[k];
			v->unit[v->len] = i;
			v->place[v->len++] = k;
		}
		i += u.n;
	}
	return 0;
}

static int found(struct redactor *r, uint32_t body, enum coding c, const struct view *v, size_t i, const struct secret *s, struct err *err)
{
	const struct body *b = &r->bodies.at[body];
	size_t last = v->unit[i + s->len - 1];
	struct unit u;

	unit_decode(c, b->data + last, b->len - last, &u);
	return write_token(r, body, c, v->unit[i], last + u.n, v->place[i], s->token, s->len, s->rule, err);
}

static int find_plain(struct redactor *r, uint32_t body, struct err *err)
{
	const struct body *b = &r->bodies.at[body];
	int ret = 0;

	/* Leftmost longest; what begins inside of what was found and ends behind it is found as well. */
	for (size_t i = 0; ret == 0 && i + REDACT_ELSEWHERE <= b->len; i++) {
		const struct secret *s = secret_at(r, b->data + i, b->len - i, SIZE_MAX);

		if (s)
			ret = write_token(r, body, CODE_PLAIN, i, i + s->len, 0, s->token, s->len, s->rule, err);
	}
	return ret;
}

/* Is there anything in it that stands for something else? */
static bool has_high(const uint8_t *p, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (p[i] >= 0x80)
			return true;
	return false;
}

static bool is_coded(enum coding c, const uint8_t *p, size_t len)
{
	switch (c) {
	case CODE_PERCENT:
		return memchr(p, '%', len) || memchr(p, '+', len);
	case CODE_JSON:
		return memchr(p, '\\', len);
	case CODE_LATIN1:
		return has_high(p, len);
	default:
		return true;
	}
}

/* The secrets that begin before @stop in [@from, @to). @next: a unit's beginning at @stop or behind it. */
static int find_window(struct redactor *r, uint32_t body, enum coding c, size_t from, size_t stop, size_t to, size_t *next, struct err *err)
{
	_cleanup_(view_clear) struct view v = { 0 };
	int ret = view_of(&v, &r->bodies.at[body], from, to, c, err);

	*next = to;
	for (size_t i = 0; ret == 0 && i < v.len; i++) {
		const struct secret *s;

		if (v.unit[i] >= stop && stop < to) {
			*next = v.unit[i];
			break;
		}
		s = secret_at(r, v.data + i, v.len - i, SIZE_MAX);
		if (s)
			ret = found(r, body, c, &v, i, s, err);
	}
	return ret;
}

/* In windows, which hold the longest secret in its longest form: a view takes twenty times the bytes that it is of. */
static int find_coded(struct redactor *r, uint32_t body, enum coding c, size_t from, size_t to, struct err *err)
{
	enum { WINDOW = 256 << 10, LONGEST_FORM = 6 };
	size_t behind = LONGEST_FORM * r->longest + 12;
	int ret = 0;

	while (ret == 0 && from < to) {
		size_t stop = to - from > WINDOW ? from + WINDOW : to, end = to - stop > behind ? stop + behind : to;

		if (is_coded(c, r->bodies.at[body].data + from, end - from))
			ret = find_window(r, body, c, from, stop, end, &from, err);
		else
			from = stop;
	}
	return ret;
}

/* Each run of base64's characters that is long enough to hold one. */
static int find_base64(struct redactor *r, uint32_t body, struct err *err)
{
	enum { RUN = 8 };
	size_t from = 0, len = r->bodies.at[body].len;
	int ret = 0;

	for (size_t i = 0; ret == 0 && i <= len; i++) {
		if (i < len && base64_value(r->bodies.at[body].data[i]) >= 0)
			continue;
		if (i - from >= RUN)
			ret = find_coded(r, body, CODE_BASE64, from, i, err);
		from = i + 1;
	}
	return ret;
}

static int find_in_body(struct redactor *r, uint32_t body, struct err *err)
{
	const struct body b = r->bodies.at[body];

	if (b.len < REDACT_ELSEWHERE)
		return 0;
	if (find_plain(r, body, err) < 0)
		return -err->code;
	if (find_coded(r, body, CODE_PERCENT, 0, b.len, err) < 0 || find_coded(r, body, CODE_JSON, 0, b.len, err) < 0)
		return -err->code;
	if (r->latin && find_coded(r, body, CODE_LATIN1, 0, b.len, err) < 0)
		return -err->code;
	return find_base64(r, body, err);
}

int secrets_find(struct redactor *r, struct err *err)
{
	size_t n = r->bodies.n;
	uint32_t body;

	if (!r->secrets.n)
		return 0;
	/* What was decoded first: across the borders of chunks. */
	for (size_t i = 0; i < n; i++)
		if (r->bodies.at[i].own && !r->bodies.at[i].detached && find_in_body(r, (uint32_t)i, err) < 0)
			return -err->code;
	for (uint32_t i = 0; i < r->texts.n; i++) {
		if (r->texts.at[i].len < REDACT_ELSEWHERE)
			continue;
		if (body_of(r, i, 0, r->texts.at[i].len, &body, err) < 0 || find_in_body(r, body, err) < 0)
			return -err->code;
	}
	return 0;
}
