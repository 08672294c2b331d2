/* SPDX-License-Identifier: Apache-2.0 */
/* The recorder's programs in the kernel, loaded, and their ring. */
#ifndef CAPSULE_RECORDER_KERNEL_H
#define CAPSULE_RECORDER_KERNEL_H

#include "recorder/recorder.h"

#include <stddef.h>
#include <sys/types.h>

struct kernel;

/* @err says what is missing on this machine, and the mend. */
int kernel_load(struct kernel **ret, uint64_t ring, struct err *err);
void kernel_free(struct kernel *k);	/* detaches; NULL is fine */

/* The process and what it will fork are the scope; recorded from its first exec on. */
int kernel_follow(struct kernel *k, pid_t pid, int pidfd, struct err *err);
int kernel_attach(struct kernel *k, struct err *err);
/* Nothing is recorded any more; what is in the ring stays. */
void kernel_detach(struct kernel *k);

/* Readable when the ring should be looked at before its time. */
int kernel_fd(const struct kernel *k);
/* Hands every record to @fn, in order; a negative result of it ends that and is returned. How many there were. */
int kernel_consume(struct kernel *k, int (*fn)(void *ctx, void *data, size_t len), void *ctx);
/* Threads that live. */
int64_t kernel_live(const struct kernel *k);
uint64_t kernel_lost(const struct kernel *k);

#endif
