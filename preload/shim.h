/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The shim and the memory it shares with the replayer (versioned: both sides
 * check SHIM_VERSION).
 *
 * The shim is a flat image of position-fixed code that the replayer maps into
 * the guest at every exec and to which it redirects the vDSO's entry points.
 * It serves clock readings from shared memory, without a system call, for any
 * program: dynamic, static, Go, musl.  (Not LD_PRELOAD: a further library
 * moves every later mapping and the TLS block, whose address OpenSSL for one
 * feeds into its random generator; and it shows in the environment.)
 *
 * The file /dev/.capsule of the sandbox is mapped at SHIM_BASE:
 *	SHIM_CODE   the image, r-x, private
 *	SHIM_SHARED struct shim_shared and the streams, rw-, shared
 * and behind it SHIM_PRIVATE, anonymous memory of the process, wiped on fork:
 * which thread (by its fs base) has which slot.
 *
 * The guest may write anything into this memory: the replayer keeps its own
 * copy of all offsets and bounds and clamps every cursor it reads back.
 */
#ifndef CAPSULE_SHIM_H
#define CAPSULE_SHIM_H

#include <stdint.h>

#define SHIM_VERSION 1
#define SHIM_BASE    0x500000000000ull
#define SHIM_CODE    SHIM_BASE
#define SHIM_CODE_SIZE 0x4000ull
#define SHIM_PRIVATE (SHIM_BASE + SHIM_CODE_SIZE)
#define SHIM_PRIVATE_SIZE 0x1000ull
#define SHIM_SHARED  (SHIM_BASE + 0x10000ull)
#define SHIM_CLOCKS  12		/* clock ids 0..11 have a stream; others go to the supervisor */

struct shim_stream {
	uint64_t first;		/* byte offset in the shared memory of the readings, int64_t ns each */
	uint32_t count;
	uint32_t cursor;	/* next reading */
	int64_t last;		/* last reading given; past the end the clock goes on from here by SHIM_STEP */
	uint64_t misses;	/* readings past the end */
};
#define SHIM_STEP 1000		/* ns */

struct shim_slot {		/* one thread */
	struct shim_stream clock[SHIM_CLOCKS];
};

struct shim_shared {
	uint32_t version, nslots;
	uint64_t size;
	struct shim_slot slot[];
};

#define SHIM_THREADS 64		/* threads a process that the shim serves at a time; others pay a system call */
struct shim_private {
	struct { uint64_t fsbase; uint64_t slot_plus_1; } thread[SHIM_THREADS];
};

#endif
