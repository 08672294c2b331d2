/* SPDX-License-Identifier: Apache-2.0 */
/* Capsules in memory for tests: the sample's, and ones put together frame by frame, right or wrong. */
#ifndef CAPSULE_TESTS_CAPSULES_H
#define CAPSULE_TESTS_CAPSULES_H

#include "tests/unit/harness.h"
#include "tests/unit/sample.h"

#include "format/codec.h"
#include "format/frame.h"
#include "format/io.h"
#include "format/manifest.h"
#include "format/sha256.h"
#include "format/writer.h"

struct image {
	uint8_t *data;
	size_t len;
};

__attribute__((unused)) static struct image load_file(const char *path)
{
	struct image i;
	int r = io_slurp(path, 256 << 20, (char **)&i.data, &i.len);

	if (r < 0)
		fail_msg("%s: %s", path, strerror(-r));
	return i;
}

__attribute__((unused)) static void write_sample(const char *path)
{
	struct capsule_writer *w = NULL;
	struct err err = ERR_INIT;

	assert_works(err, capsule_writer_open(&w, path, &sample_manifest, &err));
	for (size_t i = 0; i < COUNT(sample_events); i++) {
		assert_works(err, capsule_write(w, &sample_events[i], &err));
		if (i == 4)	/* more than one frame of events */
			assert_works(err, capsule_writer_flush(w, &err));
	}
	assert_works(err, capsule_writer_finish(w, &sample_end, &err));
}

__attribute__((unused)) static struct image sample_image(void)
{
	const char *path = scratch_path("sample.cap");
	struct image i;

	write_sample(path);
	i = load_file(path);
	unlink(path);
	return i;
}

/* ---- frame by frame ------------------------------------------------------ */

__attribute__((unused)) static void put_bytes(struct image *i, const void *data, size_t len)
{
	i->data = realloc(i->data, i->len + len);
	assert_non_null(i->data);
	memcpy(i->data + i->len, data, len);
	i->len += len;
}

__attribute__((unused)) static void put_header(struct image *i)
{
	uint8_t head[FILE_HEADER];

	*i = (struct image){ 0 };
	file_header_put(head);
	put_bytes(i, head, sizeof(head));
}

/* A frame of @stored as it is; its check is right. */
__attribute__((unused)) static void put_stored(struct image *i, uint32_t type, uint64_t raw, const void *stored,
					       size_t len)
{
	uint64_t head[3] = { type, len, raw };	/* little-endian machines */
	struct sha256 *h = NULL;
	struct err err = ERR_INIT;
	uint8_t sum[32];

	assert_works(err, sha256_new(&h, &err));
	sha256_add(h, head, sizeof(head));
	sha256_add(h, stored, len);
	sha256_end(h, sum);
	sha256_free(h);
	put_bytes(i, head, sizeof(head));
	put_bytes(i, sum, 8);
	put_bytes(i, stored, len);
}

__attribute__((unused)) static void put_frame(struct image *i, uint32_t type, const void *raw, size_t len)
{
	size_t bound = ZSTD_compressBound(len), n;
	uint8_t *stored = malloc(bound);

	assert_non_null(stored);
	n = ZSTD_compress(stored, bound, raw, len, 3);
	assert_false(ZSTD_isError(n));
	put_stored(i, type, len, stored, n);
	free(stored);
}

__attribute__((unused)) static void put_manifest(struct image *i)
{
	struct err err = ERR_INIT;
	msgpack_sbuffer buf;
	msgpack_packer pk;

	msgpack_sbuffer_init(&buf);
	msgpack_packer_init(&pk, &buf, msgpack_sbuffer_write);
	assert_works(err, manifest_pack(&pk, &sample_manifest, &err));
	put_frame(i, FRAME_MANIFEST, buf.data, buf.size);
	msgpack_sbuffer_destroy(&buf);
}

__attribute__((unused)) static void put_events(struct image *i, const struct event *e, size_t n)
{
	msgpack_sbuffer buf;
	msgpack_packer pk;
	uint64_t since = 0;

	msgpack_sbuffer_init(&buf);
	msgpack_packer_init(&pk, &buf, msgpack_sbuffer_write);
	msgpack_pack_array(&pk, n);
	for (size_t k = 0; k < n; k++) {
		event_pack(&pk, &e[k], since);
		since = e[k].time;
	}
	put_frame(i, FRAME_EVENTS, buf.data, buf.size);
	msgpack_sbuffer_destroy(&buf);
}

/* The name is that of @data plus @lie. */
__attribute__((unused)) static void put_piece_of(struct image *i, const void *data, size_t len, uint64_t at,
						 uint64_t total, int lie)
{
	msgpack_sbuffer buf;
	msgpack_packer pk;
	uint8_t name[32];

	sha256_of(data, len, name);
	name[0] = (uint8_t)(name[0] + lie);
	msgpack_sbuffer_init(&buf);
	msgpack_packer_init(&pk, &buf, msgpack_sbuffer_write);
	msgpack_pack_array(&pk, 4);
	msgpack_pack_bin_with_body(&pk, name, 32);
	msgpack_pack_uint64(&pk, at);
	msgpack_pack_uint64(&pk, total);
	msgpack_pack_bin_with_body(&pk, data, len);
	put_frame(i, FRAME_BLOB, buf.data, buf.size);
	msgpack_sbuffer_destroy(&buf);
}

__attribute__((unused)) static void put_end(struct image *i, uint64_t events, uint64_t blobs)
{
	struct end_frame e = { .end = sample_end };
	msgpack_sbuffer buf;
	msgpack_packer pk;

	e.end.events = events;
	e.end.blobs = blobs;
	sha256_of(i->data, i->len, e.digest);
	msgpack_sbuffer_init(&buf);
	msgpack_packer_init(&pk, &buf, msgpack_sbuffer_write);
	end_pack(&pk, &e, NULL, 0);
	put_frame(i, FRAME_END, buf.data, buf.size);
	msgpack_sbuffer_destroy(&buf);
}

/* All of it: opens, reads every event; the first failure. */
__attribute__((unused)) static int read_all(const struct image *i, unsigned int flags, bool *complete, uint64_t *events,
					    struct err *err)
{
	struct capsule_reader *rd = NULL;
	struct event e;
	int r;

	*complete = false;
	*events = 0;
	r = capsule_reader_open_mem(&rd, i->data, i->len, flags, err);
	if (r < 0)
		return r;
	*complete = capsule_complete(rd, NULL);
	while ((r = capsule_next(rd, &e, err)) > 0)
		++*events;
	capsule_reader_close(rd);
	return r;
}

#endif
