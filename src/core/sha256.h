/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * sha256 - SHA-256 (FIPS 180-4) by libcrypto
 *
 * In core, since nothing below may need libcrypto: the keeper and libproctor are
 * built of that. OpenSSL's configuration file is not read. Failures are those of
 * libcrypto: no memory, or a machine that forbids the algorithm.
 */

#include <stddef.h>
#include <stdint.h>

#include "../base/cleanup.h"

#define SHA256_BYTES 32
#define SHA256_TEXT (2 * SHA256_BYTES + 1)

struct sha256;

/* NULL: it failed. */
struct sha256 *sha256_new(void);
/* Accepts NULL. */
void sha256_free(struct sha256 *s);
DEFINE_CLEANUP(struct sha256 *, sha256_free);

/* 0 or -ENOTSUP. After sha256_end() the object is only good to be freed. */
int sha256_add(struct sha256 *s, const void *data, size_t len);
int sha256_end(struct sha256 *s, uint8_t ret[static SHA256_BYTES]);

/* All in one. */
int sha256_of(const void *data, size_t len, uint8_t ret[static SHA256_BYTES]);

/* Lower-case hexadecimal; returns ret. */
const char *sha256_text(const uint8_t hash[static SHA256_BYTES],
			char ret[static SHA256_TEXT]);
