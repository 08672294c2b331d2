/* SPDX-License-Identifier: Apache-2.0 */
/* An audit log that somebody else wrote. */
#include "watch/audit.h"

#include "format/cleanup.h"
#include "format/io.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_fd_ int fd = memfd_create("audit", MFD_CLOEXEC);
	struct err err = ERR_INIT;
	struct audit_check kept;
	struct audit_end end;
	char path[40], text[120];

	if (fd < 0 || io_write(fd, data, size) < 0)
		return 0;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (audit_verify(path, NULL, &end, &err) < 0 && !err.text[0])
		abort();
	/* What it says at its end is there. */
	snprintf(text, sizeof(text), "%llu:%s", (unsigned long long)end.lines, end.hash);
	if (!err.code && end.lines && (audit_check_parse(&kept, text) < 0 || audit_verify(path, &kept, &end, &err) < 0))
		abort();
	return 0;
}
