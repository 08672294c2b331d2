/* SPDX-License-Identifier: Apache-2.0 */
/* Whole capsules: as they come, and with their checksums and the end's digest made right, so that what lies behind those is reached. */
#include "format/cleanup.h"
#include "format/frame.h"
#include "format/sha256.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int ignore(void *ctx, const void *data, size_t len, struct err *err)
{
	(void)ctx, (void)data, (void)len, (void)err;
	return 0;
}

static void read_all(const uint8_t *data, size_t size, unsigned int flags)
{
	_cleanup_reader_ struct capsule_reader *rd = NULL;
	struct err err = ERR_INIT, ignored = ERR_INIT;
	struct event e;

	if (capsule_reader_open_mem(&rd, data, size, flags, &err) < 0)
		return;
	while (capsule_next(rd, &e, &err) > 0)
		for (uint32_t i = 0; e.kind == EV_CALL && i < e.call.nsegs; i++)
			if (!e.call.segs[i].data && e.call.segs[i].len)
				capsule_blob(rd, e.call.segs[i].sha256, ignore, NULL, &ignored);
}

/* Every frame's check; a frame longer than the file becomes as long as is there. */
static void mend(uint8_t *data, size_t size)
{
	size_t at = FILE_HEADER;

	if (size < FILE_HEADER)
		return;
	file_header_put(data);
	while (size - at >= FRAME_HEADER) {
		_cleanup_(cleanup_sha256) struct sha256 *h = NULL;
		struct err err = ERR_INIT;
		uint64_t stored, left = size - at - FRAME_HEADER;
		uint8_t sum[32];

		memcpy(&stored, data + at + 8, sizeof(stored));
		if (stored > left)
			stored = left;
		memcpy(data + at + 8, &stored, sizeof(stored));
		if (sha256_new(&h, &err) < 0)
			return;
		sha256_add(h, data + at, 24);
		sha256_add(h, data + at + FRAME_HEADER, stored);
		sha256_end(h, sum);
		memcpy(data + at + 24, sum, 8);
		at += FRAME_HEADER + stored;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size > 1 << 20)
		return 0;
	_cleanup_free_ uint8_t *copy = malloc(size ? size : 1);
	if (!copy)
		return 0;
	read_all(data, size, 0);
	memcpy(copy, data, size);
	mend(copy, size);
	read_all(copy, size, CAPSULE_KEEP);
	return 0;
}
