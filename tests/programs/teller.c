/* SPDX-License-Identifier: Apache-2.0 */
/*
 * teller [ADDRESS:]PORT FILE LOG CMD...: a service of an image, on loopback or ADDRESS.  A line is a request, its
 * answer is one line: time, random, read (of FILE), log WORD (appended to LOG,
 * which it counts), report (what CMD prints), end.
 */
#include <arpa/inet.h>
#include <err.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifndef BUILD
#define BUILD "first"
#endif

static int listen_on(char *where)
{
	char *colon = strchr(where, ':');
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(atoi(colon ? colon + 1 : where)), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;

	if (colon) {
		*colon = 0;
		a.sin_addr.s_addr = inet_addr(where);
		*colon = ':';
	}

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (fd < 0 || bind(fd, (void *)&a, sizeof(a)) < 0 || listen(fd, 16) < 0)
		err(1, "listening on %s", where);
	return fd;
}

static void answer_log(const char *path, const char *word, char *out, size_t len)
{
	FILE *f = fopen(path, "a+");
	int c, lines = 0;

	if (!f)
		err(1, "%s", path);
	fprintf(f, "%s\n", word);
	fflush(f);
	rewind(f);
	while ((c = getc(f)) != EOF)
		lines += c == '\n';
	fclose(f);
	snprintf(out, len, "%d lines", lines);
}

static void first_line(FILE *f, char *out, size_t len)
{
	if (!f || !fgets(out, (int)len, f))
		snprintf(out, len, "nothing");
	out[strcspn(out, "\n")] = 0;
}

static void answer_report(char **cmd, char *out, size_t len)
{
	int fds[2], status;
	pid_t pid;

	if (pipe(fds) < 0 || (pid = fork()) < 0)
		err(1, "report");
	if (pid == 0) {
		dup2(fds[1], 1);
		close(fds[0]);
		close(fds[1]);
		execvp(cmd[0], cmd);
		_exit(127);
	}
	close(fds[1]);
	FILE *f = fdopen(fds[0], "r");
	first_line(f, out, len);
	fclose(f);
	waitpid(pid, &status, 0);
	if (status)
		snprintf(out, len, "status %d", status);
}

static void answer(char *request, char **argv, char *out, size_t len)
{
	struct timespec now;
	unsigned long r;

	if (strcmp(request, "time") == 0) {
		clock_gettime(CLOCK_REALTIME, &now);
		snprintf(out, len, "%ld.%09ld", (long)now.tv_sec, now.tv_nsec);
	} else if (strcmp(request, "random") == 0 && getrandom(&r, sizeof(r), 0) == sizeof(r)) {
		snprintf(out, len, "%016lx", r);
	} else if (strcmp(request, "read") == 0) {
		FILE *f = fopen(argv[2], "r");

		first_line(f, out, len);
		if (f)
			fclose(f);
	} else if (strncmp(request, "log ", 4) == 0) {
		answer_log(argv[3], request + 4, out, len);
	} else if (strcmp(request, "report") == 0) {
		answer_report(argv + 4, out, len);
	} else {
		snprintf(out, len, "bye");
	}
}

int main(int argc, char **argv)
{
	char line[256], out[1024];
	int end = 0, fd;

	if (argc < 5)
		errx(2, "teller PORT FILE LOG CMD...");
	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("uid %d gid %d\n", (int)getuid(), (int)getgid());
	fd = listen_on(argv[1]);
	while (!end) {
		int c = accept(fd, NULL, NULL);
		FILE *in = c < 0 ? NULL : fdopen(c, "r+");

		if (!in)
			err(1, "accept");
		while (!end && fgets(line, sizeof(line), in)) {
			line[strcspn(line, "\n")] = 0;
			answer(line, argv, out, sizeof(out));
			printf("%s: %s\n", line, out);
			dprintf(c, "%s %s\n", BUILD, out);
			end = strcmp(line, "end") == 0;
		}
		fclose(in);
	}
	return 0;
}
