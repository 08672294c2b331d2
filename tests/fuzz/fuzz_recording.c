/* SPDX-License-Identifier: Apache-2.0 */
/* Events one behind the other, as msgpack, in a capsule that is whole: what the replayer makes of them when it loads them. */
#include "format/cleanup.h"
#include "format/codec.h"
#include "replayer/recording.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void cleanup_zone(msgpack_zone **z) { msgpack_zone_free(*z); }
#define _cleanup_zone_ _cleanup_(cleanup_zone)

static int start_capsule(struct capsule_writer **w, const char *path, struct err *err)
{
	char *words[] = { (char *)"a", NULL };
	struct manifest m = { .tool = (char *)"fuzz", .uuid = (char *)"f", .clocks = (char *)"exact", .rootfs = (char *)"/",
			      .image_dirs = words + 1, .argv = words, .env = words + 1, .cwd = (char *)"/", .pid = 7 };
	struct event start = { .kind = EV_EXEC, .task = 1, .exec = { .path = "/bin/true", .cwd = "/" } };

	if (capsule_writer_open(w, path, &m, err) < 0)
		return -err->code;
	return capsule_write(*w, &start, err);
}

static void write_events(struct capsule_writer *w, const uint8_t *data, size_t size)
{
	_cleanup_zone_ msgpack_zone *scratch = msgpack_zone_new(8192);
	_cleanup_zone_ msgpack_zone *strings = msgpack_zone_new(8192);
	struct err err = ERR_INIT;
	struct event e;
	size_t used = 0, n;

	while (size && event_unpack(data, size, 0, scratch, strings, &used, &e, &n, &err) == 0 && n) {
		if (capsule_write(w, &e, &err) < 0 && err.code != EINVAL && err.code != EFBIG)
			return;
		data += n;
		size -= n;
	}
}

/* Through its window, which is smaller than the recording: what was passed is let go, but for some that is held. */
static void read_task(struct recording *r, struct rec_task *t)
{
	const struct rec_call *rc, *held = NULL;

	for (size_t k = 0; (rc = recording_call_at(r, t, k)); k++) {
		if (rc->call)
			call_payload(r, rc->call);
		if (k % 3 == 0) {
			recording_hold(r, rc);
			recording_release(r, held);
			held = rc;
		}
		recording_pass_calls(r, t, k + 1);
		recording_ahead(r, rc->order);
	}
	recording_release(r, held);
	recording_pass_random(r, t, t->nrandom);
}

static void read_object(struct recording *r, struct rec_object *o)
{
	for (size_t k = 0; recording_arrival_at(r, o, k); k++)
		recording_pass_arrivals(r, o, k);
	for (size_t k = 0; recording_out_at(r, o, k); k++)
		recording_pass_out(r, o, k + 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct capsule_end end = { 0 };
	const struct recording_ears deaf = { 0 };
	struct capsule_writer *w;
	struct recording *r;
	struct err err = ERR_INIT;
	char path[32];

	_cleanup_fd_ int fd = memfd_create("capsule", MFD_CLOEXEC);
	if (size > 1 << 16 || fd < 0)
		return 0;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (start_capsule(&w, path, &err) < 0)
		abort();
	write_events(w, data, size);
	if (capsule_writer_finish(w, &end, &err) < 0)
		return 0;
	err = ERR_INIT;
	if (recording_load(&r, path, &err) < 0)
		return 0;
	recording_begin(r, 1 << 12, &deaf);
	for (size_t i = 0; i < r->ntasks; i++)
		read_task(r, &r->tasks[i]);
	for (size_t i = 0; i < r->nobjects; i++)
		read_object(r, &r->objects[i]);
	recording_free(r);
	return 0;
}
