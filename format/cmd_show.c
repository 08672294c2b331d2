/* SPDX-License-Identifier: Apache-2.0 */
#include "format/cleanup.h"
#include "format/cli.h"
#include "format/show.h"

#include <errno.h>
#include <string.h>

extern const struct cmd cmd_show_desc;

static int show(const struct cmd *self, const char *path, bool events, bool json)
{
	_cleanup_reader_ struct capsule_reader *rd = NULL;
	struct err err = ERR_INIT;
	int r;

	if (capsule_reader_open(&rd, path, 0, &err) < 0)
		return cli_fail(self, EXIT_CAPSULE, "%s", err.text);
	if (events)
		r = (json ? show_events_json : show_events)(rd, stdout, &err);
	else
		r = (json ? show_summary_json : show_summary)(rd, path, stdout, &err);
	if (fflush(stdout) == EOF && errno != EPIPE)
		return cli_fail(self, EXIT_MACHINE, "writing what '%s' holds: %s", path, strerror(errno));
	if (r < 0) {
		err_in(&err, "reading '%s'", path);
		return cli_fail(self, err.code == ENOMEM ? EXIT_MACHINE : EXIT_CAPSULE, "%s", err.text);
	}
	return 0;
}

static int run(const struct cmd *self, int argc, char **argv)
{
	struct cli cli = { .argc = argc, .argv = argv };
	bool events = false, json = false;
	const struct opt *o;

	while ((o = cli_next(self, &cli))) {
		events |= o->letter == 'e';
		json |= o->letter == 'j';
	}
	/* Options may stand behind the file, too. */
	if (cli.at >= argc)
		return cli_fail(self, EXIT_USAGE, "no capsule named (usage: capsule show %s)", self->args);
	const char *path = argv[cli.at++];

	while ((o = cli_next(self, &cli))) {
		events |= o->letter == 'e';
		json |= o->letter == 'j';
	}
	if (cli.at < argc)
		return cli_fail(self, EXIT_USAGE, "one capsule at a time, not also '%s'", argv[cli.at]);
	return show(self, path, events, json);
}

static const struct opt opts[] = {
	{ 'e', "events", NULL, "one line for each event, in order" },
	{ 'j', "json", NULL, "as JSON: the summary, or with --events one object a line" },
	{ 0 }
};

const struct cmd cmd_show_desc = {
	.name = "show",
	.args = "[OPTION]... FILE",
	.summary = "show what is in a capsule",
	.opts = opts,
	.run = run,
};
