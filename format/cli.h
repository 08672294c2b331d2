/* SPDX-License-Identifier: Apache-2.0 */
/* Commands and options are tables; usage, parsing and the man-page check all walk them. */
#ifndef CAPSULE_CLI_H
#define CAPSULE_CLI_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* The exit statuses of every command but record and attach, which give the command's own. */
enum {
	EXIT_IDENTICAL = 0,
	EXIT_DIVERGED = 1,
	EXIT_USAGE = 2,
	EXIT_CAPSULE = 3,	/* the capsule is unusable or incomplete */
	EXIT_MACHINE = 4,	/* this machine or image can't */
	EXIT_RECORDER = 125,	/* record, attach: the recorder itself failed */
};

struct opt {
	char letter;		/* 0: has only the long form */
	const char *name;
	const char *arg;	/* NULL: takes none */
	const char *help;
};

struct cmd {
	const char *name, *args, *summary;
	const struct opt *opts;	/* ends with an entry whose name is NULL */
	int (*run)(const struct cmd *self, int argc, char **argv);
};

struct cli {
	int argc;
	char **argv;		/* argv[0] is the command's name */
	int at;			/* the next word to look at */
	const char *arg;	/* the current option's argument */
};

/*
 * The next option of @cli, or NULL at the first operand (left at @cli->at) or
 * after "--".  --help prints the usage on stdout and exits 0; a wrong option
 * prints one line naming it on stderr and exits 2 (125 for record).
 */
const struct opt *cli_next(const struct cmd *cmd, struct cli *cli);

/*
 * The next option or operand, in any order: one of @o and @operand is set, the
 * other NULL.  False: no more, or "--" was taken; what follows starts at cli->at.
 */
bool cli_word(const struct cmd *cmd, struct cli *cli, const struct opt **o, const char **operand);

/* "64M" in bytes; false: not a size. */
bool cli_size(const char *text, uint64_t *ret);

void cli_usage(FILE *f, const struct cmd *cmd);

/* One line on stderr, "capsule CMD: ...", and the status to exit with. */
int cli_fail(const struct cmd *cmd, int status, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

#endif
