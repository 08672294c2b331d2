/* SPDX-License-Identifier: Apache-2.0 */
/* The vDSO of a process: found, damaged in every byte, written over. */
#include "format/cleanup.h"
#include "format/vdso.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <elf.h>
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/wait.h>
#include <time.h>

#define PAGE 4096

static int find_own(struct vdso_map *map, struct err *err)
{
	_cleanup_fd_ int mem = vdso_open(getpid());

	return vdso_find(getpid(), mem, map, err);
}

static int redirect_own(const struct vdso_map *map, unsigned int *n, struct err *err)
{
	_cleanup_fd_ int mem = vdso_open(getpid());

	return vdso_redirect_to_syscalls(mem, map, n, err);
}

/* A copy of our own image. */
static uint8_t *image(size_t *len)
{
	struct err err = ERR_INIT;
	struct vdso_map map;
	uint8_t *copy;

	assert_int_equal(find_own(&map, &err), 0);
	*len = (map.size + PAGE - 1) / PAGE * PAGE;
	copy = malloc(*len);
	assert_non_null(copy);
	memcpy(copy, (const void *)map.base, *len);
	return copy;
}

static void finds_its_entries(void **state)
{
	struct err err = ERR_INIT;
	struct vdso_map map;
	int (*gettime)(clockid_t, struct timespec *);
	struct timespec ts = { 0 };

	(void)state;
	assert_int_equal(find_own(&map, &err), 0);
	assert_int_equal(map.base, getauxval(AT_SYSINFO_EHDR));
	assert_int_equal(map.at_random, getauxval(AT_RANDOM));
	assert_int_equal(map.hwcap2, getauxval(AT_HWCAP2));
	for (unsigned int e = VDSO_CLOCK_GETTIME; e <= VDSO_GETCPU; e++) {
		assert_in_range(map.entry[e].addr, map.text, map.text + map.text_size - map.entry[e].size);
		assert_true(map.entry[e].size >= VDSO_STUB);
	}
	gettime = (void *)map.entry[VDSO_CLOCK_GETTIME].addr;
	assert_int_equal(gettime(CLOCK_MONOTONIC, &ts), 0);
	assert_int_not_equal(ts.tv_sec + ts.tv_nsec, 0);
}

static void refuses_what_is_no_vdso(void **state)
{
	static const char text[PAGE] = "#!/bin/sh";
	Elf64_Ehdr eh = { .e_ident = ELFMAG, .e_machine = EM_X86_64, .e_phentsize = sizeof(Elf64_Phdr) };
	struct err err = ERR_INIT;
	struct vdso_map map = { 0 };

	(void)state;
	assert_int_equal(vdso_parse(text, sizeof(text), 0x1000, &map, &err), -ENOENT);
	assert_int_equal(vdso_parse(text, 0, 0x1000, &map, &err), -ENOENT);
	eh.e_ident[EI_CLASS] = ELFCLASS32;
	eh.e_ident[EI_DATA] = ELFDATA2LSB;
	assert_int_equal(vdso_parse(&eh, sizeof(eh), 0x1000, &map, &err), -ENOENT);
	eh.e_ident[EI_CLASS] = ELFCLASS64;
	assert_int_equal(vdso_parse(&eh, sizeof(eh), 0x1000, &map, &err), -EBADMSG);
	eh.e_phnum = 0xffff;
	eh.e_phoff = UINT64_MAX - 8;
	assert_int_equal(vdso_parse(&eh, sizeof(eh), 0x1000, &map, &err), -EBADMSG);
}

/* Whatever comes of it, an entry lies inside the text, which lies inside the image. */
static void check(const uint8_t *data, size_t len)
{
	const uint64_t base = 0x7fff00000000;
	struct vdso_map map = { 0 };
	struct err err = ERR_INIT;
	/* On the heap and exactly as long, so that a sanitizer sees a step too far. */
	_cleanup_free_ uint8_t *copy = malloc(len ? len : 1);

	assert_non_null(copy);
	memcpy(copy, data, len);
	if (vdso_parse(copy, len, base, &map, &err) < 0)
		return;
	assert_true(map.text >= base && map.text_size <= len && map.text - base <= len - map.text_size);
	for (unsigned int e = 0; e < VDSO_N; e++) {
		if (!map.entry[e].addr)
			continue;
		assert_true(map.entry[e].size >= VDSO_STUB);
		assert_true(map.entry[e].addr >= map.text);
		assert_true(map.entry[e].addr - map.text <= map.text_size - map.entry[e].size);
	}
}

static void damage_stays_inside(void **state)
{
	static const uint8_t values[] = { 0, 1, 0x7f, 0x80, 0xff };
	size_t len;
	_cleanup_free_ uint8_t *im = image(&len);

	(void)state;
	for (size_t i = 0; i < 0x600 && i < len; i++) {	/* headers, hashes, symbols */
		const uint8_t was = im[i];

		for (size_t k = 0; k < sizeof(values); k++) {
			im[i] = values[k];
			check(im, len);
		}
		im[i] = was;
		if (i + 8 <= len) {
			uint64_t word, bad = UINT64_MAX - 3;

			memcpy(&word, im + i, 8);
			memcpy(im + i, &bad, 8);
			check(im, len);
			memcpy(im + i, &word, 8);
		}
	}
	for (size_t cut = 0; cut < len; cut += 13)
		check(im, cut);
}

/* The entry of @tag in the dynamic section of an image that is whole. */
static Elf64_Dyn *find_dynamic(uint8_t *im, int64_t tag)
{
	const Elf64_Ehdr *eh = (const Elf64_Ehdr *)im;
	const Elf64_Phdr *ph = (const Elf64_Phdr *)(im + eh->e_phoff);

	for (unsigned int i = 0; i < eh->e_phnum; i++) {
		if (ph[i].p_type != PT_DYNAMIC)
			continue;
		for (Elf64_Dyn *d = (Elf64_Dyn *)(im + ph[i].p_offset); d->d_tag != DT_NULL; d++)
			if (d->d_tag == tag)
				return d;
	}
	return NULL;
}

static void either_hash_is_enough(void **state)
{
	struct vdso_map both = { 0 }, gnu = { 0 };
	struct err err = ERR_INIT;
	size_t len;
	_cleanup_free_ uint8_t *im = image(&len);
	Elf64_Dyn *hash, *gnu_hash;

	(void)state;
	assert_int_equal(vdso_parse(im, len, 0, &both, &err), 0);
	hash = find_dynamic(im, DT_HASH);
	gnu_hash = find_dynamic(im, DT_GNU_HASH);
	if (!hash || !gnu_hash) {
		print_message("this kernel's vDSO has only one of them\n");
		return;
	}
	hash->d_tag = DT_DEBUG;
	assert_int_equal(vdso_parse(im, len, 0, &gnu, &err), 0);
	assert_memory_equal(&both, &gnu, sizeof(both));
	gnu_hash->d_tag = DT_DEBUG;
	gnu = (struct vdso_map){ 0 };
	assert_int_equal(vdso_parse(im, len, 0, &gnu, &err), 0);
	assert_int_equal(gnu.entry[VDSO_TIME].addr, 0);
}

/* In a child, for it stays. The replaced calls still tell the time. */
static void stubs_make_system_calls(void **state)
{
	int status;

	(void)state;
	pid_t pid = fork();
	if (pid == 0) {
		struct err err = ERR_INIT;
		struct timespec ts;
		struct vdso_map map;
		unsigned int n;
		time_t t;

		if (find_own(&map, &err) < 0 || redirect_own(&map, &n, &err) < 0)
			_exit(1);
		if (n < 5 || clock_gettime(CLOCK_REALTIME, &ts) != 0 || clock_gettime(9999, &ts) == 0 || errno != EINVAL)
			_exit(2);
		if (time(&t) < ts.tv_sec || t - ts.tv_sec > 2)
			_exit(3);
		if (*(const uint8_t *)map.entry[VDSO_TIME].addr != 0xb8)
			_exit(4);
		if (map.entry[VDSO_GETRANDOM].addr) {
			long (*f)(void *, size_t, unsigned int, void *, size_t) = (void *)map.entry[VDSO_GETRANDOM].addr;

			if (f(&t, sizeof(t), 0, NULL, 0) != -ENOSYS)
				_exit(5);
		}
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void a_process_that_is_not_there(void **state)
{
	struct err err = ERR_INIT;
	struct vdso_map map;
	int status;

	(void)state;
	pid_t pid = fork();
	if (pid == 0)
		_exit(0);
	siginfo_t si;
	waitid(P_PID, (id_t)pid, &si, WEXITED | WNOWAIT);
	assert_true(vdso_find(pid, -1, &map, &err) < 0);	/* a zombie has no auxv */
	waitpid(pid, &status, 0);
	err = ERR_INIT;
	assert_true(vdso_find(pid, -1, &map, &err) < 0);
	assert_true(err.code == ENOENT || err.code == ESRCH);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(finds_its_entries),
		cmocka_unit_test(refuses_what_is_no_vdso),
		cmocka_unit_test(damage_stays_inside),
		cmocka_unit_test(either_hash_is_enough),
		cmocka_unit_test(stubs_make_system_calls),
		cmocka_unit_test(a_process_that_is_not_there),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
