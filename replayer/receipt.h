/* SPDX-License-Identifier: Apache-2.0 */
/* The verdict, for people and for machines. */
#ifndef CAPSULE_RECEIPT_H
#define CAPSULE_RECEIPT_H

#include "replayer/replay.h"

#include <stdio.h>

/* "identical", or the first divergence; one line, more if @verbose or if something is to be said. */
void receipt_text(FILE *f, const struct recording *rec, const struct verdict *v, unsigned int runs,
		  unsigned int identical, bool verbose);
/* Is there a hole, a miss or something said out of turn, so that "identical" alone would not be the whole truth? */
bool receipt_has_reservations(const struct recording *rec, const struct verdict *v);
/* One JSON object and a newline. */
void receipt_json(FILE *f, const char *file, const struct recording *rec, const struct verdict *v, unsigned int runs,
		  unsigned int identical);

#endif
