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
 *	             thread (by its seat) has which slot
 *	SHIM_SHARED  /dev/.capsule of the sandbox, rw-, shared: struct
 *	             shim_shared and the streams
 *
 * A thread is known by its gs base, which x86-64 programs leave to whoever
 * wants it: the supervisor sets it before the thread runs, to the address of
 * the thread's *seat* in SHIM_PRIVATE.  (Not by the fs base, which is the
 * program's: without FSGSBASE nothing can read it.)
 *
 * What the shim can't serve (a thread without a slot, a clock without a
 * stream) it passes on as a real system call, which becomes a notification.
 * Such a call carries SHIM_MAGIC as its fifth argument (the kernel ignores it,
 * seccomp_data shows it), so that the supervisor can give the thread its slot
 * and is not asked again.
 *
 * The guest may write anything into this memory: the replayer keeps its own
 * copy of all offsets and bounds and clamps every cursor it reads back.  The
 * shim itself trusts it: it has no right that the guest has not.
 */
#ifndef CAPSULE_SHIM_H
#define CAPSULE_SHIM_H

#include <stdint.h>

#define SHIM_VERSION 6
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
 * Seat 0 never has a slot: it is for who runs in another process' memory
 * (vfork), and for threads beyond the last seat.
 *
 * Goroutines (format/goroutine.h) are found by their number: open addressing
 * from SHIM_HASH, linear.  Number 0 ends a search; slot_plus_1 0 is one that
 * has none (its entry may be taken).
 */
#define SHIM_SEATS 256u		/* those of a process that the shim serves; others pay a system call */
#define SHIM_SEAT(i) (SHIM_PRIVATE + 8ull * (i))	/* the gs base */
#define SHIM_GOROUTINES 256u
#define SHIM_HASH(number) ((uint32_t)(((number) * 0x9e3779b97f4a7c15ull) >> 56))
struct shim_private {
	uint64_t seat[SHIM_SEATS];	/* slot + 1; 0: ask */
	struct shim_goroutine {
		uint64_t number, slot_plus_1;
	} goroutine[SHIM_GOROUTINES];
	uint64_t number_at;	/* of a program with goroutines: struct goroutine_layout; SHIM_ASK: nobody is served */
	uint64_t alive;		/* 1; 0: the memory is a copy, which fork made and wiped */
};
_Static_assert(sizeof(struct shim_private) <= SHIM_PRIVATE_SIZE, "the table fits");
#define SHIM_ASK (1ull << 32)	/* the program uses its gs base itself */

#define SHIM_BACK_SIZE 6	/* bytes of code at each of shim_head.back */
#define SHIM_BACK_JUMP 3	/* at this one the argument is in its place again */

/* The image's first bytes. */
struct shim_head {
	uint64_t magic;		/* SHIM_MAGIC */
	uint64_t version;
	struct shim_entries {
		uint64_t clock_gettime, gettimeofday, time;	/* addresses */
	} by_segment, by_register;	/* how the gs base is got at: with FSGSBASE (AT_HWCAP2) it can be read, and so be checked */
	/*
	 * Ways back from a system call whose third, fourth or fifth argument
	 * register was changed when it was made: rcx holds what was in it, r11 where
	 * to go on.  The program knows both for lost behind a system call.
	 */
	uint64_t back[3];
};

#endif
