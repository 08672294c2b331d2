/* SPDX-License-Identifier: Apache-2.0 */
/* The programs come out the same, whether libbpf has all types of the kernel or those few that we give it. */
#include <linux/types.h>
#include <stdbool.h>

#include "bpf/record.h"
#include "format/sysdesc.h"
#include "recorder/btf.h"

#include "bpf/record.skel.h"

#include "tests/unit/harness.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct record *loaded(const struct bpf_object_open_opts *opts)
{
	struct record *s = record__open_opts(opts);

	assert_non_null(s);
	if (record__load(s) < 0) {
		record__destroy(s);
		return NULL;
	}
	return s;
}

/* But for the numbers of maps. */
static void assert_same_code(const struct bpf_program *a, const struct bpf_program *b)
{
	const struct bpf_insn *x = bpf_program__insns(a), *y = bpf_program__insns(b);
	size_t n = bpf_program__insn_cnt(a);

	assert_int_equal(n, bpf_program__insn_cnt(b));
	assert_true(n > 10);
	for (size_t i = 0; i < n; i++) {
		if (x[i].code == (BPF_LD | BPF_IMM | BPF_DW) && x[i].src_reg) {
			i++;
			continue;
		}
		assert_memory_equal(&x[i], &y[i], sizeof(x[i]));
	}
}

static void few_types_are_enough(void **state)
{
	LIBBPF_OPTS(bpf_object_open_opts, opts);
	struct bpf_program *p, *q;
	struct record *all, *few;
	struct stat st;
	char path[64];
	int fd;

	(void)state;
	all = loaded(NULL);
	if (!all)
		skip();		/* not for this user, or this kernel */
	fd = btf_of_kernel(bpf_object__btf(all->obj));
	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &st), 0);
	assert_in_range(st.st_size, 1000, 64 << 10);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	opts.btf_custom_path = path;
	few = loaded(&opts);
	assert_non_null(few);
	q = bpf_object__next_program(few->obj, NULL);
	bpf_object__for_each_program(p, all->obj) {
		assert_non_null(q);
		assert_string_equal(bpf_program__name(p), bpf_program__name(q));
		assert_same_code(p, q);
		q = bpf_object__next_program(few->obj, q);
	}
	record__destroy(all);
	record__destroy(few);
	close(fd);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(few_types_are_enough),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
