/* SPDX-License-Identifier: Apache-2.0 */
#include "format/trace.h"

#include <string.h>

enum { MEMBERS = 32, KEY = 256, TENANT = 241, SYSTEM = 14, VALUE = 256 };

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
	return c >= 'a' && c <= 'z';
}

/* ---- traceparent: version-id-span-flags --------------------------------------------- */

/* @n hexadecimal digits; *@zero: all of them are 0. */
static bool is_hex(const char *s, size_t n, bool *zero)
{
	*zero = true;
	for (size_t i = 0; i < n; i++) {
		if (!is_digit(s[i]) && !(s[i] >= 'a' && s[i] <= 'f'))
			return false;
		*zero &= s[i] == '0';
	}
	return true;
}

bool traceparent_is_valid(const char *s, size_t len)
{
	bool first, no_id, no_span, no_flags;

	if (len < TRACEPARENT || s[2] != '-' || s[35] != '-' || s[52] != '-')
		return false;
	if (!is_hex(s, 2, &first) || !is_hex(s + 3, TRACE_ID, &no_id) || !is_hex(s + 36, TRACE_SPAN, &no_span) || !is_hex(s + 53, 2, &no_flags))
		return false;
	if (no_id || no_span || strncmp(s, "ff", 2) == 0)
		return false;
	return len == TRACEPARENT || (!first && s[TRACEPARENT] == '-');
}

bool trace_ids(const char *text, char id[TRACE_ID + 1], char span[TRACE_SPAN + 1])
{
	if (!traceparent_is_valid(text, strcspn(text, " ")))
		return false;
	memcpy(id, text + 3, TRACE_ID);
	id[TRACE_ID] = 0;
	memcpy(span, text + 36, TRACE_SPAN);
	span[TRACE_SPAN] = 0;
	return true;
}

/* ---- tracestate: key=value, key=value ... --------------------------------------------- */

/* Of a key, or of one of the two parts of tenant@system. */
static bool is_name(const char *s, size_t len, size_t most, bool may_begin_with_digit)
{
	if (len < 1 || len > most || !(is_letter(s[0]) || (may_begin_with_digit && is_digit(s[0]))))
		return false;
	for (size_t i = 1; i < len; i++)
		if (!is_letter(s[i]) && !is_digit(s[i]) && !strchr("_-*/", s[i]))
			return false;
	return true;
}

static bool is_key(const char *s, size_t len)
{
	const char *at = memchr(s, '@', len);
	size_t tenant = at ? (size_t)(at - s) : 0;

	return at ? is_name(s, tenant, TENANT, true) && is_name(at + 1, len - tenant - 1, SYSTEM, false) : is_name(s, len, KEY, false);
}

static bool is_value(const char *s, size_t len)
{
	if (len < 1 || len > VALUE || s[len - 1] == ' ')
		return false;
	for (size_t i = 0; i < len; i++)
		if (s[i] < ' ' || s[i] > '~' || s[i] == ',' || s[i] == '=')
			return false;
	return true;
}

struct member {
	const char *key;
	size_t len;
};

static bool is_new(const struct member *list, size_t n, const struct member *m)
{
	for (size_t i = 0; i < n; i++)
		if (list[i].len == m->len && memcmp(list[i].key, m->key, m->len) == 0)
			return false;
	return true;
}

static bool take_member(const char *s, size_t len, struct member *list, size_t *n)
{
	const char *is;
	struct member m = { s };

	while (len && (s[0] == ' ' || s[0] == '\t')) {
		s++;
		len--;
	}
	while (len && (s[len - 1] == ' ' || s[len - 1] == '\t'))
		len--;
	if (!len)
		return true;	/* an empty one may be */
	is = memchr(s, '=', len);
	if (!is || *n == MEMBERS)
		return false;
	m = (struct member){ s, (size_t)(is - s) };
	if (!is_key(m.key, m.len) || !is_value(is + 1, len - m.len - 1) || !is_new(list, *n, &m))
		return false;
	list[(*n)++] = m;
	return true;
}

bool tracestate_is_valid(const char *s, size_t len)
{
	struct member list[MEMBERS];
	size_t n = 0;

	if (len > TRACESTATE)
		return false;
	for (size_t at = 0, end; at < len; at = end + 1) {
		const char *comma = memchr(s + at, ',', len - at);

		end = comma ? (size_t)(comma - s) : len;
		if (!take_member(s + at, end - at, list, &n))
			return false;
	}
	return n > 0;
}
