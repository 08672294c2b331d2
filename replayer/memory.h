/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guest's memory, read and written from outside (process_vm_readv(2)).
 * Addresses and lengths come from the guest: a bad one is the guest's EFAULT,
 * never our crash.
 */
#ifndef CAPSULE_MEMORY_H
#define CAPSULE_MEMORY_H

#include "format/event.h"

#include <sys/types.h>
#include <sys/uio.h>

/* 0, or -EFAULT if not all of it is there, -ESRCH if the task is gone. */
int guest_read(pid_t tid, uint64_t addr, void *buf, size_t len);
int guest_write(pid_t tid, uint64_t addr, const void *buf, size_t len);

/* At most this much is taken from one call of the guest. */
#define GUEST_MAX_CALL (64u << 20)

/* The parts of guest memory that a reading or writing call names, in order. */
struct guest_iov {
	struct iovec v[1024];
	size_t n;
	size_t total;
};

/*
 * Finds them for call @nr with @args: a buffer, an iovec array, or the iovec
 * of message @index of a msghdr array.  @msghdr (may be NULL) receives the
 * address of the message's struct msghdr, 0 for calls without one.
 */
int guest_iov_of(pid_t tid, unsigned int nr, const uint64_t args[6], unsigned int index, struct guest_iov *ret,
		 uint64_t *msghdr);
/* Reads all of it (at most @max bytes) into fresh memory. */
int guest_gather(pid_t tid, const struct guest_iov *iov, size_t max, uint8_t **data, size_t *len);
/* Fills it with @data in order; returns how many bytes found room, or negative. */
ssize_t guest_scatter(pid_t tid, const struct guest_iov *iov, struct bytes data);

#endif
