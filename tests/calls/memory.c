/* SPDX-License-Identifier: Apache-2.0 */
/* Memory. */
#include "tests/calls/calls.h"

#include <linux/membarrier.h>
#include <linux/mempolicy.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <sys/wait.h>

#define PAGE 4096

/* @n pages of its own, readable and writable. */
static char *pages(int n)
{
	char *p = mmap(NULL, n * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	must(p != MAP_FAILED);
	return p;
}

CALL(mmap)
{
	int fd = scratch("in a mapped file"), ends[2];
	char *p = (char *)ok(DO(mmap, NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));

	show("file", p, 16);
	p[0] = 'I';
	must(pread(fd, p + 20, 1, 0) == 1 && p[20] == 'I');
	p = (char *)ok(DO(mmap, NULL, 3 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	must(p[0] == 0 && p[3 * PAGE - 1] == 0);
	say("at %p", (void *)p);
	must(DO(mmap, p, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == (long)p);
	fails(EEXIST, DO(mmap, p, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0));
	fails(EINVAL, DO(mmap, NULL, 0, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	fails(EBADF, DO(mmap, NULL, PAGE, PROT_READ, MAP_PRIVATE, -1, 0));
	fails(EACCES, DO(mmap, NULL, PAGE, PROT_WRITE, MAP_SHARED, open(scratch_path(), O_RDONLY), 0));
	must(pipe(ends) == 0);
	fails(ENODEV, DO(mmap, NULL, PAGE, PROT_READ, MAP_PRIVATE, ends[0], 0));
}

CALL(mprotect)
{
	char *p = pages(2);

	ok(DO(mprotect, p, PAGE, PROT_READ));
	fails(EFAULT, DO(read, 0, p, 1));
	fails(EINVAL, DO(mprotect, p + 1, PAGE, PROT_READ));
	fails(ENOMEM, DO(mprotect, 0x10000, PAGE, PROT_READ));
}

CALL(munmap)
{
	char *p = pages(2);

	ok(DO(munmap, p, 2 * PAGE));
	fails(ENOMEM, DO(mprotect, p, PAGE, PROT_READ));
	fails(EINVAL, DO(munmap, p + 1, PAGE));
}

CALL(brk)
{
	long end = DO(brk, 0), more = DO(brk, end + 3 * PAGE);

	must(end > PAGE && more == end + 3 * PAGE);
	*(char *)(more - 1) = 1;
	must(DO(brk, 1) == more && DO(brk, end) == end);
	say("end %lx", end);
}

CALL(mremap)
{
	char *p = pages(4);

	strcpy(p, "moves along");
	must(DO(mremap, p, 4 * PAGE, PAGE, 0, NULL) == (long)p);
	p = (char *)ok(DO(mremap, p, PAGE, 40 * PAGE, MREMAP_MAYMOVE, NULL));
	show("content", p, 11);
	fails(EFAULT, DO(mremap, 0x10000, PAGE, 2 * PAGE, MREMAP_MAYMOVE, NULL));
	fails(EINVAL, DO(mremap, p, PAGE, PAGE, 0x4000, NULL));
}

CALL(msync)
{
	int fd = scratch("old content");
	char *p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), buf[20];

	memcpy(p, "new", 3);
	ok(DO(msync, p, PAGE, MS_SYNC));
	show("file", buf, pread(fd, buf, 11, 0));
	fails(EINVAL, DO(msync, p, PAGE, MS_SYNC | MS_ASYNC));
	fails(ENOMEM, DO(msync, 0x10000, PAGE, MS_SYNC));
}

CALL(mincore)
{
	unsigned char in[2] = { 9, 9 };
	char *p = pages(2);

	p[0] = 1;
	ok(DO(mincore, p, 2 * PAGE, in));
	must((in[0] & 1) == 1 && (in[1] & 1) == 0);
	fails(ENOMEM, DO(mincore, 0x10000, PAGE, in));
	fails(EINVAL, DO(mincore, p + 1, PAGE, in));
}

CALL(madvise)
{
	char *p = pages(2);

	p[0] = 1;
	ok(DO(madvise, p, PAGE, MADV_DONTNEED));
	must(p[0] == 0);
	fails(EINVAL, DO(madvise, p, PAGE, 9999));
	fails(ENOMEM, DO(madvise, 0x10000, PAGE, MADV_NORMAL));
}

CALL(process_madvise)
{
	char *p = pages(1);
	struct iovec iov = { p, PAGE };
	int pidfd = (int)DO(pidfd_open, getpid(), 0);

	must(DO(process_madvise, pidfd, &iov, 1, MADV_COLD, 0) == PAGE);
	fails(EBADF, DO(process_madvise, -1, &iov, 1, MADV_COLD, 0));
	fails(EINVAL, DO(process_madvise, pidfd, &iov, 1, MADV_COLD, 1));
}

CALL(remap_file_pages)
{
	char *p = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	strcpy(p + PAGE, "second page");
	ok(DO(remap_file_pages, p, PAGE, 0, 1, 0));
	show("first", p, 11);
	fails(EINVAL, DO(remap_file_pages, p, PAGE, 7, 1, 0));
}

CALL(mlock)
{
	char *p = pages(2);

	ok(DO(mlock, p, PAGE));
	fails(ENOMEM, DO(mlock, 0x10000, PAGE));
}

CALL(mlock2)
{
	char *p = pages(2);

	ok(DO(mlock2, p, PAGE, 1));	/* MLOCK_ONFAULT */
	fails(EINVAL, DO(mlock2, p, PAGE, 77));
}

CALL(mlockall)
{
	fails(EINVAL, DO(mlockall, 0));
	ok(DO(mlockall, MCL_CURRENT | MCL_ONFAULT));
	must(munlockall() == 0);
}

CALL(munlock)
{
	ok(DO(munlock, pages(2), PAGE));
	fails(ENOMEM, DO(munlock, 0x10000, PAGE));
}

CALL(munlockall)
{
	ok(DO(munlockall));
	say("done");
}

CALL(pkey_alloc)
{
	long key = DO(pkey_alloc, 0, 0);

	must(key > 0 || key == -ENOSPC || key == -EINVAL);	/* not every processor has them */
	fails(EINVAL, DO(pkey_alloc, 1, 0));
}

CALL(pkey_free)
{
	long r = DO(pkey_free, DO(pkey_alloc, 0, 0));

	must(r == 0 || r == -EINVAL);
	fails(EINVAL, DO(pkey_free, 77));
}

CALL(pkey_mprotect)
{
	ok(DO(pkey_mprotect, pages(1), PAGE, PROT_READ, -1));
	fails(EINVAL, DO(pkey_mprotect, pages(1), PAGE, PROT_READ, 15));
}

CALL(map_shadow_stack)
{
	long r = DO(map_shadow_stack, 0, PAGE, 77);

	must(r == -EINVAL || r == -EOPNOTSUPP || r == -ENOSYS);
	say("refused");
}

CALL(mseal)
{
	char *p = pages(1);

	ok(DO(mseal, p, PAGE, 0));
	fails(EPERM, DO(munmap, p, PAGE));
	fails(EINVAL, DO(mseal, p, PAGE, 1));
	fails(ENOMEM, DO(mseal, 0x10000, PAGE, 0));
}

CALL(membarrier)
{
	must(ok(DO(membarrier, MEMBARRIER_CMD_QUERY, 0, 0)) & MEMBARRIER_CMD_PRIVATE_EXPEDITED);
	ok(DO(membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0));
	ok(DO(membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0));
	fails(EINVAL, DO(membarrier, 9999, 0, 0));
}

/* A kernel without memory nodes has none of these. */
static void node_call(long good, long bad)
{
	must(good == 0 || good == -ENOSYS);
	must(bad < 0 && bad >= -ENOSYS * 4);
	say("%s, %s", error_name(good), error_name(bad));
}

CALL(mbind)
{
	char *p = pages(1);

	node_call(DO(mbind, p, PAGE, MPOL_DEFAULT, NULL, 0, 0), DO(mbind, p, PAGE, 77, NULL, 0, 0));
}

CALL(set_mempolicy)
{
	node_call(DO(set_mempolicy, MPOL_DEFAULT, NULL, 0), DO(set_mempolicy, 77, NULL, 0));
}

CALL(get_mempolicy)
{
	int mode = -1;

	node_call(DO(get_mempolicy, &mode, NULL, 0, NULL, 0), DO(get_mempolicy, &mode, NULL, 0, NULL, 77));
}

CALL(set_mempolicy_home_node)
{
	long r = DO(set_mempolicy_home_node, pages(1), PAGE, 0, 77);

	must(r == -EINVAL || r == -ENOSYS);
	say("%s", error_name(r));
}

CALL(migrate_pages)
{
	unsigned long nodes = 1;

	node_call(DO(migrate_pages, 0, 2, &nodes, &nodes), DO(migrate_pages, 4000000, 2, &nodes, &nodes));
}

CALL(move_pages)
{
	char *p = pages(1);
	void *page[1] = { p };
	int status = 99;

	p[0] = 1;
	node_call(DO(move_pages, 0, 1, page, NULL, &status, 0), DO(move_pages, 0, 1, page, NULL, &status, 99));
	must(status == 99 || status == 0);
}

CALL(process_mrelease)
{
	int pidfd = (int)DO(pidfd_open, getpid(), 0);

	fails(EINVAL, DO(process_mrelease, pidfd, 0));	/* it is not dying */
	fails(EBADF, DO(process_mrelease, -1, 0));
	fails(EINVAL, DO(process_mrelease, pidfd, 1));
}
