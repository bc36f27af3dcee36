/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * field - JSON objects to and from structs, by tables
 *
 * One table per object says name, type, limits, default, documentation and
 * audience of every key. The decoder refuses what the table does not name: an
 * unknown key, a duplicate, a wrong type, a number out of range, text that is
 * too long, holds a NUL or is no UTF-8. An error names field, value and what is
 * allowed (err.stage holds the field's name, "limits.open_files" in a nested
 * one); the value only where it cannot be a secret: not of free texts. From the
 * same tables come JSON Schemas, help, the manual and the corpus.
 *
 * A key that is null counts as not given, except where `nullable` says that it
 * means "none". A number such as 30000.0 is an integer, as in JSON Schema.
 */

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../base/buf.h"
#include "../base/err.h"

enum field_type {
	FIELD_BOOL,    /* bool */
	FIELD_INT,     /* int64_t; min..max */
	FIELD_UINT,    /* uint64_t; min..max */
	FIELD_STRING,  /* char *; max = bytes */
	FIELD_ENUM,    /* int, the index into choices */
	FIELD_STRINGS, /* struct field_strings; max = number, max_item = bytes */
	FIELD_ENV,     /* struct field_strings of "NAME=value", from a JSON object */
	FIELD_OBJECT,  /* an embedded struct with its own table */
	FIELD_CUSTOM,  /* decode() and a schema text */
};

enum field_audience { FIELD_MODEL = 1, FIELD_CLIENT = 2, FIELD_ADMIN = 4 };

struct field_strings {
	char **v; /* NULL-terminated; NULL if n == 0 */
	size_t n;
};

/* What a string must look like. NULL in a field: any text without a NUL. */
struct field_text {
	bool (*ok)(const char *text, size_t len);
	const char *allowed; /* for people: "32 hexadecimal digits" */
	const char *pattern; /* the same as a JSON Schema pattern */
};

extern const struct field_text field_text_line; /* no control characters */

struct field {
	const char *name;
	enum field_type type;
	size_t offset;	   /* in the struct */
	size_t has_offset; /* of a bool "was given"; SIZE_MAX = none */
	bool required;
	bool nullable; /* null = zero and not given, instead of the default */
	int64_t min;   /* of numbers; bytes of a string; number of strings */
	uint64_t max;
	size_t max_item;
	const struct field_text *text; /* FIELD_STRING; each one of FIELD_STRINGS; of
					* FIELD_CUSTOM only its `allowed`, for people */
	const char *fallback;	       /* default as JSON text, NULL = zero or absent */
	const char *const
		*choices; /* FIELD_ENUM, each one of FIELD_STRINGS; NULL-terminated */
	const struct field *fields; /* FIELD_OBJECT */
	int (*decode)(const json_t *value, void *at, const char *path, struct err *err);
	void (*fini)(void *at);	  /* FIELD_CUSTOM that owns something */
	const char *schema;	  /* FIELD_CUSTOM: a JSON Schema text */
	const char *model_schema; /* a narrower one for models, or NULL */
	bool model_required;	  /* models are told that it is required */
	unsigned int audience;	  /* of enum field_audience */
	const char *doc;
};

#define FIELD_END                                                                        \
	{                                                                                \
		.name = NULL                                                             \
	}
#define FIELD_NO_HAS SIZE_MAX

/*
 * Decodes a JSON object (NULL or an absent one counts as {}) into *out, which
 * the caller has zeroed. Defaults are filled in. On failure *out is fini'ed and
 * zero where it was filled.
 */
int field_decode(const struct field *fields, const json_t *object, void *out,
		 struct err *err);

/* Frees every string that the tables own. Accepts a zeroed struct. */
void field_fini(const struct field *fields, void *out);

/* A JSON Schema (2020-12) object of the fields for that audience. New reference. */
json_t *field_schema(const struct field *fields, unsigned int audience);

/*
 * Parses JSON text strictly: one value, an object, no duplicate keys, at most
 * FIELD_DEPTH_MAX deep, and bounded in the number of values, so that a frame
 * cannot be made to cost a hundred times its size.
 */
#define FIELD_DEPTH_MAX 16
#define FIELD_VALUES_MAX ((size_t)1 << 18)
#define FIELD_CONTAINERS_MAX ((size_t)1 << 15)
int field_parse(const char *text, size_t len, json_t **ret, struct err *err);
