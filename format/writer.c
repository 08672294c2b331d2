/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The file is always a capsule: a frame is compressed in memory and written
 * whole; when that fails, the file is cut back to the last whole frame.  A
 * few KiB behind the file's end are kept allocated, so that a full disk can
 * still take the hole that says so and the end frame.
 */
#include "format/writer.h"

#include "format/cleanup.h"
#include "format/codec.h"
#include "format/io.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

enum {
	FRAME_AIM = 256 << 10,		/* bytes of events that make a frame */
	ARRAY_HEADER = 5,		/* array 32, always: the count is known last */
	RESERVE = 8 << 10,
	END_AIM = 1 << 20,		/* bytes kept free for the end of a recording whose size is limited */
	MAX_INDEX = 1 << 18,		/* an end frame must stay below CAPSULE_MAX_FRAME; more go unindexed */
	INDEX_ENTRY = 12,		/* bytes of one, at most */
};

/* ---- the file ---------------------------------------------------------- */

/* Room behind @at for what capsule_writer_finish() must still be able to write. */
static uint64_t reserve(const struct capsule_writer *w)
{
	return w->last ? 0 : RESERVE + INDEX_ENTRY * (uint64_t)(w->nindex < MAX_INDEX ? w->nindex : MAX_INDEX);
}

static bool is_beyond(const struct capsule_writer *w, uint64_t len)
{
	return w->max && w->at + len > w->max;
}

static int allocate(const struct capsule_writer *w, uint64_t len)
{
	if (is_beyond(w, len))
		return -EDQUOT;
	if (fallocate(w->fd, FALLOC_FL_KEEP_SIZE, (off_t)w->at, (off_t)len) == 0)
		return 0;
	/* A file system that can't reserve just goes without. */
	return errno == ENOSPC || errno == EDQUOT || errno == EFBIG ? -errno : 0;
}

static int break_it(struct capsule_writer *w, int code, struct err *err)
{
	err_sys(&w->broken, code, "writing '%s' at offset %" PRIu64, w->path, w->at);
	*err = w->broken;
	return -err->code;
}

static int append(struct capsule_writer *w, const void *data, size_t len, struct err *err)
{
	int r = allocate(w, len + reserve(w));

	if (r < 0) {
		w->full = is_beyond(w, len + reserve(w));
		allocate(w, reserve(w));	/* the failed one may have given it back */
		return break_it(w, -r, err);
	}
	r = io_write(w->fd, data, len);
	if (r < 0) {
		/* Whole frames only. */
		if (ftruncate(w->fd, (off_t)w->at) == 0)
			lseek(w->fd, (off_t)w->at, SEEK_SET);
		return break_it(w, -r, err);
	}
	sha256_add(w->digest, data, len);
	w->at += len;
	return 0;
}

void capsule_writer_limit(struct capsule_writer *w, uint64_t max)
{
	w->max = max;
}

/* What is buffered goes out uncompressed at worst; the state of files comes at the end. */
bool capsule_writer_is_full(const struct capsule_writer *w)
{
	uint64_t end = w->max / 16 < END_AIM ? w->max / 16 : END_AIM;

	return w->max && (w->broken.code || w->at + w->buf.size + reserve(w) + end > w->max);
}

void writer_cut(struct capsule_writer *w, uint64_t at, size_t nindex, struct sha256 *digest)
{
	struct err ignored;

	if (w->at != at && (ftruncate(w->fd, (off_t)at) < 0 || lseek(w->fd, (off_t)at, SEEK_SET) < 0)) {
		break_it(w, errno, &ignored);	/* then the frames stay, and nobody names them */
		sha256_free(digest);
		return;
	}
	w->at = at;
	w->nindex = nindex;
	sha256_free(w->digest);
	w->digest = digest;
	allocate(w, reserve(w));
}

static int make_room(struct capsule_writer *w, size_t raw, struct err *err)
{
	size_t need = FRAME_HEADER + frame_bound(raw);

	if (need <= w->out_room)
		return 0;
	free(w->out);
	w->out_room = 0;
	w->out = malloc(need);
	if (!w->out)
		return err_set(err, ENOMEM, "out of memory");
	w->out_room = need;
	return 0;
}

static int note_frame(struct capsule_writer *w, enum frame_type type, struct err *err)
{
	if (w->nindex == w->index_room) {
		size_t room = w->index_room ? w->index_room * 2 : 64;
		struct index_entry *bigger = realloc(w->index, room * sizeof(*bigger));

		if (!bigger)
			return err_set(err, ENOMEM, "out of memory");
		w->index = bigger;
		w->index_room = room;
	}
	w->index[w->nindex++] = (struct index_entry){ type, w->at };
	return 0;
}

int writer_put(struct capsule_writer *w, enum frame_type type, const void *raw, size_t len, struct err *err)
{
	size_t n;

	if (make_room(w, len, err) < 0 || frame_pack(w->z, type, raw, len, w->out, &n, err) < 0 ||
	    note_frame(w, type, err) < 0)
		return -err->code;
	if (append(w, w->out, n, err) < 0) {
		w->nindex--;
		return -err->code;
	}
	return 0;
}

int writer_broken(const struct capsule_writer *w, struct err *err)
{
	if (!w->broken.code)
		return 0;
	*err = w->broken;
	return -err->code;
}

/* ---- events ------------------------------------------------------------ */

static void empty_buffer(struct capsule_writer *w)
{
	w->buf.size = ARRAY_HEADER;
	w->pending = 0;
	w->time = 0;
}

int capsule_writer_flush(struct capsule_writer *w, struct err *err)
{
	uint8_t *head = (uint8_t *)w->buf.data;
	uint32_t n = w->pending;

	if (writer_broken(w, err) < 0)
		return -err->code;
	if (n == 0)
		return 0;
	head[0] = 0xdd;
	for (int i = 0; i < 4; i++)
		head[1 + i] = (uint8_t)(n >> (24 - 8 * i));
	if (writer_put(w, FRAME_EVENTS, head, w->buf.size, err) < 0) {
		w->dropped += n;
		empty_buffer(w);
		return -err->code;
	}
	w->events += n;
	empty_buffer(w);
	return 0;
}

/* msgpack-c tells of a buffer that can't grow only through the results of every single call. */
static int write_or_note(void *ctx, const char *data, size_t len)
{
	struct capsule_writer *w = ctx;

	if (!w->short_of_memory && msgpack_sbuffer_write(&w->buf, data, len) < 0)
		w->short_of_memory = true;
	return 0;
}

static int append_event(struct capsule_writer *w, const struct event *e, struct err *err)
{
	size_t before = w->buf.size;

	w->short_of_memory = false;
	event_pack(&w->pk, e, w->time);
	if (w->short_of_memory) {
		w->buf.size = before;
		return err_set(err, ENOMEM, "out of memory");
	}
	if (w->buf.size > CAPSULE_MAX_FRAME) {
		w->buf.size = before;
		return err_set(err, EFBIG, "%s event of more than %u bytes", ev_kind_name(e->kind), CAPSULE_MAX_FRAME);
	}
	w->time = e->time;
	w->pending++;
	return w->buf.size >= FRAME_AIM ? capsule_writer_flush(w, err) : 0;
}

/* The same call with its long segments as blobs. */
static int blobs_of_call(struct capsule_writer *w, struct event *e, struct err *err)
{
	for (uint32_t i = 0; i < e->call.nsegs; i++) {
		struct ev_seg *s = &e->call.segs[i];

		if (!s->data || s->len <= CAPSULE_INLINE_MAX)
			continue;
		if (capsule_write_blob(w, s->data, s->len, s->sha256, err) < 0)
			return -err->code;
		s->data = NULL;
	}
	return 0;
}

static bool has_long_segments(const struct event *e)
{
	for (uint32_t i = 0; e->kind == EV_CALL && i < e->call.nsegs; i++)
		if (e->call.segs[i].data && e->call.segs[i].len > CAPSULE_INLINE_MAX)
			return true;
	return false;
}

static int refuse_event(struct err *err)
{
	if (err->code == EBADMSG)
		err->code = EINVAL;	/* the caller's fault here, not the file's */
	return -err->code;
}

int capsule_write(struct capsule_writer *w, const struct event *e, struct err *err)
{
	struct event copy;

	if (writer_broken(w, err) < 0) {
		w->dropped++;
		return -err->code;
	}
	if (!w->unchecked &&
	    (event_check(e, err) < 0 || (e->kind == EV_FILE && paths_add(&w->paths, &e->file, err) < 0)))
		return refuse_event(err);
	if (!has_long_segments(e))
		return append_event(w, e, err);
	copy = *e;
	if (blobs_of_call(w, &copy, err) < 0) {
		w->dropped++;
		return -err->code;
	}
	return append_event(w, &copy, err);
}

/* ---- beginning and end ------------------------------------------------- */

static int begin_buffer(struct capsule_writer *w, struct err *err)
{
	static const char header[ARRAY_HEADER];

	msgpack_sbuffer_init(&w->buf);
	msgpack_packer_init(&w->pk, w, write_or_note);
	if (msgpack_sbuffer_write(&w->buf, header, sizeof(header)) < 0)
		return err_set(err, ENOMEM, "out of memory");
	return 0;
}

static int pack_manifest(struct capsule_writer *w, const struct manifest *m, struct err *err)
{
	w->buf.size = 0;
	if (manifest_pack(&w->pk, m, err) < 0)
		return -err->code;
	if (w->short_of_memory)
		return err_set(err, ENOMEM, "out of memory");
	if (w->buf.size > CAPSULE_MAX_FRAME)
		return err_set(err, E2BIG, "arguments and environment of more than %u bytes", CAPSULE_MAX_FRAME);
	return 0;
}

static int begin_file(struct capsule_writer *w, struct err *err)
{
	uint8_t head[FILE_HEADER];

	file_header_put(head);
	if (append(w, head, sizeof(head), err) < 0 ||
	    writer_put(w, FRAME_MANIFEST, w->buf.data, w->buf.size, err) < 0)
		return -err->code;
	empty_buffer(w);
	return 0;
}

static int open_regular(const char *path, struct err *err)
{
	struct stat st;

	/* A capsule holds what the program read: passwords, keys. Its owner decides who else may see it. */
	_cleanup_fd_ int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0600);
	if (fd < 0)
		return err_sys(err, errno, "creating '%s'", path);
	if (fstat(fd, &st) < 0)
		return err_sys(err, errno, "creating '%s'", path);
	if (!S_ISREG(st.st_mode))
		return err_set(err, EINVAL, "creating '%s': a capsule must be a regular file", path);
	if (ftruncate(fd, 0) < 0)
		return err_sys(err, errno, "emptying '%s'", path);
	return TAKE_FD(fd);
}

int capsule_writer_open(struct capsule_writer **ret, const char *path, const struct manifest *m, struct err *err)
{
	_cleanup_writer_ struct capsule_writer *w = calloc(1, sizeof(*w));
	if (!w)
		return err_set(err, ENOMEM, "out of memory");
	w->fd = -1;
	w->path = strdup(path);
	w->z = ZSTD_createCCtx();
	if (!w->path || !w->z)
		return err_set(err, ENOMEM, "out of memory");
	if (begin_buffer(w, err) < 0 || sha256_new(&w->digest, err) < 0 || pack_manifest(w, m, err) < 0)
		return -err->code;
	w->fd = open_regular(path, err);
	if (w->fd < 0)
		return w->fd;
	if (begin_file(w, err) < 0)
		return -err->code;
	*ret = TAKE_PTR(w);
	return 0;
}

static int put_end(struct capsule_writer *w, const struct capsule_end *end, struct err *err)
{
	struct end_frame e = { .end = *end };
	struct sha256 *digest = NULL;

	e.end.events = w->events;
	e.end.blobs = w->nblobs;
	if (sha256_copy(&digest, w->digest, err) < 0)
		return -err->code;
	sha256_end(digest, e.digest);
	sha256_free(digest);
	w->buf.size = 0;
	w->short_of_memory = false;
	end_pack(&w->pk, &e, w->index, w->nindex < MAX_INDEX ? w->nindex : MAX_INDEX);
	if (w->short_of_memory)
		return err_set(err, ENOMEM, "out of memory");
	return writer_put(w, FRAME_END, w->buf.data, w->buf.size, err);
}

/* The disk was full: say so where the last whole frame ended, if there is room for that much. */
static void finish_broken(struct capsule_writer *w, struct capsule_end *end)
{
	struct event hole = { .kind = EV_HOLE, .time = end->duration <= INT64_MAX ? end->duration : 0 };
	struct err ignored;

	w->dropped += w->pending;
	empty_buffer(w);
	hole.hole.what = w->full ? "budget" : "disk";
	hole.hole.where = w->full ? "capsule" : w->path;
	hole.hole.why = w->full ? "it would have had more bytes than it may have" : w->broken.text;
	hole.hole.count = w->dropped;
	w->broken.code = 0;
	w->last = true;
	end->holes++;
	if (append_event(w, &hole, &ignored) == 0 && capsule_writer_flush(w, &ignored) == 0)
		put_end(w, end, &ignored);
}

int capsule_writer_finish(struct capsule_writer *w, const struct capsule_end *end, struct err *err)
{
	_cleanup_writer_ struct capsule_writer *dying = w;
	struct capsule_end e = *end;
	struct err first = ERR_INIT;

	w->last = !w->broken.code && w->pending == 0;
	if (capsule_writer_flush(w, &first) == 0) {
		w->last = true;
		put_end(w, &e, &first);
	}
	if (w->broken.code)
		finish_broken(w, &e);
	/* What was kept allocated behind the end goes back. */
	if (ftruncate(w->fd, (off_t)w->at) < 0 && !first.code)
		err_sys(&first, errno, "writing '%s'", w->path);
	if (fsync(w->fd) < 0 && errno != EINVAL && !first.code)
		err_sys(&first, errno, "writing '%s'", w->path);
	if (first.code)
		*err = first;
	return -first.code;
}

void capsule_writer_free(struct capsule_writer *w)
{
	if (!w)
		return;
	if (w->fd >= 0)
		close(w->fd);
	free(w->path);
	sha256_free(w->digest);
	ZSTD_freeCCtx(w->z);
	free(w->out);
	msgpack_sbuffer_destroy(&w->buf);
	paths_clear(&w->paths);
	table_clear(&w->blobs);
	free(w->index);
	free(w);
}
