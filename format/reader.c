/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opening walks the whole file once: every checksum, the manifest, the end,
 * and where each blob begins.  Events and blobs are unpacked when asked for,
 * their frames read and checked again: the file may have changed meanwhile.
 */
#include "format/capsule.h"

#include "format/cleanup.h"
#include "format/codec.h"
#include "format/frame.h"
#include "format/io.h"
#include "format/manifest.h"
#include "format/mp.h"
#include "format/paths.h"
#include "format/sha256.h"
#include "format/table.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

/* With CAPSULE_KEEP: bytes of events held at most. */
#define KEEP_MAX (1ull << 30)

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

static int damaged(struct err *err, uint64_t at)
{
	if (err->code != EBADMSG)
		return -err->code;
	return err_in(err, "damaged at offset %" PRIu64 " (copy it again from where it is whole, or record again)", at);
}

/* The header of the frame at @at and its stored bytes, checked, into rd->stored. */
static int read_frame(struct capsule_reader *rd, uint64_t at, struct frame *f, struct err *err)
{
	uint8_t head[FRAME_HEADER];

	if (read_at(rd, head, sizeof(head), at, err) < 0 || frame_get(f, head, err) < 0 ||
	    make_room(&rd->stored, f->stored, err) < 0 ||
	    read_at(rd, rd->stored.data, f->stored, at + FRAME_HEADER, err) < 0 ||
	    frame_check(f, rd->stored.data, err) < 0)
		return damaged(err, at);
	return 0;
}

static int unpack_into(struct capsule_reader *rd, const struct frame *f, struct buffer *b, struct err *err)
{
	if (make_room(b, f->raw, err) < 0)
		return -err->code;
	return frame_unpack(rd->z, f, rd->stored.data, b->data, err);
}

static uint64_t frame_size(const struct frame *f)
{
	return FRAME_HEADER + f->stored;
}

/* ---- blobs ------------------------------------------------------------- */

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

	if (unpack_into(rd, f, &rd->piece, err) < 0)
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

/* The blob whose pieces are passing by while the file is opened; total 0: none. */
struct passing {
	uint8_t sha256[32];
	uint64_t frame, next, total;
};

static int note_piece(struct capsule_reader *rd, uint64_t at, const struct frame *f, struct passing *now,
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
		if (read_frame(rd, at, &f, err) < 0)
			return -err->code;
		if (f.type != FRAME_BLOB)
			return err_set(err, EBADMSG, "it changed while it was read");
		if (get_piece(rd, &f, &p, err) < 0)
			return damaged(err, at);
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
		return damaged(err, *at);
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

/* ---- opening ----------------------------------------------------------- */

static int take_manifest(struct capsule_reader *rd, const struct frame *f, struct err *err)
{
	if (unpack_into(rd, f, &rd->raw, err) < 0)
		return -err->code;
	return manifest_unpack(rd->raw.data, f->raw, &rd->manifest, err);
}

static int take_end(struct capsule_reader *rd, const struct frame *f, uint64_t at, struct err *err)
{
	if (unpack_into(rd, f, &rd->raw, err) < 0 || end_unpack(rd->raw.data, f->raw, &rd->end, err) < 0)
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

/* Is the frame at @at whole? 0: no, and rd->why says so. What is visible of its header must be right all the same. */
static int whole_frame(struct capsule_reader *rd, uint64_t at, struct err *err)
{
	uint8_t head[FRAME_HEADER];
	struct frame f;

	if (rd->len - at < FRAME_HEADER) {
		snprintf(rd->why, sizeof(rd->why), "cut short %s offset %" PRIu64, rd->len == at ? "at" : "inside the frame at", at);
		return 0;
	}
	if (read_at(rd, head, sizeof(head), at, err) < 0 || frame_get(&f, head, err) < 0)
		return damaged(err, at);
	if (frame_size(&f) <= rd->len - at)
		return 1;
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
	case FRAME_BLOB: return note_piece(rd, at, f, blob, err);
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
		if (read_frame(rd, at, &f, err) < 0)
			return -err->code;
		if (f.type == FRAME_END && digest_so_far(rd, h, err) < 0)
			return -err->code;
		if (take_frame(rd, &f, at, &blob, err) < 0)
			return damaged(err, at);
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
		if (unpack_into(rd, f, &rd->raw, err) < 0)
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
		if (read_frame(rd, rd->frame, &f, err) < 0 || load_events(rd, &f, err) < 0)
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
		damaged(err, rd->frame);
	rd->failed = *err;
	return r;
}
