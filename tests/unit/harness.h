/* SPDX-License-Identifier: Apache-2.0 */
/* cmocka, and what our unit tests share. */
#ifndef CAPSULE_TESTS_HARNESS_H
#define CAPSULE_TESTS_HARNESS_H

#include <errno.h>
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

static char scratch_dir[64];

static inline void scratch_remove(void)
{
	rmdir(scratch_dir);
}

/* @name in a directory of this program alone, which goes when the program ends if the tests emptied it. Until the next call. */
static inline const char *scratch_path(const char *name)
{
	static char path[128];

	if (!scratch_dir[0]) {
		snprintf(scratch_dir, sizeof(scratch_dir), "/tmp/capsule-test.XXXXXX");
		if (!mkdtemp(scratch_dir))
			abort();
		atexit(scratch_remove);
	}
	snprintf(path, sizeof(path), "%s/%s", scratch_dir, name);
	return path;
}

#endif
