/* SPDX-License-Identifier: Apache-2.0 */

#include "sha256.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdlib.h>

struct sha256 {
	EVP_MD_CTX *ctx;
};

struct sha256 *sha256_new(void)
{
	CLEANUP(sha256_free) struct sha256 *s = calloc(1, sizeof(*s));

	if (!s || OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG, NULL) != 1)
		return NULL;
	s->ctx = EVP_MD_CTX_new();
	if (!s->ctx || EVP_DigestInit_ex(s->ctx, EVP_sha256(), NULL) != 1)
		return NULL;
	return TAKE_PTR(s);
}

void sha256_free(struct sha256 *s)
{
	if (!s)
		return;
	EVP_MD_CTX_free(s->ctx);
	free(s);
}

int sha256_add(struct sha256 *s, const void *data, size_t len)
{
	return EVP_DigestUpdate(s->ctx, data, len) == 1 ? 0 : -ENOTSUP;
}

int sha256_end(struct sha256 *s, uint8_t ret[static SHA256_BYTES])
{
	return EVP_DigestFinal_ex(s->ctx, ret, NULL) == 1 ? 0 : -ENOTSUP;
}

int sha256_of(const void *data, size_t len, uint8_t ret[static SHA256_BYTES])
{
	CLEANUP(sha256_free) struct sha256 *s = sha256_new();
	int r = s ? sha256_add(s, data, len) : -ENOTSUP;

	return r < 0 ? r : sha256_end(s, ret);
}

const char *sha256_text(const uint8_t hash[static SHA256_BYTES],
			char ret[static SHA256_TEXT])
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < SHA256_BYTES; i++) {
		ret[2 * i] = digits[hash[i] >> 4];
		ret[2 * i + 1] = digits[hash[i] & 15];
	}
	ret[SHA256_TEXT - 1] = '\0';
	return ret;
}
