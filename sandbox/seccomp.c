/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The filter of a replay, made from the table.  libseccomp turns the fates
 * into a search tree over the call numbers; the few words in front of it are
 * what it can't say: libseccomp compares 64-bit arguments, the kernel looks at
 * the low half of these, and x32 calls would be killed instead of refused.
 */
#include "sandbox/sandbox.h"

#include <linux/types.h>

#include "format/cleanup.h"
#include "format/io.h"
#include "format/sysdesc.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/futex.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <seccomp.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#define X32_BIT		0x40000000
#define ANY_NEWNS	(CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET)

#define LOAD(what)	BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, what))
#define LOAD_HIGH(what)	BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, what) + 4)
#define FAIL(code)	BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (code))
#define IF(op, k, yes, no) BPF_JUMP(BPF_JMP | (op) | BPF_K, k, yes, no)

/* Falls through to libseccomp's part behind its last word.  Little-endian: the low half of an argument comes first. */
static const struct sock_filter head[] = {
	LOAD(arch),
	IF(BPF_JEQ, AUDIT_ARCH_X86_64, 0, 29),
	LOAD(nr),
	IF(BPF_JGE, X32_BIT, 25, 0),
	IF(BPF_JEQ, SYS_open, 2, 0),
	IF(BPF_JEQ, SYS_close, 1, 0),
	IF(BPF_JEQ, SYS_mmap, 0, 3),
	LOAD_HIGH(args[3]),
	IF(BPF_JEQ, FILTER_PASS, 0, 22),	/* the supervisor makes it, and would wait for itself */
	BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	IF(BPF_JEQ, SYS_futex, 6, 0),
	IF(BPF_JEQ, SYS_ioctl, 1, 0),
	IF(BPF_JEQ, SYS_clone, 2, 18),
	LOAD(args[1]),
	IF(BPF_JEQ, TIOCSTI, 15, 16),	/* types into the terminal */
	LOAD(args[0]),
	IF(BPF_JSET, ANY_NEWNS, 13, 14),
	/* futex, as sc_has_limit() has it: too many kinds of it have another argument there. */
	LOAD(args[3]),
	IF(BPF_JEQ, 0, 0, 2),
	LOAD_HIGH(args[3]),
	IF(BPF_JEQ, 0, 10, 0),
	LOAD(args[1]),
	BPF_STMT(BPF_ALU | BPF_AND | BPF_K, ~SC_FUTEX_FLAGS),
	IF(BPF_JEQ, FUTEX_WAIT, 4, 0),
	IF(BPF_JEQ, FUTEX_LOCK_PI, 3, 0),
	IF(BPF_JEQ, FUTEX_WAIT_BITSET, 2, 0),
	IF(BPF_JEQ, FUTEX_WAIT_REQUEUE_PI, 1, 0),
	IF(BPF_JEQ, FUTEX_LOCK_PI2, 0, 3),
	BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRACE),
	FAIL(ENOSYS),
	FAIL(EPERM),
};

int filter_notifies(unsigned int nr)
{
	if (nr >= SC_MAX)
		return 0;
	switch ((enum sc_fate)sc_table[nr].fate) {
	case SC_SERVE:
	case SC_CLOCK:
	case SC_RANDOM:
	case SC_READ:
	case SC_WRITE:
	case SC_WAIT:
	case SC_SLEEP:
	case SC_TIMER:
	case SC_REAP:
		return 1;
	case SC_NET:
		return nr != SYS_listen;
	case SC_TASK:
		return nr == SYS_clone || nr == SYS_clone3 || nr == SYS_fork || nr == SYS_vfork;
	case SC_RUN:
		return nr == SYS_arch_prctl;	/* the gs base is the shim's */
	case SC_SIGNAL:
	case SC_OPEN:
	case SC_PATH:
	case SC_OWNER:
	case SC_LOOK:
	case SC_FD:
	case SC_TIMED:
	case SC_NOROW:
	case SC_REFUSE:
	case SC_DECLINE:
		break;
	}
	return 0;
}

static void filter_free(scmp_filter_ctx *ctx)
{
	if (*ctx)
		seccomp_release(*ctx);
}

/* Without a limit it is the kernel's business alone, with one the tracer sees to the limit. */
static int add_timed(scmp_filter_ctx ctx, unsigned int nr)
{
	unsigned int limit = sc_table[nr].limit - 1u;
	int r;

	if (nr == SC_FUTEX)	/* its waits don't come so far */
		return seccomp_rule_add(ctx, SCMP_ACT_ALLOW, (int)nr, 0);
	r = seccomp_rule_add(ctx, SCMP_ACT_TRACE(0), (int)nr, 1, SCMP_CMP(limit, SCMP_CMP_NE, 0));
	return r < 0 ? r : seccomp_rule_add(ctx, SCMP_ACT_ALLOW, (int)nr, 1, SCMP_CMP(limit, SCMP_CMP_EQ, 0));
}

/* A listener is to tell of a client when it has connected, which speaks only when it is heard: TCP_DEFER_ACCEPT does nothing. */
static int add_setsockopt(scmp_filter_ctx ctx)
{
	const int nr = SYS_setsockopt;
	int r = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(0), nr, 2, SCMP_A1_32(SCMP_CMP_EQ, IPPROTO_TCP), SCMP_A2_32(SCMP_CMP_EQ, TCP_DEFER_ACCEPT));

	if (r == 0)
		r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, nr, 1, SCMP_A1_32(SCMP_CMP_NE, IPPROTO_TCP));
	return r < 0 ? r : seccomp_rule_add(ctx, SCMP_ACT_ALLOW, nr, 1, SCMP_A2_32(SCMP_CMP_NE, TCP_DEFER_ACCEPT));
}

/* What has no rule is refused with ENOSYS: the calls to refuse, and those without a row. */
static int add_rules(scmp_filter_ctx ctx, const bool *also, struct err *err)
{
	for (unsigned int nr = 0; nr < SC_MAX; nr++) {
		uint8_t fate = sc_table[nr].fate;
		int r;

		if (fate == SC_NOROW || fate == SC_REFUSE || fate == SC_DECLINE)
			continue;
		if (fate == SC_TIMED)
			r = add_timed(ctx, nr);
		else if (nr == SYS_setsockopt && !(also && also[nr]))
			r = add_setsockopt(ctx);
		else
			r = seccomp_rule_add(ctx, filter_notifies(nr) || (also && also[nr]) ? SCMP_ACT_NOTIFY : SCMP_ACT_ALLOW, nr, 0);
		if (r < 0)
			return err_sys(err, -r, "adding a rule for %s", sc_name(nr));
	}
	return 0;
}

/* The program that libseccomp makes, in a memfd. */
static int export_rules(int *ret, const bool *also, struct err *err)
{
	_cleanup_(filter_free) scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ERRNO(ENOSYS));
	int r;

	if (!ctx)
		return err_set(err, ENOMEM, "out of memory");
	if (seccomp_arch_exist(ctx, SCMP_ARCH_X86_64) < 0)
		return err_set(err, ENOTSUP, "the table of system calls is that of x86-64");
	r = seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
	if (r < 0)
		return err_sys(err, -r, "setting the answer to other architectures");
	/* A binary tree instead of a list; an old libseccomp makes a list. */
	(void)seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	r = add_rules(ctx, also, err);
	if (r < 0)
		return r;

	_cleanup_fd_ int fd = memfd_create("filter", MFD_CLOEXEC);
	if (fd < 0)
		return err_sys(err, errno, "making a file in memory");
	r = seccomp_export_bpf(ctx, fd);
	if (r < 0)
		return err_sys(err, -r, "exporting the program");
	*ret = TAKE_FD(fd);
	return 0;
}

/* Nothing but ENOSYS for a few calls: the kernel asks such a filter once and keeps its answer for every call (5.11). */
int filter_decline(struct err *err)
{
	_cleanup_(filter_free) scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ALLOW);
	int r;

	if (!ctx)
		return err_set(err, ENOMEM, "out of memory");
	/* Not for programs that gain rights at exec: so the right to do it without no_new_privs is needed. */
	r = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_NNP, 0);
	if (r == 0)
		r = seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_ALLOW);
	(void)seccomp_attr_set(ctx, SCMP_FLTATR_CTL_SSB, 1);	/* no slower mitigations than the program had */
	for (unsigned int nr = 0; nr < SC_MAX && r == 0; nr++)
		if (sc_table[nr].fate == SC_DECLINE)
			r = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(ENOSYS), nr, 0);
	if (r == 0)
		r = seccomp_load(ctx);
	return r < 0 ? err_sys(err, -r, "declining calls") : 0;
}

int filter_build(const bool *also, struct sock_filter **ret, size_t *len, struct err *err)
{
	const size_t nhead = sizeof(head) / sizeof(head[0]);
	_cleanup_fd_ int fd = -1;
	struct stat st;
	ssize_t n;

	if (export_rules(&fd, also, err) < 0)
		return err_in(err, "building the seccomp filter");
	if (fstat(fd, &st) < 0)
		return err_sys(err, errno, "building the seccomp filter");
	if (st.st_size % sizeof(struct sock_filter) || st.st_size / sizeof(struct sock_filter) + nhead > BPF_MAXINSNS)
		return err_set(err, E2BIG, "building the seccomp filter: a program of %lld bytes", (long long)st.st_size);

	_cleanup_free_ struct sock_filter *prog = malloc(sizeof(head) + st.st_size);
	if (!prog)
		return err_set(err, ENOMEM, "building the seccomp filter: out of memory");
	memcpy(prog, head, sizeof(head));
	n = io_pread(fd, prog + nhead, st.st_size, 0);
	if (n != st.st_size)
		return err_sys(err, n < 0 ? -n : EIO, "building the seccomp filter: reading the program");
	*len = nhead + st.st_size / sizeof(struct sock_filter);
	*ret = TAKE_PTR(prog);
	return 0;
}
