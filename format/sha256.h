/* SPDX-License-Identifier: Apache-2.0 */
/* SHA-256 by libcrypto (FIPS 180-4). */
#ifndef CAPSULE_SHA256_H
#define CAPSULE_SHA256_H

#include "format/err.h"

#include <stddef.h>
#include <stdint.h>

#define SHA256_LEN 32
#define SHA256_HEX (2 * SHA256_LEN + 1)

struct sha256;	/* a running hash */

int sha256_new(struct sha256 **ret, struct err *err);
/* A second hash that goes on from where @from is. */
int sha256_copy(struct sha256 **ret, const struct sha256 *from, struct err *err);
void sha256_add(struct sha256 *h, const void *data, size_t len);
/* Writes the hash; @h may then only be freed. */
void sha256_end(struct sha256 *h, uint8_t out[SHA256_LEN]);
void sha256_free(struct sha256 *h);	/* NULL is fine */
static inline void cleanup_sha256(struct sha256 **h) { sha256_free(*h); }

void sha256_of(const void *data, size_t len, uint8_t out[SHA256_LEN]);
/* Of what @fd reads from offset 0 to its end, by pread(); @size (may be NULL): bytes hashed. */
int sha256_fd(int fd, uint8_t out[SHA256_LEN], uint64_t *size, struct err *err);
void sha256_hex(const uint8_t sha256[SHA256_LEN], char out[SHA256_HEX]);

#endif
