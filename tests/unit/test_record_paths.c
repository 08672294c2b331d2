/* SPDX-License-Identifier: Apache-2.0 */
/* Paths from the kernel, and where names lead. */
#include "tests/unit/harness.h"

#include "recorder/paths.h"

#include <errno.h>
#include <sys/stat.h>

static void reads_the_kernels_form(void **state)
{
	static const struct {
		const char *bytes;
		size_t len;
		const char *path;	/* NULL: refused */
	} cases[] = {
		{ "c\0b\0a", 6, "/a/b/c" },
		{ "a", 2, "/a" },
		{ "", 1, "/" },
		{ "b\0\1", 4, NULL },
		{ "b\0\0a", 5, NULL },
		{ "..\0a", 5, NULL },
		{ "a", 1, NULL },
	};
	char path[PATH_MAX];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct part p = { .kernel = true, .data = (uint8_t *)cases[i].bytes, .len = cases[i].len };

		assert_int_equal(path_of_part(&p, path), cases[i].path != NULL);
		if (cases[i].path)
			assert_string_equal(path, cases[i].path);
	}
	assert_false(path_of_part(NULL, path));
}

static void refuses_a_path_of_the_programs(void **state)
{
	struct part p = { .kernel = false, .data = (uint8_t *)"a", .len = 2 };
	char path[PATH_MAX];

	(void)state;
	assert_false(path_of_part(&p, path));
	p.kernel = true;
	p.torn = true;
	assert_false(path_of_part(&p, path));
}

static void refuses_a_path_that_is_too_long(void **state)
{
	uint8_t *names = malloc(2 * PATH_MAX);
	struct part p = { .kernel = true, .data = names, .len = 2 * PATH_MAX };
	char path[PATH_MAX];

	(void)state;
	for (size_t i = 0; i < 2 * PATH_MAX; i++)
		names[i] = i % 2 ? 0 : 'x';
	assert_false(path_of_part(&p, path));
	p.len = PATH_MAX - 2;
	assert_true(path_of_part(&p, path));
	free(names);
}

struct walk_log {
	char links[256];
	char dirs[1024];
};

static bool no_dir(void *ctx, const char *path)
{
	(void)ctx, (void)path;
	return false;
}

static void note_dir(void *ctx, const char *path, const struct stat *st)
{
	(void)st;
	strcat(strcat(((struct walk_log *)ctx)->dirs, path), " ");
}

static void note_link(void *ctx, const char *path, const struct stat *st, const char *target)
{
	(void)path, (void)st;
	strcat(strcat(((struct walk_log *)ctx)->links, target), " ");
}

static const struct walk_ops ops = { no_dir, note_dir, note_link };

/* A root of its own: /d/e, /d/f, /d/l -> e, /abs -> /d/l, /up -> .., /loop -> loop */
static const char *make_root(void)
{
	static char root[128];
	char path[200];

	if (root[0])
		return root;
	snprintf(root, sizeof(root), "%s", scratch_path("root"));
	mkdir(root, 0755);
#define AT(name) (snprintf(path, sizeof(path), "%s/%s", root, name), path)
	mkdir(AT("d"), 0755);
	mkdir(AT("d/e"), 0755);
	fclose(fopen(AT("d/f"), "w"));
	assert_int_equal(symlink("e", AT("d/l")), 0);
	assert_int_equal(symlink("/d/l", AT("abs")), 0);
	assert_int_equal(symlink("..", AT("up")), 0);
	assert_int_equal(symlink("loop", AT("loop")), 0);
#undef AT
	return root;
}

static void follows_names(void **state)
{
	static const struct {
		const char *base, *name;
		bool follow;
		const char *path;
		bool absent;
	} cases[] = {
		{ "/", "/d/f", true, "/d/f", false },
		{ "/d", "f", true, "/d/f", false },
		{ "/d", "../d/./e/../f", true, "/d/f", false },
		{ "/", "d/l", false, "/d/l", false },
		{ "/", "d/l", true, "/d/e", false },
		{ "/", "d/l/", false, "/d/e", false },
		{ "/", "abs", true, "/d/e", false },
		{ "/", "abs/x", true, "/d/e/x", true },
		{ "/", "d/nothing/at/all", true, "/d/nothing", true },
		{ "/", "up/up/../d", true, "/d", false },
		{ "/d", "..", true, "/", false },
		{ "/", "../../..", true, "/", false },
		{ "/", "/", true, "/", false },
	};
	struct walk_log log;
	struct walked w;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		memset(&log, 0, sizeof(log));
		assert_int_equal(path_walk(&w, make_root(), cases[i].base, cases[i].name, cases[i].follow, &ops, &log), 0);
		assert_string_equal(w.path, cases[i].path);
		assert_int_equal(w.absent, cases[i].absent);
	}
}

static void tells_links_and_directories_on_the_way(void **state)
{
	struct walk_log log = { 0 };
	struct walked w;

	(void)state;
	assert_int_equal(path_walk(&w, make_root(), "/", "abs/../f", true, &ops, &log), 0);
	assert_string_equal(w.path, "/d/f");
	assert_string_equal(log.links, "/d/l e ");
	assert_string_equal(log.dirs, "/d /d/e ");
}

static void refuses_loops_and_files_on_the_way(void **state)
{
	struct walk_log log = { 0 };
	struct walked w;

	(void)state;
	assert_int_equal(path_walk(&w, make_root(), "/", "loop", true, &ops, &log), -ELOOP);
	assert_int_equal(path_walk(&w, make_root(), "/", "d/f/x", true, &ops, &log), -ENOTDIR);
}

static void knows_the_image(void **state)
{
	(void)state;
	assert_true(path_in_image("/usr"));
	assert_true(path_in_image("/usr/bin/env"));
	assert_false(path_in_image("/usrlocal"));
	assert_false(path_in_image("/etc/passwd"));
	assert_true(path_is_synthetic("/proc/self"));
	assert_true(path_is_synthetic("/dev/null"));
	assert_false(path_is_synthetic("/dev/shm/x"));
	assert_false(path_is_synthetic("/process"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_the_kernels_form),
		cmocka_unit_test(refuses_a_path_of_the_programs),
		cmocka_unit_test(refuses_a_path_that_is_too_long),
		cmocka_unit_test(follows_names),
		cmocka_unit_test(tells_links_and_directories_on_the_way),
		cmocka_unit_test(refuses_loops_and_files_on_the_way),
		cmocka_unit_test(knows_the_image),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
