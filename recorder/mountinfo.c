/* SPDX-License-Identifier: Apache-2.0 */
#include "recorder/mountinfo.h"

#include "format/cleanup.h"
#include "format/io.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* "\040" is a space: the kernel escapes what would end a field. In place. */
static void unescape(char *s)
{
	char *to = s;

	for (; *s; s++) {
		bool octal = s[0] == '\\' && s[1] >= '0' && s[1] <= '3' && s[2] >= '0' && s[2] <= '7' && s[3] >= '0' && s[3] <= '7';

		*to++ = octal ? (char)((s[1] - '0') * 64 + (s[2] - '0') * 8 + (s[3] - '0')) : *s;
		s += octal ? 3 : 0;
	}
	*to = 0;
}

/* "36 35 98:0 /of/the/fs /mount/point rw,noatime shared:1 - ext4 /dev/sda rw,errors=continue"; false: it is none. */
static bool split(char *line, struct mountinfo *m)
{
	char *field[10] = { 0 }, *save = NULL, *behind = strstr(line, " - ");
	size_t n = 0;

	if (!behind)
		return false;
	*behind = 0;
	for (char *w = strtok_r(line, " ", &save); w && n < 6; w = strtok_r(NULL, " ", &save))
		field[n++] = w;
	for (char *w = n == 6 ? strtok_r(behind + 3, " ", &save) : NULL; w && n < 9; w = strtok_r(NULL, " ", &save))
		field[n++] = w;
	if (n < 9)
		return false;
	for (int i = 3; i < 8; i++)
		unescape(field[i]);
	*m = (struct mountinfo){ .point = field[4], .type = field[6], .source = strcmp(field[3], "/") == 0 ? field[7] : field[3],
				 .options = field[8], .readonly = strncmp(field[5], "ro", 2) == 0 };
	return true;
}

int mountinfo_each(pid_t pid, int (*f)(void *ctx, const struct mountinfo *m), void *ctx, struct err *err)
{
	_cleanup_free_ char *text = NULL;
	char path[64], *save = NULL;
	int rc;

	snprintf(path, sizeof(path), "/proc/%d/mountinfo", (int)pid);
	rc = io_slurp(path, 16 << 20, &text, NULL);
	for (char *line = rc < 0 ? NULL : strtok_r(text, "\n", &save); line && rc == 0; line = strtok_r(NULL, "\n", &save)) {
		struct mountinfo m;

		if (split(line, &m))
			rc = f(ctx, &m);
	}
	return rc < 0 ? err_sys(err, -rc, "the mounts of process %d", (int)pid) : 0;
}

bool mountinfo_is_special(const struct mountinfo *m)
{
	static const char *const below[] = { "/proc", "/sys", "/dev" };

	for (size_t i = 0; i < sizeof(below) / sizeof(below[0]); i++) {
		size_t n = strlen(below[i]);

		if (strncmp(m->point, below[i], n) == 0 && (m->point[n] == '/' || !m->point[n]))
			return true;
	}
	return false;
}

/* The length of the option at @at: a comma behind a backslash does not end it. */
static size_t option_len(const char *at, const char *ends)
{
	size_t n = 0;

	while (at[n] && !strchr(ends, at[n]))
		n += at[n] == '\\' && at[n + 1] ? 2 : 1;
	return n;
}

char *mountinfo_option(const char *options, const char *name)
{
	size_t len = strlen(name);
	char *value;

	for (const char *at = options; *at;) {
		size_t n = option_len(at, ",");

		if (n > len && strncmp(at, name, len) == 0 && at[len] == '=') {
			value = strndup(at + len + 1, n - len - 1);
			if (value)
				unescape(value);
			return value;
		}
		at += n + (at[n] == ',');
	}
	return NULL;
}

/* Without overlayfs's own backslashes; @s is of @n bytes. */
static char *layer_name(const char *s, size_t n)
{
	char *name = strndup(s, n), *to = name;

	for (const char *from = name; name && *from; from++) {
		from += from[0] == '\\' && from[1];
		*to++ = *from;
	}
	if (name)
		*to = 0;
	return name;
}

char **mountinfo_layers(const char *options)
{
	_cleanup_free_ char *list = mountinfo_option(options, "lowerdir");
	char **layers = list ? calloc(strlen(list) + 2, sizeof(*layers)) : NULL;
	size_t n = 0;

	for (const char *at = layers ? list : ""; *at;) {
		size_t len = option_len(at, ":");

		layers[n] = at[0] == '/' ? layer_name(at, len) : NULL;
		if (!layers[n])
			break;
		n++;
		at += len + (at[len] == ':');
		if (*at)
			continue;
		return layers;
	}
	for (size_t i = 0; layers && i < n; i++)
		free(layers[i]);
	free(layers);
	return NULL;
}
