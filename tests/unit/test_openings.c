/* SPDX-License-Identifier: Apache-2.0 */
/* How connections are opened: what is kept of it, and what is not. */
#include <linux/types.h>

#include "tests/unit/harness.h"

#include "watch/openings.h"
#include "watch/requests.h"

#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>

enum { CLIENT = 100 };	/* an object: somebody who was accepted */

struct story {
	struct openings *os;
	struct requests *rs;
	uint64_t n;
	char told[4096];
};

static void ended(void *ctx, const struct request *r)
{
	(void)ctx, (void)r;
}

static void tell(struct story *s, struct event *e)
{
	e->time = ++s->n;
	requests_event(s->rs, e, s->n);
	openings_event(s->os, e, s->rs);
}

static void object(struct story *s, uint32_t id, const char *remote)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_addr.s_addr = 0x100000a };
	struct event e = { .kind = EV_OBJECT, .object = { .id = id, .kind = OBJ_SOCKET, .family = AF_INET, .type = SOCK_STREAM } };

	to.sin_port = htons((uint16_t)atoi(remote));
	e.object.local = e.object.remote = (struct bytes){ (const uint8_t *)&to, sizeof(to) };
	tell(s, &e);
}

static void call(struct story *s, uint32_t task, unsigned int nr, uint32_t obj, uint32_t made, const char *words)
{
	struct event e = { .kind = EV_CALL, .task = task, .call = { .nr = (uint16_t)nr, .obj = obj, .obj2 = made } };

	if (words) {
		e.call.ret = (int64_t)strlen(words);
		e.call.nsegs = 1;
		e.call.segs[0] = (struct ev_seg){ .arg = 1, .len = strlen(words), .data = (const uint8_t *)words };
	}
	tell(s, &e);
}

static void opened(struct story *s, uint32_t task, uint32_t id, const char *remote)
{
	object(s, id, remote);
	call(s, task, SYS_connect, id, 0, NULL);
}

static void asks(struct story *s, uint32_t task, uint32_t id, const char *words, const char *answer)
{
	call(s, task, SYS_sendto, id, 0, words);
	call(s, task, SYS_recvfrom, id, 0, answer);
}

static void answers_client(struct story *s, uint32_t task)
{
	call(s, task, SYS_sendto, CLIENT, 0, "HTTP/1.1 200 OK\r\n\r\n");
}

static void see(void *ctx, const struct event *e)
{
	struct story *s = ctx;
	size_t at = strlen(s->told);

	if (e->kind == EV_OBJECT)
		snprintf(s->told + at, sizeof(s->told) - at, "[%u]", ntohs(((const struct sockaddr_in *)(const void *)e->object.remote.data)->sin_port));
	else
		snprintf(s->told + at, sizeof(s->told) - at, " %.*s", (int)e->call.segs[0].len, (const char *)e->call.segs[0].data);
}

static const char *kept(struct story *s)
{
	s->told[0] = 0;
	openings_each(s->os, see, s);
	return s->told;
}

static int begin(void **state)
{
	struct story *s = calloc(1, sizeof(*s));

	s->os = openings_new();
	s->rs = requests_new(ended, NULL);
	object(s, CLIENT, "40000");
	call(s, 1, SYS_accept4, 99, CLIENT, NULL);
	*state = s;
	return 0;
}

static int end(void **state)
{
	struct story *s = *state;

	openings_free(s->os);
	requests_free(s->rs);
	free(s);
	return 0;
}

static void until_another_uses_it(void **state)
{
	struct story *s = *state;

	opened(s, 1, 5, "6379");
	asks(s, 1, 5, "AUTH", "OK");
	asks(s, 2, 5, "GET secret", "42");
	asks(s, 1, 5, "GET more", "43");
	assert_string_equal(kept(s), "[6379] AUTH OK");
}

static void until_a_client_is_answered(void **state)
{
	struct story *s = *state;

	opened(s, 1, 5, "6379");
	asks(s, 1, 5, "AUTH", "OK");
	answers_client(s, 2);		/* another's business */
	asks(s, 1, 5, "SELECT", "OK");
	answers_client(s, 1);
	asks(s, 1, 5, "GET secret", "42");
	assert_string_equal(kept(s), "[6379] AUTH OK SELECT OK");
}

/* A connection for one request and no other is nobody else's business. */
static void of_a_request_none(void **state)
{
	struct story *s = *state;

	call(s, 1, SYS_recvfrom, CLIENT, 0, "GET / HTTP/1.1\r\n\r\n");
	opened(s, 1, 5, "6379");
	asks(s, 1, 5, "GET secret", "42");
	assert_string_equal(kept(s), "");
	answers_client(s, 1);
	opened(s, 1, 6, "6379");
	asks(s, 1, 6, "GET secret", "42");
	answers_client(s, 1);
	assert_string_equal(kept(s), "");
	asks(s, 2, 6, "GET more", "43");
	assert_string_equal(kept(s), "[6379] GET secret 42");
	opened(s, 1, 7, "6379");
	asks(s, 1, 7, "GET another", "44");
	asks(s, 2, 7, "GET more", "43");
	assert_string_equal(kept(s), "");	/* they begin with nothing alike */
}

static void what_two_begin_with_alike(void **state)
{
	struct story *s = *state;

	for (uint32_t id = 5; id < 8; id++) {
		opened(s, id, id, "5432");
		asks(s, id, id, "login", "welcome");
		asks(s, id, id, id == 5 ? "secret of five" : "secret of others", "42");
		answers_client(s, id);
		asks(s, id, id, "next", "43");
	}
	assert_string_equal(kept(s), "[5432] login welcome");
}

static void one_for_each_address(void **state)
{
	struct story *s = *state;

	opened(s, 1, 5, "6379");
	asks(s, 1, 5, "AUTH", "OK");
	opened(s, 1, 6, "5432");
	asks(s, 1, 6, "login", "welcome");
	opened(s, 1, 7, "9000");	/* nobody answers there */
	call(s, 1, SYS_sendto, 7, 0, "hello");
	assert_string_equal(kept(s), "[6379] AUTH OK[5432] login welcome");
}

static void not_too_much(void **state)
{
	static char large[OPENING_BYTES];
	struct story *s = *state;

	memset(large, 'x', sizeof(large) - 1);
	opened(s, 1, 5, "6379");
	asks(s, 1, 5, "AUTH", "OK");
	asks(s, 1, 5, large, "42");
	assert_string_equal(kept(s), "[6379] AUTH OK");
	opened(s, 1, 6, "6380");
	for (int i = 0; i < 2 * OPENING_CALLS; i++)
		asks(s, 1, 6, "a", "b");
	assert_int_equal(strlen(kept(s)), strlen("[6379] AUTH OK[6380]") + 2 * OPENING_CALLS);
}

static void clients_and_listeners_are_none(void **state)
{
	struct story *s = *state;

	object(s, 5, "40001");
	call(s, 1, SYS_accept4, 99, 5, NULL);
	asks(s, 1, 5, "hello", "you");
	object(s, 6, "0");
	call(s, 1, SYS_listen, 6, 0, NULL);
	assert_string_equal(kept(s), "");
}

/* More connections than are looked at, and more addresses: none is lost but the oldest. */
static void many(void **state)
{
	struct story *s = *state;
	char port[8];

	for (uint32_t i = 0; i < 3 * OPENINGS; i++) {
		snprintf(port, sizeof(port), "%u", 1000 + i);
		opened(s, 1, 1000 + i, port);
		asks(s, 1, 1000 + i, "AUTH", "OK");
	}
	assert_null(strstr(kept(s), "[1000]"));
	assert_non_null(strstr(kept(s), "[1191] AUTH OK"));
}

int main(void)
{
#define STORY(f) cmocka_unit_test_setup_teardown(f, begin, end)
	const struct CMUnitTest tests[] = {
		STORY(until_another_uses_it), STORY(until_a_client_is_answered), STORY(of_a_request_none), STORY(what_two_begin_with_alike), STORY(one_for_each_address),
		STORY(not_too_much), STORY(clients_and_listeners_are_none), STORY(many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
