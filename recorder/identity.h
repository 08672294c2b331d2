/* SPDX-License-Identifier: Apache-2.0 */
/* Who the command is and where it runs, from /proc of the process that will be it. */
#ifndef CAPSULE_IDENTITY_H
#define CAPSULE_IDENTITY_H

#include "recorder/recorder.h"

#include <sys/types.h>

/* Fresh memory, for manifest_free(). */
int identity_of(struct manifest **ret, pid_t pid, const struct record_opts *opts, struct err *err);

/* Version 4, RFC 9562; fresh memory, or NULL. */
char *identity_uuid(void);

/* What a running process was started with, as far as it has left that alone; fresh memory, NULL-terminated. */
char **identity_argv(pid_t pid);

#endif
