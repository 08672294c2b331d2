/* SPDX-License-Identifier: Apache-2.0 */
#include "format/cli.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

void cli_usage(FILE *f, const struct cmd *cmd)
{
	fprintf(f, "usage: capsule %s %s\n%s\n\n", cmd->name, cmd->args, cmd->summary);
	for (const struct opt *o = cmd->opts; o->name; o++) {
		char left[64];

		snprintf(left, sizeof(left), "--%s%s%s", o->name, o->arg ? " " : "", o->arg ? o->arg : "");
		if (o->letter)
			fprintf(f, "  -%c, %-24s %s\n", o->letter, left, o->help);
		else
			fprintf(f, "      %-24s %s\n", left, o->help);
	}
	fprintf(f, "  -h, %-24s %s\n", "--help", "this text");
}

int cli_fail(const struct cmd *cmd, int status, const char *fmt, ...)
{
	va_list ap;

	fprintf(stderr, "capsule %s: ", cmd->name);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	return status;
}

/* record gives the command's own status, in which 2 is a word of the command's. */
static int usage_status(const struct cmd *cmd)
{
	return strcmp(cmd->name, "record") == 0 || strcmp(cmd->name, "attach") == 0 ? EXIT_RECORDER : EXIT_USAGE;
}

static void refuse(const struct cmd *cmd, const char *what, const char *word)
{
	exit(cli_fail(cmd, usage_status(cmd), "%s '%s' (capsule %s --help lists the options)", what, word, cmd->name));
}

static const struct opt *find(const struct cmd *cmd, const char *word, size_t len)
{
	for (const struct opt *o = cmd->opts; o->name; o++)
		if (strlen(o->name) == len && memcmp(o->name, word, len) == 0)
			return o;
	return NULL;
}

static const struct opt *long_option(const struct cmd *cmd, struct cli *cli, const char *word)
{
	const char *eq = strchr(word, '=');
	const struct opt *o = find(cmd, word + 2, eq ? (size_t)(eq - word - 2) : strlen(word + 2));

	if (!o)
		refuse(cmd, "unknown option", word);
	if (!o->arg && eq)
		refuse(cmd, "this option takes no argument:", word);
	if (o->arg && !eq) {
		if (cli->at >= cli->argc)
			refuse(cmd, "this option needs an argument:", word);
		cli->arg = cli->argv[cli->at++];
	} else {
		cli->arg = eq ? eq + 1 : NULL;
	}
	return o;
}

static const struct opt *short_option(const struct cmd *cmd, struct cli *cli, const char *word)
{
	for (const struct opt *o = cmd->opts; o->name; o++) {
		if (!o->letter || o->letter != word[1])
			continue;
		if (!o->arg && word[2])
			refuse(cmd, "one option a word, please:", word);
		if (o->arg && !word[2]) {
			if (cli->at >= cli->argc)
				refuse(cmd, "this option needs an argument:", word);
			cli->arg = cli->argv[cli->at++];
		} else {
			cli->arg = o->arg ? word + 2 : NULL;
		}
		return o;
	}
	refuse(cmd, "unknown option", word);
	return NULL;
}

const struct opt *cli_next(const struct cmd *cmd, struct cli *cli)
{
	const char *word;

	if (cli->at == 0)
		cli->at = 1;
	if (cli->at >= cli->argc)
		return NULL;
	word = cli->argv[cli->at];
	if (word[0] != '-' || !word[1])
		return NULL;
	cli->at++;
	if (strcmp(word, "--") == 0)
		return NULL;
	if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0) {
		cli_usage(stdout, cmd);
		exit(0);
	}
	return word[1] == '-' ? long_option(cmd, cli, word) : short_option(cmd, cli, word);
}

bool cli_word(const struct cmd *cmd, struct cli *cli, const struct opt **o, const char **operand)
{
	int before = cli->at;

	*operand = NULL;
	*o = cli_next(cmd, cli);
	if (*o)
		return true;
	if (cli->at >= cli->argc || (before && cli->at != before) || (!before && cli->at > 1))
		return false;	/* the end, or behind "--" */
	*operand = cli->argv[cli->at++];
	return true;
}

bool cli_size(const char *text, uint64_t *ret)
{
	static const char units[] = "KMG";
	const char *unit;
	char *end;
	uint64_t n;

	errno = 0;
	n = strtoull(text, &end, 10);
	if (errno || end == text || text[0] == '-')
		return false;
	if (*end) {
		unit = strchr(units, *end);
		if (!unit || end[1])
			return false;
		for (const char *u = units; u <= unit; u++) {
			if (n > UINT64_MAX / 1024)
				return false;
			n *= 1024;
		}
	}
	*ret = n;
	return true;
}
