/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A capsule without some of what it holds.  Its sources are numbered: each
 * connection, each file that it has the content of, and of every stream each
 * piece that came in, with what the program wrote there until the next one.
 */
#ifndef CAPSULE_CUT_H
#define CAPSULE_CUT_H

#include "format/capsule.h"
#include "format/table.h"

enum source_kind { SOURCE_CONNECTION, SOURCE_FILE, SOURCE_PIECE, SOURCE_KINDS };

struct source {
	enum source_kind kind;
	uint32_t object;	/* not of files */
	uint64_t bytes;		/* of a piece: what came in */
	uint64_t kept;		/* of a piece: so many of them stay */
	bool dropped;
};

enum { SOURCES_MAX = 1 << 20 };

struct cut {
	struct source *list;	/* in the order in which they appear */
	size_t n;
	struct table places;	/* connections and files -> 1 + place in the list */
	struct table pieces;	/* object -> 1 + place of its first piece */
	size_t *next;		/* by piece: 1 + place of the next of the same object; 0: none */
	const char *signature;	/* of what is written; NULL: as it was */
};

/* All sources of @rd, whole. EFBIG: more than SOURCES_MAX. */
int cut_find(struct cut *c, struct capsule_reader *rd, struct err *err);
void cut_clear(struct cut *c);
/* Writes what @rd holds to @path, but for what is dropped. */
int cut_write(const struct cut *c, struct capsule_reader *rd, const char *path, struct err *err);

#endif
