/* SPDX-License-Identifier: Apache-2.0 */
/* The kernel's types, as few of them as our programs look at: libbpf searches all it is given, once for each type. */
#ifndef CAPSULE_RECORDER_BTF_H
#define CAPSULE_RECORDER_BTF_H

struct btf;

/*
 * A memfd with those types of the running kernel that @local, a program's own
 * description of them, names: with the members that @local has, nothing
 * behind pointers.  Negative: none; libbpf can do without.
 */
int btf_of_kernel(const struct btf *local);

#endif
