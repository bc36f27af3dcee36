/* SPDX-License-Identifier: Apache-2.0 */

/* logs: recorded output, from the record or as it comes */

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "../base/fd.h"
#include "../wire/json.h"
#include "cli.h"
#include "out.h"
#include "relay.h"

#define CHUNK (256 << 10)
#define TAIL_BYTES (1 << 20)

struct logs {
	struct cli *cli;
	char id[64];
	bool hide[2];
	uint64_t at[2];
	uint64_t end[2]; /* bytes written when we began */
	uint64_t lost;
};

static const char *const names[] = { "stdout", "stderr" };

static int write_out(size_t s, const struct proctor_output *out)
{
	int r = fd_write_all(s == 0 ? STDOUT_FILENO : STDERR_FILENO, out->data, out->len);

	if (r == 0 || s == 1)
		return 0;
	if (r == -EPIPE)
		return 128 + SIGPIPE;
	cli_say(NULL, "standard output: %s", strerrordesc_np(-r));
	return err_info(ERR_INTERNAL)->exit_status;
}

/* One process.read of one stream. *ret is the result without its bytes. */
static int read_stream(struct logs *l, size_t s, json_t *params, json_t **ret)
{
	CLEANUP(json_decref) json_t *mine = params;
	CLEANUP(free) char *text = NULL;
	struct proctor_request q = { .size = sizeof(q), .op = "process.read" };
	struct proctor_output out;
	struct proctor_reply *reply;
	struct proctor_error e;
	int status = 0;

	cli_set_text(mine, "id", l->id);
	cli_set_text(mine, "stream", names[s]);
	text = cli_need_memory(json_dumps(mine, JSON_COMPACT));
	q.params = text;
	if (proctor_call(l->cli->p, &q, &reply, &e) < 0)
		return cli_fail_error(l->cli, &e);
	if (proctor_reply_code(reply) != PROCTOR_OK)
		status = cli_fail_error(l->cli, proctor_reply_error(reply));
	else if (proctor_reply_output(reply, s == 0 ? PROCTOR_STDOUT : PROCTOR_STDERR,
				      &out))
		status = write_out(s, &out);
	if (status == 0)
		*ret = cli_need_memory(json_loads(proctor_reply_meta(reply), 0, NULL));
	proctor_reply_free(reply);
	return status;
}

/* From at[s] to end[s]. */
static int copy_stream(struct logs *l, size_t s)
{
	while (l->at[s] < l->end[s]) {
		CLEANUP(json_decref) json_t *result = NULL;
		json_t *params = cli_object();
		long long next, lost;
		int status;

		cli_set(params, "offset", json_integer((json_int_t)l->at[s]));
		cli_set(params, "max_bytes", json_integer(CHUNK));
		status = read_stream(l, s, params, &result);
		if (status != 0)
			return status;
		next = cli_get_int(result, "next_offset");
		lost = cli_get_int(result, "lost_bytes");
		l->lost += lost > 0 ? (uint64_t)lost : 0;
		if (next < 0 || (uint64_t)next <= l->at[s])
			break;
		l->at[s] = (uint64_t)next;
	}
	return 0;
}

static int tail_stream(struct logs *l, size_t s, uint64_t lines)
{
	CLEANUP(json_decref) json_t *result = NULL;
	json_t *params;
	long long next;
	int status;

	if (lines == 0) {
		l->at[s] = l->end[s];
		return 0;
	}
	params = cli_object();
	cli_set(params, "tail_lines", json_integer((json_int_t)lines));
	cli_set(params, "max_bytes", json_integer(TAIL_BYTES));
	status = read_stream(l, s, params, &result);
	if (status != 0)
		return status;
	next = cli_get_int(result, "next_offset");
	l->at[s] = next > 0 ? (uint64_t)next : 0;
	return 0;
}

static int follow(struct logs *l)
{
	CLEANUP(json_decref) json_t *params = cli_object();
	struct relay_args args = {
		.op = "process.attach",
		.params = params,
		.pass_fd = -1,
		.id = l->id,
		.hide = { l->hide[0], l->hide[1] },
		.at = { l->at[0], l->at[1] },
		.watch_reader = !l->hide[0],
	};
	struct relay_result r;

	cli_set_text(params, "id", l->id);
	cli_set(params, "stdout_offset", json_integer((json_int_t)l->at[0]));
	cli_set(params, "stderr_offset", json_integer((json_int_t)l->at[1]));
	relay_run(l->cli, &args, &r);
	json_decref(r.record);
	l->lost += r.lost;
	switch (r.end) {
	case RELAY_FAILED:
		return cli_fail_error(l->cli, &r.error);
	case RELAY_BROKEN:
		return 128 + SIGPIPE;
	case RELAY_SIGNALED:
		return 128 + r.signal;
	case RELAY_ENDED:
	case RELAY_LEFT:
		break;
	}
	return 0;
}

static int logs_json(struct logs *l)
{
	CLEANUP(json_decref) json_t *result = NULL;
	json_t *params = cli_object();
	int status;

	cli_set_text(params, "id", l->id);
	cli_set_text(params, "stream",
		     l->hide[0] ? names[1] :
		     l->hide[1] ? names[0] :
				  "both");
	cli_set(params, "max_bytes", json_integer(TAIL_BYTES));
	if (cli_has(l->cli, OPT_TAIL) && l->cli->args.v[OPT_TAIL].number > 0)
		cli_set(params, "tail_lines",
			json_integer((json_int_t)l->cli->args.v[OPT_TAIL].number));
	else
		cli_set(params, "offset", json_integer((json_int_t)l->at[0]));
	status = cli_call(l->cli, "process.read", params, &result);
	if (status == 0)
		out_json(result);
	return status;
}

static int begin(struct logs *l)
{
	CLEANUP(json_decref) json_t *now = NULL;
	struct cli *cli = l->cli;
	json_t *params;
	int status = cli_target_id(cli, cli->args.operands[0], l->id);

	if (status != 0)
		return status;
	params = cli_object();
	cli_set_text(params, "id", l->id);
	status = cli_call(cli, "process.stats", params, &now);
	if (status != 0)
		return status;
	for (size_t s = 0; s < 2; s++) {
		l->at[s] = cli->args.v[OPT_SINCE].number;
		l->hide[s] = cli_has(cli, s == 0 ? OPT_STDERR : OPT_STDOUT) &&
			     !cli_has(cli, s == 0 ? OPT_STDOUT : OPT_STDERR);
	}
	l->end[0] = (uint64_t)MAX(cli_get_int(now, "stdout_bytes"), 0);
	l->end[1] = (uint64_t)MAX(cli_get_int(now, "stderr_bytes"), 0);
	/* Combined output and that of a terminal is one stream. */
	if (strcmp(cli_get(now, "capture"), "separate") != 0)
		l->hide[1] = true;
	return 0;
}

int verb_logs(struct cli *cli)
{
	struct logs l = { .cli = cli };
	int status = cli_connect(cli, CLI_NEEDS_NOTHING);

	if (status == 0)
		status = begin(&l);
	if (status != 0)
		return status;
	if (cli_has(cli, OPT_JSON))
		return logs_json(&l);
	for (size_t s = 0; status == 0 && s < 2; s++) {
		if (l.hide[s])
			l.at[s] = l.end[s];
		else if (cli_has(cli, OPT_TAIL))
			status = tail_stream(&l, s, cli->args.v[OPT_TAIL].number);
		else if (!cli_has(cli, OPT_FOLLOW))
			status = copy_stream(&l, s);
	}
	if (status == 0 && cli_has(cli, OPT_FOLLOW))
		status = follow(&l);
	if (l.lost > 0)
		cli_say(NULL, "%llu bytes are no longer held",
			(unsigned long long)l.lost);
	return status;
}
