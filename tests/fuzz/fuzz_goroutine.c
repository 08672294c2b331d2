/* SPDX-License-Identifier: Apache-2.0 */
/* A program of whose goroutines the recorder wants to know. */
#include "format/cleanup.h"
#include "format/goroutine.h"

#include <stddef.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_fd_ int fd = memfd_create("program", MFD_CLOEXEC);

	if (fd >= 0 && write(fd, data, size) == (ssize_t)size)
		goroutine_layout(fd);
	return 0;
}
