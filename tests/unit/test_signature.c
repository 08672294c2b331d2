/* SPDX-License-Identifier: Apache-2.0 */
/* Signatures: their words, what they say of a run, and the one that is found. */
#include "tests/unit/harness.h"

#include "format/signature.h"

#include <string.h>
#include <sys/syscall.h>

/* ---- a run to look at ------------------------------------------------------ */

static struct observation *fresh(void)
{
	struct observation *o = NULL;
	struct err err = ERR_INIT;

	assert_int_equal(observation_new(&o, &err), 0);
	for (int32_t fd = 1; fd < 3; fd++) {
		struct event e = { .kind = EV_OBJECT, .object = { .id = (uint32_t)fd, .kind = OBJ_PIPE, .path = "", .nfds = 1, .fds = &fd } };

		assert_int_equal(observation_event(o, &e, NULL, &err), 0);
	}
	return o;
}

static void moved(struct observation *o, long nr, uint32_t object, const void *data, size_t len)
{
	struct event e = { .kind = EV_CALL, .task = 1, .call = { .nr = (uint16_t)nr, .ret = (int64_t)len, .obj = object, .nsegs = 1,
						      .segs = { { .arg = 1, .len = len, .data = data } } } };
	struct err err = ERR_INIT;

	assert_int_equal(observation_event(o, &e, NULL, &err), 0);
}

static void said(struct observation *o, long nr, uint32_t object, const char *text)
{
	moved(o, nr, object, text, strlen(text));
}

static void accepted(struct observation *o, uint32_t made)
{
	struct event e = { .kind = EV_CALL, .task = 1, .call = { .nr = SYS_accept4, .ret = 7, .obj = 9, .obj2 = made } };
	struct err err = ERR_INIT;

	assert_int_equal(observation_event(o, &e, NULL, &err), 0);
}

static enum truth holds(const struct observation *o, const char *text)
{
	struct err err = ERR_INIT;
	struct signature *s = NULL;
	enum truth t;

	if (signature_parse(&s, text, &err) < 0)
		fail_msg("%s", err.text);
	t = signature_holds(s, o);
	signature_free(s);
	return t;
}

static void yes(const struct observation *o, const char *text) { assert_int_equal(holds(o, text), TRUTH_YES); }
static void no(const struct observation *o, const char *text) { assert_int_equal(holds(o, text), TRUTH_NO); }

static void refused(const char *text, const char *word)
{
	struct err err = ERR_INIT;
	struct signature *s = NULL;

	assert_int_equal(signature_parse(&s, text, &err), -EINVAL);
	assert_null(s);
	if (!strstr(err.text, word))
		fail_msg("'%s': %s", text, err.text);
}

/* ---- the words ----------------------------------------------------------------- */

static void test_words(void **state)
{
	_cleanup_observation_ struct observation *o = fresh();

	(void)state;
	said(o, SYS_write, 1, "all is\nwell, really\n");
	said(o, SYS_write, 2, "warning: it's (almost) over\n");
	observation_end(o, 3 << 8, true);
	yes(o, "exit=3");
	yes(o, "exit>=3");
	yes(o, "exit != 2");
	no(o, "exit<3");
	no(o, "signal=SEGV");
	yes(o, "signal!=SIGSEGV");
	yes(o, "stdout~^well");
	no(o, "stdout~^is");
	yes(o, "stderr~'it\\'s .almost. over'");
	yes(o, "(stdout~really$)and exit=3");
	yes(o, "exit=1 or exit=2 or exit=3 and stdout~well");
	no(o, "(exit=1 or exit=3) and not stdout~well");
	yes(o, "not not exit=3");
	yes(o, "output=identical");
	no(o, "output!=identical");
	no(o, "http.status>=100");
	yes(o, "unanswered=0");
}

static void test_killed(void **state)
{
	_cleanup_observation_ struct observation *o = fresh();

	(void)state;
	observation_end(o, 11, false);
	yes(o, "signal=SEGV");
	no(o, "exit=0");
	no(o, "output=identical");
}

static void test_wrong_words(void **state)
{
	char deep[200], *longest = test_malloc(SIGNATURE_MAX + 2);

	(void)state;
	refused("", "none of exit");
	refused("exit", "is missing");
	refused("exit=", "number");
	refused("exit=1x", "and, or");
	refused("exit=1 exit=2", "and, or");
	refused("exit=1 and", "none of exit");
	refused("(exit=1", "bracket");
	refused("signal=NOSUCH", "signal");
	refused("signal<SEGV", "=");
	refused("stderr~", "regex");
	refused("stderr~'x", "quote");
	refused("stderr~(", "regex");
	refused("stderr=x", "~");
	refused("output=other", "identical");
	refused("status=500", "none of exit");
	memset(deep, '(', sizeof(deep) - 1);
	deep[sizeof(deep) - 1] = 0;
	refused(deep, "too many");
	memset(longest, 'x', SIGNATURE_MAX + 1);
	longest[SIGNATURE_MAX + 1] = 0;
	refused(longest, "longer");
	test_free(longest);
}

/* What was not seen, or takes for ever, is not known; it is not "no". */
static void test_unknown(void **state)
{
	_cleanup_observation_ struct observation *o = fresh();
	char *much = test_malloc(OBSERVE_KEEP);

	(void)state;
	assert_int_equal(holds(o, "exit=0"), TRUTH_UNKNOWN);
	said(o, SYS_write, 1, "first\n");
	said(o, SYS_write, 2, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!");
	assert_int_equal(holds(o, "stderr~'^(a+)+$'"), TRUTH_UNKNOWN);
	memset(much, '.', OBSERVE_KEEP);
	moved(o, SYS_write, 1, much, OBSERVE_KEEP);
	assert_int_equal(holds(o, "stdout~first"), TRUTH_UNKNOWN);
	said(o, SYS_write, 1, "\nlast\n");
	yes(o, "stdout~^last$");
	assert_int_equal(observed_stdout(o).len, OBSERVE_KEEP);
	assert_int_equal(holds(o, "stdout~first and exit=0"), TRUTH_UNKNOWN);
	observation_end(o, 0, true);
	no(o, "stdout~first and exit=1");
	test_free(much);
}

/* ---- answers -------------------------------------------------------------------- */

static void test_answers(void **state)
{
	_cleanup_observation_ struct observation *o = fresh();

	(void)state;
	accepted(o, 20);
	said(o, SYS_read, 20, "GET /a HTTP/1.1\r\nHost: x\r\n\r\nGET /b HTT");
	said(o, SYS_write, 20, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
	said(o, SYS_read, 20, "P/1.1\r\nHost: x\r\n\r\n");
	yes(o, "unanswered=1");
	said(o, SYS_write, 20, "HTTP/1.1 503 Not now\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc");
	said(o, SYS_write, 20, "\r\n0\r\n\r\n");
	yes(o, "http.status=200 and http.status>=500");
	no(o, "http.status=500 or http.status>503");
	yes(o, "unanswered=0");
	/* Another protocol, and what the program itself asks others for, are no answers of its own. */
	accepted(o, 21);
	said(o, SYS_read, 21, "*1\r\n$4\r\nPING\r\n");
	said(o, SYS_write, 22, "GET /c HTTP/1.1\r\n\r\n");
	said(o, SYS_read, 22, "HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n");
	no(o, "http.status=500");
	yes(o, "unanswered=0");
}

/* However many connections there were before. */
static void test_many_connections(void **state)
{
	_cleanup_observation_ struct observation *o = fresh();

	(void)state;
	for (uint32_t i = 0; i < 5000; i++) {
		accepted(o, 100 + i);
		said(o, SYS_read, 100 + i, "GET / HTTP/1.0\r\n\r\n");
		if (i != 77)
			said(o, SYS_write, 100 + i, i == 4000 ? "HTTP/1.0 500 No\r\nContent-Length: 0\r\n\r\n" :
								"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n");
	}
	assert_int_equal(observed_statuses(o)[500], 1);
	assert_int_equal(observed_statuses(o)[200], 4998);
	assert_int_equal(observed_unanswered(o), 1);
}

/* ---- found ------------------------------------------------------------------------- */

static void found(struct observation *o, int status, const char *expected)
{
	char text[CAPSULE_SIGNATURE];
	struct err err = ERR_INIT;

	observation_end(o, status, true);
	assert_int_equal(signature_derive(text, o, &err), 0);
	assert_string_equal(text, expected);
	if (text[0])
		yes(o, text);
	observation_free(o);
}

static struct observation *with_stderr(const char *text)
{
	struct observation *o = fresh();

	said(o, SYS_write, 2, text);
	return o;
}

static void test_found(void **state)
{
	struct observation *o;
	struct event term = { .kind = EV_SIGNAL, .signal = { .signo = 15 } };
	struct err err = ERR_INIT;

	(void)state;
	found(fresh(), 0, "");
	found(with_stderr("usage: x\n"), 2 << 8, "exit=2");
	found(with_stderr("Traceback (most recent call last):\n  File \"a.py\", line 3\nValueError: bad 'x' 17\n"), 1 << 8,
	      "exit=1 and stderr~'ValueError: bad \\'x\\' [0-9]+'");
	found(with_stderr("panic: runtime error: index out of range [5] with length 3\n\ngoroutine 1 [running]:\nmain.main()\n"), 2 << 8,
	      "exit=2 and stderr~'panic: runtime error: index out of range \\[[0-9]+\\] with length [0-9]+'");
	found(with_stderr("*** stack smashing detected ***: terminated\n"), 6, "signal=ABRT and stderr~'\\*\\*\\* stack smashing detected \\*\\*\\*: terminated'");
	found(with_stderr("x at 0x7ffd12: free(): invalid pointer\n"), 6, "signal=ABRT and stderr~'x at 0[xX][0-9a-fA-F]+: free\\(\\): invalid pointer'");
	found(with_stderr("prog: /src/a b/prog.c:17: main: Assertion `v <= 3' failed.\n"), 6,
	      "signal=ABRT and stderr~'prog: [^ ]+ [^ ]+ main: Assertion `v <= [0-9]+\\' failed\\.'");
	found(with_stderr("thread 'main' panicked at src/main.rs:4:10: index out of bounds\n"), 101 << 8,
	      "exit=101 and stderr~'thread \\'main\\' panicked at [^ ]+ index out of bounds'");
	/* Somebody ended it: that is no failure of its own. */
	o = fresh();
	assert_int_equal(observation_event(o, &term, NULL, &err), 0);
	found(o, 15, "");
	o = fresh();
	assert_int_equal(observation_event(o, &term, NULL, &err), 0);
	found(o, 143 << 8, "");
	o = fresh();
	accepted(o, 5);
	said(o, SYS_read, 5, "GET / HTTP/1.1\r\n\r\n");
	said(o, SYS_write, 5, "HTTP/1.1 502 No\r\nContent-Length: 0\r\n\r\n");
	found(o, 0, "http.status=502");
	o = fresh();
	accepted(o, 5);
	said(o, SYS_read, 5, "GET / HTTP/1.1\r\n\r\n");
	found(o, 0, "unanswered>=1");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_words), cmocka_unit_test(test_killed), cmocka_unit_test(test_wrong_words),
		cmocka_unit_test(test_unknown), cmocka_unit_test(test_answers), cmocka_unit_test(test_many_connections),
		cmocka_unit_test(test_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
