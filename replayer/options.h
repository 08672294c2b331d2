/* SPDX-License-Identifier: Apache-2.0 */
/* The options with which a run is described, the same for every command that makes one. */
#ifndef CAPSULE_OPTIONS_H
#define CAPSULE_OPTIONS_H

#include "replayer/replay.h"

#include "format/cli.h"

enum { MAX_BINDS = 64, MAX_PLACES = 64, MIN_WINDOW = 1 << 20 };

struct run_options {
	struct replay_options run;
	const char *pair[MAX_BINDS][2];
	const char *images[MAX_PLACES];
};

/* Rows of a command's table of options. */
#define RUN_OPTIONS \
	{ 0, "rootfs", "DIR", "replay in this root file system (default: the recorded one)" }, \
	{ 0, "image", "REF", "replay in this container image, whatever the recorded one was" }, \
	{ 0, "images", "PATH", "look here, too, for the recorded image: a directory or an archive; may be given again" }, \
	{ 0, "bind", "HOST:GUEST", "put HOST at GUEST, read-only; may be given again" }, \
	{ 0, "allow-changed", NULL, "go on where files of the image differ from the recorded ones" }, \
	{ 0, "speed", "real|virtual", "let sleeps and timeouts take their time (default: virtual)" }, \
	{ 0, "timeout", "SECONDS", "give a run up after so long (default: 60 s and thrice the recorded time)" }, \
	{ 0, "window", "SIZE", "hold about so much of the recording in memory (default: 64M)" }, \
	{ 0, "max-memory", "SIZE", "give a run up that takes more (default: three quarters of the machine's)" }, \
	{ 0, "max-disk", "SIZE", "how much it may write altogether (default: half of the memory)" }, \
	{ 0, "max-file", "SIZE", "how large a file may become (default: as recorded)" }, \
	{ 0, "max-tasks", "N", "how many tasks there may be at once (default: 1000 more than recorded)" }, \
	{ 0, "max-cpu", "SECONDS", "processor time for each process (default: as recorded)" }

/* A whole number from 1 to @max, nothing behind it. */
bool number_from_1(const char *text, unsigned long max, unsigned long *ret);
/* -1: none of RUN_OPTIONS; else 0, or the status to exit with. */
int run_option(const struct cmd *self, struct run_options *o, const struct opt *opt, const char *arg);
/*
 * What was not given, from the recording; with its image, found and unpacked.
 * A failure is this machine's: it has no such image.  run_end() in any case.
 */
int run_settle(struct replay_options *run, const struct recording *rec, struct err *err);
void run_end(struct replay_options *run);

#endif
