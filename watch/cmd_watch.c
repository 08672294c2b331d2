/* SPDX-License-Identifier: Apache-2.0 */
/* capsule watch: the production recorder. */
#include "format/cli.h"
#include "watch/control.h"
#include "watch/watch.h"

#include <inttypes.h>
#include <string.h>

enum { EXIT_WATCH = 125 };

static const struct opt options[] = {
	{ 0, "ring", "SIZE", "ring buffer between kernel and recorder, a power of two (default: 16M)" },
	{ 0, "audit", "FILE", "the log of what was done, for capsule audit (default: audit.log in the first policy's store)" },
	{ 0, "socket", "PATH", "where capsule trigger asks (default: " CONTROL_SOCKET ")" },
	{ 'q', "quiet", NULL, "say only what goes wrong at the start" },
	{ 0 }
};

static void say(void *ctx, const char *line)
{
	if (!*(bool *)ctx)
		fprintf(stderr, "capsule watch: %s\n", line);
}

static int cmd_watch(const struct cmd *self, int argc, char **argv)
{
	bool quiet = false;
	struct watch_opts o = { .ring = 16 << 20, .socket = CONTROL_SOCKET, .say = say, .ctx = &quiet };
	struct cli cli = { .argc = argc, .argv = argv };
	struct watch_result r;
	struct err err = ERR_INIT;
	const struct opt *opt;
	const char *word;

	while (cli_word(self, &cli, &opt, &word)) {
		if (word && o.policies)
			return cli_fail(self, EXIT_USAGE, "'%s': one policy file, please", word);
		if (word)
			o.policies = word;
		else if (strcmp(opt->name, "quiet") == 0)
			quiet = true;
		else if (strcmp(opt->name, "audit") == 0)
			o.audit = cli.arg;
		else if (strcmp(opt->name, "socket") == 0)
			o.socket = cli.arg;
		else if (!cli_size(cli.arg, &o.ring) || o.ring < 1 << 16 || o.ring > 1u << 30 || (o.ring & (o.ring - 1)))
			return cli_fail(self, EXIT_USAGE, "--ring %s: a power of two from 64K to 1G, please", cli.arg);
	}
	if (!o.policies && cli.at < argc)
		o.policies = argv[cli.at++];
	if (!o.policies || cli.at < argc)
		return cli_fail(self, EXIT_USAGE, "which policy file? (capsule watch FILE)");
	if (watch_run(&o, &r, &err) < 0)
		return cli_fail(self, EXIT_WATCH, "%s", err.text);
	if (!quiet)
		fprintf(stderr, "capsule watch: ended: %" PRIu64 " capsules, %" PRIu64 " more that limits were in the way of, %" PRIu64 " failed, %" PRIu64
			" records lost, stopped for %.2f ms at most\n", r.capsules, r.suppressed, r.failed, r.lost, (double)r.longest_stop / 1e6);
	return 0;
}

const struct cmd cmd_watch_desc = {
	"watch", "[OPTION]... FILE", "follows the programs that a policy file means, and keeps a capsule of what it waits for", options, cmd_watch
};
