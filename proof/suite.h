/* SPDX-License-Identifier: Apache-2.0 */
/* Many capsules, judged side by side, and the reports of it that CI servers read. */
#ifndef CAPSULE_SUITE_H
#define CAPSULE_SUITE_H

#include "proof/judge.h"

#include <stdio.h>

enum outcome {
	OUTCOME_WAITING,	/* not judged yet */
	OUTCOME_PASSED,		/* the failure is gone; of a good run: the output is as recorded */
	OUTCOME_FAILED,
	OUTCOME_INCOMPLETE,	/* holes, or cut short: it proves nothing */
	OUTCOME_ERROR,		/* there was no telling */
	OUTCOMES
};
const char *outcome_name(enum outcome o);	/* "passed", ... */

struct suite_case {
	char *file;
	enum outcome outcome;
	char why[800];		/* one line; "" where there is nothing to say */
	char signature[SIGNATURE_MAX + 1];
	double seconds;
	uint64_t misses;
};

struct suite {
	struct suite_case *cases;	/* in memory that is shared with the children that judge */
	size_t n;
	size_t count[OUTCOMES];
	double seconds;
};

/* @paths: capsules, and directories in which all *.cap are taken, in the order of their names.  ENOENT: there are none. */
int suite_find(struct suite *s, const char *const *paths, size_t n, struct err *err);
/* Judges all, @jobs at a time; calls @told for each, in order. */
int suite_run(struct suite *s, const struct judge_options *opts, unsigned int jobs,
	      void (*told)(void *ctx, const struct suite *s, size_t i), void *ctx, struct err *err);
void suite_clear(struct suite *s);

void suite_junit(FILE *f, const struct suite *s);
void suite_json(FILE *f, const struct suite *s);
/* The Test Anything Protocol, version 13: its head, and a line for case @i. */
void suite_tap_head(FILE *f, const struct suite *s);
void suite_tap(FILE *f, const struct suite *s, size_t i);

#endif
