/* SPDX-License-Identifier: Apache-2.0 */
/*
 * alter in|out CAPSULE ALTERED: a whole and valid capsule in which one byte is another: the last of the first
 * payload that the program read (in) or wrote (out) across the line.  A replay that does not notice proves nothing.
 *
 * alter machine=NAME CAPSULE ALTERED: as if it had been recorded on another architecture.
 *
 * alter YEARS CAPSULE ALTERED: as if it had been recorded so many years later (a negative number: earlier).
 */
#include "tests/copying.h"

#include "format/capsule.h"
#include "format/cleanup.h"

#include <errno.h>
#include <linux/types.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>

#include "format/sysdesc.h"

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

/* ---- years ------------------------------------------------------------------- */

#define YEAR (365ll * 24 * 3600)

/* Moves what the call says about the date by @seconds; @other holds it. */
static void move_date(struct event *e, int64_t seconds, uint8_t **other)
{
	const struct ev_call *c = &e->call;
	int64_t sec;

	if (e->kind != EV_CALL || (c->nr != SYS_clock_gettime && c->nr != SYS_gettimeofday && c->nr != SYS_time) ||
	    (c->nr == SYS_clock_gettime && c->args[0] != CLOCK_REALTIME && c->args[0] != CLOCK_REALTIME_COARSE))
		return;
	if (c->nr == SYS_time)
		e->call.ret += seconds;
	for (uint32_t i = 0; i < c->nsegs; i++) {
		struct ev_seg *s = &e->call.segs[i];

		if (!s->data || s->len < sizeof(sec) || !(*other = malloc(s->len)))
			continue;
		memcpy(*other, s->data, s->len);
		memcpy(&sec, *other, sizeof(sec));
		sec += seconds;
		memcpy(*other, &sec, sizeof(sec));
		s->data = *other;
		return;
	}
}

static int copy_moved(struct capsule_reader *rd, struct capsule_writer *w, int64_t seconds, struct err *err)
{
	struct event e;
	int r;

	while ((r = capsule_next(rd, &e, err)) > 0) {
		_cleanup_free_ uint8_t *other = NULL;

		move_date(&e, seconds, &other);
		r = copy_blobs(rd, w, &e, err);
		if (r >= 0)
			r = capsule_write(w, &e, err);
		if (r < 0)
			return r;
	}
	return r;
}

/* ---- a byte --------------------------------------------------------------------- */

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
	int64_t seconds;
	struct manifest m;
	bool elsewhere;
	int r;

	if (argc != 4)
		return 2;
	seconds = atoll(argv[1]) * YEAR;
	elsewhere = strncmp(argv[1], "machine=", strlen("machine=")) == 0;
	r = capsule_reader_open(&rd, argv[2], CAPSULE_KEEP, &err);
	if (r == 0 && !capsule_end(rd))
		r = err_set(&err, EBADMSG, "cut short");
	if (r == 0)
		m = *capsule_manifest(rd);
	if (r == 0)
		m.created += seconds * 1000000000;
	if (r == 0 && elsewhere)
		m.machine = argv[1] + strlen("machine=");
	if (r == 0)
		r = capsule_writer_open(&w, argv[3], &m, &err);
	if (r == 0 && (seconds || elsewhere))
		r = copy_moved(rd, w, seconds, &err);
	else if (r == 0)
		r = copy(rd, w, strcmp(argv[1], "in") == 0 ? SC_READ : SC_WRITE, &err);
	if (r == 0)
		r = capsule_writer_finish(TAKE_PTR(w), capsule_end(rd), &err);
	if (r < 0)
		fprintf(stderr, "alter: %s\n", err.text);
	return r < 0;
}
