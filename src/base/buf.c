/* SPDX-License-Identifier: Apache-2.0 */

#include "buf.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "num.h"

void buf_fini(struct buf *b)
{
	free(b->data);
	memset(b, 0, sizeof(*b));
}

void *buf_reserve(struct buf *b, size_t n)
{
	size_t need, cap = b->cap ? b->cap : 128;
	char *p;

	if (b->bad)
		return NULL;
	if (!num_add(b->len, n, &need) || !num_add(need, 1, &need))
		goto bad;
	if (need > b->cap) {
		while (cap < need)
			if (!num_mul(cap, 2, &cap))
				goto bad;
		p = realloc(b->data, cap);
		if (!p)
			goto bad;
		b->data = p;
		b->cap = cap;
	}
	return b->data + b->len;
bad:
	b->bad = true;
	return NULL;
}

void buf_add(struct buf *b, const void *data, size_t len)
{
	char *p = buf_reserve(b, len);

	if (!p)
		return;
	if (len > 0)
		memcpy(p, data, len);
	b->len += len;
	b->data[b->len] = '\0';
}

void buf_adds(struct buf *b, const char *text)
{
	buf_add(b, text, strlen(text));
}

void buf_addf(struct buf *b, const char *fmt, ...)
{
	va_list ap;
	char *p;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n < 0) {
		b->bad = true;
		return;
	}
	p = buf_reserve(b, (size_t)n);
	if (!p)
		return;
	va_start(ap, fmt);
	(void)vsnprintf(p, (size_t)n + 1, fmt, ap);
	va_end(ap);
	b->len += (size_t)n;
}

void buf_eat(struct buf *b, size_t n)
{
	assert(n <= b->len);
	if (n == 0)
		return;
	memmove(b->data, b->data + n, b->len - n);
	b->len -= n;
	b->data[b->len] = '\0';
}

char *buf_take(struct buf *b)
{
	char *p = NULL;

	if (!b->bad && buf_reserve(b, 0)) {
		b->data[b->len] = '\0';
		p = b->data;
		b->data = NULL;
	}
	buf_fini(b);
	return p;
}
