/* SPDX-License-Identifier: Apache-2.0 */
/* Another process's personality(2), which is its own to set: it is stopped by ptrace(2), and made to. */
#ifndef CAPSULE_RECORDER_PERSONALITY_H
#define CAPSULE_RECORDER_PERSONALITY_H

#include "format/err.h"

#include <sys/types.h>

/*
 * The programs that thread @tid, which waits in a system call, starts from now
 * on are loaded to the same addresses each time.  It goes on waiting.
 */
int personality_no_randomize(pid_t tid, struct err *err);

#endif
