/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The shim in real programs: a small supervisor runs them under seccomp
 * user-notify and ptrace, as the replayer does, with a file of its own for
 * /dev/.capsule.  The guests are compiled here, with what compilers there are.
 */
#include "format/cleanup.h"
#include "preload/shim.h"
#include "replayer/inject.h"
#include "replayer/seat.h"
#include "replayer/streams.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>

#define LISTENER 200		/* its fd in the guest */
#define MAX_TASKS 400
#define REAL(i) (1600000000000000000ll + (i) * 1001000)
#define MONO(i) (5000000000ll + (i) * 7)

static char dir[] = "/tmp/test-inject-XXXXXX";

static const char guest_source[] =
	"#include <pthread.h>\n#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>\n#include <time.h>\n"
	"#include <unistd.h>\n#include <sys/time.h>\n#include <sys/wait.h>\n#include <sys/auxv.h>\n#include <x86intrin.h>\n"
	"static void mono(const char *who) { struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t);\n"
	"	printf(\"%s %lld\\n\", who, t.tv_sec * 1000000000ll + t.tv_nsec); fflush(stdout); }\n"
	"static void *thread(void *who) { mono(who); mono(who); return NULL; }\n"
	"static int print(void) { struct timespec t; struct timeval v; time_t s, r;\n"
	"	for (int i = 0; i < 3; i++) { clock_gettime(CLOCK_REALTIME, &t); gettimeofday(&v, NULL); r = time(&s);\n"
	"		printf(\"%lld.%09ld %lld.%06ld %lld %d\\n\", (long long)t.tv_sec, t.tv_nsec, (long long)v.tv_sec,\n"
	"		       (long)v.tv_usec, (long long)r, r == s); }\n"
	"	mono(\"mono\"); mono(\"mono\"); return 0; }\n"
	"static int forks(void) { mono(\"parent\"); mono(\"parent\"); if (!fork()) { mono(\"child\"); mono(\"child\"); _exit(0); }\n"
	"	wait(NULL); mono(\"parent\"); return 0; }\n"
	"static int threads(void) { pthread_t p; mono(\"main\");\n"
	"	for (int i = 0; i < 3; i++) { char who[2] = { 'a' + i }; pthread_create(&p, NULL, thread, who); pthread_join(p, NULL); }\n"
	"	mono(\"main\"); return 0; }\n"
	"static int many(void) { pthread_t p[300]; for (int i = 0; i < 300; i++) pthread_create(&p[i], NULL, thread, \"t\");\n"
	"	for (int i = 0; i < 300; i++) pthread_join(p[i], NULL); return 0; }\n"
	"static int vforks(void) { mono(\"parent\"); if (!vfork()) { mono(\"child\"); mono(\"child\"); _exit(0); }\n"
	"	mono(\"parent\"); mono(\"parent\"); return 0; }\n"
	"static int speed(void) { struct timespec t; unsigned long long a; clock_gettime(CLOCK_MONOTONIC, &t); a = __rdtsc();\n"
	"	for (int i = 0; i < 100000; i++) clock_gettime(CLOCK_MONOTONIC, &t);\n"
	"	printf(\"%llu\\n\", (__rdtsc() - a) / 100000); return 0; }\n"
	"static int entropy(void) { unsigned char *r = (void *)getauxval(AT_RANDOM); for (int i = 0; i < 16; i++)\n"
	"	printf(\"%02x\", r[i]); printf(\"\\n\"); return 0; }\n"
	"int main(int argc, char **argv) { (void)argc; switch (argv[1][0]) { case 'p': return print(); case 'f': return forks();\n"
	"	case 't': return threads(); case 'm': return many(); case 'v': return vforks(); case 's': return speed(); case 'a': return entropy();\n"
	"	case 'x': mono(\"before\"); mono(\"before\"); argv[1] = \"e\"; execv(argv[0], argv); return 9;\n"
	"	case 'e': mono(\"after\"); mono(\"after\"); return 0; }\n"
	"	return 9; }\n";

struct run {
	struct streams *streams;
	struct inject inject;
	struct injected injected;
	bool vdso;		/* leave it as it is: to compare */
	bool eager;		/* serve new threads from their first stop on */
	pid_t task[MAX_TASKS];	/* by number - 1 */
	uint32_t seat[MAX_TASKS], nseats;	/* likewise; in use in the first task's memory */
	uint32_t ntasks;
	int listener, out;
	unsigned int notified, marked;
	char text[16384];
	size_t len;
	int status;
	int signal;		/* to send before exec's stop is worked on */
	int error;		/* of inject_exec() */
};

/* ---- the guest's side ----------------------------------------------------- */

static void become_guest(const char *program, const char *what, int out, int go)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ, SYS_clock_gettime, 2, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ, SYS_gettimeofday, 1, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ, SYS_time, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = { sizeof(code) / sizeof(code[0]), code };
	char *const argv[] = { (char *)program, (char *)what, NULL }, c = 'l';
	char back;
	int fd;

	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	fd = (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &prog);
	if (fd < 0 || dup3(fd, LISTENER, O_CLOEXEC) < 0 || dup2(out, 1) < 0)
		_exit(98);
	if (write(go, &c, 1) != 1 || read(go, &back, 1) != 1)
		_exit(97);
	close(fd);
	execv(program, argv);
	_exit(96);
}

/* ---- the supervisor's side ------------------------------------------------- */

static uint32_t task_of(struct run *run, pid_t tid)
{
	for (uint32_t i = 0; i < run->ntasks; i++)
		if (run->task[i] == tid)
			return i + 1;
	assert_true(run->ntasks < MAX_TASKS);
	run->task[run->ntasks++] = tid;
	return run->ntasks;
}

static void put_time(pid_t pid, uint64_t addr, int64_t a, int64_t b)
{
	int64_t v[2] = { a, b };
	struct iovec here = { v, sizeof(v) }, there = { (void *)addr, sizeof(v) };

	assert_int_equal(process_vm_writev(pid, &here, 1, &there, 1, 0), sizeof(v));
}

static int64_t answer(struct run *run, const struct seccomp_notif *n)
{
	const bool clock = n->data.nr == SYS_clock_gettime;
	const uint32_t other = n->data.nr == SYS_time ? SHIM_SECONDS : CLOCK_REALTIME;
	uint32_t task = task_of(run, (pid_t)n->pid);
	uint64_t args[6];
	int64_t ns;
	int slot, rc;

	memcpy(args, n->data.args, sizeof(args));
	rc = streams_take(run->streams, task, clock ? (uint32_t)args[0] : other, &ns);
	assert_true(rc >= 0);
	run->notified++;
	if (seat_marked(args)) {
		run->marked++;
		slot = streams_slot(run->streams, task);
		if (slot >= 0 && run->seat[task - 1])
			assert_int_equal(seat_serve((pid_t)n->pid, run->seat[task - 1], (uint64_t)slot + 1), 0);
	}
	if (clock)
		put_time((pid_t)n->pid, args[1], ns / 1000000000, ns % 1000000000);
	else if (n->data.nr == SYS_gettimeofday)
		put_time((pid_t)n->pid, args[0], ns / 1000000000, ns % 1000000000 / 1000);
	return n->data.nr == SYS_time ? ns / 1000000000 : 0;
}

static void serve(struct run *run)
{
	struct seccomp_notif_resp resp = { 0 };
	struct seccomp_notif n = { 0 };

	if (ioctl(run->listener, SECCOMP_IOCTL_NOTIF_RECV, &n) < 0)
		return;
	resp.id = n.id;
	if (run->vdso)
		resp.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
	else
		resp.val = answer(run, &n);
	ioctl(run->listener, SECCOMP_IOCTL_NOTIF_SEND, &resp);
}

/* A thread gets a seat, a forked process has the one that its creator has, in its own memory, and a vfork's child has none. */
static void first_stop(struct run *run, pid_t tid, bool is_thread)
{
	uint32_t task = task_of(run, tid);
	int slot = run->eager ? streams_slot(run->streams, task) : -1;

	if (!run->injected.shim)
		return;
	if (!is_thread && seat_copied(tid) == 1) {
		run->seat[task - 1] = run->seat[0];
		return;
	}
	run->seat[task - 1] = is_thread && run->nseats + 1 < SHIM_SEATS ? ++run->nseats : 0;
	assert_int_equal(seat_take(tid, run->seat[task - 1]), 0);
	if (slot >= 0 && run->seat[task - 1])
		assert_int_equal(seat_serve(tid, run->seat[task - 1], (uint64_t)slot + 1), 0);
}

static bool is_thread(pid_t tid)
{
	char line[256];
	int tgid = -1;

	snprintf(line, sizeof(line), "/proc/%d/status", (int)tid);
	_cleanup_file_ FILE *f = fopen(line, "r");
	while (f && tgid < 0 && fgets(line, sizeof(line), f))
		sscanf(line, "Tgid: %d", &tgid);
	return tgid >= 0 && tgid != tid;
}

/* One event of @tid. True: the first task has ended. */
static bool event(struct run *run, pid_t tid, int status)
{
	struct err err = ERR_INIT;
	unsigned long child;
	int sig = 0;

	if (!WIFSTOPPED(status)) {
		if (tid != run->task[0])
			return false;
		run->status = status;
		return true;
	}
	switch (status >> 16) {
	case PTRACE_EVENT_EXEC:
		if (run->signal)
			kill(tid, run->signal);
		if (!run->vdso && inject_exec(tid, &run->inject, &run->injected, &err) < 0) {
			run->error = err.code;
			return false;
		}
		run->seat[0] = run->nseats = run->injected.shim;
		if (run->signal)
			kill(tid, SIGCONT);
		run->signal = 0;
		break;
	case PTRACE_EVENT_VFORK:
	case PTRACE_EVENT_FORK:
	case PTRACE_EVENT_CLONE:
		ptrace(PTRACE_GETEVENTMSG, tid, NULL, &child);
		task_of(run, (pid_t)child);
		break;
	case PTRACE_EVENT_STOP:
		if (WSTOPSIG(status) == SIGTRAP)
			first_stop(run, tid, is_thread(tid));
		break;
	default:
		sig = WSTOPSIG(status);
	}
	ptrace(PTRACE_CONT, tid, NULL, sig);
	return false;
}

static void supervise(struct run *run)
{
	bool ended = false;

	while (!ended) {
		struct pollfd p[2] = { { run->listener, POLLIN, 0 }, { run->out, POLLIN, 0 } };
		int status;
		pid_t tid;

		poll(p, 2, 1);
		if (p[0].revents & POLLIN)
			serve(run);
		if (p[1].revents & POLLIN)
			run->len += (size_t)read(run->out, run->text + run->len, sizeof(run->text) - 1 - run->len);
		while (!ended && (tid = waitpid(-1, &status, WNOHANG | __WALL)) > 0)
			ended = event(run, tid, status);
	}
	for (;;) {
		ssize_t n = read(run->out, run->text + run->len, sizeof(run->text) - 1 - run->len);

		if (n <= 0)
			break;
		run->len += (size_t)n;
	}
	run->text[run->len] = 0;
}

static void run_guest(struct run *run, const char *program, const char *what)
{
	const long options = PTRACE_O_TRACECLONE | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACEEXEC |
			     PTRACE_O_EXITKILL;
	char path[256], c = 0;
	int out[2], go[2];

	snprintf(path, sizeof(path), "%s/%s", dir, program);
	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	assert_int_equal(pipe2(go, 0), 0);
	close(go[0]);
	close(go[1]);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, go), 0);
	pid_t pid = fork();
	if (pid == 0)
		become_guest(path, what, out[1], go[1]);
	close(out[1]);
	close(go[1]);
	run->out = out[0];
	assert_int_equal(read(go[0], &c, 1), 1);
	_cleanup_fd_ int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	run->listener = (int)syscall(SYS_pidfd_getfd, pidfd, LISTENER, 0);
	assert_true(run->listener >= 0);
	assert_int_equal(ptrace(PTRACE_SEIZE, pid, NULL, options), 0);
	task_of(run, pid);
	assert_int_equal(write(go[0], &c, 1), 1);
	close(go[0]);
	supervise(run);
	close(run->listener);
	close(run->out);
}

/* ---- the cases -------------------------------------------------------------- */

/* Streams for task 1, and monotonic ones for tasks up to @tasks, behind a file that is the shim's. */
static int prepare(struct run *run, uint32_t tasks, unsigned int readings)
{
	static char path[256];
	struct err err = ERR_INIT;
	int fd;

	assert_int_equal(streams_new(&run->streams, &err), 0);
	for (unsigned int i = 0; i < readings; i++)
		assert_int_equal(streams_add(run->streams, 1, CLOCK_REALTIME, REAL(i), 0, &err) |
				 streams_add(run->streams, 1, SHIM_SECONDS, REAL(i), 0, &err), 0);
	for (uint32_t t = 1; t <= tasks; t++)
		for (unsigned int i = 0; i < readings; i++)
			assert_int_equal(streams_add(run->streams, t, CLOCK_MONOTONIC, t * 1000000000000ll + MONO(i), 0, &err), 0);
	snprintf(path, sizeof(path), "%s/shared", dir);
	fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(streams_publish(run->streams, fd, &err), 0);
	run->inject.path = path;
	run->inject.shared_size = streams_size(run->streams);
	return fd;
}

static bool have(const char *program)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/%s", dir, program);
	return access(path, X_OK) == 0;
}

static void check_print(const char *program)
{
	struct run run = { 0 };
	char want[1024];
	size_t n = 0;
	_cleanup_fd_ int fd = prepare(&run, 1, 9);
	int seconds = strcmp(program, "musl") ? 0 : 1;	/* musl's time() reads CLOCK_REALTIME */

	for (int k = 0, i = 0; k < 3; k++, i += 2 + seconds)
		n += (size_t)snprintf(want + n, sizeof(want) - n, "%lld.%09lld %lld.%06lld %lld 1\n",
				      REAL(i) / 1000000000, REAL(i) % 1000000000, REAL(i + 1) / 1000000000,
				      REAL(i + 1) % 1000000000 / 1000, REAL(seconds ? i + 2 : k) / 1000000000);
	snprintf(want + n, sizeof(want) - n, "mono %lld\nmono %lld\n", 1000000000000 + MONO(0), 1000000000000 + MONO(1));
	run_guest(&run, program, "p");
	assert_int_equal(run.status, 0);
	assert_string_equal(run.text, want);
	assert_int_equal(run.error, 0);
	assert_true(run.injected.shim);
	assert_string_equal(run.injected.why, "");
	assert_int_equal(run.injected.entries >= 4, 1);
	assert_int_equal(run.notified, 1);	/* the first reading only */
	assert_int_equal(run.marked, 1);
	streams_free(run.streams);
}

static void serves_a_dynamic_program(void **state)
{
	(void)state;
	check_print("dynamic");
}

static void serves_a_static_program(void **state)
{
	(void)state;
	if (!have("static"))
		skip();
	check_print("static");
}

/* musl reads its clocks by the vDSO too. */
static void serves_musl(void **state)
{
	(void)state;
	if (!have("musl"))
		skip();
	check_print("musl");
}

static void a_forked_child_has_its_own_stream(void **state)
{
	struct run run = { 0 };
	_cleanup_fd_ int fd = prepare(&run, 2, 3);

	(void)state;
	run_guest(&run, "dynamic", "f");
	assert_string_equal(run.text, "parent 1005000000000\nparent 1005000000007\nchild 2005000000000\n"
				      "child 2005000000007\nparent 1005000000014\n");
	assert_int_equal(run.notified, 2);
	assert_int_equal(run.marked, 2);
	streams_free(run.streams);
}

static void a_vforked_child_does_not_use_its_parents(void **state)
{
	struct run run = { 0 };
	_cleanup_fd_ int fd = prepare(&run, 2, 3);

	(void)state;
	run_guest(&run, "dynamic", "v");
	assert_string_equal(run.text, "parent 1005000000000\nchild 2005000000000\nchild 2005000000007\n"
				      "parent 1005000000007\nparent 1005000000014\n");
	assert_int_equal(run.notified, 3);
	streams_free(run.streams);
}

/* The threads run one after the other, and so on the same stack with the same fs base. */
static void a_thread_has_its_own_stream(void **state)
{
	static const char want[] = "main 1005000000000\na 2005000000000\na 2005000000007\nb 3005000000000\n"
				   "b 3005000000007\nc 4005000000000\nc 4005000000007\nmain 1005000000007\n";
	struct run run = { .eager = true };
	_cleanup_fd_ int fd = prepare(&run, 4, 2);
	struct streams_total t;

	(void)state;
	run_guest(&run, "dynamic", "t");
	assert_string_equal(run.text, want);
	assert_int_equal(run.notified, 1);
	streams_total(run.streams, &t);
	assert_int_equal(t.recorded, 2 * 4 + 2 + 2);
	assert_int_equal(t.given, 2 * 4);
	assert_int_equal(t.more, 0);
	streams_free(run.streams);
}

static void more_threads_than_the_table_holds(void **state)
{
	struct run run = { .eager = true };
	struct streams_total t;
	_cleanup_fd_ int fd = prepare(&run, 301, 2);

	(void)state;
	run_guest(&run, "dynamic", "m");
	assert_int_equal(run.status, 0);
	streams_total(run.streams, &t);
	assert_int_equal(t.given, 600);
	assert_int_equal(t.more, 0);
	streams_free(run.streams);
}

static void goes_on_across_exec_and_past_the_end(void **state)
{
	struct run run = { 0 };
	struct streams_total t;
	_cleanup_fd_ int fd = prepare(&run, 1, 3);

	(void)state;
	run_guest(&run, "dynamic", "x");
	assert_string_equal(run.text, "before 1005000000000\nbefore 1005000000007\nafter 1005000000014\n"
				      "after 1005000001014\n");
	assert_int_equal(run.notified, 2);
	streams_total(run.streams, &t);
	assert_int_equal(t.given, 3);
	assert_int_equal(t.more, 1);
	streams_free(run.streams);
}

static void without_the_file_every_reading_is_a_call(void **state)
{
	struct run run = { 0 };
	_cleanup_fd_ int fd = prepare(&run, 1, 3);

	(void)state;
	run.inject.path = "/nonexistent";
	run_guest(&run, "dynamic", "x");
	assert_string_equal(run.text, "before 1005000000000\nbefore 1005000000007\nafter 1005000000014\n"
				      "after 1005000001014\n");
	assert_false(run.injected.shim);
	assert_string_equal(run.injected.why, strerror(ENOENT));
	assert_int_equal(run.notified, 4);
	assert_int_equal(run.marked, 0);
	streams_free(run.streams);
}

static void puts_the_random_bytes(void **state)
{
	static const uint8_t bytes[16] = { 0xde, 0xad, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14 };
	struct run run = { .inject.at_random = bytes };
	_cleanup_fd_ int fd = prepare(&run, 1, 3);

	(void)state;
	run_guest(&run, "dynamic", "a");
	assert_string_equal(run.text, "dead0102030405060708090a0b0c0d0e\n");
	streams_free(run.streams);
}

/* The guest is stopped and continued while it is being worked on; it must come through, and no other signal may kill it early. */
static void signals_meanwhile_are_kept(void **state)
{
	static const int sigs[] = { SIGSTOP, SIGWINCH, SIGTERM };

	(void)state;
	for (size_t i = 0; i < sizeof(sigs) / sizeof(sigs[0]); i++) {
		struct run run = { .signal = sigs[i] };
		_cleanup_fd_ int fd = prepare(&run, 1, 6);

		run_guest(&run, "dynamic", "p");
		assert_true(run.injected.shim);
		if (sigs[i] == SIGTERM)
			assert_true(WIFSIGNALED(run.status) && WTERMSIG(run.status) == SIGTERM);
		else
			assert_int_equal(run.status, 0);
		streams_free(run.streams);
	}
}

/* Its death is left to the main loop to see. */
static void killed_meanwhile(void **state)
{
	struct run run = { .signal = SIGKILL };
	_cleanup_fd_ int fd = prepare(&run, 1, 3);

	(void)state;
	run_guest(&run, "dynamic", "p");
	assert_int_equal(run.error, ESRCH);
	assert_true(WIFSIGNALED(run.status) && WTERMSIG(run.status) == SIGKILL);
	streams_free(run.streams);
}

/* A comparison for people to read; machines differ too much to assert it. */
static void is_as_fast_as_the_vdso(void **state)
{
	struct run plain = { .vdso = true }, shim = { 0 };
	_cleanup_fd_ int fd = prepare(&plain, 1, 1);

	(void)state;
	run_guest(&plain, "dynamic", "s");
	streams_free(plain.streams);
	_cleanup_fd_ int fd2 = prepare(&shim, 1, 100001);
	run_guest(&shim, "dynamic", "s");
	assert_in_range(shim.notified, 1, 1 + 100001 / 4000);	/* the first one, and when the shelf was empty */
	print_message("cycles a reading: vDSO %d, shim %d\n", atoi(plain.text), atoi(shim.text));
	streams_free(shim.streams);
}

/* ---- the programs -------------------------------------------------------------- */

static int compile(const char *cc, const char *name)
{
	char cmd[1024];

	snprintf(cmd, sizeof(cmd), "%s -O2 -w -pthread -D_GNU_SOURCE -o %s/%s %s/guest.c 2>/dev/null", cc, dir, name, dir);
	return system(cmd);
}

static int set_up(void **state)
{
	char path[256];

	(void)state;
	if (!mkdtemp(dir))
		return -1;
	snprintf(path, sizeof(path), "%s/guest.c", dir);
	_cleanup_file_ FILE *f = fopen(path, "w");
	if (!f || fputs(guest_source, f) < 0 || fflush(f) < 0)
		return -1;
	compile("cc -static", "static");
	compile("musl-gcc", "musl");
	return compile("cc", "dynamic");
}

static int tear_down(void **state)
{
	static const char *const files[] = { "guest.c", "static", "musl", "dynamic", "shared" };
	char path[256];

	(void)state;
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, files[i]);
		unlink(path);
	}
	return rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(serves_a_dynamic_program),
		cmocka_unit_test(serves_a_static_program),
		cmocka_unit_test(serves_musl),
		cmocka_unit_test(a_forked_child_has_its_own_stream),
		cmocka_unit_test(a_vforked_child_does_not_use_its_parents),
		cmocka_unit_test(a_thread_has_its_own_stream),
		cmocka_unit_test(more_threads_than_the_table_holds),
		cmocka_unit_test(goes_on_across_exec_and_past_the_end),
		cmocka_unit_test(without_the_file_every_reading_is_a_call),
		cmocka_unit_test(puts_the_random_bytes),
		cmocka_unit_test(signals_meanwhile_are_kept),
		cmocka_unit_test(killed_meanwhile),
		cmocka_unit_test(is_as_fast_as_the_vdso),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
