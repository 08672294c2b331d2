/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0) */
/*
 * Paths: strings that the program named, and where an open file really is in
 * the tree, found by walking up from its directory entry.  bpf_d_path() may
 * not be called from these tracepoints.
 */
#ifndef CAPSULE_PATHS_BPF_H
#define CAPSULE_PATHS_BPF_H

#include "bpf/payload.bpf.h"

#define NAME_ROOM 256		/* NAME_MAX and a NUL */
#define MAX_DEPTH 2048		/* steps: names, and mounts that are crossed */

/* In a map, though one at a time would find room on the stack: see struct rec_thread. */
struct walk {
	struct dentry *dentry;
	struct vfsmount *mnt;
	__u32 len;
	__u32 top;		/* where the topmost name begins */
	bool outside;		/* of the scope's root */
	bool done;
	struct root root;	/* of the scope */
	char path[REC_PATH_MAX + NAME_ROOM] __attribute__((aligned(8)));
};
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct walk);
} walks SEC(".maps");

static __always_inline struct path *path_in(struct file *f)
{
	return f ? (void *)f + bpf_core_field_offset(struct file, f_path) : NULL;
}

static __always_inline struct mount *mount_of(struct vfsmount *mnt)
{
	return (void *)mnt - bpf_core_field_offset(struct mount, mnt);
}

/* From the root of a mount to where it is mounted. */
static __always_inline long cross_mount(struct walk *w)
{
	struct mount *m = mount_of(w->mnt), *parent = BPF_CORE_READ(m, mnt_parent);

	if (parent == m) {
		w->outside = w->root.dentry != 0;
		w->done = true;
		return 1;
	}
	w->dentry = BPF_CORE_READ(m, mnt_mountpoint);
	w->mnt = (void *)parent + bpf_core_field_offset(struct mount, mnt);
	return 0;
}

static long walk_step(__u32 i, struct walk **ctx)
{
	struct walk *w = *ctx;
	struct dentry *dentry = w->dentry, *parent;	/* locals: BPF_CORE_READ would relocate struct walk, too */
	struct vfsmount *mnt = w->mnt;
	long n;

	if ((__u64)dentry == w->root.dentry && (__u64)mnt == w->root.mnt) {
		w->done = true;
		return 1;
	}
	if (dentry == BPF_CORE_READ(mnt, mnt_root))
		return cross_mount(w);
	parent = BPF_CORE_READ(dentry, d_parent);
	if (parent == dentry || w->len >= REC_PATH_MAX)
		return 1;
	n = bpf_probe_read_kernel_str(&w->path[w->len & (REC_PATH_MAX - 1)], NAME_ROOM,
				      BPF_CORE_READ(dentry, d_name.name));
	if (n <= 0 || n > NAME_ROOM)
		return 1;
	w->top = w->len;
	w->len += n;
	w->dentry = parent;
	return 0;
}

/* The path of @p below its scope's root, in the memory of this CPU; see struct rec_data. */
static __always_inline struct walk *find_path(const struct rec_thread *t, struct path *p)
{
	__u32 zero = 0, scope = t->scope;
	struct walk *w = bpf_map_lookup_elem(&walks, &zero);
	struct root *root = bpf_map_lookup_elem(&roots, &scope);

	if (!w || !root)
		return NULL;
	w->root = *root;
	w->len = 0;
	w->top = 0;
	w->outside = false;
	w->done = false;
	w->dentry = BPF_CORE_READ(p, dentry);
	w->mnt = BPF_CORE_READ(p, mnt);
	bpf_loop(MAX_DEPTH, walk_step, &w, 0);
	if (w->outside || !w->done) {
		char *end = &w->path[w->len & (REC_PATH_MAX - 1)];

		end[0] = 1;
		end[1] = 0;
		w->len += 2;
		w->outside = true;
	}
	return w;
}

static __always_inline void give_path(struct rec_thread *t, __u8 arg, __u16 index, struct walk *w)
{
	if (!w->len)		/* the root: an empty path, but not no path */
		w->path[0] = 0;
	copy_from(t, arg, index, just_a_number(t, w->path), w->len ? w->len : 1, true);
}

/* @path: a struct path of the kernel's, or NULL. */
__noinline int give_path_of(struct rec_thread *t, __u8 arg, __u16 index, __u64 path)
{
	struct walk *w;

	if (!t || !path)
		return 0;
	w = find_path(t, (struct path *)path);
	if (w)
		give_path(t, arg, index, w);
	return 0;
}

/* A name of at most eight bytes as a number. */
#define NAME8(a, b, c, d, e, f) \
	((__u64)(a) | (__u64)(b) << 8 | (__u64)(c) << 16 | (__u64)(d) << 24 | (__u64)(e) << 32 | (__u64)(f) << 40)

/* The topmost name of a path, if it is of at most eight bytes. */
static __always_inline __u64 top_name(struct walk *w)
{
	const char *top = &w->path[w->top & (REC_PATH_MAX - 1)];
	__u64 name = 0;

	if (w->outside || !w->len)
		return 0;
#pragma unroll
	for (int i = 0; i < 8; i++) {
		if (!top[i])
			break;
		name |= (__u64)(__u8)top[i] << 8 * i;
	}
	return name;
}

static __always_inline bool in_synthetic(struct walk *w)
{
	__u64 name = top_name(w);

	return name == NAME8('p', 'r', 'o', 'c', 0, 0) || name == NAME8('s', 'y', 's', 0, 0, 0);
}

/* Is it among the image's files?  The directories are those of the manifest, see recorder/paths.c. */
static __always_inline bool in_image(struct walk *w)
{
	__u64 name = top_name(w);

	if (!name)
		return false;
	switch (name) {
	case NAME8('u', 's', 'r', 0, 0, 0):
	case NAME8('b', 'i', 'n', 0, 0, 0):
	case NAME8('s', 'b', 'i', 'n', 0, 0):
	case NAME8('l', 'i', 'b', 0, 0, 0):
	case NAME8('l', 'i', 'b', '3', '2', 0):
	case NAME8('l', 'i', 'b', '6', '4', 0):
	case NAME8('l', 'i', 'b', 'x', '3', '2'):
	case NAME8('o', 'p', 't', 0, 0, 0):
		return true;
	}
	return *(__u64 *)w->path == 0x61632e6f732e646cull &&	/* "ld.so.ca" "che\0etc" */
	       *(__u64 *)(w->path + 8) == 0x0063746500656863ull;
}

/* ---- strings -------------------------------------------------------------------- */

/* One that is not gathered; its first byte. */
static __noinline int give_long_string(struct rec_thread *t, __u64 src)
{
	struct rec_data *d = bpf_ringbuf_reserve(&ring, REC_DATA_SIZE(REC_PATH_MAX), 0);
	int first;
	long n;

	if (!d) {
		count_lost();
		t->fault = 1;
		return 0;
	}
	fill_data(d, t, 0);
	d->h.flags |= REC_F_ALONE;
	n = bpf_probe_read_user_str(d->data, REC_PATH_MAX, (void *)src);
	if (n < 0) {
		t->fault = 1;
		bpf_ringbuf_discard(d, BPF_RB_NO_WAKEUP);
		return 0;
	}
	first = d->data[0];
	d->h.len = n;
	bpf_ringbuf_submit(d, submit_flags(false));
	return first;
}

/* A path that the program named; its first byte. */
__noinline int give_string(struct rec_thread *t, __u8 arg, __u64 src)
{
	struct rec_data *d;
	long n;

	if (!t || !src)
		return 0;
	t->copy.off = 0;
	t->copy.index = 0;
	t->copy.arg = arg;
	t->copy.kernel = 0;
	d = room_to_gather(t);
	fill_data(d, t, 0);
	n = bpf_probe_read_user_str(d->data, GATHER_DATA, (void *)src);
	if (n == GATHER_DATA)
		return give_long_string(t, src);
	if (n < 0) {
		t->fault = 1;
		return 0;
	}
	d->h.len = n;
	add_gathered(t, REC_DATA_SIZE(n));
	return d->data[0];
}

#endif
