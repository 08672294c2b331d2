/* SPDX-License-Identifier: Apache-2.0 */
/* The rest of the world in a replay: standard fds, randomness, clocks, files, processes; and what a divergence is called. */
#include "tale.h"

#include "format/sha256.h"

#include <sys/epoll.h>

#define REDIRECT (OBJ_OF(.kind = OBJ_PIPE, .open_flags = O_WRONLY))

/* ---- standard fds ------------------------------------------------------------------ */

static void stdin_as(struct tale *t, struct ev_object in)
{
	tale_fd(t, IN, in, 0);
	tale_fd(t, OUT, REDIRECT, 1);
	tale_fd(t, ERR, REDIRECT, 2);
}

/* After the objects. */
static void begin(struct tale *t, const struct ev_object *in, const char *const *words)
{
	size_t n = 0;

	t->argv[n++] = (char *)script_program();
	while (words[n - 1]) {
		t->argv[n] = (char *)words[n - 1];
		n++;
	}
	t->argv[n] = NULL;
	tale_open(t, t->argv);
	stdin_as(t, *in);
	tale_exec(t, t->argv[0], t->argv);
	tale_program(t);
	tale_startup(t);
}
#define WORDS(...) ((const char *const[]){ __VA_ARGS__, NULL })

static void reads_exactly(struct tale *t, const char *data, size_t len, size_t room)
{
	CALL(t, SYS_read, (int64_t)len, .obj = IN, .args = { 0, 0x1000, room }, .segs = { SEG(1, data, len) });
}

static void stdin_pipe(void **state)
{
	static const struct ev_object pipe = { .kind = OBJ_PIPE };
	struct tale t = { 0 };

	(void)state;
	begin(&t, &pipe, WORDS("use 0", "read 1000", "read 2", "read 1000", "read 1000", "read 1000"));
	reads_exactly(&t, "abc", 3, 1000);
	reads_exactly(&t, "de", 2, 2);
	reads_exactly(&t, "f", 1, 1000);
	reads_exactly(&t, "", 0, 1000);
	reads_exactly(&t, "", 0, 1000);
	tale_says(&t, "read 3 abc\nread 2 de\nread 1 f\nread 0\nread 0\n");
	tale_exit(&t, 0);
	tale_is_identical(&t);
}

static char big[1 << 20];

static unsigned long sum_of(const char *p, size_t n)
{
	unsigned long sum = 0;

	for (size_t i = 0; i < n; i++)
		sum = sum * 31 + (unsigned char)p[i];
	return sum;
}

/* 1 MB in chunks of odd sizes, one of them larger than a pipe holds. */
static void stdin_pipe_large(void **state)
{
	static const struct ev_object pipe = { .kind = OBJ_PIPE };
	static char says[1 << 16];
	const char *words[80] = { "use 0" };
	size_t sizes[64], n = 0, at = 0, len = 0;
	struct tale t = { 0 };

	(void)state;
	for (size_t i = 0; i < sizeof(big); i++)
		big[i] = (char)(i * 13 + i / 777);
	for (size_t i = 0; at < sizeof(big) && n < 60; i++) {
		sizes[n] = i == 3 ? 300001 : 4097 + i * 1013;
		sizes[n] = sizes[n] > sizeof(big) - at ? sizeof(big) - at : sizes[n];
		words[1 + n] = "read 1048576";
		at += sizes[n++];
	}
	words[1 + n] = NULL;
	begin(&t, &pipe, words);
	at = 0;
	for (size_t i = 0; i < n; i++) {
		reads_exactly(&t, big + at, sizes[i], 1 << 20);
		len += (size_t)snprintf(says + len, sizeof(says) - len, "read %zu\nsum %lx\n", sizes[i], sum_of(big + at, sizes[i]));
		at += sizes[i];
	}
	tale_says(&t, says);
	tale_exit(&t, 0);
	tale_is_identical(&t);
}

static void stdin_socket(void **state)
{
	static const struct ev_object socket = { .kind = OBJ_SOCKET, .family = AF_UNIX, .type = SOCK_STREAM, .open_flags = O_RDWR };
	struct tale t = { 0 };

	(void)state;
	begin(&t, &socket, WORDS("use 0", "read 1000", "read 1000", "send xyz"));
	reads_exactly(&t, "abc", 3, 1000);
	reads_exactly(&t, "de", 2, 1000);
	tale_sends(&t, IN, 0, "xyz");
	tale_says(&t, "read 3 abc\nread 2 de\nsend 3\n");
	tale_exit(&t, 0);
	tale_is_identical(&t);
}

static void stdin_file(void **state)
{
	static const struct ev_object file = { .kind = OBJ_FILE, .path = "/home/nobody/data", .offset = 4 };
	struct tale t = { 0 };

	(void)state;
	begin(&t, &file, WORDS("use 0", "read 3", "read 1000", "read 1000"));
	tale_file(&t, "/home/nobody/data", "0123456789", 10, 0644);
	reads_exactly(&t, "456", 3, 3);
	reads_exactly(&t, "789", 3, 1000);
	reads_exactly(&t, "", 0, 1000);
	tale_says(&t, "read 3 456\nread 3 789\nread 0\n");
	tale_exit(&t, 0);
	tale_is_identical(&t);
}

/* The file's content is not in the capsule, what was read of it is. */
static void stdin_file_unknown(void **state)
{
	static const struct ev_object file = { .kind = OBJ_FILE, .path = "/home/nobody/data", .offset = 4 };
	struct tale t = { 0 };

	(void)state;
	begin(&t, &file, WORDS("use 0", "read 3", "read 1000", "read 1000"));
	reads_exactly(&t, "456", 3, 3);
	reads_exactly(&t, "789", 3, 1000);
	reads_exactly(&t, "", 0, 1000);
	tale_says(&t, "read 3 456\nread 3 789\nread 0\n");
	tale_exit(&t, 0);
	tale_is_identical(&t);
}

static void stdin_tty(void **state)
{
	const struct ev_object tty = { .kind = OBJ_TTY, .path = "/dev/pts/7", .rdev = makedev(136, 7), .open_flags = O_RDWR };
	static const uint8_t termios[60] = { 1, 2, 3 };
	struct tale t = { 0 };

	(void)state;
	begin(&t, &tty, WORDS("use 0", "isatty", "read 1000", "read 1000", "read 1000", "read 1000"));
	CALL(&t, SYS_ioctl, 0, .obj = IN, .args = { 0, 0x5401, 0x1000 }, .segs = { SEG(2, termios, 36) });
	reads_exactly(&t, "line\n", 5, 1000);
	reads_exactly(&t, "\x03" "raw", 4, 1000);
	reads_exactly(&t, "", 0, 1000);
	reads_exactly(&t, "more\n", 5, 1000);
	tale_says(&t, "isatty 1\nread 5 line\\x0a\nread 4 \\x03raw\nread 0\nread 5 more\\x0a\n");
	tale_exit(&t, 0);
	tale_is_identical(&t);
}

/* One terminal for all three. */
static void stdio_tty(void **state)
{
	static const int32_t fds[] = { 0, 1, 2 };
	struct outcome o;
	BARE_TALE(t);

	(void)state;
	t.argv[0] = (char *)script_program();
	t.argv[1] = (char *)"use 0";
	t.argv[2] = (char *)"read 100";
	tale_open(&t, t.argv);
	tale_object(&t, OBJ_OF(.id = IN, .kind = OBJ_TTY, .path = "/dev/pts/7", .rdev = makedev(136, 7), .open_flags = O_RDWR, .nfds = 3, .fds = fds));
	tale_exec(&t, t.argv[0], t.argv);
	tale_program(&t);
	tale_startup(&t);
	reads_exactly(&t, "line\n", 5, 100);
	tale_writes(&t, IN, 1, "read 5 line\\x0a\n");
	tale_exit(&t, 0);
	tale_replay_with(&t, &o, WORDS("-q"));
	if (o.status || strcmp(o.out, "read 5 line\\x0a\n"))
		fail_msg("status %d: %s%s", o.status, o.err, o.out);
}

/* An epoll that waits for a chunk of stdin, and for its end. */
static void stdin_pipe_epoll(void **state)
{
	static const struct ev_object pipe = { .kind = OBJ_PIPE };
	struct epoll_event in = { EPOLLIN, { .fd = 0 } }, hup = { EPOLLHUP, { .fd = 0 } };
	uint32_t in_ready[] = { IN, EPOLLIN }, hup_ready[] = { IN, EPOLLHUP };
	struct tale t = { 0 };

	(void)state;
	begin(&t, &pipe, WORDS("use 0", "epoll lt", "ewait 100", "ewait -1", "read 1000", "ewait 5000", "read 1000"));
	CALL(&t, SYS_epoll_wait, 0, .args = { 3, 0x1000, 8, 100 });
	CALL(&t, SYS_epoll_wait, 1, .args = { 3, 0x1000, 8, UINT32_MAX }, .segs = { SEG(1, &in, sizeof(in)), SEG(SEG_READY, in_ready, 8) });
	reads_exactly(&t, "abc", 3, 1000);
	CALL(&t, SYS_epoll_wait, 1, .args = { 3, 0x1000, 8, 5000 }, .segs = { SEG(1, &hup, sizeof(hup)), SEG(SEG_READY, hup_ready, 8) });
	reads_exactly(&t, "", 0, 1000);
	tale_says(&t, "ewait 0\newait 1\nevents 1 of 0\nread 3 abc\newait 1\nevents 10 of 0\nread 0\n");
	tale_exit(&t, 0);
	tale_is_identical(&t);
}

static void stdin_null(void **state)
{
	(void)state;
	TALE(t, "use 0", "read 100", "open /dev/null", "read 100", "create /dev/null", "write gone", "isatty");
	tale_says(&t, "read 0\nopen 3\nread 0\ncreate 4\nwrite 4\nisatty 0\n");
	tale_exit(&t, 0);
	tale_is_identical(&t);
}

static void no_fds_at_all(void **state)
{
	BARE_TALE(t);
	(void)state;
	tale_begin(&t, "open /dev/null", "exit 3", NULL);
	CALL(&t, SYS_write, -EBADF, .args = { 1, 0x1000, 7 });
	tale_exit(&t, 99 << 8);
	struct outcome o;
	tale_replay_with(&t, &o, NULL);
	if (o.status != 1)	/* flush() writes to /dev/null, which is fd 0 then, not to 1 */
		assert_int_equal(o.status, 0);
}

static void stdout_and_stderr_one_pipe(void **state)
{
	static const int32_t fds[] = { 1, 2 };
	struct outcome o;
	BARE_TALE(t);

	(void)state;
	t.argv[0] = (char *)script_program();
	t.argv[1] = (char *)"use 2";
	t.argv[2] = (char *)"write error";
	t.argv[3] = (char *)"use 1";
	t.argv[4] = (char *)"write out";
	tale_open(&t, t.argv);
	tale_object(&t, OBJ_OF(.id = OUT, .kind = OBJ_PIPE, .open_flags = O_WRONLY, .nfds = 2, .fds = fds));
	tale_exec(&t, t.argv[0], t.argv);
	tale_program(&t);
	tale_startup(&t);
	tale_writes(&t, OUT, 2, "error");
	tale_writes(&t, OUT, 1, "out");
	tale_says(&t, "write 5\nwrite 3\n");
	tale_exit(&t, 0);
	tale_replay_with(&t, &o, WORDS("-q"));
	if (o.status || strcmp(o.out, "outwrite 5\nwrite 3\n") || !strstr(o.err, "error"))
		fail_msg("status %d: %s%s", o.status, o.err, o.out);
}

static void stdout_file(void **state)
{
	struct outcome o;
	BARE_TALE(t);

	(void)state;
	t.argv[0] = (char *)script_program();
	t.argv[1] = (char *)"use 1";
	t.argv[2] = (char *)"write out";
	tale_open(&t, t.argv);
	tale_fd(&t, OUT, OBJ_OF(.kind = OBJ_FILE, .path = "/home/nobody/out", .open_flags = O_WRONLY), 1);
	tale_exec(&t, t.argv[0], t.argv);
	tale_program(&t);
	tale_file(&t, "/home/nobody/out", "", 0, 0644);
	tale_startup(&t);
	tale_writes(&t, OUT, 1, "out");
	tale_says(&t, "write 3\n");
	struct event e = { .kind = EV_OUTPUT, .file = { .path = "/home/nobody/out", .state = FILE_REGULAR, .mode = 0644, .size = 11,
			   .has_hash = true, .target = "" } };
	sha256_of("outwrite 3\n", 11, e.file.sha256);
	tale_event(&t, e);
	tale_exit(&t, 0);
	tale_replay_with(&t, &o, NULL);
	if (o.status || strcmp(o.out, "outwrite 3\n"))
		fail_msg("status %d: %s%s", o.status, o.err, o.out);
}

/* ---- randomness, clocks, /proc ------------------------------------------------------ */

static void random_bytes(void **state)
{
	(void)state;
	TALE(t, "random 4", "random 2", "open /dev/urandom", "read 5", "open /proc/cpuinfo", "read 100", "read 100");
	CALL(&t, SYS_getrandom, 4, .args = { 0x1000, 4, 0 }, .segs = { SEG(0, "\1\2\3\4", 4) });
	CALL(&t, SYS_getrandom, 2, .args = { 0x1000, 2, 0 }, .segs = { SEG(0, "\5\6", 2) });
	tale_object(&t, OBJ_OF(.id = SOCK, .kind = OBJ_CHR, .path = "/dev/urandom", .rdev = makedev(1, 9)));
	tale_reads(&t, SOCK, 3, "noise");
	tale_object(&t, OBJ_OF(.id = SOCK + 1, .kind = OBJ_SYNTH, .path = "/proc/cpuinfo"));
	tale_reads(&t, SOCK + 1, 4, "processor: 0");
	CALL(&t, SYS_read, 0, .obj = SOCK + 1, .args = { 4, 0x1000, 100 });
	tale_says(&t, "random 01 02 03 04\nrandom 05 06\nopen 3\nread 5 noise\nopen 4\nread 12 processor:\\x200\nread 0\n");
	tale_exit(&t, 0);
	tale_is_identical(&t);
}

/* The same file opened twice is the same object once more, read from its start. */
static void proc_file_twice(void **state)
{
	(void)state;
	TALE(t, "open /proc/stat", "read 100", "read 100", "close", "open /proc/stat", "read 100");
	tale_object(&t, OBJ_OF(.id = SOCK, .kind = OBJ_SYNTH, .path = "/proc/stat"));
	tale_reads(&t, SOCK, 3, "first");
	CALL(&t, SYS_read, 0, .obj = SOCK, .args = { 3, 0x1000, 100 });
	tale_reads(&t, SOCK, 3, "second");
	tale_says(&t, "open 3\nread 5 first\nread 0\nclose 0\nopen 3\nread 6 second\n");
	tale_exit(&t, 0);
	tale_is_identical(&t);
}

/* More than was recorded: misses, but every run makes up the same. */
static void beyond_the_record(void **state)
{
	struct outcome a, b;

	(void)state;
	TALE(t, "random 4", "random 4", "open /dev/urandom", "read 5", "clock", "clock", "clock real");
	CALL(&t, SYS_getrandom, 4, .args = { 0x1000, 4, 0 }, .segs = { SEG(0, "\1\2\3\4", 4) });
	tale_says(&t, "whatever");
	tale_exit(&t, 0);
	tale_replay_with(&t, &a, NULL);
	tale_replay_with(&t, &b, NULL);
	assert_int_equal(a.status, 1);
	assert_string_equal(a.out, b.out);
	assert_true(strstr(a.out, "random 01 02 03 04\n") != NULL);
	assert_true(json_number(&a, "misses") >= 3);
	assert_true(strstr(a.out, "clock 5.000") != NULL);
	assert_true(strstr(a.out, "clock 1700000000.") != NULL);
}

static void clocks(void **state)
{
	struct timespec one = { 77, 123456789 }, two = { 78, 5 }, real = { 1500000000, 42 }, own = { 99, 1 };

	(void)state;
	TALE(t, "clock", "clock real", "clock", "thread");
	CALL(&t, SYS_clock_gettime, 0, .args = { 1, 0x1000 }, .segs = { SEG(1, &one, 16) });
	CALL(&t, SYS_clock_gettime, 0, .args = { 0, 0x1000 }, .segs = { SEG(1, &real, 16) });
	CALL(&t, SYS_clock_gettime, 0, .args = { 1, 0x1000 }, .segs = { SEG(1, &two, 16) });
	tale_event(&t, (struct event){ .kind = EV_FORK, .fork = { .child = 2, .pid = TALE_PID, .tid = 4300, .thread = true } });
	t.task = 2;
	CALL(&t, SYS_clock_gettime, 0, .args = { 1, 0x1000 }, .segs = { SEG(1, &own, 16) });
	tale_event(&t, (struct event){ .kind = EV_EXIT, .exit = { 0 } });
	t.task = 1;
	tale_says(&t, "clock 77.123456789\nclock 1500000000.000000042\nclock 78.000000005\nthread 99.000000001\n");
	tale_exit(&t, 0);
	tale_is_identical(&t);
}

/* ---- files ---------------------------------------------------------------------------- */

static struct ev_file file_of(const char *path, uint8_t state, const char *content)
{
	struct ev_file f = { .path = path, .state = state, .mode = 0644, .target = "", .mtime = 1600000000000000000 };

	if (content) {
		f.size = strlen(content);
		f.has_hash = true;
		sha256_of(content, strlen(content), f.sha256);
	}
	return f;
}

static void output(struct tale *t, const char *path, uint8_t state, const char *content)
{
	tale_event(t, (struct event){ .kind = EV_OUTPUT, .file = file_of(path, state, content) });
}

static void write_host(const char *path, const char *content)
{
	FILE *f = fopen(path, "we");

	assert_non_null(f);
	fputs(content, f);
	fclose(f);
}

/* What the host has by now is neither seen nor changed. */
static void files_as_they_were(void **state)
{
	char there[160], absent[160], gone[160], open_there[180], open_absent[180], open_gone[180], stat_gone[180], unlink_gone[180], create[180];
	struct stat st;

	(void)state;
	snprintf(there, sizeof(there), "%s/there", tale_dir());
	snprintf(absent, sizeof(absent), "%s/absent", tale_dir());
	snprintf(gone, sizeof(gone), "%s/deep/er/gone", tale_dir());
	write_host(there, "new content");
	write_host(absent, "should not be seen");
	snprintf(open_there, sizeof(open_there), "open %s", there);
	snprintf(open_absent, sizeof(open_absent), "open %s", absent);
	snprintf(open_gone, sizeof(open_gone), "open %s", gone);
	snprintf(stat_gone, sizeof(stat_gone), "stat %s", gone);
	snprintf(unlink_gone, sizeof(unlink_gone), "unlink %s", gone);
	snprintf(create, sizeof(create), "create %s", there);
	TALE(t, open_there, "read 100", open_absent, open_gone, "read 100", stat_gone, unlink_gone, create, "write changed");
	tale_file(&t, there, "old", 3, 0600);
	tale_event(&t, (struct event){ .kind = EV_FILE, .file = file_of(absent, FILE_ABSENT, NULL) });
	tale_file(&t, gone, "deleted since", 13, 0640);
	output(&t, there, FILE_REGULAR, "changed");
	output(&t, gone, FILE_ABSENT, NULL);
	tale_says(&t, "open 3\nread 3 old\nopen ENOENT\nopen 4\nread 13 deleted\\x20since\nstat 100640 13 1600000000\nunlink 0\ncreate 5\nwrite 7\n");
	tale_exit(&t, 0);
	tale_is_identical(&t);
	assert_int_equal(stat(there, &st), 0);
	assert_int_equal(st.st_size, 11);
	unlink(there);
	unlink(absent);
}

static void outputs_compared(void **state)
{
	(void)state;
	TALE(t, "create /tmp/capsule-output", "write wrong");
	output(&t, "/tmp/capsule-output", FILE_REGULAR, "right");
	tale_says(&t, "create 3\nwrite 5\n");
	tale_exit(&t, 0);
	tale_ends(&t, 1, "diverged at file /tmp/capsule-output");

	TALE(u, "stat /nowhere");
	output(&u, "/tmp/capsule-output", FILE_REGULAR, "right");
	tale_says(&u, "stat ENOENT\n");
	tale_exit(&u, 0);
	tale_ends(&u, 1, "diverged at file /tmp/capsule-output");
}

static void image_changed(void **state)
{
	static const char *const allow[] = { "--allow-changed", NULL };
	struct outcome o;
	struct event e = { .kind = EV_FILE, .file = { .path = "/usr/bin/env", .state = FILE_REGULAR, .flags = FILE_IMAGE, .mode = 0755,
			   .size = 5, .has_hash = true, .target = "" } };
	uint8_t hash[SHA256_LEN];
	char now[SHA256_HEX], then[SHA256_HEX];
	struct err err = ERR_INIT;
	int fd = open("/usr/bin/env", O_RDONLY | O_CLOEXEC);

	(void)state;
	assert_works(err, sha256_fd(fd, hash, NULL, &err));
	close(fd);
	TALE(t, "pid");
	memset(e.file.sha256, 0xab, sizeof(e.file.sha256));
	sha256_hex(hash, now);
	sha256_hex(e.file.sha256, then);
	tale_event(&t, e);
	tale_says(&t, "pid 4242\n");
	tale_exit(&t, 0);
	tale_replay_with(&t, &o, NULL);
	if (o.status != 4 || !strstr(o.err, "/usr/bin/env") || !strstr(o.err, now) || !strstr(o.err, then) || strchr(o.err, '\n')[1])
		fail_msg("status %d: %s", o.status, o.err);
	tale_replay_with(&t, &o, allow);
	if (o.status != 0 || !strstr(o.err, "/usr/bin/env") || json_number(&o, "changed") != 1)
		fail_msg("status %d: %s", o.status, o.err);
}

static void hidden_directories(void **state)
{
	(void)state;
	TALE(t, "stat /etc", "open /etc/passwd", "read 4", "open /etc/hostname");
	tale_file(&t, "/etc/passwd", "mine", 4, 0644);
	tale_event(&t, (struct event){ .kind = EV_FILE, .file = { .path = "/etc/hostname", .state = FILE_SYMLINK, .mode = 0777, .size = 6, .target = "passwd" } });
	struct stat st;
	char says[200];
	stat("/etc", &st);
	snprintf(says, sizeof(says), "stat 40755 %ld %ld\nopen 3\nread 4 mine\nopen 4\n", (long)st.st_size, (long)st.st_mtime);
	tale_says(&t, says);
	tale_exit(&t, 0);
	struct outcome o;
	tale_replay_with(&t, &o, NULL);
	/* A directory's size is its file system's business. */
	if (o.status && !strstr(o.out, "open 3\nread 4 mine\nopen 4\n"))
		fail_msg("%s%s", o.err, o.out);
}

/* ---- divergences ------------------------------------------------------------------------ */

static void other_bytes(void **state)
{
	(void)state;
	TALE(t, "pid");
	tale_says(&t, "pid 4243\n");
	tale_exit(&t, 0);
	tale_ends(&t, 1, "diverged at stdout, byte 7: expected \"3\\n\", got \"2\\n\"");
}

static void missing_bytes(void **state)
{
	(void)state;
	TALE(t, "pid");
	tale_says(&t, "pid 4242\nand more");
	tale_exit(&t, 0);
	tale_ends(&t, 1, "diverged at stdout, byte 9: expected \"and more\", got \"(nothing more)\"");
}

static void more_bytes(void **state)
{
	(void)state;
	TALE(t, "pid", "pid");
	tale_says(&t, "pid 4242\n");
	tale_exit(&t, 0);
	tale_ends(&t, 1, "diverged at stdout, byte 9: expected \"\", got \"pid 4242\\n\"");
}

static void to_a_peer(void **state)
{
	(void)state;
	TALE(t, "socket inet stream", "connect 10.0.0.1:80", "send hallo", "recv 100");
	tale_socket(&t, SOCK, AF_INET, SOCK_STREAM, "10.0.0.2:5000", "10.0.0.1:80");
	tale_connects(&t, SOCK, 3, "10.0.0.1:80", 0);
	tale_sends(&t, SOCK, 3, "hello");
	tale_recvs(&t, SOCK, 3, "x", 1);
	tale_says(&t, "socket 3\nconnect 0\nsend 5\nrecv 1 x\n");
	tale_exit(&t, 0);
	tale_ends(&t, 1, "diverged at 10.0.0.1:80, byte 1: expected \"ello\", got \"allo\"");
}

static void exit_status(void **state)
{
	(void)state;
	TALE(t, "exit 3");
	tale_exit(&t, 0);
	tale_ends(&t, 1, "diverged at the command's end: expected \"exit status 0\", got \"exit status 3\"");
	TALE(u, "exit 3");
	tale_exit(&u, 3 << 8);
	tale_is_identical(&u);
}

static void killed(void **state)
{
	(void)state;
	TALE(t, "kill 9");
	tale_exit(&t, 0);
	tale_ends(&t, 1, "got \"killed by SIGKILL\"");
	TALE(u, "kill 15");
	tale_exit(&u, SIGTERM);
	tale_is_identical(&u);
}

static void one_wrong_run(void **state)
{
	struct outcome o;

	(void)state;
	TALE(t, "pid");
	tale_says(&t, "pid 1\n");
	tale_exit(&t, 0);
	tale_replay_with(&t, &o, WORDS("--runs", "3"));
	assert_int_equal(o.status, 1);
	assert_non_null(strstr(o.err, "0 of 3 runs identical"));
}

/* A connection and a read that were never recorded: misses, not hangs. */
static void changed_code(void **state)
{
	struct outcome o;

	(void)state;
	TALE(t, "socket inet stream", "connect 10.0.0.1:81", "recv 100", "close", "socket inet stream", "connect 10.0.0.1:80", "recv 100", "recv 100");
	tale_socket(&t, SOCK, AF_INET, SOCK_STREAM, "10.0.0.2:5000", "10.0.0.1:80");
	tale_connects(&t, SOCK, 3, "10.0.0.1:80", 0);
	tale_recvs(&t, SOCK, 3, "abc", 3);
	CALL(&t, SYS_recvfrom, 0, .obj = SOCK, .args = { 3, 0x1000, 100 });
	tale_says(&t, "socket 3\nconnect 0\nrecv 3 abc\nrecv 0\n");
	tale_exit(&t, 0);
	tale_replay_with(&t, &o, NULL);
	if (o.status != 1 || json_number(&o, "misses") < 1)
		fail_msg("status %d: %s%s", o.status, o.err, o.out);
}

/* ---- processes ---------------------------------------------------------------------------- */

static void forks(struct tale *t, uint32_t child, uint32_t pid)
{
	tale_event(t, (struct event){ .kind = EV_FORK, .fork = { .child = child, .pid = pid, .tid = pid } });
}

static void fork_and_wait(void **state)
{
	(void)state;
	TALE(t, "fork 7", "fork 8");
	forks(&t, 2, 5000);
	t.task = 2;
	tale_exit(&t, 7 << 8);
	t.task = 1;
	forks(&t, 3, 4500);
	t.task = 3;
	tale_exit(&t, 8 << 8);
	t.task = 1;
	tale_says(&t, "fork 5000\nwait 5000\nstatus 700\nfork 4500\nwait 4500\nstatus 800\n");
	tale_exit(&t, 0);
	tale_is_identical(&t);
}

static void child_diverges(void **state)
{
	(void)state;
	TALE(t, "fork 7");
	forks(&t, 2, 5000);
	t.task = 2;
	tale_exit(&t, 6 << 8);
	t.task = 1;
	tale_says(&t, "fork 5000\nwait 5000\nstatus 700\n");
	tale_exit(&t, 0);
	tale_ends(&t, 1, "diverged at the end of process 5000");
}

static void spawned(struct tale *t, const char *self)
{
	char *argv[] = { (char *)self, (char *)"pid", NULL };

	forks(t, 2, 6000);
	t->task = 2;
	tale_exec(t, self, argv);
	tale_startup(t);
	tale_says(t, "pid 6000\n");
	tale_exit(t, 0);
	t->task = 1;
	tale_says(t, "spawn 6000\nwait 6000\nstatus 0\n");
	tale_exit(t, 0);
	tale_is_identical(t);
}

static void vfork_and_spawn(void **state)
{
	static const char *const how[] = { "vfork", "spawn" };

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		char word[200];

		snprintf(word, sizeof(word), "%s %s pid", how[i], script_program());
		TALE(t, word);
		spawned(&t, script_program());
	}
}

/* A real shell: a pipeline of three, its bytes pass inside. */
static void pipeline(void **state)
{
	static char *argv[] = { (char *)"/bin/sh", (char *)"-c", (char *)"echo one two | tr o 0 | cat; exit 5", NULL };
	struct tale t = { 0 };
	struct outcome o;

	(void)state;
	tale_open(&t, argv);
	tale_stdio(&t);
	tale_exec(&t, "/bin/sh", argv);
	forks(&t, 2, 4243);
	forks(&t, 3, 4244);
	forks(&t, 4, 4245);
	t.task = 2;
	tale_exit(&t, 0);
	t.task = 3;
	tale_exec(&t, "/usr/bin/tr", (char *[]){ (char *)"tr", (char *)"o", (char *)"0", NULL });
	tale_exit(&t, 0);
	t.task = 4;
	tale_exec(&t, "/usr/bin/cat", (char *[]){ (char *)"cat", NULL });
	tale_says(&t, "0ne tw0\n");
	tale_exit(&t, 0);
	t.task = 1;
	tale_exit(&t, 5 << 8);
	tale_replay_with(&t, &o, NULL);
	if (o.status || strcmp(o.out, "0ne tw0\n"))
		fail_msg("status %d: %s%s", o.status, o.err, o.out);
}

/* A signal that came from outside while the program slept. */
static void signal_from_outside(void **state)
{
	(void)state;
	TALE(t, "catch 10", "sleep 100000", "signals");
	tale_event(&t, (struct event){ .kind = EV_SIGNAL, .signal = { .signo = SIGUSR1 } });
	CALL(&t, SYS_clock_nanosleep, -EINTR, .args = { 0, 0, 0x1000, 0x2000 });
	tale_says(&t, "sleep EINTR\nsignals 1\n");
	tale_exit(&t, 0);
	tale_is_identical(&t);

	TALE(u, "sleep 100000");
	tale_event(&u, (struct event){ .kind = EV_SIGNAL, .signal = { .signo = SIGTERM } });
	tale_exit(&u, SIGTERM);
	tale_is_identical(&u);
}

int main(int argc, char **argv)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(stdin_pipe),
		cmocka_unit_test(stdin_pipe_large),
		cmocka_unit_test(stdin_socket),
		cmocka_unit_test(stdin_file),
		cmocka_unit_test(stdin_file_unknown),
		cmocka_unit_test(stdin_tty),
		cmocka_unit_test(stdin_pipe_epoll),
		cmocka_unit_test(stdio_tty),
		cmocka_unit_test(stdin_null),
		cmocka_unit_test(no_fds_at_all),
		cmocka_unit_test(stdout_and_stderr_one_pipe),
		cmocka_unit_test(stdout_file),
		cmocka_unit_test(random_bytes),
		cmocka_unit_test(proc_file_twice),
		cmocka_unit_test(beyond_the_record),
		cmocka_unit_test(clocks),
		cmocka_unit_test(files_as_they_were),
		cmocka_unit_test(outputs_compared),
		cmocka_unit_test(image_changed),
		cmocka_unit_test(hidden_directories),
		cmocka_unit_test(other_bytes),
		cmocka_unit_test(missing_bytes),
		cmocka_unit_test(more_bytes),
		cmocka_unit_test(to_a_peer),
		cmocka_unit_test(exit_status),
		cmocka_unit_test(killed),
		cmocka_unit_test(one_wrong_run),
		cmocka_unit_test(changed_code),
		cmocka_unit_test(fork_and_wait),
		cmocka_unit_test(child_diverges),
		cmocka_unit_test(vfork_and_spawn),
		cmocka_unit_test(pipeline),
		cmocka_unit_test(signal_from_outside),
	};

	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
