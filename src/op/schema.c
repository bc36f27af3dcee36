/* SPDX-License-Identifier: Apache-2.0 */

/* The operation table as JSON. */

#include <string.h>

#include "../wire/frame.h"
#include "../wire/json.h"
#include "op.h"
#include "request.h"

static bool has_type(const char *types, const char *name)
{
	size_t n = strlen(name);

	for (const char *p = types; p; p = strchr(p, '|') ? strchr(p, '|') + 1 : NULL)
		if (strncmp(p, name, n) == 0 && (p[n] == '|' || p[n] == '\0'))
			return true;
	return false;
}

/* "integer|null" -> ["integer", "null"]; bytes are strings to whoever reads JSON. */
static json_t *types_schema(const char *types)
{
	static const char *const names[] = { "string", "integer", "number", "boolean",
					     "object", "array",	  "null",   NULL };
	CLEANUP(json_decref) json_t *list = json_array();
	int bad = !list;

	if (has_type(types, "bytes"))
		bad |= json_array_append_new(list, json_string("string"));
	for (size_t i = 0; names[i]; i++)
		if (has_type(types, names[i]))
			bad |= json_array_append_new(list, json_string(names[i]));
	if (bad)
		return NULL;
	return json_array_size(list) == 1 ? json_incref(json_array_get(list, 0)) :
					    TAKE_PTR(list);
}

static json_t *choices_list(const struct result_field *f)
{
	CLEANUP(json_decref) json_t *list = json_array();
	int bad = !list;

	for (size_t i = 0; f->choices[i]; i++)
		bad |= json_array_append_new(list, json_string(f->choices[i]));
	if (has_type(f->type, "null"))
		bad |= json_array_append_new(list, json_null());
	return bad ? NULL : TAKE_PTR(list);
}

static json_t *result_schema(const struct result_field *f)
{
	CLEANUP(json_decref) json_t *s = json_object();
	CLEANUP(json_decref) json_t *of = f->of ? op_fields_schema(f->of) : NULL;
	int bad = !s || (f->of && !of);

	bad |= json_object_set_new(s, "type", types_schema(f->type));
	if (f->choices)
		bad |= json_object_set_new(s, "enum", choices_list(f));
	if (of && has_type(f->type, "array"))
		bad |= json_object_set(s, "items", of);
	else if (of)
		bad |= json_object_set(s, "properties",
				       json_object_get(of, "properties"));
	bad |= json_object_set_new(s, "description", json_string(f->doc));
	return bad ? NULL : TAKE_PTR(s);
}

static int add_properties(json_t *properties, const struct result_field *fields)
{
	int bad = 0;

	for (const struct result_field *f = fields; f->name; f++)
		bad |= json_object_set_new(properties, f->name, result_schema(f));
	return bad;
}

static json_t *object_schema(const struct result_field *first,
			     const struct result_field *second)
{
	CLEANUP(json_decref) json_t *properties = json_object();
	int bad = !properties;

	bad |= add_properties(properties, first);
	if (second)
		bad |= add_properties(properties, second);
	return bad ? NULL :
		     json_pack("{s:s, s:O}", "type", "object", "properties", properties);
}

json_t *op_fields_schema(const struct result_field *fields)
{
	return object_schema(fields, NULL);
}

json_t *op_params_schema(const struct op *op, unsigned int audience)
{
	return field_schema(op->params, audience);
}

json_t *op_result_schema(const struct op *op)
{
	return op->record ? object_schema(op_record, op->result) :
			    object_schema(op->result, NULL);
}

static json_t *audience_list(unsigned int audience)
{
	CLEANUP(json_decref) json_t *list = json_array();
	int bad = !list;

	if (audience & FIELD_MODEL)
		bad |= json_array_append_new(list, json_string("model"));
	if (audience & FIELD_CLIENT)
		bad |= json_array_append_new(list, json_string("client"));
	if (audience & FIELD_ADMIN)
		bad |= json_array_append_new(list, json_string("admin"));
	return bad ? NULL : TAKE_PTR(list);
}

json_t *op_describe(const struct op *op, unsigned int audience)
{
	CLEANUP(json_decref) json_t *example = json_loads(op->example, 0, NULL);

	return json_pack("{s:s, s:s, s:s?, s:s, s:b, s:b, s:b, s:o, s:O, s:o, s:o}",
			 "name", op->name, "title", op->title, "tool", op->tool,
			 "description", op->doc, "changes", op->changes, "destroys",
			 op->destroys, "streams", op->streams, "audience",
			 audience_list(op->audience), "example", example, "params",
			 op_params_schema(op, audience), "result", op_result_schema(op));
}

json_t *op_describe_errors(void)
{
	CLEANUP(json_decref) json_t *list = json_array();
	int bad = !list;

	for (int code = ERR_OK + 1; code < ERR_MAX_; code++) {
		const struct err_info *i = err_info(code);

		bad |= json_array_append_new(
			list, json_pack("{s:s, s:i, s:i, s:i}", "code", i->name, "http",
					i->http, "jsonrpc", i->jsonrpc, "exit_status",
					i->exit_status));
	}
	return bad ? NULL : TAKE_PTR(list);
}

static json_t *describe_events(void)
{
	CLEANUP(json_decref) json_t *list = json_array();
	int bad = !list;

	for (const struct op_event *e = op_events; e->name; e++)
		bad |= json_array_append_new(
			list, json_pack("{s:s, s:s, s:b, s:o}", "name", e->name,
					"description", e->doc, "watched", e->watched,
					"fields", op_fields_schema(e->fields)));
	return bad ? NULL : TAKE_PTR(list);
}

json_t *op_describe_all(unsigned int audience)
{
	CLEANUP(json_decref) json_t *list = json_array();
	int bad = !list;

	for (int id = 0; id < OP_MAX_; id++) {
		const struct op *op = op_get((enum op_id)id);

		if (op->audience & audience)
			bad |= json_array_append_new(list, op_describe(op, audience));
	}
	if (bad)
		return NULL;
	return json_pack(
		"{s:i, s:{s:o, s:o}, s:O, s:o, s:o, s:o, s:o}", "protocol", WIRE_VERSION,
		"hello", "params", field_schema(hello_fields, audience), "result",
		op_fields_schema(op_hello), "operations", list, "record",
		op_fields_schema(op_record), "sandbox", op_fields_schema(op_sandbox),
		"events", describe_events(), "errors", op_describe_errors());
}
