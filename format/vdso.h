/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The vDSO of another process: where its entry points are, and code over them.
 *
 * Sources: vdso(7), getauxval(3), the ELF gABI (DT_HASH) and GNU's DT_GNU_HASH.
 * The image is read from a process that may have changed it: every offset and
 * count in it is checked.  Addresses are the process's.
 *
 * Only for a process that executes nothing meanwhile, or has no thread whose
 * pc is inside the vDSO.
 */
#ifndef CAPSULE_VDSO_H
#define CAPSULE_VDSO_H

#include "format/err.h"

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum vdso_entry {
	VDSO_CLOCK_GETTIME,
	VDSO_GETTIMEOFDAY,
	VDSO_TIME,
	VDSO_CLOCK_GETRES,
	VDSO_GETCPU,
	VDSO_GETRANDOM,
	VDSO_N
};

#define VDSO_MAX_SIZE (64u << 10)	/* bytes looked at; the largest known has 16 KiB */
#define VDSO_STUB 8			/* bytes of a stub */

struct vdso_map {
	uint64_t base, size;	/* of the image as far as it is loaded; 0: the process has none */
	uint64_t text, text_size;	/* its executable segment */
	uint64_t at_random;	/* address of the 16 bytes; 0: none */
	uint64_t hwcap2;	/* AT_HWCAP2 */
	struct {
		uint64_t addr;	/* 0: not there */
		uint64_t size;	/* bytes that may be overwritten */
	} entry[VDSO_N];
};

/*
 * Reads the auxiliary vector and the vDSO of @pid, whose memory is @mem (vdso_open()).  ENOENT: it has no vDSO,
 * or not an x86-64 one (vdso=0, a 32-bit program); then at_random and hwcap2
 * may still be set in @ret.  EBADMSG: not an image that can be understood.
 * Otherwise the system's error: ESRCH, EACCES, EIO (it is gone).
 */
int vdso_find(pid_t pid, int mem, struct vdso_map *ret, struct err *err);

/* The same for an image in memory; entries as @base + offset. Sets base, size, text and entry[] of @ret. */
int vdso_parse(const void *image, size_t len, uint64_t base, struct vdso_map *ret, struct err *err);

/* "clock_gettime", ... and the number of the system call behind it. */
const char *vdso_name(enum vdso_entry e);
unsigned int vdso_number(enum vdso_entry e);

/* An fd of /proc/PID/mem, read-write, or -errno. */
int vdso_open(pid_t pid);
/* Copy between us and the process behind @mem, read-only mappings included. All of it, or -errno. */
int vdso_read(int mem, uint64_t addr, void *buf, size_t len);
int vdso_write(int mem, uint64_t addr, const void *buf, size_t len);

/* Code for the start of entry @e: makes the system call; getrandom's says ENOSYS, so that callers make it themselves. */
void vdso_stub(enum vdso_entry e, uint8_t code[VDSO_STUB]);
/* Puts the stub over every entry that is there. @n (may be NULL): how many. */
int vdso_redirect_to_syscalls(int mem, const struct vdso_map *map, unsigned int *n, struct err *err);

#endif
