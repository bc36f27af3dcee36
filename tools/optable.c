/* SPDX-License-Identifier: Apache-2.0 */

/*
 * optable - prints the operation table
 *
 *	--man		proctor-operations(7), as roff
 *	--markdown	docs/operations.md
 *	--json		all of it, with JSON Schemas
 *	--errors	the error codes, as JSON
 *
 * Used at build time only: what it prints is made from the table and from nothing
 * else, so that manual, schemas and code cannot differ.
 */

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "../src/base/buf.h"
#include "../src/base/cleanup.h"
#include "../src/op/op.h"
#include "../src/op/request.h"
#include "../src/wire/json.h"

#ifndef PROCTOR_VERSION
#define PROCTOR_VERSION "unversioned"
#endif

/* The two printed forms: the same calls, other marks. */
struct form {
	void (*title)(struct buf *b);
	void (*section)(struct buf *b, const char *text);
	void (*heading)(struct buf *b, const char *text);
	void (*paragraph)(struct buf *b, const char *text);
	void (*list)(struct buf *b, const char *title);
	void (*item)(struct buf *b, const char *name, const char *facts, const char *doc);
	void (*code)(struct buf *b, const char *text);
};

/* roff: no line may begin with a control character, and a hyphen is no minus. */
static void roff_text(struct buf *b, const char *text)
{
	if (*text == '.' || *text == '\'')
		buf_adds(b, "\\&");
	for (const char *p = text; *p; p++) {
		if (*p == '\\')
			buf_adds(b, "\\(rs");
		else if (*p == '-')
			buf_adds(b, "\\-");
		else if (*p == '^')
			buf_adds(b, "\\(ha");
		else if (*p == '~')
			buf_adds(b, "\\(ti");
		else
			buf_add(b, p, 1);
	}
}

static void man_title(struct buf *b)
{
	buf_adds(b,
		 ".\\\" SPDX-License-Identifier: Apache-2.0\n"
		 ".\\\" Made by optable from the operation table.\n"
		 ".TH PROCTOR-OPERATIONS 7 " PROCTOR_DATE " \"proctor " PROCTOR_VERSION
		 "\" \"proctor\"\n"
		 ".SH NAME\nproctor\\-operations \\- operations of the proctor engine\n");
}

/* The first paragraph behind a heading has no macro of its own. */
static bool man_headed;

static void man_section(struct buf *b, const char *text)
{
	buf_adds(b, ".SH ");
	roff_text(b, text);
	buf_adds(b, "\n");
	man_headed = true;
}

static void man_heading(struct buf *b, const char *text)
{
	buf_adds(b, ".SS ");
	roff_text(b, text);
	buf_adds(b, "\n");
	man_headed = true;
}

static void man_paragraph(struct buf *b, const char *text)
{
	if (!man_headed)
		buf_adds(b, ".PP\n");
	man_headed = false;
	roff_text(b, text);
	buf_adds(b, "\n");
}

static void man_list(struct buf *b, const char *title)
{
	man_paragraph(b, title);
}

static void man_item(struct buf *b, const char *name, const char *facts, const char *doc)
{
	buf_adds(b, ".TP\n\\fB");
	roff_text(b, name);
	buf_adds(b, "\\fR (");
	roff_text(b, facts);
	buf_adds(b, ")\n");
	roff_text(b, doc);
	buf_adds(b, "\n");
}

static void man_code(struct buf *b, const char *text)
{
	buf_adds(b, ".PP\n.RS 4\n.nf\n");
	roff_text(b, text);
	buf_adds(b, "\n.fi\n.RE\n");
}

static const struct form man = {
	.title = man_title,
	.section = man_section,
	.heading = man_heading,
	.paragraph = man_paragraph,
	.list = man_list,
	.item = man_item,
	.code = man_code,
};

/* In a cell of a table, where '|' and '<' would be taken for marks. */
static void md_cell(struct buf *b, const char *text)
{
	for (const char *p = text; *p; p++) {
		if (strchr("|<>*_\\[]", *p))
			buf_adds(b, "\\");
		buf_add(b, p, 1);
	}
}

static void md_title(struct buf *b)
{
	buf_adds(b, "<!-- SPDX-License-Identifier: Apache-2.0 -->\n"
		    "<!-- Made by optable from the operation table: do not edit. -->\n\n"
		    "# Operations\n");
}

static void md_section(struct buf *b, const char *text)
{
	buf_addf(b, "\n## %s\n", text);
}

static void md_heading(struct buf *b, const char *text)
{
	buf_addf(b, "\n### %s\n", text);
}

static void md_paragraph(struct buf *b, const char *text)
{
	buf_adds(b, "\n");
	md_cell(b, text);
	buf_adds(b, "\n");
}

static void md_list(struct buf *b, const char *title)
{
	buf_addf(b, "\n%s\n\n| name | what | meaning |\n|---|---|---|\n", title);
}

static void md_item(struct buf *b, const char *name, const char *facts, const char *doc)
{
	buf_addf(b, "| `%s` | ", name);
	md_cell(b, facts);
	buf_adds(b, " | ");
	md_cell(b, doc);
	buf_adds(b, " |\n");
}

static void md_code(struct buf *b, const char *text)
{
	buf_addf(b, "\n```json\n%s\n```\n", text);
}

static const struct form markdown = {
	.title = md_title,
	.section = md_section,
	.heading = md_heading,
	.paragraph = md_paragraph,
	.list = md_list,
	.item = md_item,
	.code = md_code,
};

static void add_choices(struct buf *b, const char *const *choices)
{
	for (size_t i = 0; choices[i]; i++)
		buf_addf(b, "%s%s", i > 0 ? " | " : "", choices[i]);
}

static void add_string_facts(struct buf *b, const struct field *f)
{
	if (f->min > 0 && (uint64_t)f->min == f->max)
		buf_addf(b, "string, %" PRIu64 " bytes", f->max);
	else if (f->min > 0)
		buf_addf(b, "string, %" PRIi64 " to %" PRIu64 " bytes", f->min, f->max);
	else
		buf_addf(b, "string, at most %" PRIu64 " bytes", f->max);
}

static void add_type(struct buf *b, const struct field *f)
{
	switch (f->type) {
	case FIELD_BOOL:
		buf_adds(b, "boolean");
		break;
	case FIELD_INT:
	case FIELD_UINT:
		buf_addf(b, "integer, %" PRIi64 " to %" PRIu64, f->min, f->max);
		break;
	case FIELD_STRING:
		add_string_facts(b, f);
		break;
	case FIELD_ENUM:
		add_choices(b, f->choices);
		break;
	case FIELD_STRINGS:
		buf_addf(b, "array of %" PRIi64 " to %" PRIu64 " strings", f->min,
			 f->max);
		if (f->choices) {
			buf_adds(b, ": ");
			add_choices(b, f->choices);
		} else {
			buf_addf(b, " of at most %zu bytes", f->max_item);
		}
		break;
	case FIELD_ENV:
		buf_addf(b,
			 "object of at most %" PRIu64
			 " names, each with a string of at most "
			 "%zu bytes",
			 f->max, f->max_item);
		break;
	case FIELD_OBJECT:
		buf_adds(b, "object");
		break;
	case FIELD_CUSTOM:
		buf_adds(b, f->text->allowed);
		break;
	}
	if (f->text && f->type != FIELD_CUSTOM)
		buf_addf(b, ", %s", f->text->allowed);
}

static void add_facts(struct buf *b, const struct field *f)
{
	add_type(b, f);
	if (f->nullable && f->type != FIELD_CUSTOM)
		buf_adds(b, ", or null");
	if (f->required)
		buf_adds(b, "; required");
	else if (f->fallback)
		buf_addf(b, "; default %s", f->fallback);
	if (!(f->audience & FIELD_CLIENT))
		buf_adds(b, "; for administrators");
	else if (f->audience & FIELD_MODEL)
		buf_adds(b, "; shown to models");
}

static void add_fields(struct buf *b, const struct form *form, const struct field *fields,
		       const char *prefix)
{
	for (const struct field *f = fields; f->name; f++) {
		CLEANUP(buf_fini) struct buf name = { 0 };
		CLEANUP(buf_fini) struct buf facts = { 0 };

		buf_addf(&name, "%s%s", prefix, f->name);
		add_facts(&facts, f);
		if (!buf_ok(&name) || !buf_ok(&facts)) {
			b->bad = true;
			return;
		}
		form->item(b, name.data, facts.data, f->doc);
		if (f->type == FIELD_OBJECT) {
			buf_adds(&name, ".");
			add_fields(b, form, f->fields, buf_ok(&name) ? name.data : "");
		}
	}
}

/* The objects inside of a record are told once, with the record. */
static void add_results(struct buf *b, const struct form *form,
			const struct result_field *fields, const char *prefix)
{
	for (const struct result_field *f = fields; f->name; f++) {
		CLEANUP(buf_fini) struct buf name = { 0 };
		CLEANUP(buf_fini) struct buf facts = { 0 };

		buf_addf(&name, "%s%s", prefix, f->name);
		buf_adds(&facts, f->type);
		if (f->choices) {
			buf_adds(&facts, ": ");
			add_choices(&facts, f->choices);
		}
		if (f->of == op_record)
			buf_adds(&facts, " of records");
		else if (f->of == op_sandbox)
			buf_adds(&facts, " of sandboxes");
		if (!buf_ok(&name) || !buf_ok(&facts)) {
			b->bad = true;
			return;
		}
		form->item(b, name.data, facts.data, f->doc);
		if (f->of && f->of != op_record && f->of != op_sandbox) {
			buf_adds(&name, strncmp(f->type, "array", 5) == 0 ? "[]." : ".");
			add_results(b, form, f->of, buf_ok(&name) ? name.data : "");
		}
	}
}

static void add_operation(struct buf *b, const struct form *form, const struct op *op)
{
	CLEANUP(buf_fini) struct buf facts = { 0 };

	form->heading(b, op->name);
	form->paragraph(b, op->doc);
	if (op->tool)
		buf_addf(&facts, "As an MCP tool: %s. ", op->tool);
	buf_addf(&facts, "%s%s",
		 op->changes ? "Journalled before it is done." : "Changes nothing.",
		 op->streams ? " Sends events before its reply." : "");
	form->paragraph(b, buf_ok(&facts) ? facts.data : "");
	form->code(b, op->example);
	if (op->params[0].name) {
		form->list(b, "Parameters:");
		add_fields(b, form, op->params, "");
	} else {
		form->paragraph(b, "No parameters.");
	}
	if (op->result == op_sandbox) {
		form->paragraph(b, "Result: a sandbox.");
	} else if (op->result[0].name) {
		form->list(b, op->record ? "Result: a record, and" : "Result:");
		add_results(b, form, op->result, "");
	} else {
		form->paragraph(b, op->record ? "Result: a record." : "Result: nothing.");
	}
}

static void add_events(struct buf *b, const struct form *form)
{
	form->section(b, "EVENTS");
	for (const struct op_event *e = op_events; e->name; e++) {
		form->heading(b, e->name);
		form->paragraph(b, e->doc);
		form->list(b, e->watched ? "Can be watched. Fields:" : "Fields:");
		add_results(b, form, e->fields, "");
	}
}

static void add_errors(struct buf *b, const struct form *form)
{
	form->section(b, "ERRORS");
	form->list(b, "A command that ran is a result, whatever its exit. Codes:");
	for (int code = ERR_OK + 1; code < ERR_MAX_; code++) {
		const struct err_info *i = err_info(code);
		char doc[64];

		(void)snprintf(doc, sizeof(doc), "HTTP %d, exit status %d.", i->http,
			       i->exit_status);
		form->item(b, i->name, "code", doc);
	}
}

static void add_page(struct buf *b, const struct form *form)
{
	form->title(b);
	form->section(b, "DESCRIPTION");
	form->paragraph(
		b, "What the engine can be asked, over its socket, by HTTP, or as MCP "
		   "tools: the same names, parameters, limits and results everywhere. "
		   "A key that is not named here is an error; null counts as not given "
		   "unless it is allowed. Times are in milliseconds, sizes in bytes.");
	form->section(b, "OPERATIONS");
	for (int id = 0; id < OP_MAX_; id++)
		add_operation(b, form, op_get((enum op_id)id));
	form->section(b, "RECORD");
	form->list(b, "What is known of one command:");
	add_results(b, form, op_record, "");
	form->section(b, "SANDBOX");
	form->list(b, "What is known of one named sandbox:");
	add_results(b, form, op_sandbox, "");
	form->section(b, "HELLO");
	form->list(b, "How a connection begins, and the most that its calls may have:");
	add_fields(b, form, hello_fields, "");
	form->list(b, "The engine answers:");
	add_results(b, form, op_hello, "");
	add_events(b, form);
	add_errors(b, form);
}

static int print_page(const struct form *form)
{
	CLEANUP(buf_fini) struct buf b = { 0 };

	add_page(&b, form);
	if (form == &man)
		buf_adds(&b, ".SH SEE ALSO\n.BR proctor (1),\n.BR proctor (7),\n"
			     ".BR proctord (8)\n");
	if (!buf_ok(&b) || fwrite(b.data, 1, b.len, stdout) != b.len ||
	    fflush(stdout) != 0)
		return 1;
	return 0;
}

static int print_json(json_t *take)
{
	CLEANUP(json_decref) json_t *j = take;

	if (!j || json_dumpf(j, stdout, JSON_INDENT(2)) < 0 || puts("") < 0 ||
	    fflush(stdout) != 0)
		return 1;
	return 0;
}

int main(int argc, char **argv)
{
	const char *what = argc == 2 ? argv[1] : "";
	int r = -1;

	if (strcmp(what, "--man") == 0)
		r = print_page(&man);
	else if (strcmp(what, "--markdown") == 0)
		r = print_page(&markdown);
	else if (strcmp(what, "--json") == 0)
		r = print_json(op_describe_all(FIELD_MODEL | FIELD_CLIENT | FIELD_ADMIN));
	else if (strcmp(what, "--errors") == 0)
		r = print_json(op_describe_errors());
	if (r < 0)
		(void)fprintf(stderr,
			      "usage: optable --man | --markdown | --json | --errors\n");
	else if (r > 0)
		(void)fprintf(stderr, "optable: cannot print\n");
	return r < 0 ? 64 : r;
}
