/* SPDX-License-Identifier: Apache-2.0 */

#include "cli.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../base/id.h"
#include "../base/num.h"
#include "../client/text.h"
#include "../wire/json.h"
#include "out.h"

#ifndef PROCTOR_VERSION
#define PROCTOR_VERSION "0"
#endif

#define PATH_VALUE_MAX 65536 /* of the hello's path */
#define PID_LIMIT 4194304    /* PID_MAX_LIMIT, proc(5) */

void *cli_need_memory(void *p)
{
	static const char text[] = "proctor: out of memory\n";

	if (p)
		return p;
	(void)!write(STDERR_FILENO, text, sizeof(text) - 1);
	_exit(err_info(ERR_INTERNAL)->exit_status);
}

/* --- messages --- */

static void say(const char *hint, const char *fmt, va_list ap) PRINTF(2, 0);

static void say(const char *hint, const char *fmt, va_list ap)
{
	CLEANUP(buf_fini) struct buf line = { 0 };
	char text[1024];

	(void)vsnprintf(text, sizeof(text), fmt, ap);
	buf_adds(&line, "proctor: ");
	out_clean(&line, text);
	buf_adds(&line, "\n");
	if (hint && *hint) {
		buf_adds(&line, "  ");
		out_clean(&line, hint);
		buf_adds(&line, "\n");
	}
	if (buf_ok(&line))
		(void)!write(STDERR_FILENO, line.data, line.len);
}

void cli_say(const char *hint, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(hint, fmt, ap);
	va_end(ap);
}

static int status_of(const struct cli *cli, int code)
{
	if (cli->verb && cli->verb->flags & VERB_PASSES)
		return CLI_FAILED;
	return proctor_code_exit_status(code);
}

/* What to do about an error that brings no advice of its own. */
static const char *advice(const struct proctor_error *e)
{
	if (e->code == PROCTOR_UNSUPPORTED)
		return "`proctor doctor` shows what this machine can do and how to get "
		       "the rest";
	if (e->code == PROCTOR_NOT_FOUND)
		return "`proctor ps -a` lists commands, `proctor sandbox ls` sandboxes";
	if (e->code == PROCTOR_UNAVAILABLE && e->sys_errno == ENOENT)
		return "no engine runs; `proctor daemon start` starts one";
	if (e->code == PROCTOR_DENIED)
		return "`proctor policy show` shows what is allowed";
	return NULL;
}

int cli_fail_error(const struct cli *cli, const struct proctor_error *e)
{
	const char *hint = *e->hint ? e->hint : advice(e);

	if (*e->field && !strstr(e->message, e->field))
		cli_say(hint, "%s: %s: %s", proctor_code_name(e->code), e->field,
			e->message);
	else
		cli_say(hint, "%s: %s", proctor_code_name(e->code), e->message);
	return status_of(cli, e->code);
}

int cli_fail(const struct cli *cli, const struct err *err)
{
	cli_say(NULL, "%s", err->msg);
	return status_of(cli, err->code);
}

int cli_usage(const struct cli *cli, const char *fmt, ...)
{
	char hint[128];
	va_list ap;

	(void)snprintf(hint, sizeof(hint), "see `proctor help%s%s`", cli->verb ? " " : "",
		       cli->verb ? cli->verb->name : "");
	va_start(ap, fmt);
	say(hint, fmt, ap);
	va_end(ap);
	return err_info(ERR_INVALID_INPUT)->exit_status;
}

/* --- the engine --- */

static int open_engine(struct cli *cli, bool autostart, struct proctor_error *e)
{
	const char *profiles[] = { cli_text(cli, OPT_PROFILE), NULL };
	struct proctor_options o = {
		.size = sizeof(o),
		.autostart = autostart,
		.client = "proctor/" PROCTOR_VERSION,
		.workspace = cli->has_ws ? cli->ws.path : NULL,
		.allow_wide = cli->has_ws && cli->ws.by_hand,
		.profiles = profiles[0] ? profiles : NULL,
	};
	const char *path = getenv("PATH");

	if (path && strlen(path) <= PATH_VALUE_MAX && text_is_utf8(path, strlen(path)))
		o.path = path;
	return proctor_connect(&o, &cli->p, e);
}

int cli_connect(struct cli *cli, enum cli_need need)
{
	struct proctor_error e = { 0 };
	struct err err;

	if (need == CLI_NEEDS_WORKSPACE && !cli->has_ws) {
		if (workspace_find(cli_text(cli, OPT_WORKSPACE), getenv("HOME"), &cli->ws,
				   &err) < 0)
			return cli_fail(cli, &err);
		cli->has_ws = true;
	}
	return open_engine(cli, true, &e) < 0 ? cli_fail_error(cli, &e) : 0;
}

int cli_reconnect(struct cli *cli, struct proctor_error *e)
{
	return open_engine(cli, true, e);
}

int cli_connect_running(struct cli *cli, struct proctor_error *e)
{
	return open_engine(cli, false, e);
}

int cli_try(struct cli *cli, const char *op, json_t *params, json_t **ret,
	    struct proctor_error *e)
{
	CLEANUP(json_decref) json_t *mine = params ? params : cli_object();
	CLEANUP(free) char *text = cli_need_memory(json_dumps(mine, JSON_COMPACT));
	struct proctor_request q = { .size = sizeof(q), .op = op, .params = text };
	struct proctor_reply *reply;
	int r = proctor_call(cli->p, &q, &reply, e);

	if (r < 0)
		return r;
	r = -proctor_reply_code(reply);
	if (r < 0) {
		*e = *proctor_reply_error(reply);
	} else {
		const char *json =
			cli_need_memory((void *)(uintptr_t)proctor_reply_json(reply));

		*ret = cli_need_memory(json_loads(json, JSON_ALLOW_NUL, NULL));
	}
	proctor_reply_free(reply);
	return r;
}

int cli_call(struct cli *cli, const char *op, json_t *params, json_t **ret)
{
	struct proctor_error e;

	return cli_try(cli, op, params, ret, &e) < 0 ? cli_fail_error(cli, &e) : 0;
}

/* The id of the one command with that label. */
static int find_label(struct cli *cli, const char *label, json_t *target)
{
	CLEANUP(json_decref) json_t *params = cli_object();
	CLEANUP(json_decref) json_t *found = NULL;
	const json_t *list;
	int status;

	cli_set_text(params, "label", label);
	cli_set_text(params, "state", "all");
	status = cli_call(cli, "process.list", TAKE_PTR(params), &found);
	if (status != 0)
		return status;
	list = json_object_get(found, "processes");
	if (json_array_size(list) == 1) {
		cli_set_text(target, "id", cli_get(json_array_get(list, 0), "id"));
		return 0;
	}
	if (json_array_size(list) == 0) {
		cli_say("`proctor ps -a` lists commands", "not_found: no command \"%s\"",
			label);
		return status_of(cli, ERR_NOT_FOUND);
	}
	cli_say("name one by its id", "%zu commands have the label \"%s\"",
		json_array_size(list), label);
	return status_of(cli, ERR_CONFLICT);
}

json_t *cli_target(struct cli *cli, const char *text, int *ret_status)
{
	json_t *target = cli_object();
	uint64_t pid;

	if (strncmp(text, "p_", 2) == 0) {
		cli_set_text(target, "id", text);
		return target;
	}
	if (num_parse_u64(text, 1, PID_LIMIT, &pid) == 0) {
		cli_set(target, "pid", json_integer((json_int_t)pid));
		return target;
	}
	*ret_status = find_label(cli, text, target);
	if (*ret_status == 0)
		return target;
	json_decref(target);
	return NULL;
}

int cli_target_id(struct cli *cli, const char *text, char id[static 64])
{
	CLEANUP(json_decref) json_t *found = NULL;
	json_t *target;
	int status = 0;

	target = cli_target(cli, text, &status);
	if (!target)
		return status;
	if (json_object_get(target, "id")) {
		(void)snprintf(id, 64, "%s", cli_get(target, "id"));
		json_decref(target);
		return 0;
	}
	status = cli_call(cli, "process.stats", target, &found);
	if (status == 0)
		(void)snprintf(id, 64, "%s", cli_get(found, "id"));
	return status;
}

/* --- JSON --- */

json_t *cli_object(void)
{
	return cli_need_memory(json_object());
}

void cli_set(json_t *object, const char *key, json_t *value)
{
	if (json_object_set_new(object, key, cli_need_memory(value)) < 0)
		(void)cli_need_memory(NULL);
}

void cli_set_text(json_t *object, const char *key, const char *text)
{
	/* JSON has no other bytes, and nothing is changed on its way. */
	if (!text_is_utf8(text, strlen(text))) {
		cli_say(NULL, "%s cannot be \"%s\": it is no UTF-8", key, text);
		exit(err_info(ERR_INVALID_INPUT)->exit_status);
	}
	cli_set(object, key, json_string(text));
}

const char *cli_get(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "";
}

long long cli_get_int(const json_t *object, const char *key)
{
	const json_t *v = json_object_get(object, key);

	if (json_is_real(v))
		return (long long)json_real_value(v);
	return json_is_integer(v) ? json_integer_value(v) : -1;
}

bool cli_get_bool(const json_t *object, const char *key)
{
	return json_is_true(json_object_get(object, key));
}
