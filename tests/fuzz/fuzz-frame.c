/* SPDX-License-Identifier: Apache-2.0 */

/*
 * fuzz-frame - what a stranger may send to the engine
 *
 * Input: one byte that says how the rest is cut into pieces (0 = not at all), then
 * the bytes of a connection. The frame reader is fed whole and in pieces, and must
 * give the same frames and the same end; the JSON of each frame is decoded as a
 * hello and as the parameters of every operation, and what was accepted is within
 * what the table says.
 */

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../../src/base/cleanup.h"
#include "../../src/op/op.h"
#include "../../src/op/request.h"
#include "../../src/wire/frame.h"
#include "../../src/wire/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What came out of a connection, to compare two ways of reading it. */
struct story {
	uint64_t sum;
	size_t frames;
	int end; /* of the last frame_reader_next() */
};

static void frame_reader_fini_p(struct frame_reader *r)
{
	frame_reader_fini(r);
}

static void must(bool true_)
{
	if (!true_)
		abort();
}

static void add(struct story *s, const void *data, size_t len)
{
	const unsigned char *p = data;

	for (size_t i = 0; i < len; i++)
		s->sum = (s->sum ^ p[i]) * UINT64_C(0x100000001b3); /* FNV-1a */
}

/* Accepted numbers are in range, texts within their length. */
static void check(const struct field *fields, const char *out)
{
	for (const struct field *f = fields; f->name; f++) {
		const char *at = out + f->offset;

		if (f->type == FIELD_UINT && f->has_offset != FIELD_NO_HAS &&
		    *(const bool *)(out + f->has_offset)) {
			must(*(const uint64_t *)at <= f->max);
			must(*(const uint64_t *)at >= (uint64_t)f->min);
		} else if (f->type == FIELD_STRING && *(char *const *)at) {
			must(strlen(*(char *const *)at) <= f->max);
		} else if (f->type == FIELD_STRINGS) {
			must(((const struct field_strings *)at)->n <= f->max);
		} else if (f->type == FIELD_OBJECT) {
			check(f->fields, at);
		}
	}
}

static void decode_all(const json_t *params)
{
	struct hello_params hello = { 0 };
	struct err err = { 0 };

	if (field_decode(hello_fields, params, &hello, &err) == 0)
		check(hello_fields, (const char *)&hello);
	else
		must(err.code == ERR_INVALID_INPUT && err.msg[0]);
	field_fini(hello_fields, &hello);

	for (int id = 0; id < OP_MAX_; id++) {
		const struct op *op = op_get((enum op_id)id);
		CLEANUP(free) char *out = calloc(1, op->params_size);

		must(out != NULL);
		memset(&err, 0, sizeof(err));
		if (op_decode(op, params, out, &err) == 0) {
			check(op->params, out);
			op_params_fini(op, out);
		} else {
			must(err.code == ERR_INVALID_INPUT && err.msg[0]);
		}
		for (size_t i = 0; i < op->params_size; i++)
			must(out[i] == 0);
	}
}

static void use(const struct frame *f)
{
	CLEANUP(json_decref) json_t *j = NULL;
	struct err err = { 0 };
	json_t *params;

	if (field_parse(f->json, f->json_len, &j, &err) < 0) {
		must(err.code == ERR_INVALID_INPUT && err.msg[0]);
		return;
	}
	decode_all(j);
	params = json_object_get(j, "params");
	if (params)
		decode_all(params);
}

static uint32_t next_random(uint32_t *state)
{
	*state = *state * 1664525u + 1013904223u;
	return *state >> 16;
}

static struct story read_story(const uint8_t *data, size_t size, uint8_t cut)
{
	CLEANUP(frame_reader_fini) struct frame_reader r = { 0 };
	struct story s = { 0 };
	uint32_t random = cut;
	size_t at = 0;

	while (at < size && s.end >= 0) {
		size_t n = cut ? 1 + next_random(&random) % (1u + cut % 64u) : size;
		struct frame f;
		void *p;

		n = MIN(n, size - at);
		p = frame_reader_space(&r, n);
		must(p != NULL);
		memcpy(p, data + at, n);
		frame_reader_filled(&r, n);
		at += n;
		while ((s.end = frame_reader_next(&r, &f, NULL)) == 1) {
			must(f.n_fds == 0);
			s.frames++;
			add(&s, &f.type, sizeof(f.type));
			add(&s, &f.call, sizeof(f.call));
			add(&s, f.json, f.json_len);
			add(&s, f.raw, f.raw_len);
			if (!cut)
				use(&f);
		}
	}
	return s;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct story whole, pieces;

	if (size == 0)
		return 0;
	whole = read_story(data + 1, size - 1, 0);
	pieces = read_story(data + 1, size - 1, data[0] ? data[0] : 1);
	must(whole.sum == pieces.sum && whole.frames == pieces.frames &&
	     whole.end == pieces.end);
	return 0;
}
