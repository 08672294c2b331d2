/* SPDX-License-Identifier: Apache-2.0 */
/* The table against independent witnesses: libc's header, libseccomp, the running kernel; and what its words mean. */
#include <linux/types.h>

#include "format/sysdesc_words.h"

#include <asm/termbits.h>
#include <errno.h>
#include <linux/fs.h>
#include <linux/sockios.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <sys/times.h>
#include <sys/timex.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <cmocka.h>
#include <seccomp.h>

static const char header[] = "/usr/include/x86_64-linux-gnu/asm/unistd_64.h";

/* Each row once, in the order of the file: a number given twice is not seen in the tables. */
static const struct {
	int nr;
	const char *name, *why;
	enum sc_fate fate;
} rows[] = {
#define SYSCALL(n, what, how, reason, ...) { n, #what, reason, how },
#include "format/syscalls.def"
#undef SYSCALL
};
#define NROWS (sizeof(rows) / sizeof(rows[0]))

static void numbers_and_names_are_given_once(void **state)
{
	(void)state;
	for (size_t i = 0; i < NROWS; i++) {
		assert_in_range(rows[i].nr, 0, SC_MAX - 1);
		assert_string_equal(sc_name(rows[i].nr), rows[i].name);
		assert_int_equal(sc_number(rows[i].name), rows[i].nr);
	}
}

static void every_call_of_the_header_has_its_row(void **state)
{
	FILE *f = fopen(header, "r");
	char line[256], name[64];
	int nr, n = 0;

	(void)state;
	if (!f) {
		print_message("skipped: no %s\n", header);
		skip();
	}
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "#define __NR_%63s %d", name, &nr) != 2)
			continue;
		if (sc_number(name) != nr)
			fail_msg("%s is %d in the header, %d in the table", name, nr, sc_number(name));
		n++;
	}
	fclose(f);
	assert_true(n > 300);
}

static void libseccomp_agrees_about_numbers(void **state)
{
	int n = 0;

	(void)state;
	for (int nr = 0; nr < SC_MAX; nr++) {
		char *name = seccomp_syscall_resolve_num_arch(SCMP_ARCH_X86_64, nr);

		if (name) {
			if (!sc_name(nr) || strcmp(sc_name(nr), name) != 0)
				fail_msg("%d is %s for libseccomp, %s in the table", nr, name, sc_name(nr) ?: "nothing");
			n++;
		}
		free(name);
	}
	for (size_t i = 0; i < NROWS; i++) {
		int nr = seccomp_syscall_resolve_name_arch(SCMP_ARCH_X86_64, rows[i].name);

		if (nr >= 0)	/* else newer than this libseccomp */
			assert_int_equal(nr, rows[i].nr);
	}
	assert_true(n > 300);
}

static int count_fields(FILE *f)
{
	char line[512];
	int n = 0;

	while (fgets(line, sizeof(line), f))
		n += strncmp(line, "\tfield:", 7) == 0 && !strstr(line, " common_") && !strstr(line, " __syscall_nr;") &&
		     strstr(line, "size:8;");	/* newer kernels show buffers too, by locators of 4 bytes */
	return n;
}

/* tracepoints are called after the function in the kernel */
static const char *traced_name(const char *name)
{
	static const char *const other[][2] = {
		{ "stat", "newstat" }, { "fstat", "newfstat" }, { "lstat", "newlstat" }, { "uname", "newuname" },
		{ "sendfile", "sendfile64" }, { "umount2", "umount" },
	};

	for (size_t i = 0; i < sizeof(other) / sizeof(other[0]); i++)
		if (strcmp(name, other[i][0]) == 0)
			return other[i][1];
	return name;
}

/* A mount of our own, which goes with this process. */
static const char *tracefs(void)
{
	static const char dir[] = "/sys/kernel/tracing";

	if (access("/sys/kernel/tracing/events/syscalls", R_OK) == 0)
		return dir;
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("tracefs", dir, "tracefs", 0, NULL) < 0)
		return NULL;
	return access("/sys/kernel/tracing/events/syscalls", R_OK) == 0 ? dir : NULL;
}

static void the_kernel_agrees_about_arity(void **state)
{
	const char *dir = tracefs();
	int n = 0;

	(void)state;
	if (!dir) {
		print_message("skipped: no tracefs to be read here (%s)\n", strerror(errno));
		skip();
	}
	for (size_t i = 0; i < NROWS; i++) {
		char path[256];
		int fields;
		FILE *f;

		snprintf(path, sizeof(path), "%s/events/syscalls/sys_enter_%s/format", dir, traced_name(rows[i].name));
		f = fopen(path, "r");
		if (!f)
			continue;
		fields = count_fields(f);
		fclose(f);
		if (fields != sc_table[rows[i].nr].nargs)
			fail_msg("%s has %d arguments in the kernel, %d in the table", rows[i].name, fields,
				 sc_table[rows[i].nr].nargs);
		n++;
	}
	assert_true(n > 300);
}

static void every_refusal_has_a_reason(void **state)
{
	(void)state;
	for (size_t i = 0; i < NROWS; i++) {
		assert_int_not_equal(rows[i].fate, SC_NOROW);
		assert_ptr_equal(strchr(rows[i].why, '\n'), NULL);
		if ((rows[i].fate == SC_REFUSE || rows[i].fate == SC_DECLINE) && strlen(rows[i].why) < 10)
			fail_msg("%s is refused without a reason", rows[i].name);
	}
}

/* What @a says about argument @i of a call holds together with the others; or a sentence. */
static const char *wrong(const struct sc_desc *d, unsigned int i)
{
	const struct sc_arg *a = &d->arg[i], *of = &d->arg[a->len_arg];

	if (a->kind == SC_NONE || a->kind > SC_FDSET || a->len > SC_REQUEST || a->when > SC_FAILED)
		return "no such word";
	if (a->kind < SC_STR)
		return a->flow || a->len || a->unit ? "bytes behind what is no pointer" : NULL;
	if (!a->flow)
		return "bytes that flow nowhere";
	if (a->len_arg >= d->nargs || a->room > d->nargs)
		return "a length that is no argument";
	if ((a->len == SC_ARG || a->len == SC_BITS || a->len == SC_REQUEST || a->kind == SC_IOV) && of->kind != SC_VAL)
		return "a length that is no number";
	if (a->room && (a->len != SC_RET || d->arg[a->room - 1].kind != SC_VAL))
		return "room that is no number";
	if (a->len == SC_DEREF && (of->kind != SC_MEM || of->flow != (SC_IN | SC_OUT) || of->len != SC_UNIT || of->unit != 4))
		return "a length behind what is no pointer to it";
	if ((a->kind == SC_MEM || a->kind == SC_IOV || a->kind == SC_FDSET) && a->unit == 0)
		return "units of no bytes";
	if (a->kind == SC_MEM && a->len == SC_RET && a->flow == SC_OUT && !a->room)
		return "no room given";
	return NULL;
}

static void lengths_point_at_what_can_be_one(void **state)
{
	(void)state;
	for (size_t r = 0; r < NROWS; r++) {
		const struct sc_desc *d = &sc_table[rows[r].nr];

		for (unsigned int i = 0; i < 6; i++) {
			const char *why = i < d->nargs ? wrong(d, i) : NULL;

			if (why)
				fail_msg("%s, %s: %s", rows[r].name, sc_arg_name(rows[r].nr, i), why);
			assert_int_equal(i < d->nargs, sc_arg_name(rows[r].nr, i) != NULL);
			if (i >= d->nargs)
				assert_int_equal(d->arg[i].kind, SC_NONE);
		}
	}
}

static void the_object_is_the_first_descriptor(void **state)
{
	(void)state;
	for (size_t r = 0; r < NROWS; r++) {
		const struct sc_desc *d = &sc_table[rows[r].nr];
		unsigned int want = 0;

		for (unsigned int i = 6; i-- > 0;)
			if (d->arg[i].kind == SC_FDARG)
				want = i + 1;
		assert_int_equal(d->fd, want);
	}
	assert_int_equal(sc_table[SYS_read].fd, 1);
	assert_int_equal(sc_table[SYS_mmap].fd, 5);
	assert_int_equal(sc_table[SYS_getpid].fd, 0);
	for (size_t r = 0; r < NROWS; r++)
		if (rows[r].fate == SC_READ || rows[r].fate == SC_WRITE || rows[r].fate == SC_NET)
			assert_int_equal(sc_table[rows[r].nr].fd, 1);
}

/* The shim has a way back for three registers. */
static void who_waits_has_a_limit(void **state)
{
	(void)state;
	for (size_t r = 0; r < NROWS; r++) {
		const struct sc_desc *d = &sc_table[rows[r].nr];

		assert_int_equal(d->fate == SC_TIMED, d->limit != 0);
		if (d->limit) {
			assert_int_equal(d->arg[d->limit - 1].kind, SC_LIMIT);
			assert_in_range(d->limit - 1, 2, 4);
		}
	}
	assert_int_equal(sc_table[SYS_futex].limit, 4);
}

static void sizes_are_those_of_the_headers(void **state)
{
	static const struct {
		int nr, arg, size;
	} sizes[] = {
		{ SYS_stat, 1, sizeof(struct stat) }, { SYS_newfstatat, 2, sizeof(struct stat) },
		{ SYS_statx, 4, sizeof(struct statx) }, { SYS_statfs, 1, sizeof(struct statfs) },
		{ SYS_uname, 0, sizeof(struct utsname) }, { SYS_sysinfo, 0, sizeof(struct sysinfo) },
		{ SYS_getrusage, 1, 144 }, { SYS_times, 0, sizeof(struct tms) },
		{ SYS_adjtimex, 0, sizeof(struct timex) }, { SYS_clock_gettime, 1, sizeof(struct timespec) },
		{ SYS_getrlimit, 1, sizeof(struct rlimit) }, { SYS_epoll_wait, 1, sizeof(struct epoll_event) },
		{ SYS_rt_sigtimedwait, 1, sizeof(siginfo_t) }, { SYS_sigaltstack, 0, sizeof(stack_t) },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		if (sc_table[sizes[i].nr].arg[sizes[i].arg].unit != sizes[i].size)
			fail_msg("%s, %s: %d bytes, not %d", sc_name(sizes[i].nr), sc_arg_name(sizes[i].nr, sizes[i].arg),
				 sizes[i].size, sc_table[sizes[i].nr].arg[sizes[i].arg].unit);
}

static void bytes_behind_an_argument(void **state)
{
	static const struct {
		const char *what;
		int nr, arg;
		__u64 args[8];
		__s64 ret;
		__u32 deref;
		__u64 want;
	} cases[] = {
		{ "a whole read", SYS_read, 1, { 3, 0x1000, 100 }, 100, 0, 100 },
		{ "a short read", SYS_read, 1, { 3, 0x1000, 100 }, 7, 0, 7 },
		{ "the end of the file", SYS_read, 1, { 3, 0x1000, 100 }, 0, 0, 0 },
		{ "a failed read", SYS_read, 1, { 3, 0x1000, 100 }, -EAGAIN, 0, 0 },
		{ "a read into nothing", SYS_read, 1, { 3, 0, 100 }, 10, 0, 0 },
		{ "MSG_TRUNC: a result beyond the room", SYS_recvfrom, 1, { 3, 0x1000, 5, 0x20 }, 15, 0, 5 },
		{ "a sender's address", SYS_recvfrom, 4, { 3, 0x1000, 5, 0, 0x2000, 0x3000 }, 5, 16, 16 },
		{ "nobody asked for the address", SYS_recvfrom, 4, { 3, 0x1000, 5 }, 5, 16, 0 },
		{ "the address's length", SYS_recvfrom, 5, { 3, 0x1000, 5, 0, 0x2000, 0x3000 }, 5, 16, 4 },
		{ "a length behind a pointer, gone mad", SYS_getsockopt, 3, { 3, 1, 1, 0x1000, 0x2000 }, 0, ~0u, SC_MAX_RW },
		{ "a short write", SYS_write, 1, { 1, 0x1000, 100 }, 30, 0, 30 },
		{ "a failed write", SYS_write, 1, { 1, 0x1000, 100 }, -EPIPE, 0, 0 },
		{ "a vector: what moved", SYS_readv, 1, { 3, 0x1000, 4 }, 4000, 0, 4000 },
		{ "a vector: more than its elements", SYS_writev, 1, { 3, 0x1000, 1 }, 77, 0, 77 },
		{ "a connect that failed", SYS_connect, 1, { 3, 0x1000, 16 }, -ECONNREFUSED, 0, 16 },
		{ "a length in 32 bits", SYS_connect, 1, { 3, 0x1000, 0xabcd00000010 }, 0, 0, 16 },
		{ "a length that made it fail", SYS_connect, 1, { 3, 0x1000, -1 }, -EINVAL, 0, SC_MAX_NAME },
		{ "epoll's events", SYS_epoll_wait, 1, { 3, 0x1000, 64, -1 }, 3, 0, 36 },
		{ "poll's array", SYS_poll, 0, { 0x1000, 5, 0 }, 1, 0, 40 },
		{ "a count that would wrap", SYS_poll, 0, { 0x1000, -1, 0 }, 1, 0, SC_MAX_RW },
		{ "a timeout's array", SYS_poll, 0, { 0x1000, 5, 0 }, 0, 0, 40 },
		{ "bits of a set", SYS_select, 1, { 65, 0x1000 }, 1, 0, 16 },
		{ "one whole long of bits", SYS_select, 1, { 64, 0x1000 }, 1, 0, 8 },
		{ "no bits", SYS_select, 1, { 0, 0x1000 }, 0, 0, 0 },
		{ "a set with a negative size", SYS_select, 1, { -1, 0x1000 }, 0, 0, 0 },
		{ "no set", SYS_select, 2, { 65, 0x1000 }, 1, 0, 0 },
		{ "the time left, also when interrupted", SYS_select, 4, { 1, 0, 0, 0, 0x1000 }, -EINTR, 0, 16 },
		{ "a whole sleep", SYS_nanosleep, 1, { 0x1000, 0x2000 }, 0, 0, 0 },
		{ "an interrupted sleep", SYS_nanosleep, 1, { 0x1000, 0x2000 }, -EINTR, 0, 16 },
		{ "groups", SYS_getgroups, 1, { 10, 0x1000 }, 3, 0, 12 },
		{ "how many groups", SYS_getgroups, 1, { 0, 0x1000 }, 3, 0, 0 },
		{ "how long an attribute is", SYS_getxattr, 2, { 0x1000, 0x2000, 0x3000, 0 }, 20, 0, 0 },
		{ "time(NULL)", SYS_time, 0, { 0 }, 1700000000, 0, 0 },
		{ "time(&t)", SYS_time, 0, { 0x1000 }, 1700000000, 0, 8 },
		{ "an ioctl of old style", SYS_ioctl, 2, { 0, TCGETS, 0x1000 }, 0, 0, 36 },
		{ "a failed ioctl", SYS_ioctl, 2, { 0, TCGETS, 0x1000 }, -ENOTTY, 0, 0 },
		{ "a path", SYS_open, 0, { 0x1000 }, 3, 0, 0 },
		{ "a message", SYS_recvmsg, 1, { 3, 0x1000 }, 100, 0, 0 },
		{ "no such argument", SYS_read, 6, { 3, 0x1000, 100 }, 100, 0, 0 },
		{ "no such argument here", SYS_read, 4, { 3, 0x1000, 100, 1, 1 }, 100, 0, 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		__u64 n = sc_bytes(&sc_table[cases[i].nr], cases[i].arg, cases[i].args, cases[i].ret, cases[i].deref);

		if (n != cases[i].want)
			fail_msg("%s: %llu bytes, not %llu", cases[i].what, n, cases[i].want);
	}
}

static void ioctls_give_what_their_request_says(void **state)
{
	(void)state;
	assert_int_equal(sc_ioctl_size(TCGETS), sizeof(struct termios));
	assert_int_equal(sc_ioctl_size(TCGETS2), sizeof(struct termios2));
	assert_int_equal(sc_ioctl_size(TIOCGWINSZ), 8);
	assert_int_equal(sc_ioctl_size(FIONREAD), 4);
	assert_int_equal(sc_ioctl_size(SIOCGIFADDR), 40);
	assert_int_equal(sc_ioctl_size(BLKGETSIZE64), 8);
	assert_int_equal(sc_ioctl_size(FIONBIO), 0);
	assert_int_equal(sc_ioctl_size(TCSETS), 0);
	assert_int_equal(sc_ioctl_size(FICLONE), 0);
#define IOCTL(nr, name, size) assert_int_equal(nr, name);
#include "format/ioctls.def"
#undef IOCTL
}

static void what_has_no_row_has_no_name(void **state)
{
	(void)state;
	for (unsigned int nr = 0; nr < SC_MAX + 10; nr++) {
		bool row = nr < SC_MAX && sc_table[nr].fate != SC_NOROW;

		assert_int_equal(sc_name(nr) != NULL, row);
		assert_int_equal(sc_reason(nr) != NULL, row);
		assert_null(sc_arg_name(nr, 6));
	}
	assert_null(sc_name(400));
	assert_int_equal(sc_number("no_such_call"), -1);
	assert_string_equal(sc_arg_name(SYS_getrandom, 0), "buf");
	for (int f = SC_NOROW; f <= SC_DECLINE; f++)
		assert_string_not_equal(sc_fate_name(f), "?");
	assert_string_equal(sc_fate_name(SC_DECLINE + 1), "?");
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers_and_names_are_given_once),
		cmocka_unit_test(every_call_of_the_header_has_its_row),
		cmocka_unit_test(libseccomp_agrees_about_numbers),
		cmocka_unit_test(the_kernel_agrees_about_arity),
		cmocka_unit_test(every_refusal_has_a_reason),
		cmocka_unit_test(lengths_point_at_what_can_be_one),
		cmocka_unit_test(the_object_is_the_first_descriptor),
		cmocka_unit_test(who_waits_has_a_limit),
		cmocka_unit_test(sizes_are_those_of_the_headers),
		cmocka_unit_test(bytes_behind_an_argument),
		cmocka_unit_test(ioctls_give_what_their_request_says),
		cmocka_unit_test(what_has_no_row_has_no_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
