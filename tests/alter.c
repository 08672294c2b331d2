/* SPDX-License-Identifier: Apache-2.0 */
/*
 * alter in|out CAPSULE ALTERED: a whole and valid capsule in which one byte is another: the last of the first
 * payload that the program read (in) or wrote (out) across the line.  A replay that does not notice proves nothing.
 */
#include "format/capsule.h"
#include "format/cleanup.h"

#include <errno.h>
#include <linux/types.h>
#include <stdio.h>
#include <string.h>

#include "format/sysdesc.h"

static int keep(void *ctx, const void *data, size_t len, struct err *err)
{
	FILE *f = ctx;

	return fwrite(data, 1, len, f) == len ? 0 : err_set(err, EIO, "writing a temporary file");
}

static int copy_blob(struct capsule_reader *rd, struct capsule_writer *w, const uint8_t sha256[32], struct err *err)
{
	_cleanup_file_ FILE *f = tmpfile();
	uint8_t got[32];
	uint64_t len;
	int r;

	if (!f)
		return err_sys(err, errno, "tmpfile");
	r = capsule_blob(rd, sha256, keep, f, err);
	if (r < 0)
		return r;
	fflush(f);
	return capsule_write_blob_fd(w, fileno(f), UINT64_MAX, &len, got, err);
}

static int copy_blobs(struct capsule_reader *rd, struct capsule_writer *w, const struct event *e, struct err *err)
{
	int r = 0;

	if ((e->kind == EV_FILE || e->kind == EV_OUTPUT) && (e->file.flags & FILE_CONTENT) && e->file.size > 0)
		r = copy_blob(rd, w, e->file.sha256, err);
	for (uint32_t i = 0; e->kind == EV_CALL && i < e->call.nsegs && r >= 0; i++)
		if (!e->call.segs[i].data && e->call.segs[i].len > 0)
			r = copy_blob(rd, w, e->call.segs[i].sha256, err);
	return r;
}

/* Another byte in the first payload of @fate; @other holds the altered bytes. */
static bool alter(struct event *e, int fate, uint8_t **other)
{
	if (e->kind != EV_CALL || e->call.nr >= SC_MAX || sc_table[e->call.nr].fate != fate)
		return false;
	for (uint32_t i = 0; i < e->call.nsegs; i++) {
		struct ev_seg *s = &e->call.segs[i];

		if (s->arg >= 6 || !s->data || s->len == 0 || !(*other = malloc(s->len)))
			continue;
		memcpy(*other, s->data, s->len);
		(*other)[s->len - 1] ^= 1;
		s->data = *other;
		return true;
	}
	return false;
}

static int copy(struct capsule_reader *rd, struct capsule_writer *w, int fate, struct err *err)
{
	_cleanup_free_ uint8_t *other = NULL;
	bool altered = false;
	struct event e;
	int r;

	while ((r = capsule_next(rd, &e, err)) > 0) {
		if (!altered)
			altered = alter(&e, fate, &other);
		r = copy_blobs(rd, w, &e, err);
		if (r >= 0)
			r = capsule_write(w, &e, err);
		if (r < 0)
			return r;
	}
	if (r == 0 && !altered)
		return err_set(err, ENOENT, "there is nothing to alter");
	return r;
}

int main(int argc, char **argv)
{
	_cleanup_reader_ struct capsule_reader *rd = NULL;
	_cleanup_writer_ struct capsule_writer *w = NULL;
	struct err err = ERR_INIT;
	int r;

	if (argc != 4)
		return 2;
	r = capsule_reader_open(&rd, argv[2], CAPSULE_KEEP, &err);
	if (r == 0 && !capsule_end(rd))
		r = err_set(&err, EBADMSG, "cut short");
	if (r == 0)
		r = capsule_writer_open(&w, argv[3], capsule_manifest(rd), &err);
	if (r == 0)
		r = copy(rd, w, strcmp(argv[1], "in") == 0 ? SC_READ : SC_WRITE, &err);
	if (r == 0)
		r = capsule_writer_finish(TAKE_PTR(w), capsule_end(rd), &err);
	if (r < 0)
		fprintf(stderr, "alter: %s\n", err.text);
	return r < 0;
}
