// SPDX-License-Identifier: Apache-2.0
/* uring FILE [or-read]: prints FILE, read through io_uring; or by read(2) where there is none and that is allowed. */
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int read_by_ring(struct io_uring *ring, int fd, char *buf, unsigned int room)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(ring);
	struct io_uring_cqe *cqe;
	int r;

	io_uring_prep_read(sqe, fd, buf, room, 0);
	r = io_uring_submit(ring);
	if (r >= 0)
		r = io_uring_wait_cqe(ring, &cqe);
	if (r < 0)
		return r;
	r = cqe->res;
	io_uring_cqe_seen(ring, cqe);
	io_uring_queue_exit(ring);
	return r;
}

int main(int argc, char **argv)
{
	char buf[4096];
	struct io_uring ring;
	int fd = argc > 1 ? open(argv[1], O_RDONLY) : -1, r, n;

	if (fd < 0) {
		perror("open");
		return 2;
	}
	r = io_uring_queue_init(8, &ring, 0);
	if (r < 0) {
		printf("io_uring: %s\n", strerror(-r));
		if (argc < 3)
			return 1;
		n = (int)read(fd, buf, sizeof(buf));
	} else {
		n = read_by_ring(&ring, fd, buf, sizeof(buf));
	}
	printf("%s: %.*s", r < 0 ? "read" : "ring", n > 0 ? n : 0, buf);
	puts("EXIT-SUCCESS");
	return 0;
}
