/* SPDX-License-Identifier: Apache-2.0 */
/* Reads stdin in chunks of odd sizes until its end; prints the size of each and a sum. chunks poll: waits by poll() first. */
#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	static unsigned char buf[70000];
	uint64_t h = 14695981039346656037ull;
	size_t total = 0, want = 1;
	int polls = argc > 1 && strcmp(argv[1], "poll") == 0;

	for (;;) {
		struct pollfd p = { .fd = 0, .events = POLLIN };
		ssize_t n;

		if (polls)
			printf("poll %d ", poll(&p, 1, -1));
		n = read(0, buf, want);
		if (n < 0 && errno == EINTR)
			continue;
		printf("%zd\n", n);
		if (n <= 0)
			break;
		for (ssize_t i = 0; i < n; i++)
			h = (h ^ buf[i]) * 1099511628211ull;
		total += (size_t)n;
		want = (want * 7 + 13) % sizeof(buf) + 1;
	}
	printf("%zu bytes %016llx\nEXIT-SUCCESS\n", total, (unsigned long long)h);
	return 0;
}
