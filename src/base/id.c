/* SPDX-License-Identifier: Apache-2.0 */

#include "id.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

static const char digits[] = "0123456789abcdefghjkmnpqrstvwxyz";

int id_new(struct id *ret)
{
	struct id id;
	ssize_t n;

	do
		n = getrandom(id.b, sizeof(id.b), 0);
	while (n < 0 && errno == EINTR);
	if (n != (ssize_t)sizeof(id.b))
		return n < 0 ? -errno : -EIO;
	*ret = id;
	return 0;
}

char *id_format(const struct id *id, char kind, char buf[static ID_TEXT])
{
	unsigned int acc = 0, bits = 0;
	char *p = buf;

	*p++ = kind;
	*p++ = '_';
	for (int i = 0; i < ID_BYTES; i++) {
		acc = acc << 8 | id->b[i];
		bits += 8;
		for (; bits >= 5; bits -= 5)
			*p++ = digits[acc >> (bits - 5) & 31];
	}
	*p++ = digits[acc << (5 - bits) & 31];
	*p = '\0';
	return buf;
}

int id_parse(const char *text, char kind, struct id *ret)
{
	struct id id = { 0 };
	unsigned int acc = 0, bits = 0;
	int n = 0;

	if (strlen(text) != ID_TEXT - 1 || text[0] != kind || text[1] != '_')
		return -EINVAL;
	for (const char *p = text + 2; *p; p++) {
		const char *d = strchr(digits, *p);

		if (!d)
			return -EINVAL;
		acc = (acc << 5 | (unsigned int)(d - digits)) & 0xfff;
		bits += 5;
		if (bits >= 8 && n < ID_BYTES) {
			bits -= 8;
			id.b[n++] = (uint8_t)(acc >> bits);
		}
	}
	if (acc & ((1u << bits) - 1)) /* the last two bits are padding */
		return -EINVAL;
	*ret = id;
	return 0;
}

bool id_eq(const struct id *a, const struct id *b)
{
	return memcmp(a, b, sizeof(*a)) == 0;
}

bool id_is_zero(const struct id *id)
{
	static const struct id zero;

	return id_eq(id, &zero);
}
