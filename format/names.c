/* SPDX-License-Identifier: Apache-2.0 */
/* The words for the numbers of event.h, and what a path may look like. */
#include "format/capsule.h"

#include <limits.h>
#include <string.h>

const char *ev_kind_name(enum ev_kind kind)
{
	static const char *const names[EV_KINDS] = {
		[EV_CALL] = "call", [EV_FORK] = "fork", [EV_EXEC] = "exec", [EV_EXIT] = "exit", [EV_SIGNAL] = "signal",
		[EV_OBJECT] = "object", [EV_FILE] = "file", [EV_OUTPUT] = "output", [EV_HOLE] = "hole",
	};

	return (unsigned int)kind < EV_KINDS ? names[kind] : "unknown";
}

const char *obj_kind_name(enum obj_kind kind)
{
	static const char *const names[] = {
		[OBJ_SOCKET] = "socket", [OBJ_PIPE] = "pipe", [OBJ_TTY] = "tty", [OBJ_CHR] = "chr",
		[OBJ_FILE] = "file", [OBJ_SYNTH] = "synth", [OBJ_OTHER] = "other", [OBJ_INNER] = "inner",
	};

	return kind >= OBJ_SOCKET && kind <= OBJ_INNER ? names[kind] : "unknown";
}

const char *file_state_name(enum file_state state)
{
	static const char *const names[] = {
		[FILE_ABSENT] = "absent", [FILE_REGULAR] = "regular", [FILE_DIR] = "dir",
		[FILE_SYMLINK] = "symlink", [FILE_OTHER] = "other",
	};

	return (unsigned int)state <= FILE_OTHER ? names[state] : "unknown";
}

bool path_is_below(const char *path, const char *dir)
{
	size_t n = dir[1] ? strlen(dir) : 0;	/* all is below "/" */

	return strncmp(path, dir, n) == 0 && (path[n] == '/' || !path[n]);
}

bool path_is_clean(const char *path, size_t len)
{
	const char *end = path + len, *p = path;

	if (len == 0 || len >= PATH_MAX || path[0] != '/' || memchr(path, 0, len))
		return false;
	if (len == 1)
		return true;
	while (p < end) {
		const char *name = p + 1;
		size_t n;

		p = memchr(name, '/', (size_t)(end - name));
		if (!p)
			p = end;
		n = (size_t)(p - name);
		if (n == 0 || (n == 1 && name[0] == '.') || (n == 2 && name[0] == '.' && name[1] == '.'))
			return false;
	}
	return true;
}
