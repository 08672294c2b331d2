/* SPDX-License-Identifier: Apache-2.0 */
/* Trace contexts: what the W3C's rules take and refuse, and where they are in what was recorded. */
#include "tests/unit/harness.h"

#include "format/trace.h"
#include "watch/traces.h"

#include <sys/syscall.h>

#define ID "4bf92f3577b34da6a3ce929d0e0e4736"
#define SPAN "00f067aa0ba902b7"
#define GOOD "00-" ID "-" SPAN "-01"

static bool parent(const char *s)
{
	return traceparent_is_valid(s, strlen(s));
}

static void test_parents(void **state)
{
	char id[TRACE_ID + 1], span[TRACE_SPAN + 1];

	(void)state;
	assert_true(parent(GOOD));
	assert_true(parent("cc-" ID "-" SPAN "-09"));
	assert_true(parent("cc-" ID "-" SPAN "-01-what-comes"));
	assert_false(parent("cc-" ID "-" SPAN "-01what"));
	assert_false(parent(GOOD "-"));
	assert_false(parent(GOOD " "));
	assert_false(parent(""));
	assert_false(parent("00-" ID "-" SPAN "-0"));
	assert_false(parent("00-" ID "-" SPAN "-0g"));
	assert_false(parent("ff-" ID "-" SPAN "-01"));
	assert_false(parent("00-4BF92F3577B34DA6A3CE929D0E0E4736-" SPAN "-01"));
	assert_false(parent("00-00000000000000000000000000000000-" SPAN "-01"));
	assert_false(parent("00-" ID "-0000000000000000-01"));
	assert_false(parent("00_" ID "-" SPAN "-01"));
	assert_true(trace_ids(GOOD " a=b", id, span));
	assert_string_equal(id, ID);
	assert_string_equal(span, SPAN);
	assert_false(trace_ids("nothing", id, span));
}

static bool state_ok(const char *s)
{
	return tracestate_is_valid(s, strlen(s));
}

static void test_states(void **state)
{
	char many[1024] = "", one[300];

	(void)state;
	assert_true(state_ok("congo=t61rcWkgMzE"));
	assert_true(state_ok("rojo=00f067aa0ba902b7,congo=t61rcWkgMzE"));
	assert_true(state_ok(" a=b ,\t, 1t@v=x y"));
	assert_true(state_ok("a_-*/9=!~"));
	assert_false(state_ok(""));
	assert_false(state_ok(","));
	assert_false(state_ok("a"));
	assert_false(state_ok("a="));
	assert_false(state_ok("=b"));
	assert_false(state_ok("A=b"));
	assert_false(state_ok("1=b"));
	assert_false(state_ok("a=b=c"));
	assert_false(state_ok("a=b,a=c"));
	assert_false(state_ok("a@=b"));
	assert_false(state_ok("a@1=b"));
	assert_false(state_ok("a@bcdefghijklmnop=b"));
	assert_false(state_ok("a=\x80"));
	assert_false(state_ok("a=b\x01"));
	for (int i = 0; i < 33; i++) {
		snprintf(one, sizeof(one), "k%d=v%s", i, i < 32 ? "," : "");
		if (i == 32)
			assert_true(state_ok(many));
		strcat(many, one);
	}
	assert_false(state_ok(many));
	memset(one, 'a', sizeof(one));
	one[257] = '=';
	one[258] = 'b';
	one[259] = 0;
	assert_false(state_ok(one));
	assert_true(state_ok(one + 1));
}

/* @bytes that came (or went) on connection @object, a call for each @piece of them. */
static size_t say(struct event *to, bool out, uint32_t object, const char *bytes, size_t piece)
{
	size_t n = 0, len = strlen(bytes);

	for (size_t at = 0; at < len; at += piece, n++) {
		size_t part = len - at < piece ? len - at : piece;

		to[n] = (struct event){ .kind = EV_CALL, .time = 1, .task = 1,
					.call = { .nr = out ? SYS_write : SYS_read, .ret = (int64_t)part, .obj = object, .nsegs = 1 } };
		to[n].call.segs[0] = (struct ev_seg){ .arg = 1, .len = part, .data = (const uint8_t *)bytes + at };
	}
	return n;
}

static struct traces found(const struct event *events, size_t n)
{
	struct traces t;
	struct err err = ERR_INIT;

	assert_works(err, traces_find(&t, events, n, NULL, &err));
	return t;
}

/* However the bytes came in pieces; and of what goes out only requests are looked at. */
static void test_found(void **state)
{
	static struct event events[4096];

	(void)state;
	for (size_t piece = 1; piece < 400; piece = piece * 3 + 1) {
		size_t n = 0;

		n += say(events + n, false, 1, "GET /a HTTP/1.1\r\nTraceParent:  " GOOD " \r\ntracestate: a=1\r\nHost: x\r\nTRACESTATE: b=2 \r\n\r\n"
					       "GET /b HTTP/1.1\r\nHost: x\r\n\r\n", piece);
		n += say(events + n, true, 2, "POST /c HTTP/1.1\r\ntraceparent: 00-" ID "-aaaaaaaaaaaaaaaa-00\r\nContent-Length: 2\r\n\r\nhi", piece);
		n += say(events + n, false, 2, "HTTP/1.1 200 OK\r\ntraceparent: 00-" ID "-bbbbbbbbbbbbbbbb-00\r\nContent-Length: 0\r\n\r\n", piece);
		n += say(events + n, true, 1, "HTTP/1.1 500 X\r\ntraceparent: 00-" ID "-cccccccccccccccc-00\r\nContent-Length: 0\r\n\r\n", piece);
		struct traces t = found(events, n);

		assert_string_equal(t.requests[0], GOOD " a=1,b=2");
		assert_null(t.requests[1]);
		assert_string_equal(t.upstream[0], "00-" ID "-aaaaaaaaaaaaaaaa-00");
		assert_null(t.upstream[1]);
		traces_clear(&t);
	}
}

static void test_not_found(void **state)
{
	static const char *const heads[] = {
		"", "traceparent: " GOOD "x\r\n", "traceparent: " GOOD "\r\ntraceparent: " GOOD "\r\n", "traceparen: " GOOD "\r\n", "traceparents: " GOOD "\r\n",
		"tracestate: a=b\r\n", "traceparent:\r\n", "a-header-with-a-name-that-is-long-traceparent: " GOOD "\r\n",
	};
	static struct event events[64];
	char text[1024];

	(void)state;
	for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
		snprintf(text, sizeof(text), "GET / HTTP/1.1\r\n%s\r\n", heads[i]);
		struct traces t = found(events, say(events, false, 1, text, 1000));

		if (t.requests || t.upstream)
			fail_msg("'%s' has a trace: %s", text, t.requests[0]);
		traces_clear(&t);
	}
}

/* A bad tracestate is left out alone, however long; of a later version only what is known is kept. */
static void test_left_out(void **state)
{
	static char text[4096];
	static struct event events[64];
	struct traces t;

	(void)state;
	t = found(events, say(events, false, 1, "GET / HTTP/1.1\r\ntraceparent: cc-" ID "-" SPAN "-01-\x80\x81 x\r\ntracestate: A=1\r\n\r\n", 1000));
	assert_string_equal(t.requests[0], "cc-" ID "-" SPAN "-01");
	traces_clear(&t);
	snprintf(text, sizeof(text), "GET / HTTP/1.1\r\ntraceparent: " GOOD "\r\ntracestate: a=%0600d\r\ntracestate: b=1\r\n\r\n", 7);
	t = found(events, say(events, false, 1, text, 100));
	assert_string_equal(t.requests[0], GOOD);
	traces_clear(&t);
}

/* No more than so many are kept. */
static void test_many(void **state)
{
	static struct event events[200];
	static char texts[200][200];
	struct traces t;
	size_t n = 0;

	(void)state;
	for (int i = 0; i < 200; i++) {
		snprintf(texts[i], sizeof(texts[i]), "GET / HTTP/1.1\r\ntraceparent: 00-" ID "-%016d-01\r\n\r\n", i / 2 + 1);
		n += say(events + n, false, 1, texts[i], 1000);
	}
	t = found(events, n);
	for (n = 0; t.requests[n]; n++)
		;
	assert_int_equal(n, TRACES_MAX);
	traces_clear(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parents),
		cmocka_unit_test(test_states),
		cmocka_unit_test(test_found),
		cmocka_unit_test(test_not_found),
		cmocka_unit_test(test_left_out),
		cmocka_unit_test(test_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
