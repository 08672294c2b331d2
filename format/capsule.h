/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Capsule files: the writer, the reader, the manifest.  capsule(5) specifies
 * the file.
 *
 * A capsule is untrusted.  The reader checks every length, count and name
 * before use, holds at most CAPSULE_MAX_FRAME bytes of a frame at a time, and
 * refuses a path that is not absolute and clean.
 */
#ifndef CAPSULE_CAPSULE_H
#define CAPSULE_CAPSULE_H

#include "format/err.h"
#include "format/event.h"

#include <string.h>

#define CAPSULE_VERSION 1
#define CAPSULE_MAX_FRAME (4u << 20)	/* bytes of a frame before compression; a reader refuses more */
#define CAPSULE_INLINE_MAX (256u << 10)	/* bytes of a segment that stay inside its event; more become a blob */

#define CAPSULE_SIGNATURE 1024
#define CAPSULE_STACK 2048

/* What the program was and where it ran, known at its start. */
struct manifest {
	char *tool;		/* "capsule 0.1" */
	char *uuid;
	int64_t created;	/* ns since the epoch: CLOCK_REALTIME at the start */
	int64_t monotonic;	/* CLOCK_MONOTONIC at the same moment, ns */
	int64_t boottime;	/* CLOCK_BOOTTIME at the same moment, ns */
	char *clocks;		/* "exact" or "causal" */
	char *rootfs;		/* "/" or the directory given */
	char **image_dirs;	/* the paths whose files belong to the image, NULL-terminated */
	char **argv, **env;	/* of the command, NULL-terminated */
	char *cwd;
	uint32_t uid, euid, gid, egid;
	uint32_t *groups;
	size_t ngroups;
	uint32_t umask;
	int64_t sig_ignored, sig_blocked;	/* at the start: bit N-1 for signal N, as SigIgn and SigBlk of /proc/PID/status */
	uint32_t pid, ppid, pgid, sid;
	struct { uint64_t cur, max; } rlimits[16];	/* by RLIMIT_*; UINT64_MAX: unlimited */
	uint32_t nrlimits;
	char *hostname, *domainname;
	char *sysname, *release, *version, *machine;	/* uname(2) */
	char *cpu_model;
	uint32_t ncpus;		/* in the command's affinity mask */
	bool aslr;		/* addresses were random while recording */
	bool declines;		/* io_uring_setup was answered with ENOSYS while recording, as in a replay */
	char *signature;	/* of the failure, given by whoever recorded it; "": see struct capsule_end */
	char *image;		/* the reference of the image that it ran in; "": in none */
	char *image_manifest, *image_config;	/* "sha256:..." of the image, as image-spec has it */
	char **image_layers;	/* likewise of its layers, uncompressed; NULL-terminated */
	char *attached;		/* what was recorded while it ran: "pid 7", "cgroup /a/b", "container web"; "": recorded from its start */
	char *container;	/* of an engine, that it ran in: "podman web"; "": in none */
	char **mounts;		/* what was mounted into that: "bind /data rw from /srv/data" */
	char **namespaces;	/* its: "net net:[4026532288]", "user the recorder's" */
	char **addresses;	/* of its network: "eth0 10.88.0.2" */
	char *uid_map, *gid_map;	/* of its users, as user_namespaces(7) has them; the ids above are those inside */
	char *limits;		/* that were set: "10.000 s, 50000000 bytes"; "": none */
	char **redacted;	/* what was taken out of it, without its content: rules, notes, places; NULL-terminated; none: nothing was */
	char **traces, **upstream_traces;	/* contexts (format/trace.h) of HTTP requests that came in, and of those to others, NULL-terminated */
	char *replay_of;	/* this is what a replay of the capsule with that uuid saw; "": it is a recording */
};
void manifest_free(struct manifest *m);	/* the members and @m; NULL is fine */

/* How it ended: from the end frame. */
struct capsule_end {
	uint64_t events, blobs;
	uint64_t duration;	/* ns */
	uint64_t lost;		/* ring-buffer losses, in records */
	uint64_t holes;
	int32_t status;		/* of the command, as wait(2) gives it */
	char ended[32];		/* why the recording did, of an attached one: "all gone", "told to", "--for", "--max-bytes"; else "" */
	char signature[CAPSULE_SIGNATURE];	/* of the failure, found when the recording ended; "": there was none */
	char stack[CAPSULE_STACK];	/* of what a replay saw: where in the source its first divergence comes from, a line a frame; "": not known */
};

/* Did the program go on when the recorder, which had found it running, left? Then there is no status. */
static inline bool capsule_end_is_open(const struct capsule_end *e)
{
	return e->ended[0] && strcmp(e->ended, "all gone") != 0;
}

/* ---- writing ---------------------------------------------------------- */

struct capsule_writer;

/*
 * Creates @path (truncated if it is a regular file that exists) and writes
 * the magic and the manifest.  Events are buffered and go out as a frame of
 * about 256 KiB, or with capsule_writer_flush().  What has been written is
 * always a readable capsule, cut short.
 *
 * After a failed write (disk full) the writer is broken: every further call
 * returns the same error and writes nothing, except that
 * capsule_writer_finish() tries once to put a hole "disk" and the end frame
 * where the last whole frame ended; it returns that error all the same.
 *
 * A manifest or an event that no reader would take (a path that is not clean
 * or leads through a symlink of the file table, a number outside its enum) is
 * refused with EINVAL, an event longer than a frame with EFBIG; neither breaks
 * the writer.
 */
int capsule_writer_open(struct capsule_writer **ret, const char *path, const struct manifest *m, struct err *err);
/*
 * The file is never to be longer than @max bytes: what has no room any more is
 * refused as by a full disk.  capsule_writer_is_full(): it is time to end, if
 * what a recording says at its end is to have room.
 */
void capsule_writer_limit(struct capsule_writer *w, uint64_t max);
bool capsule_writer_is_full(const struct capsule_writer *w);
/* Copies what it needs of @e.  Segments longer than CAPSULE_INLINE_MAX become blobs by themselves. */
int capsule_write(struct capsule_writer *w, const struct event *e, struct err *err);
/* Stores @data under its SHA-256, once; @sha256 gets the hash. No bytes need no place: every capsule holds them. */
int capsule_write_blob(struct capsule_writer *w, const void *data, size_t len, uint8_t sha256[32], struct err *err);
/* Stores what @fd reads from its start, whole, without holding it in memory; at most @max bytes, else -EFBIG and nothing is kept. @len: bytes stored. EAGAIN: it changed meanwhile, nothing is kept. */
int capsule_write_blob_fd(struct capsule_writer *w, int fd, uint64_t max, uint64_t *len, uint8_t sha256[32], struct err *err);
int capsule_writer_flush(struct capsule_writer *w, struct err *err);
/* Writes the end frame, syncs and closes; @end's events and blobs are filled in by the writer. Frees @w in any case. */
int capsule_writer_finish(struct capsule_writer *w, const struct capsule_end *end, struct err *err);
/* Closes without an end frame. */
void capsule_writer_free(struct capsule_writer *w);

/* ---- reading ---------------------------------------------------------- */

struct capsule_reader;

enum {
	CAPSULE_KEEP = 1,	/* events stay valid until the reader is closed, not just until the next one; EFBIG above 1 GiB */
};

/*
 * Opens a capsule, checks magic, version, every frame's checksum and the
 * manifest, and finds the blobs.  A file that is cut short opens if its
 * manifest is whole: capsule_complete() tells.  Errors: EBADMSG (not a
 * capsule, or damaged: the text says where), EPROTONOSUPPORT (a future
 * version), EISDIR/EINVAL (not a regular file), or the system's.
 */
int capsule_reader_open(struct capsule_reader **ret, const char *path, unsigned int flags, struct err *err);
int capsule_reader_open_mem(struct capsule_reader **ret, const void *data, size_t len, unsigned int flags,
			    struct err *err);
void capsule_reader_close(struct capsule_reader *rd);	/* NULL is fine */

const struct manifest *capsule_manifest(const struct capsule_reader *rd);
/* NULL where the end frame is missing. */
const struct capsule_end *capsule_end(const struct capsule_reader *rd);
/* The failure's signature: the one that was given, or the one that was found; "": none. */
const char *capsule_signature(const struct capsule_reader *rd);
/* False: cut short; @why (may be NULL) says after what. */
bool capsule_complete(const struct capsule_reader *rd, const char **why);
/* Bytes of the file. */
uint64_t capsule_size(const struct capsule_reader *rd);
/* SHA-256 of the file up to the end frame, as in that; of all whole frames where it is cut short. For receipts. */
void capsule_digest(const struct capsule_reader *rd, uint8_t sha256[32]);

/* 1: @e is the next event; 0: no more; negative: damaged. */
int capsule_next(struct capsule_reader *rd, struct event *e, struct err *err);
/* Back to the first event. */
void capsule_rewind(struct capsule_reader *rd);

/*
 * The blob of @sha256, checked against it: handed to @sink in pieces of at
 * most 1 MiB, in order.  A negative result of the sink ends it and is
 * returned, @err being the sink's.  ENOENT: the capsule does not hold it.
 */
typedef int (*capsule_sink)(void *ctx, const void *data, size_t len, struct err *err);
int capsule_blob(struct capsule_reader *rd, const uint8_t sha256[32], capsule_sink sink, void *ctx, struct err *err);
/* The same into fresh memory (free()); refuses more than @max bytes with EFBIG. */
int capsule_blob_load(struct capsule_reader *rd, const uint8_t sha256[32], size_t max, uint8_t **data, size_t *len,
		      struct err *err);

#define _cleanup_reader_ __attribute__((cleanup(cleanup_reader)))
static inline void cleanup_reader(struct capsule_reader **rd) { capsule_reader_close(*rd); }
#define _cleanup_writer_ __attribute__((cleanup(cleanup_writer)))
static inline void cleanup_writer(struct capsule_writer **w) { capsule_writer_free(*w); }

/* True if @path is absolute, has no empty, "." or ".." component, no NUL, and is shorter than PATH_MAX. "/" is fine. */
bool path_is_clean(const char *path, size_t len);
/* @path is @dir, or below it. */
bool path_is_below(const char *path, const char *dir);

#endif
