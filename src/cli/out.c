/* SPDX-License-Identifier: Apache-2.0 */

#include "out.h"

#include <errno.h>
#include <libsmartcols/libsmartcols.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../base/cleanup.h"
#include "../client/text.h"
#include "cli.h"

#define EXIT_IO 74 /* EX_IOERR, sysexits.h */

struct out_table {
	const struct out_column *columns;
	size_t n_columns;
	char **cells;
	size_t n_cells, cap;
};

/* Bytes of the character at p, or 0 if it is none or must not reach a terminal. */
static size_t printable(const unsigned char *p)
{
	size_t len = p[0] < 0x80 ? 1 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;

	if (p[0] < 0x20 || p[0] == 0x7f || strnlen((const char *)p, len) < len)
		return 0;
	if (!text_is_utf8(p, len) || (p[0] == 0xc2 && p[1] < 0xa0))
		return 0;
	/* U+200E, U+200F, U+202A..U+202E, U+2066..U+2069 turn the text around. */
	if (p[0] == 0xe2 && p[1] == 0x80 &&
	    (p[2] == 0x8e || p[2] == 0x8f || (p[2] >= 0xaa && p[2] <= 0xae)))
		return 0;
	if (p[0] == 0xe2 && p[1] == 0x81 && p[2] >= 0xa6 && p[2] <= 0xa9)
		return 0;
	return len;
}

void out_clean(struct buf *ret, const char *text)
{
	const unsigned char *p = (const unsigned char *)text;

	while (*p) {
		size_t n = printable(p);

		if (n == 0) {
			buf_adds(ret, *p == '\n' || *p == '\t' ? " " : "?");
			p++;
			continue;
		}
		buf_add(ret, p, n);
		p += n;
	}
}

size_t out_width(const char *text)
{
	size_t n = 0;

	for (; *text; text++)
		n += ((unsigned char)*text & 0xc0) != 0x80;
	return n;
}

struct out_table *out_table_new(const struct out_column *columns, size_t n)
{
	struct out_table *t = cli_need_memory(calloc(1, sizeof(*t)));

	t->columns = columns;
	t->n_columns = n;
	return t;
}

void out_cell(struct out_table *t, const char *text)
{
	struct buf b = { 0 };

	if (t->n_cells == t->cap) {
		t->cap = t->cap ? t->cap * 2 : 64;
		t->cells = cli_need_memory(
			reallocarray(t->cells, t->cap, sizeof(t->cells[0])));
	}
	out_clean(&b, *text ? text : "-");
	t->cells[t->n_cells++] = cli_need_memory(buf_take(&b));
}

void out_cell_number(struct out_table *t, long long v)
{
	char text[32] = "-";

	if (v >= 0)
		(void)snprintf(text, sizeof(text), "%lld", v);
	out_cell(t, text);
}

char *out_bytes(long long v, char buf[static OUT_SHORT])
{
	static const char units[] = "BKMGTPE";
	double d = (double)v;
	size_t u = 0;

	if (v < 0) {
		(void)snprintf(buf, OUT_SHORT, "-");
		return buf;
	}
	while (d >= 1024 && u < sizeof(units) - 2) {
		d /= 1024;
		u++;
	}
	(void)snprintf(buf, OUT_SHORT, u == 0 || d >= 100 ? "%.0f%c" : "%.1f%c", d,
		       units[u]);
	return buf;
}

char *out_ms(long long v, char buf[static OUT_SHORT])
{
	if (v < 0)
		(void)snprintf(buf, OUT_SHORT, "-");
	else if (v < 1000)
		(void)snprintf(buf, OUT_SHORT, "%lldms", v);
	else if (v < 60000)
		(void)snprintf(buf, OUT_SHORT, "%lld.%llds", v / 1000, v % 1000 / 100);
	else if (v < 3600000)
		(void)snprintf(buf, OUT_SHORT, "%lldm%02llds", v / 60000, v / 1000 % 60);
	else
		(void)snprintf(buf, OUT_SHORT, "%lldh%02lldm", v / 3600000,
			       v / 60000 % 60);
	return buf;
}

void out_cell_bytes(struct out_table *t, long long v)
{
	char text[OUT_SHORT];

	out_cell(t, out_bytes(v, text));
}

void out_cell_ms(struct out_table *t, long long v)
{
	char text[OUT_SHORT];

	out_cell(t, out_ms(v, text));
}

static void pad(size_t n)
{
	for (; n > 0; n--)
		(void)putchar(' ');
}

static void print_plain_row(const struct out_table *t, const size_t *widths,
			    char *const *cells)
{
	for (size_t c = 0; c < t->n_columns; c++) {
		const char *text = cells ? cells[c] : t->columns[c].name;
		size_t space = widths[c] - out_width(text);

		if (t->columns[c].align == OUT_RIGHT)
			pad(space);
		(void)fputs(text, stdout);
		if (c + 1 == t->n_columns)
			break;
		if (t->columns[c].align != OUT_RIGHT)
			pad(space);
		pad(2);
	}
	(void)putchar('\n');
}

static void print_plain(const struct out_table *t)
{
	size_t widths[OUT_COLUMNS_MAX];

	for (size_t c = 0; c < t->n_columns; c++) {
		widths[c] = out_width(t->columns[c].name);
		for (size_t i = c; i < t->n_cells; i += t->n_columns)
			widths[c] = MAX(widths[c], out_width(t->cells[i]));
	}
	print_plain_row(t, widths, NULL);
	for (size_t i = 0; i + t->n_columns <= t->n_cells; i += t->n_columns)
		print_plain_row(t, widths, t->cells + i);
}

static bool print_fitted(const struct out_table *t)
{
	struct libscols_table *s;
	bool ok = true;

	scols_init_debug(0);
	s = scols_new_table();
	if (!s)
		return false;
	for (size_t c = 0; c < t->n_columns; c++) {
		int flags = t->columns[c].align == OUT_RIGHT ? SCOLS_FL_RIGHT :
			    t->columns[c].align == OUT_REST  ? SCOLS_FL_TRUNC :
							       0;

		ok = ok && scols_table_new_column(s, t->columns[c].name, 0, flags);
	}
	for (size_t i = 0; ok && i + t->n_columns <= t->n_cells; i += t->n_columns) {
		struct libscols_line *line = scols_table_new_line(s, NULL);

		ok = line != NULL;
		for (size_t c = 0; ok && c < t->n_columns; c++)
			ok = scols_line_set_data(line, c, t->cells[i + c]) == 0;
	}
	if (ok)
		ok = scols_print_table(s) == 0;
	scols_unref_table(s);
	return ok;
}

void out_table_print(struct out_table *t)
{
	if (!isatty(STDOUT_FILENO) || t->n_cells == 0 || !print_fitted(t))
		print_plain(t);
	for (size_t i = 0; i < t->n_cells; i++)
		free(t->cells[i]);
	free(t->cells);
	free(t);
}

void out_json(const json_t *value)
{
	size_t flags = JSON_ENCODE_ANY | JSON_REAL_PRECISION(15) |
		       (isatty(STDOUT_FILENO) ? JSON_INDENT(2) : JSON_COMPACT);
	CLEANUP(free) char *text = cli_need_memory(json_dumps(value, flags));

	(void)puts(text);
}

int out_end(void)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return 0;
	if (errno == EPIPE)
		return 128 + SIGPIPE;
	cli_say(NULL, "standard output: %s", strerrordesc_np(errno));
	return EXIT_IO;
}
