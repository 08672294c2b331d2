/* SPDX-License-Identifier: Apache-2.0 */
/* Inside files.c, file_table.c and file_content.c: what is known of a path. Nobody else includes this. */
#ifndef CAPSULE_FILE_TABLE_H
#define CAPSULE_FILE_TABLE_H

#include "format/sha256.h"
#include "recorder/files.h"
#include "recorder/map.h"

enum {
	KNOWN = 1,		/* before is decided */
	CHANGED = 2,		/* the scope has changed it: what it is now says nothing of before */
	OUTPUT = 4,
	TO_HASH = 8,		/* of the image: the hash is put off */
	IS_DIR = 16,		/* it was a directory when last looked at */
};

struct entry {
	char *path;
	struct entry *same;	/* another path with the same hash */
	uint8_t flags;
	struct ev_file before;	/* path and target: the entry's own */
	int64_t ctime;		/* of the content that is in the capsule, or of an image's file when it was used */
};

struct files {
	struct map by_path;
	struct entry **all;	/* in order of appearance */
	size_t n;
	size_t hashed;		/* index of the first that may still have TO_HASH */
	struct {		/* the one that is being hashed */
		struct entry *e;
		struct sha256 *hash;
		uint64_t at;
		int fd;
	} job;
};

static inline int64_t file_ns(struct timespec t)
{
	return t.tv_sec * 1000000000ll + t.tv_nsec;
}

struct entry *entry_find(const struct files *fs, const char *path);
/* A new one; NULL: no memory. */
struct entry *entry_add(struct files *fs, const char *path);
/* The entry of a path that may be laid over; NULL: it is none, or there is no memory. */
struct entry *entry_of(struct recording *r, const char *path);
/* What was before is not decided, and can still be found out. */
bool entry_is_open(const struct entry *e);
void entry_know(struct entry *e, const struct stat *st);
void entry_know_absent(struct entry *e);

/* lstat() below the recording's root. */
int file_look(const struct recording *r, const char *path, struct stat *st);
void file_set_stat(struct ev_file *f, const struct stat *st);

/* An fd of ours for a regular file: @fd of @pid's, else by its path; @ino 0: any. -errno. */
int content_open(const struct recording *r, const char *path, pid_t pid, int fd, uint64_t ino);
/* What @fd reads is what was before. @ctime: of the content that is wanted; 0: as it is now. */
void content_keep(struct recording *r, struct entry *e, int fd, int64_t ctime);
/* An image's file: remembered for its hash, which is taken when there is time. */
void content_later(struct recording *r, const char *path, int64_t ctime);
void content_end_job(struct files *fs);

#endif
