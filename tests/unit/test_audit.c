/* SPDX-License-Identifier: Apache-2.0 */
/* The audit log: what it holds, and that nothing in it can be changed unseen. */
#include "tests/unit/harness.h"

#include "watch/audit.h"

#include "format/io.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

static char log_path[160], head_path[170];

static int setup(void **state)
{
	(void)state;
	snprintf(log_path, sizeof(log_path), "%s", scratch_path("audit"));
	snprintf(head_path, sizeof(head_path), "%s.head", log_path);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	unlink(log_path);
	unlink(head_path);
	return 0;
}

static void add(struct audit *a, const char *event, const char *text)
{
	struct audit_field fields[] = { { "policy", text, 0 }, { "bytes", NULL, 12345678901 } };
	struct err err = ERR_INIT;

	assert_works(err, audit_add(a, event, fields, 2, &err));
}

static struct audit *opened(void)
{
	struct audit *a = NULL;
	struct err err = ERR_INIT;

	assert_works(err, audit_open(&a, log_path, &err));
	return a;
}

static void five_lines(void)
{
	struct audit *a = opened();

	for (int i = 0; i < 5; i++)
		add(a, "capture", i == 2 ? "\"}\n\\ \xff" : "payments");
	audit_close(a);
}

static struct audit_end whole(const struct audit_check *expect)
{
	struct audit_end end;
	struct err err = ERR_INIT;

	assert_works(err, audit_verify(log_path, expect, &end, &err));
	return end;
}

static void broken(const struct audit_check *expect, const char *word)
{
	struct audit_end end;
	struct err err = ERR_INIT;

	assert_fails(EBADMSG, err, audit_verify(log_path, expect, &end, &err));
	if (!strstr(err.text, word))
		fail_msg("'%s' does not say '%s'", err.text, word);
}

static char *slurp(size_t *len)
{
	char *text = NULL;

	assert_int_equal(io_slurp(log_path, 1 << 20, &text, len), 0);
	return text;
}

static void spit(const char *text, size_t len)
{
	FILE *f = fopen(log_path, "w");

	fwrite(text, 1, len, f);
	fclose(f);
}

/* The place of line @n, from 1; of the end for one too many. */
static char *line_at(char *text, int n)
{
	while (--n > 0)
		text = strchr(text, '\n') + 1;
	return text;
}

static void test_whole(void **state)
{
	struct audit_end end;
	struct stat st;
	size_t len;

	(void)state;
	five_lines();
	end = whole(NULL);
	assert_int_equal(end.lines, 5);
	assert_true(strcmp(end.first, end.last) < 0);
	assert_int_equal(stat(log_path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(stat(head_path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	five_lines();
	end = whole(NULL);
	assert_int_equal(end.lines, 10);
	char *text = slurp(&len);
	assert_non_null(strstr(text, "\"event\":\"capture\",\"policy\":\"\\\"}\\u000a\\\\ \\udcff\",\"bytes\":12345678901,\"hash\":"));
	free(text);
}

static void test_empty(void **state)
{
	(void)state;
	audit_close(opened());
	assert_int_equal(whole(NULL).lines, 0);
}

/* Each byte of it in turn, another one: the line that is named is the one where it is. */
static void test_altered(void **state)
{
	size_t len;

	(void)state;
	five_lines();
	char *text = slurp(&len);
	int line = 1;

	for (size_t i = 0; i < len; i++) {
		char was = text[i], word[20];

		text[i] ^= 1;
		spit(text, len);
		snprintf(word, sizeof(word), "line %d ", line);
		broken(NULL, word);
		text[i] = was;
		line += was == '\n';
	}
	spit(text, len);
	whole(NULL);
	free(text);
}

static void test_removed(void **state)
{
	size_t len;

	(void)state;
	five_lines();
	char *text = slurp(&len);

	for (int i = 1; i < 5; i++) {
		char *copy = test_malloc(len), *from = line_at(text, i), *to = line_at(text, i + 1), word[100];
		size_t before = (size_t)(from - text);

		memcpy(copy, text, before);
		memcpy(copy + before, to, len - (size_t)(to - text));
		spit(copy, len - (size_t)(to - from));
		snprintf(word, sizeof(word), "line %d has the number %d: lines before it were removed", i, i + 1);
		broken(NULL, word);
		test_free(copy);
	}
	free(text);
}

static void test_inserted(void **state)
{
	size_t len;

	(void)state;
	five_lines();
	char *text = slurp(&len), *copy = test_malloc(2 * len), *third = line_at(text, 3), *fourth = line_at(text, 4);
	size_t before = (size_t)(fourth - text), one = (size_t)(fourth - third);

	/* A line twice, and a line of another's making. */
	memcpy(copy, text, before);
	memcpy(copy + before, third, one);
	memcpy(copy + before + one, fourth, len - before);
	spit(copy, len + one);
	broken(NULL, "line 4 has the number 3: it was put in or moved");
	memcpy(copy + before, "{\"n\":4}\n", 8);
	memcpy(copy + before + 8, fourth, len - before);
	spit(copy, len + 8);
	broken(NULL, "line 4 is not a whole line");
	test_free(copy);
	free(text);
}

/* A tail that is missing shows in the head file; without that, in a head that was kept elsewhere. */
static void test_tail(void **state)
{
	struct audit_check kept;
	char *at, word[200];
	size_t len;

	(void)state;
	five_lines();
	struct audit_end end = whole(NULL);
	snprintf(word, sizeof(word), "%llu:%s", (unsigned long long)end.lines, end.hash);
	assert_int_equal(audit_check_parse(&kept, word), 0);
	assert_int_equal(audit_check_parse(&kept, "5"), -EINVAL);
	assert_int_equal(audit_check_parse(&kept, "0:1234"), -EINVAL);
	assert_int_equal(audit_check_parse(&kept, word), 0);
	char *text = slurp(&len);
	at = line_at(text, 4);
	spit(text, (size_t)(at - text));
	broken(NULL, "line 4 is missing");
	unlink(head_path);
	assert_int_equal(whole(NULL).lines, 3);
	broken(&kept, "line 4 is missing");
	/* All written anew, as somebody can who knows how. */
	unlink(log_path);
	five_lines();
	broken(&kept, "written anew");
	spit(text, len - 1);
	unlink(head_path);
	broken(NULL, "line 5 is cut short");
	/* More lines than were kept are right. */
	spit(text, len);
	five_lines();
	whole(&kept);
	free(text);
}

/* Who writes on does not write over what was broken. */
static void test_open_broken(void **state)
{
	struct audit *a = NULL;
	struct err err = ERR_INIT;
	size_t len;

	(void)state;
	five_lines();
	char *text = slurp(&len);
	text[len / 2] ^= 1;
	spit(text, len);
	assert_fails(EBADMSG, err, audit_open(&a, log_path, &err));
	text[len / 2] ^= 1;
	spit(text, len - 20);
	err = ERR_INIT;
	assert_fails(EBADMSG, err, audit_open(&a, log_path, &err));
	assert_non_null(strstr(err.text, "head"));
	free(text);
}

/* A line that a crash cut short stays, and the next one tells of it; also twice, and at the very beginning. */
static void test_torn(void **state)
{
	size_t len;

	(void)state;
	for (int lines = 0; lines < 2; lines++) {
		struct audit *a = opened();

		for (int i = 0; i < lines; i++)
			add(a, "x", "y");
		audit_close(a);
		int fd = open(log_path, O_WRONLY | O_APPEND);
		assert_int_equal(write(fd, "{\"n\":6,\"ti", 10), 10);
		broken(NULL, "cut short");
		assert_int_equal(write(fd, "\n\n\0\0{\"n\"", 8), 8);
		close(fd);
		broken(NULL, "whole line");
		five_lines();
		assert_int_equal(whole(NULL).lines, lines + 6);
		char *text = slurp(&len);
		char *torn = memmem(text, len, "\"event\":\"torn\",\"bytes\":18,", 26);
		assert_non_null(torn);
		/* Nobody can change what was torn either. */
		*(char *)memmem(text, len, "6,\"ti", 5) = '7';
		spit(text, len);
		broken(NULL, "line");
		free(text);
		teardown(NULL);
	}
}

static void test_full_disk(void **state)
{
	struct rlimit was, small;
	struct err err = ERR_INIT;
	struct audit *a = opened();
	struct audit_field field = { "why", "because", 0 };
	struct stat st;

	(void)state;
	add(a, "x", "y");
	assert_int_equal(stat(log_path, &st), 0);
	signal(SIGXFSZ, SIG_IGN);
	getrlimit(RLIMIT_FSIZE, &was);
	small = was;
	small.rlim_cur = (rlim_t)st.st_size + 10;
	setrlimit(RLIMIT_FSIZE, &small);
	assert_fails(EFBIG, err, audit_add(a, "x", &field, 1, &err));
	err = ERR_INIT;
	assert_fails(EFBIG, err, audit_add(a, "x", &field, 1, &err));
	setrlimit(RLIMIT_FSIZE, &was);
	add(a, "after", "it");
	assert_int_equal(whole(NULL).lines, 3);
	audit_close(a);
}

static void test_who_may(void **state)
{
	struct audit *a = opened(), *b = NULL;
	struct err err = ERR_INIT;

	(void)state;
	assert_fails(EBUSY, err, audit_open(&b, log_path, &err));
	audit_close(a);
	chmod(log_path, 0644);
	err = ERR_INIT;
	assert_fails(EPERM, err, audit_open(&b, log_path, &err));
	unlink(log_path);
	assert_int_equal(symlink("elsewhere", log_path), 0);
	err = ERR_INIT;
	assert_fails(ELOOP, err, audit_open(&b, log_path, &err));
}

static void test_too_long(void **state)
{
	char *text = test_malloc(AUDIT_LINE + 1);
	struct audit_field field = { "why", text, 0 };
	struct err err = ERR_INIT;
	struct audit *a = opened();

	(void)state;
	memset(text, 'x', AUDIT_LINE);
	text[AUDIT_LINE] = 0;
	assert_fails(EFBIG, err, audit_add(a, "x", &field, 1, &err));
	add(a, "x", "y");
	text[AUDIT_LINE - 400] = 0;
	err = ERR_INIT;
	assert_works(err, audit_add(a, "long", &field, 1, &err));
	add(a, "x", "y");
	assert_int_equal(whole(NULL).lines, 3);
	audit_close(a);
	test_free(text);
}

#define LOG_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		LOG_TEST(test_whole),
		LOG_TEST(test_empty),
		LOG_TEST(test_altered),
		LOG_TEST(test_removed),
		LOG_TEST(test_inserted),
		LOG_TEST(test_tail),
		LOG_TEST(test_open_broken),
		LOG_TEST(test_torn),
		LOG_TEST(test_full_disk),
		LOG_TEST(test_who_may),
		LOG_TEST(test_too_long),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
