/* SPDX-License-Identifier: Apache-2.0 */

#include "output.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "../base/cleanup.h"
#include "../base/macro.h"
#include "../box/reader.h"
#include "record.h"

const char *const output_names[BOX_STREAMS] = { "stdout", "stderr" };

int output_describe(json_t *o, const char *name, size_t at, size_t len, size_t head,
		    uint64_t omitted)
{
	json_t *raw = json_object_get(o, "raw");
	json_t *part;

	if (!raw) {
		raw = json_object();
		if (json_object_set_new(o, "raw", raw) < 0)
			return -ENOMEM;
	}
	part = json_pack("{s:I, s:I}", "at", (json_int_t)at, "len", (json_int_t)len);
	if (part && omitted > 0 &&
	    (json_object_set_new(part, "head", json_integer((json_int_t)head)) < 0 ||
	     json_object_set_new(part, "omitted", json_integer((json_int_t)omitted)) <
		     0)) {
		json_decref(part);
		return -ENOMEM;
	}
	return json_object_set_new(raw, name, part) < 0 ? -ENOMEM : 0;
}

/* Appends up to len bytes from offset on; the chunk tells what they were. */
static size_t append(int fd, int stream, uint64_t offset, size_t len, struct buf *raw,
		     struct box_chunk *ret)
{
	char *to = len > 0 ? buf_reserve(raw, len) : NULL;

	*ret = (struct box_chunk){ .offset = offset, .next = offset };
	if (!to || box_read(fd, stream, offset, to, len, ret, NULL) < 0)
		return 0;
	raw->len += ret->len;
	return ret->len;
}

struct ends {
	size_t len, head;
	uint64_t omitted, next;
};

static void read_ends(struct process *p, int stream, size_t max, struct buf *raw,
		      struct ends *ret)
{
	bool empty = stream >= (int)p->streams || (p->settled && p->total[stream] == 0);
	int fd = empty ? -1 : process_box(p);
	struct box_extent x;
	struct box_chunk c;
	uint64_t tail;

	*ret = (struct ends){ 0 };
	if (fd < 0 || box_read_extent(fd, stream, &x, NULL) < 0)
		return;
	if (x.start == 0 && x.total <= max) {
		ret->len = ret->head = append(fd, stream, 0, (size_t)x.total, raw, &c);
		ret->omitted = c.lost;
		ret->next = c.next;
		return;
	}
	/* What the ring has lost is lost from the front: then there is only an end. */
	if (x.start == 0) {
		ret->head = append(fd, stream, 0, max / 2, raw, &c);
		if (c.offset != 0) {
			raw->len -= ret->head;
			ret->head = 0;
		}
	}
	tail = x.total - MIN(x.total - x.start, (uint64_t)(max - ret->head));
	ret->len =
		ret->head + append(fd, stream, tail, (size_t)(x.total - tail), raw, &c);
	ret->omitted = c.offset - ret->head;
	ret->next = c.next;
}

static int set(json_t *o, const char *name, const char *suffix, uint64_t v)
{
	char key[32];

	(void)snprintf(key, sizeof(key), "%s%s", name, suffix);
	return json_object_set_new(o, key, json_integer((json_int_t)v)) < 0 ? -ENOMEM : 0;
}

int output_ends(struct process *p, size_t max, json_t *o, struct buf *raw)
{
	for (int i = 0; i < BOX_STREAMS; i++) {
		size_t at = raw->len;
		struct ends e;

		read_ends(p, i, max, raw, &e);
		if (!buf_ok(raw) ||
		    output_describe(o, output_names[i], at, e.len, e.head, e.omitted) <
			    0 ||
		    set(o, output_names[i], "_next", e.next) < 0 ||
		    set(o, output_names[i], "_omitted_at", e.head) < 0)
			return -ENOMEM;
	}
	if (p->ended_mono_ns != 0)
		process_box_close(p);
	return 0;
}

uint64_t output_tail_lines(struct process *p, int stream, uint64_t lines, size_t max)
{
	CLEANUP(buf_fini) struct buf b = { 0 };
	int fd = stream < (int)p->streams ? process_box(p) : -1;
	struct box_extent x;
	struct box_chunk c;
	uint64_t from;
	size_t at;

	if (fd < 0 || box_read_extent(fd, stream, &x, NULL) < 0)
		return 0;
	from = x.total - MIN(x.total - x.start, (uint64_t)max);
	at = append(fd, stream, from, (size_t)(x.total - from), &b, &c);
	/* The newline at the very end belongs to the last line. */
	if (at > 0 && b.data[at - 1] == '\n')
		at--;
	while (at > 0 && lines > 0) {
		if (b.data[at - 1] == '\n' && --lines == 0)
			break;
		at--;
	}
	return c.offset + at;
}
