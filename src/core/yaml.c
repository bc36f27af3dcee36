/* SPDX-License-Identifier: Apache-2.0 */

#include "yaml.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "../base/buf.h"
#include "../base/cleanup.h"
#include "../base/num.h"
#include "../wire/json.h"

#define SHOWN_MAX 48

/* Where a key stands; path as in errors of field_decode(): "limits.open_files". */
struct place {
	char *path;
	yaml_mark_t at;
};

struct reader {
	yaml_parser_t parser;
	const char *file;
	struct place *places;
	size_t n_places, cap_places;
	unsigned int n_values;
	struct err *err;
};

static void reader_fini(struct reader *r)
{
	yaml_parser_delete(&r->parser);
	for (size_t i = 0; i < r->n_places; i++)
		free(r->places[i].path);
	free(r->places);
}

static void reader_fini_p(struct reader *r)
{
	reader_fini(r);
}

static void yaml_event_delete_p(yaml_event_t *e)
{
	yaml_event_delete(e);
}

static int put_place(struct err *err, const char *file, const yaml_mark_t *at)
{
	return err_wrap(err, "%s:%zu:%zu", file, at->line + 1, at->column + 1);
}

static int refuse(struct reader *r, const yaml_mark_t *at, const char *what)
{
	(void)err_set(r->err, ERR_INVALID_INPUT, NULL, 0, "%s", what);
	return put_place(r->err, r->file, at);
}

static int no_memory(struct reader *r)
{
	return err_set(r->err, ERR_UNAVAILABLE, NULL, ENOMEM, "%s", r->file);
}

static int next(struct reader *r, yaml_event_t *ret)
{
	const yaml_parser_t *p = &r->parser;

	if (yaml_parser_parse(&r->parser, ret))
		return 0;
	if (p->error == YAML_MEMORY_ERROR)
		return no_memory(r);
	/* The reader's errors know the byte only. */
	if (p->error == YAML_READER_ERROR)
		return err_set(r->err, ERR_INVALID_INPUT, NULL, 0, "%s: byte %zu: %s",
			       r->file, p->problem_offset, p->problem);
	return refuse(r, &p->problem_mark, p->problem ? p->problem : "this is no YAML");
}

/* --- scalars --- */

static bool is_one_of(const char *text, const char *const *words)
{
	for (; *words; words++)
		if (strcmp(text, *words) == 0)
			return true;
	return false;
}

static json_t *integer(const char *text, bool *ret_is)
{
	char *end;
	json_int_t v;

	errno = 0;
	v = strtoll(text, &end, strncmp(text, "0x", 2) == 0 ? 16 : 10);
	*ret_is = *end == '\0' && end != text &&
		  strspn(text, text[0] == '0' && text[1] == 'x' ?
				       "0123456789abcdefABCDEFx" :
				       "+-0123456789") == strlen(text);
	return *ret_is && errno == 0 ? json_integer(v) : NULL;
}

static json_t *fraction(const char *text, bool *ret_is)
{
	char *end;
	double v;

	*ret_is = strpbrk(text, "0123456789") && strpbrk(text, ".eE") &&
		  strspn(text, "+-.0123456789eE") == strlen(text);
	if (!*ret_is)
		return NULL;
	v = strtod(text, &end);
	*ret_is = *end == '\0';
	return *ret_is ? json_real(v) : NULL;
}

static int plain(struct reader *r, const yaml_event_t *e, json_t **ret)
{
	static const char *const nulls[] = { "", "~", "null", "Null", "NULL", NULL };
	static const char *const yes[] = { "true", "True", "TRUE", NULL };
	static const char *const no[] = { "false", "False", "FALSE", NULL };
	const char *text = (const char *)e->data.scalar.value;
	bool is = true;

	if (is_one_of(text, nulls))
		*ret = json_null();
	else if (is_one_of(text, yes))
		*ret = json_true();
	else if (is_one_of(text, no))
		*ret = json_false();
	else if (!(*ret = integer(text, &is)) && !is && !(*ret = fraction(text, &is)) &&
		 !is)
		*ret = json_stringn(text, e->data.scalar.length);
	else if (!*ret)
		return refuse(r, &e->start_mark, "this number is too large");
	return *ret ? 0 : no_memory(r);
}

static int scalar(struct reader *r, const yaml_event_t *e, json_t **ret)
{
	if (e->data.scalar.style == YAML_PLAIN_SCALAR_STYLE)
		return plain(r, e, ret);
	*ret = json_stringn((const char *)e->data.scalar.value, e->data.scalar.length);
	return *ret ? 0 : no_memory(r);
}

/* --- nodes --- */

static int note(struct reader *r, const char *path, const yaml_mark_t *at)
{
	size_t cap = r->cap_places ? r->cap_places * 2 : 32;
	struct place *v;

	if (r->n_places == r->cap_places) {
		v = reallocarray(r->places, cap, sizeof(*v));
		if (!v)
			return no_memory(r);
		r->places = v;
		r->cap_places = cap;
	}
	r->places[r->n_places].path = strdup(path);
	if (!r->places[r->n_places].path)
		return no_memory(r);
	r->places[r->n_places++].at = *at;
	return 0;
}

/* What would make a value another one than it looks. */
static const char *forbidden(const yaml_event_t *e)
{
	const yaml_char_t *anchor = NULL, *tag = NULL;

	if (e->type == YAML_ALIAS_EVENT)
		return "aliases (*name) are not allowed: write it out";
	if (e->type == YAML_SCALAR_EVENT) {
		anchor = e->data.scalar.anchor;
		tag = e->data.scalar.tag;
	} else if (e->type == YAML_SEQUENCE_START_EVENT) {
		anchor = e->data.sequence_start.anchor;
		tag = e->data.sequence_start.tag;
	} else if (e->type == YAML_MAPPING_START_EVENT) {
		anchor = e->data.mapping_start.anchor;
		tag = e->data.mapping_start.tag;
	}
	if (anchor)
		return "anchors (&name) are not allowed: write it out";
	return tag ? "tags (!name) are not allowed" : NULL;
}

static int node(struct reader *r, const yaml_event_t *e, unsigned int depth,
		struct buf *path, json_t **ret);

static int sequence(struct reader *r, unsigned int depth, struct buf *path, json_t **ret)
{
	CLEANUP(json_decref) json_t *a = json_array();

	if (!a)
		return no_memory(r);
	for (;;) {
		__attribute__((cleanup(yaml_event_delete_p))) yaml_event_t e;
		json_t *v = NULL;
		int n = next(r, &e);

		if (n == 0 && e.type == YAML_SEQUENCE_END_EVENT)
			break;
		if (n == 0)
			n = node(r, &e, depth + 1, path, &v);
		if (n < 0)
			return n;
		if (json_array_append_new(a, v) < 0)
			return no_memory(r);
	}
	*ret = TAKE_PTR(a);
	return 0;
}

/* The value behind a key. */
static int member(struct reader *r, const yaml_event_t *key, unsigned int depth,
		  struct buf *path, json_t *object)
{
	__attribute__((cleanup(yaml_event_delete_p))) yaml_event_t e = { 0 };
	const char *name = (const char *)key->data.scalar.value;
	size_t len = path->len;
	const char *why = forbidden(key);
	json_t *v = NULL;
	int n;

	if (!why && key->type != YAML_SCALAR_EVENT)
		why = "a key is text";
	if (!why && strlen(name) != key->data.scalar.length)
		why = "a key holds a NUL";
	if (!why && strcmp(name, "<<") == 0)
		why = "merge keys (<<) are not allowed: write it out";
	if (!why && json_object_get(object, name))
		why = "this key is there twice";
	if (why)
		return refuse(r, &key->start_mark, why);
	buf_addf(path, "%s%s", len > 0 ? "." : "", name);
	if (!buf_ok(path))
		return no_memory(r);
	n = note(r, path->data, &key->start_mark);
	if (n == 0)
		n = next(r, &e);
	if (n == 0)
		n = node(r, &e, depth + 1, path, &v);
	if (n == 0 && json_object_set_new(object, name, v) < 0)
		n = refuse(r, &key->start_mark, "the key is no UTF-8");
	path->len = len;
	path->data[len] = '\0';
	return n;
}

static int mapping(struct reader *r, unsigned int depth, struct buf *path, json_t **ret)
{
	CLEANUP(json_decref) json_t *o = json_object();

	if (!o)
		return no_memory(r);
	for (;;) {
		__attribute__((cleanup(yaml_event_delete_p))) yaml_event_t e;
		int n = next(r, &e);

		if (n == 0 && e.type == YAML_MAPPING_END_EVENT)
			break;
		if (n == 0)
			n = member(r, &e, depth, path, o);
		if (n < 0)
			return n;
	}
	*ret = TAKE_PTR(o);
	return 0;
}

static int node(struct reader *r, const yaml_event_t *e, unsigned int depth,
		struct buf *path, json_t **ret)
{
	const char *why = forbidden(e);

	if (why)
		return refuse(r, &e->start_mark, why);
	if (depth > YAML_DEPTH_MAX)
		return refuse(r, &e->start_mark, "this is nested too deeply");
	if (++r->n_values > YAML_VALUES_MAX)
		return refuse(r, &e->start_mark, "this file has too many values");
	if (e->type == YAML_SEQUENCE_START_EVENT)
		return sequence(r, depth, path, ret);
	if (e->type == YAML_MAPPING_START_EVENT)
		return mapping(r, depth, path, ret);
	return scalar(r, e, ret);
}

/* --- the document --- */

static int expect(struct reader *r, yaml_event_type_t type, const char *otherwise)
{
	__attribute__((cleanup(yaml_event_delete_p))) yaml_event_t e;
	int n = next(r, &e);

	if (n < 0)
		return n;
	return e.type == type ? 0 : refuse(r, &e.start_mark, otherwise);
}

static int document(struct reader *r, json_t **ret)
{
	__attribute__((cleanup(yaml_event_delete_p))) yaml_event_t start, e = { 0 };
	CLEANUP(buf_fini) struct buf path = { 0 };
	CLEANUP(json_decref) json_t *v = NULL;
	int n = next(r, &start);

	if (n < 0)
		return n;
	if (start.type == YAML_STREAM_END_EVENT) {
		*ret = json_object();
		return *ret ? 0 : no_memory(r);
	}
	buf_adds(&path, "");
	n = next(r, &e);
	if (n == 0)
		n = node(r, &e, 0, &path, &v);
	if (n == 0 && json_is_null(v)) {
		json_decref(v);
		v = json_object();
	}
	if (n == 0 && !json_is_object(v))
		n = refuse(r, &e.start_mark, "a mapping (name: value) is expected");
	if (n == 0)
		n = expect(r, YAML_DOCUMENT_END_EVENT, "the document does not end");
	if (n == 0)
		n = expect(r, YAML_STREAM_END_EVENT, "a second document is not allowed");
	if (n == 0)
		*ret = TAKE_PTR(v);
	return n;
}

/* The place of a field, or of the closest thing around it. */
static const yaml_mark_t *place_of(const struct reader *r, const char *stage)
{
	const struct place *best = NULL;
	size_t best_len = 0;

	for (size_t i = 0; i < r->n_places; i++) {
		const char *path = r->places[i].path;
		size_t n = strlen(path);
		bool whole = strcmp(path, stage) == 0 ||
			     (strlen(stage) == ERR_STAGE_MAX - 1 &&
			      strncmp(path, stage, ERR_STAGE_MAX - 1) == 0);

		if (whole)
			return &r->places[i].at;
		if (n > best_len && strncmp(stage, path, n) == 0 && stage[n] == '.') {
			best = &r->places[i];
			best_len = n;
		}
	}
	return best ? &best->at : NULL;
}

int yaml_decode(const char *file, const char *text, size_t len,
		const struct field *fields, void *out, struct err *err)
{
	__attribute__((cleanup(reader_fini_p))) struct reader r = { .file = file,
								    .err = err };
	CLEANUP(json_decref) json_t *o = NULL;
	const yaml_mark_t *at, start = { 0 };
	int n;

	if (len > YAML_BYTES_MAX)
		return err_set(err, ERR_INVALID_INPUT, NULL, 0,
			       "%s has %zu bytes; allowed are %zu", file, len,
			       YAML_BYTES_MAX);
	if (!yaml_parser_initialize(&r.parser))
		return err_set(err, ERR_UNAVAILABLE, NULL, ENOMEM, "%s", file);
	yaml_parser_set_encoding(&r.parser, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&r.parser, (const unsigned char *)text, len);
	n = expect(&r, YAML_STREAM_START_EVENT, "this is no YAML");
	if (n == 0)
		n = document(&r, &o);
	if (n < 0)
		return n;
	n = field_decode(fields, o, out, err);
	if (n < 0) {
		at = place_of(&r, err->stage);
		return put_place(err, file, at ? at : &start);
	}
	return 0;
}
