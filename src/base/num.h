/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * num - strict numbers from text, and sums that say when they overflow
 *
 * The parsers take the whole text or nothing: no sign for unsigned numbers, no
 * white space, no rest. -EINVAL for what is no number, -ERANGE for what is
 * outside [min, max]. *ret is untouched on failure.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

int num_parse_u64(const char *text, uint64_t min, uint64_t max, uint64_t *ret);
int num_parse_i64(const char *text, int64_t min, int64_t max, int64_t *ret);

/* "250ms", "30s", "5m", "2h", "1d"; a bare number is seconds. Gives ms. */
int num_parse_duration_ms(const char *text, uint64_t max_ms, uint64_t *ret);

/* "4096", "64k", "1m", "2g", in powers of 1024, either case, optional b or ib. */
int num_parse_bytes(const char *text, uint64_t max, uint64_t *ret);

static inline bool num_add(size_t a, size_t b, size_t *ret)
{
	return !__builtin_add_overflow(a, b, ret);
}
static inline bool num_mul(size_t a, size_t b, size_t *ret)
{
	return !__builtin_mul_overflow(a, b, ret);
}

static inline size_t num_align(size_t n, size_t to)
{
	return (n + to - 1) / to * to;
}
