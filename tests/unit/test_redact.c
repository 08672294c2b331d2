/* SPDX-License-Identifier: Apache-2.0 */
/* Redaction of events: whatever form a secret has and however it is cut, and nothing else. */
#include "tests/unit/harness.h"

#include "watch/redact.h"

#include "format/sha256.h"

#include <ctype.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <zlib.h>

enum { EVENTS = 64 };

static struct event events[EVENTS];
static size_t n;
static struct manifest m;
static struct redact_rule rules[16];
static size_t nrules;
static struct redactor *r;

/* One file content, which the capsule holds. */
static const char *content;
static uint8_t content_hash[32];

static int load(void *ctx, const uint8_t sha256[32], uint8_t **data, size_t *len, struct err *err)
{
	(void)ctx;
	if (!content || memcmp(sha256, content_hash, 32) != 0)
		return err_set(err, ENOENT, "no such blob");
	*len = strlen(content);
	*data = malloc(*len + 1);
	memcpy(*data, content, *len);
	return 0;
}

static int begin(void **state)
{
	(void)state;
	memset(events, 0, sizeof(events));
	memset(&m, 0, sizeof(m));
	n = nrules = 0;
	r = NULL;
	content = NULL;
	return 0;
}

static int end(void **state)
{
	(void)state;
	redactor_free(r);
	return 0;
}

static void rule_as(enum redact_kind kind, const char *what, enum redact_as as)
{
	rules[nrules++] = (struct redact_rule){ .kind = kind, .what = (char *)what, .as = as };
}

static void rule(enum redact_kind kind, const char *what)
{
	rule_as(kind, what, AS_TOKEN);
}

static struct ev_call *call(long nr, uint32_t object, const void *data, size_t len)
{
	struct ev_call *c = &events[n].call;

	assert_true(n < EVENTS);
	events[n++].kind = EV_CALL;
	*c = (struct ev_call){ .nr = (uint16_t)nr, .ret = (int64_t)len, .obj = object, .nsegs = 1, .segs = { { .arg = 1, .len = len, .data = data } } };
	return c;
}

static struct ev_call *came(uint32_t object, const char *text)
{
	return call(SYS_read, object, text, strlen(text));
}

static struct ev_call *went(uint32_t object, const char *text)
{
	return call(SYS_write, object, text, strlen(text));
}

static void run(void)
{
	struct err err = ERR_INIT;

	assert_works(err, redactor_new(&r, rules, nrules, "test", &err));
	assert_works(err, redact(r, &m, events, n, load, NULL, &err));
}

/* All that went over @object in one direction, as it is now. Until the next but one call. */
static const char *now(uint32_t object, long nr)
{
	static char buf[4][1 << 17];
	static int which;
	char *to = buf[which++ % 4];
	size_t len = 0;

	for (size_t i = 0; i < n; i++) {
		const struct ev_call *c = &events[i].call;

		if (events[i].kind != EV_CALL || c->obj != object || c->nr != nr)
			continue;
		memcpy(to + len, c->segs[0].data, c->segs[0].len);
		len += c->segs[0].len;
	}
	to[len] = 0;
	return to;
}

static const char *in(uint32_t object) { return now(object, SYS_read); }
static const char *out(uint32_t object) { return now(object, SYS_write); }

static const char *part(const char *text, const char *after, size_t len)
{
	static char buf[4][256];
	static int which;
	const char *at = strstr(text, after);

	assert_non_null(at);
	char *to = buf[which++ % 4];
	snprintf(to, len + 1, "%s", at + strlen(after));
	return to;
}

/* @is looks as @was did: the same classes of characters. */
static void same_shape(const char *was, const char *is)
{
	assert_int_equal(strlen(was), strlen(is));
	for (size_t i = 0; was[i]; i++) {
		if (isdigit((unsigned char)was[i]))
			assert_true(isdigit((unsigned char)is[i]));
		else if (isupper((unsigned char)was[i]))
			assert_true(isupper((unsigned char)is[i]));
		else if (islower((unsigned char)was[i]))
			assert_true(islower((unsigned char)is[i]));
		else if ((unsigned char)was[i] < 0x80)
			assert_int_equal(was[i], is[i]);
	}
	assert_string_not_equal(was, is);
}

#define gone(text, secret) assert_null(strstr(text, secret))
#define there(text, words) do { if (!strstr(text, words)) fail_msg("'%s' is not in '%s'", words, text); } while (0)

static bool listed(const char *words)
{
	for (char **line = redacted_list(r); *line; line++)
		if (strstr(*line, words))
			return true;
	return false;
}

/* ---- headers ------------------------------------------------------------------------------------------- */

static void test_headers(void **state)
{
	(void)state;
	rule(REDACT_HEADER, "Authorization");
	rule(REDACT_HEADER, "cookie");
	rule(REDACT_HEADER, "set-cookie");
	rule(REDACT_HEADER, "x-key");
	came(3, "GET /a HTTP/1.1\r\nHost: h\r\nauthorization:  Bearer abc-DEF-123456 \r\nCookie: sid=Qwerty12; lang=de; x=\"a b\"\r\nX-KEY: zz 11\r\n\r\n");
	went(3, "HTTP/1.1 200 OK\r\nSet-Cookie: sid=Other345; Path=/abc; HttpOnly\r\nContent-Length: 2\r\n\r\nok");
	run();
	there(in(3), "GET /a HTTP/1.1\r\nHost: h\r\nauthorization:  Bearer ");
	same_shape("abc-DEF-123456", part(in(3), "Bearer ", 14));
	same_shape("Qwerty12", part(in(3), "Cookie: sid=", 8));
	same_shape("de", part(in(3), "lang=", 2));
	same_shape("zz 11", part(in(3), "X-KEY: ", 5));
	there(in(3), "; x=\"");
	same_shape("Other345", part(out(3), "sid=", 8));
	there(out(3), "; Path=/abc; HttpOnly\r\nContent-Length: 2\r\n\r\nok");
	assert_true(listed("test: header Authorization: 1 places, 14 bytes"));
	assert_true(listed("header set-cookie in object 3 out 33+8"));
}

/* What is inside the base64 is the secret, and known when the program says it. */
static void test_basic(void **state)
{
	(void)state;
	rule(REDACT_HEADER, "authorization");
	came(3, "GET / HTTP/1.1\r\nAuthorization: Basic c2hvcDpzM2NyZXQtcGFzcw==\r\n\r\n");	/* shop:s3cret-pass */
	went(4, "user shop:s3cret-pass came");
	run();
	const char *coded = part(in(3), "Basic ", 24), *plain = part(out(4), "user ", 16);

	assert_string_equal(coded + 22, "==");
	same_shape("shop:s3cret-pass", plain);
	assert_string_not_equal(coded, "c2hvcDpzM2NyZXQtcGFzcw==");
	gone(out(4), "s3cret");
}

static void test_cut(void **state)
{
	const char *text = "GET /?t=Abcdef12345 HTTP/1.1\r\nAuthorization: Bearer Zyxwvu98765\r\n\r\n";
	char one[80][2];

	(void)state;
	rule(REDACT_HEADER, "authorization");
	rule(REDACT_QUERY, "t");
	/* A byte at a time would be too many events: five. */
	for (size_t at = 0; at < strlen(text); at += 5) {
		memcpy(one[at / 5 * 3], text + at, strlen(text) - at < 5 ? strlen(text) - at : 5);
		call(SYS_read, 3, one[at / 5 * 3], strlen(text) - at < 5 ? strlen(text) - at : 5);
	}
	went(5, "Zyxwvu");
	went(5, "98765 and Abc");
	went(5, "def12345.");
	run();
	gone(in(3), "Zyxwvu98765");
	gone(in(3), "Abcdef12345");
	assert_string_equal(part(in(3), "Bearer ", 11), part(out(5), "", 11));
	assert_string_equal(part(in(3), "t=", 11), part(out(5), " and ", 11));
}

/* Keep-alive and pipelining: the messages behind each other; an answer to HEAD has no body. */
static void test_many_messages(void **state)
{
	(void)state;
	rule(REDACT_HEADER, "x-a");
	came(3, "HEAD /1 HTTP/1.1\r\nX-A: first11\r\n\r\nPOST /2 HTTP/1.1\r\nContent-Length: 20\r\nX-A: second2\r\n\r\nX-A: not-a-header-at.GET /3 HTTP/1.1\r\nX-A: third33\r\n\r\n");
	went(3, "HTTP/1.1 200 OK\r\nContent-Length: 999\r\nX-A: fourth4\r\n\r\nHTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No\r\nX-A: fifth55\r\n\r\n"
		"HTTP/1.1 200 OK\r\nX-A: sixth66\r\nContent-Length: 0\r\n\r\n");
	run();
	gone(in(3), "first11");
	gone(in(3), "second2");
	gone(in(3), "third33");
	there(in(3), "X-A: not-a-header-at.");
	gone(out(3), "fourth4");
	gone(out(3), "fifth55");
	gone(out(3), "sixth66");
}

/* The recorder came when a message was half over; and what is no HTTP has lines that look like it. */
static void test_middle(void **state)
{
	(void)state;
	rule(REDACT_HEADER, "x-a");
	rule(REDACT_JSON, "$.pin");
	came(3, "rest-of-a-header\r\nX-A: secret1\r\n\r\n{\"a\":1}POST / HTTP/1.1\r\nContent-Length: 16\r\n\r\n{\"pin\": \"77889\"}GET / HTTP/1.1\r\nX-A: secret2\r\n\r\n");
	went(4, "log: \nx-a: secret3\nend");
	run();
	gone(in(3), "secret1");
	gone(in(3), "77889");
	gone(in(3), "secret2");
	there(in(3), "{\"a\":1}POST / HTTP/1.1");
	gone(out(4), "secret3");
	there(out(4), "\nend");
}

/* ---- bodies ---------------------------------------------------------------------------------------------- */

static void test_json(void **state)
{
	const char *body = "{ \"card\":\"4111-2222\", \"user\" : {\"e\\u006dail\": \"j\\u00f6e\\\\\\\"@x.org\", \"ok\":true}, \"list\":[1234.5e3, {\"pin\": -70071}, {\"pin\":\"x1\"}],"
			   "\"deep\":{\"a\":[{\"word\":\"Inner77\"}]}, \"card2\":\"4111-3333\"}";
	char text[1024];

	(void)state;
	rule(REDACT_JSON, "$.card");
	rule(REDACT_JSON, "$.user.email");
	rule(REDACT_JSON, "$.user.ok");
	rule(REDACT_JSON, "$.list[*].pin");
	rule(REDACT_JSON, "$.list[0]");
	rule(REDACT_JSON, "$..word");
	snprintf(text, sizeof(text), "POST / HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s", strlen(body), body);
	came(3, text);
	went(4, "j\xc3\xb6" "e\\\"@x.org j%c3%b6e%5C%22%40x.org");
	run();
	const char *is = in(3);

	same_shape("4111-2222", part(is, "\"card\":\"", 9));
	there(is, "\"card2\":\"4111-3333\"}");
	there(is, "\"e\\u006dail\": \"");
	gone(is, "\\u00f6");
	there(is, "\\\\\\\"@");	/* the escapes of what stays stand as they were */
	there(is, "\"ok\":true}");
	same_shape("-70071", part(is, "{\"pin\": ", 6));
	same_shape("x1", part(is, "{\"pin\":\"", 2));
	same_shape("1234", part(is, "\"list\":[", 4));
	there(is, "e");
	same_shape("Inner77", part(is, "\"word\":\"", 7));
	gone(out(4), "x.org");
	gone(out(4), "%c3%b6");
	assert_int_equal(strlen(out(4)), strlen("j\xc3\xb6" "e\\\"@x.org j%c3%b6e%5C%22%40x.org"));
	assert_true(listed("a truth value or null, which stays"));
}

static void test_json_broken(void **state)
{
	(void)state;
	rule(REDACT_JSON, "$.a");
	came(3, "POST / HTTP/1.1\r\nContent-Length: 400\r\n\r\n{\"a\": \"begins-here");
	came(5, "POST / HTTP/1.1\r\nContent-Length: 11\r\nContent-Type: application/json\r\n\r\n{\"b\": what}");
	run();
	gone(in(3), "begins");
	assert_true(listed("JSON that ends or is none"));
}

static void test_forms(void **state)
{
	(void)state;
	rule(REDACT_FORM, "p w");
	rule(REDACT_FORM, "file");
	rule(REDACT_QUERY, "t");
	came(3, "POST /x?a=1&t=se%63ret%2b9&t=&b=t HTTP/1.1\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 26\r\n\r\nq=1&p+w=my+pass%41word&r=2");
	came(3, "POST /y HTTP/1.1\r\nContent-Type: multipart/form-data; boundary=\"xYzzY\"\r\nContent-Length: 145\r\n\r\n"
		"--xYzzY\r\nContent-Disposition: form-data; name=\"other\"\r\n\r\nvisible\r\n--xYzzY\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\nline1\r\nline2\r\n--xYzzY--");
	went(4, "secret+9 my passAword");
	run();
	const char *is = in(3);

	there(is, "/x?a=1&t=");
	there(is, "%2b");
	there(is, "&t=&b=t HTTP");
	gone(is, "%63ret");
	there(is, "q=1&p+w=");
	there(is, "&r=2");
	there(is, "visible");
	gone(is, "line1");
	gone(is, "line2");
	there(is, "\r\n--xYzzY--");
	gone(out(4), "secret");
	gone(out(4), "pass");
}

/* A value across chunks; the sizes stay. */
static void test_chunks(void **state)
{
	(void)state;
	rule(REDACT_JSON, "$.card");
	came(3, "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{\"car\r\n8\r\nd\":\"9876\r\n10\r\n54321\", \"b\":\"no\"\r\n1;x=y\r\n}\r\n0\r\n\r\n");
	went(3, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nis 987\r\n6\r\n654321\r\n0\r\n\r\n");
	run();
	char card[10];

	snprintf(card, sizeof(card), "%.4s%.5s", part(in(3), "d\":\"", 4), part(in(3), "10\r\n", 5));
	same_shape("987654321", card);
	there(in(3), "\", \"b\":\"no\"\r\n1;x=y\r\n}\r\n0\r\n\r\n");
	char back[10];

	snprintf(back, sizeof(back), "%.3s%.6s", part(out(3), "is ", 3), strstr(strstr(out(3), "is "), "\r\n6\r\n") + 5);
	assert_string_equal(back, card);
}

static size_t gzipped(const char *text, uint8_t *to, size_t room)
{
	z_stream z = { .next_in = (uint8_t *)text, .avail_in = (unsigned int)strlen(text), .next_out = to, .avail_out = (unsigned int)room };

	assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY), Z_OK);
	assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
	deflateEnd(&z);
	return room - z.avail_out;
}

static size_t packed_answer(char *to, const char *encoding, const char *text)
{
	uint8_t body[512];
	size_t len = gzipped(text, body, sizeof(body));
	int head = sprintf(to, "HTTP/1.1 200 OK\r\nContent-Encoding: %s\r\nContent-Length: %zu\r\n\r\n", encoding, len);

	memcpy(to + head, body, len);
	return (size_t)head + len;
}

/* What is compressed can't be replaced: it is overwritten if it holds a secret, or nobody knows. */
static void test_compressed(void **state)
{
	char good[1024], bad[1024], rule_only[1024], other[1024];
	const struct event *holes;
	size_t len;

	(void)state;
	rule(REDACT_HEADER, "x-a");
	rule(REDACT_JSON, "$.pin");
	came(3, "GET / HTTP/1.1\r\nX-A: known-secret\r\n\r\n");
	len = packed_answer(good, "gzip", "{\"a\": \"nothing of interest\"}");
	call(SYS_write, 5, good, len);
	size_t bad_len = packed_answer(bad, "gzip", "it says known-secret");
	call(SYS_write, 6, bad, bad_len);
	size_t rule_len = packed_answer(rule_only, "gzip", "{\"pin\": \"only-here\"}");
	call(SYS_write, 7, rule_only, rule_len);
	call(SYS_write, 8, other, packed_answer(other, "br", "whatever"));
	went(9, "only-here");
	run();
	assert_memory_equal(events[1].call.segs[0].data, good, len);
	assert_memory_equal(events[2].call.segs[0].data + bad_len - 10, "xxxxxxxxxx", 10);
	assert_memory_equal(events[3].call.segs[0].data + rule_len - 10, "xxxxxxxxxx", 10);
	assert_memory_equal(events[4].call.segs[0].data + events[4].call.segs[0].len - 8, "xxxxxxxx", 8);
	gone(out(9), "only");
	assert_int_equal(redacted_holes(r, &holes), 3);
	assert_string_equal(holes[0].hole.what, "body");
	assert_string_equal(holes[0].hole.where, "object 6 out");
}

/* ---- elsewhere -------------------------------------------------------------------------------------------- */

static void test_regex(void **state)
{
	(void)state;
	rule_as(REDACT_REGEX, "\\b\\d{13,19}\\b", AS_DIGITS);
	rule_as(REDACT_REGEX, "id-[a-z]+[0-9]+", AS_DIGITS);
	came(3, "card 4929123456781234, order 12345678, ");
	came(3, "id-abc123");
	went(4, "x4929123456781234x 49291234");
	run();
	same_shape("4929123456781234", part(in(3), "card ", 16));
	there(in(3), "order 12345678, ");
	there(in(3), "id-abc");
	assert_string_not_equal(part(in(3), "id-abc", 3), "123");
	assert_string_equal(part(out(4), "x", 16), part(in(3), "card ", 16));
	there(out(4), " 49291234");
}

static void test_short_ones(void **state)
{
	(void)state;
	rule(REDACT_HEADER, "x-a");
	came(3, "GET / HTTP/1.1\r\nX-A: abc12\r\n\r\n");
	came(5, "GET / HTTP/1.1\r\nX-A: abc123\r\n\r\n");
	went(4, "abc12 abc1 ");
	went(6, "abc123");
	run();
	gone(in(3), "abc12");
	there(out(4), "abc12 abc1 ");
	gone(out(6), "abc123");
}

static void test_environment(void **state)
{
	static const char *const argv[] = { "prog", "--key", "--token=Env-Secret-1", "x" }, *const env[] = { "A_TOKEN=Env-Secret-1", "B=plain", "C_TOKEN=", "D=see:Env-Secret-1" };
	char arg0[] = "prog", arg1[] = "Env-Secret-1", env0[] = "A_TOKEN=Env-Secret-1", env1[] = "PATH=/bin", cwd[] = "/srv/Env-Secret-1";

	(void)state;
	rule(REDACT_ENV, "*_TOKEN");
	m.argv = (char *[]){ arg0, arg1, NULL };
	m.env = (char *[]){ env0, env1, NULL };
	m.cwd = cwd;
	events[n++] = (struct event){ .kind = EV_EXEC, .exec = { .path = "/bin/prog", .argc = 4, .envc = 4, .argv = argv, .env = env, .cwd = "/" } };
	call(SYS_openat, 0, "/home/Env-Secret-1/x", 21);
	run();
	same_shape("Env-Secret-1", m.argv[1]);
	assert_string_equal(m.argv[0], "prog");
	there(m.env[0], m.argv[1]);
	assert_memory_equal(m.env[0], "A_TOKEN=", 8);
	assert_string_equal(m.env[1], "PATH=/bin");
	there(m.cwd, m.argv[1]);
	there(events[0].exec.argv[2], m.argv[1]);
	there(events[0].exec.env[0], m.argv[1]);
	there(events[0].exec.env[3], m.argv[1]);
	assert_string_equal(events[0].exec.env[1], "B=plain");
	assert_string_equal(events[0].exec.env[2], "C_TOKEN=");
	assert_string_equal(argv[2], "--token=Env-Secret-1");	/* what was given is as it was */
	there((const char *)events[1].call.segs[0].data, m.argv[1]);
}

static void test_files(void **state)
{
	const struct redacted_blob *blobs;
	const struct event *holes;
	uint8_t hash[32];

	(void)state;
	rule(REDACT_REGEX, "pw-[a-z0-9]+");
	content = "user = me\npassword = pw-abcdef99\n";
	sha256_of(content, strlen(content), content_hash);
	events[n] = (struct event){ .kind = EV_FILE, .file = { .path = "/etc/pw-abcdef99.conf", .state = FILE_REGULAR, .flags = FILE_CONTENT, .size = strlen(content), .has_hash = true } };
	memcpy(events[n++].file.sha256, content_hash, 32);
	events[n] = (struct event){ .kind = EV_OUTPUT, .file = { .path = "/tmp/out", .state = FILE_REGULAR, .size = 7, .has_hash = true } };
	memcpy(events[n++].file.sha256, content_hash, 32);
	run();
	assert_int_equal(redacted_blobs(r, &blobs), 1);
	assert_int_equal(blobs[0].len, strlen(content));
	assert_null(memmem(blobs[0].data, blobs[0].len, "pw-abcdef99", 11));
	sha256_of(blobs[0].data, blobs[0].len, hash);
	assert_memory_equal(events[0].file.sha256, hash, 32);
	gone(events[0].file.path, "pw-abcdef99");
	assert_memory_equal(blobs[0].data + 21, events[0].file.path + 5, 11);
	assert_false(events[1].file.has_hash);
	assert_int_equal(redacted_holes(r, &holes), 1);
	assert_string_equal(holes[0].hole.what, "redacted");
	assert_string_equal(holes[0].hole.where, "/tmp/out");
	assert_false(listed("pw-abcdef99"));
}

/* What was only looked at is the beginning of what is read later. */
static void test_peek(void **state)
{
	struct ev_call *c;

	(void)state;
	rule(REDACT_REGEX, "key-[a-z]{8}");
	c = call(SYS_recvfrom, 3, "x key-abc", 9);
	c->args[3] = MSG_PEEK;
	call(SYS_recvfrom, 3, "x key-abcdefgh y", 16);
	run();
	assert_memory_equal(events[0].call.segs[0].data, events[1].call.segs[0].data, 9);
	assert_true(memcmp(events[0].call.segs[0].data, "x key-abc", 9) != 0);
}

/* The parts that are secrets of their own have one token, inside and outside. */
static void test_inner(void **state)
{
	(void)state;
	rule(REDACT_HEADER, "x-all");
	rule(REDACT_HEADER, "x-part");
	came(3, "GET / HTTP/1.1\r\nX-All: aaa:Part1234:zzz\r\nX-Part: Part1234\r\n\r\n");
	run();
	assert_string_equal(part(in(3), "X-Part: ", 8), part(in(3), "X-All: ", 12) + 4);
}

/* Words of hexadecimal digits stay ones, numbers have no zeros in front, characters stay characters. */
static void test_shapes(void **state)
{
	(void)state;
	rule(REDACT_HEADER, "x-a");
	came(3, "GET / HTTP/1.1\r\nX-A: 550e8400-e29b-41d4-a716-446655440000 100 \xc3\xa4\xe4\xb8\xad\xf0\x9f\x98\x80\r\n\r\n");
	run();
	const char *is = part(in(3), "X-A: ", 49);

	assert_int_equal(strspn(is, "0123456789abcdef"), 8);
	assert_true(is[37] >= '1' && is[37] <= '9');
	assert_true(is[0] != '0' && (uint8_t)is[41] == 0xc3 && ((uint8_t)is[43] & 0xf0) == 0xe0 && ((uint8_t)is[46] & 0xf8) == 0xf0);
}

/* Equal within one capsule, and different in another. */
static void test_keys(void **state)
{
	char first[20];

	rule(REDACT_HEADER, "x-a");
	came(3, "GET / HTTP/1.1\r\nX-A: abcdefgh12345678\r\n\r\n");
	came(4, "GET / HTTP/1.1\r\nX-A: abcdefgh12345678\r\n\r\n");
	run();
	assert_string_equal(in(3), in(4));
	snprintf(first, sizeof(first), "%s", part(in(3), "X-A: ", 16));
	redactor_free(r);
	begin(state);
	rule(REDACT_HEADER, "x-a");
	came(3, "GET / HTTP/1.1\r\nX-A: abcdefgh12345678\r\n\r\n");
	run();
	assert_string_not_equal(first, part(in(3), "X-A: ", 16));
}

static void test_base64_elsewhere(void **state)
{
	(void)state;
	rule(REDACT_HEADER, "x-a");
	came(3, "GET / HTTP/1.1\r\nX-A: s3cret-words\r\n\r\n");
	went(4, "data=bXkgczNjcmV0LXdvcmRzIQ== end");	/* my s3cret-words! */
	run();
	there(out(4), "data=bXkg");
	there(out(4), "IQ== end");
	gone(out(4), "czNjcmV0LXdvcmRz");
}

/* Long streams are looked through in pieces: nothing is lost at their borders, and no escape is cut. */
static void test_long(void **state)
{
	enum { LEN = 700 << 10 };
	char *text = malloc(LEN + 100);
	size_t at = 0;

	(void)state;
	rule(REDACT_HEADER, "x-a");
	came(3, "GET / HTTP/1.1\r\nX-A: s3cret-words\r\n\r\n");
	/* Of either form densely where windows end, at every offset. */
	while (at < LEN) {
		memcpy(text + at, "s%33cret%2dwords", 16);
		memcpy(text + at + 16, " s3cret-w\\u006frds ", 19);
		at += 35;
	}
	call(SYS_write, 4, text, at);
	run();
	const uint8_t *is = events[1].call.segs[0].data;

	for (size_t i = 0; i < at; i += 35) {
		assert_memory_not_equal(is + i, "s%33cret%2dwords", 16);
		assert_memory_equal(is + i, is, 35);
	}
	free(text);
}

static void test_too_much(void **state)
{
	static char text[4096];
	struct err err = ERR_INIT;

	(void)state;
	rule(REDACT_REGEX, "(a+)+(b+)+(a+)+$");
	memset(text, 'a', sizeof(text) - 2);
	text[sizeof(text) - 2] = '!';
	came(3, text);
	assert_works(err, redactor_new(&r, rules, nrules, "test", &err));
	assert_fails(EOVERFLOW, err, redact(r, &m, events, n, load, NULL, &err));
}

/* Nothing to do: not a byte changes. */
static void test_nothing(void **state)
{
	const char *text = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";

	(void)state;
	rule(REDACT_HEADER, "x-a");
	rule(REDACT_JSON, "$.a");
	rule(REDACT_REGEX, "[0-9]{20}");
	came(3, text);
	run();
	assert_ptr_equal(events[0].call.segs[0].data, text);
	assert_int_equal(redacted_places(r), 0);
	assert_true(listed("test: regex [0-9]{20}: 0 places, 0 bytes"));
}

#define T(f) cmocka_unit_test_setup_teardown(f, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_headers), T(test_basic), T(test_cut), T(test_many_messages), T(test_middle), T(test_json), T(test_json_broken), T(test_forms),
		T(test_chunks), T(test_compressed), T(test_regex), T(test_short_ones), T(test_environment), T(test_files), T(test_peek), T(test_inner),
		T(test_shapes), T(test_keys), T(test_base64_elsewhere), T(test_long), T(test_too_much), T(test_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
