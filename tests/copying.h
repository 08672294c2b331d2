/* SPDX-License-Identifier: Apache-2.0 */
/* What an event needs beside itself in a copy of its capsule. */
#ifndef CAPSULE_TESTS_COPYING_H
#define CAPSULE_TESTS_COPYING_H

#include "format/capsule.h"
#include "format/cleanup.h"

#include <errno.h>
#include <stdio.h>

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

#endif
