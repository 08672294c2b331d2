/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes of a connection, cut as the first bytes say, with all kinds of rules: nothing gets longer or shorter, what a header rule named is gone
 * from all that came, and what says no words of the rules stays as it is.
 */
#include "watch/redact.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int load(void *ctx, const uint8_t sha256[32], uint8_t **data, size_t *len, struct err *err)
{
	(void)ctx, (void)sha256, (void)data, (void)len;
	return err_set(err, ENOENT, "there are no blobs");
}

enum { EVENTS = 32 };

static void check(const struct event *events, const struct event *before, size_t n, struct redactor *r, const char *secret)
{
	for (size_t i = 0; i < n; i++) {
		const struct ev_seg *s = &events[i].call.segs[0];

		if (s->len != before[i].call.segs[0].len || !s->data)
			abort();
		if (i && secret && s->len >= strlen(secret) && memmem(s->data, s->len, secret, strlen(secret)))
			abort();
	}
	for (char **line = redacted_list(r); *line; line++)
		if (strstr(*line, secret))
			abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char secret[] = "GET / HTTP/1.1\r\nX-Secret: Zq7secretWord\r\n\r\n";
	static const struct redact_rule rules[] = {
		{ .kind = REDACT_HEADER, .what = (char *)"x-secret" }, { .kind = REDACT_HEADER, .what = (char *)"authorization" },
		{ .kind = REDACT_HEADER, .what = (char *)"cookie" }, { .kind = REDACT_HEADER, .what = (char *)"set-cookie" },
		{ .kind = REDACT_QUERY, .what = (char *)"q" }, { .kind = REDACT_FORM, .what = (char *)"f" },
		{ .kind = REDACT_JSON, .what = (char *)"$.a" }, { .kind = REDACT_JSON, .what = (char *)"$..b[0]" },
		{ .kind = REDACT_REGEX, .what = (char *)"\\b\\d{6,12}\\b", .as = AS_DIGITS },
	};
	struct event events[EVENTS] = { 0 }, before[EVENTS];
	struct redactor *r = NULL;
	struct manifest m = { 0 };
	struct err err = ERR_INIT;
	size_t n = 1, cut = size ? data[0] + 1u : 1, at = size ? 1 : 0;

	if (size > 1 << 14 || redactor_new(&r, rules, sizeof(rules) / sizeof(rules[0]), "fuzz", &err) < 0)
		return 0;
	events[0] = (struct event){ .kind = EV_CALL, .call = { .nr = SYS_read, .ret = 1, .obj = 9, .nsegs = 1,
							       .segs = { { .arg = 1, .len = sizeof(secret) - 1, .data = (const uint8_t *)secret } } } };
	for (; n < EVENTS && at < size; n++) {
		size_t len = n + 1 == EVENTS || cut > size - at ? size - at : cut;

		/* Two connections, each in both directions. */
		events[n] = (struct event){ .kind = EV_CALL, .call = { .nr = n & 4 ? SYS_write : SYS_read, .ret = 1, .obj = n & 8 ? 4 : 3, .nsegs = 1,
								       .segs = { { .arg = 1, .len = len, .data = data + at } } } };
		at += len;
	}
	memcpy(before, events, sizeof(events));
	if (redact(r, &m, events, n, load, NULL, &err) == 0)
		check(events, before, n, r, "Zq7secretWord");
	redactor_free(r);
	return 0;
}
