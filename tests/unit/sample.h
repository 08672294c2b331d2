/* SPDX-License-Identifier: Apache-2.0 */
/* A manifest and one event of every kind with every field set: for round trips and for the golden capsules. */
#ifndef CAPSULE_TESTS_SAMPLE_H
#define CAPSULE_TESTS_SAMPLE_H

#include "format/capsule.h"

#include <stddef.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define BYTES(s) { (const uint8_t *)(s), sizeof(s) - 1 }

static char *sample_argv[] = { "/usr/bin/curl", "-s", "http://127.0.0.1/a b", "\xff\xfe", NULL };
static char *sample_env[] = { "PATH=/usr/bin:/bin", "NAME=J\xc3\xbcrgen", "EMPTY=", NULL };
static char *sample_dirs[] = { "/usr", "/bin", "/lib", NULL };
static char *sample_layers[] = { "sha256:2", "sha256:3", NULL };
static uint32_t sample_groups[] = { 0, 27, 4294967295u };

static const struct manifest sample_manifest = {
	.tool = "capsule 0.1", .uuid = "6b1f0a52-9c0e-4f0b-8f43-0d7d6f3a2b11",
	.created = 1753111845123456789, .monotonic = 86400000000001, .boottime = 86400000000002,
	.clocks = "exact", .attached = "cgroup /a/b", .limits = "10.000 s", .rootfs = "/", .image_dirs = sample_dirs, .argv = sample_argv, .env = sample_env,
	.cwd = "/root", .uid = 1000, .euid = 0, .gid = 1001, .egid = 1, .groups = sample_groups, .ngroups = 3,
	.umask = 022, .pid = 4242, .ppid = 4241, .pgid = 4240, .sid = 4239,
	.rlimits = { { 1, UINT64_MAX }, { 1024, 4096 } }, .nrlimits = 2,
	.hostname = "host", .domainname = "(none)", .sysname = "Linux", .release = "6.1.0", .version = "#1 SMP",
	.machine = "x86_64", .cpu_model = "A \"CPU\"", .ncpus = 2, .aslr = true, .declines = true,
	.signature = "", .replay_of = "", .image = "oci:here:tag", .image_manifest = "sha256:0", .image_config = "sha256:1",
	.image_layers = sample_layers,
};

static const char *const sample_exec_argv[] = { "curl", "", "tab\tand \xe2\x82\xac" };
static const char *const sample_exec_env[] = { "A=1", "B=\x80" };
static const int32_t sample_fds[] = { 0, 1, 2147483647 };

static const struct event sample_events[] = {
	{ .kind = EV_EXEC, .time = 1000, .task = 1,
	  .exec = { .path = "/usr/bin/curl", .at_random = "0123456789abcde", .argc = 3, .envc = 2,
		    .argv = sample_exec_argv, .env = sample_exec_env, .cwd = "/root", .vdso = 5 } },
	{ .kind = EV_OBJECT, .time = 1001, .task = 1,
	  .object = { .id = 1, .kind = OBJ_SOCKET, .family = 2, .type = 1, .protocol = 6,
		      .local = BYTES("\x02\0\xc3\x50\x7f\0\0\x01\0\0\0\0\0\0\0\0"),
		      .remote = BYTES("\x02\0\0\x50\x7f\0\0\x01\0\0\0\0\0\0\0\0"), .path = "" } },
	{ .kind = EV_OBJECT, .time = 1001, .task = 0,
	  .object = { .id = 4294967295u, .kind = OBJ_FILE, .path = "/dev/\x01\xff", .rdev = UINT64_MAX, .open_flags = 2050,
		      .offset = 1ull << 40, .nfds = 3, .fds = sample_fds } },
	{ .kind = EV_FILE, .time = 1500, .task = 1,
	  .file = { .path = "/etc/resolv.conf", .state = FILE_REGULAR, .flags = FILE_CONTENT | FILE_CHANGED, .mode = 04755,
		    .uid = 1, .gid = 2, .size = 10, .mtime = -1, .has_hash = true, .sha256 = "hash of something, 32 bytes long", .target = "" } },
	{ .kind = EV_FILE, .time = 1500, .task = 1,
	  .file = { .path = "/etc/link", .state = FILE_SYMLINK, .mode = 0777, .size = 7, .mtime = 1753111845123456789,
		    .target = "../else" } },
	{ .kind = EV_FILE, .time = 1500, .task = 1, .file = { .path = "/nothing", .target = "" } },
	{ .kind = EV_CALL, .time = 1400, .task = 2,	/* before the one above: another CPU's clock */
	  .call = { .nr = 0, .ret = 5, .args = { 3, 0x7ffff7a00000, 16384 }, .obj = 1, .nsegs = 2,
		    .segs = { { 1, 0, 5, (const uint8_t *)"he\0lo", { 0 } },
			      { SEG_REMOTE, 7, 2, (const uint8_t *)"\x02\0", { 0 } } } } },
	{ .kind = EV_CALL, .time = 1600, .task = 2,
	  .call = { .nr = 288, .flags = CALL_PARTIAL, .ret = INT64_MIN, .args = { UINT64_MAX, 0, 0, 1 }, .obj = 2, .obj2 = 3,
		    .nsegs = 1, .segs = { { SEG_LOCAL, 65535, 0, (const uint8_t *)"", { 0 } } } } },
	{ .kind = EV_CALL, .time = 1700, .task = 2, .call = { .nr = 24 } },
	{ .kind = EV_CALL, .time = 1700, .task = 2,
	  .call = { .nr = 228, .args = { 1, 0x7fff00000000 }, .nsegs = 1,
		    .segs = { { 1, 0, 16, (const uint8_t *)"\x39\x30\0\0\0\0\0\0\x15\xcd\x5b\x07\0\0\0\0", { 0 } } } } },
	{ .kind = EV_FORK, .time = 2000, .task = 1, .fork = { .child = 2, .pid = 43, .tid = 44, .thread = true } },
	{ .kind = EV_SIGNAL, .time = 2100, .task = 2, .signal = { .signo = 15, .code = -6 } },
	{ .kind = EV_OUTPUT, .time = 2200, .task = 0,
	  .file = { .path = "/tmp/out", .state = FILE_REGULAR, .flags = FILE_UNREAD, .mode = 0644, .size = INT64_MAX,
		    .target = "" } },
	{ .kind = EV_HOLE, .time = 2300, .task = 1,
	  .hole = { .what = "memory", .where = "read(3)", .why = "the page was not there", .count = UINT64_MAX } },
	{ .kind = EV_EXIT, .time = 9000000000, .task = 1, .exit = { .status = 0x0100, .group = true } },
};

static const struct capsule_end sample_end = {
	.duration = 9000000001, .lost = 3, .holes = 1, .status = 0x0100,
};

#endif
