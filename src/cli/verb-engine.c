/* SPDX-License-Identifier: Apache-2.0 */

/* policy, doctor, version, daemon: the engine itself */

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../base/cleanup.h"
#include "../wire/json.h"
#include "cli.h"
#include "out.h"
#include "request.h"

#ifndef PROCTOR_VERSION
#define PROCTOR_VERSION "0"
#endif

#define STOP_WAIT_MS 30000
#define NAMES_SHOWN 5

/* --- policy, doctor --- */

static json_t *profile_params(const struct cli *cli)
{
	json_t *params = cli_object();

	if (cli->args.n_operands == 1)
		cli_set_text(params, "profile", cli->args.operands[0]);
	return params;
}

/* Its workspace is of no matter where nothing is to be started. */
static void ceiling_profile(struct cli *cli)
{
	if (cli->args.n_operands == 1 && !cli_has(cli, OPT_PROFILE))
		cli->args.v[OPT_PROFILE] = (struct opt_value){
			.given = true,
			.text = cli->args.operands[0],
		};
}

/* As its file, which can be edited and put where it counts. */
static void print_profile(const json_t *profile)
{
	CLEANUP(buf_fini) struct buf name = { 0 }, origin = { 0 }, text = { 0 };
	const char *line = cli_get(profile, "text");

	out_clean(&name, cli_get(profile, "name"));
	out_clean(&origin, cli_get(profile, "origin"));
	(void)printf("# profile %s, %s\n", name.len ? name.data : "",
		     origin.len ? origin.data : "");
	while (*line) {
		size_t n = strcspn(line, "\n");
		CLEANUP(free) char *one = strndup(line, n);

		buf_fini(&text);
		if (one)
			out_clean(&text, one);
		(void)puts(text.len ? text.data : "");
		line += n + (line[n] == '\n');
	}
}

int verb_policy_show(struct cli *cli)
{
	CLEANUP(json_decref) json_t *result = NULL;
	int status;

	ceiling_profile(cli);
	status = cli_connect(cli, CLI_NEEDS_NOTHING);
	if (status == 0)
		status = cli_call(cli, "policy.show", profile_params(cli), &result);
	if (result && cli_has(cli, OPT_JSON))
		out_json(result);
	else if (result)
		print_profile(json_object_get(result, "profile"));
	return status;
}

static void print_line(const char *before, const char *text)
{
	CLEANUP(buf_fini) struct buf b = { 0 };

	out_clean(&b, text);
	(void)printf("%s%s\n", before, b.len ? b.data : "");
}

static const char *text_at(const json_t *list, size_t i)
{
	const char *text = json_string_value(json_array_get(list, i));

	return text ? text : "";
}

static void print_check(const json_t *result)
{
	const json_t *plan = json_object_get(result, "plan");

	print_line("decision: ", cli_get(result, "decision"));
	if (*cli_get(result, "rule"))
		print_line("rule: ", cli_get(result, "rule"));
	if (*cli_get(result, "message"))
		print_line("", cli_get(result, "message"));
	if (json_array_size(plan) > 0)
		(void)puts("plan:");
	for (size_t i = 0; i < json_array_size(plan); i++)
		print_line("  ", text_at(plan, i));
}

int verb_policy_check(struct cli *cli)
{
	CLEANUP(json_decref) json_t *params = NULL;
	CLEANUP(json_decref) json_t *result = NULL;
	int status = cli_connect(cli, CLI_NEEDS_WORKSPACE);

	if (status != 0)
		return status;
	params = request_params(cli, &status);
	if (!params)
		return status;
	request_argv(cli, 0, params);
	status = cli_call(cli, "policy.check", TAKE_PTR(params), &result);
	if (status != 0)
		return status;
	if (cli_has(cli, OPT_JSON))
		out_json(result);
	else
		print_check(result);
	return strcmp(cli_get(result, "decision"), "allow") == 0 ?
		       0 :
		       proctor_code_exit_status(PROCTOR_DENIED);
}

/* Length of what stands before the last slash. */
static size_t directory_length(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? (size_t)(slash - path) : 0;
}

/* One line on the programs from the i-th on that share a directory: their number. */
static size_t print_directory(const json_t *list, size_t i)
{
	CLEANUP(buf_fini) struct buf names = { 0 };
	CLEANUP(buf_fini) struct buf line = { 0 };
	const char *first = text_at(list, i);
	size_t len = directory_length(first), n = 0;

	for (; i + n < json_array_size(list); n++) {
		const char *path = text_at(list, i + n);

		if (directory_length(path) != len || memcmp(path, first, len) != 0)
			break;
		if (n < NAMES_SHOWN)
			buf_addf(&names, "%s%s", n > 0 ? ", " : "",
				 path + len + (len > 0));
	}
	buf_addf(&line, "%.*s: %zu: %s%s", (int)len, first, n,
		 buf_ok(&names) ? names.data : "", n > NAMES_SHOWN ? ", ..." : "");
	print_line("  ", cli_need_memory(line.data));
	return n;
}

static void print_doctor(const json_t *result)
{
	static const struct out_column columns[] = { { "STATE", OUT_LEFT },
						     { "CHECK", OUT_LEFT },
						     { "FOUND", OUT_REST } };
	const json_t *list = json_object_get(result, "checks");
	const json_t *hidden = json_object_get(result, "hidden_programs");
	struct out_table *t = out_table_new(columns, ARRAY_SIZE(columns));

	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *c = json_array_get(list, i);

		out_cell(t, cli_get(c, "state"));
		out_cell(t, cli_get(c, "name"));
		out_cell(t, cli_get(c, "detail"));
	}
	out_table_print(t);
	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *c = json_array_get(list, i);
		CLEANUP(buf_fini) struct buf name = { 0 };

		if (!*cli_get(c, "cure"))
			continue;
		out_clean(&name, cli_get(c, "name"));
		buf_adds(&name, ": ");
		print_line(cli_need_memory(name.data), cli_get(c, "cure"));
	}
	if (json_array_size(hidden) > 0)
		(void)puts("programs that the profile hides:");
	for (size_t i = 0; i < json_array_size(hidden);)
		i += print_directory(hidden, i);
	(void)printf("profile %s: %s\n", cli_get(result, "profile"),
		     cli_get_bool(result, "ok") ? "can be applied" : "cannot be applied");
}

int verb_doctor(struct cli *cli)
{
	CLEANUP(json_decref) json_t *result = NULL;
	int status;

	ceiling_profile(cli);
	status = cli_connect(cli, CLI_NEEDS_NOTHING);
	if (status == 0)
		status = cli_call(cli, "daemon.doctor", profile_params(cli), &result);
	if (status != 0)
		return status;
	if (cli_has(cli, OPT_JSON))
		out_json(result);
	else
		print_doctor(result);
	return cli_get_bool(result, "ok") ? 0 :
					    proctor_code_exit_status(PROCTOR_UNSUPPORTED);
}

/* --- daemon --- */

/* Whether the failure to connect means that none runs. */
static bool none_runs(const struct proctor_error *e)
{
	return e->code == PROCTOR_UNAVAILABLE &&
	       (e->sys_errno == ENOENT || e->sys_errno == ECONNREFUSED);
}

static void print_status(const json_t *status)
{
	const char *key;
	json_t *value;

	(void)puts("running");
	json_object_foreach ((json_t *)(uintptr_t)status, key, value) {
		CLEANUP(free) char *text = NULL;

		if (json_is_null(value) || json_is_object(value))
			continue;
		if (json_is_string(value)) {
			(void)printf("  %-18s ", key);
			print_line("", json_string_value(value));
			continue;
		}
		text = cli_need_memory(
			json_dumps(value, JSON_ENCODE_ANY | JSON_REAL_PRECISION(15)));
		(void)printf("  %-18s %s\n", key, text);
	}
}

static int tell_status(struct cli *cli)
{
	CLEANUP(json_decref) json_t *result = NULL;
	int status = cli_call(cli, "daemon.status", NULL, &result);

	if (status != 0)
		return status;
	if (cli_has(cli, OPT_JSON)) {
		cli_set(result, "running", json_true());
		out_json(result);
	} else {
		print_status(result);
	}
	return 0;
}

int verb_daemon_status(struct cli *cli)
{
	struct proctor_error e = { 0 };

	if (cli_connect_running(cli, &e) == 0)
		return tell_status(cli);
	if (!none_runs(&e))
		return cli_fail_error(cli, &e);
	if (cli_has(cli, OPT_JSON)) {
		CLEANUP(json_decref) json_t *none = cli_object();

		cli_set(none, "running", json_false());
		cli_set(none, "pid", json_null());
		out_json(none);
	} else {
		(void)puts("not running");
	}
	return proctor_code_exit_status(PROCTOR_UNAVAILABLE);
}

int verb_daemon_start(struct cli *cli)
{
	int status = cli_connect(cli, CLI_NEEDS_NOTHING);

	return status != 0 ? status : tell_status(cli);
}

static int kill_id(struct cli *cli, const char *op, const char *id)
{
	CLEANUP(json_decref) json_t *result = NULL;
	json_t *params = cli_object();
	struct proctor_error e;
	bool ended;

	cli_set_text(params, "id", id);
	if (cli_try(cli, op, params, &result, &e) == 0)
		return 0;
	/* It may have ended by itself meanwhile. */
	ended = e.code == PROCTOR_CONFLICT || e.code == PROCTOR_NOT_FOUND;
	return ended ? 0 : cli_fail_error(cli, &e);
}

/* Until nothing is listed any more: each page is ended before the next is asked for. */
static int kill_all(struct cli *cli, const char *list_op, const char *key,
		    const char *kill_op)
{
	size_t last = SIZE_MAX;

	for (;;) {
		CLEANUP(json_decref) json_t *page = NULL;
		json_t *params = cli_object();
		const json_t *list;
		int status;

		cli_set(params, "limit", json_integer(1000));
		status = cli_call(cli, list_op, params, &page);
		if (status != 0)
			return status;
		list = json_object_get(page, key);
		if (json_array_size(list) == 0)
			return 0;
		if (json_array_size(list) >= last && last < 1000) {
			cli_say(NULL, "%zu %s cannot be ended", json_array_size(list),
				key);
			return proctor_code_exit_status(PROCTOR_CONFLICT);
		}
		last = json_array_size(list);
		for (size_t i = 0; i < last; i++) {
			status = kill_id(cli, kill_op,
					 cli_get(json_array_get(list, i), "id"));
			if (status != 0)
				return status;
		}
	}
}

/*
 * The pid that the engine tells, held by a pidfd before the engine is asked once
 * more: then it is still the engine's.
 */
static int hold_engine(struct cli *cli, int *ret_pidfd)
{
	CLEANUP(json_decref) json_t *before = NULL;
	CLEANUP(json_decref) json_t *after = NULL;
	long long pid;
	int status = cli_call(cli, "daemon.status", NULL, &before), fd;

	if (status != 0)
		return status;
	pid = cli_get_int(before, "pid");
	fd = pid > 1 ? (int)syscall(SYS_pidfd_open, (pid_t)pid, 0) : (errno = ESRCH, -1);
	if (fd < 0) {
		cli_say(NULL, "the engine's process %lld: %s", pid,
			strerrordesc_np(errno));
		return proctor_code_exit_status(PROCTOR_INTERNAL);
	}
	status = cli_call(cli, "daemon.status", NULL, &after);
	if (status != 0) {
		(void)close(fd);
		return status;
	}
	*ret_pidfd = fd;
	return 0;
}

static int stop_engine(struct cli *cli)
{
	CLEANUP(close) int pidfd = -1;
	struct pollfd p = { .events = POLLIN };
	int status = hold_engine(cli, &pidfd);

	if (status != 0)
		return status;
	if (syscall(SYS_pidfd_send_signal, pidfd, SIGTERM, NULL, 0) < 0 &&
	    errno != ESRCH) {
		cli_say(NULL, "SIGTERM to the engine: %s", strerrordesc_np(errno));
		return proctor_code_exit_status(PROCTOR_DENIED);
	}
	proctor_close(cli->p);
	cli->p = NULL;
	p.fd = pidfd;
	if (poll(&p, 1, STOP_WAIT_MS) == 1)
		return 0;
	cli_say(NULL, "the engine does not end");
	return proctor_code_exit_status(PROCTOR_TIMEOUT);
}

int verb_daemon_stop(struct cli *cli)
{
	struct proctor_error e = { 0 };
	int status = 0;

	if (cli_connect_running(cli, &e) < 0) {
		if (!none_runs(&e))
			return cli_fail_error(cli, &e);
		if (!cli_has(cli, OPT_KILL)) {
			(void)puts("not running");
			return 0;
		}
		/* Commands may be alive that the last engine left behind. */
		status = cli_connect(cli, CLI_NEEDS_NOTHING);
	}
	if (status == 0 && cli_has(cli, OPT_KILL))
		status = kill_all(cli, "process.list", "processes", "process.kill");
	if (status == 0 && cli_has(cli, OPT_KILL))
		status = kill_all(cli, "sandbox.list", "sandboxes", "sandbox.destroy");
	return status != 0 ? status : stop_engine(cli);
}

int verb_daemon_restart(struct cli *cli)
{
	struct proctor_error e = { 0 };
	int status = verb_daemon_stop(cli);

	if (status != 0)
		return status;
	return cli_reconnect(cli, &e) < 0 ? cli_fail_error(cli, &e) : 0;
}

/* --- version --- */

int verb_version(struct cli *cli)
{
	CLEANUP(json_decref) json_t *hello = NULL;
	CLEANUP(json_decref) json_t *both = NULL;
	struct proctor_error e = { 0 };
	const char *engine;

	if (cli_connect_running(cli, &e) == 0)
		hello = json_loads(proctor_hello(cli->p), 0, NULL);
	engine = cli_get(hello, "engine");
	if (!cli_has(cli, OPT_JSON)) {
		(void)printf("proctor %s\n", PROCTOR_VERSION);
		if (*engine)
			print_line("engine ", engine);
		return 0;
	}
	both = cli_object();
	cli_set_text(both, "version", PROCTOR_VERSION);
	cli_set(both, "engine", *engine ? json_string(engine) : json_null());
	out_json(both);
	return 0;
}
