/* SPDX-License-Identifier: Apache-2.0 */

#include "reply.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../base/cleanup.h"
#include "../base/macro.h"
#include "../wire/field.h"
#include "../wire/json.h"
#include "text.h"

#define STREAMS 2

static const char *const stream_names[STREAMS] = { "stdout", "stderr" };

struct part {
	bool there;
	struct proctor_output out; /* data points into bytes of the reply */
};

struct proctor_reply {
	json_t *object; /* the result, or the error object */
	char *meta;
	char *json; /* made when asked for */
	unsigned char *bytes;
	struct part parts[STREAMS];
	struct proctor_error error; /* code is PROCTOR_OK for a success */
};

DEFINE_CLEANUP(struct proctor_reply *, proctor_reply_free);

static void copy_text(char *to, size_t size, const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	(void)snprintf(to, size, "%s", text ? text : "");
}

int reply_set_error(struct proctor_error *e, const struct err *err)
{
	if (!e)
		return -err->code;
	memset(e, 0, sizeof(*e));
	e->code = err->code;
	e->sys_errno = err->sys_errno;
	(void)snprintf(e->field, sizeof(e->field), "%s", err->stage);
	(void)snprintf(e->message, sizeof(e->message), "%s", err->msg);
	return -err->code;
}

int reply_read_error(struct proctor_error *e, const json_t *object)
{
	const char *name = json_string_value(json_object_get(object, "code"));
	int code = name ? err_code_by_name(name) : -1;
	struct proctor_error mine;

	if (!e)
		e = &mine;
	memset(e, 0, sizeof(*e));
	e->code = code > ERR_OK ? code : ERR_INTERNAL;
	e->sys_errno = (int)json_integer_value(json_object_get(object, "errno"));
	copy_text(e->field, sizeof(e->field), object, "field");
	if (!*e->field)
		copy_text(e->field, sizeof(e->field), object, "stage");
	copy_text(e->message, sizeof(e->message), object, "message");
	copy_text(e->hint, sizeof(e->hint), object, "hint");
	return -e->code;
}

static int malformed(struct err *err, const char *what)
{
	return err_set(err, ERR_INTERNAL, "reply", 0,
		       "the engine sent a malformed reply: %s", what);
}

static bool get_size(const json_t *part, const char *key, uint64_t max, uint64_t *ret)
{
	const json_t *v = json_object_get(part, key);

	if (!v) {
		*ret = 0;
		return true;
	}
	if (!json_is_integer(v) || json_integer_value(v) < 0)
		return false;
	*ret = (uint64_t)json_integer_value(v);
	return *ret <= max;
}

static int read_part(struct proctor_reply *r, size_t i, const json_t *part, size_t have,
		     size_t *at, struct err *err)
{
	struct proctor_output *out = &r->parts[i].out;
	uint64_t len, head, omitted, where;

	if (!json_is_object(part))
		return malformed(err, "raw");
	if (!json_object_get(part, "at"))
		where = *at;
	else if (!get_size(part, "at", have, &where))
		return malformed(err, "raw.at");
	if (!get_size(part, "len", have - where, &len))
		return malformed(err, "raw.len");
	if (!get_size(part, "head", len, &head) ||
	    !get_size(part, "omitted", INT64_MAX, &omitted))
		return malformed(err, "raw.head");
	if (!json_object_get(part, "head"))
		head = len;
	out->data = r->bytes + where;
	out->len = len;
	out->head = head;
	out->omitted = omitted;
	r->parts[i].there = true;
	*at = where + len;
	return 0;
}

static int read_parts(struct proctor_reply *r, const json_t *raw, size_t have,
		      struct err *err)
{
	size_t at = 0;

	for (size_t i = 0; i < STREAMS; i++) {
		const json_t *part = json_object_get(raw, stream_names[i]);
		int e;

		if (!part || json_is_null(part))
			continue;
		e = read_part(r, i, part, have, &at, err);
		if (e < 0)
			return e;
	}
	return 0;
}

int reply_new(const struct frame *f, struct proctor_reply **ret, struct err *err)
{
	CLEANUP(proctor_reply_free) struct proctor_reply *r = calloc(1, sizeof(*r));
	CLEANUP(json_decref) json_t *whole = NULL;
	const json_t *raw;
	json_t *error, *result;
	int e;

	if (!r)
		return err_set(err, ERR_INTERNAL, "reply", ENOMEM, "reply");
	e = field_parse(f->json, f->json_len, &whole, err);
	if (e < 0)
		return malformed(err, "its JSON");
	error = json_object_get(whole, "error");
	result = json_object_get(whole, "result");
	if (json_is_object(error)) {
		(void)reply_read_error(&r->error, error);
		r->object = json_incref(error);
	} else if (json_is_object(result)) {
		r->bytes = malloc(f->raw_len ? f->raw_len : 1);
		if (!r->bytes)
			return err_set(err, ERR_INTERNAL, "reply", ENOMEM, "reply");
		if (f->raw_len > 0)
			memcpy(r->bytes, f->raw, f->raw_len);
		raw = json_object_get(result, "raw");
		if (raw) {
			e = read_parts(r, raw, f->raw_len, err);
			if (e < 0)
				return e;
			(void)json_object_del(result, "raw");
		}
		r->object = json_incref(result);
	} else {
		return malformed(err, "neither result nor error");
	}
	r->meta = json_dumps(r->object, JSON_TEXT);
	if (!r->meta)
		return err_set(err, ERR_INTERNAL, "reply", ENOMEM, "reply");
	*ret = TAKE_PTR(r);
	return 0;
}

void proctor_reply_free(struct proctor_reply *r)
{
	if (!r)
		return;
	json_decref(r->object);
	free(r->meta);
	free(r->json);
	free(r->bytes);
	free(r);
}

int proctor_reply_code(const struct proctor_reply *r)
{
	return r->error.code;
}

const struct proctor_error *proctor_reply_error(const struct proctor_reply *r)
{
	return r->error.code == PROCTOR_OK ? NULL : &r->error;
}

const char *proctor_reply_meta(const struct proctor_reply *r)
{
	return r->meta;
}

bool proctor_reply_output(const struct proctor_reply *r, enum proctor_stream stream,
			  struct proctor_output *ret)
{
	size_t i = stream == PROCTOR_STDERR ? 1 : 0;

	if (!r->parts[i].there)
		return false;
	*ret = r->parts[i].out;
	return true;
}

/* Head and tail in one piece, less the halves of a character that the cut split. */
static bool join(const struct proctor_output *out, struct buf *ret, uint64_t *ret_omitted,
		 size_t *ret_head)
{
	const unsigned char *tail = out->data + out->head;
	size_t tail_len = out->len - out->head, end = 0, front = 0;

	if (out->omitted > 0) {
		end = text_cut_end(out->data, out->head);
		front = text_cut_front(tail, tail_len);
	}
	buf_add(ret, out->data, out->head - end);
	buf_add(ret, tail + front, tail_len - front);
	*ret_omitted = out->omitted + end + front;
	*ret_head = out->head - end;
	if (buf_ok(ret) && out->omitted > 0 && !text_is_utf8(ret->data, ret->len)) {
		/* No text after all: then every byte that came. */
		buf_eat(ret, ret->len);
		buf_add(ret, out->data, out->len);
		*ret_omitted = out->omitted;
		*ret_head = out->head;
	}
	return buf_ok(ret);
}

static bool set_key(json_t *object, const char *name, const char *suffix, json_t *value)
{
	char key[64];

	(void)snprintf(key, sizeof(key), "%s%s", name, suffix);
	return json_object_set_new(object, key, value) == 0;
}

/* The bytes under `name`, how they are shown under `encoding`. */
static bool set_bytes(json_t *object, const char *name, const char *encoding,
		      const struct buf *bytes)
{
	CLEANUP(buf_fini) struct buf digits = { 0 };
	bool utf8 = text_is_utf8(bytes->data, bytes->len);
	const struct buf *use = bytes;

	if (!utf8) {
		text_base64(&digits, bytes->data, bytes->len);
		use = &digits;
	}
	return buf_ok(use) &&
	       set_key(object, name, "",
		       json_stringn_nocheck(use->len ? use->data : "", use->len)) &&
	       set_key(object, encoding, "", json_string(utf8 ? "utf-8" : "base64"));
}

/* Of process.run, process.wait and process.kill. */
static bool add_output(json_t *object, size_t i, const struct proctor_output *out)
{
	static const char *const encodings[STREAMS] = { "stdout_encoding",
							"stderr_encoding" };
	CLEANUP(buf_fini) struct buf bytes = { 0 };
	uint64_t omitted;
	size_t head;

	if (!join(out, &bytes, &omitted, &head) ||
	    !set_bytes(object, stream_names[i], encodings[i], &bytes) ||
	    !set_key(object, stream_names[i], "_omitted",
		     json_integer((json_int_t)omitted)))
		return false;
	return omitted == 0 || set_key(object, stream_names[i], "_omitted_at",
				       json_integer((json_int_t)head));
}

/* Of process.read: the one stream, or stdout of both, is "data". */
static bool add_data(json_t *object, bool first, const struct proctor_output *out)
{
	CLEANUP(buf_fini) struct buf bytes = { 0 };

	buf_add(&bytes, out->data, out->len);
	return buf_ok(&bytes) &&
	       set_bytes(object, first ? "data" : "stderr_data",
			 first ? "encoding" : "stderr_encoding", &bytes);
}

const char *proctor_reply_json(struct proctor_reply *r)
{
	CLEANUP(json_decref) json_t *copy = NULL;
	bool read = json_object_get(r->object, "next_offset") != NULL, ok = true;

	if (r->json)
		return r->json;
	copy = json_copy(r->object);
	if (!copy)
		return NULL;
	for (size_t i = 0; ok && i < STREAMS; i++) {
		const struct proctor_output *out = &r->parts[i].out;

		if (!r->parts[i].there)
			continue;
		if (read)
			ok = add_data(copy, i == 0 || !r->parts[0].there, out);
		else
			ok = add_output(copy, i, out);
	}
	if (ok)
		r->json = json_dumps(copy, JSON_TEXT);
	return r->json;
}
