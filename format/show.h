/* SPDX-License-Identifier: Apache-2.0 */
/* What `capsule show` prints, each way in a file of its own. All go through every event; negative: damaged. */
#ifndef CAPSULE_SHOW_H
#define CAPSULE_SHOW_H

#include "format/capsule.h"
#include "format/table.h"

#include <stdio.h>

int show_events(struct capsule_reader *rd, FILE *f, struct err *err);
/* One JSON object a line: the manifest, every event, the end. */
int show_events_json(struct capsule_reader *rd, FILE *f, struct err *err);
int show_summary(struct capsule_reader *rd, const char *path, FILE *f, struct err *err);
int show_summary_json(struct capsule_reader *rd, const char *path, FILE *f, struct err *err);

/* The manifest's keys, comma-separated, without the braces. */
void json_manifest(FILE *f, const struct manifest *m);
/* "exit 1", "killed by SIGTERM"; @status as wait(2) gives it. */
void show_status(FILE *f, int32_t status);

/* ---- objects by their id: what has been said of each so far ------------- */

struct object {
	uint32_t id;
	uint8_t kind;		/* enum obj_kind */
	int32_t family, type;
	uint8_t local[128], remote[128];
	size_t local_len, remote_len;
	char *path;
	bool std[3];		/* it was there at the start as stdin, stdout, stderr */
	bool inherited;
	bool accepted;
	int error;		/* of the last connect that failed */
	uint64_t in, out;	/* bytes that calls moved */
};
enum { OBJECTS_MAX = 1 << 18 };	/* remembered; a capsule can name more than memory holds */
struct objects {
	struct table ids;	/* to the index + 1 */
	struct object *list;
	size_t n, room;
	uint64_t more;		/* mentions of those that were one too many */
};
/* NULL: unknown, or 0. Valid until the next objects_note(). */
struct object *objects_find(const struct objects *o, uint32_t id);
/* What @e (any event) says of objects; ENOMEM. */
int objects_note(struct objects *o, const struct event *e, struct err *err);
void objects_clear(struct objects *o);
/* "127.0.0.1:80", "\"/dev/tty\"", "pipe #3"; "#7" where nothing is known. */
void object_name(FILE *f, const struct objects *o, uint32_t id);
/* "tcp", "udp", "unix stream", ... */
const char *socket_type_name(int32_t family, int32_t type);

/* The bytes that a call took in or gave out, by its row's fate; 0 for others. */
uint64_t call_bytes(const struct ev_call *c);

#endif
