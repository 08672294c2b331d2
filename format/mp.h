/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading msgpack that nobody vouches for.  mp_whole() looks at the bytes
 * before msgpack-c allocates for what they claim; a struct mp then hands out
 * the elements of an array in order, and remembers the first that is not what
 * it must be, so that a decoder is a list of fields and one check at its end.
 * A missing trailing element reads as its default: 0, "", no bytes, no elements.
 */
#ifndef CAPSULE_MP_H
#define CAPSULE_MP_H

#include "format/err.h"
#include "format/event.h"

#include <msgpack.h>

enum {
	MP_DEPTH = 8,
	MP_OBJECTS = 1 << 20,	/* in one event, in one manifest */
};

/* Bytes of the object at @p; 0 if it is not whole, too deep, too many, or of a type that no capsule has. */
size_t mp_whole(const uint8_t *p, size_t len);
/* Bytes of the array header at @p and its count; 0: none. */
size_t mp_array_header(const uint8_t *p, size_t len, uint32_t *n);
/* mp_whole() bytes at @p into @o, which @zone then owns and which points into @p. */
int mp_parse(const uint8_t *p, size_t len, msgpack_zone *zone, msgpack_object *o, struct err *err);

struct mp {
	const msgpack_object *at;
	uint32_t left;
	msgpack_zone *zone;	/* strings and arrays are copied into it */
	size_t *used;		/* bytes taken from it */
	const char *bad;	/* the field at fault, NULL: none so far */
};
uint64_t mp_uint(struct mp *m, const char *name, uint64_t max);
int64_t mp_int(struct mp *m, const char *name, int64_t min, int64_t max);
bool mp_bool(struct mp *m, const char *name);
/* NUL-terminated, without a NUL inside. */
const char *mp_text(struct mp *m, const char *name);
/* Points into the bytes that were parsed. */
struct bytes mp_bin(struct mp *m, const char *name, size_t max);
/* Exactly @len bytes. False: nil or missing, @out untouched. */
bool mp_fixed(struct mp *m, const char *name, void *out, size_t len);
/* The elements of an array, into @sub. */
void mp_array(struct mp *m, const char *name, uint32_t max, struct mp *sub);
/* An array of texts, not NULL-terminated. */
const char *const *mp_texts(struct mp *m, const char *name, size_t *n);
void *mp_alloc(struct mp *m, size_t size);
/* Is there another element, and all was well so far? What a loop over an array asks: past a fault nothing is taken off it any more. */
static inline bool mp_more(const struct mp *m) { return m->left > 0 && !m->bad; }
/* The fault of a sub-array is the fault of the whole. */
void mp_join(struct mp *m, const struct mp *sub);
/* EBADMSG with the field's name if anything was bad. */
int mp_done(const struct mp *m, const char *what, struct err *err);

/* A msgpack str if it is UTF-8, else bin; NULL is "". */
void mp_pack_text(msgpack_packer *pk, const char *s);
void mp_pack_key(msgpack_packer *pk, const char *key);
void mp_pack_bin(msgpack_packer *pk, const void *p, size_t len);

#endif
