/* SPDX-License-Identifier: Apache-2.0 */
/*
 * files make DIR: 200 files in DIR/in.  files work DIR: reads them, writes 50 into DIR/out, deletes 10 of DIR/in,
 * renames one, makes a directory and a symlink, appends to one, lists both directories; prints sums of all.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char buf[65536];

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static uint64_t sum_of(const char *path, size_t *len)
{
	uint64_t h = 14695981039346656037ull;
	int fd = open(path, O_RDONLY);
	ssize_t n;

	if (fd < 0)
		die(path);
	*len = 0;
	while ((n = read(fd, buf, sizeof(buf))) > 0) {
		for (ssize_t i = 0; i < n; i++)
			h = (h ^ (unsigned char)buf[i]) * 1099511628211ull;
		*len += (size_t)n;
	}
	close(fd);
	return h;
}

static void put(const char *path, int flags, unsigned int seed, size_t len)
{
	int fd = open(path, O_WRONLY | O_CREAT | flags, 0640);

	if (fd < 0)
		die(path);
	for (size_t i = 0; i < len; i++)
		buf[i] = (char)((seed = seed * 1103515245 + 12345) >> 16);
	if (write(fd, buf, len) != (ssize_t)len)
		die(path);
	close(fd);
}

static int visible(const struct dirent *d)
{
	return d->d_name[0] != '.';
}

static void list(const char *dir)
{
	struct dirent **e;
	int n = scandir(dir, &e, visible, alphasort);
	char path[4096];

	printf("%s: %d entries\n", strrchr(dir, '/') + 1, n);
	for (int i = 0; i < n; i++) {
		struct stat st;
		size_t len = 0;

		snprintf(path, sizeof(path), "%s/%s", dir, e[i]->d_name);
		if (lstat(path, &st) < 0)
			die(path);
		printf("%s %o %lld", e[i]->d_name, st.st_mode, S_ISREG(st.st_mode) ? (long long)st.st_size : -1);
		if (S_ISREG(st.st_mode))
			printf(" %016llx", (unsigned long long)sum_of(path, &len));
		putchar('\n');
	}
}

int main(int argc, char **argv)
{
	int make = argc == 3 && strcmp(argv[1], "make") == 0;
	char in[2000], out[2000], path[4096], other[4096];
	struct stat st;

	if (argc != 3)
		return 2;
	snprintf(in, sizeof(in), "%s/in", argv[2]);
	snprintf(out, sizeof(out), "%s/out", argv[2]);
	if (make && (mkdir(in, 0755) < 0 || mkdir(out, 0755) < 0))
		die(in);
	for (unsigned int i = 0; i < 200; i++) {
		size_t len;

		snprintf(path, sizeof(path), "%s/f%03u", in, i);
		if (make) {
			put(path, 0, i, i * 37 % 9000);
			continue;
		}
		if (stat(path, &st) < 0)
			die(path);
		printf("f%03u %lld.%09ld %016llx", i, (long long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec,
		       (unsigned long long)sum_of(path, &len));
		printf(" %zu\n", len);
	}
	if (make)
		return 0;
	for (unsigned int i = 0; i < 50; i++) {
		snprintf(path, sizeof(path), "%s/w%02u", out, i);
		put(path, O_EXCL, i + 1000, 100 + i * 777);
	}
	for (unsigned int i = 0; i < 10; i++) {
		snprintf(path, sizeof(path), "%s/f%03u", in, i * 20);
		if (unlink(path) < 0)
			die(path);
	}
	snprintf(path, sizeof(path), "%s/f001", in);
	snprintf(other, sizeof(other), "%s/renamed", out);
	if (rename(path, other) < 0)
		die(path);
	snprintf(path, sizeof(path), "%s/f003", in);
	put(path, O_APPEND, 5, 1234);
	snprintf(path, sizeof(path), "%s/sub", out);
	snprintf(other, sizeof(other), "%s/link", out);
	if (mkdir(path, 0700) < 0 || symlink("w00", other) < 0)
		die(path);
	snprintf(path, sizeof(path), "%s/nothing-here", in);
	if (open(path, O_RDONLY) >= 0)
		return 3;
	perror("nothing-here");
	list(in);
	list(out);
	puts("EXIT-SUCCESS");
	return 0;
}
