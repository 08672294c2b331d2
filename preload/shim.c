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
 *
 * The thread is found by its fs base, so the CPU and the kernel must allow
 * rdfsbase (AT_HWCAP2); the injector looks.
 */
#include "preload/shim.h"

#include "format/goroutine.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <time.h>
#include <sys/time.h>

#define NS_PER_SEC 1000000000ull

int shim_clock_gettime(uint64_t clk, struct timespec *ts);
int shim_gettimeofday(struct timeval *tv, struct timezone *tz);
time_t shim_time(time_t *t);

/* Three bytes and three each. */
__asm__(".text\n"
	"shim_back_rdx:	mov %rcx, %rdx\n	jmp *%r11\n"
	"shim_back_r10:	mov %rcx, %r10\n	jmp *%r11\n"
	"shim_back_r8:	mov %rcx, %r8\n	jmp *%r11\n");
extern const char shim_back_rdx[], shim_back_r10[], shim_back_r8[];

extern const struct shim_head shim_head;
const struct shim_head shim_head __attribute__((section(".head"), used)) = {
	.magic = SHIM_MAGIC,
	.version = SHIM_VERSION,
	.clock_gettime = (uint64_t)shim_clock_gettime,
	.gettimeofday = (uint64_t)shim_gettimeofday,
	.time = (uint64_t)shim_time,
	.back = { (uint64_t)shim_back_rdx, (uint64_t)shim_back_r10, (uint64_t)shim_back_r8 },
};

static inline uint64_t fs_base(void)
{
	uint64_t fs;

	__asm__ volatile("rdfsbase %0" : "=r"(fs));
	return fs;
}

static inline long ask(long nr, uint64_t a, uint64_t b, uint64_t fs)
{
	register uint64_t r8 __asm__("r8") = SHIM_MAGIC;
	register uint64_t r9 __asm__("r9") = fs;
	long ret;

	__asm__ volatile("syscall"
			 : "=a"(ret)
			 : "0"(nr), "D"(a), "S"(b), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return ret;
}

/* Whose readings: the goroutine's that runs on the thread, if one does. */
static inline uint64_t reader(uint64_t fs)
{
	const struct shim_private *priv = (const struct shim_private *)SHIM_PRIVATE;
	uint64_t g;
	uint32_t number;

	if (__builtin_expect(!priv->number_at, 1))
		return fs;
	g = *(const uint64_t *)(fs + GOROUTINE_FS);
	number = g ? *(const uint32_t *)(g + priv->number_at) : 0;
	return number ? number | SHIM_GOROUTINE : fs;
}

/* The calling thread's stream of @clk, or NULL where the thread has no slot. */
static inline struct shim_stream *find(uint64_t fs, uint32_t clk)
{
	const struct shim_private *priv = (const struct shim_private *)SHIM_PRIVATE;
	struct shim_shared *shared = (struct shim_shared *)SHIM_SHARED;
	uint32_t i = SHIM_HASH(fs);
	uint64_t slot;

	for (uint32_t n = 0; priv->thread[i].fsbase != fs; n++) {
		if (!priv->thread[i].fsbase || n == SHIM_THREADS)
			return NULL;
		i = (i + 1) % SHIM_THREADS;
	}
	slot = *(const volatile uint64_t *)&priv->thread[i].slot_plus_1;
	if (slot == 0 || slot > shared->nslots)
		return NULL;
	return &shared->slot[slot - 1].clock[clk];
}

static inline bool reading(uint64_t fs, uint32_t clk, uint64_t *ns)
{
	struct shim_stream *s;
	uint64_t at = 1;

	if (!fs)
		return false;
	s = find(reader(fs), clk);
	if (!s || !s->first)
		return false;
	__asm__ volatile("xaddq %0, %1" : "+r"(at), "+m"(s->cursor) : : "cc");
	if (at < s->count) {
		*ns = *(const uint64_t *)(SHIM_SHARED + s->first + 8 * at);
		return true;
	}
	if (s->more)
		return false;
	*ns = (uint64_t)s->last + (at - s->count + 1) * SHIM_STEP +
	      (uint64_t)((const struct shim_shared *)SHIM_SHARED)->skipped;
	if ((int64_t)*ns > s->until)
		*ns = (uint64_t)s->until;
	return true;
}

int shim_clock_gettime(uint64_t clk, struct timespec *ts)
{
	const uint64_t fs = fs_base();
	uint64_t ns;

	if (__builtin_expect(!ts || (uint32_t)clk >= SHIM_CLOCKS || !reading(fs, (uint32_t)clk, &ns), 0))
		return (int)ask(SYS_clock_gettime, (uint32_t)clk, (uint64_t)ts, fs);
	ts->tv_sec = (time_t)(ns / NS_PER_SEC);
	ts->tv_nsec = (long)(ns % NS_PER_SEC);
	return 0;
}

int shim_gettimeofday(struct timeval *tv, struct timezone *tz)
{
	const uint64_t fs = fs_base();
	uint64_t ns;

	if (__builtin_expect(!tv || !reading(fs, CLOCK_REALTIME, &ns), 0))
		return (int)ask(SYS_gettimeofday, (uint64_t)tv, (uint64_t)tz, fs);
	tv->tv_sec = (time_t)(ns / NS_PER_SEC);
	tv->tv_usec = (suseconds_t)(ns % NS_PER_SEC / 1000);
	if (tz) {	/* the kernel's own, which nothing sets: zero */
		tz->tz_minuteswest = 0;
		tz->tz_dsttime = 0;
	}
	return 0;
}

time_t shim_time(time_t *t)
{
	const uint64_t fs = fs_base();
	uint64_t ns;

	if (__builtin_expect(!reading(fs, SHIM_SECONDS, &ns), 0))
		return ask(SYS_time, (uint64_t)t, 0, fs);
	if (t)
		*t = (time_t)(ns / NS_PER_SEC);
	return (time_t)(ns / NS_PER_SEC);
}
