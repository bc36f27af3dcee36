/* SPDX-License-Identifier: Apache-2.0 */

/* run, sh, exec, start, attach: a command's start, and its life in the foreground */

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "../wire/json.h"
#include "cli.h"
#include "out.h"
#include "relay.h"
#include "request.h"
#include "term.h"

#define CONSUMER "proctor"

static void set_stdin(json_t *params, enum request_input input)
{
	json_t *how = cli_object();

	if (input == REQUEST_NULL) {
		json_decref(how);
		cli_set(params, "stdin", json_null());
		return;
	}
	cli_set(how, input == REQUEST_PASS ? "fd" : "open", json_true());
	cli_set(params, "stdin", how);
}

/* What only a person wants to know; a script has the exit status. */
static void tell_person(const struct cli *cli, const struct relay_result *r)
{
	const char *reason = cli_get(r->record, "reason");
	const char *by = cli_get(r->record, "killed_by");

	if (isatty(STDERR_FILENO) != 1)
		return;
	if (strcmp(reason, "timeout") == 0)
		cli_say(NULL, "ended at its timeout");
	else if (*reason && strcmp(reason, "exited") != 0 &&
		 strcmp(reason, "signaled") != 0)
		cli_say(NULL, "ended: %s%s%s", reason, *by ? " by " : "", by);
	if (cli_get_bool(r->record, "lingering") && !cli_has(cli, OPT_RM))
		cli_say(NULL, "%lld of its processes run on; `proctor kill %s` ends them",
			cli_get_int(r->record, "live"), r->id);
}

static void tell_end(const struct cli *cli, const struct relay_result *r)
{
	const json_t *e = json_object_get(r->record, "start_error");

	if (r->lost > 0)
		cli_say(NULL, "%llu bytes of output were lost: --ring keeps more",
			(unsigned long long)r->lost);
	if (json_is_object(e))
		cli_say(NULL, "%s: %s", cli_get(e, "stage"), cli_get(e, "message"));
	else if (strcmp(cli_get(r->record, "reason"), "lost") == 0)
		cli_say(NULL,
			"%s was lost: its keeper is gone, and nobody knows how it ended",
			r->id);
	else
		tell_person(cli, r);
}

static int tell_failure(const struct cli *cli, const struct relay_result *r)
{
	int status = cli_fail_error(cli, &r->error);

	if (*r->id)
		cli_say(NULL, "%s is not ended by this: `proctor attach %s`", r->id,
			r->id);
	return status;
}

static void forget(struct cli *cli, const char *id)
{
	CLEANUP(json_decref) json_t *gone = NULL;
	json_t *params = cli_object();
	struct proctor_error e;

	cli_set_text(params, "id", id);
	if (!cli->p && cli_reconnect(cli, &e) < 0) {
		json_decref(params);
		return;
	}
	/* What lingers is not forgotten: that is no failure of the command. */
	(void)cli_try(cli, "process.release", params, &gone, &e);
}

static int end_of(struct cli *cli, struct relay_result *r)
{
	CLEANUP(json_decref) json_t *record = r->record;
	int status = CLI_FAILED;

	switch (r->end) {
	case RELAY_ENDED:
		if (cli_has(cli, OPT_JSON))
			out_json(record);
		else
			tell_end(cli, r);
		status = request_exit_status(record);
		if (cli_has(cli, OPT_RM))
			forget(cli, r->id);
		break;
	case RELAY_LEFT:
		cli_say(NULL, "left %s, which runs on: `proctor attach %s`", r->id,
			r->id);
		status = 0;
		break;
	case RELAY_BROKEN:
		status = 128 + SIGPIPE;
		break;
	case RELAY_SIGNALED:
		status = 128 + r->signal;
		break;
	case RELAY_FAILED:
		status = tell_failure(cli, r);
		break;
	}
	return status;
}

/* fd 0 of a command that runs without us. */
static int run_detached(struct cli *cli, json_t *params)
{
	CLEANUP(json_decref) json_t *mine = params;
	CLEANUP(json_decref) json_t *record = NULL;
	const json_t *e;
	int status;

	set_stdin(mine, cli_has(cli, OPT_INTERACTIVE) ? REQUEST_OPEN : REQUEST_NULL);
	status = cli_call(cli, "process.start", TAKE_PTR(mine), &record);
	if (status != 0)
		return status;
	if (cli_has(cli, OPT_JSON))
		out_json(record);
	else
		(void)puts(cli_get(record, "id"));
	e = json_object_get(record, "start_error");
	if (!json_is_object(e))
		return 0;
	cli_say(NULL, "%s: %s", cli_get(e, "stage"), cli_get(e, "message"));
	return request_exit_status(record);
}

static int run_here(struct cli *cli, json_t *params)
{
	CLEANUP(json_decref) json_t *mine = params;
	bool tty = cli_has(cli, OPT_TTY);
	enum request_input input =
		request_input_of(STDIN_FILENO, cli_has(cli, OPT_INTERACTIVE), tty);
	bool block = strcmp(cli_get(mine, "overflow"), "block") == 0;
	struct relay_args args = {
		.op = "process.run",
		.params = mine,
		.pass_fd = input == REQUEST_PASS ? STDIN_FILENO : -1,
		.input = input == REQUEST_OPEN,
		.tty = tty,
		.forward = true,
		.whole = cli_has(cli, OPT_JSON),
		.consumer = block ? CONSUMER : NULL,
		.keys = cli_text(cli, OPT_DETACH_KEYS),
	};
	struct relay_result r;

	set_stdin(mine, input);
	if (block)
		cli_set_text(mine, "consumer", CONSUMER);
	if (!args.whole)
		cli_set(mine, "stream", json_true());
	relay_run(cli, &args, &r);
	return end_of(cli, &r);
}

static int check_keys(const struct cli *cli)
{
	const char *text = cli_text(cli, OPT_DETACH_KEYS);
	struct term_keys keys;
	struct err err;

	if (text && term_keys_parse(text, &keys, &err) < 0)
		return cli_usage(cli, "%s", err.msg);
	return 0;
}

typedef int add_command_fn(const struct cli *cli, json_t *params);

static int start_command(struct cli *cli, bool detached, add_command_fn *add)
{
	CLEANUP(json_decref) json_t *params = NULL;
	int status = check_keys(cli);

	if (status == 0)
		status = cli_connect(cli, CLI_NEEDS_WORKSPACE);
	if (status != 0)
		return status;
	params = request_params(cli, &status);
	if (!params)
		return status;
	status = add(cli, params);
	if (status != 0)
		return status;
	return detached ? run_detached(cli, TAKE_PTR(params)) :
			  run_here(cli, TAKE_PTR(params));
}

static int add_operands(const struct cli *cli, json_t *params)
{
	request_argv(cli, 0, params);
	return 0;
}

static int add_exec(const struct cli *cli, json_t *params)
{
	int first = 1;

	/* The sandbox's name ended the options; what separates it is no program. */
	if (cli->args.n_operands > 2 && strcmp(cli->args.operands[1], "--") == 0)
		first = 2;
	cli_set_text(params, "sandbox", cli->args.operands[0]);
	request_argv(cli, first, params);
	return 0;
}

/* A shell with arguments of its own, as bash [-l] [-c COMMAND] [ARG]... */
static void add_shell_argv(const struct cli *cli, json_t *params)
{
	const char *shell = cli_text(cli, OPT_SHELL),
		   *command = cli_text(cli, OPT_COMMAND);
	json_t *argv, *words = cli_need_memory(json_array());

	if (!shell)
		shell = access("/bin/bash", X_OK) == 0 ? "bash" : "sh";
	(void)json_array_append_new(words, cli_need_memory(json_string(shell)));
	if (cli_has(cli, OPT_LOGIN))
		(void)json_array_append_new(words, cli_need_memory(json_string("-l")));
	if (command) {
		(void)json_array_append_new(words, cli_need_memory(json_string("-c")));
		(void)json_array_append_new(words, cli_need_memory(json_string(command)));
	}
	request_argv(cli, 0, params);
	argv = json_object_get(params, "argv");
	if (json_array_extend(words, argv) < 0)
		(void)cli_need_memory(NULL);
	cli_set(params, "argv", words);
}

static int add_shell(const struct cli *cli, json_t *params)
{
	if (cli->args.n_operands > 0 || !cli_has(cli, OPT_COMMAND)) {
		add_shell_argv(cli, params);
		return 0;
	}
	if (!*cli_text(cli, OPT_COMMAND))
		return cli_usage(cli, "--command is empty");
	cli_set_text(params, "command", cli_text(cli, OPT_COMMAND));
	if (cli_has(cli, OPT_SHELL))
		cli_set_text(params, "shell", cli_text(cli, OPT_SHELL));
	if (cli_has(cli, OPT_LOGIN))
		cli_set(params, "login", json_true());
	return 0;
}

int verb_run(struct cli *cli)
{
	return start_command(cli, cli_has(cli, OPT_DETACH), add_operands);
}

int verb_start(struct cli *cli)
{
	return start_command(cli, true, add_operands);
}

int verb_exec(struct cli *cli)
{
	return start_command(cli, cli_has(cli, OPT_DETACH), add_exec);
}

int verb_sh(struct cli *cli)
{
	bool person = isatty(STDIN_FILENO) == 1 && isatty(STDOUT_FILENO) == 1;

	/* `proctor sh` alone at a terminal is a shell to work in. */
	if (person && !cli_has(cli, OPT_COMMAND) && cli->args.n_operands == 0) {
		cli->args.v[OPT_INTERACTIVE].given = true;
		cli->args.v[OPT_TTY].given = true;
	}
	return start_command(cli, cli_has(cli, OPT_DETACH), add_shell);
}

int verb_attach(struct cli *cli)
{
	CLEANUP(json_decref) json_t *params = NULL;
	CLEANUP(json_decref) json_t *now = NULL;
	struct relay_args args = { .op = "process.attach",
				   .pass_fd = -1,
				   .forward = true,
				   .keys = cli_text(cli, OPT_DETACH_KEYS) };
	struct relay_result r;
	char id[64];
	int status = check_keys(cli);

	if (status == 0)
		status = cli_connect(cli, CLI_NEEDS_NOTHING);
	if (status == 0)
		status = cli_target_id(cli, cli->args.operands[0], id);
	if (status != 0)
		return status;
	params = cli_object();
	cli_set_text(params, "id", id);
	status = cli_call(cli, "process.stats", json_incref(params), &now);
	if (status != 0)
		return status;
	if (cli_has(cli, OPT_JSON))
		args.hide[0] = args.hide[1] = true;
	/* Input that is no terminal is passed on only if asked: its end would close
	 * theirs. */
	args.input = cli_get_bool(now, "stdin_open") &&
		     (isatty(STDIN_FILENO) == 1 || cli_has(cli, OPT_INTERACTIVE));
	args.tty = strcmp(cli_get(now, "capture"), "pty") == 0;
	args.id = id;
	args.params = params;
	if (strcmp(cli_get(now, "overflow"), "block") == 0) {
		args.consumer = CONSUMER;
		cli_set_text(params, "consumer", CONSUMER);
	}
	if (cli_has(cli, OPT_NEW)) {
		args.at[0] = (uint64_t)MAX(cli_get_int(now, "stdout_bytes"), 0);
		args.at[1] = (uint64_t)MAX(cli_get_int(now, "stderr_bytes"), 0);
	}
	cli_set(params, "stdout_offset", json_integer((json_int_t)args.at[0]));
	cli_set(params, "stderr_offset", json_integer((json_int_t)args.at[1]));
	if (args.input)
		cli_set(params, "input", json_true());
	relay_run(cli, &args, &r);
	return end_of(cli, &r);
}
