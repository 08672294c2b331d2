/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/internal.h"

#include <string.h>

enum sight sight_of(const struct sandbox_spec *spec, const char *path)
{
	enum sight seen = SIGHT_NONE;

	if (!spec->shown)
		return SIGHT_ALL;
	for (const char *const *p = spec->shown; *p; p++) {
		if (path_is_below(path, *p))
			return SIGHT_ALL;
		if (path_is_below(*p, path))
			seen = SIGHT_WAY;
	}
	return seen;
}
