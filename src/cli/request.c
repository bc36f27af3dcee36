/* SPDX-License-Identifier: Apache-2.0 */

#include "request.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "../base/signame.h"
#include "../wire/json.h"
#include "term.h"

#define NAME_MAX_LEN 256

/* Options that are a parameter of the same value, and of limits. */
struct same {
	enum opt_id id;
	const char *key;
	bool number;
	uint64_t divide; /* of a number; 0 = as it is */
};

static const struct same same[] = {
	{ OPT_GRACE, "grace_ms", true, 0 },
	{ OPT_LABEL, "label", false, 0 },
	{ OPT_LEFTOVER, "leftover", false, 0 },
	{ OPT_ON_DISCONNECT, "on_disconnect", false, 0 },
	{ OPT_CAPTURE, "capture", false, 0 },
	{ OPT_RING, "ring_bytes", true, 0 },
	{ OPT_OVERFLOW, "overflow", false, 0 },
	{ OPT_CALL_ID, "call_id", false, 0 },
	{ OPT_IDEMPOTENCY_KEY, "idempotency_key", false, 0 },
	{ OPT_TRACE_ID, "trace_id", false, 0 },
	{ OPT_SANDBOX, "sandbox", false, 0 },
	{ OPT_PROFILE, "profile", false, 0 },
};

static const struct same limits[] = {
	{ OPT_LIFETIME, "lifetime_ms", true, 0 },
	{ OPT_IDLE, "idle_ms", true, 0 },
	{ OPT_MEMORY, "memory_bytes", true, 0 },
	{ OPT_PIDS, "processes", true, 0 },
	{ OPT_CPU_TIME, "cpu_seconds", true, 1000 },
	{ OPT_OPEN_FILES, "open_files", true, 0 },
	{ OPT_FILE_SIZE, "file_bytes", true, 0 },
	{ OPT_CORE_SIZE, "core_bytes", true, 0 },
	{ OPT_OUTPUT_LIMIT, "output_bytes", true, 0 },
};

static void add_same(const struct cli *cli, const struct same *rows, size_t n, json_t *to)
{
	for (size_t i = 0; i < n; i++) {
		const struct opt_value *v = &cli->args.v[rows[i].id];
		uint64_t number = v->number;

		if (!v->given)
			continue;
		if (rows[i].divide)
			number = (number + rows[i].divide - 1) / rows[i].divide;
		if (rows[i].number)
			cli_set(to, rows[i].key, json_integer((json_int_t)number));
		else
			cli_set_text(to, rows[i].key, v->text);
	}
}

static int add_env_item(const struct cli *cli, const char *text, json_t *env)
{
	const char *eq = strchr(text, '=');
	char name[NAME_MAX_LEN];
	const char *value = eq ? eq + 1 : NULL;
	size_t len = eq ? (size_t)(eq - text) : strlen(text);

	if (len == 0 || len >= sizeof(name))
		return cli_usage(cli, "--env needs NAME=VALUE or NAME, not \"%.100s\"",
				 text);
	memcpy(name, text, len);
	name[len] = '\0';
	if (!value)
		value = getenv(name);
	/* As with docker: a variable that is not set here is not passed on. */
	if (value)
		cli_set_text(env, name, value);
	return 0;
}

static int add_env(const struct cli *cli, json_t *params)
{
	CLEANUP(json_decref) json_t *env = cli_object();
	const char *term = getenv("TERM");

	if (cli_has(cli, OPT_TTY))
		cli_set_text(env, "TERM", term && *term ? term : "xterm");
	for (size_t i = 0; i < cli->args.n_items; i++) {
		int status = 0;

		if (cli->args.items[i].id == OPT_ENV)
			status = add_env_item(cli, cli->args.items[i].text, env);
		if (status != 0)
			return status;
	}
	if (json_object_size(env) > 0)
		cli_set(params, "env", TAKE_PTR(env));
	return 0;
}

static int add_cwd(const struct cli *cli, json_t *params)
{
	const char *dir = cli_text(cli, OPT_WORKDIR);
	char path[2 * PATH_MAX];

	if (!dir && !workspace_inside(cli->ws.path, cli->ws.cwd))
		return 0; /* the workspace itself */
	if (!dir)
		(void)snprintf(path, sizeof(path), "%s", cli->ws.cwd);
	else if (*dir == '/' || !workspace_inside(cli->ws.path, cli->ws.cwd))
		(void)snprintf(path, sizeof(path), "%s", dir);
	else
		(void)snprintf(path, sizeof(path), "%s/%s", cli->ws.cwd, dir);
	if (!*path || strlen(path) >= PATH_MAX)
		return cli_usage(cli, "--workdir is %s", *path ? "too long" : "empty");
	cli_set_text(params, "cwd", path);
	return 0;
}

static void add_tty(const struct cli *cli, json_t *params)
{
	struct term_size size;
	json_t *pty;

	if (!cli_has(cli, OPT_TTY))
		return;
	(void)term_size(&size);
	pty = cli_object();
	cli_set(pty, "cols", json_integer((json_int_t)size.cols));
	cli_set(pty, "rows", json_integer((json_int_t)size.rows));
	cli_set(params, "pty", pty);
}

static int fill(const struct cli *cli, json_t *params)
{
	json_t *limit;
	int status;

	if (cli_has(cli, OPT_CPUS)) {
		cli_say("see --cpu-time for processor time as a whole",
			"unsupported: this version cannot limit the number of processors "
			"(--cpus)");
		return cli->verb->flags & VERB_PASSES ?
			       CLI_FAILED :
			       err_info(ERR_UNSUPPORTED)->exit_status;
	}
	add_same(cli, same, ARRAY_SIZE(same), params);
	limit = cli_object();
	add_same(cli, limits, ARRAY_SIZE(limits), limit);
	if (json_object_size(limit) > 0)
		cli_set(params, "limits", limit);
	else
		json_decref(limit);
	/* The command line has no timeout unless asked: null says so to process.run. */
	cli_set(params, "timeout_ms",
		cli_has(cli, OPT_TIMEOUT) ?
			json_integer((json_int_t)cli->args.v[OPT_TIMEOUT].number) :
			json_null());
	add_tty(cli, params);
	status = add_env(cli, params);
	return status != 0 ? status : add_cwd(cli, params);
}

json_t *request_params(struct cli *cli, int *ret_status)
{
	CLEANUP(json_decref) json_t *params = cli_object();

	*ret_status = fill(cli, params);
	return *ret_status == 0 ? TAKE_PTR(params) : NULL;
}

void request_argv(const struct cli *cli, int from, json_t *params)
{
	json_t *argv = cli_need_memory(json_array());

	for (int i = from; i < cli->args.n_operands; i++) {
		json_t *word = json_string(cli->args.operands[i]);

		if (!word || json_array_append_new(argv, word) < 0) {
			cli_say(NULL, "argument %d of the command is no UTF-8", i - from);
			exit(err_info(ERR_INVALID_INPUT)->exit_status);
		}
	}
	cli_set(params, "argv", argv);
}

enum request_input request_input_of(int fd, bool wanted, bool tty)
{
	int flags = fcntl(fd, F_GETFL);
	struct stat st;

	if (flags < 0 || flags & O_PATH || (flags & O_ACCMODE) == O_WRONLY ||
	    fstat(fd, &st) < 0)
		return REQUEST_NULL;
	/* A terminal is never handed in: who has it could type into ours. */
	if (tty || isatty(fd) == 1)
		return wanted ? REQUEST_OPEN : REQUEST_NULL;
	if (S_ISFIFO(st.st_mode) || S_ISREG(st.st_mode) || S_ISSOCK(st.st_mode))
		return REQUEST_PASS;
	if (S_ISCHR(st.st_mode) && st.st_rdev == makedev(1, 3)) /* /dev/null */
		return REQUEST_NULL;
	return wanted ? REQUEST_OPEN : REQUEST_NULL;
}

static int start_status(const json_t *record)
{
	const json_t *e = json_object_get(record, "start_error");

	/* It is there, but what its first line names is not: as shells have it. */
	if (strcmp(cli_get(e, "stage"), "interpreter") == 0)
		return CLI_NOT_EXECUTABLE;
	if (strcmp(cli_get(e, "stage"), "exec") != 0)
		return CLI_FAILED;
	switch (cli_get_int(e, "errno")) {
	case ENOENT:
	case ENOTDIR:
		return CLI_NOT_FOUND;
	default:
		return CLI_NOT_EXECUTABLE;
	}
}

int request_exit_status(const json_t *record)
{
	const char *reason = cli_get(record, "reason");
	long long code = cli_get_int(record, "exit_code");
	int sig = signame_parse(cli_get(record, "signal"));

	if (strcmp(reason, "start_failed") == 0)
		return start_status(record);
	if (strcmp(reason, "timeout") == 0)
		return CLI_TIMEOUT;
	if (code >= 0 && code <= 255)
		return (int)code;
	if (sig > 0)
		return 128 + sig;
	return CLI_FAILED;
}
