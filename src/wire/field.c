/* SPDX-License-Identifier: Apache-2.0 */

#include "field.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../base/macro.h"
#include "../base/num.h"
#include "json.h"

#define PATH_MAX_LEN 96 /* "limits.open_files"; longer keys are cut */
#define ENV_NAME_MAX 256
#define SHOWN_MAX 48 /* bytes of a caller's text that an error repeats */

static int decode_object(const struct field *fields, const json_t *object, void *out,
			 const char *prefix, struct err *err);

static bool is_line(const char *text, size_t len)
{
	const unsigned char *p = (const unsigned char *)text;

	for (size_t i = 0; i < len; i++)
		if (p[i] < 0x20 || p[i] == 0x7f ||
		    (p[i] == 0xc2 && i + 1 < len && p[i + 1] < 0xa0)) /* U+0080..9F */
			return false;
	return true;
}

const struct field_text field_text_line = {
	.ok = is_line,
	.allowed = "no control characters",
	.pattern = "^[^\\u0000-\\u001f\\u007f-\\u009f]*$",
};

static void *at_offset(void *out, size_t offset)
{
	return (char *)out + offset;
}

/* A caller's text for an error: cut, and without anything that moves a cursor. */
static const char *shown(const char *text, char buf[static SHOWN_MAX + 4])
{
	size_t n = 0;

	for (; n < SHOWN_MAX && text[n]; n++)
		buf[n] = text[n] >= 0x20 && text[n] < 0x7f ? text[n] : '?';
	(void)snprintf(buf + n, 4, "%s", text[n] ? "..." : "");
	return buf;
}

/* Number and boolean as they are; of the rest only the kind: it may be secret. */
static void add_value(struct buf *b, const json_t *v)
{
	switch (json_typeof(v)) {
	case JSON_INTEGER:
		buf_addf(b, "%" JSON_INTEGER_FORMAT, json_integer_value(v));
		break;
	case JSON_REAL:
		buf_addf(b, "%.17g", json_real_value(v));
		break;
	case JSON_TRUE:
		buf_adds(b, "true");
		break;
	case JSON_FALSE:
		buf_adds(b, "false");
		break;
	case JSON_NULL:
		buf_adds(b, "null");
		break;
	case JSON_STRING:
		buf_adds(b, "a string");
		break;
	case JSON_ARRAY:
		buf_adds(b, "an array");
		break;
	case JSON_OBJECT:
		buf_adds(b, "an object");
		break;
	}
}

static void add_choices(struct buf *b, const char *const *choices)
{
	for (size_t i = 0; choices[i]; i++)
		buf_addf(b, "%s%s", i > 0 ? ", " : "", choices[i]);
}

static void add_text_limits(struct buf *b, const struct field *f)
{
	if (f->min > 0)
		buf_addf(b, "%" PRIi64 " to ", f->min);
	else
		buf_adds(b, "at most ");
	buf_addf(b, "%" PRIu64 " bytes", f->max);
	if (f->text)
		buf_addf(b, ", %s", f->text->allowed);
}

/* What is allowed, for people. */
static void add_allowed(struct buf *b, const struct field *f)
{
	switch (f->type) {
	case FIELD_BOOL:
		buf_adds(b, "true or false");
		break;
	case FIELD_INT:
		buf_addf(b, "an integer from %" PRIi64 " to %" PRIi64, f->min,
			 (int64_t)f->max);
		break;
	case FIELD_UINT:
		buf_addf(b, "an integer from %" PRIi64 " to %" PRIu64, f->min, f->max);
		break;
	case FIELD_STRING:
		buf_adds(b, "a string of ");
		add_text_limits(b, f);
		break;
	case FIELD_ENUM:
		buf_adds(b, "one of ");
		add_choices(b, f->choices);
		break;
	case FIELD_STRINGS:
		buf_addf(b, "an array of %" PRIi64 " to %" PRIu64 " strings", f->min,
			 f->max);
		if (f->choices) {
			buf_adds(b, ", each one of ");
			add_choices(b, f->choices);
			break;
		}
		buf_addf(b, " of at most %zu bytes each", f->max_item);
		if (f->text)
			buf_addf(b, ", %s", f->text->allowed);
		break;
	case FIELD_ENV:
		buf_addf(b,
			 "an object of at most %" PRIu64
			 " names (letters, digits and _, no "
			 "digit first) with strings of at most %zu bytes",
			 f->max, f->max_item);
		break;
	case FIELD_OBJECT:
		buf_adds(b, "an object");
		break;
	case FIELD_CUSTOM:
		buf_adds(b, f->text->allowed);
		break;
	}
	if (f->nullable)
		buf_adds(b, ", or null");
}

/* "timeout_ms is 0; allowed: an integer from 1 to 86400000" */
static int refuse(const struct field *f, const char *path, const char *what,
		  struct err *err)
{
	CLEANUP(buf_fini) struct buf allowed = { 0 };

	add_allowed(&allowed, f);
	return err_set(err, ERR_INVALID_INPUT, path, 0, "%s %s; allowed: %s", path, what,
		       allowed.data && buf_ok(&allowed) ? allowed.data :
							  "see the manual");
}

static int refuse_value(const struct field *f, const char *path, const json_t *v,
			struct err *err)
{
	CLEANUP(buf_fini) struct buf what = { 0 };
	char buf[SHOWN_MAX + 4];

	buf_adds(&what, "is ");
	if (f->type == FIELD_ENUM && json_is_string(v))
		buf_addf(&what, "\"%s\"", shown(json_string_value(v), buf));
	else
		add_value(&what, v);
	return refuse(f, path, buf_ok(&what) ? what.data : "does not fit", err);
}

static int no_memory(const char *path, struct err *err)
{
	return err_set(err, ERR_INTERNAL, path, ENOMEM, "%s", path);
}

/* Also 30000.0, as long as a double can hold every integer of that size. */
static bool integer_of(const json_t *v, int64_t *ret)
{
	double d;

	if (json_is_integer(v)) {
		*ret = json_integer_value(v);
		return true;
	}
	if (!json_is_real(v))
		return false;
	d = json_real_value(v);
	if (!(d >= -9007199254740992.0 && d <= 9007199254740992.0) ||
	    d != (double)(int64_t)d)
		return false;
	*ret = (int64_t)d;
	return true;
}

static int decode_int(const struct field *f, const json_t *v, int64_t *ret,
		      const char *path, struct err *err)
{
	int64_t n;

	if (!integer_of(v, &n) || n < f->min || n > (int64_t)f->max)
		return refuse_value(f, path, v, err);
	*ret = n;
	return 0;
}

static int decode_uint(const struct field *f, const json_t *v, uint64_t *ret,
		       const char *path, struct err *err)
{
	int64_t n;

	if (!integer_of(v, &n) || n < 0 || n < f->min || (uint64_t)n > f->max)
		return refuse_value(f, path, v, err);
	*ret = (uint64_t)n;
	return 0;
}

/* The index of text in choices, or -1. */
static int choice_of(const char *const *choices, const char *text, size_t len)
{
	for (int i = 0; choices[i]; i++)
		if (strlen(choices[i]) == len && memcmp(choices[i], text, len) == 0)
			return i;
	return -1;
}

static int decode_enum(const struct field *f, const json_t *v, int *ret, const char *path,
		       struct err *err)
{
	int i;

	if (!json_is_string(v))
		return refuse_value(f, path, v, err);
	i = choice_of(f->choices, json_string_value(v), json_string_length(v));
	if (i < 0)
		return refuse_value(f, path, v, err);
	*ret = i;
	return 0;
}

static int refuse_length(const struct field *f, const char *path, size_t len,
			 struct err *err)
{
	char what[64];

	(void)snprintf(what, sizeof(what), "has %zu bytes", len);
	return refuse(f, path, what, err);
}

static int decode_string(const struct field *f, const json_t *v, char **ret,
			 const char *path, struct err *err)
{
	size_t len = json_string_length(v);
	const char *text = json_string_value(v);
	char *copy;

	if (!text)
		return refuse_value(f, path, v, err);
	if (len > f->max || (f->min > 0 && len < (size_t)f->min))
		return refuse_length(f, path, len, err);
	if (memchr(text, '\0', len))
		return refuse(f, path, "holds a NUL", err);
	if (f->text && !f->text->ok(text, len))
		return refuse(f, path, "does not have the right form", err);
	copy = strdup(text);
	if (!copy)
		return no_memory(path, err);
	*ret = copy;
	return 0;
}

static void strings_free(struct field_strings *s)
{
	for (size_t i = 0; i < s->n; i++)
		free(s->v[i]);
	free(s->v);
	s->v = NULL;
	s->n = 0;
}

static void strings_free_p(struct field_strings *s)
{
	strings_free(s);
}

static int strings_alloc(struct field_strings *s, size_t n, const char *path,
			 struct err *err)
{
	if (n == 0)
		return 0;
	s->v = calloc(n + 1, sizeof(*s->v));
	return s->v ? 0 : no_memory(path, err);
}

static int check_item(const struct field *f, const json_t *v, const char *path, size_t i,
		      struct err *err)
{
	size_t len = json_string_length(v);
	const char *text = json_string_value(v);
	char what[64];

	if (!text)
		(void)snprintf(what, sizeof(what), "has something else at [%zu]", i);
	else if (len > f->max_item)
		(void)snprintf(what, sizeof(what), "has %zu bytes at [%zu]", len, i);
	else if (memchr(text, '\0', len))
		(void)snprintf(what, sizeof(what), "holds a NUL at [%zu]", i);
	else if ((f->choices && choice_of(f->choices, text, len) < 0) ||
		 (f->text && !f->text->ok(text, len)))
		(void)snprintf(what, sizeof(what), "has the wrong form at [%zu]", i);
	else
		return 0;
	return refuse(f, path, what, err);
}

static int decode_strings(const struct field *f, const json_t *v,
			  struct field_strings *ret, const char *path, struct err *err)
{
	CLEANUP(strings_free) struct field_strings s = { 0 };
	size_t n = json_array_size(v);
	char what[64];
	int e;

	if (!json_is_array(v))
		return refuse_value(f, path, v, err);
	if (n > f->max || (f->min > 0 && n < (size_t)f->min)) {
		(void)snprintf(what, sizeof(what), "has %zu elements", n);
		return refuse(f, path, what, err);
	}
	e = strings_alloc(&s, n, path, err);
	for (size_t i = 0; e == 0 && i < n; i++) {
		const json_t *item = json_array_get(v, i);

		e = check_item(f, item, path, i, err);
		if (e < 0)
			return e;
		s.v[i] = strdup(json_string_value(item));
		if (!s.v[i])
			return no_memory(path, err);
		s.n = i + 1;
	}
	if (e < 0)
		return e;
	*ret = s;
	s = (struct field_strings){ 0 };
	return 0;
}

static bool is_env_name(const char *name)
{
	size_t n = strspn(
		name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_0123456789");

	return n > 0 && n <= ENV_NAME_MAX && name[n] == '\0' &&
	       !(name[0] >= '0' && name[0] <= '9');
}

static int check_env(const struct field *f, const char *name, const json_t *v,
		     const char *path, struct err *err)
{
	char buf[SHOWN_MAX + 4], what[SHOWN_MAX + 64];

	(void)shown(name, buf);
	if (!is_env_name(name))
		(void)snprintf(what, sizeof(what), "has the name \"%s\"", buf);
	else if (!json_is_string(v))
		(void)snprintf(what, sizeof(what), "has no string for \"%s\"", buf);
	else if (json_string_length(v) > f->max_item)
		(void)snprintf(what, sizeof(what), "has %zu bytes for \"%s\"",
			       json_string_length(v), buf);
	else if (memchr(json_string_value(v), '\0', json_string_length(v)))
		(void)snprintf(what, sizeof(what), "holds a NUL in \"%s\"", buf);
	else
		return 0;
	return refuse(f, path, what, err);
}

static int decode_env(const struct field *f, const json_t *v, struct field_strings *ret,
		      const char *path, struct err *err)
{
	CLEANUP(strings_free) struct field_strings s = { 0 };
	/* jansson's iterators take no const object, and change nothing. */
	json_t *object = (json_t *)(uintptr_t)v;
	size_t n = json_object_size(v);
	char what[64];
	int e;

	if (!json_is_object(v))
		return refuse_value(f, path, v, err);
	if (n > f->max) {
		(void)snprintf(what, sizeof(what), "has %zu names", n);
		return refuse(f, path, what, err);
	}
	e = strings_alloc(&s, n, path, err);
	for (void *it = json_object_iter(object); e == 0 && it;
	     it = json_object_iter_next(object, it)) {
		const char *name = json_object_iter_key(it);
		const json_t *value = json_object_iter_value(it);

		e = check_env(f, name, value, path, err);
		if (e < 0)
			return e;
		if (asprintf(&s.v[s.n], "%s=%s", name, json_string_value(value)) < 0) {
			s.v[s.n] = NULL;
			return no_memory(path, err);
		}
		s.n++;
	}
	if (e < 0)
		return e;
	*ret = s;
	s = (struct field_strings){ 0 };
	return 0;
}

static int decode_value(const struct field *f, const json_t *v, void *out,
			const char *path, struct err *err)
{
	void *at = at_offset(out, f->offset);

	switch (f->type) {
	case FIELD_BOOL:
		if (!json_is_boolean(v))
			return refuse_value(f, path, v, err);
		*(bool *)at = json_is_true(v);
		return 0;
	case FIELD_INT:
		return decode_int(f, v, at, path, err);
	case FIELD_UINT:
		return decode_uint(f, v, at, path, err);
	case FIELD_STRING:
		return decode_string(f, v, at, path, err);
	case FIELD_ENUM:
		return decode_enum(f, v, at, path, err);
	case FIELD_STRINGS:
		return decode_strings(f, v, at, path, err);
	case FIELD_ENV:
		return decode_env(f, v, at, path, err);
	case FIELD_OBJECT:
		if (!json_is_object(v))
			return refuse_value(f, path, v, err);
		return decode_object(f->fields, v, at, path, err);
	case FIELD_CUSTOM:
		return f->decode(v, at, path, err);
	}
	return err_set(err, ERR_INTERNAL, path, 0, "%s has an unknown type", path);
}

/* Without the parser where that is easy: every call decodes a dozen of these. */
static bool fast_default(const struct field *f, void *at)
{
	const char *d = f->fallback;

	if (f->type == FIELD_BOOL) {
		*(bool *)at = strcmp(d, "true") == 0;
		return true;
	}
	if (f->type == FIELD_INT)
		return num_parse_i64(d, f->min, (int64_t)f->max, at) == 0;
	if (f->type == FIELD_UINT)
		return num_parse_u64(d, 0, f->max, at) == 0;
	if (f->type == FIELD_ENUM && strlen(d) > 2) {
		*(int *)at = choice_of(f->choices, d + 1, strlen(d) - 2);
		return *(int *)at >= 0;
	}
	return false;
}

static int apply_default(const struct field *f, void *out, const char *path,
			 struct err *err)
{
	CLEANUP(json_decref) json_t *v = NULL;

	if (f->type == FIELD_OBJECT)
		return decode_object(f->fields, NULL, at_offset(out, f->offset), path,
				     err);
	if (!f->fallback || fast_default(f, at_offset(out, f->offset)))
		return 0;
	v = json_loads(f->fallback, JSON_DECODE_ANY, NULL);
	if (!v)
		return err_set(err, ERR_INTERNAL, path, 0, "%s has a bad default", path);
	return decode_value(f, v, out, path, err);
}

static const struct field *find_field(const struct field *fields, const char *name)
{
	for (const struct field *f = fields; f->name; f++)
		if (strcmp(f->name, name) == 0)
			return f;
	return NULL;
}

static void make_path(char path[static PATH_MAX_LEN], const char *prefix,
		      const char *name)
{
	size_t at = 0, n;

	/* By hand: it is made for every field of every call, and seldom read. */
	if (prefix) {
		at = MIN(strlen(prefix), (size_t)PATH_MAX_LEN - 2);
		memcpy(path, prefix, at);
		path[at++] = '.';
	}
	n = MIN(strlen(name), PATH_MAX_LEN - 1 - at);
	memcpy(path + at, name, n);
	path[at + n] = '\0';
}

static int refuse_unknown(const struct field *fields, const char *key, const char *prefix,
			  struct err *err)
{
	CLEANUP(buf_fini) struct buf names = { 0 };
	char path[PATH_MAX_LEN], buf[SHOWN_MAX + 4];

	for (const struct field *f = fields; f->name; f++)
		buf_addf(&names, "%s%s", f == fields ? "" : ", ", f->name);
	make_path(path, prefix, shown(key, buf));
	return err_set(err, ERR_INVALID_INPUT, path, 0, "%s is not known; allowed: %s",
		       path, names.data && buf_ok(&names) ? names.data : "nothing");
}

static int check_keys(const struct field *fields, const json_t *object,
		      const char *prefix, struct err *err)
{
	json_t *o = (json_t *)(uintptr_t)object; /* see decode_env() */

	for (void *it = json_object_iter(o); it; it = json_object_iter_next(o, it))
		if (!find_field(fields, json_object_iter_key(it)))
			return refuse_unknown(fields, json_object_iter_key(it), prefix,
					      err);
	return 0;
}

static int decode_field(const struct field *f, const json_t *object, void *out,
			const char *prefix, struct err *err)
{
	const json_t *v = json_object_get(object, f->name);
	char path[PATH_MAX_LEN];
	int e;

	make_path(path, prefix, f->name);
	/* A CUSTOM field that is nullable has a meaning of its own for null. */
	if (json_is_null(v) && f->type != FIELD_CUSTOM && f->nullable)
		return 0;
	if (json_is_null(v) && !f->nullable)
		v = NULL;
	if (!v && f->required)
		return refuse(f, path, "is missing", err);
	if (!v)
		return apply_default(f, out, path, err);
	e = decode_value(f, v, out, path, err);
	if (e == 0 && f->has_offset != FIELD_NO_HAS)
		*(bool *)at_offset(out, f->has_offset) = true;
	return e;
}

static int decode_object(const struct field *fields, const json_t *object, void *out,
			 const char *prefix, struct err *err)
{
	int e = object ? check_keys(fields, object, prefix, err) : 0;

	for (const struct field *f = fields; e == 0 && f->name; f++)
		e = decode_field(f, object, out, prefix, err);
	return e;
}

int field_decode(const struct field *fields, const json_t *object, void *out,
		 struct err *err)
{
	int e;

	if (object && !json_is_object(object))
		return err_set(err, ERR_INVALID_INPUT, NULL, 0,
			       "the parameters are no JSON object");
	e = decode_object(fields, object, out, NULL, err);
	if (e < 0)
		field_fini(fields, out);
	return e;
}

static void fini_field(const struct field *f, void *at)
{
	switch (f->type) {
	case FIELD_BOOL:
		*(bool *)at = false;
		break;
	case FIELD_INT:
	case FIELD_UINT:
		*(uint64_t *)at = 0;
		break;
	case FIELD_STRING:
		free(*(char **)at);
		*(char **)at = NULL;
		break;
	case FIELD_ENUM:
		*(int *)at = 0;
		break;
	case FIELD_STRINGS:
	case FIELD_ENV:
		strings_free(at);
		break;
	case FIELD_OBJECT:
		field_fini(f->fields, at);
		break;
	case FIELD_CUSTOM:
		if (f->fini)
			f->fini(at);
		break;
	}
}

void field_fini(const struct field *fields, void *out)
{
	for (const struct field *f = fields; f->name; f++) {
		fini_field(f, at_offset(out, f->offset));
		if (f->has_offset != FIELD_NO_HAS)
			*(bool *)at_offset(out, f->has_offset) = false;
	}
}

/*
 * jansson makes some 200 bytes of "{}", so the number of values is bounded before
 * it sees them. Only what stands outside of strings counts; that the text is JSON
 * at all is for the parser to say.
 */
static int check_bounds(const char *text, size_t len, struct err *err)
{
	size_t depth = 0, values = 1, containers = 0;
	bool in_string = false;

	/* jansson 2.14 skips one that follows a number. */
	if (memchr(text, '\0', len))
		return err_set(err, ERR_INVALID_INPUT, NULL, 0,
			       "the JSON holds a NUL byte");
	for (size_t i = 0; i < len; i++) {
		char c = text[i];

		if (in_string) {
			if (c == '\\')
				i++;
			else if (c == '"')
				in_string = false;
			continue;
		}
		if (c == '"')
			in_string = true;
		else if (c == ',')
			values++;
		else if (c == '{' || c == '[')
			containers++, depth++;
		else if ((c == '}' || c == ']') && depth > 0)
			depth--;
		if (depth > FIELD_DEPTH_MAX)
			return err_set(err, ERR_INVALID_INPUT, NULL, 0,
				       "the JSON is nested more than %d deep",
				       FIELD_DEPTH_MAX);
	}
	if (values + containers > FIELD_VALUES_MAX || containers > FIELD_CONTAINERS_MAX)
		return err_set(
			err, ERR_INVALID_INPUT, NULL, 0,
			"the JSON has too many values: at most %zu, and %zu of them "
			"arrays or objects",
			FIELD_VALUES_MAX, FIELD_CONTAINERS_MAX);
	return 0;
}

int field_parse(const char *text, size_t len, json_t **ret, struct err *err)
{
	CLEANUP(json_decref) json_t *j = NULL;
	json_error_t je = { 0 };
	char *near;
	int e;

	e = check_bounds(text, len, err);
	if (e < 0)
		return e;
	/* A NUL is left to field_decode(), which can say in which field it is. */
	j = json_loadb(text, len, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &je);
	if (!j && json_error_code(&je) == json_error_out_of_memory)
		return err_set(err, ERR_INTERNAL, NULL, ENOMEM, "JSON");
	if (!j) {
		near = strstr(je.text, " near "); /* what follows may be a secret */
		if (near)
			*near = '\0';
		return err_set(err, ERR_INVALID_INPUT, NULL, 0, "bad JSON at byte %d: %s",
			       je.position, je.text);
	}
	if (!json_is_object(j))
		return err_set(err, ERR_INVALID_INPUT, NULL, 0, "the JSON is no object");
	*ret = TAKE_PTR(j);
	return 0;
}
