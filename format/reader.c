/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opening walks the whole file once: every checksum, the manifest, the end,
 * and where each blob begins.  Events and blobs are unpacked when asked for,
 * their frames read and checked again: the file may have changed meanwhile.
 */
#include "format/reader.h"

#include "format/cleanup.h"
#include "format/codec.h"
#include "format/io.h"
#include "format/mp.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

/* With CAPSULE_KEEP: bytes of events held at most. */
#define KEEP_MAX (1ull << 30)

/* ---- bytes and frames -------------------------------------------------- */

static int read_at(const struct capsule_reader *rd, void *buf, size_t len, uint64_t at, struct err *err)
{
	ssize_t n;

	if (at > rd->len || len > rd->len - at)
		return err_set(err, EBADMSG, "cut short at offset %" PRIu64, rd->len);
	if (rd->mem) {
		memcpy(buf, rd->mem + at, len);
		return 0;
	}
	n = io_pread(rd->fd, buf, len, at);
	if (n < 0)
		return err_sys(err, (int)-n, "reading at offset %" PRIu64, at);
	if ((size_t)n != len)
		return err_set(err, EBADMSG, "it became shorter while it was read");
	return 0;
}

static int make_room(struct buffer *b, size_t len, struct err *err)
{
	if (len <= b->room)
		return 0;
	free(b->data);
	b->room = 0;
	b->data = malloc(len);
	if (!b->data)
		return err_set(err, ENOMEM, "out of memory");
	b->room = len;
	return 0;
}

int reader_damaged(struct err *err, uint64_t at)
{
	struct err was = *err;

	if (was.code != EBADMSG)
		return -was.code;
	return err_set(err, EBADMSG, "damaged at offset %" PRIu64 ": %.300s (copy it again from where it is whole, or record again)",
		       at, was.text);
}

int reader_frame(struct capsule_reader *rd, uint64_t at, struct frame *f, struct err *err)
{
	uint8_t head[FRAME_HEADER];

	if (read_at(rd, head, sizeof(head), at, err) < 0 || frame_get(f, head, err) < 0 ||
	    make_room(&rd->stored, f->stored, err) < 0 ||
	    read_at(rd, rd->stored.data, f->stored, at + FRAME_HEADER, err) < 0 ||
	    frame_check(f, rd->stored.data, err) < 0)
		return reader_damaged(err, at);
	return 0;
}

int reader_unpack(struct capsule_reader *rd, const struct frame *f, struct buffer *b, struct err *err)
{
	if (make_room(b, f->raw, err) < 0)
		return -err->code;
	return frame_unpack(rd->z, f, rd->stored.data, b->data, err);
}

/* ---- opening ----------------------------------------------------------- */

static int take_manifest(struct capsule_reader *rd, const struct frame *f, struct err *err)
{
	if (reader_unpack(rd, f, &rd->raw, err) < 0)
		return -err->code;
	return manifest_unpack(rd->raw.data, f->raw, &rd->manifest, err);
}

static int take_end(struct capsule_reader *rd, const struct frame *f, uint64_t at, struct err *err)
{
	if (reader_unpack(rd, f, &rd->raw, err) < 0 || end_unpack(rd->raw.data, f->raw, &rd->end, err) < 0)
		return -err->code;
	if (memcmp(rd->end.digest, rd->digest, 32) != 0)
		return err_set(err, EBADMSG, "end frame with the digest of other bytes");
	if (rd->end.end.blobs != rd->blobs.used)
		return err_set(err, EBADMSG, "end frame that counts %" PRIu64 " blobs where there are %zu",
			       rd->end.end.blobs, rd->blobs.used);
	if (at + frame_size(f) != rd->len)
		return err_set(err, EBADMSG, "%" PRIu64 " bytes behind the end frame", rd->len - at - frame_size(f));
	rd->complete = true;
	return 0;
}

/*
 * A length that leads behind the end of the file: was the file cut, or is the
 * length wrong?  zstd knows where its frame ends; in a file that was cut, not here.
 */
static int payload_is_whole(struct capsule_reader *rd, uint64_t at, struct err *err)
{
	size_t there = (size_t)(rd->len - at);

	if (there == 0)
		return 0;
	if (make_room(&rd->stored, there, err) < 0 || read_at(rd, rd->stored.data, there, at, err) < 0)
		return -err->code;
	return !ZSTD_isError(ZSTD_findFrameCompressedSize(rd->stored.data, there));
}

/* Is the frame at @at whole? 0: no, and rd->why says so. What is visible of its header must be right all the same. */
static int whole_frame(struct capsule_reader *rd, uint64_t at, struct err *err)
{
	uint8_t head[FRAME_HEADER];
	struct frame f;
	int r;

	if (rd->len - at < FRAME_HEADER) {
		snprintf(rd->why, sizeof(rd->why), "cut short %s offset %" PRIu64, rd->len == at ? "at" : "inside the frame at", at);
		return 0;
	}
	if (read_at(rd, head, sizeof(head), at, err) < 0 || frame_get(&f, head, err) < 0)
		return reader_damaged(err, at);
	if (frame_size(&f) <= rd->len - at)
		return 1;
	r = payload_is_whole(rd, at + FRAME_HEADER, err);
	if (r > 0)
		r = err_set(err, EBADMSG, "the frame is shorter than its header says");
	if (r < 0)
		return reader_damaged(err, at);
	snprintf(rd->why, sizeof(rd->why), "cut short inside the frame at offset %" PRIu64, at);
	return 0;
}

static int take_frame(struct capsule_reader *rd, const struct frame *f, uint64_t at, struct passing *blob,
		      struct err *err)
{
	if ((f->type == FRAME_MANIFEST) != (at == FILE_HEADER))
		return err_set(err, EBADMSG, at == FILE_HEADER ? "the first frame is no manifest" : "a second manifest");
	if (f->type != FRAME_BLOB && blob->total)
		return err_set(err, EBADMSG, "the blob before this frame is not whole");
	switch ((enum frame_type)f->type) {
	case FRAME_MANIFEST: return take_manifest(rd, f, err);
	case FRAME_BLOB: return reader_note_piece(rd, at, f, blob, err);
	case FRAME_END: return take_end(rd, f, at, err);
	case FRAME_EVENTS: break;
	}
	return 0;
}

static int digest_so_far(struct capsule_reader *rd, const struct sha256 *h, struct err *err)
{
	_cleanup_(cleanup_sha256) struct sha256 *copy = NULL;

	if (sha256_copy(&copy, h, err) < 0)
		return -err->code;
	sha256_end(copy, rd->digest);
	return 0;
}

static int walk(struct capsule_reader *rd, struct sha256 *h, struct err *err)
{
	struct passing blob = { 0 };
	uint64_t at = FILE_HEADER;
	struct frame f;
	int r;

	while (!rd->complete) {
		r = whole_frame(rd, at, err);
		if (r < 0)
			return r;
		if (r == 0)
			break;
		if (reader_frame(rd, at, &f, err) < 0)
			return -err->code;
		if (f.type == FRAME_END && digest_so_far(rd, h, err) < 0)
			return -err->code;
		if (take_frame(rd, &f, at, &blob, err) < 0)
			return reader_damaged(err, at);
		if (rd->complete)
			break;
		sha256_add(h, f.head, sizeof(f.head));
		sha256_add(h, f.check, sizeof(f.check));
		sha256_add(h, rd->stored.data, f.stored);
		at += frame_size(&f);
		if (f.type == FRAME_MANIFEST)
			rd->first = at;
	}
	rd->limit = at;
	if (!rd->manifest)
		return err_set(err, EBADMSG, "cut short inside its manifest, nothing is left of this capsule (record it again)");
	return rd->complete ? 0 : digest_so_far(rd, h, err);
}

static int start(struct capsule_reader *rd, struct err *err)
{
	_cleanup_(cleanup_sha256) struct sha256 *h = NULL;
	uint8_t head[FILE_HEADER];
	size_t len = rd->len < sizeof(head) ? (size_t)rd->len : sizeof(head);

	rd->z = ZSTD_createDCtx();
	rd->scratch = msgpack_zone_new(MSGPACK_ZONE_CHUNK_SIZE);
	rd->strings = msgpack_zone_new(MSGPACK_ZONE_CHUNK_SIZE);
	if (!rd->z || !rd->scratch || !rd->strings)
		return err_set(err, ENOMEM, "out of memory");
	if (read_at(rd, head, len, 0, err) < 0 || file_header_check(head, len, err) < 0 || sha256_new(&h, err) < 0)
		return -err->code;
	sha256_add(h, head, sizeof(head));
	if (walk(rd, h, err) < 0)
		return -err->code;
	capsule_rewind(rd);
	return 0;
}

static int open_regular(const char *path, uint64_t *len, struct err *err)
{
	struct stat st;

	/* O_NONBLOCK: a FIFO that nobody writes to must not hold us. */
	_cleanup_fd_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return err_sys(err, errno, "opening '%s'", path);
	if (fstat(fd, &st) < 0)
		return err_sys(err, errno, "opening '%s'", path);
	if (S_ISDIR(st.st_mode))
		return err_set(err, EISDIR, "opening '%s': a directory, not a capsule (name the file in it)", path);
	if (!S_ISREG(st.st_mode))
		return err_set(err, EINVAL, "opening '%s': not a regular file (copy its content to one first)", path);
	*len = (uint64_t)st.st_size;
	return TAKE_FD(fd);
}

int capsule_reader_open(struct capsule_reader **ret, const char *path, unsigned int flags, struct err *err)
{
	_cleanup_reader_ struct capsule_reader *rd = calloc(1, sizeof(*rd));
	if (!rd)
		return err_set(err, ENOMEM, "opening '%s': out of memory", path);
	rd->flags = flags;
	rd->fd = open_regular(path, &rd->len, err);
	if (rd->fd < 0)
		return rd->fd;
	if (start(rd, err) < 0)
		return err_in(err, "opening '%s'", path);
	*ret = TAKE_PTR(rd);
	return 0;
}

int capsule_reader_open_mem(struct capsule_reader **ret, const void *data, size_t len, unsigned int flags,
			    struct err *err)
{
	_cleanup_reader_ struct capsule_reader *rd = calloc(1, sizeof(*rd));
	if (!rd)
		return err_set(err, ENOMEM, "out of memory");
	rd->fd = -1;
	rd->mem = data ? data : (const uint8_t *)"";
	rd->len = len;
	rd->flags = flags;
	if (start(rd, err) < 0)
		return -err->code;
	*ret = TAKE_PTR(rd);
	return 0;
}

void capsule_reader_close(struct capsule_reader *rd)
{
	if (!rd)
		return;
	if (rd->fd >= 0)
		close(rd->fd);
	manifest_free(rd->manifest);
	table_clear(&rd->blobs);
	paths_clear(&rd->paths);
	ZSTD_freeDCtx(rd->z);
	free(rd->stored.data);
	free(rd->raw.data);
	free(rd->piece.data);
	if (rd->scratch)
		msgpack_zone_free(rd->scratch);
	if (rd->strings)
		msgpack_zone_free(rd->strings);
	for (struct kept *k = rd->kept, *next; k; k = next) {
		next = k->next;
		free(k);
	}
	free(rd);
}

const struct manifest *capsule_manifest(const struct capsule_reader *rd)
{
	return rd->manifest;
}

const char *capsule_signature(const struct capsule_reader *rd)
{
	const struct capsule_end *end = capsule_end(rd);
	const struct manifest *m = capsule_manifest(rd);

	return m->signature && m->signature[0] ? m->signature : end ? end->signature : "";
}

const struct capsule_end *capsule_end(const struct capsule_reader *rd)
{
	return rd->complete ? &rd->end.end : NULL;
}

bool capsule_complete(const struct capsule_reader *rd, const char **why)
{
	if (why)
		*why = rd->complete ? NULL : rd->why;
	return rd->complete;
}

uint64_t capsule_size(const struct capsule_reader *rd)
{
	return rd->len;
}

void capsule_digest(const struct capsule_reader *rd, uint8_t sha256[32])
{
	memcpy(sha256, rd->digest, 32);
}

/* ---- events ------------------------------------------------------------ */

void capsule_rewind(struct capsule_reader *rd)
{
	rd->at = rd->first;
	rd->left = 0;
	rd->events_len = 0;
	rd->seen = 0;
	rd->failed.code = 0;
}

/* The events of the frame in rd->stored, into memory that lives as long as it must. */
static int load_events(struct capsule_reader *rd, const struct frame *f, struct err *err)
{
	const uint8_t *raw;
	size_t n;

	if (rd->flags & CAPSULE_KEEP) {
		struct kept *k = malloc(sizeof(*k) + f->raw);

		if (!k)
			return err_set(err, ENOMEM, "out of memory");
		k->next = rd->kept;
		rd->kept = k;
		rd->used += f->raw;
		if (frame_unpack(rd->z, f, rd->stored.data, k->data, err) < 0)
			return -err->code;
		raw = k->data;
	} else {
		if (reader_unpack(rd, f, &rd->raw, err) < 0)
			return -err->code;
		raw = rd->raw.data;
	}
	n = mp_array_header(raw, f->raw, &rd->left);
	if (n == 0)
		return err_set(err, EBADMSG, "no array of events");
	rd->events = raw + n;
	rd->events_len = f->raw - n;
	rd->time = 0;
	return 0;
}

/* 1: there is an event; 0: no more. */
static int find_event(struct capsule_reader *rd, struct err *err)
{
	uint8_t head[FRAME_HEADER];
	struct frame f;

	while (rd->left == 0) {
		if (rd->events_len > 0)
			return err_set(err, EBADMSG, "bytes behind the last event of the frame");
		if (rd->at >= rd->limit)
			return 0;
		rd->frame = rd->at;
		if (read_at(rd, head, sizeof(head), rd->at, err) < 0 || frame_get(&f, head, err) < 0)
			return -err->code;
		rd->at += frame_size(&f);
		if (f.type != FRAME_EVENTS)
			continue;
		if (reader_frame(rd, rd->frame, &f, err) < 0 || load_events(rd, &f, err) < 0)
			return -err->code;
	}
	return 1;
}

static int next_event(struct capsule_reader *rd, struct event *e, struct err *err)
{
	size_t n;
	int r;

	if (!(rd->flags & CAPSULE_KEEP)) {
		msgpack_zone_clear(rd->strings);
		rd->used = 0;
	}
	r = find_event(rd, err);
	if (r == 0 && rd->complete && rd->seen != rd->end.end.events)
		return err_set(err, EBADMSG, "%" PRIu64 " events where the end frame counts %" PRIu64, rd->seen,
			       rd->end.end.events);
	if (r <= 0)
		return r;
	if (event_unpack(rd->events, rd->events_len, rd->time, rd->scratch, rd->strings, &rd->used, e, &n, err) < 0)
		return -err->code;
	if (e->kind == EV_FILE && paths_add(&rd->paths, &e->file, err) < 0)
		return -err->code;
	if (rd->used > KEEP_MAX)
		return err_set(err, EFBIG, "more than %llu bytes of events", KEEP_MAX);
	rd->events += n;
	rd->events_len -= n;
	rd->time = e->time;
	rd->left--;
	rd->seen++;
	return 1;
}

int capsule_next(struct capsule_reader *rd, struct event *e, struct err *err)
{
	struct event got;
	int r;

	if (rd->failed.code) {
		*err = rd->failed;
		return -err->code;
	}
	r = next_event(rd, &got, err);
	if (r > 0)
		*e = got;
	if (r >= 0)
		return r;
	if (err->code == EBADMSG && strncmp(err->text, "damaged", 7) != 0)
		reader_damaged(err, rd->frame);
	rd->failed = *err;
	return r;
}
