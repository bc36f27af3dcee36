/* SPDX-License-Identifier: Apache-2.0 */

/* JSON Schemas of field tables: the half of field.h that nobody calls in a hurry. */

#include <string.h>

#include "field.h"
#include "json.h"

static json_t *typed(const char *type)
{
	return json_pack("{s:s}", "type", type);
}

static int set_size(json_t *o, const char *key, uint64_t n)
{
	return n > INT64_MAX ? 0 :
			       json_object_set_new(o, key, json_integer((json_int_t)n));
}

static json_t *choices_schema(const char *const *choices)
{
	CLEANUP(json_decref) json_t *names = json_array();
	int bad = !names;

	for (size_t i = 0; choices[i]; i++)
		bad |= json_array_append_new(names, json_string(choices[i]));
	return bad ? NULL : json_pack("{s:s, s:O}", "type", "string", "enum", names);
}

static json_t *number_schema(const struct field *f)
{
	CLEANUP(json_decref) json_t *s = typed("integer");
	int bad = !s;

	bad |= json_object_set_new(s, "minimum", json_integer(f->min));
	bad |= set_size(s, "maximum", f->max);
	return bad ? NULL : TAKE_PTR(s);
}

/* maxLength counts characters; none of them is shorter than a byte. */
static json_t *text_schema(const struct field_text *text, uint64_t min, uint64_t max)
{
	CLEANUP(json_decref) json_t *s = typed("string");
	int bad = !s;

	if (min > 0)
		bad |= set_size(s, "minLength", 1);
	bad |= set_size(s, "maxLength", max);
	if (text)
		bad |= json_object_set_new(s, "pattern", json_string(text->pattern));
	return bad ? NULL : TAKE_PTR(s);
}

static json_t *strings_schema(const struct field *f)
{
	CLEANUP(json_decref) json_t *s = typed("array");
	json_t *items = f->choices ? choices_schema(f->choices) :
				     text_schema(f->text, 0, f->max_item);
	int bad = !s;

	bad |= json_object_set_new(s, "items", items);
	if (f->min > 0)
		bad |= set_size(s, "minItems", (uint64_t)f->min);
	bad |= set_size(s, "maxItems", f->max);
	return bad ? NULL : TAKE_PTR(s);
}

static json_t *env_schema(const struct field *f)
{
	CLEANUP(json_decref) json_t *s = typed("object");
	int bad = !s;

	bad |= json_object_set_new(s, "additionalProperties",
				   text_schema(NULL, 0, f->max_item));
	bad |= json_object_set_new(
		s, "propertyNames",
		json_pack("{s:s}", "pattern", "^[A-Za-z_][A-Za-z0-9_]*$"));
	bad |= set_size(s, "maxProperties", f->max);
	return bad ? NULL : TAKE_PTR(s);
}

static json_t *type_schema(const struct field *f, unsigned int audience)
{
	switch (f->type) {
	case FIELD_BOOL:
		return typed("boolean");
	case FIELD_INT:
	case FIELD_UINT:
		return number_schema(f);
	case FIELD_STRING:
		return text_schema(f->text, f->min > 0 ? (uint64_t)f->min : 0, f->max);
	case FIELD_ENUM:
		return choices_schema(f->choices);
	case FIELD_STRINGS:
		return strings_schema(f);
	case FIELD_ENV:
		return env_schema(f);
	case FIELD_OBJECT:
		return field_schema(f->fields, audience);
	case FIELD_CUSTOM:
		return json_loads(audience == FIELD_MODEL && f->model_schema ?
					  f->model_schema :
					  f->schema,
				  0, NULL);
	}
	return NULL;
}

static json_t *one_schema(const struct field *f, unsigned int audience)
{
	CLEANUP(json_decref) json_t *s = type_schema(f, audience);
	int bad = !s;

	if (f->nullable && f->type != FIELD_CUSTOM)
		bad |= json_object_set_new(
			s, "type",
			json_pack("[O, s]", json_object_get(s, "type"), "null"));
	if (f->fallback)
		bad |= json_object_set_new(
			s, "default", json_loads(f->fallback, JSON_DECODE_ANY, NULL));
	bad |= json_object_set_new(s, "description", json_string(f->doc));
	return bad ? NULL : TAKE_PTR(s);
}

json_t *field_schema(const struct field *fields, unsigned int audience)
{
	CLEANUP(json_decref) json_t *schema = typed("object");
	CLEANUP(json_decref) json_t *properties = json_object();
	CLEANUP(json_decref) json_t *required = json_array();
	int bad = !schema || !properties || !required;

	for (const struct field *f = fields; f->name; f++) {
		if (!(f->audience & audience))
			continue;
		bad |= json_object_set_new(properties, f->name, one_schema(f, audience));
		if (f->required || (f->model_required && audience == FIELD_MODEL))
			bad |= json_array_append_new(required, json_string(f->name));
	}
	bad |= json_object_set(schema, "properties", properties);
	if (json_array_size(required) > 0)
		bad |= json_object_set(schema, "required", required);
	bad |= json_object_set_new(schema, "additionalProperties", json_false());
	return bad ? NULL : TAKE_PTR(schema);
}
