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
 *	SHIM_CODE    the image, r-x, anonymous
 *	SHIM_PRIVATE anonymous memory of the process, wiped on fork: which
 *	             thread (by its fs base) has which slot
 *	SHIM_SHARED  /dev/.capsule of the sandbox, rw-, shared: struct
 *	             shim_shared and the streams
 *
 * What the shim can't serve (a thread without a slot, a clock without a
 * stream) it passes on as a real system call, which becomes a notification.
 * Such a call carries SHIM_MAGIC as its fifth argument and the thread's fs
 * base as its sixth (the kernel ignores both, seccomp_data shows them), so
 * that the supervisor can register the thread and is not asked again.
 *
 * The guest may write anything into this memory: the replayer keeps its own
 * copy of all offsets and bounds and clamps every cursor it reads back.  The
 * shim itself trusts it: it has no right that the guest has not.
 */
#ifndef CAPSULE_SHIM_H
#define CAPSULE_SHIM_H

#include <stdint.h>

#define SHIM_VERSION 5
#define SHIM_MAGIC   0x6d69685370616343ull	/* "CcapShim" */
/* Below every PIE, and in a range that MSan and TSan leave to the application. */
#define SHIM_BASE    0x550000000000ull
#define SHIM_CODE    SHIM_BASE
#define SHIM_CODE_SIZE 0x4000ull
#define SHIM_PRIVATE (SHIM_BASE + SHIM_CODE_SIZE)
#define SHIM_PRIVATE_SIZE 0x2000ull
#define SHIM_SHARED  (SHIM_BASE + 0x10000ull)
#define SHIM_CLOCKS  12		/* clock ids 0..11 can have a stream here; others go to the supervisor */
#define SHIM_SECONDS SHIM_CLOCKS	/* time(2): programs look at it elsewhere, and less closely, than at CLOCK_REALTIME */
#define SHIM_STREAMS (SHIM_CLOCKS + 1)
#define SHIM_STEP    1000	/* ns between two readings that are not in the record */

/*
 * The readings of one clock by one thread, as far as they are due: up to the
 * thread's next mark, see streams.h.  Reading @cursor is that element of the array,
 * and past @count
 *	last + (cursor - count + 1) * SHIM_STEP + skipped, but not more than @until
 * so that cursor - count readings are not in the record; unless there is @more
 * of it than fits in here, for which the supervisor is asked.
 */
struct shim_stream {
	uint64_t first;		/* byte offset in the shared memory of int64_t[count], ns; 0: ask the supervisor */
	uint64_t count;
	uint64_t cursor;	/* the next reading */
	int64_t last;		/* the last of them, or where an empty stream starts */
	int64_t until;		/* the one that follows the next mark */
	uint64_t more;
};

struct shim_slot {		/* one thread */
	struct shim_stream clock[SHIM_STREAMS];
};

struct shim_shared {
	uint32_t version, nslots;
	uint64_t size;		/* bytes of all of it */
	int64_t skipped;	/* ns of sleep that passed without being in the record */
	uint64_t pad;
	struct shim_slot slot[];
};

/*
 * Threads by fs base, goroutines (format/goroutine.h) by number with
 * SHIM_GOROUTINE: open addressing from SHIM_HASH, linear.  fsbase 0 ends
 * a search; slot_plus_1 0 is a thread that is gone (its entry may be taken).
 */
#define SHIM_THREADS 256u	/* threads of a process that the shim serves; others pay a system call */
#define SHIM_GOROUTINE (1ull << 63)
#define SHIM_HASH(fsbase) ((uint32_t)(((fsbase) * 0x9e3779b97f4a7c15ull) >> 56))
struct shim_private {
	struct shim_thread {
		uint64_t fsbase, slot_plus_1;
	} thread[SHIM_THREADS];
	uint64_t number_at;	/* of the program: struct goroutine_layout */
};
_Static_assert(sizeof(struct shim_private) <= SHIM_PRIVATE_SIZE, "the table fits");

#define SHIM_BACK_SIZE 6	/* bytes of code at each of shim_head.back */
#define SHIM_BACK_JUMP 3	/* at this one the argument is in its place again */

/* The image's first bytes. */
struct shim_head {
	uint64_t magic;		/* SHIM_MAGIC */
	uint64_t version;
	uint64_t clock_gettime, gettimeofday, time;	/* addresses */
	/*
	 * Ways back from a system call whose third, fourth or fifth argument
	 * register was changed when it was made: rcx holds what was in it, r11 where
	 * to go on.  The program knows both for lost behind a system call.
	 */
	uint64_t back[3];
};

#endif
