/* SPDX-License-Identifier: Apache-2.0 */
#include "recorder/patch.h"

#include "format/cleanup.h"
#include "format/io.h"
#include "format/vdso.h"
#include "recorder/proc.h"
#include "recorder/recorder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define STATE_DIR "/run/capsule"
#define STATE_PREFIX "attach-"

enum {
	CODE = 2 * VDSO_STUB,	/* the stub and the mark */
	TRIES = 60,
	PASSES = 8,
};

struct original {
	bool known;
	uint64_t offset;	/* in the image, which is the same in all processes of this kernel */
	uint8_t code[CODE];
};

struct patches {
	uint32_t id;		/* the recorder's */
	struct original originals[VDSO_N];
	int state;
	char path[sizeof(STATE_DIR) + 64];
};

static void our_code(uint32_t id, enum vdso_entry e, uint8_t code[CODE])
{
	vdso_stub(e, code);
	memcpy(code + VDSO_STUB, "caps", 4);
	memcpy(code + VDSO_STUB + 4, &id, sizeof(id));
}

/* ---- what was there ----------------------------------------------------------- */

/* A line of the state file: process, its start, the entry point, its address and offset, the bytes that were there. */
static int note(struct patches *p, pid_t pid, const struct vdso_map *map, enum vdso_entry e)
{
	const struct original *o = &p->originals[e];
	char line[160 + 2 * CODE];
	int n;

	n = snprintf(line, sizeof(line), "%d %" PRIu64 " %u %" PRIx64 " %" PRIx64 " ", (int)pid, proc_start_time(pid), (unsigned int)e,
		     map->entry[e].addr, o->offset);
	for (int i = 0; i < CODE; i++)
		n += snprintf(line + n, sizeof(line) - (size_t)n, "%02x", o->code[i]);
	line[n++] = '\n';
	return io_write(p->state, line, (size_t)n);
}

static bool take_line(struct patches *p, const char *line)
{
	struct original o = { .known = true };
	unsigned int e, byte;
	int at = 0;

	if (sscanf(line, "%*d %*u %u %*x %" SCNx64 " %n", &e, &o.offset, &at) != 2 || !at || e >= VDSO_N)
		return false;
	for (int i = 0; i < CODE; i++) {
		if (sscanf(line + at + 2 * i, "%2x", &byte) != 1)
			return false;
		o.code[i] = (uint8_t)byte;
	}
	p->originals[e] = o;
	return true;
}

int patches_new(struct patches **ret, struct err *err)
{
	_cleanup_free_ struct patches *p = calloc(1, sizeof(*p));

	if (!p)
		return err_set(err, ENOMEM, "out of memory");
	p->id = (uint32_t)getpid();
	snprintf(p->path, sizeof(p->path), STATE_DIR "/" STATE_PREFIX "%u", p->id);
	if (mkdir(STATE_DIR, 0700) < 0 && errno != EEXIST)
		return err_sys(err, errno, "making " STATE_DIR);
	p->state = open(p->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (p->state < 0)
		return err_sys(err, errno, "creating '%s'", p->path);
	if (flock(p->state, LOCK_EX | LOCK_NB) < 0) {
		int e = errno;

		close(p->state);
		unlink(p->path);
		return err_sys(err, e, "locking '%s'", p->path);
	}
	*ret = TAKE_PTR(p);
	return 0;
}

/* ---- over it ---------------------------------------------------------------------- */

static int learn(struct patches *p, pid_t pid, int mem, const struct vdso_map *map, enum vdso_entry e, struct err *err)
{
	struct original *o = &p->originals[e];
	int rc;

	if (o->known)
		return 0;
	rc = vdso_read(mem, map->entry[e].addr, o->code, sizeof(o->code));
	if (rc < 0)
		return err_sys(err, -rc, "reading the vDSO of process %d", (int)pid);
	o->offset = map->entry[e].addr - map->base;
	o->known = true;
	return 0;
}

/* 1: done; 0: another recorder's code, or none that is known, is there. */
static int patch_entry(struct patches *p, pid_t pid, int mem, const struct vdso_map *map, enum vdso_entry e, struct err *err)
{
	uint8_t ours[CODE], now[CODE];
	int rc;

	if (!map->entry[e].addr || map->entry[e].size < CODE)
		return 0;
	our_code(p->id, e, ours);
	rc = vdso_read(mem, map->entry[e].addr, now, sizeof(now));
	if (rc < 0)
		return err_sys(err, -rc, "reading the vDSO of process %d", (int)pid);
	if (memcmp(now, ours, sizeof(ours)) == 0)
		return 1;	/* its parent had it */
	if (memcmp(now, ours, VDSO_STUB) == 0)
		return err_set(err, EBUSY, "process %d is recorded by another recorder", (int)pid);
	if (learn(p, pid, mem, map, e, err) < 0)
		return -err->code;
	if (memcmp(now, p->originals[e].code, sizeof(now)) != 0)
		return err_set(err, ENOTSUP, "the vDSO of process %d is not this kernel's", (int)pid);
	rc = note(p, pid, map, e);
	if (rc == 0)
		rc = vdso_write(mem, map->entry[e].addr, ours, sizeof(ours));
	return rc < 0 ? err_sys(err, -rc, "redirecting %s of process %d", vdso_name(e), (int)pid) : 1;
}

int patch_apply(struct patches *p, pid_t pid, struct stopped *s, unsigned int *n, uint8_t at_random[16], struct err *err)
{
	struct vdso_map map = { 0 };
	int rc;

	*n = 0;
	_cleanup_fd_ int mem = vdso_open(pid);
	if (mem < 0)
		return err_sys(err, -mem, "opening the memory of process %d", (int)pid);
	if (vdso_find(pid, mem, &map, err) < 0)
		return -err->code;
	if (map.at_random)
		vdso_read(mem, map.at_random, at_random, 16);
	if (s && stop_step_out(s, map.text, map.text_size, err) < 0)
		return -err->code;
	for (unsigned int e = 0; e < VDSO_N; e++) {
		rc = patch_entry(p, pid, mem, &map, e, err);
		if (rc < 0)
			return rc;
		*n += (unsigned int)rc;
	}
	return 0;
}

/* ---- back ---------------------------------------------------------------------------- */

/* Are our marks in it?  Only by what is found there is decided, not by numbers. */
static bool is_patched(const struct patches *p, pid_t pid, int mem, uint64_t *base)
{
	struct vdso_map map = { 0 };
	struct err ignored = ERR_INIT;
	uint8_t ours[CODE], now[CODE];

	if (vdso_find(pid, mem, &map, &ignored) < 0)
		return false;
	*base = map.base;
	for (unsigned int e = 0; e < VDSO_N; e++) {
		our_code(p->id, e, ours);
		if (p->originals[e].known && vdso_read(mem, map.base + p->originals[e].offset, now, sizeof(now)) == 0 &&
		    memcmp(now, ours, sizeof(ours)) == 0)
			return true;
	}
	return false;
}

static void put_back(const struct patches *p, int mem, uint64_t base)
{
	uint8_t ours[CODE], now[CODE];

	for (unsigned int e = 0; e < VDSO_N; e++) {
		const struct original *o = &p->originals[e];

		our_code(p->id, e, ours);
		if (o->known && vdso_read(mem, base + o->offset, now, sizeof(now)) == 0 && memcmp(now, ours, sizeof(ours)) == 0)
			vdso_write(mem, base + o->offset, o->code, sizeof(o->code));
	}
}

/* No thread may come back from a call into code that is not there any more: they are led out of the stubs first. */
static int mend_stopped(const struct patches *p, struct stopped *s, int mem, uint64_t base, struct err *err)
{
	for (unsigned int e = 0; e < VDSO_N; e++)
		if (p->originals[e].known && stop_step_out(s, base + p->originals[e].offset, CODE, err) < 0)
			return -err->code;
	put_back(p, mem, base);
	return 0;
}

/* 1: mended; 0: nothing to mend; negative: it could not be. */
static int mend_process(const struct patches *p, pid_t pid, uint64_t *longest)
{
	struct timespec pause = { .tv_nsec = 3000000 };
	struct err err = ERR_INIT;
	struct stopped s;
	uint64_t base;
	int rc;

	_cleanup_fd_ int mem = vdso_open(pid);
	if (mem < 0 || !is_patched(p, pid, mem, &base))
		return 0;
	for (int i = 0; i < TRIES; i++) {
		uint64_t ns;

		err = ERR_INIT;
		rc = stop_process(&s, pid, &err);
		if (rc == 0) {
			rc = mend_stopped(p, &s, mem, base, &err);
			ns = (uint64_t)stop_end(&s);
			*longest = ns > *longest ? ns : *longest;
		}
		if (rc != -EBUSY)
			return rc < 0 ? rc : 1;
		nanosleep(&pause, NULL);
	}
	return -EBUSY;
}

/* All that have the marks; again, until there is none: they fork meanwhile. */
static unsigned int mend_marked(const struct patches *p, uint64_t *longest, bool *failed)
{
	unsigned int mended = 0, before;
	struct dirent *d;

	for (int pass = 0; pass < PASSES; pass++) {
		_cleanup_dir_ DIR *dir = opendir("/proc");

		before = mended;
		*failed = !dir;
		while (dir && (d = readdir(dir))) {
			int rc = d->d_name[0] >= '1' && d->d_name[0] <= '9' ? mend_process(p, atoi(d->d_name), longest) : 0;

			mended += rc > 0;
			*failed |= rc < 0 && rc != -ESRCH;
		}
		if (mended == before && !*failed)
			break;
	}
	return mended;
}

void patch_undo(struct patches *p, pid_t pid)
{
	uint64_t ignored = 0;

	mend_process(p, pid, &ignored);
}

void patches_undo(struct patches *p, uint64_t *longest)
{
	bool failed;

	if (!p)
		return;
	mend_marked(p, longest, &failed);
	if (!failed)
		unlink(p->path);	/* else the next one tries */
	close(p->state);
	free(p);
}

/* ---- what others left ------------------------------------------------------------------- */

static unsigned int mend_file(const char *path, uint32_t id)
{
	struct patches p = { .id = id };
	_cleanup_free_ char *text = NULL;
	char *save = NULL;
	uint64_t ignored = 0;
	unsigned int n;
	bool failed;

	_cleanup_fd_ int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) < 0)	/* its recorder lives */
		return 0;
	if (io_slurp_fd(fd, 64 << 20, &text, NULL) < 0)
		return 0;
	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
		take_line(&p, line);
	n = mend_marked(&p, &ignored, &failed);
	if (!failed)
		unlink(path);
	return n;
}

unsigned int recorder_mend(void)
{
	char path[sizeof(STATE_DIR) + NAME_MAX + 2];
	unsigned int n = 0, id;
	struct dirent *d;

	_cleanup_dir_ DIR *dir = opendir(STATE_DIR);
	while (dir && (d = readdir(dir))) {
		if (sscanf(d->d_name, STATE_PREFIX "%u", &id) != 1)
			continue;
		snprintf(path, sizeof(path), STATE_DIR "/%s", d->d_name);
		n += mend_file(path, id);
	}
	return n;
}
