/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A YAML document as a tree in which everything knows its line (libyaml does the parsing).
 *
 * Policies come from files that people edit: anchors, aliases and tags are refused (nothing here needs them, and aliases can make a
 * small file a huge tree), as are a key given twice, a second document, NULs, and what is larger or deeper than the bounds below.
 */
#ifndef CAPSULE_YAML_H
#define CAPSULE_YAML_H

#include "format/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

enum { YAML_BYTES = 1 << 20, YAML_NODES = 1 << 16, YAML_DEPTH = 32 };

enum yaml_kind { YAML_TEXT, YAML_LIST, YAML_MAP };

struct yaml {
	enum yaml_kind kind;
	unsigned int line;	/* from 1; of a map's member: the key's */
	bool quoted;		/* a text in quotes, which is never a number or a truth value */
	char *text;		/* YAML_TEXT */
	char *key;		/* a member of a map: its key */
	size_t n, room;
	struct yaml *items;	/* of a list or a map, in the file's order */
};

/* EINVAL: "@name:LINE: what". @ret is to be cleared in any case. */
int yaml_parse(struct yaml *ret, const char *name, const char *text, size_t len, struct err *err);
void yaml_clear(struct yaml *y);

#define _cleanup_yaml_ __attribute__((cleanup(yaml_clear)))

#endif
