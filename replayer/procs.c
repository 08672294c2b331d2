/* SPDX-License-Identifier: Apache-2.0 */
#include "replayer/procs.h"

#include "format/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum {
	SLOTS = 64,
	WHOLE = -1,		/* place.of: the directory of descriptors, not what is said of one */
	MAX_TEXT = 16 << 20,
};

struct place {
	pid_t tid;
	int of;
	int file;		/* ours; 0: the slot is free */
};

struct procs {
	struct place places[SLOTS];
	char *text;
	size_t room;
};

int procs_new(struct procs **ret)
{
	*ret = calloc(1, sizeof(**ret));
	return *ret ? 0 : -ENOMEM;
}

static void leave(struct place *at)
{
	if (at->file)
		close(at->file);
	*at = (struct place){ 0 };
}

void procs_free(struct procs *p)
{
	if (!p)
		return;
	for (size_t i = 0; i < SLOTS; i++)
		leave(&p->places[i]);
	free(p->text);
	free(p);
}

static struct place *slot_of(struct procs *p, pid_t tid, int of)
{
	return &p->places[((unsigned int)tid * 2654435761u + (unsigned int)of) % SLOTS];
}

static int open_place(struct place *at, pid_t tid, int of)
{
	char path[64];
	int file;

	leave(at);
	if (of == WHOLE)
		snprintf(path, sizeof(path), "/proc/%d/fd", (int)tid);
	else
		snprintf(path, sizeof(path), "/proc/%d/fdinfo/%d", (int)tid, of);
	file = open(path, of == WHOLE ? O_PATH | O_DIRECTORY | O_CLOEXEC : O_RDONLY | O_CLOEXEC);
	if (file < 0)
		return -errno;
	*at = (struct place){ .tid = tid, .of = of, .file = file };
	return 0;
}

int procs_stat(struct procs *p, pid_t tid, int fd, struct stat *st)
{
	struct place *at = slot_of(p, tid, WHOLE);
	char name[16];
	int rc;

	snprintf(name, sizeof(name), "%d", fd);
	if (at->file && at->tid == tid && at->of == WHOLE && fstatat(at->file, name, st, 0) == 0)
		return 0;
	/* Not open, or of a thread that is gone. */
	rc = open_place(at, tid, WHOLE);
	if (rc < 0)
		return rc;
	return fstatat(at->file, name, st, 0) < 0 ? -errno : 0;
}

/* The whole of it; the kernel makes it up anew when it is read from its start. */
static int read_text(struct procs *p, int file)
{
	size_t len = 0;

	for (;;) {
		ssize_t n;

		if (p->room - len < 4096) {
			size_t room = p->room ? 2 * p->room : 16384;
			char *bigger = room > MAX_TEXT ? NULL : realloc(p->text, room);

			if (!bigger)
				return -ENOMEM;
			p->text = bigger;
			p->room = room;
		}
		n = pread(file, p->text + len, p->room - len - 1, (off_t)len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		len += (size_t)n;
		p->text[len] = 0;
		if (n == 0)
			return len ? 0 : -ENOENT;
	}
}

const char *procs_fdinfo(struct procs *p, pid_t tid, int fd)
{
	struct place *at = slot_of(p, tid, fd);

	if (at->file && at->tid == tid && at->of == fd && read_text(p, at->file) == 0)
		return p->text;
	if (open_place(at, tid, fd) < 0)
		return NULL;
	return read_text(p, at->file) == 0 ? p->text : NULL;
}
