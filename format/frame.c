/* SPDX-License-Identifier: Apache-2.0 */
#include "format/frame.h"

#include "format/cleanup.h"
#include "format/sha256.h"

#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

static const char magic[8] = "CAPSULE\n";

static void put32(uint8_t *p, uint32_t v)
{
	v = htole32(v);
	memcpy(p, &v, sizeof(v));
}

static void put64(uint8_t *p, uint64_t v)
{
	v = htole64(v);
	memcpy(p, &v, sizeof(v));
}

static uint32_t get32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return le32toh(v);
}

static uint64_t get64(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return le64toh(v);
}

void file_header_put(uint8_t out[FILE_HEADER])
{
	memcpy(out, magic, sizeof(magic));
	put32(out + 8, CAPSULE_VERSION);
	put32(out + 12, 0);
}

int file_header_check(const uint8_t *in, size_t len, struct err *err)
{
	if (len == 0)
		return err_set(err, EBADMSG, "empty file, not a capsule (did the recording fail?)");
	if (memcmp(in, magic, len < sizeof(magic) ? len : sizeof(magic)) != 0)
		return err_set(err, EBADMSG, "not a capsule (make one with: capsule record -o FILE -- COMMAND)");
	if (len < FILE_HEADER)
		return err_set(err, EBADMSG, "cut short inside its header, nothing is left of this capsule (record it again)");
	if (get32(in + 8) > CAPSULE_VERSION)
		return err_set(err, EPROTONOSUPPORT, "format version %" PRIu32 ", this program reads up to %d (use a newer capsule)",
			       get32(in + 8), CAPSULE_VERSION);
	if (get32(in + 8) == 0 || get32(in + 12) != 0)
		return err_set(err, EBADMSG, "damaged at offset 8: no such format version (copy the file again)");
	return 0;
}

size_t frame_bound(size_t raw)
{
	return raw + raw / 256 + 64;	/* no less than ZSTD_compressBound(), and simple enough for a specification */
}

static int frame_sum(const uint8_t head[24], const void *stored, size_t len, uint8_t sum[8], struct err *err)
{
	_cleanup_(cleanup_sha256) struct sha256 *h = NULL;
	uint8_t all[SHA256_LEN];

	if (sha256_new(&h, err) < 0)
		return -err->code;
	sha256_add(h, head, 24);
	sha256_add(h, stored, len);
	sha256_end(h, all);
	memcpy(sum, all, 8);
	return 0;
}

int frame_pack(ZSTD_CCtx *z, enum frame_type type, const void *raw, size_t len, uint8_t *out, size_t *n,
	       struct err *err)
{
	size_t stored;

	if (len > CAPSULE_MAX_FRAME)
		return err_set(err, EFBIG, "%zu bytes for one frame, %u is the most", len, CAPSULE_MAX_FRAME);
	/* Events come out as small as at the usual level 3, in half the time, which is the recorded program's where CPUs are few. */
	stored = ZSTD_compressCCtx(z, out + FRAME_HEADER, frame_bound(len), raw, len, 1);
	if (ZSTD_isError(stored))
		return err_set(err, ENOMEM, "compressing: %s", ZSTD_getErrorName(stored));
	put32(out, type);
	put32(out + 4, 0);
	put64(out + 8, stored);
	put64(out + 16, len);
	if (frame_sum(out, out + FRAME_HEADER, stored, out + 24, err) < 0)
		return -err->code;
	*n = FRAME_HEADER + stored;
	return 0;
}

int frame_get(struct frame *f, const uint8_t in[FRAME_HEADER], struct err *err)
{
	uint32_t type = get32(in);
	uint64_t stored = get64(in + 8), raw = get64(in + 16);

	if (type < FRAME_MANIFEST || type > FRAME_END)
		return err_set(err, EBADMSG, "frame of unknown type %" PRIu32, type);
	if (get32(in + 4) != 0)
		return err_set(err, EBADMSG, "frame with a reserved field set");
	if (raw == 0 || raw > CAPSULE_MAX_FRAME)
		return err_set(err, EBADMSG, "frame of %" PRIu64 " bytes, %u is the most", raw, CAPSULE_MAX_FRAME);
	if (stored == 0 || stored > frame_bound(raw))
		return err_set(err, EBADMSG, "frame of %" PRIu64 " stored bytes for a content of %" PRIu64, stored, raw);
	*f = (struct frame){ .type = type, .stored = stored, .raw = raw };
	memcpy(f->head, in, sizeof(f->head));
	memcpy(f->check, in + 24, sizeof(f->check));
	return 0;
}

int frame_check(const struct frame *f, const uint8_t *stored, struct err *err)
{
	uint8_t sum[8];

	if (frame_sum(f->head, stored, f->stored, sum, err) < 0)
		return -err->code;
	if (memcmp(sum, f->check, sizeof(sum)) != 0)
		return err_set(err, EBADMSG, "checksum mismatch");
	return 0;
}

int frame_unpack(ZSTD_DCtx *z, const struct frame *f, const uint8_t *stored, uint8_t *raw, struct err *err)
{
	size_t n;

	/* Asked before anything is unpacked: one zstd frame, nothing behind it, of the promised size. */
	if (ZSTD_getFrameContentSize(stored, f->stored) != f->raw ||
	    ZSTD_findFrameCompressedSize(stored, f->stored) != f->stored)
		return err_set(err, EBADMSG, "the frame's content is not what its header says");
	n = ZSTD_decompressDCtx(z, raw, f->raw, stored, f->stored);
	if (ZSTD_isError(n))
		return err_set(err, EBADMSG, "the frame does not decompress: %s", ZSTD_getErrorName(n));
	if (n != f->raw)
		return err_set(err, EBADMSG, "the frame's content is not what its header says");
	return 0;
}
