/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The audit log: an append-only file of JSON lines in which each line's hash covers the one before it.
 *
 *	{"n":1,"time":"2026-01-02T03:04:05.123456789Z","event":"start","policy":"a","hash":"<64 hex digits>"}
 *
 * hash is the SHA-256 of the previous line's hash, in hex (64 zeros before the first line), followed by the line's text up to
 * and without ,"hash". So a line that was altered, removed, put in or moved breaks the chain where it is.
 *
 * What no chain can show is that lines are missing at its end. FILE.head holds the last line's number and hash and is written after
 * each line, which shows a tail that was cut off by accident or by somebody who did not think of it; who keeps what `capsule audit`
 * printed elsewhere (audit_check.expect) notices everybody else, too.
 *
 * The file is 0600, written with O_APPEND and fsync, and locked as long as it is open. Nothing in it is ever changed, so chattr +a
 * does no harm: a line that a crash or a full disk cut short stays, and the next line ("event":"torn") says how long it is
 * and what its SHA-256 is.
 */
#ifndef CAPSULE_AUDIT_H
#define CAPSULE_AUDIT_H

#include "format/err.h"

#include <stddef.h>
#include <stdint.h>

enum { AUDIT_LINE = 64 << 10 };	/* bytes of a line, at most */

struct audit_field {
	const char *key;	/* a plain word */
	const char *text;	/* any bytes up to a NUL; NULL: it is a number */
	uint64_t number;
};

struct audit;

/*
 * Opens or creates @path. EBUSY: another process writes it; EPERM: it belongs to somebody else, or others may read or write it;
 * EBADMSG: its chain is broken, which nobody should write on over. Reads it from beginning to end.
 */
int audit_open(struct audit **ret, const char *path, struct err *err);
/*
 * Appends a line, with the time of now; it is on the disk when this returns. A failure leaves the log usable: the next call
 * says what this one may have left behind.
 */
int audit_add(struct audit *a, const char *event, const struct audit_field *fields, size_t n, struct err *err);
void audit_close(struct audit *a);	/* NULL is fine */

struct audit_end {
	uint64_t lines;		/* the last one's number */
	char hash[65];
	char first[40], last[40];	/* their times */
};

struct audit_check {
	uint64_t number;	/* of a line that was seen at the end once; 0: none */
	char hash[65];
};
/* "N:HASH" as `capsule audit` prints it; -EINVAL: it is not that. */
int audit_check_parse(struct audit_check *ret, const char *text);
/*
 * Reads the whole log. EBADMSG: the text names the first line that is wrong, and how; @expect (may be NULL) and FILE.head, where it
 * exists, must name lines of it. A log that is being written may be verified.
 */
int audit_verify(const char *path, const struct audit_check *expect, struct audit_end *ret, struct err *err);

#define _cleanup_audit_ __attribute__((cleanup(cleanup_audit)))
static inline void cleanup_audit(struct audit **a) { audit_close(*a); }

#endif
