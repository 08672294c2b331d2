/* SPDX-License-Identifier: Apache-2.0 */
/* A recording that is longer than what is held of it in memory. */
#include "tale.h"

#include "replayer/window.h"

enum { WINDOW = 1 << 20, PIPE = 7, LISTENER, FIRST_CLIENT };

static void open_recording(struct tale *t, struct recording **r)
{
	static const struct recording_ears deaf;
	struct err err = ERR_INIT;

	tale_finish(t);
	assert_works(err, recording_load(r, t->path, &err));
	recording_begin(*r, WINDOW, &deaf);
}

static void begin(struct tale *t)
{
	char *argv[] = { (char *)"/bin/true", NULL };

	tale_begin_argv(t, argv);
	tale_object(t, OBJ_OF(.id = PIPE, .kind = OBJ_PIPE));
}

static void starts_thread(struct tale *t, uint32_t number)
{
	tale_event(t, (struct event){ .kind = EV_FORK, .fork = { .child = number, .pid = TALE_PID, .tid = TALE_PID + number, .thread = true } });
}

/* A read of @i's number, and a write of it. */
static void reads_and_writes(struct tale *t, unsigned int i)
{
	char text[100];

	snprintf(text, sizeof(text), "%099u", i);
	tale_reads(t, PIPE, 5, text);
	tale_writes(t, OUT, 1, text);
}

static bool is_number(struct bytes b, unsigned int i)
{
	char text[100];

	snprintf(text, sizeof(text), "%099u", i);
	return b.len == 99 && memcmp(b.data, text, 99) == 0;
}

/* As a replay does it: what comes next, then what was is let go. The most that was held meanwhile. */
static uint64_t read_through(struct recording *r, unsigned int n)
{
	const struct rec_task *t = &r->tasks[1];
	uint64_t peak = 0;

	assert_int_equal(t->ncalls, 2 * n);
	assert_int_equal(r->objects[PIPE].narrivals, n);
	assert_int_equal(r->objects[OUT].nout, n);
	for (unsigned int i = 0; i < n; i++) {
		const struct rec_call *rc = recording_call_at(r, t, 2 * i);
		const struct rec_arrival *a = recording_arrival_at(r, &r->objects[PIPE], i);
		const struct bytes *out = recording_out_at(r, &r->objects[OUT], i);

		assert_true(rc && a && out);
		assert_true(is_number(call_payload(r, rc->call), i) && is_number(a->data, i) && is_number(*out, i));
		assert_int_equal(rc->arrivals, i + 1);
		recording_pass_calls(r, &r->tasks[1], 2 * i + 1);
		recording_pass_arrivals(r, &r->objects[PIPE], i + 1);
		recording_pass_out(r, &r->objects[OUT], i + 1);
		recording_ahead(r, rc->order);
		if (private_of(r)->bytes > peak)
			peak = private_of(r)->bytes;
	}
	assert_false(r->starved);
	assert_null(recording_failed(r));
	return peak;
}

static uint64_t peak_of(unsigned int n)
{
	struct tale t = { 0 };
	struct recording *r;
	uint64_t peak;

	begin(&t);
	for (unsigned int i = 0; i < n; i++)
		reads_and_writes(&t, i);
	open_recording(&t, &r);
	peak = read_through(r, n);
	recording_free(r);
	return peak;
}

static void its_length_makes_no_difference(void **state)
{
	uint64_t once = peak_of(20000), four_times = peak_of(80000);

	(void)state;
	assert_in_range(once, WINDOW / 2, WINDOW + (256 << 10));
	assert_in_range(four_times, WINDOW / 2, WINDOW + (256 << 10));
}

static void who_is_too_far_ahead_gets_nothing(void **state)
{
	struct tale t = { 0 };
	struct recording *r;
	const unsigned int n = 40000;

	(void)state;
	begin(&t);
	starts_thread(&t, 2);
	for (unsigned int i = 0; i < n; i++)
		reads_and_writes(&t, i);
	t.task = 2;
	tale_says(&t, "at last");
	open_recording(&t, &r);
	assert_int_equal(r->tasks[2].ncalls, 1);
	assert_null(task_call(&r->tasks[2], 0));
	assert_null(recording_call_at(r, &r->tasks[2], 0));
	assert_true(r->starved);
	for (unsigned int i = 0; i < n; i++) {
		recording_pass_calls(r, &r->tasks[1], 2 * i + 2);
		recording_pass_arrivals(r, &r->objects[PIPE], i + 1);
		recording_pass_out(r, &r->objects[OUT], i + 1);
		recording_ahead(r, 2 * i);
	}
	assert_non_null(recording_call_at(r, &r->tasks[2], 0));
	recording_free(r);
}

static void what_is_held_stays(void **state)
{
	struct tale t = { 0 };
	const struct rec_call *held;
	struct recording *r;

	(void)state;
	begin(&t);
	for (unsigned int i = 0; i < 20000; i++)
		reads_and_writes(&t, i);
	open_recording(&t, &r);
	held = recording_call_at(r, &r->tasks[1], 0);
	recording_hold(r, held);
	read_through(r, 20000);
	assert_null(task_call(&r->tasks[1], 0));
	assert_true(is_number(call_payload(r, held->call), 0));
	recording_release(r, held);
	recording_free(r);
}

/* What only asks is answered from the last answer of the task, wherever it is in the recording. */
static void the_last_answers(void **state)
{
	static const struct { uint32_t task; int32_t who; const char *answer; } said[] = {
		{ 1, 0, "a" }, { 2, 0, "b" }, { 1, 1, "c" }, { 1, 0, "d" },
	}, want[] = { { 1, 0, "d" }, { 2, 0, "b" }, { 1, 1, "c" } };
	struct tale t = { 0 };
	struct recording *r;

	(void)state;
	begin(&t);
	starts_thread(&t, 2);
	for (size_t i = 0; i < 4; i++) {
		t.task = said[i].task;
		CALL(&t, SYS_getrusage, 0, .args = { (uint64_t)said[i].who, 0x1000 }, .segs = { TEXT(1, said[i].answer) });
	}
	open_recording(&t, &r);
	assert_int_equal(r->nanswers, 3);
	for (size_t i = 0; i < 3; i++) {
		const struct ev_call *c = r->answers[i]->rc.call;

		assert_int_equal(r->answers[i]->task, want[i].task);
		assert_int_equal((int32_t)c->args[0], want[i].who);
		assert_memory_equal(c->segs[0].data, want[i].answer, 1);
	}
	recording_free(r);
}

/* Clients of the scope's own are no arrivals, and their calls no calls: in the totals as in what is read. */
static void inner_clients_do_not_count(void **state)
{
	struct tale t = { 0 };
	struct recording *r;

	(void)state;
	begin(&t);
	tale_socket(&t, LISTENER, AF_INET, SOCK_STREAM, "127.0.0.1:80", NULL);
	for (uint32_t i = 0; i < 10; i++) {
		tale_socket(&t, FIRST_CLIENT + i, AF_INET, SOCK_STREAM, "127.0.0.1:80", "127.0.0.1:4000");
		CALL(&t, SYS_accept, 6, .obj = LISTENER, .obj2 = FIRST_CLIENT + i, .args = { 4 });
		tale_reads(&t, FIRST_CLIENT + i, 6, "hello");
	}
	for (uint32_t i = 0; i < 10; i += 2)
		tale_object(&t, OBJ_OF(.id = FIRST_CLIENT + i, .kind = OBJ_INNER, .family = AF_INET, .type = SOCK_STREAM));
	open_recording(&t, &r);
	assert_int_equal(r->objects[LISTENER].narrivals, 5);
	assert_false(r->objects[LISTENER].inner);
	assert_int_equal(r->tasks[1].ncalls, 15);
	for (size_t i = 0; i < 5; i++)
		assert_int_equal(recording_arrival_at(r, &r->objects[LISTENER], i)->made, FIRST_CLIENT + 1 + 2 * i);
	assert_non_null(recording_call_at(r, &r->tasks[1], 14));
	assert_null(recording_call_at(r, &r->tasks[1], 15));
	assert_int_equal(task_call(&r->tasks[1], 14)->arrivals, 1);
	recording_free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(its_length_makes_no_difference),
		cmocka_unit_test(who_is_too_far_ahead_gets_nothing),
		cmocka_unit_test(what_is_held_stays),
		cmocka_unit_test(the_last_answers),
		cmocka_unit_test(inner_clients_do_not_count),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
