/* SPDX-License-Identifier: Apache-2.0 */
#include "format/err.h"

#include "format/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* In each: a text with a newline or an escape code in it must not forge lines on a terminal. */

int err_set(struct err *e, int code, const char *fmt, ...)
{
	va_list ap;

	e->code = code;
	va_start(ap, fmt);
	vsnprintf(e->text, sizeof(e->text), fmt, ap);
	va_end(ap);
	text_tame(e->text);
	return -code;
}

int err_sys(struct err *e, int code, const char *fmt, ...)
{
	va_list ap;
	size_t n;

	e->code = code;
	va_start(ap, fmt);
	vsnprintf(e->text, sizeof(e->text), fmt, ap);
	va_end(ap);
	n = strlen(e->text);
	snprintf(e->text + n, sizeof(e->text) - n, ": %s", strerror(code));
	text_tame(e->text);
	return -code;
}

int err_in(struct err *e, const char *fmt, ...)
{
	char head[sizeof(e->text)], text[sizeof(e->text) * 2 + 3];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(head, sizeof(head), fmt, ap);
	va_end(ap);
	snprintf(text, sizeof(text), "%s: %s", head, e->text);
	text[sizeof(e->text) - 1] = 0;
	text_tame(text);
	memcpy(e->text, text, sizeof(e->text));
	return -e->code;
}
