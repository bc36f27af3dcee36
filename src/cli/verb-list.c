/* SPDX-License-Identifier: Apache-2.0 */

/* ps, stats, top, inspect */

#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "../base/clock.h"
#include "../wire/json.h"
#include "cli.h"
#include "out.h"

#define COMMAND_MAX 512 /* bytes of a command line in a table */
#define INTERVAL_MS 2000
#define PAGE 1000

/* "label=x" and so on as parameters of process.list. */
static int add_filters(const struct cli *cli, json_t *params)
{
	static const char *const keys[] = { "label", "sandbox", "agent", "state" };

	for (size_t i = 0; i < cli->args.n_items; i++) {
		const char *text = cli->args.items[i].text, *eq = strchr(text, '=');
		size_t k = 0;

		while (k < ARRAY_SIZE(keys) &&
		       (!eq || strlen(keys[k]) != (size_t)(eq - text) ||
			strncmp(keys[k], text, (size_t)(eq - text)) != 0))
			k++;
		if (k == ARRAY_SIZE(keys))
			return cli_usage(
				cli,
				"--filter cannot be \"%.100s\": one of label=, sandbox=, "
				"agent=, state=",
				text);
		cli_set_text(params, keys[k], eq + 1);
	}
	return 0;
}

/* All pages of process.list with these parameters, which are taken. */
static int list_all(struct cli *cli, json_t *params, json_t **ret)
{
	CLEANUP(json_decref) json_t *mine = params;
	CLEANUP(json_decref) json_t *all = cli_need_memory(json_array());
	int status;

	cli_set(mine, "limit", json_integer(PAGE));
	for (;;) {
		CLEANUP(json_decref) json_t *page = NULL;
		const json_t *next;

		status = cli_call(cli, "process.list", json_incref(mine), &page);
		if (status != 0)
			return status;
		if (json_array_extend(all, json_object_get(page, "processes")) < 0 &&
		    json_object_get(page, "processes"))
			(void)cli_need_memory(NULL);
		next = json_object_get(page, "next_cursor");
		if (!json_is_string(next))
			break;
		cli_set_text(mine, "cursor", json_string_value(next));
	}
	*ret = TAKE_PTR(all);
	return 0;
}

static void add_command(struct out_table *t, const json_t *record)
{
	CLEANUP(buf_fini) struct buf b = { 0 };
	const json_t *argv = json_object_get(record, "argv");
	const char *command = cli_get(record, "command");

	for (size_t i = 0; i < json_array_size(argv) && b.len < COMMAND_MAX; i++) {
		const char *word = json_string_value(json_array_get(argv, i));

		buf_addf(&b, "%s%.*s", i > 0 ? " " : "", COMMAND_MAX, word ? word : "");
	}
	if (json_array_size(argv) == 0)
		buf_addf(&b, "%.*s", COMMAND_MAX, command);
	out_cell(t, cli_need_memory(b.data));
}

static void add_state(struct out_table *t, const json_t *record)
{
	const char *state = cli_get(record, "state"), *signal = cli_get(record, "signal");
	long long code = cli_get_int(record, "exit_code");
	char text[64];

	if (cli_get_bool(record, "lingering"))
		(void)snprintf(text, sizeof(text), "lingering (%lld)",
			       cli_get_int(record, "live"));
	else if (strcmp(state, "exited") != 0)
		(void)snprintf(text, sizeof(text), "%s", state);
	else if (code >= 0)
		(void)snprintf(text, sizeof(text), "exited %lld", code);
	else if (*signal)
		(void)snprintf(text, sizeof(text), "%s", signal);
	else
		(void)snprintf(text, sizeof(text), "%s", cli_get(record, "reason"));
	out_cell(t, text);
}

static void print_ps(const json_t *list)
{
	static const struct out_column columns[] = {
		{ "ID", OUT_LEFT },    { "PID", OUT_RIGHT },  { "STATE", OUT_LEFT },
		{ "TIME", OUT_RIGHT }, { "LABEL", OUT_LEFT }, { "COMMAND", OUT_REST },
	};
	struct out_table *t = out_table_new(columns, ARRAY_SIZE(columns));

	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *record = json_array_get(list, i);

		out_cell(t, cli_get(record, "id"));
		out_cell_number(t, cli_get_int(record, "pid"));
		add_state(t, record);
		out_cell_ms(t, cli_get_int(record, "duration_ms"));
		out_cell(t, cli_get(record, "label"));
		add_command(t, record);
	}
	out_table_print(t);
}

int verb_ps(struct cli *cli)
{
	CLEANUP(json_decref) json_t *params = cli_object();
	CLEANUP(json_decref) json_t *list = NULL;
	int status;

	if (cli_has(cli, OPT_ALL))
		cli_set_text(params, "state", "all");
	status = add_filters(cli, params);
	if (status == 0)
		status = cli_connect(cli, CLI_NEEDS_NOTHING);
	if (status == 0)
		status = list_all(cli, TAKE_PTR(params), &list);
	if (status != 0)
		return status;
	if (cli_has(cli, OPT_QUIET))
		for (size_t i = 0; i < json_array_size(list); i++)
			(void)puts(cli_get(json_array_get(list, i), "id"));
	else if (cli_has(cli, OPT_JSON))
		out_json(list);
	else
		print_ps(list);
	return 0;
}

/* --- stats, top --- */

static int stats_of(struct cli *cli, json_t **ret)
{
	CLEANUP(json_decref) json_t *all = cli_need_memory(json_array());

	if (cli->args.n_operands == 0)
		return list_all(cli, cli_object(), ret);
	for (int i = 0; i < cli->args.n_operands; i++) {
		json_t *target, *record = NULL;
		int status = 0;

		target = cli_target(cli, cli->args.operands[i], &status);
		if (target)
			status = cli_call(cli, "process.stats", target, &record);
		if (status != 0)
			return status;
		if (json_array_append_new(all, record) < 0)
			(void)cli_need_memory(NULL);
	}
	*ret = TAKE_PTR(all);
	return 0;
}

/* The busiest first; lists are short. */
static void sort_by_cpu(json_t *list)
{
	for (size_t i = 1; i < json_array_size(list); i++) {
		CLEANUP(json_decref) json_t *r = json_incref(json_array_get(list, i));
		double cpu = json_number_value(json_object_get(r, "cpu_percent"));
		size_t j = i;

		while (j > 0 &&
		       json_number_value(json_object_get(json_array_get(list, j - 1),
							 "cpu_percent")) < cpu)
			j--;
		if (j == i)
			continue;
		(void)json_array_remove(list, i);
		(void)json_array_insert(list, j, r);
	}
}

static void print_stats(const json_t *list)
{
	static const struct out_column columns[] = {
		{ "ID", OUT_LEFT },	 { "CPU%", OUT_RIGHT }, { "MEMORY", OUT_RIGHT },
		{ "PROCS", OUT_RIGHT },	 { "CPU", OUT_RIGHT },	{ "STDOUT", OUT_RIGHT },
		{ "STDERR", OUT_RIGHT }, { "TIME", OUT_RIGHT }, { "LABEL", OUT_LEFT },
		{ "COMMAND", OUT_REST },
	};
	struct out_table *t = out_table_new(columns, ARRAY_SIZE(columns));

	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *r = json_array_get(list, i), *cpu;
		char text[32] = "-";

		cpu = json_object_get(r, "cpu_percent");
		if (json_is_number(cpu))
			(void)snprintf(text, sizeof(text), "%.1f",
				       json_number_value(cpu));
		out_cell(t, cli_get(r, "id"));
		out_cell(t, text);
		out_cell_bytes(t, cli_get_int(r, "memory_bytes"));
		out_cell_number(t, cli_get_int(r, "live"));
		out_cell_ms(t, cli_get_int(r, "cpu_ms"));
		out_cell_bytes(t, cli_get_int(r, "stdout_bytes"));
		out_cell_bytes(t, cli_get_int(r, "stderr_bytes"));
		out_cell_ms(t, cli_get_int(r, "duration_ms"));
		out_cell(t, cli_get(r, "label"));
		add_command(t, r);
	}
	out_table_print(t);
}

static int stats_once(struct cli *cli, bool sorted, bool clear)
{
	CLEANUP(json_decref) json_t *list = NULL;
	int status = stats_of(cli, &list);

	if (status != 0)
		return status;
	if (sorted)
		sort_by_cpu(list);
	if (clear)
		(void)fputs("\033[H\033[2J", stdout);
	if (cli_has(cli, OPT_JSON))
		out_json(list);
	else
		print_stats(list);
	return out_end();
}

static int stats(struct cli *cli, bool watch, bool sorted)
{
	bool clear = watch && !cli_has(cli, OPT_JSON) && isatty(STDOUT_FILENO) == 1;
	uint64_t every = cli_has(cli, OPT_INTERVAL) ? cli->args.v[OPT_INTERVAL].number :
						      INTERVAL_MS;
	int status = cli_connect(cli, CLI_NEEDS_NOTHING);

	while (status == 0) {
		status = stats_once(cli, sorted, clear);
		if (status != 0 || !watch)
			break;
		/* Until a person's SIGINT; the time between is what was asked for. */
		(void)poll(NULL, 0, (int)every);
	}
	return status;
}

int verb_stats(struct cli *cli)
{
	return stats(cli, cli_has(cli, OPT_WATCH), false);
}

int verb_top(struct cli *cli)
{
	/* In a script, one look: nobody would end it. */
	return stats(cli, cli_has(cli, OPT_WATCH) || isatty(STDOUT_FILENO) == 1, true);
}

int verb_inspect(struct cli *cli)
{
	int status = cli_connect(cli, CLI_NEEDS_NOTHING);

	for (int i = 0; status == 0 && i < cli->args.n_operands; i++) {
		const char *text = cli->args.operands[i];
		CLEANUP(json_decref) json_t *found = NULL;
		json_t *target;

		if (strncmp(text, "s_", 2) == 0) {
			target = cli_object();
			cli_set_text(target, "id", text);
			status = cli_call(cli, "sandbox.get", target, &found);
		} else {
			target = cli_target(cli, text, &status);
			if (target)
				status = cli_call(cli, "process.stats", target, &found);
		}
		if (found)
			out_json(found);
	}
	return status;
}
