/* SPDX-License-Identifier: Apache-2.0 */
#include "format/table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* The keys are hashes already; linear probing, at most half full. */
static struct table_entry *place(const struct table *t, const uint8_t key[32])
{
	uint64_t at;

	memcpy(&at, key, sizeof(at));
	for (;; at++) {
		struct table_entry *e = &t->entries[at & (t->room - 1)];

		if (!e->value || memcmp(e->key, key, sizeof(e->key)) == 0)
			return e;
	}
}

uint64_t *table_get(const struct table *t, const uint8_t key[32])
{
	struct table_entry *e;

	if (!t->room)
		return NULL;
	e = place(t, key);
	return e->value ? &e->value : NULL;
}

static int grow(struct table *t, struct err *err)
{
	struct table bigger = { .room = t->room ? t->room * 2 : 64, .used = t->used };

	bigger.entries = calloc(bigger.room, sizeof(*bigger.entries));
	if (!bigger.entries)
		return err_set(err, ENOMEM, "out of memory");
	for (size_t i = 0; i < t->room; i++)
		if (t->entries[i].value)
			*place(&bigger, t->entries[i].key) = t->entries[i];
	free(t->entries);
	*t = bigger;
	return 0;
}

int table_add(struct table *t, const uint8_t key[32], uint64_t value, struct err *err)
{
	struct table_entry *e;

	if ((t->used + 1) * 2 > t->room && grow(t, err) < 0)
		return -err->code;
	e = place(t, key);
	memcpy(e->key, key, sizeof(e->key));
	e->value = value;
	t->used++;
	return 0;
}

void table_clear(struct table *t)
{
	free(t->entries);
	*t = (struct table){ 0 };
}
