/* SPDX-License-Identifier: Apache-2.0 */
/* Inside files.c, file_table.c, file_content.c and file_ahead.c: what is known of a path. Nobody else includes this. */
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
	MOVED = 32,		/* a directory that came here with all that is in it */
	AWAY = 128,		/* it went with a directory that was renamed: what is at its path now is another one */
	WAS_READ = 512,		/* armed: opened for reading, or a program; what is in a file that is only written tells nobody anything */
	LATE = 256,		/* armed: its content is read when a capsule is made, if it is still that of ctime */
	ATTRIBUTES_IN_TIME = 1024,	/* of a first name: read before the scope could change them */
	ATTRIBUTES_CHANGED = 2048,	/* likewise: the scope did */
	CONTENT_CHANGED = 64,	/* of a first name: the scope wrote to the file, under whichever name */
};

struct entry {
	char *path;
	struct entry *same;	/* another path with the same hash */
	uint16_t flags;
	struct ev_file before;	/* path and target: the entry's own */
	struct bytes attributes;	/* of a first name: extended ones, before; malloced */
	struct content *ahead;	/* read before anybody opened it; NULL: not so */
	struct entry *first;	/* of several names of one file, the one that was known first; itself, or NULL: it has one name */
	char *from;		/* of a directory that came here: where it was */
	int64_t ctime;		/* of the content that is in the capsule, or of an image's file when it was used */
};

/* A content that was read in time; what it costs to keep it is for when nobody waits for us. */
struct content {
	struct content *next;
	struct entry *e;
	struct stat st;
	size_t len;
	uint8_t data[];
};

/* A directory whose files were opened lately, by a program that waited for us at each. */
struct busy_dir {
	uint64_t name;		/* hash of its path */
	unsigned int opened, enough;
};
enum { BUSY_DIRS = 16 };

struct files {
	int64_t began;		/* CLOCK_REALTIME, ns */
	struct map by_path, by_inode;	/* by_inode: files of several names */
	struct entry **all;	/* in order of appearance */
	size_t n;
	struct content *read, **last_read;	/* contents that are to be written */
	size_t bytes_read;
	struct busy_dir busy[BUSY_DIRS];
	size_t bytes_ahead;
	bool moves;		/* directories were renamed */
	size_t max;		/* armed: entries; 0: any number */
	bool full;		/* armed: there was no room for another */
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
/*
 * The entry of a path that may be laid over, of where it was before its directory was renamed; NULL: it is none, or there is
 * no memory.
 */
struct entry *entry_of(struct recording *r, const char *path);
/* What was before is not decided, and can still be found out. */
bool entry_is_open(const struct entry *e);
void entry_know(struct recording *r, struct entry *e, const struct stat *st);
/* The same of what is at @path of the scope's, with its attributes. */
void entry_know_at(struct recording *r, struct entry *e, const char *path, const struct stat *st);
/* The one that has the content: of several names of a file the first. */
struct entry *entry_first(struct entry *e);
void entry_know_absent(struct entry *e);

/* The extended attributes of the file at @host, a path of ours, are those before if the scope has not changed any. */
void attributes_know(struct recording *r, struct entry *e, const char *host, bool follow, const struct stat *st);
void attributes_forget(struct entry *e);

/* Does @path belong to the image? */
bool in_image(const struct recording *r, const char *path);
/*
 * A container's image stays as it was, whatever the scope does above it: what
 * was before is known at any time.
 */
void entry_know_image(struct recording *r, struct entry *e);

/* lstat() below the recording's root. */
int file_look(const struct recording *r, const char *path, struct stat *st);
void file_set_stat(struct ev_file *f, const struct stat *st);

/* An fd of ours for a regular file: @fd of @pid's, else by its path; @ino 0: any. -errno. */
int content_open(const struct recording *r, const char *path, pid_t pid, int fd, uint64_t ino);
/* What @fd reads is what was before. @ctime: of the content that is wanted; 0: as it is now. */
void content_keep(struct recording *r, struct entry *e, int fd, int64_t ctime);
/* Writes the first of the contents that were read; true: there are more. */
bool content_settle(struct recording *r);
/* @c, whose entry was made for it, is what was before; to be written. */
void content_take(struct recording *r, struct content *c);

/* A program waited until @path was read: if it opens one file of the directory after the other, the others are read ahead. */
void ahead_opened(struct recording *r, const char *path);
/* Was the content of @e that an open found at @ctime read ahead?  Then that is what was before. */
bool ahead_take(struct recording *r, struct entry *e, int64_t ctime);
void ahead_drop(struct files *fs, struct entry *e);

/* An image's file: remembered for its hash, which is taken when there is time. */
void content_later(struct recording *r, const char *path, int64_t ctime);
void content_end_job(struct files *fs);
/* Of a recording that has no capsule yet: what was before is @before, its content is for later. */
void content_put_off(struct entry *e, const struct stat *before);
/* What @fd reads, into the capsule, or only its hash if it is large. */
int content_now(struct recording *r, struct entry *e, int fd, struct err *err);
/* What was read and is not written. */
void content_drop(struct files *fs);

#endif
