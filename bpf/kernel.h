/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0) */
/*
 * The few kernel structures that record.bpf.c looks into, each with the
 * members it reads.  libbpf moves every access to where the running kernel
 * has the member (CO-RE), so order and size here mean nothing and no BTF is
 * needed to build.  Names and types are the kernel's.
 */
#ifndef CAPSULE_BPF_KERNEL_H
#define CAPSULE_BPF_KERNEL_H

#include <linux/types.h>
#include <stdbool.h>
#include <stddef.h>

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct pt_regs {
	unsigned long r10, r9, r8, ax, dx, si, di, orig_ax, ip;
};

/* ---- files --------------------------------------------------------------- */

struct super_block {
	__u32 s_dev;		/* major << 20 | minor */
	unsigned long s_magic;
};

struct inode {
	unsigned short i_mode;
	struct super_block *i_sb;
	unsigned long i_ino;
	__u32 i_rdev;
	long long i_size;
	unsigned int i_nlink;
	/* 6.13 on; before, struct timespec64 i_ctime or __i_ctime: see inode___old. */
	long long i_ctime_sec;
	__u32 i_ctime_nsec;
};

struct qstr {
	const unsigned char *name;
};

struct dentry {
	struct dentry *d_parent;
	struct qstr d_name;
};

struct vfsmount {
	struct dentry *mnt_root;
};

struct mount {
	struct mount *mnt_parent;
	struct dentry *mnt_mountpoint;
	struct vfsmount mnt;
};

struct path {
	struct vfsmount *mnt;
	struct dentry *dentry;
};

struct file {
	unsigned int f_mode;
	unsigned int f_flags;
	void *private_data;
	struct inode *f_inode;
	struct path f_path;
	long long f_pos;
};

struct tty_struct {
	int index;
};

struct tty_file_private {
	struct tty_struct *tty;
};

struct fdtable {
	unsigned int max_fds;
	struct file **fd;
};

struct files_struct {
	struct fdtable *fdt;
};

struct fs_struct {
	struct path root, pwd;
};

/* ---- sockets --------------------------------------------------------------- */

struct in6_addr {
	__u8 in6_u[16];
};

struct sock_common {
	__be32 skc_daddr, skc_rcv_saddr;
	__be16 skc_dport;
	__u16 skc_num;
	unsigned short skc_family;
	struct in6_addr skc_v6_daddr, skc_v6_rcv_saddr;
};

struct sock {
	struct sock_common __sk_common;
	__u16 sk_protocol, sk_type;
	struct socket *sk_socket;
};

struct socket {
	struct sock *sk;
};

struct socket_alloc {
	struct socket socket;
	struct inode vfs_inode;
};

struct sockaddr_un {
	unsigned short sun_family;
};

struct unix_address {
	int len;
	struct sockaddr_un name[0];	/* len bytes */
};

struct unix_sock {
	struct unix_address *addr;
	struct sock *peer;
};

/* ---- tasks ------------------------------------------------------------------ */

typedef struct {
	int counter;
} atomic_t;

struct thread_info {
	__u32 status;
};

struct upid {
	int nr;
};

struct pid {
	unsigned int level;
	struct upid numbers[1];
};

struct sighand_struct;

struct mm_struct;
struct signal_struct {
	atomic_t live;
	int nr_threads;
	int group_exit_code;
	unsigned int flags;
	struct mm_struct *oom_mm;
};

typedef struct {
	unsigned long sig[1];
} sigset_t;

struct sigpending {
	sigset_t signal;
};

struct thread_struct {
	unsigned long fsbase;
};

struct task_struct {
	struct thread_info thread_info;
	struct thread_struct thread;
	unsigned int ptrace;
	struct sigpending pending;
	int exit_code;
	int pid, tgid;
	struct task_struct *real_parent;
	struct task_struct *group_leader;
	struct pid *thread_pid;
	struct fs_struct *fs;
	struct files_struct *files;
	struct signal_struct *signal;
	struct sighand_struct *sighand;
	__u64 parent_exec_id, self_exec_id;
};

union __sifields {
	__u64 _pad;
};

struct kernel_siginfo {
	int si_code;
	union __sifields _sifields;
};

struct sigaction {
	void *sa_handler;
	unsigned long sa_flags;
};

struct k_sigaction {
	struct sigaction sa;
};

struct sighand_struct {
	struct k_sigaction action[64];
};

struct linux_binprm;

/* Before 6.13 and before 6.6; libbpf strips what stands behind ___. */
struct timespec64 {
	long long tv_sec;
	long tv_nsec;
};
struct inode___66 {
	struct timespec64 __i_ctime;
};
struct inode___old {
	struct timespec64 i_ctime;
};

#pragma clang attribute pop

/* ---- constants that no uapi header has ---------------------------------------- */

#define TS_COMPAT 0x0002		/* arch/x86/include/asm/thread_info.h: a system call of a 32-bit program */
#define X32_SYSCALL_BIT 0x40000000
#define FMODE_WRITE 0x2			/* include/linux/fs.h */
#define FMODE_CREATED 0x100000
#define SIGNAL_GROUP_EXIT 0x4		/* include/linux/sched/signal.h */
#define RESTART_FIRST 512		/* ERESTARTSYS, include/linux/errno.h */
#define RESTART_LAST 516		/* ERESTART_RESTARTBLOCK */
#define ERESTARTSYS 512
#define ERESTARTNOINTR 513

/* uapi, but in headers that need libc */
#define S_IFMT 0170000
#define S_IFSOCK 0140000
#define S_IFREG 0100000
#define S_IFBLK 0060000
#define S_IFDIR 0040000
#define S_IFCHR 0020000
#define S_IFIFO 0010000
#define AF_UNIX 1
#define AF_INET 2
#define AF_INET6 10
#define AT_FDCWD -100
#define O_TRUNC 01000
#define SIGCHLD 17
#define SIGSTOP 19
#define SIOCGIFCONF 0x8912
#define SA_RESTART 0x10000000

#endif
