/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A hash table from 32 bytes to a number: which blobs there are and where, which
 * paths were named.  The first 8 bytes of a key are its hash as they are: keys
 * are SHA-256s, or numbers that count up.
 */
#ifndef CAPSULE_TABLE_H
#define CAPSULE_TABLE_H

#include "format/err.h"

#include <stddef.h>
#include <stdint.h>

struct table_entry {
	uint8_t key[32];
	uint64_t value;		/* 0: the place is free */
};
struct table {
	struct table_entry *entries;
	size_t room, used;	/* room: a power of two, or 0 */
};

/* The value of @key; NULL if it has none. Valid until the next table_add(). */
uint64_t *table_get(const struct table *t, const uint8_t key[32]);
/* @key must be new, @value not 0. ENOMEM. */
int table_add(struct table *t, const uint8_t key[32], uint64_t value, struct err *err);
void table_clear(struct table *t);

#endif
