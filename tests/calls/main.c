/* SPDX-License-Identifier: Apache-2.0 */
/*
 * calls NAME...           runs the programs of these calls, or families of calls
 * calls --list [FAMILY]   their names
 * calls --events [FAMILY] of them, those that a capsule is to hold as calls
 * calls --missing         the supported rows of format/syscalls.def without one
 * calls --refused         makes each call that is not supported, in vain, and says how it failed
 * calls --reason NAME     the row's reason
 * calls --without NAME    runs it where the kernel answers that call with an error that no call has: it must notice
 */
#include "tests/calls/calls.h"

#include <linux/types.h>

#include "format/sysdesc.h"

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/wait.h>

static const struct {
	int nr;
	const char *name;
	enum sc_fate fate;
	const char *reason;
} rows[] = {
#define SYSCALL(n, what, how, why, ...) { n, #what, how, why },
#include "format/syscalls.def"
#undef SYSCALL
};

#define EACH_ROW(i) (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)

static bool is_supported(enum sc_fate fate)
{
	return fate != SC_REFUSE && fate != SC_DECLINE;
}

extern const struct program *const __start_programs[], *const __stop_programs[];
#define EACH_PROGRAM(p) (const struct program *const *p = __start_programs; p < __stop_programs; p++)

static const struct program *now;

/* ---- what came of it ------------------------------------------------------------- */

static void put(const char *text, size_t len)
{
	while (len) {
		ssize_t n = write(1, text, len);

		if (n <= 0)
			wrong(__FILE__, __LINE__, "writing to stdout", -errno);
		text += n;
		len -= (size_t)n;
	}
}

void say(const char *fmt, ...)
{
	char line[4096];
	size_t n = (size_t)snprintf(line, sizeof(line), "%s: ", now->name);
	va_list ap;

	va_start(ap, fmt);
	n += (size_t)vsnprintf(line + n, sizeof(line) - n - 1, fmt, ap);
	va_end(ap);
	if (n > sizeof(line) - 2)
		n = sizeof(line) - 2;
	line[n++] = '\n';
	put(line, n);
}

void show(const char *what, const void *data, long len)
{
	const unsigned char *p = data;
	char text[3000];
	size_t at = 0;

	for (long i = 0; i < len && at < sizeof(text) - 8; i++)
		at += (size_t)(p[i] >= ' ' && p[i] < 127 && p[i] != '\\' ? snprintf(text + at, 8, "%c", p[i]) :
									   snprintf(text + at, 8, "\\%02x", p[i]));
	text[at] = 0;
	say("%s %ld \"%s\"", what, len, text);
}

const char *error_name(long ret)
{
	static char number[32];
	const char *name = ret < 0 ? strerrorname_np((int)-ret) : "";

	if (name)
		return name;
	snprintf(number, sizeof(number), "error %ld", -ret);
	return number;
}

void wrong(const char *file, int line, const char *what, long got)
{
	fprintf(stderr, "%s:%d: %s: %s is wrong (%ld %s)\n", file, line, now ? now->name : "calls", what, got, error_name(got));
	fflush(stderr);
	_exit(1);
}

long must_work(const char *file, int line, const char *what, long ret)
{
	if (ret < 0 && ret >= -4095)
		wrong(file, line, what, ret);
	return ret;
}

void must_fail(const char *file, int line, const char *what, int error, long ret)
{
	if (ret != -error)
		wrong(file, line, what, ret);
	say("%s", error_name(ret));
}

long may_fail(const char *file, int line, const char *what, int error, long ret)
{
	if (ret < 0 && ret != -error)
		wrong(file, line, what, ret);
	say("%s: %s", what, ret < 0 ? error_name(ret) : "works");
	return ret;
}

/* ---- things to make calls with ------------------------------------------------------ */

int in_child(void (*run)(void))
{
	int status;
	pid_t pid = fork();

	must(pid >= 0);
	if (pid == 0) {
		run();
		_exit(0);
	}
	must(waitpid(pid, &status, 0) == pid);
	if (!WIFEXITED(status) || WEXITSTATUS(status) == 1)
		wrong(__FILE__, __LINE__, "the child's end", status);
	return status;
}

const char *scratch_path(void)
{
	static char path[80];

	snprintf(path, sizeof(path), "%s.file", now->name);
	return path;
}

int scratch(const char *text)
{
	int fd = open(scratch_path(), O_RDWR | O_CREAT | O_TRUNC, 0644);

	must(fd >= 0);
	must(pwrite(fd, text, strlen(text), 0) == (ssize_t)strlen(text));
	return fd;
}

/* ---- the command line ------------------------------------------------------------------ */

static bool in_family(const struct program *p, const char *family)
{
	const char *base = strrchr(p->file, '/') + 1;
	size_t n = strlen(family);

	return strncmp(base, family, n) == 0 && strcmp(base + n, ".c") == 0;
}

/* Not what runs as it did, and not what is told of by other events. */
static bool is_event(int nr)
{
	for EACH_ROW(i)
		if (rows[i].nr == nr)
			switch (rows[i].fate) {
			case SC_SERVE: case SC_CLOCK: case SC_RANDOM: case SC_READ: case SC_WRITE: case SC_WAIT: case SC_SLEEP: case SC_NET:
				return true;
			default:
				return false;
			}
	return false;
}

static void list(const char *family, bool events)
{
	for EACH_PROGRAM(p)
		if ((!family || in_family(*p, family)) && (!events || is_event((*p)->nr)))
			printf("%s\n", (*p)->name);
}

static bool has_program(int nr)
{
	for EACH_PROGRAM(p)
		if ((*p)->nr == nr)
			return true;
	return false;
}

static int missing(void)
{
	int n = 0;

	for EACH_ROW(i) {
		if (!is_supported(rows[i].fate) || has_program(rows[i].nr))
			continue;
		printf("%s\n", rows[i].name);
		n++;
	}
	return n != 0;
}

/* No descriptor, no pointer, no flags, no process: nothing that any of them takes. */
static void in_vain(void)
{
	const long args[6] = { -1, -1, -1, -1, -1, -1 };
	long r;

	setsid();	/* vhangup() hangs up the session's terminal */
	r = raw(now->nr, args);
	say("%s", r < 0 ? error_name(r) : "works");
}

static int refused(void)
{
	for EACH_ROW(i) {
		struct program p = { rows[i].nr, rows[i].name, __FILE__, in_vain };
		int status;

		if (is_supported(rows[i].fate))
			continue;
		now = &p;
		if (fork() == 0) {
			in_vain();
			_exit(0);
		}
		wait(&status);	/* by SIGILL: the kernel's ways into a probe */
	}
	return 0;
}

static int reason(const char *name)
{
	for EACH_ROW(i)
		if (strcmp(rows[i].name, name) == 0)
			return puts(rows[i].reason) < 0;
	return 2;
}

static int run(const char *name)
{
	int n = 0;

	for EACH_PROGRAM(p) {
		if (strcmp((*p)->name, name) != 0 && !in_family(*p, name))
			continue;
		now = *p;
		errno = 0;
		now->run();
		n++;
	}
	if (!n)
		fprintf(stderr, "calls: no program for '%s'\n", name);
	return n ? 0 : 2;
}

/* The largest error that a filter can give. */
#define NO_SUCH_ERROR 4095

static void take_away(const char *name)
{
	int nr = -1;

	for EACH_PROGRAM(p)
		if (strcmp((*p)->name, name) == 0)
			nr = (*p)->nr;
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned int)nr, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | NO_SUCH_ERROR),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog filter = { sizeof(code) / sizeof(code[0]), code };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) < 0)
		wrong(__FILE__, __LINE__, "a filter", -errno);
}

int main(int argc, char **argv)
{
	bool without = argc == 3 && strcmp(argv[1], "--without") == 0;

	if (argc > 1 && (strcmp(argv[1], "--list") == 0 || strcmp(argv[1], "--events") == 0))
		return list(argv[2], argv[1][2] == 'e'), 0;
	if (argc == 2 && strcmp(argv[1], "--missing") == 0)
		return missing();
	if (argc == 3 && strcmp(argv[1], "--reason") == 0)
		return reason(argv[2]);
	if (argc < 2)
		return 2;
	if (strcmp(argv[1], "--refused") == 0)
		return refused();
	if (without)
		take_away(argv[2]);
	for (int i = without ? 2 : 1; i < argc; i++)
		if (run(argv[i]) != 0)
			return 2;
	put("EXIT-SUCCESS\n", 13);
	return 0;
}
