/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/internal.h"

#include <string.h>

static bool is_below(const char *path, const char *dir)
{
	size_t n = dir[1] ? strlen(dir) : 0;	/* all is below "/" */

	return strncmp(path, dir, n) == 0 && (path[n] == '/' || !path[n]);
}

enum sight sight_of(const struct sandbox_spec *spec, const char *path)
{
	enum sight seen = SIGHT_NONE;

	if (!spec->shown)
		return SIGHT_ALL;
	for (const char *const *p = spec->shown; *p; p++) {
		if (is_below(path, *p))
			return SIGHT_ALL;
		if (is_below(*p, path))
			seen = SIGHT_WAY;
	}
	return seen;
}
