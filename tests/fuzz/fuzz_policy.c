/* SPDX-License-Identifier: Apache-2.0 */
/* A policy file: refused with a line, or said in words. */
#include "watch/policy.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct policies *all = NULL;
	struct err err = ERR_INIT;
	char *text = NULL;
	size_t len;
	FILE *f;

	if (policies_parse(&all, "p", (const char *)data, size, &err) < 0) {
		if (err.code != ENOMEM && strncmp(err.text, "p:", 2) != 0)
			abort();
		return 0;
	}
	f = open_memstream(&text, &len);
	for (size_t i = 0; f && i < all->n; i++)
		policy_explain(f, &all->list[i]);
	if (f) {
		policies_json(f, all);
		fclose(f);
	}
	free(text);
	policies_free(all);
	return 0;
}
