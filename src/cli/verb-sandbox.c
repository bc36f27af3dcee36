/* SPDX-License-Identifier: Apache-2.0 */

/* sandbox create, ls, inspect, rm; events */

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "../wire/json.h"
#include "cli.h"
#include "out.h"

int verb_sandbox_create(struct cli *cli)
{
	static const struct {
		enum opt_id id;
		const char *key;
	} times[] = { { OPT_LIFETIME, "lifetime_ms" }, { OPT_IDLE, "idle_ms" } };
	CLEANUP(json_decref) json_t *params = cli_object();
	CLEANUP(json_decref) json_t *sandbox = NULL;
	int status;

	if (cli_has(cli, OPT_LABEL))
		cli_set_text(params, "label", cli_text(cli, OPT_LABEL));
	if (cli_has(cli, OPT_PROFILE))
		cli_set_text(params, "profile", cli_text(cli, OPT_PROFILE));
	for (size_t i = 0; i < ARRAY_SIZE(times); i++)
		if (cli_has(cli, times[i].id))
			cli_set(params, times[i].key,
				json_integer(
					(json_int_t)cli->args.v[times[i].id].number));
	status = cli_connect(cli, CLI_NEEDS_WORKSPACE);
	if (status == 0)
		status = cli_call(cli, "sandbox.create", TAKE_PTR(params), &sandbox);
	if (status != 0)
		return status;
	if (cli_has(cli, OPT_JSON))
		out_json(sandbox);
	else
		(void)puts(cli_get(sandbox, "id"));
	return 0;
}

static void print_sandboxes(const json_t *list)
{
	static const struct out_column columns[] = {
		{ "ID", OUT_LEFT },	   { "STATE", OUT_LEFT }, { "PROCS", OUT_RIGHT },
		{ "PROFILE", OUT_LEFT },   { "LABEL", OUT_LEFT }, { "CREATED", OUT_LEFT },
		{ "WORKSPACE", OUT_REST },
	};
	struct out_table *t = out_table_new(columns, ARRAY_SIZE(columns));

	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *s = json_array_get(list, i);

		out_cell(t, cli_get(s, "id"));
		out_cell(t, cli_get(s, "state"));
		out_cell_number(t, cli_get_int(s, "live"));
		out_cell(t, cli_get(s, "profile"));
		out_cell(t, cli_get(s, "label"));
		out_cell(t, cli_get(s, "created_at"));
		out_cell(t, cli_get(s, "workspace"));
	}
	out_table_print(t);
}

static int list_sandboxes(struct cli *cli, json_t *all)
{
	CLEANUP(json_decref) json_t *params = cli_object();

	cli_set(params, "limit", json_integer(1000));
	for (;;) {
		CLEANUP(json_decref) json_t *page = NULL;
		const json_t *next;
		int status = cli_call(cli, "sandbox.list", json_incref(params), &page);

		if (status != 0)
			return status;
		(void)json_array_extend(all, json_object_get(page, "sandboxes"));
		next = json_object_get(page, "next_cursor");
		if (!json_is_string(next))
			return 0;
		cli_set_text(params, "cursor", json_string_value(next));
	}
}

int verb_sandbox_ls(struct cli *cli)
{
	CLEANUP(json_decref) json_t *all = cli_need_memory(json_array());
	int status = cli_connect(cli, CLI_NEEDS_NOTHING);

	if (status == 0)
		status = list_sandboxes(cli, all);
	if (status != 0)
		return status;
	if (cli_has(cli, OPT_QUIET))
		for (size_t i = 0; i < json_array_size(all); i++)
			(void)puts(cli_get(json_array_get(all, i), "id"));
	else if (cli_has(cli, OPT_JSON))
		out_json(all);
	else
		print_sandboxes(all);
	return 0;
}

/* One call for each operand, {"id": ...}. */
static int each(struct cli *cli, const char *op, bool always_json)
{
	int first = 0, status = cli_connect(cli, CLI_NEEDS_NOTHING);

	if (status != 0)
		return status;
	for (int i = 0; i < cli->args.n_operands; i++) {
		CLEANUP(json_decref) json_t *result = NULL;
		json_t *params = cli_object();

		cli_set_text(params, "id", cli->args.operands[i]);
		status = cli_call(cli, op, params, &result);
		if (status == 0 && (always_json || cli_has(cli, OPT_JSON)))
			out_json(result);
		else if (status == 0)
			(void)puts(cli->args.operands[i]);
		if (first == 0)
			first = status;
	}
	return first;
}

int verb_sandbox_inspect(struct cli *cli)
{
	return each(cli, "sandbox.get", true);
}

int verb_sandbox_rm(struct cli *cli)
{
	return each(cli, "sandbox.destroy", false);
}

/* --- events --- */

struct events {
	struct cli *cli;
	struct proctor_error error;
	int status; /* of a reader that has gone */
};

/* "2026-01-31T23:59:59.123Z exit p_... exit_code=0 ..." */
static void print_event(const json_t *j)
{
	CLEANUP(buf_fini) struct buf line = { 0 };
	CLEANUP(buf_fini) struct buf clean = { 0 };
	const char *key;
	json_t *value;

	buf_addf(&line, "%-24s %-9s %s", cli_get(j, "time"), cli_get(j, "event"),
		 cli_get(j, "id"));
	json_object_foreach ((json_t *)(uintptr_t)j, key, value) {
		CLEANUP(free) char *text = NULL;

		if (strcmp(key, "time") == 0 || strcmp(key, "event") == 0 ||
		    strcmp(key, "id") == 0 || json_is_null(value))
			continue;
		text = cli_need_memory(json_dumps(value, JSON_ENCODE_ANY | JSON_TEXT));
		buf_addf(&line, " %s=%s", key, text);
	}
	out_clean(&clean, cli_need_memory(line.data));
	(void)puts(cli_need_memory(clean.data));
}

static void on_event(void *data, const struct proctor_event *ev)
{
	CLEANUP(json_decref) json_t *j = json_loads(ev->json, 0, NULL);
	struct events *e = data;

	if (!j || e->status != 0)
		return;
	if (cli_has(e->cli, OPT_JSON))
		(void)puts(ev->json); /* one a line, to be read line by line */
	else
		print_event(j);
	e->status = out_end();
	if (e->status != 0)
		exit(e->status);
}

int verb_events(struct cli *cli)
{
	CLEANUP(json_decref) json_t *params = cli_object();
	CLEANUP(free) char *text = NULL;
	struct events e = { .cli = cli };
	struct proctor_request q = {
		.size = sizeof(q), .op = "events.watch", .on_event = on_event, .data = &e
	};
	json_t *kinds = cli_need_memory(json_array());
	struct proctor_reply *reply;
	char id[64];
	int status = cli_connect(cli, CLI_NEEDS_NOTHING);

	for (size_t i = 0; i < cli->args.n_items; i++)
		if (cli->args.items[i].id == OPT_KIND)
			(void)json_array_append_new(kinds,
						    json_string(cli->args.items[i].text));
	if (json_array_size(kinds) > 0)
		cli_set(params, "kinds", json_incref(kinds));
	json_decref(kinds);
	if (cli_has(cli, OPT_SANDBOX))
		cli_set_text(params, "sandbox", cli_text(cli, OPT_SANDBOX));
	if (cli_has(cli, OPT_LABEL))
		cli_set_text(params, "label", cli_text(cli, OPT_LABEL));
	if (cli_has(cli, OPT_LEVEL))
		cli_set_text(params, "level", cli_text(cli, OPT_LEVEL));
	if (status == 0 && cli->args.n_operands == 1) {
		status = cli_target_id(cli, cli->args.operands[0], id);
		if (status == 0)
			cli_set_text(params, "id", id);
	}
	if (status != 0)
		return status;
	text = cli_need_memory(json_dumps(params, JSON_COMPACT));
	q.params = text;
	if (proctor_call(cli->p, &q, &reply, &e.error) < 0)
		return cli_fail_error(cli, &e.error);
	if (proctor_reply_code(reply) != PROCTOR_OK)
		status = cli_fail_error(cli, proctor_reply_error(reply));
	proctor_reply_free(reply);
	return status;
}
