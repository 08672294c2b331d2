/* SPDX-License-Identifier: Apache-2.0 */
/* Blobs into the file: in pieces, each blob once, whole or not at all. */
#include "format/writer.h"

#include "format/cleanup.h"
#include "format/io.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

static int put_piece(struct capsule_writer *w, const uint8_t sha256[32], uint64_t at, uint64_t total,
		     const void *data, size_t len, struct err *err)
{
	msgpack_sbuffer buf;
	msgpack_packer pk;
	int r;

	msgpack_sbuffer_init(&buf);
	msgpack_packer_init(&pk, &buf, msgpack_sbuffer_write);
	msgpack_pack_array(&pk, 4);
	msgpack_pack_bin_with_body(&pk, sha256, 32);
	msgpack_pack_uint64(&pk, at);
	msgpack_pack_uint64(&pk, total);
	r = msgpack_pack_bin_with_body(&pk, data, len);
	r = r < 0 ? err_set(err, ENOMEM, "out of memory") : writer_put(w, FRAME_BLOB, buf.data, buf.size, err);
	msgpack_sbuffer_destroy(&buf);
	return r;
}

/* Where a blob began, to go back to if it does not come out whole. */
struct mark {
	uint64_t at;
	size_t nindex;
	struct sha256 *digest;
};

static int set_mark(const struct capsule_writer *w, struct mark *m, struct err *err)
{
	*m = (struct mark){ .at = w->at, .nindex = w->nindex };
	return sha256_copy(&m->digest, w->digest, err);
}

static void drop_mark(struct mark *m)
{
	sha256_free(m->digest);
}

/* The next piece of a blob: @len bytes at @at, in *@data until the next call. */
typedef int (*piece_source)(void *ctx, uint64_t at, size_t len, const void **data, struct err *err);

static int put_pieces(struct capsule_writer *w, const uint8_t sha256[32], uint64_t total, piece_source next, void *ctx,
		      struct err *err)
{
	for (uint64_t at = 0; at < total;) {
		size_t n = total - at < FRAME_PIECE ? (size_t)(total - at) : FRAME_PIECE;
		const void *data;

		if (next(ctx, at, n, &data, err) < 0 || put_piece(w, sha256, at, total, data, n, err) < 0)
			return -err->code;
		at += n;
	}
	return 0;
}

static int put_blob(struct capsule_writer *w, const uint8_t sha256[32], uint64_t total, piece_source next, void *ctx,
		    struct err *err)
{
	_cleanup_(drop_mark) struct mark mark = { 0 };

	if (writer_broken(w, err) < 0)
		return -err->code;
	if (total == 0 || table_get(&w->blobs, sha256))
		return 0;
	if (set_mark(w, &mark, err) < 0)
		return -err->code;
	if (put_pieces(w, sha256, total, next, ctx, err) < 0 || table_add(&w->blobs, sha256, 1, err) < 0) {
		writer_cut(w, mark.at, mark.nindex, TAKE_PTR(mark.digest));
		return -err->code;
	}
	w->nblobs++;
	return 0;
}

static int piece_of_memory(void *ctx, uint64_t at, size_t len, const void **data, struct err *err)
{
	(void)len, (void)err;
	*data = (const uint8_t *)ctx + at;
	return 0;
}

int capsule_write_blob(struct capsule_writer *w, const void *data, size_t len, uint8_t sha256[32], struct err *err)
{
	uint8_t sum[32];

	sha256_of(data ? data : "", len, sum);
	memcpy(sha256, sum, sizeof(sum));
	return put_blob(w, sum, len, piece_of_memory, (void *)data, err);
}

/* A file is read twice, for its hash and for its bytes; what changes in between is not stored. */
struct file_pieces {
	int fd;
	uint8_t *buf;		/* FRAME_PIECE */
	uint64_t len;
	uint8_t sha256[32];
	struct sha256 *again;	/* the second reading's */
};

static void drop_file_pieces(struct file_pieces *f)
{
	free(f->buf);
	sha256_free(f->again);
}

static int piece_of_file(void *ctx, uint64_t at, size_t len, const void **data, struct err *err)
{
	struct file_pieces *f = ctx;
	uint8_t sum[32];
	ssize_t n = io_pread(f->fd, f->buf, len, at);

	if (n < 0)
		return err_sys(err, (int)-n, "reading at offset %" PRIu64, at);
	if ((size_t)n != len)
		return err_set(err, EAGAIN, "it changed while it was read");
	sha256_add(f->again, f->buf, len);
	if (at + len == f->len) {
		sha256_end(f->again, sum);
		if (memcmp(sum, f->sha256, sizeof(sum)) != 0)
			return err_set(err, EAGAIN, "it changed while it was read");
	}
	*data = f->buf;
	return 0;
}

static int hash_at_most(struct file_pieces *f, uint64_t max, struct err *err)
{
	_cleanup_(cleanup_sha256) struct sha256 *h = NULL;
	ssize_t n;

	if (sha256_new(&h, err) < 0)
		return -err->code;
	do {
		n = io_pread(f->fd, f->buf, FRAME_PIECE, f->len);
		if (n < 0)
			return err_sys(err, (int)-n, "reading at offset %" PRIu64, f->len);
		sha256_add(h, f->buf, (size_t)n);
		f->len += (uint64_t)n;
		if (f->len > max)
			return err_set(err, EFBIG, "more than %" PRIu64 " bytes", max);
	} while (n == FRAME_PIECE);
	sha256_end(h, f->sha256);
	return 0;
}

int capsule_write_blob_fd(struct capsule_writer *w, int fd, uint64_t max, uint64_t *len, uint8_t sha256[32],
			  struct err *err)
{
	_cleanup_(drop_file_pieces) struct file_pieces f = { .fd = fd };

	if (writer_broken(w, err) < 0)
		return -err->code;
	f.buf = malloc(FRAME_PIECE);
	if (!f.buf)
		return err_set(err, ENOMEM, "out of memory");
	if (hash_at_most(&f, max, err) < 0 || sha256_new(&f.again, err) < 0 ||
	    put_blob(w, f.sha256, f.len, piece_of_file, &f, err) < 0)
		return -err->code;
	memcpy(sha256, f.sha256, sizeof(f.sha256));
	*len = f.len;
	return 0;
}
