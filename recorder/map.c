/* SPDX-License-Identifier: Apache-2.0 */
#include "recorder/map.h"

#include <errno.h>
#include <stdlib.h>

static size_t hash(uint64_t a, uint64_t b)
{
	uint64_t h = (a ^ (b << 32 | b >> 32)) * 0x9e3779b97f4a7c15ull;

	return (size_t)(h ^ h >> 29);
}

/* The slot of the key, or the first that never was used. */
static struct map_slot *find(const struct map *m, uint64_t a, uint64_t b)
{
	for (size_t i = hash(a, b);; i++) {
		struct map_slot *s = &m->slots[i & (m->room - 1)];

		if (!s->used || (s->value && s->a == a && s->b == b))
			return s;
	}
}

void *map_get(const struct map *m, uint64_t a, uint64_t b)
{
	return m->room ? find(m, a, b)->value : NULL;
}

static int grow(struct map *m)
{
	struct map bigger = { 0 };
	size_t live = 0;

	for (size_t i = 0; i < m->room; i++)
		live += m->slots[i].value != NULL;
	for (bigger.room = 16; bigger.room < live * 4; )
		bigger.room *= 2;
	bigger.slots = calloc(bigger.room, sizeof(*bigger.slots));
	if (!bigger.slots)
		return -ENOMEM;
	for (size_t i = 0; i < m->room; i++)
		if (m->slots[i].value) {
			*find(&bigger, m->slots[i].a, m->slots[i].b) = m->slots[i];
			bigger.used++;
		}
	free(m->slots);
	*m = bigger;
	return 0;
}

int map_put(struct map *m, uint64_t a, uint64_t b, void *value)
{
	struct map_slot *s;

	if (m->used * 4 >= m->room * 3 && grow(m) < 0)
		return -ENOMEM;
	s = find(m, a, b);
	m->used += !s->used;
	*s = (struct map_slot){ .a = a, .b = b, .value = value, .used = true };
	return 0;
}

void *map_take(struct map *m, uint64_t a, uint64_t b)
{
	struct map_slot *s;
	void *value;

	if (!m->room)
		return NULL;
	s = find(m, a, b);
	value = s->value;
	s->value = NULL;
	return value;
}

void map_clear(struct map *m)
{
	free(m->slots);
	*m = (struct map){ 0 };
}
