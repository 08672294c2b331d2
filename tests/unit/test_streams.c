/* SPDX-License-Identifier: Apache-2.0 */
/* Clock streams: order, their ends, and a guest that writes nonsense into the shared file. */
#include "format/cleanup.h"
#include "preload/shim.h"
#include "replayer/streams.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

struct world {
	struct streams *s;
	int fd;
	struct shim_shared *shared;	/* as the guest maps it */
	uint64_t size;
};

static void publish(struct world *w)
{
	struct err err = ERR_INIT;

	w->size = streams_size(w->s);
	w->fd = memfd_create("shared", MFD_CLOEXEC);
	assert_true(w->fd >= 0);
	assert_int_equal(ftruncate(w->fd, (off_t)w->size), 0);
	assert_int_equal(streams_publish(w->s, w->fd, &err), 0);
	w->shared = mmap(NULL, w->size, PROT_READ | PROT_WRITE, MAP_SHARED, w->fd, 0);
	assert_ptr_not_equal(w->shared, MAP_FAILED);
}

static void add(struct world *w, uint32_t task, uint32_t clk, int64_t ns)
{
	struct err err = ERR_INIT;

	assert_int_equal(streams_add(w->s, task, clk, ns, 0, &err), 0);
}

static int set_up(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	struct err err = ERR_INIT;

	*state = w;
	w->fd = -1;
	return streams_new(&w->s, &err);
}

static int tear_down(void **state)
{
	struct world *w = *state;

	streams_free(w->s);
	if (w->shared)
		munmap(w->shared, w->size);
	if (w->fd >= 0)
		close(w->fd);
	free(w);
	return 0;
}

static void takes(struct world *w, uint32_t task, uint32_t clk, int recorded, int64_t want)
{
	int64_t ns = 0;

	assert_int_equal(streams_take(w->s, task, clk, &ns), recorded);
	assert_int_equal(ns, want);
}

static void readings_come_in_their_order(void **state)
{
	struct world *w = *state;

	for (int i = 0; i < 100; i++) {
		add(w, 1, CLOCK_REALTIME, 1000 + i);
		add(w, 2, CLOCK_REALTIME, 2000 + i);
		add(w, 1, CLOCK_MONOTONIC, 3000 + i);
	}
	publish(w);
	for (int i = 0; i < 100; i++) {
		takes(w, 2, CLOCK_REALTIME, 1, 2000 + i);
		takes(w, 1, CLOCK_REALTIME, 1, 1000 + i);
		takes(w, 1, CLOCK_MONOTONIC, 1, 3000 + i);
	}
}

static void the_shim_and_we_share_a_cursor(void **state)
{
	struct world *w = *state;
	struct shim_stream *q;
	int64_t *data;
	int slot;

	for (int i = 0; i < 10; i++)
		add(w, 7, CLOCK_MONOTONIC, 100 + i);
	publish(w);
	slot = streams_slot(w->s, 7);
	assert_true(slot >= 0 && (uint32_t)slot < w->shared->nslots);
	assert_int_equal(w->shared->version, SHIM_VERSION);
	assert_int_equal(w->shared->size, w->size);
	q = &w->shared->slot[slot].clock[CLOCK_MONOTONIC];
	assert_int_equal(q->count, 10);
	assert_int_equal(q->cursor, 0);
	assert_true(q->first + q->count * 8 <= w->size);
	data = (int64_t *)((char *)w->shared + q->first);
	assert_int_equal(data[9], 109);
	takes(w, 7, CLOCK_MONOTONIC, 1, 100);
	assert_int_equal(q->cursor, 1);
	q->cursor = 8;
	takes(w, 7, CLOCK_MONOTONIC, 1, 108);
	takes(w, 7, CLOCK_MONOTONIC, 1, 109);
	takes(w, 7, CLOCK_MONOTONIC, 0, 109 + SHIM_STEP);
	assert_int_equal(q->cursor, 11);
}

static void past_its_end_a_clock_goes_on(void **state)
{
	struct world *w = *state;
	struct streams_total t;

	add(w, 1, CLOCK_REALTIME, 5000);
	publish(w);
	takes(w, 1, CLOCK_REALTIME, 1, 5000);
	takes(w, 1, CLOCK_REALTIME, 0, 5000 + SHIM_STEP);
	takes(w, 1, CLOCK_REALTIME, 0, 5000 + 2 * SHIM_STEP);
	streams_skip(w->s, 70000);
	assert_int_equal(w->shared->skipped, 70000);
	takes(w, 1, CLOCK_REALTIME, 0, 5000 + 3 * SHIM_STEP + 70000);
	streams_total(w->s, &t);
	assert_int_equal(t.recorded, 1);
	assert_int_equal(t.given, 1);
	assert_int_equal(t.more, 3);
}

static void a_clock_without_readings_starts_where_the_others_are(void **state)
{
	struct world *w = *state;

	add(w, 1, CLOCK_REALTIME, 900000);
	add(w, 1, CLOCK_REALTIME, 950000);
	add(w, 2, CLOCK_MONOTONIC, 100);
	streams_start(w->s, CLOCK_REALTIME, 800000);
	streams_start(w->s, CLOCK_BOOTTIME, 300);
	publish(w);
	takes(w, 2, CLOCK_REALTIME, 0, 800000 + SHIM_STEP);
	takes(w, 1, CLOCK_REALTIME, 1, 900000);
	takes(w, 3, CLOCK_REALTIME, 0, 900000 + SHIM_STEP);
	takes(w, 1, CLOCK_BOOTTIME, 0, 300 + SHIM_STEP);
	assert_int_not_equal(w->shared->slot[streams_slot(w->s, 3)].clock[CLOCK_REALTIME].first, 0);
	assert_int_equal(w->shared->slot[streams_slot(w->s, 3)].clock[CLOCK_MONOTONIC].first, 0);
	streams_skip(w->s, 10000000);
	takes(w, 4, CLOCK_REALTIME, 0, 900000 + 2 * SHIM_STEP + 10000000);
}

/* How often a program looks at the second says nothing of how often it reads the clock. */
static void seconds_are_a_stream_of_their_own(void **state)
{
	struct world *w = *state;

	add(w, 1, CLOCK_REALTIME, 5700);
	add(w, 1, CLOCK_REALTIME, 5900);
	add(w, 1, SHIM_SECONDS, 5000);
	streams_start(w->s, SHIM_SECONDS, 100);
	publish(w);
	takes(w, 1, CLOCK_REALTIME, 1, 5700);
	takes(w, 1, SHIM_SECONDS, 1, 5000);
	takes(w, 1, SHIM_SECONDS, 0, 5000 + SHIM_STEP);
	takes(w, 1, CLOCK_REALTIME, 1, 5900);
	takes(w, 2, SHIM_SECONDS, 0, 5000 + 2 * SHIM_STEP);	/* where the others are, on either */
}

/* Per-process CPU clocks have ids like ~(pid << 3 | 2). */
static void clocks_that_the_shim_does_not_know(void **state)
{
	struct world *w = *state;

	add(w, 1, 0xfffffffau, 11);
	add(w, 1, 0xfffffffau, 12);
	add(w, 1, SHIM_STREAMS, 13);
	publish(w);
	takes(w, 1, 0xfffffffau, 1, 11);
	takes(w, 1, SHIM_STREAMS, 1, 13);
	takes(w, 1, 0xfffffffau, 1, 12);
	takes(w, 1, 0xfffffffau, 0, 12 + SHIM_STEP);
	takes(w, 1, 0xfffffff9u, 0, SHIM_STEP);
}

static void more_tasks_than_slots(void **state)
{
	struct world *w = *state;
	int without = 0;

	add(w, 0xffffffffu, CLOCK_REALTIME, 1);
	publish(w);
	for (uint32_t i = 1; i <= 200; i++) {
		int slot = streams_slot(w->s, i);
		int64_t before, after;

		without += slot == -ENOSPC;
		assert_true(slot == -ENOSPC || (slot >= 0 && (uint32_t)slot < w->shared->nslots));
		assert_int_equal(streams_take(w->s, i, CLOCK_MONOTONIC, &before), 0);
		assert_int_equal(streams_take(w->s, i, CLOCK_MONOTONIC, &after), 0);
		assert_int_equal(after - before, SHIM_STEP);
	}
	assert_true(without > 0 && without < 200);
}

static void nonsense_from_the_guest_is_clamped(void **state)
{
	static const uint64_t cursors[] = { 0xffffffffull, 0x100000000ull, 1ull << 60, UINT64_MAX - 1, UINT64_MAX };
	struct world *w = *state;
	struct streams_total t;
	struct shim_stream *q;
	int64_t ns;

	add(w, 1, CLOCK_REALTIME, 5);
	add(w, 1, CLOCK_REALTIME, 6);
	publish(w);
	q = &w->shared->slot[streams_slot(w->s, 1)].clock[CLOCK_REALTIME];
	q->first = UINT64_MAX - 7;
	q->count = UINT64_MAX;
	q->last = INT64_MAX;
	w->shared->nslots = 0;
	w->shared->size = 0;
	takes(w, 1, CLOCK_REALTIME, 1, 5);
	for (size_t i = 0; i < sizeof(cursors) / sizeof(cursors[0]); i++) {
		q->cursor = cursors[i];
		assert_int_equal(streams_take(w->s, 1, CLOCK_REALTIME, &ns), 0);
		streams_total(w->s, &t);
		assert_int_equal(t.given, 2);
		assert_true(t.more > 0 && t.more <= (1ull << 40) + 1);
	}
}

static void a_file_that_the_guest_cut_off_does_not_kill_us(void **state)
{
	struct world *w = *state;
	struct streams_total t;

	for (int i = 0; i < 1000; i++)
		add(w, 1, CLOCK_REALTIME, i);
	publish(w);
	takes(w, 1, CLOCK_REALTIME, 1, 0);
	assert_int_equal(ftruncate(w->fd, 0), 0);
	takes(w, 1, CLOCK_REALTIME, 1, 1);	/* we have our own */
	streams_total(w->s, &t);
	assert_int_equal(t.recorded, 1000);
}

static int count(void *ctx, uint32_t task, uint32_t clk, const struct streams_total *t)
{
	unsigned int *n = ctx;

	assert_int_not_equal(task, 1);
	assert_int_equal(clk, CLOCK_MONOTONIC);
	if (task == 2)
		assert_true(t->recorded == 2 && t->given == 1 && t->more == 0);
	else
		assert_true(t->recorded == 1 && t->given == 1 && t->more == 1);
	(*n)++;
	return 0;
}

static int stop(void *ctx, uint32_t task, uint32_t clk, const struct streams_total *t)
{
	(void)ctx, (void)task, (void)clk, (void)t;
	return -EBADMSG;
}

static void tells_what_was_not_used_up(void **state)
{
	struct world *w = *state;
	unsigned int n = 0;

	add(w, 1, CLOCK_REALTIME, 1);
	add(w, 2, CLOCK_MONOTONIC, 1);
	add(w, 2, CLOCK_MONOTONIC, 2);
	add(w, 3, CLOCK_MONOTONIC, 1);
	publish(w);
	takes(w, 1, CLOCK_REALTIME, 1, 1);
	takes(w, 2, CLOCK_MONOTONIC, 1, 1);
	takes(w, 3, CLOCK_MONOTONIC, 1, 1);
	takes(w, 3, CLOCK_MONOTONIC, 0, 1 + SHIM_STEP);
	assert_int_equal(streams_odd(w->s, count, &n), 0);
	assert_int_equal(n, 2);
	assert_int_equal(streams_odd(w->s, stop, NULL), -EBADMSG);
}

static void a_full_disk_is_reported(void **state)
{
	struct world *w = *state;
	struct err err = ERR_INIT;
	_cleanup_fd_ int full = open("/dev/full", O_RDWR | O_CLOEXEC);

	if (full < 0)
		skip();
	add(w, 1, CLOCK_REALTIME, 1);
	assert_int_equal(streams_publish(w->s, full, &err), -ENOSPC);
	assert_int_equal(err.code, ENOSPC);
}

static void before_its_first_reading_a_thread_is_where_the_others_are(void **state)
{
	struct world *w = *state;
	struct err err = ERR_INIT;

	streams_start(w->s, CLOCK_REALTIME, 1000000);
	add(w, 2, CLOCK_REALTIME, 5000000);
	assert_int_equal(streams_expect(w->s, 1, CLOCK_REALTIME, 1, &err), 0);
	streams_mark(w->s, 1, 40);
	assert_int_equal(streams_add(w->s, 1, CLOCK_REALTIME, 9000000, 50, &err), 0);
	publish(w);
	takes(w, 2, CLOCK_REALTIME, 1, 5000000);
	takes(w, 1, CLOCK_REALTIME, 0, 5000000 + SHIM_STEP);
	streams_reach(w->s, 1, 40, 60);
	takes(w, 1, CLOCK_REALTIME, 1, 9000000);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(readings_come_in_their_order),
		CASE(the_shim_and_we_share_a_cursor),
		CASE(past_its_end_a_clock_goes_on),
		CASE(a_clock_without_readings_starts_where_the_others_are),
		CASE(seconds_are_a_stream_of_their_own),
		CASE(clocks_that_the_shim_does_not_know),
		CASE(more_tasks_than_slots),
		CASE(nonsense_from_the_guest_is_clamped),
		CASE(a_file_that_the_guest_cut_off_does_not_kill_us),
		CASE(tells_what_was_not_used_up),
		CASE(before_its_first_reading_a_thread_is_where_the_others_are),
		CASE(a_full_disk_is_reported),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
