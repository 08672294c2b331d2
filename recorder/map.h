/* SPDX-License-Identifier: Apache-2.0 */
/* A hash table from a pair of numbers to a pointer: what belongs to a thread, to an inode. */
#ifndef CAPSULE_MAP_H
#define CAPSULE_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct map_slot {
	uint64_t a, b;
	void *value;		/* NULL: free, or given up */
	bool used;		/* was taken since the table last grew */
};
struct map {
	struct map_slot *slots;
	size_t room, used;	/* room: a power of two, or 0 */
};

void *map_get(const struct map *m, uint64_t a, uint64_t b);
/* Replaces. @value is not NULL. -ENOMEM. */
int map_put(struct map *m, uint64_t a, uint64_t b, void *value);
/* What was there, or NULL. */
void *map_take(struct map *m, uint64_t a, uint64_t b);
/* The values are the caller's business. */
void map_clear(struct map *m);

#endif
