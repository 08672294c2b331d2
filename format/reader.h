/* SPDX-License-Identifier: Apache-2.0 */
/* Inside the reader: reader.c opens and walks, reader_blobs.c puts blobs together. Nobody else includes this. */
#ifndef CAPSULE_READER_H
#define CAPSULE_READER_H

#include "format/capsule.h"
#include "format/frame.h"
#include "format/manifest.h"
#include "format/paths.h"
#include "format/sha256.h"
#include "format/table.h"

#include <msgpack.h>

struct buffer {
	uint8_t *data;
	size_t room;
};

/* Frames that events point into, with CAPSULE_KEEP. */
struct kept {
	struct kept *next;
	uint8_t data[];
};

struct capsule_reader {
	int fd;				/* -1: in memory */
	const uint8_t *mem;
	uint64_t len;
	unsigned int flags;

	struct manifest *manifest;
	struct end_frame end;
	bool complete;
	char why[128];			/* where it is cut short */
	uint8_t digest[32];
	struct table blobs;		/* to the offset of the first piece's frame */
	uint64_t first, limit;		/* whole frames behind the manifest */

	ZSTD_DCtx *z;
	struct buffer stored, raw, piece;
	msgpack_zone *scratch, *strings;
	struct kept *kept;
	size_t used;			/* bytes in @kept and @strings */

	uint64_t at;			/* the frame to look at next */
	uint64_t frame;			/* the one that events come from now */
	const uint8_t *events;		/* what is left of it */
	size_t events_len;
	uint32_t left;			/* events in it */
	uint64_t time;			/* of the last one */
	uint64_t seen;
	struct paths paths;
	struct err failed;		/* capsule_next() gives it again */
};

/* Puts where it happened before an EBADMSG, and what to do about it; other errors stay as they are. */
int reader_damaged(struct err *err, uint64_t at);
/* The header of the frame at @at and its stored bytes, checked, into rd->stored. */
int reader_frame(struct capsule_reader *rd, uint64_t at, struct frame *f, struct err *err);
/* What reader_frame() found, decompressed into @b. */
int reader_unpack(struct capsule_reader *rd, const struct frame *f, struct buffer *b, struct err *err);

/* The blob whose pieces are passing by while the file is opened; total 0: none. */
struct passing {
	uint8_t sha256[32];
	uint64_t frame, next, total;
};
/* The frame at @at, a piece, as the next of @now; a whole blob goes into rd->blobs. */
int reader_note_piece(struct capsule_reader *rd, uint64_t at, const struct frame *f, struct passing *now, struct err *err);

static inline uint64_t frame_size(const struct frame *f) { return FRAME_HEADER + f->stored; }

#endif
