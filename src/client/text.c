/* SPDX-License-Identifier: Apache-2.0 */

#include "text.h"

#include <stdint.h>

/*
 * The length of the character that c begins, 0 if none does, and the range of its
 * second byte, which is where overlong forms and surrogates are told (RFC 3629, 4).
 */
static size_t begins(unsigned char c, unsigned char *lo, unsigned char *hi)
{
	*lo = 0x80;
	*hi = 0xbf;
	if (c < 0x80)
		return 1;
	if (c >= 0xc2 && c <= 0xdf)
		return 2;
	if (c >= 0xe0 && c <= 0xef) {
		*lo = c == 0xe0 ? 0xa0 : 0x80;
		*hi = c == 0xed ? 0x9f : 0xbf;
		return 3;
	}
	if (c >= 0xf0 && c <= 0xf4) {
		*lo = c == 0xf0 ? 0x90 : 0x80;
		*hi = c == 0xf4 ? 0x8f : 0xbf;
		return 4;
	}
	return 0;
}

/* Bytes of the character at p that are right, and its whole length in *ret_len. */
static size_t right(const unsigned char *p, size_t have, size_t *ret_len)
{
	unsigned char lo, hi;
	size_t len = begins(p[0], &lo, &hi), n = len > 0;

	*ret_len = len;
	while (n < len && n < have && p[n] >= lo && p[n] <= hi) {
		lo = 0x80;
		hi = 0xbf;
		n++;
	}
	return n;
}

bool text_is_utf8(const void *data, size_t len)
{
	const unsigned char *p = data;

	while (len > 0) {
		size_t want, n = right(p, len, &want);

		if (n == 0 || n < want)
			return false;
		p += n;
		len -= n;
	}
	return true;
}

size_t text_cut_end(const void *data, size_t len)
{
	const unsigned char *p = data;

	for (size_t n = 1; n <= 3 && n <= len; n++) {
		size_t want, have;

		if ((p[len - n] & 0xc0) == 0x80)
			continue;
		have = right(p + len - n, n, &want);
		return have == n && want > n ? n : 0;
	}
	return 0;
}

size_t text_cut_front(const void *data, size_t len)
{
	const unsigned char *p = data;
	size_t n = 0;

	while (n < 3 && n < len && (p[n] & 0xc0) == 0x80)
		n++;
	return n;
}

void text_base64(struct buf *out, const void *data, size_t len)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const unsigned char *p = data;

	for (; len > 0; p += 3) {
		size_t n = len < 3 ? len : 3;
		uint32_t v = (uint32_t)p[0] << 16;
		char q[4];

		if (n > 1)
			v |= (uint32_t)p[1] << 8;
		if (n > 2)
			v |= p[2];
		q[0] = digits[v >> 18];
		q[1] = digits[v >> 12 & 63];
		q[2] = n > 1 ? digits[v >> 6 & 63] : '=';
		q[3] = n > 2 ? digits[v & 63] : '=';
		buf_add(out, q, sizeof(q));
		len -= n;
	}
}
