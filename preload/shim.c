/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The shim: what the guest runs instead of the vDSO's clock_gettime,
 * gettimeofday and time.  See shim.h.
 *
 * No libc, no SSE, no writable data, hardly any stack: it is called with the
 * vDSO's conventions, from any runtime, on any stack, also from signal
 * handlers.  Hence the cursor is moved by one xadd: a handler that interrupts
 * the thread and reads the same clock gets the next reading, not the same.
 * No lock prefix: a slot belongs to one thread.
 */
#include "preload/shim.h"

#include "format/goroutine.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <time.h>
#include <sys/time.h>

#define NS_PER_SEC 1000000000ull

/* Three bytes and three each. */
__asm__(".text\n"
	"shim_back_rdx:	mov %rcx, %rdx\n	jmp *%r11\n"
	"shim_back_r10:	mov %rcx, %r10\n	jmp *%r11\n"
	"shim_back_r8:	mov %rcx, %r8\n	jmp *%r11\n");
extern const char shim_back_rdx[], shim_back_r10[], shim_back_r8[];

static inline long ask(long nr, uint64_t a, uint64_t b)
{
	register uint64_t r8 __asm__("r8") = SHIM_MAGIC;
	long ret;

	__asm__ volatile("syscall" : "=a"(ret) : "0"(nr), "D"(a), "S"(b), "r"(r8) : "rcx", "r11", "memory");
	return ret;
}

/*
 * What is in the calling thread's seat.  Where a program can change its gs base
 * behind the kernel's back, it may be anything; where it can't, the
 * supervisor has heard of it (SHIM_ASK, which is looked at first).
 */
static inline uint64_t seat(bool by_register)
{
	uint64_t gs, slot;

	if (!by_register) {
		__asm__ volatile("movq %%gs:0, %0" : "=r"(slot));
		return slot;
	}
	__asm__ volatile("rdgsbase %0" : "=r"(gs));
	if (gs - SHIM_PRIVATE > sizeof(((struct shim_private *)NULL)->seat) - sizeof(uint64_t))
		return 0;
	return *(const volatile uint64_t *)gs;
}

/* The number of the goroutine that runs on the thread; 0: none does. */
static inline uint32_t goroutine(uint64_t number_at)
{
	uint64_t g;

	__asm__ volatile("movq %%fs:%c1, %0" : "=r"(g) : "i"(GOROUTINE_FS));
	return g ? *(const uint32_t *)(g + number_at) : 0;
}

static inline uint64_t goroutine_slot(uint32_t number)
{
	const struct shim_private *priv = (const struct shim_private *)SHIM_PRIVATE;
	uint32_t i = SHIM_HASH(number);

	for (uint32_t n = 0; priv->goroutine[i].number != number; n++) {
		if (!priv->goroutine[i].number || n == SHIM_GOROUTINES)
			return 0;
		i = (i + 1) % SHIM_GOROUTINES;
	}
	return *(const volatile uint64_t *)&priv->goroutine[i].slot_plus_1;
}

/* Whose readings: the goroutine's that runs on the thread, if one does. 1 + the slot; 0: the supervisor knows. */
static inline uint64_t reader(bool by_register)
{
	const uint64_t number_at = ((const volatile struct shim_private *)SHIM_PRIVATE)->number_at;
	uint32_t number;

	if (__builtin_expect(!number_at, 1))
		return seat(by_register);
	if (number_at >= SHIM_ASK)
		return 0;
	number = goroutine(number_at);
	return number ? goroutine_slot(number) : seat(by_register);
}

static inline bool reading(bool by_register, uint32_t clk, uint64_t *ns)
{
	struct shim_shared *shared = (struct shim_shared *)SHIM_SHARED;
	const uint64_t slot = reader(by_register);
	struct shim_stream *s;
	uint64_t at = 1;

	if (slot == 0 || slot > shared->nslots)
		return false;
	s = &shared->slot[slot - 1].clock[clk];
	if (!s->first)
		return false;
	__asm__ volatile("xaddq %0, %1" : "+r"(at), "+m"(s->cursor) : : "cc");
	if (at < s->count) {
		*ns = *(const uint64_t *)(SHIM_SHARED + s->first + 8 * at);
		return true;
	}
	if (s->more)
		return false;
	*ns = (uint64_t)s->last + (at - s->count + 1) * SHIM_STEP + (uint64_t)shared->skipped;
	if ((int64_t)*ns > s->until)
		*ns = (uint64_t)s->until;
	return true;
}

static inline int read_clock(bool by_register, uint64_t clk, struct timespec *ts)
{
	uint64_t ns;

	if (__builtin_expect(!ts || (uint32_t)clk >= SHIM_CLOCKS || !reading(by_register, (uint32_t)clk, &ns), 0))
		return (int)ask(SYS_clock_gettime, (uint32_t)clk, (uint64_t)ts);
	ts->tv_sec = (time_t)(ns / NS_PER_SEC);
	ts->tv_nsec = (long)(ns % NS_PER_SEC);
	return 0;
}

static inline int read_day(bool by_register, struct timeval *tv, struct timezone *tz)
{
	uint64_t ns;

	if (__builtin_expect(!tv || !reading(by_register, CLOCK_REALTIME, &ns), 0))
		return (int)ask(SYS_gettimeofday, (uint64_t)tv, (uint64_t)tz);
	tv->tv_sec = (time_t)(ns / NS_PER_SEC);
	tv->tv_usec = (suseconds_t)(ns % NS_PER_SEC / 1000);
	if (tz) {	/* the kernel's own, which nothing sets: zero */
		tz->tz_minuteswest = 0;
		tz->tz_dsttime = 0;
	}
	return 0;
}

static inline time_t read_seconds(bool by_register, time_t *t)
{
	uint64_t ns;

	if (__builtin_expect(!reading(by_register, SHIM_SECONDS, &ns), 0))
		return ask(SYS_time, (uint64_t)t, 0);
	if (t)
		*t = (time_t)(ns / NS_PER_SEC);
	return (time_t)(ns / NS_PER_SEC);
}

#define ENTRIES(how, by_register) \
	static int clock_gettime_##how(uint64_t clk, struct timespec *ts) { return read_clock(by_register, clk, ts); } \
	static int gettimeofday_##how(struct timeval *tv, struct timezone *tz) { return read_day(by_register, tv, tz); } \
	static time_t time_##how(time_t *t) { return read_seconds(by_register, t); }
ENTRIES(by_segment, false)
ENTRIES(by_register, true)
#define ADDRESSES(how) { (uint64_t)clock_gettime_##how, (uint64_t)gettimeofday_##how, (uint64_t)time_##how }

extern const struct shim_head shim_head;
const struct shim_head shim_head __attribute__((section(".head"), used)) = {
	.magic = SHIM_MAGIC,
	.version = SHIM_VERSION,
	.by_segment = ADDRESSES(by_segment),
	.by_register = ADDRESSES(by_register),
	.back = { (uint64_t)shim_back_rdx, (uint64_t)shim_back_r10, (uint64_t)shim_back_r8 },
};
