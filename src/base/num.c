/* SPDX-License-Identifier: Apache-2.0 */

#include "num.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>
#include <strings.h>

/* Reads digits from *p on and moves past them. */
static int digits(const char **p, uint64_t *ret)
{
	uint64_t v = 0;

	if (!isdigit((unsigned char)**p))
		return -EINVAL;
	for (; isdigit((unsigned char)**p); (*p)++)
		if (__builtin_mul_overflow(v, (uint64_t)10, &v) ||
		    __builtin_add_overflow(v, (uint64_t)(**p - '0'), &v))
			return -ERANGE;
	*ret = v;
	return 0;
}

int num_parse_u64(const char *text, uint64_t min, uint64_t max, uint64_t *ret)
{
	uint64_t v;
	int r = digits(&text, &v);

	if (r < 0)
		return r;
	if (*text)
		return -EINVAL;
	if (v < min || v > max)
		return -ERANGE;
	*ret = v;
	return 0;
}

int num_parse_i64(const char *text, int64_t min, int64_t max, int64_t *ret)
{
	bool neg = *text == '-';
	uint64_t u;
	int64_t v;
	int r;

	if (neg)
		text++;
	r = digits(&text, &u);
	if (r < 0)
		return r;
	if (*text)
		return -EINVAL;
	if (u > (uint64_t)INT64_MAX)
		return -ERANGE;
	v = neg ? -(int64_t)u : (int64_t)u;
	if (v < min || v > max)
		return -ERANGE;
	*ret = v;
	return 0;
}

struct unit {
	const char *name;
	uint64_t factor;
};

static int with_unit(const char *text, const struct unit *units, uint64_t max,
		     uint64_t *ret)
{
	uint64_t v;
	int r = digits(&text, &v);

	if (r < 0)
		return r;
	for (; units->name; units++) {
		if (strcasecmp(text, units->name) != 0)
			continue;
		if (__builtin_mul_overflow(v, units->factor, &v) || v > max)
			return -ERANGE;
		*ret = v;
		return 0;
	}
	return -EINVAL;
}

int num_parse_duration_ms(const char *text, uint64_t max_ms, uint64_t *ret)
{
	static const struct unit units[] = {
		{ "", 1000 },	  { "ms", 1 },	     { "s", 1000 }, { "m", 60000 },
		{ "h", 3600000 }, { "d", 86400000 }, { NULL, 0 },
	};

	return with_unit(text, units, max_ms, ret);
}

int num_parse_bytes(const char *text, uint64_t max, uint64_t *ret)
{
	static const struct unit units[] = {
		{ "", 1 },	   { "b", 1 },	       { "k", 1 << 10 },
		{ "kb", 1 << 10 }, { "kib", 1 << 10 }, { "m", 1 << 20 },
		{ "mb", 1 << 20 }, { "mib", 1 << 20 }, { "g", 1 << 30 },
		{ "gb", 1 << 30 }, { "gib", 1 << 30 }, { NULL, 0 },
	};

	return with_unit(text, units, max, ret);
}
