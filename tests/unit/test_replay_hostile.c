/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Capsules that nobody recorded, and replays that are killed: a verdict or a
 * refusal, never a crash, a hang, or a process that stays.
 */
#include "tale.h"

#include <limits.h>
#include <sys/resource.h>

static void survives(struct tale *t)
{
	static const char *const soon[] = { "--timeout", "4", NULL };
	struct outcome o;

	tale_replay_with(t, &o, soon);
	if (o.status != 0 && o.status != 1 && o.status != 3 && o.status != 4)
		fail_msg("status %d\n%s%s", o.status, o.err, o.out);
	if (o.status == 0 && strstr(o.err, "no end"))
		fail_msg("identical without an end\n%s", o.err);
	if (strstr(o.err, "runtime error") || strstr(o.err, "Sanitizer"))
		fail_msg("%s", o.err);
}

static void ends(struct tale *t)
{
	tale_says(t, "?");
	tale_exit(t, 0);
	survives(t);
}

/* The writer may refuse what it is given; then there is no such capsule. */
static bool try_event(struct tale *t, struct event e)
{
	struct err err = ERR_INIT;

	if (!e.task)
		e.task = t->task;
	return capsule_write(t->w, &e, &err) == 0;
}

static const uint16_t odd_numbers[] = { 511, 510, 334, 512, 65535 };

static void unknown_calls(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(odd_numbers) / sizeof(odd_numbers[0]); i++) {
		TALE(t, "pid");
		try_event(&t, (struct event){ .kind = EV_CALL, .call = { .nr = odd_numbers[i], .ret = INT64_MIN, .obj = OUT, .nsegs = 1,
			   .segs = { TEXT(0xff, "x") } } });
		ends(&t);
	}
}

static const uint16_t calls[] = {
	SYS_read, SYS_write, SYS_recvfrom, SYS_recvmsg, SYS_recvmmsg, SYS_sendmmsg, SYS_sendto, SYS_sendfile, SYS_splice,
	SYS_getrandom, SYS_clock_gettime, SYS_gettimeofday, SYS_time, SYS_connect, SYS_bind, SYS_accept, SYS_accept4,
	SYS_getsockname, SYS_getsockopt, SYS_poll, SYS_select, SYS_epoll_wait, SYS_clock_nanosleep, SYS_ioctl, SYS_uname,
	SYS_getcwd, SYS_tee, SYS_vmsplice, SYS_pread64, SYS_readv,
};

/* Words that meet every fate. */
#define EVERYTHING \
	"random 4", "clock", "socket inet stream", "bind 127.0.0.1:99", "connect 10.0.0.1:80", "names", "soerror", "send x", "recv 100", \
	"recvmsg 100", "sendmmsg a b", "poll in 1", "select 0", "epoll lt", "ewait 1", "sleep 1", "socket inet dgram nonblock", \
	"sendto 10.0.0.1:53 q", "recvfrom 100", "recvmmsg 100", "socket unix stream", "connect /tmp/x", "use 0", "read 10", "isatty", \
	"open /proc/stat", "read 10", "open /dev/urandom", "read 10", "fork 1", "thread"

/* Every call with results, lengths and objects that make no sense. */
static void absurd_calls(void **state)
{
	static const int64_t results[] = { INT64_MAX, INT64_MIN, -1, 1, 4096, -4096, 0, 1000000 };
	static const uint64_t lengths[] = { UINT64_MAX, 1ull << 40, 3, 1, 0 };

	(void)state;
	for (size_t k = 0; k < 10; k += 3) {
		TALE(t, EVERYTHING);
		tale_socket(&t, SOCK, AF_INET, SOCK_STREAM, "10.0.0.2:5000", "10.0.0.1:80");
		tale_socket(&t, SOCK + 1, AF_INET, SOCK_DGRAM, "10.0.0.2:5000", "10.0.0.1:53");
		tale_object(&t, OBJ_OF(.id = SOCK + 2, .kind = OBJ_SYNTH, .path = "/proc/stat"));
		tale_object(&t, OBJ_OF(.id = SOCK + 3, .kind = OBJ_CHR, .path = "/dev/urandom", .rdev = makedev(1, 9)));
		for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
			struct event e = { .kind = EV_CALL, .call = { .nr = calls[i], .ret = results[(i + k) % 8], .obj = (uint32_t)((i + k) % 9),
				.obj2 = (uint32_t)((i * 3 + k) % 9), .args = { k & 1 ? UINT64_MAX : 3, SOL_SOCKET, SO_ERROR, UINT64_MAX, k, i }, .nsegs = 4 } };
			static const uint8_t args[] = { 0, 1, 2, 3, 4, 5, SEG_LOCAL, SEG_REMOTE, SEG_READY, SEG_CONTROL, 7, 255 };
			uint8_t junk[64];

			memset(junk, (int)(0xf0 + k), sizeof(junk));
			for (size_t s = 0; s < 4; s++)
				e.call.segs[s] = (struct ev_seg){ .arg = args[(i + k * 5 + s) % 12], .index = (uint16_t)(k * 9999),
					.len = k < 5 ? lengths[(s + i) % 5] : 1 + (s * 17 + i) % 64, .data = k < 5 ? NULL : junk };
			try_event(&t, e);
		}
		ends(&t);
	}
}

static void numbers_out_of_range(void **state)
{
	static const uint32_t numbers[] = { UINT32_MAX, (1u << 22) - 1, 1u << 20, (1u << 20) - 1, 100000 };

	(void)state;
	for (size_t i = 0; i < 5; i++) {
		TALE(t, "pid");
		try_event(&t, (struct event){ .kind = EV_CALL, .task = numbers[i], .call = { .nr = SYS_read } });
		ends(&t);
		TALE(u, "pid");
		try_event(&u, (struct event){ .kind = EV_FORK, .fork = { .child = numbers[i], .pid = numbers[i], .tid = numbers[i] } });
		ends(&u);
		TALE(v, "pid");
		try_event(&v, (struct event){ .kind = EV_CALL, .call = { .nr = SYS_accept, .obj = numbers[i], .obj2 = numbers[i] } });
		ends(&v);
		TALE(w, "pid");
		try_event(&w, (struct event){ .kind = EV_OBJECT, .object = { .id = numbers[i], .kind = 200, .path = "" } });
		ends(&w);
	}
}

static void its_own_child(void **state)
{
	(void)state;
	TALE(t, "fork 1", "fork 2", "thread", "pid");
	for (uint32_t i = 0; i < 3; i++)
		try_event(&t, (struct event){ .kind = EV_FORK, .fork = { .child = 1, .pid = TALE_PID, .tid = TALE_PID } });
	ends(&t);
	TALE(u, "fork 1", "fork 2");
	try_event(&u, (struct event){ .kind = EV_FORK, .fork = { .child = 2, .pid = 1, .tid = UINT32_MAX } });
	try_event(&u, (struct event){ .kind = EV_FORK, .task = 2, .fork = { .child = 1, .pid = 0, .tid = 0x80000000 } });
	ends(&u);
}

static void objects_never_described(void **state)
{
	(void)state;
	TALE(t, EVERYTHING);
	tale_connects(&t, 77, 5, "10.0.0.1:80", 0);
	tale_sends(&t, 77, 5, "x");
	tale_recvs(&t, 77, 5, "abc", 3);
	CALL(&t, SYS_accept, 3, .obj = 77, .obj2 = 78);
	tale_reads(&t, 79, 0, "abc");
	ends(&t);
}

/* Addresses of every length, on objects and calls of every family. */
static void odd_addresses(void **state)
{
	static const int families[] = { AF_INET, AF_INET6, AF_UNIX, AF_NETLINK, 0, -1 };
	static const size_t lengths[] = { 0, 1, 2, 3, 7, 15, 27, 109, 110, 127, 128, 129, 4096 };
	uint8_t raw[4096];

	(void)state;
	memset(raw, '/', sizeof(raw));
	for (size_t f = 0; f < 6; f++) {
		TALE(t, EVERYTHING);
		for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
			struct bytes a = { raw, lengths[i] };
			uint32_t id = (uint32_t)(SOCK + i);

			raw[0] = (uint8_t)families[f];
			raw[1] = 0;
			try_event(&t, (struct event){ .kind = EV_OBJECT, .object = { .id = id, .kind = OBJ_SOCKET, .family = families[f],
				  .type = i % 2 ? SOCK_STREAM : SOCK_DGRAM, .local = a, .remote = a, .path = "" } });
			CALL(&t, SYS_connect, 0, .obj = id, .args = { 3, 0x1000, lengths[i] }, .segs = { SEG(1, raw, lengths[i]) });
			CALL(&t, SYS_recvfrom, 3, .obj = id, .args = { 3, 0x1000, 100 }, .segs = { TEXT(1, "abc"), SEG(4, raw, lengths[i]), SEG(SEG_REMOTE, raw, lengths[i]) });
			CALL(&t, SYS_sendto, 1, .obj = id, .args = { 3, 0x1000, 1 }, .segs = { TEXT(1, "x") });
		}
		ends(&t);
	}
}

static void with_fds(const int32_t *fds, size_t n, uint32_t objects)
{
	BARE_TALE(t);

	t.argv[0] = (char *)script_program();
	t.argv[1] = (char *)"pid";
	tale_open(&t, t.argv);
	for (uint32_t i = 0; i < objects; i++)
		try_event(&t, (struct event){ .kind = EV_OBJECT, .object = { .id = i + 1, .kind = (uint8_t)(i % 9), .path = "", .nfds = n, .fds = fds } });
	tale_exec(&t, t.argv[0], t.argv);
	tale_program(&t);
	ends(&t);
}

static void odd_fds(void **state)
{
	static const int32_t few[][2] = { { -1, 1 }, { INT32_MIN, 2 }, { 1, 1 }, { INT32_MAX, 1 }, { 1000000, 1 }, { 1023, 1024 } };
	static int32_t many[10000];

	(void)state;
	for (size_t i = 0; i < sizeof(few) / sizeof(few[0]); i++) {
		with_fds(few[i], 2, 1);
		with_fds(few[i], 2, 9);
	}
	for (int i = 0; i < 10000; i++)
		many[i] = i;
	with_fds(many, 10000, 1);
	with_fds(many, 1, 10000);
	with_fds(NULL, 0, 10000);
}

static void signals_of_all_numbers(void **state)
{
	static const int32_t numbers[] = { SIGSTOP, SIGTSTP, SIGKILL, SIGSEGV, 32, 64, 65, 0, -1, INT32_MAX };

	(void)state;
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		TALE(t, "sleep 10", "sleep 10", "pid");
		CALL(&t, SYS_clock_nanosleep, 0, .args = { 0 });
		tale_event(&t, (struct event){ .kind = EV_SIGNAL, .signal = { .signo = numbers[i] } });
		CALL(&t, SYS_clock_nanosleep, -EINTR, .args = { 0 });
		ends(&t);
	}
}

static struct manifest *strange(struct tale *t, const char *exec)
{
	(void)exec;
	t->argv[0] = (char *)script_program();
	t->argv[1] = (char *)"pid";
	tale_open(t, t->argv);
	capsule_writer_free(t->w);
	return &t->m;
}

static void with_manifest(struct tale *t, const char *exec, char *const *argv)
{
	struct err err = ERR_INIT;

	if (capsule_writer_open(&t->w, t->path, &t->m, &err) < 0) {
		t->w = NULL;
		return;
	}
	tale_stdio(t);
	tale_exec(t, exec, argv);
	tale_program(t);
	ends(t);
}

static void strange_manifests(void **state)
{
	static char long_name[5000];
	char *none[] = { NULL };

	(void)state;
	memset(long_name, 'n', sizeof(long_name) - 1);
	for (int i = 0; i < 22; i++) {
		const char *exec = script_program();
		struct tale t = { 0 };
		struct manifest *m = strange(&t, exec);
		char *const *argv = t.argv;

		switch (i) {
		case 0: m->pid = 0; break;
		case 1: m->pid = 1; break;
		case 2: m->pid = m->sid = m->pgid = UINT32_MAX; break;
		case 3: m->pid = 4194305; break;
		case 4: m->created = INT64_MAX; m->monotonic = INT64_MAX; m->boottime = INT64_MAX; break;
		case 5: m->created = INT64_MIN; m->monotonic = INT64_MIN; m->boottime = INT64_MIN; break;
		case 6: m->cwd = (char *)"/no/such/directory"; break;
		case 7: m->cwd = (char *)""; break;
		case 8: m->argv = none; argv = none; break;
		case 9: m->env = none; break;
		case 10: m->hostname = long_name; m->domainname = long_name; break;
		case 11: m->nrlimits = 16; break;
		case 12: m->umask = UINT32_MAX; m->ncpus = UINT32_MAX; break;
		case 13: m->rootfs = (char *)"/no/such/root"; break;
		case 14: m->rootfs = (char *)"/etc/passwd"; break;
		case 15: exec = "/no/such/program"; break;
		case 16: exec = "/etc/passwd"; break;
		case 17: exec = "/"; break;
		case 18: m->uid = m->euid = m->gid = m->egid = UINT32_MAX; break;
		case 19: m->rootfs = (char *)""; break;
		case 20: m->uuid = (char *)""; m->clocks = (char *)"?"; break;
		case 21: m->nrlimits = 16; for (int k = 0; k < 16; k++) m->rlimits[k].cur = m->rlimits[k].max = UINT64_MAX; break;
		}
		with_manifest(&t, exec, argv);
	}
}

static void strange_files(void **state)
{
	static const struct ev_file files[] = {
		{ .path = "/", .state = FILE_ABSENT }, { .path = "/", .state = FILE_REGULAR, .flags = FILE_CONTENT },
		{ .path = "/usr", .state = FILE_ABSENT }, { .path = "/usr", .state = FILE_REGULAR, .flags = FILE_CONTENT },
		{ .path = "/dev/null", .state = FILE_ABSENT }, { .path = "/proc/self", .state = FILE_SYMLINK },
		{ .path = "/loop", .state = FILE_SYMLINK }, { .path = "/loop/in", .state = FILE_REGULAR, .flags = FILE_CONTENT },
		{ .path = "/bin", .state = FILE_DIR, .mode = 0 }, { .path = "/tmp", .state = FILE_REGULAR, .flags = FILE_CONTENT },
		{ .path = "/tmp/huge", .state = FILE_REGULAR, .flags = FILE_UNREAD, .size = INT64_MAX },
		{ .path = "/tmp/huge", .state = FILE_REGULAR, .flags = FILE_UNREAD, .size = UINT64_MAX },
		{ .path = "/tmp/x", .state = FILE_REGULAR, .flags = FILE_CONTENT, .size = 10, .has_hash = true },
		{ .path = "/tmp/x", .state = FILE_REGULAR, .flags = 255, .size = 10, .mtime = INT64_MIN, .mode = UINT32_MAX },
		{ .path = "/tmp/x", .state = 99, .flags = FILE_CONTENT }, { .path = "/tmp/x", .state = FILE_OTHER },
		{ .path = "/etc", .state = FILE_SYMLINK }, { .path = "/tmp/../etc/x", .state = FILE_REGULAR, .flags = FILE_CONTENT },
	};
	struct err err = ERR_INIT;

	(void)state;
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		struct event e = { .kind = EV_FILE, .file = files[i] };
		struct event o = { .kind = EV_OUTPUT, .file = files[i] };

		e.file.target = o.file.target = "/loop";
		TALE(t, "pid", "stat /loop", "stat /tmp/x");
		try_event(&t, e);
		e.task = o.task = 1;
		(void)capsule_write(t.w, &o, &err);
		ends(&t);
	}
}

static void no_program(void **state)
{
	static const char *const whys[] = { "never started", NULL };
	struct tale t = { 0 };
	struct outcome o;

	(void)state;
	t.argv[0] = (char *)script_program();
	tale_open(&t, t.argv);
	tale_replay_with(&t, &o, NULL);
	assert_int_equal(o.status, 3);
	assert_non_null(strstr(o.err, whys[0]));
}

static void clocks_beyond(void **state)
{
	static const int64_t extremes[][2] = { { INT64_MAX, INT64_MAX }, { INT64_MIN, INT64_MIN }, { 0, -1 }, { 9223372036, 999999999 } };

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		TALE(t, "clock", "clock", "clock real", "sleep 100", "clock");
		for (uint64_t clk = 0; clk < 14; clk++)
			CALL(&t, SYS_clock_gettime, 0, .args = { clk == 13 ? UINT64_MAX : clk, 0x1000 }, .segs = { SEG(1, extremes[i], 16) });
		CALL(&t, SYS_gettimeofday, 0, .args = { 0x1000 }, .segs = { SEG(0, extremes[i], 16) });
		CALL(&t, SYS_time, extremes[i][0]);
		ends(&t);
	}
}

/* ---- nobody stays ---------------------------------------------------------------------- */

static bool all_gone(void)
{
	for (int i = 0; i < 300; i++) {
		pid_t pid = waitpid(-1, NULL, WNOHANG | __WALL);

		if (pid < 0 && errno == ECHILD)
			return true;
		if (pid == 0)
			usleep(10000);
	}
	return false;
}

static void nobody_stays(void **state)
{
	static const int sigs[] = { SIGINT, SIGTERM, SIGKILL, SIGHUP, SIGQUIT };
	struct rlimit core = { 0, 0 };

	(void)state;
	setrlimit(RLIMIT_CORE, &core);
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	for (size_t i = 0; i < 10; i++) {
		static const char *const real[] = { "--speed", "real", NULL };
		TALE(t, "fork 0", "pause");
		tale_exit(&t, 0);
		tale_finish(&t);
		pid_t pid = replay_start(t.path, real);
		usleep(i < 5 ? 300000 : (unsigned int)(i - 4) * 5000);	/* running, or being set up */
		kill(pid, sigs[i % 5]);
		waitpid(pid, NULL, 0);
		assert_true(all_gone());
	}
	prctl(PR_SET_CHILD_SUBREAPER, 0);
}

/* The command ends, its children do not. */
static void children_that_outlive(void **state)
{
	static char *argv[] = { (char *)"/bin/sh", (char *)"-c", (char *)"sleep 1000 >/dev/null 2>&1 & exit 0", NULL };
	static const char *const real[] = { "--speed", "real", NULL };
	struct tale t = { 0 };
	struct outcome o;

	(void)state;
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	tale_open(&t, argv);
	tale_stdio(&t);
	tale_exec(&t, "/bin/sh", argv);
	tale_event(&t, (struct event){ .kind = EV_FORK, .fork = { .child = 2, .pid = 5000, .tid = 5000 } });
	tale_exit(&t, 0);
	tale_replay_with(&t, &o, real);
	assert_true(all_gone());
	prctl(PR_SET_CHILD_SUBREAPER, 0);
	assert_true(o.status == 0 || o.status == 1);
}

int main(int argc, char **argv)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(unknown_calls),
		cmocka_unit_test(absurd_calls),
		cmocka_unit_test(numbers_out_of_range),
		cmocka_unit_test(its_own_child),
		cmocka_unit_test(objects_never_described),
		cmocka_unit_test(odd_addresses),
		cmocka_unit_test(odd_fds),
		cmocka_unit_test(signals_of_all_numbers),
		cmocka_unit_test(strange_manifests),
		cmocka_unit_test(strange_files),
		cmocka_unit_test(no_program),
		cmocka_unit_test(clocks_beyond),
		cmocka_unit_test(nobody_stays),
		cmocka_unit_test(children_that_outlive),
	};

	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
