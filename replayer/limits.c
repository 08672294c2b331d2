/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How much the guest may take of this machine: tasks, memory.  (Disk, file
 * size and processor time are the kernel's to limit, see sandbox.c.)  Every
 * fork passes by the supervisor, so it counts, for root's guests too, which
 * no RLIMIT_NPROC holds.  Memory is looked at from time to time, and the guest
 * is the first that the kernel ends where the machine's is used up before.
 */
#include <linux/types.h>

#include "replayer/replay.h"

#include "format/cleanup.h"
#include "format/io.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { USUAL_TASKS = 1000 };
#define LOOK_NS 100000000ull	/* at the memory; less often where looking takes long */

bool limits_forbid_task(struct replay *r)
{
	uint64_t most = r->opts->max_tasks ? r->opts->max_tasks : USUAL_TASKS + (uint64_t)r->rec->ntasks, n = 0;

	for (const struct gtask *t = r->tasks; t; t = t->next)
		n += !t->exited;
	if (n < most)
		return false;
	miss(r, "a task more than the %llu that may be at once (--max-tasks)", (unsigned long long)most);
	return true;
}

/* Pages of its own that @pid has in memory; less than the whole truth where processes share them. */
static uint64_t own_pages(pid_t pid)
{
	unsigned long size, resident, shared;
	char path[64], text[128];
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/statm", pid);
	_cleanup_fd_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : io_read(fd, text, sizeof(text) - 1);
	if (n <= 0)
		return 0;
	text[n] = 0;
	return sscanf(text, "%lu %lu %lu", &size, &resident, &shared) == 3 && resident > shared ? resident - shared : 0;
}

/* Its part of what it shares with others, too: exact, and slow. */
static uint64_t share_bytes(pid_t pid)
{
	char path[64];
	unsigned long kib = 0;
	_cleanup_free_ char *text = NULL;
	const char *at;

	snprintf(path, sizeof(path), "/proc/%d/smaps_rollup", pid);
	if (io_slurp(path, 1 << 16, &text, NULL) < 0 || !(at = strstr(text, "Pss_Anon:")) || sscanf(at, "Pss_Anon: %lu", &kib) != 1)
		return own_pages(pid) * (uint64_t)sysconf(_SC_PAGESIZE);
	return (uint64_t)kib * 1024;
}

static uint64_t sum(const struct replay *r, uint64_t (*of)(pid_t))
{
	uint64_t n = 0;

	for (const struct gtask *t = r->tasks; t; t = t->next)
		if (!t->exited && t->tid == t->tgid)
			n += of(t->tgid);
	return n;
}

bool limits_exceeded(struct replay *r)
{
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE), most = r->opts->max_memory, start = now_ns(), took;
	bool exceeded;

	if (start < r->next_look)
		return false;
	if (!most)
		most = (uint64_t)sysconf(_SC_PHYS_PAGES) / 4 * 3 * page;
	exceeded = sum(r, own_pages) * page > most && sum(r, share_bytes) > most;
	took = now_ns() - start;
	r->next_look = start + (20 * took > LOOK_NS ? 20 * took : LOOK_NS);
	return exceeded;
}
