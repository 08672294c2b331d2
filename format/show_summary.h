/* SPDX-License-Identifier: Apache-2.0 */
/* What `capsule show` says of a capsule without going into its events, counted by show_gather.c. */
#ifndef CAPSULE_SHOW_SUMMARY_H
#define CAPSULE_SHOW_SUMMARY_H

#include "format/show.h"

enum { SHOWN_PEERS = 12, SHOWN_HOLES = 8 };

/* One far address, all connections to it together. */
struct peer {
	char *address;			/* as addr_print() says it */
	int32_t family, type;
	bool accepted;
	uint64_t connections, in, out;
	int error;
};

struct hole {
	char *what, *where, *why;
	uint64_t count;
};

struct summary {
	struct objects objects;
	struct peer *peers;
	size_t npeers;
	struct table peer_ids;
	struct hole holes[SHOWN_HOLES];
	uint64_t nholes;

	uint64_t events, last;		/* time of the last event */
	uint64_t declined;		/* requests for what is not there while recording */
	uint64_t clocks, sleeps, randoms, random_bytes, waits;
	uint64_t forks, threads, goroutines, execs, signals;
	uint64_t image, snapshots, snapshot_bytes, absent, dirs, unread;
	uint64_t synth, synth_bytes;
	uint64_t written, written_bytes, deleted, changed;
	bool ended;
	int32_t status;
};

/* Through all events of @rd. Fills the zeroed @s; summary_clear() in any case. */
int summary_gather(struct summary *s, struct capsule_reader *rd, struct err *err);
void summary_clear(struct summary *s);

#endif
