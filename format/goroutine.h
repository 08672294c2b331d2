/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Go's goroutines: tasks of a program that its runtime puts on threads as
 * chance has it.  Which one runs on a thread can be told from outside: where
 * Go's linker made the program alone (no C library), the word in front of the
 * thread's fs base points at its struct g, which has the goroutine's number;
 * that of the runtime's own stacks is 0.  It also has the address of the
 * function that the goroutine began with.
 */
#ifndef CAPSULE_GOROUTINE_H
#define CAPSULE_GOROUTINE_H

#include <stdint.h>

#define GOROUTINE_FS (-8)	/* where the pointer is, from the fs base */

/* Where that is in a struct g. */
struct goroutine_layout {
	uint32_t number;	/* 0: there are none */
	uint32_t begins;	/* 0: not known */
};

/* Of the program open at @fd; zeros: it is no such program, or of a version that is not known. */
struct goroutine_layout goroutine_layout(int fd);

#endif
