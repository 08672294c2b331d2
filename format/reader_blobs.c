/* SPDX-License-Identifier: Apache-2.0 */
#include "format/reader.h"

#include "format/cleanup.h"
#include "format/mp.h"

#include <errno.h>
#include <string.h>

struct piece {
	uint8_t sha256[32];
	uint64_t at, total;
	struct bytes bytes;
};

/* The frame in rd->stored as a piece; its bytes are in rd->piece. */
static int get_piece(struct capsule_reader *rd, const struct frame *f, struct piece *p, struct err *err)
{
	size_t used = 0;
	struct mp m = { .zone = rd->scratch, .used = &used }, whole;
	msgpack_object o;

	if (reader_unpack(rd, f, &rd->piece, err) < 0)
		return -err->code;
	if (mp_whole(rd->piece.data, f->raw) != f->raw)
		return err_set(err, EBADMSG, "blob with bytes that are no msgpack");
	msgpack_zone_clear(rd->scratch);
	if (mp_parse(rd->piece.data, f->raw, rd->scratch, &o, err) < 0)
		return -err->code;
	whole = (struct mp){ .at = &o, .left = 1, .zone = rd->scratch, .used = &used };
	mp_array(&whole, "piece", 16, &m);
	if (!mp_fixed(&m, "sha256", p->sha256, 32) && !m.bad)
		m.bad = "sha256";
	p->at = mp_uint(&m, "offset", INT64_MAX);
	p->total = mp_uint(&m, "total", INT64_MAX);
	p->bytes = mp_bin(&m, "bytes", FRAME_PIECE);
	mp_join(&m, &whole);
	if (mp_done(&m, "blob", err) < 0)
		return -err->code;
	if (p->bytes.len == 0 || p->at > p->total || p->bytes.len > p->total - p->at)
		return err_set(err, EBADMSG, "blob with a piece that does not fit into it");
	return 0;
}

int reader_note_piece(struct capsule_reader *rd, uint64_t at, const struct frame *f, struct passing *now,
		      struct err *err)
{
	struct piece p;

	if (get_piece(rd, f, &p, err) < 0)
		return -err->code;
	if (!now->total) {
		*now = (struct passing){ .frame = at, .total = p.total };
		memcpy(now->sha256, p.sha256, 32);
	}
	if (memcmp(p.sha256, now->sha256, 32) != 0 || p.total != now->total || p.at != now->next)
		return err_set(err, EBADMSG, "blob with a piece that does not follow the one before it");
	now->next += p.bytes.len;
	if (now->next < now->total)
		return 0;
	if (table_get(&rd->blobs, p.sha256))
		return err_set(err, EBADMSG, "blob that is there twice");
	now->total = 0;
	return table_add(&rd->blobs, p.sha256, now->frame, err);
}

static int blob_pieces(struct capsule_reader *rd, const uint8_t sha256[32], uint64_t at, struct sha256 *sum,
		       capsule_sink sink, void *ctx, struct err *err)
{
	uint64_t next = 0, total;
	struct frame f;
	struct piece p;
	int r;

	do {
		if (reader_frame(rd, at, &f, err) < 0)
			return -err->code;
		if (f.type != FRAME_BLOB)
			return err_set(err, EBADMSG, "it changed while it was read");
		if (get_piece(rd, &f, &p, err) < 0)
			return reader_damaged(err, at);
		if (memcmp(p.sha256, sha256, 32) != 0 || p.at != next)
			return err_set(err, EBADMSG, "it changed while it was read");
		sha256_add(sum, p.bytes.data, p.bytes.len);
		r = sink(ctx, p.bytes.data, p.bytes.len, err);
		if (r < 0)
			return r;
		next += p.bytes.len;
		total = p.total;
		at += frame_size(&f);
	} while (next < total);
	return 0;
}

int capsule_blob(struct capsule_reader *rd, const uint8_t sha256[32], capsule_sink sink, void *ctx, struct err *err)
{
	_cleanup_(cleanup_sha256) struct sha256 *h = NULL;
	char hex[SHA256_HEX];
	uint8_t sum[32];
	uint64_t *at;
	int r;

	sha256_of("", 0, sum);
	if (memcmp(sum, sha256, 32) == 0)
		return 0;	/* every capsule holds the blob of no bytes */
	at = table_get(&rd->blobs, sha256);
	sha256_hex(sha256, hex);
	if (!at)
		return err_set(err, ENOENT, "the capsule does not hold the blob %s", hex);
	r = sha256_new(&h, err);
	if (r == 0)
		r = blob_pieces(rd, sha256, *at, h, sink, ctx, err);
	if (r < 0)
		return r;
	sha256_end(h, sum);
	if (memcmp(sum, sha256, 32) != 0) {
		err_set(err, EBADMSG, "the content of the blob %s is not what its name says", hex);
		return reader_damaged(err, *at);
	}
	return 0;
}

struct load {
	uint8_t *data;
	size_t len, room, max;
};

static int load_piece(void *ctx, const void *data, size_t len, struct err *err)
{
	struct load *l = ctx;

	if (len > l->max - l->len)
		return err_set(err, EFBIG, "a blob of more than %zu bytes", l->max);
	if (l->len + len > l->room) {
		size_t room = (l->len + len) * 2 < l->max ? (l->len + len) * 2 : l->max;
		uint8_t *bigger = realloc(l->data, room + 1);

		if (!bigger)
			return err_set(err, ENOMEM, "out of memory");
		l->data = bigger;
		l->room = room;
	}
	memcpy(l->data + l->len, data, len);
	l->len += len;
	return 0;
}

int capsule_blob_load(struct capsule_reader *rd, const uint8_t sha256[32], size_t max, uint8_t **data, size_t *len,
		      struct err *err)
{
	struct load l = { .max = max };
	_cleanup_free_ uint8_t *got = NULL;
	int r;

	r = capsule_blob(rd, sha256, load_piece, &l, err);
	got = l.data;
	if (r < 0)
		return r;
	if (!got)
		got = malloc(1);
	if (!got)
		return err_set(err, ENOMEM, "out of memory");
	*data = TAKE_PTR(got);
	*len = l.len;
	return 0;
}
