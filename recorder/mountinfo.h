/* SPDX-License-Identifier: Apache-2.0 */
/* What is mounted where, for another process: proc_pid_mountinfo(5). */
#ifndef CAPSULE_RECORDER_MOUNTINFO_H
#define CAPSULE_RECORDER_MOUNTINFO_H

#include "format/err.h"

#include <stdbool.h>
#include <sys/types.h>

struct mountinfo {
	const char *point, *type, *source;	/* without escapes; of a bind mount the source is what was bound, in its own file system */
	const char *options;			/* of the file system, as they are written there */
	bool readonly;
};

/* @f of each, as they were mounted, until it says no with a negative number. */
int mountinfo_each(pid_t pid, int (*f)(void *ctx, const struct mountinfo *m), void *ctx, struct err *err);

/* Is it one of those that every container has: of /proc, /sys, /dev? */
bool mountinfo_is_special(const struct mountinfo *m);

/* The value of @name in options; NULL: it is not there, or no memory. */
char *mountinfo_option(const char *options, const char *name);
/* An overlay's lower directories, the topmost first; NULL-terminated, NULL: none, one that is not absolute, or no memory. */
char **mountinfo_layers(const char *options);

#endif
