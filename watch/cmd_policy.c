/* SPDX-License-Identifier: Apache-2.0 */
/* capsule policy check: is this file one, and what would it do? */
#include "watch/policy.h"

#include "format/cleanup.h"
#include "format/cli.h"

#include <string.h>

static const struct opt options[] = {
	{ 0, "json", NULL, "as JSON, with all that the file leaves to the defaults" },
	{ 'q', "quiet", NULL, "say nothing of a good file" },
	{ 0 }
};

static int check(const struct cmd *self, const char *path, bool json, bool quiet)
{
	_cleanup_policies_ struct policies *all = NULL;
	struct err err = ERR_INIT;

	if (policies_load(&all, path, &err) < 0)
		return cli_fail(self, 1, "%s", err.text);
	if (quiet)
		return 0;
	if (json) {
		policies_json(stdout, all);
		return 0;
	}
	for (size_t i = 0; i < all->n; i++) {
		policy_explain(stdout, &all->list[i]);
		putchar('\n');
	}
	policy_host_explain(stdout, &all->host);
	return 0;
}

static int cmd_policy(const struct cmd *self, int argc, char **argv)
{
	struct cli cli = { .argc = argc, .argv = argv };
	const char *words[2], *word;
	bool json = false, quiet = false;
	const struct opt *o;
	int n = 0;

	while (cli_word(self, &cli, &o, &word)) {
		if (word && n == 2)
			return cli_fail(self, EXIT_USAGE, "'%s': one policy file, please", word);
		if (word)
			words[n++] = word;
		else if (strcmp(o->name, "json") == 0)
			json = true;
		else
			quiet = true;
	}
	while (n < 2 && cli.at < argc)
		words[n++] = argv[cli.at++];
	if (n && strcmp(words[0], "check") != 0)
		return cli_fail(self, EXIT_USAGE, "'%s' is nothing to do with policies (capsule policy check FILE)", words[0]);
	if (n < 2 || cli.at < argc)
		return cli_fail(self, EXIT_USAGE, "which policy file? (capsule policy check FILE)");
	return check(self, words[1], json, quiet);
}

const struct cmd cmd_policy_desc = {
	"policy", "check [OPTION]... FILE", "says in plain words what a policy file does, or what is wrong with it and where", options, cmd_policy
};
