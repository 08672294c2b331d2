/* SPDX-License-Identifier: Apache-2.0 */
/* The command table, and the way to a command. */
#include "format/cli.h"
#include "recorder/recorder.h"

#include <string.h>

extern const struct cmd cmd_record_desc, cmd_attach_desc, cmd_hook_desc, cmd_replay_desc, cmd_show_desc, cmd_check_desc, cmd_test_desc, cmd_bisect_desc,
	cmd_verify_desc, cmd_diff_desc, cmd_minimize_desc, cmd_watch_desc, cmd_trigger_desc, cmd_redact_desc,
	cmd_policy_desc, cmd_audit_desc, cmd_images_desc, cmd_doctor_desc;

static const struct cmd *const cmds[] = {
	&cmd_record_desc,
	&cmd_attach_desc,
	&cmd_hook_desc,
	&cmd_watch_desc,
	&cmd_trigger_desc,
	&cmd_replay_desc,
	&cmd_show_desc,
	&cmd_check_desc,
	&cmd_test_desc,
	&cmd_bisect_desc,
	&cmd_verify_desc,
	&cmd_diff_desc,
	&cmd_minimize_desc,
	&cmd_redact_desc,
	&cmd_policy_desc,
	&cmd_audit_desc,
	&cmd_images_desc,
	&cmd_doctor_desc,
};
enum { NCMDS = sizeof(cmds) / sizeof(cmds[0]) };

static void usage(FILE *f)
{
	fputs("usage: capsule COMMAND [OPTION]...\n"
	      "Records what a program takes in from outside itself, and runs it again offline from that record.\n\n",
	      f);
	for (int i = 0; i < NCMDS; i++)
		fprintf(f, "  %-8s %s\n", cmds[i]->name, cmds[i]->summary);
	fputs("\n  -h, --help     this text; capsule COMMAND --help for a command's own\n"
	      "      --version  what this is\n", f);
}

static int smallest(int a, int b, int c)
{
	int ab = a < b ? a : b;

	return ab < c ? ab : c;
}

/* Levenshtein's distance; words longer than a command's are far from all of them. */
static int distance(const char *a, const char *b)
{
	enum { MAX = 16 };
	int row[MAX + 1], n = (int)strlen(b);

	if (strlen(a) > MAX || n > MAX)
		return MAX;
	for (int j = 0; j <= n; j++)
		row[j] = j;
	for (int i = 1; a[i - 1]; i++) {
		int diagonal = row[0];

		row[0] = i;
		for (int j = 1; j <= n; j++) {
			int above = row[j];

			row[j] = smallest(above + 1, row[j - 1] + 1, diagonal + (a[i - 1] != b[j - 1]));
			diagonal = above;
		}
	}
	return row[n];
}

static int unknown(const char *word)
{
	const struct cmd *near = NULL;
	int best = 3;

	for (int i = 0; i < NCMDS; i++) {
		int d = distance(word, cmds[i]->name);

		if (d < best) {
			best = d;
			near = cmds[i];
		}
	}
	if (near)
		fprintf(stderr, "capsule: unknown command '%s', did you mean '%s'?\n", word, near->name);
	else
		fprintf(stderr, "capsule: unknown command '%s' (capsule --help lists the commands)\n", word);
	return EXIT_USAGE;
}

/* For shell completion: the commands, or one command's options; a word, a tab, its meaning. */
static int complete(const char *name)
{
	for (int i = 0; i < NCMDS; i++) {
		if (!name)
			printf("%s\t%s\n", cmds[i]->name, cmds[i]->summary);
		else if (strcmp(name, cmds[i]->name) == 0)
			for (const struct opt *o = cmds[i]->opts; o->name; o++)
				printf("--%s%s\t%s\n", o->name, o->arg ? "=" : "", o->help);
	}
	return 0;
}

/* What a recorder that was killed has left behind. */
static void mend(void)
{
	unsigned int n = recorder_mend();

	if (n)
		fprintf(stderr, "capsule: a recorder was killed while it was attached: %u process%s mended\n", n, n == 1 ? "" : "es");
}

int main(int argc, char **argv)
{
	const char *word = argc > 1 ? argv[1] : NULL;

	if (!word) {
		usage(stderr);
		return EXIT_USAGE;
	}
	if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0) {
		usage(stdout);
		return 0;
	}
	if (strcmp(word, "--version") == 0) {
		puts(CAPSULE_TOOL);
		return 0;
	}
	if (strcmp(word, "complete") == 0)
		return complete(argc > 2 ? argv[2] : NULL);
	mend();
	for (int i = 0; i < NCMDS; i++)
		if (strcmp(word, cmds[i]->name) == 0)
			return cmds[i]->run(cmds[i], argc - 1, argv + 1);
	return unknown(word);
}
