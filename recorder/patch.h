/* SPDX-License-Identifier: Apache-2.0 */
/*
 * System calls over the entry points of the vDSO of running processes, and
 * their own code back.  Behind each stub stands a mark with the number of the
 * recorder that wrote it; what a process forks has it, too.  A file under
 * /run/capsule says what there was, for whoever comes after a recorder that was
 * killed: it is locked as long as the recorder lives.
 */
#ifndef CAPSULE_PATCH_H
#define CAPSULE_PATCH_H

#include "recorder/stop.h"

struct patches;

/* recorder_mend() of recorder.h is here, too. */
int patches_new(struct patches **ret, struct err *err);
/*
 * The process stands still, or has not begun: its clock readings are calls from
 * now on.  @n: entry points; @at_random: its 16 bytes, if they can be read.
 * @s NULL: it executes nothing.
 */
int patch_apply(struct patches *p, pid_t pid, struct stopped *s, unsigned int *n, uint8_t at_random[16], struct err *err);
/* The process gets its code back now; what it may not be stopped for in time has it with the others. */
void patch_undo(struct patches *p, pid_t pid);
/* Every process that has our mark gets its code back. @longest: the stops'. Frees @p; NULL is fine. */
void patches_undo(struct patches *p, uint64_t *longest);

#endif
