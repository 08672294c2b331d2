/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0) */
/* Where a descriptor leads, and whether that is outside the scope. */
#ifndef CAPSULE_FDS_BPF_H
#define CAPSULE_FDS_BPF_H

#include "bpf/payload.bpf.h"

/* File systems whose files are made up when they are read; include/uapi/linux/magic.h and fs/. */
static __always_inline bool is_synthetic(__u32 magic)
{
	switch (magic) {
	case 0x9fa0:		/* proc */
	case 0x62656572:	/* sysfs */
	case 0x27e0eb:		/* cgroup */
	case 0x63677270:	/* cgroup2 */
	case 0x74726163:	/* tracefs */
	case 0x64626720:	/* debugfs */
	case 0x73636673:	/* securityfs */
	case 0x62656570:	/* configfs */
	case 0xf97cff8c:	/* selinuxfs */
	case 0xde5e81e4:	/* efivarfs */
		return true;
	}
	return false;
}

#define ANON_INODE_MAGIC 0x09041934
static __always_inline bool is_timerfd(struct file *f)
{
	static const char timerfd[] = "[timerfd]";
	char name[sizeof(timerfd)];

	if (bpf_probe_read_kernel_str(name, sizeof(name), BPF_CORE_READ(f, f_path.dentry, d_name.name)) != sizeof(name))
		return false;
	for (__u32 i = 0; i < sizeof(name); i++)
		if (name[i] != timerfd[i])
			return false;
	return true;
}

/* Files without a name in any tree; some have the mode of a regular one since 6.17. */
static __always_inline bool is_anonymous(__u32 magic)
{
	switch (magic) {
	case ANON_INODE_MAGIC:	/* anon_inodefs: epoll, eventfd, timerfd, ... */
	case 0x50494446:	/* pidfs */
	case 0x6e736673:	/* nsfs */
	case 0x5345434d:	/* secretmem */
	case 0x19800202:	/* mqueue */
	case 0xcafe4a11:	/* bpf */
		return true;
	}
	return false;
}

#define PIPEFS_MAGIC 0x50495045
#define TMPFS_MAGIC 0x01021994

static __always_inline __u8 class_of(__u16 mode, __u32 magic, __u32 rdev)
{
	if (is_anonymous(magic))
		return FDC_OTHER;
	switch (mode & S_IFMT) {
	case S_IFREG:
		return is_synthetic(magic) ? FDC_SYNTH : FDC_FILE;
	case S_IFDIR:
		return FDC_DIR;
	case S_IFCHR:
		return rdev == (1 << 20 | 3) || rdev == (1 << 20 | 5) || rdev == (1 << 20 | 7) ? FDC_NULL : FDC_CHR;
	case S_IFIFO:
		return magic == PIPEFS_MAGIC ? FDC_PIPE : FDC_FIFO;
	case S_IFSOCK:
		return FDC_SOCK;
	case S_IFBLK:
		return FDC_BLK;
	}
	return FDC_OTHER;
}

static __always_inline bool is_inherited(const struct rec_fd *fd)
{
	struct inode_key key = { .ino = fd->ino, .dev = fd->dev };

	return bpf_map_lookup_elem(&inherited, &key);
}

static __always_inline bool is_outside(const struct rec_fd *fd)
{
	switch (fd->class) {
	case FDC_SYNTH:
	case FDC_CHR:
	case FDC_FIFO:
	case FDC_TIMER:
		return true;
	case FDC_SOCK:
		return !(mark_of(fd) & MARK_INSIDE);
	case FDC_PIPE:
		return is_inherited(fd);
	case FDC_FILE:
		return inherited_files && is_inherited(fd);
	}
	return false;
}

/* Of terminals: /dev/tty, /dev/ptmx, the first and the last of /dev/pts. */
enum { DEV_TTY = 5 << 20, DEV_PTMX = 5 << 20 | 2, PTS_MAJOR = 136, PTS_LAST_MAJOR = 143 };

static __always_inline struct inode_key key_of_pty(struct file *f)
{
	struct tty_file_private *p = BPF_CORE_READ(f, private_data);
	struct inode_key key = { .ino = (__u32)BPF_CORE_READ(p, tty, index), .dev = ~0u };	/* no device has that number */

	return key;
}

/* A pseudoterminal of which the scope has opened the master: both of its ends are inside. */
static __always_inline bool is_own_pty(struct file *f, const struct rec_fd *fd)
{
	struct inode_key key;

	if (fd->rdev == DEV_PTMX)
		return !is_inherited(fd);
	if (fd->rdev != DEV_TTY && (fd->rdev >> 20 < PTS_MAJOR || fd->rdev >> 20 > PTS_LAST_MAJOR))
		return false;
	key = key_of_pty(f);
	return bpf_map_lookup_elem(&marks, &key);
}

static __always_inline void mark_own_pty(struct file *f)
{
	struct inode_key key = key_of_pty(f);
	__u32 inside = MARK_INSIDE;

	bpf_map_update_elem(&marks, &key, &inside, BPF_ANY);
}

/* The struct file behind @fd, as a number; 0: it is not open. */
__noinline __u64 find_file(__s32 fd)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct fdtable *fdt = task->files->fdt;
	__u64 f = 0;

	if (fd < 0 || (__u32)fd >= fdt->max_fds)
		return 0;
	bpf_probe_read_kernel(&f, sizeof(f), fdt->fd + fd);
	return f;
}

static __always_inline struct file *file_of(__s32 fd)
{
	return (struct file *)find_file(fd);
}

/* @file: a struct file of the kernel's; all zeros where it is NULL. */
__noinline int describe_file(__u64 file, struct rec_fd *ret)
{
	struct file *f = (struct file *)file;
	struct super_block *sb;
	struct inode *inode;

	if (!ret)
		return 0;
	__builtin_memset(ret, 0, sizeof(*ret));
	if (!f)
		return 0;
	inode = BPF_CORE_READ(f, f_inode);
	sb = BPF_CORE_READ(inode, i_sb);
	ret->mode = BPF_CORE_READ(inode, i_mode);
	ret->ino = BPF_CORE_READ(inode, i_ino);
	ret->dev = BPF_CORE_READ(sb, s_dev);
	ret->magic = BPF_CORE_READ(sb, s_magic);
	if ((ret->mode & S_IFMT) == S_IFCHR || (ret->mode & S_IFMT) == S_IFBLK)
		ret->rdev = BPF_CORE_READ(inode, i_rdev);
	ret->flags = BPF_CORE_READ(f, f_flags);
	ret->class = class_of(ret->mode, ret->magic, ret->rdev);
	if (ret->magic == ANON_INODE_MAGIC && is_timerfd(f)) {
		ret->class = FDC_TIMER;
		ret->ino = file;	/* they all have one inode */
	}
	if (covered && ret->class == FDC_FILE && (mark_of(ret) & MARK_SYNTH))
		ret->class = FDC_SYNTH;
	ret->outside = is_outside(ret) && !(ret->class == FDC_CHR && is_own_pty(f, ret));
	return 0;
}

static __always_inline void describe(struct file *f, struct rec_fd *ret)
{
	describe_file((__u64)f, ret);
}

static __always_inline void describe_fd(__s32 fd, struct rec_fd *ret)
{
	describe(file_of(fd), ret);
}

static __always_inline __s64 ctime_of(struct inode *inode)
{
	if (bpf_core_field_exists(inode->i_ctime_sec))	/* the highest bit of nsec is the kernel's own: I_CTIME_QUERIED */
		return BPF_CORE_READ(inode, i_ctime_sec) * 1000000000ll + (BPF_CORE_READ(inode, i_ctime_nsec) & 0x7fffffff);
	if (bpf_core_field_exists(((struct inode___66 *)inode)->__i_ctime))
		return BPF_CORE_READ((struct inode___66 *)inode, __i_ctime.tv_sec) * 1000000000ll +
		       BPF_CORE_READ((struct inode___66 *)inode, __i_ctime.tv_nsec);
	return BPF_CORE_READ((struct inode___old *)inode, i_ctime.tv_sec) * 1000000000ll +
	       BPF_CORE_READ((struct inode___old *)inode, i_ctime.tv_nsec);
}

static __always_inline void give_fd(struct rec_thread *t, __u32 role, __s32 fd, __u32 events, __u64 pos,
				    const struct rec_fd *what)
{
	struct rec_fdinfo *r = room_to_gather(t);

	fill_hdr(&r->h, t, REC_FD);
	r->fd = fd;
	r->events = events;
	r->pos = pos;
	r->role = role;
	r->pad = 0;
	r->what = *what;
	add_gathered(t, sizeof(*r));
}

/* ---- addresses ---------------------------------------------------------------- */

static __always_inline void inet_addresses(struct rec_sock *r, struct sock *sk)
{
	__u16 port = BPF_CORE_READ(sk, __sk_common.skc_num);
	struct { __u16 family, port; __u32 addr; } *local = (void *)r->local, *remote = (void *)r->remote;

	local->family = remote->family = AF_INET;
	local->port = __builtin_bswap16(port);
	local->addr = BPF_CORE_READ(sk, __sk_common.skc_rcv_saddr);
	remote->port = BPF_CORE_READ(sk, __sk_common.skc_dport);
	remote->addr = BPF_CORE_READ(sk, __sk_common.skc_daddr);
	r->local_len = 16;
	r->remote_len = remote->port ? 16 : 0;
}

static __always_inline void inet6_addresses(struct rec_sock *r, struct sock *sk)
{
	__u16 port = BPF_CORE_READ(sk, __sk_common.skc_num);
	struct { __u16 family, port; __u32 flow; __u8 addr[16]; __u32 scope; } *local = (void *)r->local, *remote = (void *)r->remote;

	local->family = remote->family = AF_INET6;
	local->port = __builtin_bswap16(port);
	BPF_CORE_READ_INTO(&local->addr, sk, __sk_common.skc_v6_rcv_saddr);
	remote->port = BPF_CORE_READ(sk, __sk_common.skc_dport);
	BPF_CORE_READ_INTO(&remote->addr, sk, __sk_common.skc_v6_daddr);
	r->local_len = 28;
	r->remote_len = remote->port ? 28 : 0;
}

static __always_inline __u16 unix_address(struct sock *sk, __u8 to[REC_ADDR_MAX])
{
	struct unix_address *addr = BPF_CORE_READ((struct unix_sock *)sk, addr);
	__u32 len;

	if (!addr)
		return 0;
	len = BPF_CORE_READ(addr, len);
	if (len > REC_ADDR_MAX)
		len = REC_ADDR_MAX;
	if (bpf_probe_read_kernel(to, len, (void *)addr + bpf_core_field_offset(struct unix_address, name)))
		return 0;
	return len;
}

static __always_inline void unix_addresses(struct rec_sock *r, struct sock *sk)
{
	struct sock *peer = BPF_CORE_READ((struct unix_sock *)sk, peer);

	r->local_len = unix_address(sk, r->local);
	struct socket *far;

	if (!peer)
		return;
	r->remote_len = unix_address(peer, r->remote);
	far = BPF_CORE_READ(peer, sk_socket);
	if (far)
		r->far_ino = BPF_CORE_READ((struct socket_alloc *)far, vfs_inode.i_ino);
}

/* What is known of the socket behind the struct file @file, which is @fd. */
static __always_inline void fill_sock(struct rec_sock *r, __u64 file, const struct rec_fd *fd)
{
	struct socket *socket = BPF_CORE_READ((struct file *)file, private_data);
	struct sock *sk = BPF_CORE_READ(socket, sk);

	r->ino = fd->ino;
	r->dev = fd->dev;
	r->family = BPF_CORE_READ(sk, __sk_common.skc_family);
	r->type = BPF_CORE_READ(sk, sk_type);
	r->protocol = BPF_CORE_READ(sk, sk_protocol);
	if (r->family == AF_INET)
		inet_addresses(r, sk);
	else if (r->family == AF_INET6)
		inet6_addresses(r, sk);
	else if (r->family == AF_UNIX)
		unix_addresses(r, sk);
}

/* The same, as a record. */
__noinline int give_sock(const struct rec_thread *t, __u64 file, const struct rec_fd *fd)
{
	struct rec_sock *r;

	if (!t || !fd)
		return 0;
	r = bpf_ringbuf_reserve(&ring, sizeof(*r), 0);
	if (!r) {
		count_lost();
		return 0;
	}
	__builtin_memset(r, 0, sizeof(*r));
	fill_hdr(&r->h, t, REC_SOCK);
	fill_sock(r, file, fd);
	bpf_ringbuf_submit(r, submit_flags(false));
	return 1;
}

/* The addresses of an outside socket: at its first use, and whenever a call is about them. */
static __always_inline void give_sock_once(const struct rec_thread *t, struct file *f, const struct rec_fd *fd, bool always)
{
	if (fd->class != FDC_SOCK || (!always && (mark_of(fd) & MARK_SEEN)))
		return;
	if (give_sock(t, (__u64)f, fd))
		mark(fd, MARK_SEEN);
}

#endif
