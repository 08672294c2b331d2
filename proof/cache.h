/* SPDX-License-Identifier: Apache-2.0 */
/* Verdicts that were found before, by all that they depend on: $XDG_CACHE_HOME/capsule/verdicts, a line each. */
#ifndef CAPSULE_CACHE_H
#define CAPSULE_CACHE_H

#include "format/sha256.h"

#include "proof/judge.h"

/* JUDGED_UNKNOWN: not known. */
enum judged cache_get(const char key[SHA256_HEX]);
/* Best effort: a verdict that can't be kept is found again. */
void cache_put(const char key[SHA256_HEX], enum judged judged);

#endif
