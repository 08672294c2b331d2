/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A failure signature: the predicate that says "this is the failure".
 *
 *	exit=1   exit!=0   exit>=64     the command's exit status
 *	signal=SEGV                     the signal that killed the command
 *	stdout~REGEX   stderr~REGEX     a match in what it said (its last MiB)
 *	http.status>=500                an answer given to somebody who connected
 *	unanswered>=1                   requests left without an answer
 *	output=identical                all that it gave out is as recorded
 *
 * joined with and, or, not and brackets; = != < <= > >= where a number stands.
 * A REGEX (PCRE2, ^ and $ at lines) ends at a space or a closing bracket, or stands in
 * single quotes, in which \' is a quote.
 *
 * Signatures come with capsules, which are untrusted: length, depth and the
 * work of a match are bounded.
 */
#ifndef CAPSULE_SIGNATURE_H
#define CAPSULE_SIGNATURE_H

#include "format/observe.h"

enum { SIGNATURE_MAX = 4096 };	/* bytes of its text */

enum truth { TRUTH_NO, TRUTH_YES, TRUTH_UNKNOWN };	/* unknown: what it asks for was not seen, or a match took too long */

struct signature;

/* EINVAL: the text says what is wrong and where. */
int signature_parse(struct signature **ret, const char *text, struct err *err);
void signature_free(struct signature *s);	/* NULL is fine */
enum truth signature_holds(const struct signature *s, const struct observation *o);
/*
 * The signature of what went wrong in @o; "": nothing did.
 * Words of the program are kept as a regex in which numbers match any number.
 */
int signature_derive(char ret[CAPSULE_SIGNATURE], const struct observation *o, struct err *err);

#define _cleanup_signature_ __attribute__((cleanup(cleanup_signature)))
static inline void cleanup_signature(struct signature **s) { signature_free(*s); }

#endif
