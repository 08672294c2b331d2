/* SPDX-License-Identifier: Apache-2.0 */
/* What an image says of itself: its config, and behind a NUL its manifest or an index. */
#include "sandbox/image_internal.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *end = size ? memchr(data, 0, size) : NULL;
	size_t config = end ? (size_t)(end - data) : size;
	_cleanup_image_ struct image *i = NULL;
	struct image none = { .lock = -1 };
	struct err err = ERR_INIT;

	image_from_config(&i, (const char *)data, config, &err);
	if (end)
		image_take_manifest(i ? i : &none, (const char *)end + 1, size - config - 1, &err);
	return 0;
}
