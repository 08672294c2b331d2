/* SPDX-License-Identifier: Apache-2.0 */
#include <linux/types.h>

#include "replayer/memory.h"

#include "format/cleanup.h"
#include "format/sysdesc.h"
#include "replayer/recording.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

int guest_read(pid_t tid, uint64_t addr, void *buf, size_t len)
{
	struct iovec here = { buf, len }, there = { (void *)addr, len };
	ssize_t n;

	if (!len)
		return 0;
	n = process_vm_readv(tid, &here, 1, &there, 1, 0);
	if (n < 0)
		return -errno;
	return (size_t)n == len ? 0 : -EFAULT;
}

int guest_write(pid_t tid, uint64_t addr, const void *buf, size_t len)
{
	struct iovec here = { (void *)buf, len }, there = { (void *)addr, len };
	ssize_t n;

	if (!len)
		return 0;
	n = process_vm_writev(tid, &here, 1, &there, 1, 0);
	if (n < 0)
		return -errno;
	return (size_t)n == len ? 0 : -EFAULT;
}

static int read_iov(pid_t tid, uint64_t addr, uint64_t count, struct guest_iov *ret)
{
	int e;

	if (count > sizeof(ret->v) / sizeof(ret->v[0]))
		return -EINVAL;		/* UIO_MAXIOV, as the kernel has it */
	e = guest_read(tid, addr, ret->v, count * sizeof(ret->v[0]));
	if (e < 0)
		return e;
	ret->n = count;
	for (size_t i = 0; i < ret->n; i++) {
		if (ret->v[i].iov_len > SC_MAX_RW - ret->total)
			ret->v[i].iov_len = SC_MAX_RW - ret->total;
		ret->total += ret->v[i].iov_len;
	}
	return 0;
}

static int read_msg(pid_t tid, uint64_t addr, struct guest_iov *ret, uint64_t *msghdr)
{
	struct msghdr h;
	int e = guest_read(tid, addr, &h, sizeof(h));

	if (e < 0)
		return e;
	if (msghdr)
		*msghdr = addr;
	return read_iov(tid, (uint64_t)h.msg_iov, h.msg_iovlen, ret);
}

int guest_iov_of(pid_t tid, unsigned int nr, const uint64_t args[6], unsigned int index, struct guest_iov *ret,
		 uint64_t *msghdr)
{
	int arg = call_payload_arg(nr);
	const struct sc_arg *a;

	ret->n = ret->total = 0;
	if (msghdr)
		*msghdr = 0;
	if (arg < 0)
		return -EINVAL;
	a = &sc_table[nr].arg[arg];
	switch (a->kind) {
	case SC_IOV:
		return read_iov(tid, args[arg], args[arg + 1], ret);
	case SC_MSG:
		return read_msg(tid, args[arg], ret, msghdr);
	case SC_MMSG:
		return read_msg(tid, args[arg] + index * sizeof(struct mmsghdr), ret, msghdr);
	default:
		ret->v[0] = (struct iovec){ (void *)args[arg], args[arg + 1] };
		if (ret->v[0].iov_len > SC_MAX_RW)
			ret->v[0].iov_len = SC_MAX_RW;
		ret->n = 1;
		ret->total = ret->v[0].iov_len;
		return 0;
	}
}

int guest_gather(pid_t tid, const struct guest_iov *iov, size_t max, uint8_t **data, size_t *len)
{
	size_t want = iov->total < max ? iov->total : max, done = 0;

	_cleanup_free_ uint8_t *buf = malloc(want ? want : 1);
	if (!buf)
		return -ENOMEM;
	for (size_t i = 0; i < iov->n && done < want; i++) {
		size_t n = iov->v[i].iov_len < want - done ? iov->v[i].iov_len : want - done;
		int e = guest_read(tid, (uint64_t)iov->v[i].iov_base, buf + done, n);

		if (e < 0)
			return e;
		done += n;
	}
	*data = TAKE_PTR(buf);
	*len = done;
	return 0;
}

ssize_t guest_scatter(pid_t tid, const struct guest_iov *iov, struct bytes data)
{
	size_t done = 0;

	for (size_t i = 0; i < iov->n && done < data.len; i++) {
		size_t n = iov->v[i].iov_len < data.len - done ? iov->v[i].iov_len : data.len - done;
		int e = guest_write(tid, (uint64_t)iov->v[i].iov_base, data.data + done, n);

		if (e < 0)
			return e;
		done += n;
	}
	return (ssize_t)done;
}
