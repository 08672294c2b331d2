/* SPDX-License-Identifier: Apache-2.0 */
/*
 * capsule doctor: what this user on this machine can do, asked of the kernel
 * itself.  Each check runs in a child of its own, so that whatever it changes
 * (namespaces, filters) ends with it.
 */
#include "format/cleanup.h"
#include "format/cli.h"
#include "format/err.h"
#include "format/io.h"
#include "sandbox/doctor.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>

enum { MISSING = 1, CANT_TELL };

/* Runs @c in a child; 0 or MISSING, @why being the reason in words. */
static int examine(const struct doctor_check *c, struct err *why)
{
	int pipefd[2], status;
	pid_t pid;

	*why = ERR_INIT;
	if (pipe(pipefd) < 0)
		return CANT_TELL;
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		struct err err = ERR_INIT;

		close(pipefd[0]);
		if (c->test(&err) == 0)
			_exit(0);
		io_write(pipefd[1], &err, sizeof(err));
		_exit(MISSING);
	}
	close(pipefd[1]);
	if (pid < 0 || io_read(pipefd[0], why, sizeof(*why)) != (ssize_t)sizeof(*why))
		*why = ERR_INIT;
	close(pipefd[0]);
	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (pid > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	if (!why->code)
		err_set(why, EIO, "the check itself came to grief");
	return MISSING;
}

static void print_line(const struct doctor_check *c, const struct err *why)
{
	if (!why->code) {
		printf("  ok       %-18s %s\n", c->name, c->purpose);
		return;
	}
	printf("  %s  %-18s %s\n", c->needed ? "missing" : "absent ", c->name, c->purpose);
	printf("           %-18s %s\n", "", why->text);
	if (c->mend)
		printf("           %-18s mend: %s\n", "", c->mend);
}

/* The texts are ours or an errno's: err.c leaves no control characters in them. */
static void print_json_string(const char *s)
{
	putchar('"');
	for (; *s; s++) {
		if (*s == '"' || *s == '\\')
			putchar('\\');
		putchar(*s);
	}
	putchar('"');
}

static void print_json_line(const struct doctor_check *c, const struct err *why, bool first)
{
	printf("%s\n  {\"check\": ", first ? "" : ",");
	print_json_string(c->name);
	printf(", \"for\": \"%s\", \"needed\": %s, \"ok\": %s", c->side == DOCTOR_RECORD ? "record" : "replay",
	       c->needed ? "true" : "false", why->code ? "false" : "true");
	if (why->code) {
		printf(", \"why\": ");
		print_json_string(why->text);
	}
	if (why->code && c->mend) {
		printf(", \"mend\": ");
		print_json_string(c->mend);
	}
	putchar('}');
}

/* All checks of one side; true if nothing needed is missing. */
static bool examine_side(enum doctor_side side, bool json, bool *first)
{
	bool able = true;

	if (!json)
		printf("%s\n", side == DOCTOR_RECORD ? "To record:" : "To replay:");
	for (const struct doctor_check *c = doctor_checks; c->name; c++) {
		struct err why;

		if (c->side != side)
			continue;
		if (examine(c, &why) != 0 && c->needed)
			able = false;
		if (json)
			print_json_line(c, &why, *first);
		else
			print_line(c, &why);
		*first = false;
	}
	return able;
}

static const struct opt doctor_opts[] = {
	{ 'j', "json", NULL, "the findings as one JSON object" },
	{ 0 }
};

static int cmd_doctor(const struct cmd *self, int argc, char **argv)
{
	struct cli cli = { .argc = argc, .argv = argv };
	bool json = false, first = true, record, replay;

	while (cli_next(self, &cli))
		json = true;
	if (cli.at < argc)
		return cli_fail(self, EXIT_USAGE, "takes no operand: '%s'", argv[cli.at]);
	/* With file capabilities we are not dumpable, and our own /proc files are root's; record and replay mend that, too. */
	prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
	if (json)
		printf("{\"checks\": [");
	record = examine_side(DOCTOR_RECORD, json, &first);
	replay = examine_side(DOCTOR_REPLAY, json, &first);
	if (json)
		printf("\n ],\n \"record\": %s, \"replay\": %s}\n", record ? "true" : "false",
		       replay ? "true" : "false");
	else
		printf("This user can %s on this machine.\n", record && replay ? "record and replay" :
		       replay ? "replay, but not record," : record ? "record, but not replay," :
		       "neither record nor replay");
	return record && replay ? EXIT_IDENTICAL : EXIT_MACHINE;
}

const struct cmd cmd_doctor_desc = {
	"doctor", "[OPTION]...", "say what this machine can and can't do, and the command that mends it",
	doctor_opts, cmd_doctor,
};
