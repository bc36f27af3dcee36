/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * out - tables and JSON on standard output
 *
 * Whatever other people chose (labels, command lines) is printed without control
 * characters, so that no process can drive the terminal of who lists it.
 */

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "../base/buf.h"

/* text without control characters (C0, DEL, C1, and what is no UTF-8), each as '?'. */
void out_clean(struct buf *ret, const char *text);

/* Columns on a terminal that UTF-8 text takes, roughly: one per character. */
size_t out_width(const char *text);

#define OUT_COLUMNS_MAX 12

enum out_align { OUT_LEFT, OUT_RIGHT, OUT_REST }; /* OUT_REST: may be cut to fit */

struct out_column {
	const char *name;
	enum out_align align;
};

struct out_table;

struct out_table *out_table_new(const struct out_column *columns, size_t n);
void out_cell(struct out_table *t, const char *text); /* from left to right, row by row */
void out_cell_number(struct out_table *t, long long v); /* "-" if below 0 */
void out_cell_bytes(struct out_table *t, long long v);	/* 4.2M */
void out_cell_ms(struct out_table *t, long long v);	/* 1.5s, 3m, 2h */

/* Prints it, with libsmartcols on a terminal, and frees it. */
void out_table_print(struct out_table *t);

/* Indented on a terminal, else on one line. */
void out_json(const json_t *value);

/* "4.2M", "1.5s": for people. Return buf. */
#define OUT_SHORT 24
char *out_bytes(long long v, char buf[static OUT_SHORT]);
char *out_ms(long long v, char buf[static OUT_SHORT]);

/*
 * Flushes stdout. 0, or the exit status: 128 + SIGPIPE if the reader has gone, and
 * a message and 74 (EX_IOERR) if it could not be written.
 */
int out_end(void);
