/* SPDX-License-Identifier: Apache-2.0 */
#include <linux/types.h>

#include "proof/cache.h"

#include "format/cleanup.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static FILE *open_cache(const char *mode)
{
	const char *base = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
	char path[PATH_MAX - 32];
	int n;

	if (base && base[0] == '/')
		n = snprintf(path, sizeof(path), "%s", base);
	else if (home && home[0] == '/')
		n = snprintf(path, sizeof(path), "%s/.cache", home);
	else
		return NULL;
	if (n < 0 || (size_t)n >= sizeof(path) - 20)
		return NULL;
	if (mode[0] == 'a')
		mkdir(path, 0777);
	strcat(path, "/capsule");
	if (mode[0] == 'a')
		mkdir(path, 0777);
	strcat(path, "/verdicts");
	return fopen(path, mode);
}

enum judged cache_get(const char key[SHA256_HEX])
{
	enum judged known = JUDGED_UNKNOWN;
	char line[SHA256_HEX + 16];

	_cleanup_file_ FILE *f = open_cache("re");
	while (f && fgets(line, sizeof(line), f)) {
		if (strncmp(line, key, SHA256_HEX - 1) != 0 || line[SHA256_HEX - 1] != ' ')
			continue;
		if (strcmp(line + SHA256_HEX, "there\n") == 0)
			known = JUDGED_THERE;
		else if (strcmp(line + SHA256_HEX, "gone\n") == 0)
			known = JUDGED_GONE;
	}
	return known;
}

void cache_put(const char key[SHA256_HEX], enum judged judged)
{
	if (judged == JUDGED_UNKNOWN)
		return;
	/* One write() in append mode: several can do it at once. */
	_cleanup_file_ FILE *f = open_cache("ae");
	if (f)
		fprintf(f, "%s %s\n", key, judged == JUDGED_THERE ? "there" : "gone");
}
