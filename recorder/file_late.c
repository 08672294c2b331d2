/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files of a scope that is followed without a capsule.  What was before is
 * known from each file's first use; its content is read when a capsule is
 * made, and is that one if the file's change time is the same.  Of a file that
 * was written to meanwhile the content before is gone: a hole, unless the scope
 * has it open for writing only, as a log; then it is told as an empty file.
 */
#include "recorder/file_table.h"

#include "format/cleanup.h"
#include "format/io.h"

#include <string.h>

void files_at_most(struct files *fs, size_t n)
{
	fs->max = n;
}

static void tell(struct recording *r, const struct entry *e, const struct ev_file *before)
{
	struct event ev = { .kind = EV_FILE, .file = *before };

	ev.file.path = e->path;
	if (ev.file.state == FILE_REGULAR || ev.file.state == FILE_DIR)
		ev.file.attributes = e->first ? e->first->attributes : e->attributes;
	if (ev.file.state != FILE_SYMLINK)
		ev.file.target = NULL;
	emit(r, &ev);
}

/* The content of @e, if it is what it was. */
static void late_content(struct recording *r, struct entry *e)
{
	struct err err = ERR_INIT;
	struct stat st;
	int rc = 0;

	_cleanup_fd_ int fd = content_open(r, e->path, 0, -1, 0);
	if (fd < 0 || fstat(fd, &st) < 0) {
		emit_hole(r, "file", e->path, "it was gone when the capsule was made", 1);
		return;
	}
	rc = content_now(r, e, fd, &err);
	if (rc < 0)
		emit_hole(r, "file", e->path, err.text, 1);
	else if (file_ns(st.st_ctim) != e->ctime || (e->flags & (CHANGED | CONTENT_CHANGED)))
		emit_hole(r, "file", e->path, "it had changed when the capsule was made: this is its later content", 1);
}

/* As if it were empty: whoever writes to it finds it there. */
static bool is_only_written(const struct entry *e)
{
	return (e->flags & (CHANGED | CONTENT_CHANGED)) && !(e->flags & WAS_READ);
}

static void tell_entry(struct recording *r, struct entry *e)
{
	struct ev_file before = e->before;

	if ((e->flags & LATE) && before.state == FILE_REGULAR && is_only_written(e)) {
		before.size = 0;
		before.flags = FILE_CONTENT;
		tell(r, e, &before);
		return;
	}
	if ((e->flags & LATE) && before.state == FILE_REGULAR) {
		late_content(r, e);
		before.size = e->before.size;
	}
	tell(r, e, &e->before);
	e->before = before;	/* its blob is in that capsule, not in the next one */
	e->before.flags = (e->flags & LATE) && before.state == FILE_REGULAR ? FILE_UNREAD : before.flags;
}

/* What the C library looks at as soon as there are threads; it is no file, and has no change time worth the name. */
static void tell_for_threads(struct recording *r)
{
	struct event ev = { .kind = EV_FILE, .file = { .path = "/proc/sys/vm/overcommit_memory", .state = FILE_REGULAR, .mode = 0644 } };
	_cleanup_free_ char *text = NULL;
	struct err ignored = ERR_INIT;
	size_t len;

	if (io_slurp(ev.file.path, 4096, &text, &len) < 0 || capsule_write_blob(r->w, text, len, ev.file.sha256, &ignored) < 0)
		return;
	ev.file.size = len;
	ev.file.has_hash = true;
	ev.file.flags = FILE_CONTENT;
	emit(r, &ev);
}

void files_tell_late(struct recording *r)
{
	struct files *fs = r->files;

	while (files_idle(r))
		;
	for (size_t i = 0; i < fs->n; i++)
		if (fs->all[i]->flags & KNOWN)
			tell_entry(r, fs->all[i]);
	tell_for_threads(r);
	if (fs->full)
		emit_hole(r, "file", "all", "the scope used more files than are followed", 1);
}
