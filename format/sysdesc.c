/* SPDX-License-Identifier: Apache-2.0 */
#include <linux/types.h>

#include "format/sysdesc_words.h"

#include <string.h>

const struct sc_desc sc_table[SC_MAX] = {
#define SYSCALL SC_ROW
#include "format/syscalls.def"
#undef SYSCALL
};

static const struct row {
	const char *name, *why;
	const char *arg[6];
} rows[SC_MAX] = {
#define SYSCALL(nr, name, how, why, ...) [nr] = { #name, why, { SC_EACH(SC_ARG_NAME, ##__VA_ARGS__) } },
#include "format/syscalls.def"
#undef SYSCALL
};

const char *sc_name(unsigned int nr)
{
	return nr < SC_MAX ? rows[nr].name : NULL;
}

const char *sc_arg_name(unsigned int nr, unsigned int i)
{
	return nr < SC_MAX && i < 6 ? rows[nr].arg[i] : NULL;
}

const char *sc_reason(unsigned int nr)
{
	return nr < SC_MAX ? rows[nr].why : NULL;
}

const char *sc_fate_name(enum sc_fate fate)
{
	static const char *const names[] = {
		[SC_NOROW] = "no row", [SC_RUN] = "run", [SC_SERVE] = "serve", [SC_CLOCK] = "clock",
		[SC_RANDOM] = "random", [SC_READ] = "read", [SC_WRITE] = "write", [SC_WAIT] = "wait",
		[SC_SLEEP] = "sleep", [SC_TIMED] = "timed", [SC_TIMER] = "timer", [SC_SIGNAL] = "signal", [SC_REAP] = "reap", [SC_NET] = "net", [SC_OPEN] = "open", [SC_PATH] = "path",
		[SC_OWNER] = "owner", [SC_LOOK] = "look", [SC_FD] = "fd", [SC_TASK] = "task", [SC_REFUSE] = "refuse",
		[SC_DECLINE] = "decline",
	};

	return fate < sizeof(names) / sizeof(names[0]) ? names[fate] : "?";
}

int sc_number(const char *name)
{
	for (unsigned int nr = 0; nr < SC_MAX; nr++)
		if (rows[nr].name && strcmp(rows[nr].name, name) == 0)
			return nr;
	return -1;
}
