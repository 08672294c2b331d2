/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The supervisor's side of the shim's seats (preload/shim.h): whose clock
 * readings a thread of a guest gets without asking.
 *
 * @pid is a process that has the shim; the task in question must not be
 * running: it waits in a notification or a ptrace stop.  All return 0 or, if
 * not said otherwise, -ENOENT (no shim there) or what the system said.
 */
#ifndef CAPSULE_SEAT_H
#define CAPSULE_SEAT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* @tid, in a ptrace stop, has this seat from now on (its gs base). Who is born has its creator's until then. */
int seat_take(pid_t tid, uint32_t seat);
/* Who has @seat in @pid gets the readings of slot @slot_plus_1 - 1; 0: asks for each. */
int seat_serve(pid_t pid, uint32_t seat, uint64_t slot_plus_1);
/*
 * Process @pid is in its first stop.  1: its memory is a copy of its creator's,
 * and so are its seats, which are empty now.  0: it is the same memory (vfork).
 */
int seat_copied(pid_t pid);

/* The program of @pid has goroutines, with their numbers there. Only when its thread has a fs base. */
int seat_goroutines(pid_t pid, uint32_t number_at);
/* As seat_serve(), for a goroutine. Most of them are gone, and nobody tells: with no room left another one asks again. */
int seat_goroutine(pid_t pid, uint32_t number, uint64_t slot_plus_1);
/* The program of @pid uses gs itself: from now on all its threads ask. */
int seat_none(pid_t pid);

/* The call comes from the shim: its thread has no slot yet. @args: of struct seccomp_data. */
bool seat_marked(const uint64_t args[6]);

#endif
