/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/doctor.h"

#include "sandbox/sandbox.h"

#include "format/cleanup.h"
#include "format/io.h"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/capability.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

/* Newer than Debian 12's headers or hidden there; values from the kernel's uapi. */
#ifndef SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
#define SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV (1UL << 5)
#endif
#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x00000080
#endif
#define CAP_NR_PERFMON 38	/* linux/capability.h */
#define CAP_NR_BPF 39

/* ---- recording ----------------------------------------------------------- */

static int has_btf(struct err *err)
{
	if (access("/sys/kernel/btf/vmlinux", R_OK) < 0)
		return err_sys(err, errno, "/sys/kernel/btf/vmlinux");
	return 0;
}

static int has_cap(int cap, const char *name, struct err *err)
{
	cap_flag_value_t value = CAP_CLEAR;
	cap_t caps = cap_get_proc();

	if (caps)
		cap_get_flag(caps, cap, CAP_EFFECTIVE, &value);
	cap_free(caps);
	return value == CAP_SET ? 0 : err_set(err, EPERM, "%s is not in effect", name);
}

static int has_cap_bpf(struct err *err)
{
	return has_cap(CAP_NR_BPF, "CAP_BPF", err);
}

static int has_cap_perfmon(struct err *err)
{
	return has_cap(CAP_NR_PERFMON, "CAP_PERFMON", err);
}

static int has_cap_ptrace(struct err *err)
{
	return has_cap(CAP_SYS_PTRACE, "CAP_SYS_PTRACE", err);
}

/* Loads the smallest program of the kind that the recorder lives on, without attaching it. */
static int has_tp_btf(struct err *err)
{
	const struct bpf_insn insns[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = 0 },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .expected_attach_type = BPF_TRACE_RAW_TP);

	libbpf_set_print(NULL);
	int id = libbpf_find_vmlinux_btf_id("sys_exit", BPF_TRACE_RAW_TP);
	if (id < 0)
		return err_sys(err, -id, "no BTF for the tracepoint sys_exit");
	opts.attach_btf_id = (__u32)id;
	_cleanup_fd_ int fd = bpf_prog_load(BPF_PROG_TYPE_TRACING, "doctor", "GPL", insns, 2, &opts);
	if (fd < 0)
		return err_sys(err, -fd, "loading a tp_btf/sys_exit program");
	return 0;
}

static int has_ring(struct err *err)
{
	_cleanup_fd_ int fd = bpf_map_create(BPF_MAP_TYPE_RINGBUF, "doctor", 0, 0, 1 << 20, NULL);

	return fd < 0 ? err_sys(err, errno, "creating a BPF ring buffer") : 0;
}

/* A missing file means that securityfs is not mounted or that there is no lockdown: nothing is known against it. */
static int no_lockdown(struct err *err)
{
	_cleanup_free_ char *text = NULL;

	if (io_slurp("/sys/kernel/security/lockdown", 256, &text, NULL) == 0 && strstr(text, "[confidentiality]"))
		return err_set(err, EPERM, "the kernel is locked down for confidentiality: BPF may not read memory");
	return 0;
}

/* The recorder writes into a new program's vDSO, which is read-only to the program itself. */
static int writes_memory(struct err *err)
{
	unsigned long vdso = getauxval(AT_SYSINFO_EHDR);
	char byte;

	if (!vdso)
		return err_set(err, ENOENT, "the kernel gives programs no vDSO");
	_cleanup_fd_ int fd = open("/proc/self/mem", O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return err_sys(err, errno, "/proc/self/mem");
	if (pread(fd, &byte, 1, (off_t)vdso) != 1 || pwrite(fd, &byte, 1, (off_t)vdso) != 1)
		return err_sys(err, errno, "writing to the vDSO through /proc/self/mem");
	return 0;
}

/* ---- replaying ----------------------------------------------------------- */

static int write_text(const char *path, const char *text)
{
	_cleanup_fd_ int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	return io_write(fd, text, strlen(text));
}

/* Into a new user namespace, as its root, and the other namespaces of @flags. */
static int enter(int flags, struct err *err)
{
	char map[32];
	uid_t uid = geteuid();
	gid_t gid = getegid();

	if (unshare(CLONE_NEWUSER | flags) < 0)
		return err_sys(err, errno, "unshare(CLONE_NEWUSER%s)", flags ? " and others" : "");
	snprintf(map, sizeof(map), "0 %u 1", uid);
	int r = write_text("/proc/self/uid_map", map);
	if (r == 0)
		r = write_text("/proc/self/setgroups", "deny");
	snprintf(map, sizeof(map), "0 %u 1", gid);
	if (r == 0)
		r = write_text("/proc/self/gid_map", map);
	return r < 0 ? err_sys(err, -r, "mapping this user into a new user namespace") : 0;
}

static int has_userns(struct err *err)
{
	int r = enter(CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS, err);

	/* An engine's filter may let them be made, and no use be made of them. */
	return r == 0 && sethostname("capsule", 7) < 0 ? err_sys(err, errno, "setting a host name in them") : r;
}

static int has_overlay(struct err *err)
{
	int r = enter(CLONE_NEWNS, err);

	if (r < 0)
		return r;
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 || mount("tmpfs", "/proc", "tmpfs", 0, NULL) < 0)
		return err_sys(err, errno, "mounting a tmpfs in a user namespace");
	/* /proc is everywhere, and not needed here any more. */
	if (mkdir("/proc/upper", 0755) < 0 || mkdir("/proc/work", 0755) < 0 || mkdir("/proc/merged", 0755) < 0)
		return err_sys(err, errno, "mkdir");
	if (mount("overlay", "/proc/merged", "overlay", 0, "lowerdir=/usr,upperdir=/proc/upper,workdir=/proc/work,userxattr") < 0)
		return err_sys(err, errno, "mounting an overlay over /usr in a user namespace");
	return 0;
}

static int has_netns(struct err *err)
{
	struct ifreq lo = { .ifr_name = "lo", .ifr_flags = IFF_UP };
	int r = enter(CLONE_NEWNET, err);

	if (r < 0)
		return r;
	_cleanup_fd_ int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || ioctl(fd, SIOCSIFFLAGS, &lo) < 0)
		return err_sys(err, errno, "bringing up the loopback of a new network namespace");
	return 0;
}

static int has_notify(struct err *err)
{
	struct sock_filter allow = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	struct sock_fprog prog = { .len = 1, .filter = &allow };
	unsigned long flags = SECCOMP_FILTER_FLAG_NEW_LISTENER | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV |
			      SECCOMP_FILTER_FLAG_SPEC_ALLOW;

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return err_sys(err, errno, "no_new_privs");
	if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &prog) < 0)
		return err_sys(err, errno, "seccomp user notification with WAIT_KILLABLE_RECV");
	return 0;
}

static int has_ptrace(struct err *err)
{
	pid_t pid = fork();

	if (pid == 0) {
		pause();
		_exit(0);
	}
	long r = pid < 0 ? -1 : ptrace(PTRACE_SEIZE, pid, 0, PTRACE_O_EXITKILL);
	int code = errno;

	if (pid > 0) {
		kill(pid, SIGKILL);
		waitpid(pid, NULL, __WALL);
	}
	return r < 0 ? err_sys(err, code, "ptrace(PTRACE_SEIZE) of a child") : 0;
}

/* As pid 1 of a pid namespace: a child gets the pid that we choose, by the /proc of the namespace. */
static int choose_a_pid(void)
{
	pid_t pid;

	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 || mount("proc", "/proc", "proc", 0, NULL) < 0)
		return -errno;
	int r = write_text("/proc/sys/kernel/ns_last_pid", "4320");
	if (r < 0)
		return r;
	pid = fork();
	if (pid == 0)
		_exit(0);
	return pid == 4321 ? 0 : -EIO;
}

static int has_pids(struct err *err)
{
	int status = 0, r = enter(CLONE_NEWPID | CLONE_NEWNS, err);
	pid_t init;

	if (r < 0)
		return r;
	init = fork();
	if (init == 0)
		_exit(-choose_a_pid());
	if (init < 0 || waitpid(init, &status, 0) < 0)
		return err_sys(err, errno, "a process in a new pid namespace");
	if (status != 0)
		return err_sys(err, WIFEXITED(status) ? WEXITSTATUS(status) : EIO,
			       "choosing a pid by ns_last_pid in a new pid namespace");
	return 0;
}

static int has_timens(struct err *err)
{
	int r = enter(CLONE_NEWTIME, err);

	if (r < 0)
		return r;
	r = write_text("/proc/self/timens_offsets", "boottime 86400 0");
	return r < 0 ? err_sys(err, -r, "/proc/self/timens_offsets") : 0;
}

static int has_cycle_trap(struct err *err)
{
	return sandbox_traps_cycles() ? 0 : err_set(err, ENOTSUP, "programs can read it here whatever the kernel says");
}

#define AS_ROOT "run it as root, or: setcap cap_bpf,cap_perfmon,cap_sys_ptrace+ep $(command -v capsule)"

const struct doctor_check doctor_checks[] = {
	{ DOCTOR_RECORD, true, "BTF", "the kernel describes itself: lets one BPF program fit any kernel", has_btf,
	  "boot a kernel built with CONFIG_DEBUG_INFO_BTF=y (Debian's and Ubuntu's own kernels are)" },
	{ DOCTOR_RECORD, true, "CAP_BPF", "loading BPF programs", has_cap_bpf, AS_ROOT },
	{ DOCTOR_RECORD, true, "CAP_PERFMON", "attaching them to tracepoints, reading the program's memory",
	  has_cap_perfmon, AS_ROOT },
	{ DOCTOR_RECORD, true, "CAP_SYS_PTRACE", "writing into the vDSO of each new program, so that clocks are seen",
	  has_cap_ptrace, AS_ROOT },
	{ DOCTOR_RECORD, true, "tp_btf", "the one hook at the end of every system call", has_tp_btf,
	  "if everything above is ok: boot a kernel of 5.15 or later with CONFIG_BPF_SYSCALL=y and CONFIG_FTRACE_SYSCALLS=y" },
	{ DOCTOR_RECORD, true, "ring buffer", "the way from the kernel to the recorder", has_ring,
	  "if everything above is ok: boot a kernel of 5.15 or later" },
	{ DOCTOR_RECORD, true, "lockdown", "BPF programs may read memory", no_lockdown,
	  "boot with lockdown=integrity or without lockdown=" },
	{ DOCTOR_RECORD, true, "/proc/PID/mem", "redirecting the vDSO", writes_memory,
	  "boot without proc_mem.force_override=never" },

	{ DOCTOR_REPLAY, true, "user namespaces", "walls without root", has_userns,
	  "as root: sysctl -w user.max_user_namespaces=10000 kernel.unprivileged_userns_clone=1 "
	  "(in a container: run it with --security-opt seccomp=unconfined)" },
	{ DOCTOR_REPLAY, true, "overlay", "recorded files over the root file system", has_overlay,
	  "as root: modprobe overlay (5.11 or later); on Ubuntu also sysctl -w kernel.apparmor_restrict_unprivileged_userns=0" },
	{ DOCTOR_REPLAY, true, "private network", "every recorded address is local", has_netns,
	  "as root: sysctl -w user.max_net_namespaces=10000; on Ubuntu also kernel.apparmor_restrict_unprivileged_userns=0" },
	{ DOCTOR_REPLAY, true, "user notification", "answering system calls from the capsule", has_notify,
	  "boot a kernel of 5.19 or later with CONFIG_SECCOMP_FILTER=y (in a container: --security-opt seccomp=unconfined)" },
	{ DOCTOR_REPLAY, true, "ptrace", "following the program's processes, setting up each new program", has_ptrace,
	  "as root: sysctl -w kernel.yama.ptrace_scope=1" },
	{ DOCTOR_REPLAY, true, "chosen pids", "processes get their recorded pids", has_pids,
	  "boot a kernel of 5.9 or later built with CONFIG_CHECKPOINT_RESTORE=y; as root: sysctl -w user.max_pid_namespaces=10000" },
	{ DOCTOR_REPLAY, false, "time namespace", "without it CLOCK_BOOTTIME starts elsewhere for code that asks the kernel itself",
	  has_timens, "boot a kernel built with CONFIG_TIME_NS=y" },
	{ DOCTOR_REPLAY, false, "cycle counter", "without its trap a program that reads it (rdtsc) sees this machine's",
	  has_cycle_trap, "replay outside of this virtual machine, or in another hypervisor's" },
	{ 0 }
};
