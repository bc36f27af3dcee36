/* SPDX-License-Identifier: Apache-2.0 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../../src/base/cleanup.h"
#include "../../src/wire/base64.h"
#include "../../src/wire/field.h"
#include "../../src/wire/json.h"

struct inner {
	uint64_t depth;
};

struct thing {
	bool flag;
	int64_t level;
	uint64_t count;
	bool has_count;
	uint64_t limit;
	char *name;
	int colour;
	struct field_strings tags;
	struct field_strings env;
	bool has_inner;
	struct inner inner;
	int custom;
};

static int custom_decode(const json_t *v, void *at, const char *path, struct err *err)
{
	if (!json_is_integer(v))
		return err_set(err, ERR_INVALID_INPUT, path, 0, "%s is no number", path);
	*(int *)at = (int)json_integer_value(v) * 2;
	return 0;
}

static const char *const colours[] = { "red", "green", NULL };

static const struct field inner_fields[] = {
	{ .name = "depth",
	  .type = FIELD_UINT,
	  .offset = offsetof(struct inner, depth),
	  .has_offset = FIELD_NO_HAS,
	  .max = 9,
	  .fallback = "3",
	  .audience = FIELD_MODEL,
	  .doc = "Depth." },
	FIELD_END,
};

static const struct field_text custom_text = { .allowed = "a number" };

#define IN(member) .offset = offsetof(struct thing, member)
#define NO_HAS .has_offset = FIELD_NO_HAS, .audience = FIELD_MODEL, .doc = "Doc."

static const struct field fields[] = {
	{ .name = "flag", .type = FIELD_BOOL, IN(flag), .fallback = "true", NO_HAS },
	{ .name = "level", .type = FIELD_INT, IN(level), .min = -5, .max = 5, NO_HAS },
	{ .name = "count",
	  .type = FIELD_UINT,
	  IN(count),
	  .has_offset = offsetof(struct thing, has_count),
	  .min = 1,
	  .max = 100,
	  .fallback = "7",
	  .audience = FIELD_CLIENT,
	  .doc = "Count." },
	{ .name = "limit",
	  .type = FIELD_UINT,
	  IN(limit),
	  .max = 1000,
	  .nullable = true,
	  .fallback = "30",
	  NO_HAS },
	{ .name = "name",
	  .type = FIELD_STRING,
	  IN(name),
	  .min = 1,
	  .max = 8,
	  .text = &field_text_line,
	  NO_HAS },
	{ .name = "colour",
	  .type = FIELD_ENUM,
	  IN(colour),
	  .choices = colours,
	  .fallback = "\"green\"",
	  NO_HAS },
	{ .name = "tags",
	  .type = FIELD_STRINGS,
	  IN(tags),
	  .min = 1,
	  .max = 3,
	  .max_item = 4,
	  .fallback = "[\"d\"]",
	  NO_HAS },
	{ .name = "env", .type = FIELD_ENV, IN(env), .max = 2, .max_item = 6, NO_HAS },
	{ .name = "inner",
	  .type = FIELD_OBJECT,
	  IN(inner),
	  .has_offset = offsetof(struct thing, has_inner),
	  .fields = inner_fields,
	  .audience = FIELD_MODEL,
	  .doc = "Inner." },
	{ .name = "custom",
	  .type = FIELD_CUSTOM,
	  IN(custom),
	  .decode = custom_decode,
	  .text = &custom_text,
	  .schema = "{\"type\": \"integer\"}",
	  NO_HAS },
	FIELD_END,
};

static int decode(const char *text, size_t len, struct thing *t, struct err *err)
{
	CLEANUP(json_decref) json_t *j = NULL;
	int e = field_parse(text, len, &j, err);

	return e < 0 ? e : field_decode(fields, j, t, err);
}

static void test_decodes_what_it_is_given(void **state)
{
	static const char text[] = "{\"flag\": false, \"level\": -5, \"count\": 100, "
				   "\"limit\": 5.0, \"name\": "
				   "\"n\\u00e4me\", \"colour\": \"red\", \"tags\": "
				   "[\"a\", \"bb\"], \"env\": "
				   "{\"A\": \"1\", \"_b2\": \"\"}, \"inner\": "
				   "{\"depth\": 9}, \"custom\": 21}";
	struct thing t = { 0 };
	struct err err = { 0 };

	(void)state;
	assert_int_equal(decode(text, strlen(text), &t, &err), 0);
	assert_false(t.flag);
	assert_int_equal(t.level, -5);
	assert_int_equal(t.count, 100);
	assert_true(t.has_count);
	assert_int_equal(t.limit, 5);
	assert_string_equal(t.name, "n\xc3\xa4me");
	assert_int_equal(t.colour, 0);
	assert_int_equal(t.tags.n, 2);
	assert_string_equal(t.tags.v[1], "bb");
	assert_null(t.tags.v[2]);
	assert_int_equal(t.env.n, 2);
	assert_string_equal(t.env.v[0], "A=1");
	assert_string_equal(t.env.v[1], "_b2=");
	assert_null(t.env.v[2]);
	assert_true(t.has_inner);
	assert_int_equal(t.inner.depth, 9);
	assert_int_equal(t.custom, 42);
	assert_int_equal(err.code, 0);
	field_fini(fields, &t);
	assert_null(t.name);
	assert_null(t.tags.v);
	assert_false(t.has_inner);
	field_fini(fields, &t);
}

static void check_defaults(const struct thing *t)
{
	assert_true(t->flag);
	assert_int_equal(t->count, 7);
	assert_false(t->has_count);
	assert_null(t->name);
	assert_int_equal(t->colour, 1);
	assert_int_equal(t->tags.n, 1);
	assert_string_equal(t->tags.v[0], "d");
	assert_null(t->env.v);
	assert_false(t->has_inner);
	assert_int_equal(t->inner.depth, 3);
}

static void test_fills_in_defaults_and_tells_them_from_wishes(void **state)
{
	static const char nulls[] = "{\"flag\": null, \"count\": null, \"limit\": null, "
				    "\"name\": null, \"tags\": null, \"inner\": null}";
	struct thing t = { 0 };

	(void)state;
	assert_int_equal(field_decode(fields, NULL, &t, NULL), 0);
	check_defaults(&t);
	assert_int_equal(t.limit, 30);
	field_fini(fields, &t);

	assert_int_equal(decode(nulls, strlen(nulls), &t, NULL), 0);
	check_defaults(&t);
	assert_int_equal(t.limit, 0); /* where null is allowed it means none */
	field_fini(fields, &t);
}

/* text is refused, with this field and this part of the message. */
static void refused(const char *text, const char *stage, const char *part)
{
	struct thing t = { 0 }, zero = { 0 };
	struct err err = { 0 };

	if (decode(text, strlen(text), &t, &err) != -ERR_INVALID_INPUT)
		fail_msg("%s was not refused", text);
	assert_int_equal(err.code, ERR_INVALID_INPUT);
	assert_string_equal(err.stage, stage);
	if (!strstr(err.msg, part))
		fail_msg("%s: \"%s\" does not say \"%s\"", text, err.msg, part);
	assert_memory_equal(&t, &zero, sizeof(t));
}

static void test_refuses_and_names_field_value_and_what_is_allowed(void **state)
{
	(void)state;
	refused("{\"what\": 1}", "what", "flag, level, count");
	refused("{\"inner\": {\"width\": 1}}", "inner.width", "allowed: depth");
	refused("{\"flag\": 1}", "flag", "is 1; allowed: true or false");
	refused("{\"level\": -6}", "level", "is -6; allowed: an integer from -5 to 5");
	refused("{\"level\": 6}", "level", "is 6");
	refused("{\"level\": 1.5}", "level", "is 1.5");
	refused("{\"count\": 0}", "count", "is 0; allowed: an integer from 1 to 100");
	refused("{\"count\": 101}", "count", "is 101");
	refused("{\"count\": -1}", "count", "is -1");
	refused("{\"count\": 1e300}", "count", "is 1.0000000000000001e+300");
	refused("{\"count\": \"5\"}", "count", "is a string");
	refused("{\"count\": true}", "count", "is true");
	refused("{\"name\": \"\"}", "name",
		"has 0 bytes; allowed: a string of 1 to 8 bytes");
	refused("{\"name\": \"123456789\"}", "name", "has 9 bytes");
	refused("{\"name\": \"a\\u0000b\"}", "name", "holds a NUL");
	refused("{\"name\": \"a\\u001bb\"}", "name", "no control characters");
	refused("{\"name\": \"a\\u0085b\"}", "name", "no control characters");
	refused("{\"name\": [1]}", "name", "is an array");
	refused("{\"colour\": \"blue\"}", "colour",
		"is \"blue\"; allowed: one of red, green");
	refused("{\"colour\": \"re\"}", "colour", "is \"re\"");
	refused("{\"colour\": \"red\\u0000\"}", "colour", "allowed");
	refused("{\"colour\": 0}", "colour", "is 0");
	refused("{\"tags\": []}", "tags", "has 0 elements; allowed: an array of 1 to 3");
	refused("{\"tags\": [\"a\", \"b\", \"c\", \"d\"]}", "tags", "has 4 elements");
	refused("{\"tags\": [\"a\", \"12345\"]}", "tags", "has 5 bytes at [1]");
	refused("{\"tags\": [\"a\", 2]}", "tags", "at [1]");
	refused("{\"tags\": [\"a\", \"\\u0000\"]}", "tags", "NUL at [1]");
	refused("{\"tags\": \"a\"}", "tags", "is a string");
	refused("{\"env\": {\"A\": \"1\", \"B\": \"2\", \"C\": \"3\"}}", "env",
		"has 3 names");
	refused("{\"env\": {\"A=B\": \"1\"}}", "env", "has the name \"A=B\"");
	refused("{\"env\": {\"2A\": \"1\"}}", "env", "has the name \"2A\"");
	refused("{\"env\": {\"\": \"1\"}}", "env", "has the name");
	refused("{\"env\": {\"A\": 1}}", "env", "has no string for \"A\"");
	refused("{\"env\": {\"A\": \"1234567\"}}", "env", "has 7 bytes for \"A\"");
	refused("{\"env\": {\"A\": \"\\u0000\"}}", "env", "NUL in \"A\"");
	refused("{\"env\": []}", "env", "is an array");
	refused("{\"inner\": {\"depth\": 10}}", "inner.depth", "is 10");
	refused("{\"inner\": 5}", "inner", "is 5");
	refused("{\"custom\": \"x\"}", "custom", "is no number");
	/* Things decoded before the bad one are released again. */
	refused("{\"name\": \"n\", \"tags\": [\"a\"], \"env\": {\"A\": \"\"}, "
		"\"custom\": []}",
		"custom", "is no number");
}

static void test_errors_repeat_no_free_text_and_no_control_characters(void **state)
{
	struct thing t = { 0 };
	struct err err = { 0 };

	(void)state;
	assert_int_equal(decode("{\"name\": \"hunter2hunter2\"}", 26, &t, &err),
			 -ERR_INVALID_INPUT);
	assert_null(strstr(err.msg, "hunter2"));
	assert_int_equal(decode("{\"env\": {\"A\": \"hunter2hunter2\"}}", 32, &t, &err),
			 -ERR_INVALID_INPUT);
	assert_null(strstr(err.msg, "hunter2"));
	assert_int_equal(decode("{\"\\u001b[2J\": 1}", 16, &t, &err), -ERR_INVALID_INPUT);
	assert_null(strchr(err.msg, '\x1b'));
	assert_int_equal(decode("{\"a\": hunter2}", 14, &t, &err), -ERR_INVALID_INPUT);
	assert_null(strstr(err.msg, "hunter2"));
}

static void test_a_missing_required_field_is_named(void **state)
{
	static const struct field required[] = {
		{ .name = "id",
		  .type = FIELD_STRING,
		  .has_offset = FIELD_NO_HAS,
		  .required = true,
		  .max = 8,
		  .doc = "Id." },
		FIELD_END,
	};
	CLEANUP(json_decref) json_t *null_id = json_pack("{s:n}", "id");
	struct err err = { 0 };
	char *id = NULL;

	(void)state;
	assert_int_equal(field_decode(required, NULL, &id, &err), -ERR_INVALID_INPUT);
	assert_string_equal(err.stage, "id");
	assert_non_null(strstr(err.msg, "id is missing"));
	assert_int_equal(field_decode(required, null_id, &id, &err), -ERR_INVALID_INPUT);
	assert_null(id);
}

static void test_a_name_too_long_to_show_is_cut(void **state)
{
	static const char name[] =
		"a123456789b123456789c123456789d123456789e123456789f123456789"
		"g123456789h123456789i123456789j123456789k123456789";
	static const struct field inner[] = {
		{ .name = name,
		  .type = FIELD_STRING,
		  .has_offset = FIELD_NO_HAS,
		  .required = true,
		  .max = 8,
		  .doc = "Long." },
		FIELD_END,
	};
	const struct field outer[][2] = {
		{ { .name = name + 25,
		    .type = FIELD_OBJECT,
		    .has_offset = FIELD_NO_HAS,
		    .fields = inner,
		    .doc = "Object." },
		  FIELD_END },
		{ { .name = name,
		    .type = FIELD_OBJECT,
		    .has_offset = FIELD_NO_HAS,
		    .fields = inner,
		    .doc = "Object." },
		  FIELD_END },
	};
	struct err err = { 0 };
	char *text = NULL;

	(void)state;
	assert_int_equal(field_decode(inner, NULL, &text, &err), -ERR_INVALID_INPUT);
	assert_memory_equal(err.msg, name, 95);
	assert_string_equal(err.msg + 95,
			    " is missing; allowed: a string of at most 8 bytes");
	assert_int_equal(field_decode(outer[0], NULL, &text, &err), -ERR_INVALID_INPUT);
	assert_memory_equal(err.msg, name + 25, 85);
	assert_string_equal(
		err.msg + 85,
		".a12345678 is missing; allowed: a string of at most 8 bytes");
	assert_int_equal(field_decode(outer[1], NULL, &text, &err), -ERR_INVALID_INPUT);
	assert_memory_equal(err.msg, name, 94);
	assert_string_equal(err.msg + 94,
			    ". is missing; allowed: a string of at most 8 bytes");
}

static void parse_refused(const char *text, size_t len)
{
	json_t *j = (json_t *)1;
	struct err err = { 0 };

	if (field_parse(text, len, &j, &err) != -ERR_INVALID_INPUT)
		fail_msg("%.40s was not refused", text);
	assert_ptr_equal(j, (json_t *)1); /* untouched on failure */
	assert_int_equal(err.code, ERR_INVALID_INPUT);
	assert_true(err.msg[0] != '\0');
}

static void test_parses_strictly(void **state)
{
	static const char *const bad[] = {
		"",
		" ",
		"{",
		"{}{}",
		"{} x",
		"[]",
		"1",
		"null",
		"\"a\"",
		"{\"a\": 1, \"a\": 2}",
		"{'a': 1}",
		"{\"a\": 01}",
		"{\"a\": NaN}",
		"{\"a\"}",
		"{\"a\": \"\xff\"}",
		"{\"a\": \"\xc0\x80\"}",
		"{\"a\": \"\xed\xa0\x80\"}",
		"{\"a\": \"\\ud800\"}",
		"{\"a\": 99999999999999999999}",
		"{\"a\\u0000b\": 1}",
		"{\"a\": 1,}",
	};
	CLEANUP(json_decref) json_t *j = NULL;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		parse_refused(bad[i], strlen(bad[i]));
	parse_refused("{\"a\": 1\0}", 9);
	assert_int_equal(field_parse(" {\"a\": [\"}\\\"{\"]} ", 17, &j, NULL), 0);
	assert_int_equal(json_array_size(json_object_get(j, "a")), 1);
}

static void nested(struct buf *b, int depth)
{
	buf_adds(b, "{\"a\":");
	for (int i = 1; i < depth; i++)
		buf_adds(b, "[");
	for (int i = 1; i < depth; i++)
		buf_adds(b, "]");
	buf_adds(b, depth > 1 ? "}" : "1}");
}

static void test_bounds_depth_and_number_of_values(void **state)
{
	CLEANUP(buf_fini) struct buf deep = { 0 };
	CLEANUP(buf_fini) struct buf deeper = { 0 };
	CLEANUP(buf_fini) struct buf many = { 0 };
	CLEANUP(buf_fini) struct buf objects = { 0 };
	CLEANUP(json_decref) json_t *j = NULL;

	(void)state;
	nested(&deep, FIELD_DEPTH_MAX);
	nested(&deeper, FIELD_DEPTH_MAX + 1);
	assert_int_equal(field_parse(deep.data, deep.len, &j, NULL), 0);
	parse_refused(deeper.data, deeper.len);

	buf_adds(&many, "{\"a\":[0");
	for (size_t i = 0; i < FIELD_VALUES_MAX; i++)
		buf_adds(&many, ",0");
	buf_adds(&many, "]}");
	parse_refused(many.data, many.len);

	buf_adds(&objects, "{\"a\":[{}");
	for (size_t i = 0; i < FIELD_CONTAINERS_MAX; i++)
		buf_adds(&objects, ",{}");
	buf_adds(&objects, "]}");
	parse_refused(objects.data, objects.len);
}

static json_t *property(const json_t *schema, const char *name)
{
	return json_object_get(json_object_get(schema, "properties"), name);
}

static void test_schema_says_what_the_decoder_does(void **state)
{
	CLEANUP(json_decref)
	json_t *all = field_schema(fields, FIELD_MODEL | FIELD_CLIENT);
	CLEANUP(json_decref) json_t *model = field_schema(fields, FIELD_MODEL);
	json_t *p;

	(void)state;
	assert_non_null(all);
	assert_non_null(model);
	assert_true(json_is_false(json_object_get(all, "additionalProperties")));
	assert_int_equal(json_object_size(json_object_get(all, "properties")), 10);
	assert_int_equal(json_object_size(json_object_get(model, "properties")), 9);
	assert_null(property(model, "count")); /* not for models */
	p = property(all, "count");
	assert_int_equal(json_integer_value(json_object_get(p, "minimum")), 1);
	assert_int_equal(json_integer_value(json_object_get(p, "maximum")), 100);
	assert_int_equal(json_integer_value(json_object_get(p, "default")), 7);
	assert_string_equal(json_string_value(json_object_get(p, "description")),
			    "Count.");
	p = property(all, "limit");
	assert_string_equal(
		json_string_value(json_array_get(json_object_get(p, "type"), 1)), "null");
	p = property(all, "colour");
	assert_int_equal(json_array_size(json_object_get(p, "enum")), 2);
	p = property(property(all, "inner"), "depth");
	assert_int_equal(json_integer_value(json_object_get(p, "maximum")), 9);
}

static void test_base64_has_one_spelling(void **state)
{
	static const char *const bad[] = { "a",	   "ab",     "abc",  "====",	 "a===",
					   "YQ=",  "YR==",   "YWJ=", "YQ==YQ==", "Y Q=",
					   "YQ-_", "YWI=\n", "=YQ=", "Y=Q=" };
	unsigned char data[67], *back;
	size_t n;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		if (base64_decode(bad[i], strlen(bad[i]), &back, &n) != -EINVAL)
			fail_msg("\"%s\" was not refused", bad[i]);
	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (unsigned char)(i * 37 + 250);
	for (size_t len = 0; len <= sizeof(data); len++) {
		CLEANUP(buf_fini) struct buf text = { 0 };

		base64_encode(&text, data, len);
		assert_int_equal(text.len, (len + 2) / 3 * 4);
		assert_int_equal(base64_decode(text.data, text.len, &back, &n), 0);
		assert_int_equal(n, len);
		assert_memory_equal(back, data, len);
		free(back);
	}
	assert_int_equal(base64_decode("+/+/", 4, &back, &n), 0);
	assert_memory_equal(back, "\xfb\xff\xbf", 3);
	free(back);
}

/* Fails the n-th allocation of jansson, then of nothing: no leak (ASan), no crash. */
static long allocations_left;

static void *failing_malloc(size_t n)
{
	return allocations_left-- > 0 ? malloc(n) : NULL;
}

static void test_survives_every_failed_allocation_of_the_parser(void **state)
{
	static const char text[] = "{\"name\": \"n\", \"tags\": [\"a\"], \"inner\": {}}";
	struct thing t = { 0 };
	struct err err = { 0 };
	int e = -1;

	(void)state;
	json_set_alloc_funcs(failing_malloc, free);
	for (long n = 0; e != 0 && n < 1000; n++) {
		allocations_left = n;
		e = decode(text, strlen(text), &t, &err);
		if (e != 0)
			assert_null(t.name);
	}
	json_set_alloc_funcs(malloc, free);
	assert_int_equal(e, 0);
	assert_string_equal(t.name, "n");
	field_fini(fields, &t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_decodes_what_it_is_given),
		cmocka_unit_test(test_fills_in_defaults_and_tells_them_from_wishes),
		cmocka_unit_test(test_refuses_and_names_field_value_and_what_is_allowed),
		cmocka_unit_test(
			test_errors_repeat_no_free_text_and_no_control_characters),
		cmocka_unit_test(test_a_missing_required_field_is_named),
		cmocka_unit_test(test_a_name_too_long_to_show_is_cut),
		cmocka_unit_test(test_parses_strictly),
		cmocka_unit_test(test_bounds_depth_and_number_of_values),
		cmocka_unit_test(test_schema_says_what_the_decoder_does),
		cmocka_unit_test(test_base64_has_one_spelling),
		cmocka_unit_test(test_survives_every_failed_allocation_of_the_parser),
	};

	return cmocka_run_group_tests_name("field", tests, NULL, NULL);
}
