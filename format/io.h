/* SPDX-License-Identifier: Apache-2.0 */
/* read and write until it is all done, EINTR included. */
#ifndef CAPSULE_IO_H
#define CAPSULE_IO_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* The bytes read: fewer than @len only at the end of the file; -errno. */
ssize_t io_read(int fd, void *buf, size_t len);
ssize_t io_pread(int fd, void *buf, size_t len, uint64_t off);
/* 0, or -errno; then some of it may be written. */
int io_write(int fd, const void *buf, size_t len);
/* A whole small file (of /proc, say) into fresh memory, NUL-terminated; at most @max bytes, else -EFBIG. */
int io_slurp(const char *path, size_t max, char **ret, size_t *len);
int io_slurp_at(int dirfd, const char *path, size_t max, char **ret, size_t *len);
/* The rest of what @fd reads. */
int io_slurp_fd(int fd, size_t max, char **ret, size_t *len);

#endif
