/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * yaml - files that people write, into structs, by the tables of wire/field.h
 *
 * The part of YAML 1.2 that says the same as JSON: one document, mappings,
 * sequences, scalars of the core schema (null, true, false, decimal and 0x
 * integers, decimal fractions, all else text). Anchors, aliases, tags, merge keys,
 * duplicate keys and a second document are refused: nothing in such a file is to
 * mean more than it shows. An error begins with "FILE:LINE:COLUMN: ", counted from
 * 1, the column in characters.
 */

#include <stddef.h>

#include "../base/err.h"
#include "../wire/field.h"

#define YAML_BYTES_MAX ((size_t)256 << 10)
#define YAML_DEPTH_MAX 16
#define YAML_VALUES_MAX 16384u

/* As field_decode(). file is for errors only. An empty text is an empty mapping. */
int yaml_decode(const char *file, const char *text, size_t len,
		const struct field *fields, void *out, struct err *err);
