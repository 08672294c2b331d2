/* SPDX-License-Identifier: Apache-2.0 */
/* Events to and from msgpack (capsule(5), "EVENTS"), and the rules that both the writer and the reader hold them to. */
#ifndef CAPSULE_CODEC_H
#define CAPSULE_CODEC_H

#include "format/capsule.h"

#include <msgpack.h>

enum { ADDR_MAX = 128 };	/* struct sockaddr_storage */

/*
 * What no capsule may hold: a path that is not clean, a number outside its
 * enum, ...  EBADMSG with the field.  Strings may be NULL, which is "".
 */
int event_check(const struct event *e, struct err *err);

/* @e as an array, its time relative to @since.  Appends nothing but to @pk; the caller looks at the buffer's state. */
void event_pack(msgpack_packer *pk, const struct event *e, uint64_t since);

/*
 * One event of the @len bytes at @p into @e, checked; *@n: its bytes.
 * Byte segments and addresses point into @p; strings and arrays are in @strings,
 * *@used grows by their bytes.  @scratch is cleared first.
 */
int event_unpack(const uint8_t *p, size_t len, uint64_t since, msgpack_zone *scratch, msgpack_zone *strings,
		 size_t *used, struct event *e, size_t *n, struct err *err);

/* Every string of @s that is NULL as "". */
static inline const char *str_or_empty(const char *s) { return s ? s : ""; }

#endif
