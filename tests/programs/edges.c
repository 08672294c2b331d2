/* SPDX-License-Identifier: Apache-2.0 */
/* edges WHAT: a program that does what few do.  closes: all its descriptors; fills: every one up to the limit; filters: has a seccomp filter of its own. */
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static int closes(void)
{
	char line[64];
	struct timespec ts;
	int fd, n, written;

	close_range(3, ~0u, 0);
	puts("the last words");
	fflush(stdout);
	close_range(0, ~0u, 0);
	written = (int)write(1, "nobody hears", 12);
	fd = open("closed.out", O_RDWR | O_CREAT | O_TRUNC, 0644);
	clock_gettime(CLOCK_REALTIME, &ts);
	dprintf(fd, "%d %d %s %ld\n", fd, written, strerror(errno), ts.tv_nsec);
	n = (int)read(open("/proc/uptime", O_RDONLY), line, sizeof(line));
	return write(fd, line, (size_t)n) == n ? 5 : 6;
}

static int fills(void)
{
	int n = 0, last = -1, fd, pair[2];
	char line[64];

	while ((fd = open("/dev/null", O_RDONLY)) >= 0) {
		last = fd;
		n++;
	}
	printf("%d, the last one is %d: %s\n", n, last, strerror(errno));
	printf("%d %s\n", socket(AF_INET, SOCK_STREAM, 0), strerror(errno));
	printf("%d %s\n", open("/proc/uptime", O_RDONLY), strerror(errno));
	printf("%d %s\n", pipe(pair), strerror(errno));
	close(last);
	fd = open("/proc/uptime", O_RDONLY);
	n = (int)read(fd, line, sizeof(line));
	printf("%d %.*s", fd == last, n, line);
	close(fd);
	printf("%d\n", socket(AF_INET, SOCK_STREAM, 0) == last);
	return 0;
}

#define ON(nr, answer) \
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, nr, 0, 1), \
	BPF_STMT(BPF_RET | BPF_K, answer)

static void on_trap(int sig, siginfo_t *si, void *context)
{
	(void)context;
	printf("signal %d for call %d\n", sig, si->si_syscall);
	fflush(stdout);
}

static int filters(void)
{
	struct sock_filter rules[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		ON(SYS_mkdir, SECCOMP_RET_ERRNO | EXDEV),
		ON(SYS_getppid, SECCOMP_RET_ERRNO | EDOM),
		ON(SYS_read, SECCOMP_RET_ERRNO | EBADMSG),
		ON(SYS_unlink, SECCOMP_RET_TRAP),
		ON(SYS_rmdir, SECCOMP_RET_KILL_PROCESS),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { sizeof(rules) / sizeof(rules[0]), rules };
	struct sigaction act = { .sa_sigaction = on_trap, .sa_flags = SA_SIGINFO };
	char byte;

	sigaction(SIGSYS, &act, NULL);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program))
		return 1;
	printf("%d", mkdir("never", 0755));
	printf(" %s\n", strerror(errno));
	printf("%ld", syscall(SYS_getppid));
	printf(" %s\n", strerror(errno));
	printf("%zd", read(0, &byte, 1));
	printf(" %s\n", strerror(errno));
	fflush(stdout);
	syscall(SYS_unlink, "nothing/here");
	puts("the end");
	fflush(stdout);
	syscall(SYS_rmdir, "nothing/there");
	puts("is not");
	return 0;
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";

	if (strcmp(what, "closes") == 0)
		return closes();
	if (strcmp(what, "fills") == 0)
		return fills();
	return strcmp(what, "filters") == 0 ? filters() : 2;
}
