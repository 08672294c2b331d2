/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A place in a JSON document, as policies name it: a small part of RFC 9535.
 *
 *	$.card   $.user.email   $['odd name']   $.list[0]   $.list[*].pin   $.*   $..password
 */
#ifndef CAPSULE_JSON_PATH_H
#define CAPSULE_JSON_PATH_H

#include "format/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { JSON_STEPS = 16 };

enum json_step_kind {
	STEP_NAME,	/* .name, ['name'] */
	STEP_INDEX,	/* [N] */
	STEP_EACH,	/* [*], .*: every member or item */
};

struct json_step {
	enum json_step_kind kind;
	bool deep;		/* written with "..": at any depth below */
	uint32_t index;
	const char *name;	/* in path->text */
	size_t len;
};

struct json_path {
	char *text;
	size_t n;
	struct json_step step[JSON_STEPS];
};

/* EINVAL: the text says what, and what a path looks like. @ret is to be cleared in any case. */
int json_path_parse(struct json_path *ret, const char *text, struct err *err);
void json_path_clear(struct json_path *p);

#endif
