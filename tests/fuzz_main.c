/* SPDX-License-Identifier: Apache-2.0 */
/* Runs a fuzzer over the files of the directories given, so that what it once found stays found. */
#include "format/cleanup.h"
#include "format/io.h"

#include <fcntl.h>
#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int run(int dirfd, const char *name)
{
	_cleanup_free_ char *data = NULL;
	size_t len;

	if (io_slurp_at(dirfd, name, 64 << 20, &data, &len) < 0)
		return 0;
	/* A copy of the exact size, so that the sanitizer sees the first byte too far. */
	_cleanup_free_ uint8_t *exact = malloc(len ? len : 1);
	if (!exact)
		return 0;
	memcpy(exact, data, len);
	LLVMFuzzerTestOneInput(exact, len);
	return 1;
}

int main(int argc, char **argv)
{
	int n = 0;

	for (int i = 1; i < argc; i++) {
		_cleanup_dir_ DIR *d = opendir(argv[i]);

		for (struct dirent *e; d && (e = readdir(d));)
			if (e->d_name[0] != '.')
				n += run(dirfd(d), e->d_name);
	}
	printf("%d inputs\n", n);
	return n == 0;
}
