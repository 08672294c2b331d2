/* SPDX-License-Identifier: Apache-2.0 */
/*
 * escape WAY [ARG]...: tries to get out of where it runs, or to break who keeps it in.  A line for each try, "kept"
 * or "OUT"; "END" when there is nothing more to try.
 */
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/bpf.h>
#include <linux/filter.h>
#include <linux/io_uring.h>
#include <linux/perf_event.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static char **args;

/* @got: it worked, which it must not. */
static void tell(const char *what, int got)
{
	printf("%s %s: %s\n", got ? "OUT" : "kept", what, got ? "it worked" : strerror(errno));
	fflush(stdout);
}
#define REFUSED(what, call) do { errno = 0; tell(what, (call) >= 0); } while (0)

/* ---- the host's network ----------------------------------------------------------- */

static int hears_secret(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	char buf[256] = "";

	if (write(fd, "GET / HTTP/1.0\r\n\r\n", 18) < 0 || poll(&p, 1, 2000) <= 0)
		return 0;
	return read(fd, buf, sizeof(buf) - 1) > 0 && strstr(buf, args[0]);
}

static void way_loopback(void)		/* SECRET PORT */
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(atoi(args[1])), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct sockaddr_in6 b = { .sin6_family = AF_INET6, .sin6_port = a.sin_port, .sin6_addr = IN6ADDR_LOOPBACK_INIT };
	int fd = socket(AF_INET, SOCK_STREAM, 0), six = socket(AF_INET6, SOCK_STREAM, 0);

	errno = 0;
	tell("the host's loopback", connect(fd, (void *)&a, sizeof(a)) == 0 && hears_secret(fd));
	tell("the same by IPv6", connect(six, (void *)&b, sizeof(b)) == 0 && hears_secret(six));
	REFUSED("a raw socket", socket(AF_INET, SOCK_RAW, IPPROTO_ICMP));
	REFUSED("a packet socket", socket(AF_PACKET, SOCK_RAW, 0));
}

static void way_abstract(void)		/* SECRET NAME */
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	strncpy(a.sun_path + 1, args[1], sizeof(a.sun_path) - 2);
	errno = 0;
	tell("an abstract socket", connect(fd, (void *)&a, (socklen_t)(sizeof(sa_family_t) + 1 + strlen(args[1]))) == 0 && hears_secret(fd));
	if (!args[2])
		return;
	strncpy(a.sun_path, args[2], sizeof(a.sun_path) - 1);
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	errno = 0;
	tell("a socket by its path", connect(fd, (void *)&a, sizeof(a)) == 0 && hears_secret(fd));
}

/* ---- who keeps us in ---------------------------------------------------------------- */

static void touch_process(pid_t pid)
{
	char path[64];
	long word = 0x4141414141414141;
	struct iovec here = { &word, sizeof(word) }, there = { (void *)0x400000, sizeof(word) };
	static const char *const files[] = { "mem", "root", "cwd", "exe", "environ", "ns/mnt", "ns/user", "fd/0" };

	REFUSED("ptrace of it", ptrace(PTRACE_SEIZE, pid, 0, 0));
	REFUSED("writing to its memory", process_vm_writev(pid, &here, 1, &there, 1, 0));
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		snprintf(path, sizeof(path), "/proc/%d/%s", pid, files[i]);
		REFUSED(path, open(path, i == 0 ? O_RDWR : O_RDONLY));
	}
	REFUSED("its limits", prlimit(pid, RLIMIT_NOFILE, &(struct rlimit){ 0, 0 }, NULL));
	REFUSED("a descriptor of it", syscall(SYS_pidfd_getfd, syscall(SYS_pidfd_open, pid, 0), 1, 0));
	kill(pid, SIGKILL);
	kill(pid, SIGSTOP);
	usleep(1000);
	tell("killing it", kill(pid, 0) < 0 && errno == ESRCH);
}

static void way_supervisor(void)
{
	DIR *proc = opendir("/proc");
	struct dirent *d;
	int others = 0;

	while ((d = readdir(proc)))
		others += atoi(d->d_name) > 1 && atoi(d->d_name) != getpid() && atoi(d->d_name) != (int)gettid();
	errno = 0;
	tell("seeing a process of the host", others > 0);
	touch_process(1);
	if (getppid() > 1)
		touch_process(getppid());
	/* The host's own pid of it, as the test says. */
	if (args[0]) {
		pid_t pid = atoi(args[0]);

		REFUSED("a signal to the host's process", kill(pid, SIGKILL));
		REFUSED("ptrace of the host's process", ptrace(PTRACE_ATTACH, pid, 0, 0));
	}
	signal(SIGUSR1, SIG_IGN);
	kill(-1, SIGUSR1);
	kill(0, SIGUSR1);
}

/* ---- the kernel's ways ----------------------------------------------------------------- */

static void way_mounts(void)
{
	REFUSED("mount", mount("tmpfs", "/tmp", "tmpfs", 0, NULL));
	REFUSED("a bind mount", mount("/", "/tmp", NULL, MS_BIND | MS_REC, NULL));
	REFUSED("a remount", mount(NULL, "/", NULL, MS_REMOUNT | MS_BIND, NULL));
	REFUSED("umount", umount2("/proc", MNT_DETACH));
	REFUSED("fsopen", syscall(SYS_fsopen, "tmpfs", 0));
	REFUSED("open_tree", syscall(SYS_open_tree, AT_FDCWD, "/", 1));
	REFUSED("pivot_root", syscall(SYS_pivot_root, ".", "."));
	REFUSED("chroot", chroot("/tmp"));
	REFUSED("open_by_handle_at", syscall(SYS_open_by_handle_at, AT_FDCWD, "\x08\0\0\0\x01\0\0\0\x02\0\0\0\0\0\0", O_RDONLY));
}

static struct clone_args flags_that_change = { .exit_signal = SIGCHLD };
static void *change_flags(void *end)
{
	while (!*(volatile int *)end) {
		__atomic_store_n(&flags_that_change.flags, CLONE_NEWUSER, __ATOMIC_SEQ_CST);
		__atomic_store_n(&flags_that_change.flags, 0, __ATOMIC_SEQ_CST);
	}
	return NULL;
}

/* A user namespace of its own? */
static int is_apart(const char *before)
{
	char now[64] = "";

	return readlink("/proc/self/ns/user", now, sizeof(now) - 1) > 0 && strcmp(now, before) != 0;
}

/* Flags that are one thing when they are looked at, and another when they are used. */
static void race_for_a_namespace(void)
{
	char before[64] = "";
	pthread_t thread;
	int end = 0, out = 0, status;

	(void)!readlink("/proc/self/ns/user", before, sizeof(before) - 1);
	pthread_create(&thread, NULL, change_flags, &end);
	for (int i = 0; i < 300; i++) {
		long pid = syscall(SYS_clone3, &flags_that_change, sizeof(flags_that_change));

		if (pid == 0)
			_exit(is_apart(before));
		if (pid > 0 && waitpid((pid_t)pid, &status, 0) == pid)
			out |= status != 0;
	}
	end = 1;
	pthread_join(thread, NULL);
	errno = 0;
	tell("a race for a user namespace", out);
}

static void way_namespaces(void)
{
	static const struct { const char *name; int flag; } kinds[] = {
		{ "user", CLONE_NEWUSER }, { "mnt", CLONE_NEWNS }, { "net", CLONE_NEWNET }, { "pid", CLONE_NEWPID },
		{ "ipc", CLONE_NEWIPC }, { "uts", CLONE_NEWUTS }, { "cgroup", CLONE_NEWCGROUP }, { "time", 0x80 },
	};
	char path[64];

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		struct clone_args how = { .flags = (unsigned int)kinds[i].flag, .exit_signal = SIGCHLD };
		long pid;

		REFUSED(kinds[i].name, unshare(kinds[i].flag));
		errno = 0;
		pid = syscall(SYS_clone3, &how, sizeof(how));
		if (pid == 0)
			_exit(0);
		tell("clone3 of it", pid > 0);
		errno = 0;
		pid = syscall(SYS_clone, kinds[i].flag | SIGCHLD, 0, 0, 0, 0);
		if (pid == 0)
			_exit(0);
		tell("clone of it", pid > 0 && kinds[i].flag != 0x80);	/* there it is a part of the signal's number */
		snprintf(path, sizeof(path), "/proc/self/ns/%s", kinds[i].name);
		REFUSED("setns", setns(open(path, O_RDONLY), 0));
	}
	while (wait(NULL) > 0)
		;
	race_for_a_namespace();
}

static void way_kernel(void)
{
	union bpf_attr bpf = { .map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 4, .max_entries = 1 };
	struct perf_event_attr perf = { .type = PERF_TYPE_SOFTWARE, .size = sizeof(perf) };
	struct io_uring_params ring = { 0 };
	struct sock_filter allow = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	struct sock_fprog prog = { 1, &allow };

	REFUSED("keyctl", syscall(SYS_keyctl, 0, -3, 1));
	REFUSED("add_key", syscall(SYS_add_key, "user", "x", "y", 1, -3));
	REFUSED("request_key", syscall(SYS_request_key, "user", "x", NULL, -3));
	REFUSED("bpf", syscall(SYS_bpf, BPF_MAP_CREATE, &bpf, sizeof(bpf)));
	REFUSED("perf_event_open", syscall(SYS_perf_event_open, &perf, 0, -1, -1, 0));
	REFUSED("userfaultfd", syscall(SYS_userfaultfd, O_CLOEXEC));
	REFUSED("io_uring_setup", syscall(SYS_io_uring_setup, 4, &ring));
	REFUSED("a second listener", syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &prog));
	REFUSED("init_module", syscall(SYS_init_module, "", 0, ""));
	REFUSED("kexec_load", syscall(SYS_kexec_load, 0, 0, NULL, 0));
	REFUSED("reboot", syscall(SYS_reboot, 0xfee1dead, 672274793, 0, NULL));
	REFUSED("swapon", syscall(SYS_swapon, "/tmp", 0));
	REFUSED("settimeofday", syscall(SYS_settimeofday, &(struct timeval){ 1, 0 }, NULL));
	REFUSED("sethostname", sethostname("evil", 4));
	REFUSED("iopl", syscall(SYS_iopl, 3));
	REFUSED("syslog", syscall(SYS_syslog, 3, args, 0));
	REFUSED("acct", syscall(SYS_acct, "/tmp/acct"));
	REFUSED("quotactl", syscall(SYS_quotactl, 0, "/", 0, NULL));
	REFUSED("setuid", setuid(getuid() + 1));
	REFUSED("typing into the terminal", ioctl(0, TIOCSTI, "x"));
}

static void way_files(void)		/* PATH of the host's... */
{
	static const char *const devices[] = { "/dev/mem", "/dev/kmem", "/dev/kmsg", "/dev/port", "/dev/kvm", "/dev/sda", "/dev/vda", "/dev/fuse" };
	static const char *const settings[] = {
		"/proc/sys/kernel/core_pattern", "/proc/sys/kernel/hostname", "/proc/sys/kernel/modprobe", "/proc/sys/vm/drop_caches",
		"/proc/sys/kernel/ns_last_pid", "/proc/sys/net/ipv4/ip_forward", "/proc/sys/user/max_user_namespaces", "/proc/sysrq-trigger",
		"/sys/kernel/uevent_helper", "/sys/power/state", "/sys/fs/cgroup/cgroup.procs",
	};

	for (size_t i = 0; i < sizeof(devices) / sizeof(devices[0]); i++)
		REFUSED(devices[i], open(devices[i], O_RDONLY));
	REFUSED("a device node", mknod("/tmp/node", S_IFCHR | 0666, makedev(1, 1)));
	REFUSED("a block device", mknod("/dev/shm/node", S_IFBLK | 0666, makedev(254, 0)));
	for (size_t i = 0; i < sizeof(settings) / sizeof(settings[0]); i++)
		REFUSED(settings[i], open(settings[i], O_WRONLY));
	/* What is the host's may seem to be written: the test looks whether it was. */
	for (char **p = args; *p; p++) {
		int fd = open(*p, O_WRONLY | O_TRUNC);

		if (fd >= 0 && write(fd, "evil", 4) == 4)
			printf("wrote %s\n", *p);
		chmod(*p, 04777);
		rename("/tmp", *p);
		unlink(*p);
	}
}

/* Where the supervisor will look for what the program should have left. */
static void way_links(void)		/* PATH TARGET */
{
	char deep[4096];

	unlink(args[0]);
	tell("planting a link", symlink(args[1], args[0]) < 0 && 0);
	mkdir("/tmp/planted", 0777);
	symlink("/proc/1/root", "/tmp/planted/root");
	symlink("/proc/self/fd", "/tmp/planted/fds");
	symlink("loop", "/tmp/planted/loop");
	symlink("../../../../../../../../etc", "/tmp/planted/etc");
	mkfifo("/tmp/planted/fifo", 0666);
	link("/etc/passwd", "/tmp/planted/hard");
	strcpy(deep, "/tmp/planted");
	for (int i = 0; i < 500 && strlen(deep) < 4000; i++) {
		strcat(deep, "/d");
		mkdir(deep, 0777);
	}
	for (int i = 0; i < 2000; i++) {
		snprintf(deep, sizeof(deep), "/tmp/planted/\033[2Jname\n%d", i);
		close(open(deep, O_CREAT | O_WRONLY, 0666));
	}
	/* A directory that can't be read, and one that is somebody else's way. */
	mkdir("/tmp/planted/closed", 0);
	rename("/tmp/planted/etc", "/tmp/planted/closed");
}

/* ---- too much of something ---------------------------------------------------------------- */

static void way_disk(void)
{
	static char block[1 << 20];
	long long total = 0;
	ssize_t n = 0;

	memset(block, 'x', sizeof(block));
	for (int i = 0; i < 64 && n >= 0; i++) {
		char name[64];

		snprintf(name, sizeof(name), i % 2 ? "/tmp/full-%d" : "/dev/shm/full-%d", i);
		int fd = open(name, O_CREAT | O_WRONLY, 0666);

		if (fd < 0)
			break;
		while (total < 64ll << 30 && (n = write(fd, block, sizeof(block))) > 0)
			total += n;
		close(fd);
	}
	printf("%s filling the disk: %s after %lld MiB\n", total < 64ll << 30 ? "kept" : "OUT", strerror(errno), total >> 20);
}

static int bomb(void)
{
	int refused = 0;

	for (;;) {
		pid_t pid = fork();

		if (pid < 0) {
			if (++refused > 20)
				return 0;
			usleep(1000);
		}
	}
}

static void way_forkbomb(void)
{
	for (int i = 0; i < 100000; i++) {
		pid_t pid = fork();

		if (pid < 0) {
			printf("kept forking: %s after %d\n", strerror(errno), i);
			break;
		}
		if (pid == 0) {
			signal(SIGTERM, SIG_IGN);
			if (i % 64 == 0)
				bomb();
			pause();
		}
	}
	printf("END\n");
	fflush(stdout);
	_exit(0);
}

static void way_memory(void)
{
	for (size_t n = 0;; n += 16 << 20) {
		char *p = mmap(NULL, 16 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		if (p == MAP_FAILED) {
			tell("taking memory", 0);
			return;
		}
		memset(p, 1, 16 << 20);
		if (n > 256ll << 30) {
			tell("taking memory", 1);
			return;
		}
	}
}

static void way_cpu(void)
{
	for (volatile unsigned long i = 0;; i++)
		;
}

static void way_bigfile(void)
{
	int fd = open("/tmp/big", O_CREAT | O_WRONLY, 0666);

	signal(SIGXFSZ, SIG_IGN);
	REFUSED("a large file", ftruncate(fd, 1ll << 40));
	errno = 0;
	tell("a write far out", pwrite(fd, "x", 1, 1ll << 40) == 1);
}

/* Descriptors, of which the supervisor may hold one for each of ours. */
static void way_fds(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(80), .sin_addr.s_addr = htonl(0x0a000001) };
	struct rlimit most;
	int n = 0, fds[2];

	getrlimit(RLIMIT_NOFILE, &most);
	most.rlim_cur = most.rlim_max;
	setrlimit(RLIMIT_NOFILE, &most);
	for (int child = 0; child < 4; child++) {
		if (fork())
			continue;
		for (;;) {
			int fd = socket(AF_INET, n % 2 ? SOCK_STREAM : SOCK_DGRAM, 0);

			if (fd < 0)
				break;
			fcntl(fd, F_SETFL, O_NONBLOCK);
			a.sin_port = htons(1 + n % 60000);
			a.sin_addr.s_addr = htonl(0x0a000000u + (unsigned int)n);
			/* What nobody answers costs the world some patience. */
			if (n < 100) {
				connect(fd, (void *)&a, sizeof(a));
				sendto(fd, "x", 1, MSG_NOSIGNAL, (void *)&a, sizeof(a));
			} else {
				bind(fd, (void *)&a, sizeof(a));
				listen(fd, 1);
			}
			if (++n > 5000)
				break;
		}
		while (epoll_create1(0) >= 0 && pipe(fds) == 0 && n++ < 10000)
			;
		_exit(0);
	}
	while (wait(NULL) > 0)
		;
	errno = 0;
	tell("exhausting descriptors", 0);
}

/* ---- lies ------------------------------------------------------------------------------------ */

#define SHIM 0x550000000000ull

static void *garbage(void *from)
{
	unsigned int seed = 1;
	uint64_t *p = from;

	for (int i = 0; i < 3000000; i++)
		p[rand_r(&seed) % (0x10000 / 8)] = i % 3 ? ~0ull >> (rand_r(&seed) % 64) : (uint64_t)rand_r(&seed) << 33;
	return NULL;
}

/* What it shares with the shim is overwritten, by a thread, while it is used. */
static void way_shim(void)
{
	unsigned char resident;
	struct timespec t;
	pthread_t thread;

	if (mincore((void *)(SHIM + 0x10000), 4096, &resident) < 0) {
		printf("OUT: there is no shim to lie in\n");
		return;
	}
	/* As long as it is one page long, the next is not there: a child finds that out. */
	if (fork() == 0) {
		mprotect((void *)SHIM, 0x20000, PROT_READ | PROT_WRITE | PROT_EXEC);
		pthread_create(&thread, NULL, garbage, (void *)(SHIM + 0x10000));
		for (int i = 0; i < 200000; i++) {
			clock_gettime(i % 3 ? CLOCK_MONOTONIC : CLOCK_REALTIME, &t);
			syscall(SYS_clock_gettime, i % 5, &t);
		}
		pthread_join(thread, NULL);
		_exit(0);
	}
	if (fork() == 0) {	/* its own table of threads, and its code */
		mprotect((void *)SHIM, 0x10000, PROT_READ | PROT_WRITE | PROT_EXEC);
		memset((void *)(SHIM + 0x4000), 0x41, 4096);
		for (int i = 0; i < 1000; i++)
			clock_gettime(CLOCK_MONOTONIC, &t);
		memset((void *)SHIM, 0x41, 0x4000);
		clock_gettime(CLOCK_MONOTONIC, &t);
		_exit(0);
	}
	if (fork() == 0) {
		munmap((void *)SHIM, 0x20000);
		syscall(SYS_clock_gettime, CLOCK_REALTIME, &t);
		execl("/proc/self/exe", "escape", "nothing", NULL);
		_exit(0);
	}
	/* Calls that look like the shim's own. */
	for (uint64_t i = 0; i < 300; i++)
		syscall(SYS_clock_gettime, i % 12, &t, 0, 0, 0x6d69685370616343ull, i * 0x1000 * i);
	while (wait(NULL) > 0)
		;
	errno = 0;
	tell("lying in shared memory", 0);
}

/* The file, truncated under who maps it. */
static void way_shimfile(void)
{
	int fd = open("/dev/.capsule", O_RDWR);
	struct timespec t;

	if (fd >= 0) {
		ftruncate(fd, 0);
		syscall(SYS_clock_gettime, CLOCK_REALTIME, &t);
		ftruncate(fd, 1 << 30);
		for (int i = 0; i < 1000; i++)
			pwrite(fd, &i, sizeof(i), rand() % (1 << 20));
		syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &t);
	}
	unlink("/dev/.capsule");
	errno = 0;
	tell("cutting the shared file", 0);
}

static char flipping[64] = "/etc/passwd";
static void *flip(void *end)
{
	while (!*(volatile int *)end) {
		memcpy(flipping, "/proc/1/mem", 12);
		memcpy(flipping, "/etc/passwd", 12);
	}
	return NULL;
}

/* Memory that changes while the supervisor reads it, and addresses where there is none. */
static void way_races(void)
{
	static const uintptr_t bad[] = { 0, 1, 4095, 0x7ffffffff000, (uintptr_t)-1, (uintptr_t)-4096, 0x800000000000 };
	pthread_t thread;
	int end = 0, out = 0;

	pthread_create(&thread, NULL, flip, &end);
	for (int i = 0; i < 3000; i++) {
		int fd = open(flipping, O_RDWR);

		out |= fd >= 0;
		if (fd >= 0)
			close(fd);
	}
	end = 1;
	pthread_join(thread, NULL);
	errno = 0;
	tell("a path that changes", out && getuid() != 0);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		for (int nr = 0; nr < 335; nr++) {
			if (nr == SYS_exit || nr == SYS_exit_group || nr == SYS_pause || nr == SYS_rt_sigsuspend || nr == SYS_rt_sigreturn ||
			    nr == SYS_fork || nr == SYS_vfork || nr == SYS_clone || nr == SYS_kill || nr == SYS_tkill || nr == SYS_tgkill ||
			    nr == SYS_munmap || nr == SYS_mprotect || nr == SYS_mremap || nr == SYS_brk || nr == SYS_close || nr == SYS_dup2 ||
			    nr == SYS_shutdown || nr == SYS_arch_prctl || nr == SYS_execve || nr == SYS_mmap || nr == SYS_madvise ||
			    nr == SYS_prctl || nr == SYS_rt_sigtimedwait || nr == SYS_futex || nr == SYS_poll || nr == SYS_select ||
			    nr == SYS_pselect6 || nr == SYS_ppoll || nr == SYS_wait4 || nr == SYS_setrlimit || nr == SYS_prlimit64 ||
			    nr == SYS_sigaltstack || nr == SYS_rt_sigaction || nr == SYS_rt_sigprocmask || nr == SYS_seccomp ||
			    nr == SYS_set_robust_list || nr == SYS_setitimer || nr == SYS_alarm || nr == SYS_nanosleep ||
			    nr == SYS_clock_nanosleep || nr == SYS_shmdt || nr == SYS_rseq || nr == SYS_set_tid_address || nr == SYS_remap_file_pages)
				continue;
			syscall(nr, 1000, bad[i], bad[i], bad[i], bad[i], bad[i]);
		}
	errno = 0;
	tell("bad addresses", 0);
}

static void way_nothing(void) { }

static const struct { const char *name; void (*try)(void); } ways[] = {
	{ "loopback", way_loopback }, { "abstract", way_abstract }, { "supervisor", way_supervisor }, { "mounts", way_mounts },
	{ "namespaces", way_namespaces }, { "kernel", way_kernel }, { "files", way_files }, { "links", way_links },
	{ "disk", way_disk }, { "forkbomb", way_forkbomb }, { "memory", way_memory }, { "cpu", way_cpu }, { "bigfile", way_bigfile },
	{ "fds", way_fds }, { "shim", way_shim }, { "shimfile", way_shimfile }, { "races", way_races }, { "nothing", way_nothing },
};

int main(int argc, char **argv)
{
	args = argv + (argc > 1 ? 2 : 1);
	for (size_t i = 0; argc > 1 && i < sizeof(ways) / sizeof(ways[0]); i++)
		if (strcmp(argv[1], ways[i].name) == 0) {
			ways[i].try();
			puts("END");
			return 0;
		}
	return 2;
}
