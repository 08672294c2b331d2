/* SPDX-License-Identifier: Apache-2.0 */
/* Somebody is told of a capsule: a command, with its file behind its own arguments. */
#ifndef CAPSULE_NOTIFY_H
#define CAPSULE_NOTIFY_H

#include "format/err.h"

/* Does not wait for it. CAPSULE_POLICY and CAPSULE_FILE are in its environment. */
int notify_run(char *const *argv, const char *policy, const char *file, struct err *err);
/* Those that have ended are forgotten. */
void notify_reap(void);

#endif
