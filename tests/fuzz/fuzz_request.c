/* SPDX-License-Identifier: Apache-2.0 */
/* What a guest says on a connection, as far as a replay looks for HTTP requests in it. */
#include <linux/types.h>

#include "replayer/replay.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* Its own memory, so that a byte too far is seen. */
	uint8_t *copy = malloc(size ? size : 1);

	if (!copy)
		return 0;
	if (size)
		memcpy(copy, data, size);
	if (script_request(copy, size) > size || talk_request(copy, size) > size)
		abort();
	free(copy);
	return 0;
}
