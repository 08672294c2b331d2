/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Redaction: takes secrets out of the events of a capsule before they are written.
 *
 * What a rule names (see struct redact_rule) is a secret. It is replaced by a token of the same length: letters become letters, digits digits
 * (a word of hexadecimal digits stays one), characters beyond ASCII others of as many bytes; all else stays. So requests still
 * parse, and the program goes the same way where that does not depend on the secret's value. Tokens come from an HMAC with a random
 * key that is in no file: within one capsule equal secrets have equal tokens, between two capsules not.
 *
 * A secret of REDACT_ELSEWHERE bytes or more is replaced wherever its bytes stand in the capsule: in all streams, whatever calls they were cut into,
 * in HTTP bodies across their chunks, in arguments, environments, names and contents of files; also in the forms %41, \u0041
 * and base64. Shorter ones would be found everywhere by chance, and are replaced only where a rule found them.
 *
 * Not looked into: what is encrypted (TLS; who has the capsule has its random bytes, too), HTTP/2, compressed bodies other than gzip and
 * deflate. A compressed body that holds a secret or can't be looked into is overwritten, with a hole.
 */
#ifndef CAPSULE_REDACT_H
#define CAPSULE_REDACT_H

#include "format/capsule.h"
#include "watch/policy.h"

enum { REDACT_ELSEWHERE = 6, REDACT_LISTED = 10000, REDACT_CONTENT = 256 << 20 };

struct redactor;

/* @policy: a name for the list of what was done. The rules are copied. */
int redactor_new(struct redactor **ret, const struct redact_rule *rules, size_t n, const char *policy, struct err *err);
void redactor_free(struct redactor *r);	/* NULL is fine */

/* The bytes of a blob that an event refers to, into fresh memory; at most REDACT_CONTENT bytes, else -EFBIG. */
typedef int (*redact_load)(void *ctx, const uint8_t sha256[32], uint8_t **data, size_t *len, struct err *err);

/*
 * Redacts @m and the @n @events in their places, once for each redactor. The manifest's texts are written over; texts and bytes of events that
 * change are in memory of the redactor from then on, so whoever is to free what was there keeps pointers of his own. What is loaded of
 * calls becomes part of the event. On failure (a rule that takes too long, memory) nothing of it may be written.
 */
int redact(struct redactor *r, struct manifest *m, struct event *events, size_t n, redact_load load, void *ctx, struct err *err);

/* Afterwards: a text that belongs to the capsule and was not among its events, a signature say. In fresh memory. */
int redact_text(const struct redactor *r, const char *text, char **ret, struct err *err);

/* File contents that changed: they are to be written before the events, which have their new hashes. */
struct redacted_blob {
	const uint8_t *data;
	size_t len;
};
size_t redacted_blobs(const struct redactor *r, const struct redacted_blob **ret);
/* Holes that are to be written behind the events. */
size_t redacted_holes(const struct redactor *r, const struct event **ret);
/*
 * What was done, without content, for the manifest's redacted: what that had before, then "POLICY: RULE: N places, N bytes" for each rule, notes
 * of what was not looked into, then "RULE in WHAT OFFSET+LENGTH" for the first REDACT_LISTED places. The redactor's; ends with NULL.
 */
char **redacted_list(const struct redactor *r);
uint64_t redacted_places(const struct redactor *r);

#define _cleanup_redactor_ __attribute__((cleanup(cleanup_redactor)))
static inline void cleanup_redactor(struct redactor **r) { redactor_free(*r); }

#endif
