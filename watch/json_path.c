/* SPDX-License-Identifier: Apache-2.0 */
#include "watch/json_path.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int wrong(const char *what, const char *text, struct err *err)
{
	return err_set(err, EINVAL, "'%.60s': %s; a place in JSON looks like $.user.email, $.list[0] or $..password", text, what);
}

/* [N], [*], ['name'] at @p, which is behind the bracket; returns behind the closing one, NULL: it is none of them. */
static const char *bracket(const char *p, struct json_step *s)
{
	char *end;

	if (*p == '*') {
		s->kind = STEP_EACH;
		p++;
	} else if (*p == '\'' || *p == '"') {
		s->kind = STEP_NAME;
		s->name = p + 1;
		end = strchr(p + 1, *p);
		if (!end)
			return NULL;
		s->len = (size_t)(end - s->name);
		p = end + 1;
	} else {
		s->kind = STEP_INDEX;
		if (*p < '0' || *p > '9')
			return NULL;
		errno = 0;
		unsigned long n = strtoul(p, &end, 10);

		if (errno || n > UINT32_MAX)
			return NULL;
		s->index = (uint32_t)n;
		p = end;
	}
	return *p == ']' ? p + 1 : NULL;
}

static const char *dotted(const char *p, struct json_step *s)
{
	s->name = p;
	s->len = strcspn(p, ".[]");
	s->kind = s->len == 1 && *p == '*' ? STEP_EACH : STEP_NAME;
	return s->len ? p + s->len : NULL;
}

int json_path_parse(struct json_path *ret, const char *text, struct err *err)
{
	const char *p;

	memset(ret, 0, sizeof(*ret));
	if (text[0] != '$' || !text[1])
		return wrong(text[0] == '$' ? "the whole body is too much to name" : "it does not begin with $", text, err);
	ret->text = strdup(text);
	if (!ret->text)
		return err_set(err, ENOMEM, "out of memory");
	for (p = ret->text + 1; *p; ret->n++) {
		struct json_step *s = &ret->step[ret->n];

		if (ret->n == JSON_STEPS)
			return wrong("too many steps", text, err);
		s->deep = p[0] == '.' && p[1] == '.';
		if (s->deep)
			p += p[2] == '[' ? 2 : 1;
		if (*p == '.')
			p = dotted(p + 1, s);
		else
			p = *p == '[' ? bracket(p + 1, s) : NULL;
		if (!p)
			return wrong("not a place", text, err);
	}
	return 0;
}

void json_path_clear(struct json_path *p)
{
	free(p->text);
	memset(p, 0, sizeof(*p));
}
