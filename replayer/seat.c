/* SPDX-License-Identifier: Apache-2.0 */
#include "replayer/seat.h"

#include "preload/shim.h"

#include <errno.h>
#include <stddef.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/user.h>

#define PLACE(member) (SHIM_PRIVATE + offsetof(struct shim_private, member))

static int put(pid_t pid, uint64_t addr, uint64_t value)
{
	struct iovec from = { &value, sizeof(value) }, to = { (void *)addr, sizeof(value) };
	ssize_t n = process_vm_writev(pid, &from, 1, &to, 1, 0);

	if (n < 0)
		return errno == EFAULT ? -ENOENT : -errno;
	return n == sizeof(value) ? 0 : -ENOENT;
}

static int get(pid_t pid, uint64_t addr, void *buf, size_t len)
{
	struct iovec to = { buf, len }, from = { (void *)addr, len };
	ssize_t n = process_vm_readv(pid, &to, 1, &from, 1, 0);

	if (n < 0)
		return errno == EFAULT ? -ENOENT : -errno;
	return (size_t)n == len ? 0 : -ENOENT;
}

int seat_take(pid_t tid, uint32_t seat)
{
	const size_t at = offsetof(struct user_regs_struct, gs_base);

	return ptrace(PTRACE_POKEUSER, tid, (void *)at, (void *)SHIM_SEAT(seat)) < 0 ? -errno : 0;
}

int seat_serve(pid_t pid, uint32_t seat, uint64_t slot_plus_1)
{
	return put(pid, SHIM_SEAT(seat), slot_plus_1);
}

int seat_copied(pid_t pid)
{
	uint64_t alive;
	int rc = get(pid, PLACE(alive), &alive, sizeof(alive));

	if (rc < 0 || alive)
		return rc;
	rc = put(pid, PLACE(alive), 1);
	return rc < 0 ? rc : 1;
}

int seat_goroutines(pid_t pid, uint32_t number_at)
{
	return put(pid, PLACE(number_at), number_at);
}

int seat_none(pid_t pid)
{
	return put(pid, PLACE(number_at), SHIM_ASK);
}

/* Where @number is, or belongs; or the place of another one. */
static uint32_t place_of(const struct shim_goroutine *table, uint32_t number)
{
	uint32_t first = SHIM_HASH(number), i = first, gone = SHIM_GOROUTINES;

	for (uint32_t n = 0; n < SHIM_GOROUTINES; n++, i = (i + 1) % SHIM_GOROUTINES) {
		if (table[i].number == number)
			return i;
		if (!table[i].number)
			return gone < SHIM_GOROUTINES ? gone : i;
		if (!table[i].slot_plus_1 && gone == SHIM_GOROUTINES)
			gone = i;
	}
	return gone < SHIM_GOROUTINES ? gone : first;
}

/* The slot last: until then the entry gives nobody anything. */
int seat_goroutine(pid_t pid, uint32_t number, uint64_t slot_plus_1)
{
	struct shim_goroutine table[SHIM_GOROUTINES];
	int rc = get(pid, PLACE(goroutine), table, sizeof(table));
	uint64_t addr;
	uint32_t i;

	if (rc < 0)
		return rc;
	i = place_of(table, number);
	addr = PLACE(goroutine) + i * sizeof(table[0]);
	if (table[i].number != number) {
		rc = put(pid, addr + offsetof(struct shim_goroutine, slot_plus_1), 0);
		if (rc == 0)
			rc = put(pid, addr + offsetof(struct shim_goroutine, number), number);
	}
	return rc < 0 ? rc : put(pid, addr + offsetof(struct shim_goroutine, slot_plus_1), slot_plus_1);
}

bool seat_marked(const uint64_t args[6])
{
	return args[4] == SHIM_MAGIC;
}
