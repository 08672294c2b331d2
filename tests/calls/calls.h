/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A program per row of format/syscalls.def: CALL(readv) { ... } makes that
 * call in every way that matters, says all it got, and must() get nothing
 * that no kernel gives.  A file is a family, and one recording.
 *
 * DO(readv, fd, iov, 2) is the system call itself, by its number, without libc:
 * the result, or -errno.
 */
#ifndef CAPSULE_TESTS_CALLS_H
#define CAPSULE_TESTS_CALLS_H

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

enum {
#define SYSCALL(nr, name, ...) NR_##name = nr,
#include "format/syscalls.def"
#undef SYSCALL
};

struct program {
	int nr;
	const char *name, *file;
	void (*run)(void);
};

#define CALL(call) \
	static void call_##call(void); \
	static const struct program program_##call = { NR_##call, #call, __FILE__, call_##call }; \
	static const struct program *const entry_##call __attribute__((used, no_reorder, section("programs"))) = &program_##call; \
	static void call_##call(void)

/* ---- calls ------------------------------------------------------------------- */

static inline long raw(long nr, const long a[6])
{
	register long r10 __asm__("r10") = a[3], r8 __asm__("r8") = a[4], r9 __asm__("r9") = a[5];
	long ret;

	__asm__ volatile("syscall" : "=a"(ret) : "a"(nr), "D"(a[0]), "S"(a[1]), "d"(a[2]), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return ret;
}

#define LONGS0()	0
#define LONGS1(a)	(long)(a)
#define LONGS2(a, ...)	(long)(a), LONGS1(__VA_ARGS__)
#define LONGS3(a, ...)	(long)(a), LONGS2(__VA_ARGS__)
#define LONGS4(a, ...)	(long)(a), LONGS3(__VA_ARGS__)
#define LONGS5(a, ...)	(long)(a), LONGS4(__VA_ARGS__)
#define LONGS6(a, ...)	(long)(a), LONGS5(__VA_ARGS__)
#define LONGS_(z, a, b, c, d, e, f, n, ...) n
#define LONGS(...)	LONGS_(0, ##__VA_ARGS__, LONGS6, LONGS5, LONGS4, LONGS3, LONGS2, LONGS1, LONGS0)(__VA_ARGS__)
#define DO(name, ...)	raw(NR_##name, (const long[6]){ LONGS(__VA_ARGS__) })

/* ---- what came of it ------------------------------------------------------------ */

/* One line, "call: ...". */
void say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* Bytes, quoted, with their number. */
void show(const char *what, const void *data, long len);

void wrong(const char *file, int line, const char *what, long got) __attribute__((noreturn));
#define must(cond)	((cond) ? (void)0 : wrong(__FILE__, __LINE__, #cond, -errno))
/* Succeeds: its result. */
#define ok(call)	must_work(__FILE__, __LINE__, #call, call)
/* Fails so, and says it. */
#define fails(error, call) must_fail(__FILE__, __LINE__, #call, error, call)
/* Fails so, or succeeds, as the machine is: says which. */
#define may(error, call) may_fail(__FILE__, __LINE__, #call, error, call)
long must_work(const char *file, int line, const char *what, long ret);
void must_fail(const char *file, int line, const char *what, int error, long ret);
long may_fail(const char *file, int line, const char *what, int error, long ret);
const char *error_name(long ret);

/* ---- things to make calls with ------------------------------------------------------ */

/* In a process of its own: its wait status. A failure in there is one here. */
int in_child(void (*run)(void));
/* Its file for this call, created or emptied, with @text in it; open for reading and writing. */
int scratch(const char *text);
const char *scratch_path(void);

/*
 * tests/peer.py, outside: a stream, a datagram socket connected to it, or a
 * unix socket of that type.  ask() makes it do something, see there.
 */
int peer_stream(void);
int peer_datagram(void);
int peer_unix(int type);
void ask(int fd, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Until @fd has something to be read. */
void wait_for(int fd);
uint16_t peer_port(void);

#endif
