/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The state of paths: before the scope first used them (EV_FILE), and at the
 * end, of those that it changed (EV_OUTPUT).
 *
 * What was before is decided at first use, and corrected when a later record
 * proves it wrong: the recorder looks a little after the program did.  So the
 * states stay in memory until the end; contents go into the capsule at once.
 */
#ifndef CAPSULE_FILES_H
#define CAPSULE_FILES_H

#include "recorder/paths.h"
#include "recorder/state.h"

int files_new(struct files **ret, struct err *err);
/* Before the command starts. */
void files_begin(struct recording *r);
void files_free(struct files *fs);	/* NULL is fine */

/* A file that is open: where its content can be read, and what it was when it was opened. */
struct opened {
	const char *path;	/* absolute and clean */
	pid_t pid;
	int fd;			/* of @pid's; -1: none, read it by its path */
	uint64_t ino;
	const struct rec_state *state;
};

/* The scope opened a regular file. */
void file_opened(struct recording *r, const struct opened *o);
/* It was there already open, or as a program: content is kept, if it is not the image's. */
void file_held(struct recording *r, const char *path, pid_t pid, int fd);
/* Of what is armed: it was there open, for writing only. */
void file_written(struct recording *r, const char *path);
/* It was looked at; @st: lstat() of it, as late as now. */
void file_used(struct recording *r, const char *path, const struct stat *st);
void file_absent(struct recording *r, const char *path);
void file_link(struct recording *r, const char *path, const struct stat *st, const char *target);
/* Each name in it, too. */
void dir_listed(struct recording *r, const char *path);
bool dir_known(const struct recording *r, const char *path);
bool file_known(const struct recording *r, const char *path);
/* Where the content can be read that @path had at the record at hand, in time if the image has it; -ENAMETOOLONG. */
int file_host(const struct recording *r, const char *path, char host[PATH_MAX]);
/* Is what is there of the scope's own making? */
bool file_made(const struct recording *r, const char *path);

/* A process has threads now: what the C library may look at sooner or later, or not at all, as they share out its memory. */
void files_of_threads(struct recording *r);

/* The scope made it: it was not there, unless the scope itself had removed it. */
void file_created(struct recording *r, const char *path);
void file_removed(struct recording *r, const char *path, bool dir);
/* @path's content is new, its old one never seen. */
void file_truncated(struct recording *r, const char *path);
/* Mode, owner, times. */
void file_changed(struct recording *r, const char *path);
/* An extended attribute was set or removed; @created: for certain it was not there before. */
void file_attribute_changed(struct recording *r, const char *path, const char *name, bool created);
void file_renamed(struct recording *r, const char *from, const char *to);

/* One of the contents that were read is written: true if there are more. Whenever nobody waits for us. */
bool files_settle(struct recording *r);
/* A little of what is put off, the hashes of the image's files: true if there is more. For idle times. */
bool files_idle(struct recording *r);
/* The states into the capsule. */
void files_finish(struct recording *r);

/* ---- of what is armed ---- */

/* No more than @n paths are followed. */
void files_at_most(struct files *fs, size_t n);
/* What was before, into the capsule that is made now; r->w is there meanwhile. */
void files_tell_late(struct recording *r);

#endif
