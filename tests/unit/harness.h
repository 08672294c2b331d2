/* SPDX-License-Identifier: Apache-2.0 */
/* cmocka, and what our unit tests share. */
#ifndef CAPSULE_TESTS_HARNESS_H
#define CAPSULE_TESTS_HARNESS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "format/err.h"

/* @call fails with -@expected, and says why in one line. */
#define assert_fails(expected, err, call)						\
	do {										\
		int result_ = (call);							\
											\
		if (result_ >= 0)							\
			fail_msg("%s succeeded", #call);				\
		if (result_ != -(expected) || (err).code != (expected))			\
			fail_msg("%s: %d, %s", #call, result_, (err).text);		\
		assert_true((err).text[0] != 0 && !strchr((err).text, '\n'));		\
	} while (0)

/* @call does not fail; else its error is the test's message. */
#define assert_works(err, call)								\
	do {										\
		if ((call) < 0)								\
			fail_msg("%s: %s", #call, (err).text);				\
	} while (0)

/* A path of its own for each call, in a directory that is removed at the end of the program. */
static inline const char *scratch_path(const char *name)
{
	static char dir[64], path[128];

	if (!dir[0]) {
		snprintf(dir, sizeof(dir), "/tmp/capsule-test.XXXXXX");
		if (!mkdtemp(dir))
			abort();
	}
	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return path;
}

#endif
