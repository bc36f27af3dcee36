/* SPDX-License-Identifier: Apache-2.0 */

/* wait, kill, signal, write, rm, prune, cancel: what is done to commands */

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "../base/clock.h"
#include "../base/id.h"
#include "../base/signame.h"
#include "../wire/json.h"
#include "cli.h"
#include "out.h"
#include "request.h"

#define WAIT_TURN_MS                                                                     \
	UINT64_C(3600000) /* the longest that the engine waits in one call               \
			   */
#define WRITE_MAX ((size_t)256 << 10)

/* --- wait --- */

static bool waited(const json_t *record, const char *what)
{
	const json_t *done = json_object_get(record, "done");

	if (done)
		return json_is_true(done);
	if (strcmp(what, "closed") == 0)
		return cli_get_bool(record, "closed");
	if (strcmp(what, "empty") == 0)
		return cli_get_int(record, "live") == 0;
	return cli_get_bool(record, "exited");
}

/* 0 with *ret if it has come to that, 75 if the time is over first. */
static int wait_one(struct cli *cli, const char *text, uint64_t end, json_t **ret)
{
	const char *what = cli_has(cli, OPT_FOR) ? cli_text(cli, OPT_FOR) : "exited";
	char id[64];
	int status = cli_target_id(cli, text, id);

	while (status == 0) {
		CLEANUP(json_decref) json_t *record = NULL;
		json_t *params = cli_object();
		uint64_t now = clock_mono(), left = WAIT_TURN_MS;

		if (end > 0)
			left = MIN(left, end > now ? (end - now) / NS_PER_MS : 0);
		cli_set_text(params, "id", id);
		cli_set_text(params, "for", what);
		cli_set(params, "wait_ms", json_integer((json_int_t)left));
		cli_set(params, "max_output_bytes",
			json_integer(cli_has(cli, OPT_JSON) ? 65536 : 0));
		status = cli_call(cli, "process.wait", params, &record);
		if (status != 0)
			return status;
		if (waited(record, what)) {
			*ret = TAKE_PTR(record);
			return 0;
		}
		if (end > 0 && clock_mono() >= end) {
			cli_say(NULL, "timeout: %s still runs", id);
			return proctor_code_exit_status(PROCTOR_TIMEOUT);
		}
	}
	return status;
}

int verb_wait(struct cli *cli)
{
	uint64_t end = 0;
	int status = cli_connect(cli, CLI_NEEDS_NOTHING);

	if (cli_has(cli, OPT_TIMEOUT))
		end = clock_mono() + cli->args.v[OPT_TIMEOUT].number * NS_PER_MS;
	for (int i = 0; status == 0 && i < cli->args.n_operands; i++) {
		CLEANUP(json_decref) json_t *record = NULL;

		status = wait_one(cli, cli->args.operands[i], end, &record);
		if (status != 0)
			break;
		if (cli_has(cli, OPT_JSON))
			out_json(record);
		else
			(void)printf("%d\n", request_exit_status(record));
		(void)fflush(stdout);
	}
	return status;
}

/* --- kill, signal --- */

static int check_signal(const struct cli *cli, const char *text)
{
	return signame_parse(text) > 0 ? 0 :
					 cli_usage(cli, "\"%.60s\" is no signal", text);
}

static void tell_kill(const struct cli *cli, const char *text, const json_t *result)
{
	if (cli_has(cli, OPT_JSON)) {
		out_json(result);
		return;
	}
	if (cli_get_bool(result, "dry_run"))
		(void)printf("%s would get %s\n", text, cli_get(result, "sent"));
	else if (cli_get_bool(result, "gone"))
		(void)printf("%s gone\n", text);
	else
		(void)printf("%s sent %s\n", text, cli_get(result, "sent"));
}

static int kill_one(struct cli *cli, const char *text)
{
	CLEANUP(json_decref) json_t *result = NULL;
	const json_t *left;
	int status = 0;
	json_t *params = cli_target(cli, text, &status);

	if (!params)
		return status;
	if (cli_has(cli, OPT_SIGNAL))
		cli_set_text(params, "signal", cli_text(cli, OPT_SIGNAL));
	if (cli_has(cli, OPT_GRACE))
		cli_set(params, "grace_ms",
			json_integer((json_int_t)cli->args.v[OPT_GRACE].number));
	if (cli_has(cli, OPT_DRY_RUN))
		cli_set(params, "dry_run", json_true());
	if (cli_has(cli, OPT_REASON))
		cli_set_text(params, "reason", cli_text(cli, OPT_REASON));
	status = cli_call(cli, "process.kill", params, &result);
	if (status != 0)
		return status;
	tell_kill(cli, text, result);
	left = json_object_get(result, "survivors");
	if (json_array_size(left) == 0)
		return 0;
	cli_say(NULL, "%zu processes of %s are still there", json_array_size(left), text);
	return proctor_code_exit_status(PROCTOR_CONFLICT);
}

/* Each is tried; the first failure is the exit status. */
static int each(struct cli *cli, int from, int to, int (*one)(struct cli *, const char *))
{
	int first = 0;

	for (int i = from; i < to; i++) {
		int status = one(cli, cli->args.operands[i]);

		if (first == 0)
			first = status;
	}
	return first;
}

int verb_kill(struct cli *cli)
{
	int status = 0;

	if (cli_has(cli, OPT_SIGNAL))
		status = check_signal(cli, cli_text(cli, OPT_SIGNAL));
	if (status == 0)
		status = cli_connect(cli, CLI_NEEDS_NOTHING);
	return status != 0 ? status : each(cli, 0, cli->args.n_operands, kill_one);
}

static int signal_one(struct cli *cli, const char *text)
{
	CLEANUP(json_decref) json_t *result = NULL;
	int status = 0;
	json_t *params = cli_target(cli, text, &status);

	if (!params)
		return status;
	cli_set_text(params, "signal", cli_text(cli, OPT_SIGNAL));
	if (cli_has(cli, OPT_SCOPE))
		cli_set_text(params, "scope", cli_text(cli, OPT_SCOPE));
	status = cli_call(cli, "process.signal", params, &result);
	if (status == 0 && cli_has(cli, OPT_JSON))
		out_json(result);
	return status;
}

/* The signal may be an option, the first operand, or the last. */
int verb_signal(struct cli *cli)
{
	struct opt_value *sig = &cli->args.v[OPT_SIGNAL];
	int from = 0, to = cli->args.n_operands, status;

	if (!sig->given) {
		const char *first = cli->args.operands[0],
			   *last = cli->args.operands[to - 1];
		bool at_end = signame_parse(first) < 0 && signame_parse(last) > 0;

		if (to < 2)
			return cli_usage(cli, "signal: which signal, and to whom?");
		sig->text = at_end ? last : first;
		sig->given = true;
		from = at_end ? 0 : 1;
		to -= at_end ? 1 : 0;
	}
	status = check_signal(cli, sig->text);
	if (status == 0)
		status = cli_connect(cli, CLI_NEEDS_NOTHING);
	return status != 0 ? status : each(cli, from, to, signal_one);
}

/* --- write --- */

struct writing {
	struct cli *cli;
	char id[64];
	char name[ID_TEXT];
	unsigned long long number;
	long long total;
};

/* All of the bytes, in as many calls as the command's input takes. */
static int write_bytes(struct writing *w, const char *data, size_t len, bool close)
{
	bool again;

	do {
		CLEANUP(json_decref) json_t *params = cli_object();
		CLEANUP(json_decref) json_t *result = NULL;
		CLEANUP(free) char *text = NULL;
		struct proctor_request q = { .size = sizeof(q),
					     .op = "process.write",
					     .raw = data,
					     .raw_len = len };
		char name[ID_TEXT + 24];
		struct proctor_reply *reply;
		struct proctor_error e;
		long long n;
		int status;

		(void)snprintf(name, sizeof(name), "%s-%llu", w->name, w->number++);
		cli_set_text(params, "id", w->id);
		cli_set_text(params, "write_id", name);
		if (close)
			cli_set(params, "close", json_true());
		text = cli_need_memory(json_dumps(params, JSON_COMPACT));
		q.params = text;
		if (proctor_call(w->cli->p, &q, &reply, &e) < 0)
			return cli_fail_error(w->cli, &e);
		if (proctor_reply_code(reply) != PROCTOR_OK) {
			status = cli_fail_error(w->cli, proctor_reply_error(reply));
			proctor_reply_free(reply);
			return status;
		}
		result = json_loads(proctor_reply_meta(reply), 0, NULL);
		proctor_reply_free(reply);
		/* The same name asks on, and writes nothing twice. */
		again = json_is_true(json_object_get(result, "timed_out"));
		if (again) {
			w->number--;
			continue;
		}
		n = cli_get_int(result, "bytes");
		if (n < 0 || (size_t)n > len)
			n = (long long)len;
		w->total += n;
		data += n;
		len -= (size_t)n;
		if (n == 0 && len > 0) {
			cli_say("it does not read: try again later",
				"conflict: the command's input is full, %lld bytes were "
				"taken",
				w->total);
			return proctor_code_exit_status(PROCTOR_CONFLICT);
		}
	} while (again || len > 0);
	return 0;
}

static int write_stdin(struct writing *w)
{
	CLEANUP(free) char *bytes = cli_need_memory(malloc(WRITE_MAX));
	ssize_t n;
	int status;

	for (;;) {
		n = read(STDIN_FILENO, bytes, WRITE_MAX);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			cli_say(NULL, "standard input: %s", strerrordesc_np(errno));
			return proctor_code_exit_status(PROCTOR_INVALID_INPUT);
		}
		if (n == 0)
			break;
		status = write_bytes(w, bytes, (size_t)n, false);
		if (status != 0)
			return status;
	}
	return cli_has(w->cli, OPT_CLOSE) ? write_bytes(w, "", 0, true) : 0;
}

static int write_text(struct writing *w, const char *text)
{
	CLEANUP(buf_fini) struct buf b = { 0 };

	buf_adds(&b, text);
	if (cli_has(w->cli, OPT_NEWLINE))
		buf_adds(&b, "\n");
	return write_bytes(w, cli_need_memory(b.data), b.len, cli_has(w->cli, OPT_CLOSE));
}

int verb_write(struct cli *cli)
{
	struct writing w = { .cli = cli };
	struct id id;
	int status = cli_connect(cli, CLI_NEEDS_NOTHING);

	if (status == 0)
		status = cli_target_id(cli, cli->args.operands[0], w.id);
	if (status != 0)
		return status;
	if (id_new(&id) < 0)
		return cli_usage(cli, "no random numbers: %s", strerrordesc_np(errno));
	(void)id_format(&id, 'w', w.name);
	if (cli->args.n_operands == 2)
		status = write_text(&w, cli->args.operands[1]);
	else
		status = write_stdin(&w);
	if (status == 0 && cli_has(cli, OPT_JSON)) {
		CLEANUP(json_decref) json_t *result = cli_object();

		cli_set_text(result, "id", w.id);
		cli_set(result, "bytes", json_integer(w.total));
		out_json(result);
	}
	return status;
}

/* --- rm, prune, cancel --- */

static int kill_first(struct cli *cli, const char *id)
{
	CLEANUP(json_decref) json_t *result = NULL;
	json_t *params = cli_object();
	struct proctor_error e;

	cli_set_text(params, "id", id);
	/* One that has ended already is as wanted. */
	if (cli_try(cli, "process.kill", params, &result, &e) < 0 &&
	    e.code != PROCTOR_CONFLICT)
		return cli_fail_error(cli, &e);
	return 0;
}

static int rm_one(struct cli *cli, const char *text)
{
	CLEANUP(json_decref) json_t *result = NULL;
	json_t *params;
	char id[64];
	int status = cli_target_id(cli, text, id);

	if (status == 0 && cli_has(cli, OPT_FORCE))
		status = kill_first(cli, id);
	if (status != 0)
		return status;
	params = cli_object();
	cli_set_text(params, "id", id);
	status = cli_call(cli, "process.release", params, &result);
	if (status != 0)
		return status;
	if (cli_has(cli, OPT_JSON))
		out_json(result);
	else
		(void)puts(text);
	return 0;
}

int verb_rm(struct cli *cli)
{
	int status = cli_connect(cli, CLI_NEEDS_NOTHING);

	return status != 0 ? status : each(cli, 0, cli->args.n_operands, rm_one);
}

/* Ended ones whose tree is empty: what lingers stays. */
static int prune_page(struct cli *cli, json_t *released, bool *ret_more)
{
	CLEANUP(json_decref) json_t *page = NULL;
	const json_t *list;
	json_t *params = cli_object();
	int status;

	cli_set_text(params, "state", "exited");
	cli_set(params, "limit", json_integer(1000));
	status = cli_call(cli, "process.list", params, &page);
	if (status != 0)
		return status;
	list = json_object_get(page, "processes");
	*ret_more = false;
	for (size_t i = 0; i < json_array_size(list); i++) {
		CLEANUP(json_decref) json_t *gone = NULL;
		const char *id = cli_get(json_array_get(list, i), "id");
		json_t *which = cli_object();
		struct proctor_error e;

		cli_set_text(which, "id", id);
		if (cli_try(cli, "process.release", which, &gone, &e) == 0) {
			(void)json_array_append_new(released,
						    cli_need_memory(json_string(id)));
			*ret_more = json_is_string(json_object_get(page, "next_cursor"));
		} else if (e.code == PROCTOR_UNAVAILABLE) {
			return cli_fail_error(cli, &e);
		}
	}
	return 0;
}

int verb_prune(struct cli *cli)
{
	CLEANUP(json_decref) json_t *released = cli_need_memory(json_array());
	bool more = true;
	int status = cli_connect(cli, CLI_NEEDS_NOTHING);

	while (status == 0 && more)
		status = prune_page(cli, released, &more);
	if (cli_has(cli, OPT_JSON))
		out_json(released);
	else
		for (size_t i = 0; i < json_array_size(released); i++)
			(void)puts(json_string_value(json_array_get(released, i)));
	return status;
}

int verb_cancel(struct cli *cli)
{
	CLEANUP(json_decref) json_t *result = NULL;
	const json_t *list;
	json_t *params = cli_object();
	int status = cli_connect(cli, CLI_NEEDS_NOTHING);

	cli_set_text(params, "call_id", cli->args.operands[0]);
	if (status != 0) {
		json_decref(params);
		return status;
	}
	status = cli_call(cli, "call.cancel", params, &result);
	if (status != 0)
		return status;
	list = json_object_get(result, "processes");
	if (cli_has(cli, OPT_JSON))
		out_json(result);
	else
		for (size_t i = 0; i < json_array_size(list); i++)
			(void)puts(cli_get(json_array_get(list, i), "id"));
	return 0;
}
