/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * buf - a growing byte string
 *
 * A failed allocation marks the buffer bad and every later append is ignored,
 * so that a builder checks once, at its end, with buf_ok(). What is in it is
 * always followed by a NUL that is not counted. A zeroed buf is an empty one.
 */

#include <stdbool.h>
#include <stddef.h>

#include "macro.h"

struct buf {
	char *data;
	size_t len;
	size_t cap;
	bool bad;
};

void buf_fini(struct buf *b); /* and zeroed again */

static inline void buf_fini_p(struct buf *b)
{
	buf_fini(b);
}

/* Room for n more bytes, which the caller fills and adds to len. Or NULL. */
void *buf_reserve(struct buf *b, size_t n);

void buf_add(struct buf *b, const void *data, size_t len);
void buf_adds(struct buf *b, const char *text);
void buf_addf(struct buf *b, const char *fmt, ...) PRINTF(2, 3);

/* Removes n bytes from the front. */
void buf_eat(struct buf *b, size_t n);

static inline bool buf_ok(const struct buf *b)
{
	return !b->bad;
}

/* Hands the bytes over (free() them) and leaves b empty; NULL if b is bad. */
char *buf_take(struct buf *b);
