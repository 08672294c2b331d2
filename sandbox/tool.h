/* SPDX-License-Identifier: Apache-2.0 */
/* Programs of others that do a part of the work: skopeo, umoci. */
#ifndef CAPSULE_TOOL_H
#define CAPSULE_TOOL_H

#include "format/err.h"

#include <stddef.h>

/*
 * Runs @argv[0], found in PATH, to its end.  What it prints is @out, NUL-terminated
 * and of @len bytes (both may be NULL); what it says on stderr is the error.
 * ENOPKG: it is not installed, and the text says how to get it.
 */
int tool_run(char *const argv[], char **out, size_t *len, struct err *err);

#endif
