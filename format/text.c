/* SPDX-License-Identifier: Apache-2.0 */
#include "format/text.h"

#include <string.h>

size_t utf8_next(const uint8_t *p, size_t len, uint32_t *cp)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	size_t n = p[0] < 0x80 ? 1 : p[0] < 0xc2 ? 0 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : p[0] < 0xf5 ? 4 : 0;
	uint32_t c;

	if (n == 0 || n > len)
		return 0;
	c = n == 1 ? p[0] : p[0] & (0x7fu >> n);
	for (size_t i = 1; i < n; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (p[i] & 0x3f);
	}
	if (c < least[n] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
		return 0;
	*cp = c;
	return n;
}

bool utf8_valid(const void *p, size_t len)
{
	const uint8_t *at = p;
	uint32_t cp;

	for (size_t n; len > 0; at += n, len -= n) {
		n = utf8_next(at, len, &cp);
		if (n == 0)
			return false;
	}
	return true;
}

static void json_char(FILE *f, uint32_t c)
{
	if (c == '"' || c == '\\')
		fprintf(f, "\\%c", (int)c);
	else if (c >= ' ' && c < 0x7f)
		putc((int)c, f);
	else if (c < 0x10000)
		fprintf(f, "\\u%04x", c);
	else
		fprintf(f, "\\u%04x\\u%04x", 0xd800 + ((c - 0x10000) >> 10), 0xdc00 + ((c - 0x10000) & 0x3ff));
}

void text_json(FILE *f, const void *p, size_t len)
{
	const uint8_t *at = p;

	putc('"', f);
	while (len > 0) {
		uint32_t c = 0;
		size_t n = utf8_next(at, len, &c);

		json_char(f, n ? c : 0xdc00u + *at);
		n += !n;
		at += n;
		len -= n;
	}
	putc('"', f);
}

/* strace writes as few octal digits as the next byte allows; three are always right. */
static void c_char(FILE *f, uint8_t c)
{
	static const char plain[] = "\t\n\v\f\r\"\\", letters[] = "tnvfr\"\\";
	const char *e = c ? strchr(plain, c) : NULL;

	if (e)
		fprintf(f, "\\%c", letters[e - plain]);
	else if (c >= ' ' && c < 0x7f)
		putc(c, f);
	else
		fprintf(f, "\\%03o", c);
}

void text_quoted(FILE *f, const void *p, size_t len, size_t max)
{
	const uint8_t *at = p;

	putc('"', f);
	for (size_t i = 0; i < len && i < max; i++)
		c_char(f, at[i]);
	fputs(len > max ? "\"..." : "\"", f);
}

void text_shell(FILE *f, const char *word)
{
	static const char safe[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789@%+=:,./_-";
	size_t len = strlen(word);
	bool printable = true;

	for (size_t i = 0; i < len; i++)
		printable &= word[i] >= ' ' && word[i] < 0x7f;
	if (len > 0 && strspn(word, safe) == len) {
		fputs(word, f);
	} else if (!printable) {
		fputs("$'", f);
		for (size_t i = 0; i < len; i++)
			if (word[i] == '\'')
				fputs("\\'", f);
			else
				c_char(f, (uint8_t)word[i]);
		putc('\'', f);
	} else {
		putc('\'', f);
		for (size_t i = 0; i < len; i++)
			fputs(word[i] == '\'' ? "'\\''" : (char[]){ word[i], 0 }, f);
		putc('\'', f);
	}
}

/* The bytes at @s, of @len, that a terminal shows and does not obey; 0: it begins with one that is not so, and has *@skip bytes. */
static size_t printable(const char *s, size_t len, size_t *skip)
{
	uint32_t c = 0;
	size_t n = utf8_next((const uint8_t *)s, len, &c);

	*skip = n + !n;
	/* C1 controls and the marks that turn the direction of text are no more printable than C0. */
	if (c < ' ' || (c >= 0x7f && c < 0xa0) || (c >= 0x200e && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069))
		return 0;
	return n;
}

void text_plain(FILE *f, const char *s)
{
	for (size_t len = strlen(s), skip; len > 0; s += skip, len -= skip) {
		if (printable(s, len, &skip))
			fwrite(s, 1, skip, f);
		else
			putc('?', f);
	}
}

void text_tame(char *s)
{
	char *w = s;

	for (size_t len = strlen(s), skip; len > 0; s += skip, len -= skip) {
		size_t n = printable(s, len, &skip);

		if (n)
			memmove(w, s, n);
		else
			*w = '?';
		w += n + !n;
	}
	*w = 0;
}

void text_hex(FILE *f, const void *p, size_t len)
{
	static const char digits[] = "0123456789abcdef";
	const uint8_t *at = p;

	for (size_t i = 0; i < len; i++) {
		putc(digits[at[i] >> 4], f);
		putc(digits[at[i] & 15], f);
	}
}
