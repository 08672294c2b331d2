/* SPDX-License-Identifier: Apache-2.0 */
#include "format/sha256.h"

#include "format/cleanup.h"
#include "format/io.h"

#include <errno.h>
#include <openssl/evp.h>
#include <openssl/sha.h>

struct sha256 {
	EVP_MD_CTX *ctx;
};

int sha256_new(struct sha256 **ret, struct err *err)
{
	_cleanup_free_ struct sha256 *h = calloc(1, sizeof(*h));
	if (!h)
		return err_set(err, ENOMEM, "out of memory");

	h->ctx = EVP_MD_CTX_new();
	if (!h->ctx || EVP_DigestInit_ex(h->ctx, EVP_sha256(), NULL) != 1) {
		EVP_MD_CTX_free(h->ctx);
		return err_set(err, ENOMEM, "libcrypto has no SHA-256 for us: is its configuration (openssl.cnf) whole?");
	}
	*ret = TAKE_PTR(h);
	return 0;
}

int sha256_copy(struct sha256 **ret, const struct sha256 *from, struct err *err)
{
	struct sha256 *h = NULL;
	int r;

	r = sha256_new(&h, err);
	if (r < 0)
		return r;
	if (EVP_MD_CTX_copy_ex(h->ctx, from->ctx) != 1) {
		sha256_free(h);
		return err_set(err, ENOMEM, "out of memory");
	}
	*ret = h;
	return 0;
}

void sha256_add(struct sha256 *h, const void *data, size_t len)
{
	EVP_DigestUpdate(h->ctx, data, len);
}

void sha256_end(struct sha256 *h, uint8_t out[SHA256_LEN])
{
	EVP_DigestFinal_ex(h->ctx, out, NULL);
}

void sha256_free(struct sha256 *h)
{
	if (!h)
		return;
	EVP_MD_CTX_free(h->ctx);
	free(h);
}

void sha256_of(const void *data, size_t len, uint8_t out[SHA256_LEN])
{
	SHA256(data, len, out);
}

int sha256_fd(int fd, uint8_t out[SHA256_LEN], uint64_t *size, struct err *err)
{
	enum { STEP = 64 << 10 };
	uint8_t buf[STEP];	/* not allocated: programs write thousands of small files */
	_cleanup_(cleanup_sha256) struct sha256 *h = NULL;
	uint64_t at = 0;
	ssize_t n;

	if (sha256_new(&h, err) < 0)
		return -err->code;
	do {
		n = io_pread(fd, buf, STEP, at);
		if (n < 0)
			return err_sys(err, (int)-n, "reading at offset %llu", (unsigned long long)at);
		sha256_add(h, buf, (size_t)n);
		at += (uint64_t)n;
	} while (n == STEP);
	sha256_end(h, out);
	if (size)
		*size = at;
	return 0;
}

void sha256_hex(const uint8_t sha256[SHA256_LEN], char out[SHA256_HEX])
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < SHA256_LEN; i++) {
		out[2 * i] = digits[sha256[i] >> 4];
		out[2 * i + 1] = digits[sha256[i] & 15];
	}
	out[SHA256_HEX - 1] = 0;
}
