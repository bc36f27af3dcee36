/* SPDX-License-Identifier: Apache-2.0 */

#include "frame.h"

#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include "../base/macro.h"

#define LEN_SIZE 4 /* the length itself, which it does not count */

/* One that is larger than this, and than a read twice over, is given back when empty. */
#define KEEP_CAP (64 << 10)

struct head {
	uint32_t length;
	uint8_t type;
	uint8_t flags;
	uint16_t zero;
	uint32_t call;
	uint32_t json_len;
};

static_assert(sizeof(struct head) == FRAME_HEAD, "the head has no padding");

int frame_put(struct buf *out, uint8_t type, uint32_t call, const char *json,
	      size_t json_len, const void *raw, size_t raw_len, struct err *err)
{
	const size_t room = FRAME_MAX - (FRAME_HEAD - LEN_SIZE);
	struct head h = { .type = type, .call = htole32(call) };

	if (json_len > room || raw_len > room - json_len)
		return err_set(
			err, ERR_INVALID_INPUT, NULL, 0,
			"a frame of %zu bytes of JSON and %zu of data is too large: "
			"together at most %zu",
			json_len, raw_len, room);

	h.length = htole32((uint32_t)(FRAME_HEAD - LEN_SIZE + json_len + raw_len));
	h.json_len = htole32((uint32_t)json_len);
	if (!buf_reserve(out, FRAME_HEAD + json_len + raw_len))
		return err_set(err, ERR_INTERNAL, NULL, ENOMEM, "frame");
	buf_add(out, &h, sizeof(h));
	buf_add(out, json, json_len);
	buf_add(out, raw, raw_len);
	return 0;
}

void frame_set_fds(struct buf *out, size_t at, size_t n)
{
	assert(n <= FRAME_FDS);
	assert(at <= out->len && out->len - at >= FRAME_HEAD);
	out->data[at + offsetof(struct head, flags)] = (char)n;
}

static void close_all(int *fds, size_t *n)
{
	for (size_t i = 0; i < *n; i++) {
		if (fds[i] >= 0)
			(void)close(fds[i]);
		fds[i] = -1;
	}
	*n = 0;
}

void frame_close_fds(struct frame *f)
{
	close_all(f->fds, &f->n_fds);
}

void frame_reader_fini(struct frame_reader *r)
{
	close_all(r->fds, &r->n_fds);
	buf_fini(&r->in);
	r->used = 0;
}

void *frame_reader_space(struct frame_reader *r, size_t want)
{
	buf_eat(&r->in, r->used);
	r->used = 0;
	if (r->in.len >= LEN_SIZE + FRAME_MAX)
		return NULL;
	if (r->in.len == 0 && r->in.cap > MAX(2 * want, (size_t)KEEP_CAP))
		buf_fini(&r->in);
	return buf_reserve(&r->in, want);
}

void frame_reader_filled(struct frame_reader *r, size_t n)
{
	assert(r->in.len + n <= r->in.cap);
	r->in.len += n;
}

int frame_reader_add_fds(struct frame_reader *r, const int *fds, size_t n)
{
	if (n > FRAME_FDS - r->n_fds) {
		for (size_t i = 0; i < n; i++)
			(void)close(fds[i]);
		return -EMSGSIZE;
	}
	for (size_t i = 0; i < n; i++)
		r->fds[r->n_fds++] = fds[i];
	return 0;
}

static int garbage(struct err *err, const char *what, uint32_t value)
{
	return err_set(err, ERR_INVALID_INPUT, "frame", 0, "bad frame: %s is %u", what,
		       value);
}

/* All of the head in host order, and its numbers fit each other. */
static int check_head(const struct head *h, struct err *err)
{
	if (h->type < FRAME_HELLO || h->type > FRAME_CANCEL)
		return garbage(err, "type", h->type);
	if (h->flags > FRAME_FDS)
		return garbage(err, "number of descriptors", h->flags);
	if (h->zero != 0)
		return garbage(err, "a field that must be 0", h->zero);
	if ((h->call == 0) != (h->type == FRAME_HELLO))
		return garbage(err, "call number", h->call);
	if (h->json_len > h->length - (FRAME_HEAD - LEN_SIZE))
		return garbage(err, "JSON length", h->json_len);
	return 0;
}

static void give(struct frame_reader *r, const struct head *h, struct frame *ret)
{
	const char *body = r->in.data + r->used + FRAME_HEAD;

	*ret = (struct frame){
		.type = h->type,
		.call = h->call,
		.json = body,
		.json_len = h->json_len,
		.raw = (const unsigned char *)body + h->json_len,
		.raw_len = h->length - (FRAME_HEAD - LEN_SIZE) - h->json_len,
		.n_fds = h->flags,
	};
	for (size_t i = 0; i < FRAME_FDS; i++)
		ret->fds[i] = i < h->flags ? r->fds[i] : -1;
	r->n_fds -= h->flags;
	memmove(r->fds, r->fds + h->flags, r->n_fds * sizeof(r->fds[0]));
	r->used += LEN_SIZE + h->length;
}

/*
 * Descriptors come with the first byte of their frame, so those of a frame are
 * there before its head is. More than it wants may belong to a later frame, but
 * only if something of that one is there as well.
 */
static bool fds_fit(const struct frame_reader *r, const struct head *h, size_t have)
{
	return r->n_fds == h->flags ||
	       (r->n_fds > h->flags && have > LEN_SIZE + (size_t)h->length);
}

int frame_reader_next(struct frame_reader *r, struct frame *ret, struct err *err)
{
	size_t have = r->in.len - r->used;
	struct head h = { 0 };
	int e;

	if (have < LEN_SIZE) {
		if (have == 0 && r->n_fds > 0)
			return err_set(err, ERR_INVALID_INPUT, "frame", 0,
				       "descriptors came without a frame");
		return 0;
	}
	memcpy(&h, r->in.data + r->used, MIN(have, sizeof(h)));
	h.length = le32toh(h.length);
	if (h.length < FRAME_HEAD - LEN_SIZE || h.length > FRAME_MAX)
		return garbage(err, "length", h.length);
	if (have < FRAME_HEAD)
		return 0;
	h.zero = le16toh(h.zero);
	h.call = le32toh(h.call);
	h.json_len = le32toh(h.json_len);
	e = check_head(&h, err);
	if (e < 0)
		return e;
	if (!fds_fit(r, &h, have))
		return err_set(err, ERR_INVALID_INPUT, "frame", 0,
			       "bad frame: %zu descriptors came, but it has %u", r->n_fds,
			       h.flags);
	if (have < LEN_SIZE + h.length)
		return 0;
	give(r, &h, ret);
	return 1;
}
