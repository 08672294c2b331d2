/* SPDX-License-Identifier: Apache-2.0 */
#include "format/attributes.h"

#include "format/cleanup.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>

enum { LENGTH = 4 };

/* How whoever unpacked an image, or mounted an overlay, did it. */
static bool is_machines(const char *name)
{
	return strncmp(name, "user.overlay.", 13) == 0 || strcmp(name, "user.rootlesscontainers") == 0;
}

static bool is_users(const char *name)
{
	return strncmp(name, "user.", 5) == 0 && name[5] && strlen(name) <= XATTR_NAME_MAX && !is_machines(name);
}

static uint32_t get_u32(const uint8_t *p)
{
	return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

bool attributes_next(struct bytes *rest, struct attribute *a)
{
	const uint8_t *nul = rest->len ? memchr(rest->data, 0, rest->len) : NULL;
	size_t head = nul ? (size_t)(nul - rest->data) + 1 + LENGTH : SIZE_MAX;
	uint32_t len;

	if (head > rest->len)
		return false;
	len = get_u32(nul + 1);
	*a = (struct attribute){ .name = (const char *)rest->data };
	if (len != ATTRIBUTE_UNKNOWN) {
		if (len > rest->len - head)
			return false;
		a->value = rest->data + head;
		a->len = len;
	}
	*rest = (struct bytes){ rest->data + head + a->len, rest->len - head - a->len };
	return true;
}

bool attributes_are_good(struct bytes all)
{
	struct attribute a;

	if (all.len > ATTRIBUTES_MAX)
		return false;
	while (attributes_next(&all, &a))
		if (!is_users(a.name) || a.len > XATTR_SIZE_MAX)
			return false;
	return all.len == 0;
}

bool attributes_find(struct bytes all, const char *name, struct attribute *a)
{
	while (attributes_next(&all, a))
		if (strcmp(a->name, name) == 0)
			return true;
	return false;
}

int attributes_add(struct bytes *all, const struct attribute *a)
{
	size_t name = strlen(a->name) + 1;
	uint32_t len = a->value ? (uint32_t)a->len : ATTRIBUTE_UNKNOWN;
	uint8_t *more, *at;

	if (all->len + name + LENGTH + a->len > ATTRIBUTES_MAX)
		return -EFBIG;
	more = realloc((void *)all->data, all->len + name + LENGTH + a->len);
	if (!more)
		return -ENOMEM;
	at = more + all->len;
	memcpy(at, a->name, name);
	for (int i = 0; i < LENGTH; i++)
		at[name + (size_t)i] = (uint8_t)(len >> 8 * i);
	if (a->len)
		memcpy(at + name + LENGTH, a->value, a->len);
	*all = (struct bytes){ more, all->len + name + LENGTH + a->len };
	return 0;
}

void attributes_remove(struct bytes *all, const char *name)
{
	struct bytes rest = *all;
	struct attribute a;

	for (const uint8_t *at = rest.data; attributes_next(&rest, &a); at = rest.data) {
		if (strcmp(a.name, name) != 0)
			continue;
		all->len -= (size_t)(rest.data - at);
		memmove((uint8_t *)at, rest.data, rest.len);
		return;
	}
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* @names holds @len bytes of names, each with its NUL. */
static int read_values(const char *path, bool follow, const char *names, size_t len, struct bytes *ret)
{
	_cleanup_free_ const char **sorted = calloc(len + 1, sizeof(*sorted));
	_cleanup_free_ uint8_t *value = malloc(XATTR_SIZE_MAX);
	size_t n = 0;
	int e = 0;

	if (!sorted || !value)
		return -ENOMEM;
	for (const char *name = names; name < names + len; name += strlen(name) + 1)
		if (is_users(name))
			sorted[n++] = name;
	qsort(sorted, n, sizeof(*sorted), compare_names);
	for (size_t i = 0; i < n && e == 0; i++) {
		ssize_t got = (follow ? getxattr : lgetxattr)(path, sorted[i], value, XATTR_SIZE_MAX);

		if (got >= 0)
			e = attributes_add(ret, &(struct attribute){ sorted[i], value, (size_t)got });
	}
	return e;
}

int attributes_read(const char *path, bool follow, struct bytes *ret)
{
	struct bytes all = { 0 };
	ssize_t len;
	int e;

	*ret = all;
	len = (follow ? listxattr : llistxattr)(path, NULL, 0);
	if (len <= 0)
		return len < 0 ? -errno : 0;
	_cleanup_free_ char *names = malloc(XATTR_LIST_MAX + 1);
	if (!names)
		return -ENOMEM;
	len = (follow ? listxattr : llistxattr)(path, names, XATTR_LIST_MAX);
	if (len < 0)
		return -errno;
	names[len] = 0;
	e = read_values(path, follow, names, (size_t)len, &all);
	if (e < 0)
		free((void *)all.data);
	else
		*ret = all;
	return e;
}
