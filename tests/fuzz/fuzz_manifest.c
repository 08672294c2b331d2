/* SPDX-License-Identifier: Apache-2.0 */
/* The maps: manifest and end. */
#include "format/manifest.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct manifest *m = NULL;
	struct err err = ERR_INIT;
	struct end_frame end;

	if (size > 1 << 20)
		return 0;
	if (manifest_unpack(data, size, &m, &err) == 0)
		manifest_free(m);
	end_unpack(data, size, &end, &err);
	return 0;
}
