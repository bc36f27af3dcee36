/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * op - the table of operations
 *
 * What proctor can be asked, once: names, parameters with limits and defaults,
 * results, events, and who is shown what. HTTP routes, MCP tools, JSON Schemas,
 * command-line help, the manual and the fuzzing corpus are made from it. It holds
 * data only; the engine binds its handlers by enum op_id. The structs that the
 * parameters are decoded into are in request.h.
 *
 * The audience says who is shown an operation or a field, not who may use it:
 * that is for the ceiling of the connection and the policy to decide.
 */

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "../base/err.h"
#include "../wire/field.h"

enum op_id {
	OP_PROCESS_RUN,
	OP_PROCESS_START,
	OP_PROCESS_LIST,
	OP_PROCESS_STATS,
	OP_PROCESS_WAIT,
	OP_PROCESS_READ,
	OP_PROCESS_WRITE,
	OP_PROCESS_SIGNAL,
	OP_PROCESS_KILL,
	OP_PROCESS_RESIZE,
	OP_PROCESS_ATTACH,
	OP_PROCESS_RELEASE,
	OP_SANDBOX_CREATE,
	OP_SANDBOX_LIST,
	OP_SANDBOX_GET,
	OP_SANDBOX_DESTROY,
	OP_CALL_CANCEL,
	OP_POLICY_SHOW,
	OP_POLICY_CHECK,
	OP_EVENTS_WATCH,
	OP_DAEMON_STATUS,
	OP_DAEMON_DOCTOR,
	OP_MAX_,
};

/*
 * type is one or more of string, integer, number, boolean, object, array, bytes,
 * null, with '|' between. "bytes" travel raw behind the JSON of a frame; front
 * ends show them as text or base64.
 */
struct result_field {
	const char *name;
	const char *type;
	const char *const *choices;    /* NULL-terminated, or NULL */
	const struct result_field *of; /* of the object, or of each element, or NULL */
	const char *doc;
};

#define RESULT_END                                                                       \
	{                                                                                \
		.name = NULL                                                             \
	}

struct op {
	const char *name;
	const char *title; /* a few words, for a person */
	const char *tool;  /* name as an MCP tool, or NULL */
	const char *doc;
	const struct field *params;
	size_t params_size;
	int (*check)(void *params, struct err *err); /* what no single field can say */
	const struct result_field
		*result;       /* besides the record; RESULT_END alone if nothing */
	bool record;	       /* the result also has the fields of op_record */
	bool changes;	       /* changes something: journalled before it is done */
	bool destroys;	       /* may end or remove something that exists */
	bool streams;	       /* events may come before the reply */
	unsigned int audience; /* of enum field_audience */
	const char *example;   /* parameters that are valid, as JSON text */
};

/* What a call may report before its reply, and what events.watch sends. */
struct op_event {
	const char *name;
	const char *doc;
	bool watched; /* can be asked for by events.watch */
	const struct result_field *fields;
};

/* Never NULL for an id of the enum. op_find() gives NULL for an unknown name. */
const struct op *op_get(enum op_id id);
const struct op *op_find(const char *name);
enum op_id op_id(const struct op *op);

extern const struct result_field op_record[];  /* "a record": one command */
extern const struct result_field op_sandbox[]; /* one named sandbox */
extern const struct result_field op_hello[];   /* the engine's hello */
extern const struct op_event op_events[];      /* ends with name NULL */

/*
 * Decodes params (NULL counts as {}) into *out, a zeroed struct of
 * op->params_size bytes, and makes the checks over several fields. On failure
 * *out is zero again. Release with op_params_fini().
 */
int op_decode(const struct op *op, const json_t *params, void *out, struct err *err);
void op_params_fini(const struct op *op, void *params);

/*
 * Descriptions as JSON, new references, NULL without memory (schema.c). Schemas
 * are JSON Schema 2020-12. op_describe_all() has protocol, hello, operations,
 * record, sandbox, events and errors, of all that the audience is shown.
 */
json_t *op_params_schema(const struct op *op, unsigned int audience);
json_t *op_result_schema(const struct op *op);
json_t *op_fields_schema(const struct result_field *fields);
json_t *op_describe(const struct op *op, unsigned int audience);
json_t *op_describe_all(unsigned int audience);
json_t *op_describe_errors(void);
