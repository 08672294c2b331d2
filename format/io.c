/* SPDX-License-Identifier: Apache-2.0 */
#include "format/io.h"

#include "format/cleanup.h"

#include <errno.h>
#include <fcntl.h>

ssize_t io_read(int fd, void *buf, size_t len)
{
	size_t done = 0;

	while (done < len) {
		ssize_t n = read(fd, (char *)buf + done, len - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		done += (size_t)n;
	}
	return (ssize_t)done;
}

ssize_t io_pread(int fd, void *buf, size_t len, uint64_t off)
{
	size_t done = 0;

	while (done < len) {
		ssize_t n = pread(fd, (char *)buf + done, len - done, (off_t)(off + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		done += (size_t)n;
	}
	return (ssize_t)done;
}

int io_write(int fd, const void *buf, size_t len)
{
	size_t done = 0;

	while (done < len) {
		ssize_t n = write(fd, (const char *)buf + done, len - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		done += (size_t)n;
	}
	return 0;
}

int io_slurp(const char *path, size_t max, char **ret, size_t *len)
{
	return io_slurp_at(AT_FDCWD, path, max, ret, len);
}

int io_slurp_at(int dirfd, const char *path, size_t max, char **ret, size_t *len)
{
	_cleanup_fd_ int fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC);
	return fd < 0 ? -errno : io_slurp_fd(fd, max, ret, len);
}

int io_slurp_fd(int fd, size_t max, char **ret, size_t *len)
{
	_cleanup_free_ char *buf = NULL;
	size_t room = 0, have = 0;

	for (;;) {
		ssize_t n;

		if (have + 1 >= room) {
			size_t more = room ? room * 2 : 4096;
			char *bigger = realloc(buf, more);

			if (!bigger)
				return -ENOMEM;
			buf = bigger;
			room = more;
		}
		n = read(fd, buf + have, room - have - 1);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		have += (size_t)n;
		if (have > max)
			return -EFBIG;
	}
	buf[have] = 0;
	*ret = TAKE_PTR(buf);
	if (len)
		*len = have;
	return 0;
}
