/* SPDX-License-Identifier: Apache-2.0 */
/* Inside the writer: writer.c appends frames, writer_blobs.c makes frames of blobs. Nobody else includes this. */
#ifndef CAPSULE_WRITER_H
#define CAPSULE_WRITER_H

#include "format/capsule.h"
#include "format/frame.h"
#include "format/manifest.h"
#include "format/paths.h"
#include "format/sha256.h"
#include "format/table.h"

#include <msgpack.h>

struct capsule_writer {
	int fd;
	char *path;
	uint64_t at;			/* the end of the last whole frame */
	struct sha256 *digest;		/* of everything before @at */
	struct err broken;		/* the write that failed */
	bool unchecked;			/* tests set it, to make capsules that no reader takes */
	uint64_t max;			/* bytes of the file at most; 0: any number */
	bool full;			/* that was why it failed */
	bool last;			/* nothing follows the end frame: keep no room for it */
	ZSTD_CCtx *z;
	uint8_t *out;			/* one frame, compressed */
	size_t out_room;

	msgpack_sbuffer buf;		/* events of the next frame, behind room for an array header */
	msgpack_packer pk;
	bool short_of_memory;		/* while packing */
	uint32_t pending;		/* events in it */
	uint64_t time;			/* of the last of them */
	struct paths paths;

	struct table blobs;
	struct index_entry *index;
	size_t nindex, index_room;
	uint64_t events, nblobs;	/* in whole frames */
	uint64_t dropped;		/* events that did not get into one */
};

/* Appends a frame of @raw, whole or not at all; after a failed write the writer is broken. */
int writer_put(struct capsule_writer *w, enum frame_type type, const void *raw, size_t len, struct err *err);
/* The error that broke it, if one did. */
int writer_broken(const struct capsule_writer *w, struct err *err);
/* Back to an earlier end of the file, @digest (taken over) being that of what is before it. */
void writer_cut(struct capsule_writer *w, uint64_t at, size_t nindex, struct sha256 *digest);

#endif
