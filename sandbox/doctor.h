/* SPDX-License-Identifier: Apache-2.0 */
/* What recording and replaying need of the machine, as questions put to the kernel. */
#ifndef CAPSULE_DOCTOR_H
#define CAPSULE_DOCTOR_H

#include "format/err.h"

#include <stdbool.h>

enum doctor_side { DOCTOR_RECORD, DOCTOR_REPLAY };

struct doctor_check {
	enum doctor_side side;
	bool needed;		/* false: works without, less well; the purpose says how */
	const char *name;
	const char *purpose;	/* what it is needed for */
	/* 0, or negative with the reason in @err. Runs in a process of its own and may ruin it. */
	int (*test)(struct err *err);
	const char *mend;	/* a command, or what to change; NULL: nothing to be done */
};

extern const struct doctor_check doctor_checks[];	/* ends with a NULL name */

#endif
