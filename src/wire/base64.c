/* SPDX-License-Identifier: Apache-2.0 */

#include "base64.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>

#include "../base/cleanup.h"
#include "../base/macro.h"

static const char digits[] =
	"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static int digit(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* n digits (2 to 4) make n - 1 bytes; the bits left over must be 0. */
static int decode_group(const char *p, size_t n, unsigned char *out)
{
	uint32_t acc = 0;

	for (size_t i = 0; i < n; i++) {
		int d = digit(p[i]);

		if (d < 0)
			return -EINVAL;
		acc |= (uint32_t)d << (18 - 6 * i);
	}
	for (size_t i = 0; i + 1 < n; i++)
		out[i] = (unsigned char)(acc >> (16 - 8 * i));
	return (acc & (0xffffffu >> (8 * (n - 1)))) ? -EINVAL : 0;
}

int base64_decode(const char *text, size_t len, unsigned char **ret, size_t *ret_len)
{
	CLEANUP(free) unsigned char *out = NULL;
	size_t n = len, at = 0;

	if (len % 4 != 0)
		return -EINVAL;
	for (int i = 0; i < 2 && n > 0 && text[n - 1] == '='; i++)
		n--;
	out = malloc(len / 4 * 3 + 1);
	if (!out)
		return -ENOMEM;
	for (size_t i = 0; i < n; i += 4) {
		size_t k = MIN((size_t)4, n - i);

		if (decode_group(text + i, k, out + at) < 0)
			return -EINVAL;
		at += k - 1;
	}
	out[at] = '\0';
	*ret = TAKE_PTR(out);
	*ret_len = at;
	return 0;
}

void base64_encode(struct buf *out, const void *data, size_t len)
{
	const unsigned char *p = data;

	for (size_t k; len > 0; p += k, len -= k) {
		uint32_t acc = (uint32_t)p[0] << 16;
		char c[4] = { 0, 0, '=', '=' };

		k = MIN(len, (size_t)3);
		if (k > 1)
			acc |= (uint32_t)p[1] << 8;
		if (k > 2)
			acc |= p[2];
		for (size_t i = 0; i <= k; i++)
			c[i] = digits[acc >> (18 - 6 * i) & 63];
		buf_add(out, c, sizeof(c));
	}
}
