/* SPDX-License-Identifier: Apache-2.0 */
/* Can this machine, and this user, record?  Tried, not guessed: the programs are loaded. */
#include "recorder/recorder.h"

#include "recorder/kernel.h"

int recorder_can(struct err *why)
{
	const struct record_opts opts = { .ring = 1 << 20 };
	struct kernel *k = NULL;

	if (kernel_load(&k, &opts, why) < 0)
		return -why->code;
	kernel_free(k);
	return 0;
}
