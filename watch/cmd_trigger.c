/* SPDX-License-Identifier: Apache-2.0 */
/* capsule trigger: asks the recorder that watches for a capsule of what has just been. */
#include "format/cli.h"
#include "watch/control.h"

#include <string.h>

static const struct opt options[] = {
	{ 0, "socket", "PATH", "where capsule watch listens (default: " CONTROL_SOCKET ")" },
	{ 'q', "quiet", NULL, "say nothing where it works" },
	{ 0 }
};

static int cmd_trigger(const struct cmd *self, int argc, char **argv)
{
	const char *path = CONTROL_SOCKET, *policy = NULL, *word;
	struct cli cli = { .argc = argc, .argv = argv };
	struct err err = ERR_INIT;
	const struct opt *opt;
	char answer[256];
	bool quiet = false;

	while (cli_word(self, &cli, &opt, &word)) {
		if (word && policy)
			return cli_fail(self, EXIT_USAGE, "'%s': one policy, please", word);
		if (word)
			policy = word;
		else if (strcmp(opt->name, "quiet") == 0)
			quiet = true;
		else
			path = cli.arg;
	}
	if (!policy && cli.at < argc)
		policy = argv[cli.at++];
	if (!policy || cli.at < argc)
		return cli_fail(self, EXIT_USAGE, "which policy? (capsule trigger POLICY)");
	if (control_ask(path, policy, answer, sizeof(answer), &err) < 0)
		return cli_fail(self, 1, "%s", err.text);
	if (strncmp(answer, "ok ", 3) != 0)
		return cli_fail(self, 1, "%s", answer);
	if (!quiet)
		printf("%s\n", answer + 3);
	return 0;
}

const struct cmd cmd_trigger_desc = {
	"trigger", "[OPTION]... POLICY", "asks capsule watch for a capsule of what a policy's scopes have just done", options, cmd_trigger
};
