/* SPDX-License-Identifier: Apache-2.0 */
/* capsule audit: is the chain of the audit log whole? */
#include "watch/audit.h"

#include "format/cli.h"

#include <inttypes.h>
#include <string.h>

enum { BROKEN = 1 };

static const struct opt options[] = {
	{ 0, "expect", "N:HASH", "line N must be there with this hash, as an earlier run of this command printed it" },
	{ 'q', "quiet", NULL, "say nothing of a whole one" },
	{ 0 }
};

static int cmd_audit(const struct cmd *self, int argc, char **argv)
{
	struct cli cli = { .argc = argc, .argv = argv };
	const char *path = NULL, *word;
	struct audit_check expect = { 0 };
	struct audit_end end;
	struct err err = ERR_INIT;
	const struct opt *o;
	bool quiet = false;

	while (cli_word(self, &cli, &o, &word)) {
		if (word && path)
			return cli_fail(self, EXIT_USAGE, "'%s': one audit log, please", word);
		if (word)
			path = word;
		else if (strcmp(o->name, "quiet") == 0)
			quiet = true;
		else if (audit_check_parse(&expect, cli.arg) < 0)
			return cli_fail(self, EXIT_USAGE, "--expect '%s': a line's number, a colon and its hash, as capsule audit prints them", cli.arg);
	}
	if (!path && cli.at < argc)
		path = argv[cli.at++];
	if (!path || cli.at < argc)
		return cli_fail(self, EXIT_USAGE, "which audit log? (capsule audit FILE)");
	if (audit_verify(path, &expect, &end, &err) < 0)
		return cli_fail(self, BROKEN, "%s", err.text);
	if (quiet)
		return 0;
	if (end.lines)
		printf("%" PRIu64 " lines from %s to %s, unbroken; the last is %" PRIu64 ":%s\n", end.lines, end.first, end.last, end.lines, end.hash);
	else
		puts("0 lines");
	return 0;
}

const struct cmd cmd_audit_desc = {
	"audit", "[OPTION]... FILE", "verifies the chain of an audit log; says the first line that is wrong", options, cmd_audit
};
