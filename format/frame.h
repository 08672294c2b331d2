/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a capsule file is made of: its 16-byte header and the frames behind it
 * (capsule(5), "FILE").  Bytes in, bytes out; whoever calls knows where they lie.
 */
#ifndef CAPSULE_FRAME_H
#define CAPSULE_FRAME_H

#include "format/capsule.h"

#include <zstd.h>

enum {
	FILE_HEADER = 16,
	FRAME_HEADER = 32,
	FRAME_PIECE = 1 << 20,	/* bytes of a blob in one frame, at most */
};
enum frame_type { FRAME_MANIFEST = 1, FRAME_EVENTS, FRAME_BLOB, FRAME_END };

struct frame {
	uint32_t type;		/* enum frame_type */
	uint64_t stored, raw;	/* bytes of the payload, compressed and not */
	uint8_t check[8];
	uint8_t head[24];	/* what the check covers besides the payload */
};

/* The file's first bytes. */
void file_header_put(uint8_t out[FILE_HEADER]);
/* EBADMSG, EPROTONOSUPPORT. @len: bytes there are, may be fewer than a header. */
int file_header_check(const uint8_t *in, size_t len, struct err *err);

/* The most that @raw bytes may become. */
size_t frame_bound(size_t raw);
/*
 * A whole frame, header included, of @raw into @out (room for FRAME_HEADER +
 * frame_bound(@len)); *@n: its bytes.  EFBIG: more than CAPSULE_MAX_FRAME.
 */
int frame_pack(ZSTD_CCtx *z, enum frame_type type, const void *raw, size_t len, uint8_t *out, size_t *n,
	       struct err *err);

/* The header alone: EBADMSG for what no writer of this version makes. */
int frame_get(struct frame *f, const uint8_t in[FRAME_HEADER], struct err *err);
/* @stored (f->stored bytes) against the check. EBADMSG. */
int frame_check(const struct frame *f, const uint8_t *stored, struct err *err);
/* @stored into @raw, which has room for f->raw bytes. EBADMSG unless it is exactly that many. */
int frame_unpack(ZSTD_DCtx *z, const struct frame *f, const uint8_t *stored, uint8_t *raw, struct err *err);

#endif
