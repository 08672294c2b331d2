/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Extended attributes.  Those that the program may set itself are laid with
 * their files (files.c), and once the program has changed a file they are what
 * the kernel says; all others, and those of files that were not touched, are
 * what they were when recorded.
 */
#include <linux/types.h>

#include "replayer/look.h"

#include "format/attributes.h"
#include "format/cleanup.h"
#include "format/text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int attributes_of(int fd, struct bytes *ret)
{
	char link[64];

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	return attributes_read(link, true, ret);
}

/* Of a list of names: are all of them such as the program may set? */
static bool are_users(struct bytes names)
{
	for (size_t at = 0; at < names.len; at += strnlen((const char *)names.data + at, names.len - at) + 1)
		if (names.len - at < 5 || memcmp(names.data + at, "user.", 5) != 0)
			return false;
	return true;
}

static bool is_about_users(const struct ask *a)
{
	if (a->word[0])
		return strncmp(a->word, "user.", 5) == 0;
	return !a->then || a->then->ret <= 0 || are_users((struct bytes){ a->then->data, a->then->len });
}

/* The recorded list, which has an order of its own, names what is there now. */
static bool is_listed(const struct ask *a, struct bytes now)
{
	struct attribute at;
	size_t len = 0;

	if (a->word[0] || !a->then || a->then->ret < 0)
		return false;
	while (attributes_next(&now, &at)) {
		len += strlen(at.name) + 1;
		if (a->then->len && !memmem(a->then->data, a->then->len, at.name, strlen(at.name) + 1))
			return false;
	}
	return len == (size_t)a->then->ret;
}

/* Of the file as it was before: is not known what is asked for, and has nobody set it since? */
static bool is_unknown(struct replay *r, const struct ask *a, struct bytes now)
{
	char name[2 * PATH_MAX];
	struct attribute then, here;
	const struct ev_file *f;

	snprintf(name, sizeof(name), "%s%s%s", a->path[0] == '/' ? "" : a->base, a->path[0] && a->path[0] != '/' ? "/" : "", a->path);
	f = files_recorded(r->rec, name);
	return f && a->word[0] && attributes_find(f->attributes, a->word, &then) && !then.value &&
	       !(attributes_find(now, a->word, &here) && here.len);
}

bool attributes_are_own(struct replay *r, const struct call *c, const struct ask *a)
{
	struct bytes now = { 0 };
	struct stat st;
	bool own;

	if ((a->then && (a->then->whole || a->then->ret == -EOPNOTSUPP)) || !is_about_users(a))
		return false;
	_cleanup_fd_ int fd = ask_open(r, c, a);
	if (fd < 0 || fstat(fd, &st) < 0 || (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode)) || attributes_of(fd, &now) < 0)
		return false;
	own = !is_listed(a, now) && !is_unknown(r, a, now);
	if (!own && !a->then)
		miss(r, "%s of %s was asked for; the capsule has it not", a->word, a->path[0] ? a->path : a->base);
	free((void *)now.data);
	return own && st.st_ctim.tv_sec * 1000000000ll + st.st_ctim.tv_nsec >= r->began;
}

/* The first attribute in which two differ, as "NAME=VALUE" or "no NAME". */
static void say(const struct attribute *a, const char *name, char out[200])
{
	_cleanup_free_ char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	if (!f)
		return;
	fprintf(f, "%s%.100s%s", a ? "" : "no ", name, a ? "=" : "");
	if (a)
		text_quoted(f, a->value, a->len, 32);
	fclose(f);
	snprintf(out, 200, "%s", text);
	text_tame(out);
}

static bool is_other(const struct attribute *a, bool has, const struct attribute *b)
{
	return !has || a->len != b->len || (a->len && memcmp(a->value, b->value, a->len) != 0);
}

enum attributes_verdict attributes_compare(int fd, struct bytes then, char expected[200], char got[200])
{
	struct bytes now = { 0 }, rest = then;
	struct attribute a, b;
	int e = attributes_of(fd, &now);
	bool differ = false;

	if (e < 0)
		return then.len ? ATTRIBUTES_LOST : ATTRIBUTES_SAME;
	while (!differ && attributes_next(&rest, &a)) {
		bool has = attributes_find(now, a.name, &b);

		differ = a.value && is_other(&a, has, &b);
		if (differ) {
			say(&a, a.name, expected);
			say(has ? &b : NULL, a.name, got);
		}
	}
	rest = now;
	while (!differ && attributes_next(&rest, &b)) {
		differ = !attributes_find(then, b.name, &a);
		if (differ) {
			say(NULL, b.name, expected);
			say(&b, b.name, got);
		}
	}
	free((void *)now.data);
	return differ ? ATTRIBUTES_DIFFER : ATTRIBUTES_SAME;
}
