/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * cli - what the verbs of the command line share
 *
 * One table of verbs (verbs.c); one file per group of verbs, which gets a struct
 * cli and returns the exit status. Verbs that pass a command's output through end
 * as the command did, with CLI_FAILED if proctor itself failed; all others with
 * the status of their error (err.h).
 *
 * The program exits when it is out of memory.
 */

#include <jansson.h>
#include <proctor/proctor.h>
#include <stdbool.h>

#include "../base/err.h"
#include "../base/macro.h"
#include "opt.h"
#include "workspace.h"

/* What `run`, `sh`, `exec` and `attach` end with when the command did not end so. */
#define CLI_TIMEOUT 124
#define CLI_FAILED 125
#define CLI_NOT_EXECUTABLE 126
#define CLI_NOT_FOUND 127

struct cli;

enum verb_flag {
	VERB_COMMAND = 1 << 0, /* a command follows: options end before it */
	VERB_SIGNALS = 1 << 1, /* takes -9 and -HUP */
	VERB_PASSES = 1 << 2,  /* passes exit statuses through */
	VERB_HIDDEN = 1 << 3,  /* another name: not in help */
};

struct verb {
	const char *name; /* one word, or two: "sandbox create" */
	int (*run)(struct cli *cli);
	unsigned int groups; /* of enum opt_group */
	unsigned int flags;  /* of enum verb_flag */
	int min, max;	     /* operands; max -1 = any number */
	const char *operands;
	const char *doc;
	const char *more; /* lines below the options, or NULL */
};

extern const struct verb verb_table[]; /* ends with name NULL */

struct cli {
	const struct verb *verb;
	struct opt_args args;
	struct proctor *p; /* once connected */
	struct workspace ws;
	bool has_ws;
};

/* The whole program: the exit status. */
int cli_main(int argc, char **argv);

/* Words of argv that name the verb; 0 if none does. */
int verb_find(int argc, char *const *argv, const struct verb **ret);

/* --- options --- */

static inline bool cli_has(const struct cli *cli, enum opt_id id)
{
	return cli->args.v[id].given;
}
static inline const char *cli_text(const struct cli *cli, enum opt_id id)
{
	return cli->args.v[id].text;
}

/* --- failing: one message on stderr; they return the exit status --- */

/* "proctor: MESSAGE", with a hint on a line of its own if it is not NULL. */
void cli_say(const char *hint, const char *fmt, ...) PRINTF(2, 3);
int cli_fail(const struct cli *cli, const struct err *err);
int cli_fail_error(const struct cli *cli, const struct proctor_error *e);
int cli_usage(const struct cli *cli, const char *fmt, ...) PRINTF(2, 3);

/* --- the engine --- */

enum cli_need {
	CLI_NEEDS_NOTHING,
	CLI_NEEDS_WORKSPACE, /* commands may be started */
};

/* 0, or the exit status after the message. */
int cli_connect(struct cli *cli, enum cli_need need);
int cli_reconnect(struct cli *cli, struct proctor_error *e); /* with the same ceiling */
int cli_connect_running(struct cli *cli, struct proctor_error *e); /* never starts one */

/*
 * Calls and waits. params may be NULL and is taken. On success *ret is a new
 * reference; else the message was printed and the exit status is returned.
 */
int cli_call(struct cli *cli, const char *op, json_t *params, json_t **ret);

/* The same, without a message. */
int cli_try(struct cli *cli, const char *op, json_t *params, json_t **ret,
	    struct proctor_error *e);

/*
 * {"id": ...} or {"pid": ...} for what a person typed: an id, a process number, or
 * the label of one command. NULL after a message; *ret_status is then set.
 */
json_t *cli_target(struct cli *cli, const char *text, int *ret_status);

/* Its id alone, also for operations that take no pid. 0 or the exit status. */
int cli_target_id(struct cli *cli, const char *text, char id[static 64]);

/* --- JSON --- */

/* Out of memory ends the program. The value is taken. */
void cli_set(json_t *object, const char *key, json_t *value);
void cli_set_text(json_t *object, const char *key, const char *text);
json_t *cli_object(void);
void *cli_need_memory(void *p);

/* Borrowed, never NULL: "" where there is no such text. */
const char *cli_get(const json_t *object, const char *key);
/* -1 where there is no such number. */
long long cli_get_int(const json_t *object, const char *key);
bool cli_get_bool(const json_t *object, const char *key);

/* --- the verbs --- */

int verb_run(struct cli *cli);
int verb_start(struct cli *cli);
int verb_sh(struct cli *cli);
int verb_exec(struct cli *cli);
int verb_attach(struct cli *cli);
int verb_ps(struct cli *cli);
int verb_stats(struct cli *cli);
int verb_top(struct cli *cli);
int verb_inspect(struct cli *cli);
int verb_logs(struct cli *cli);
int verb_wait(struct cli *cli);
int verb_kill(struct cli *cli);
int verb_signal(struct cli *cli);
int verb_write(struct cli *cli);
int verb_rm(struct cli *cli);
int verb_prune(struct cli *cli);
int verb_cancel(struct cli *cli);
int verb_events(struct cli *cli);
int verb_sandbox_create(struct cli *cli);
int verb_sandbox_ls(struct cli *cli);
int verb_sandbox_inspect(struct cli *cli);
int verb_sandbox_rm(struct cli *cli);
int verb_policy_show(struct cli *cli);
int verb_policy_check(struct cli *cli);
int verb_doctor(struct cli *cli);
int verb_daemon_start(struct cli *cli);
int verb_daemon_stop(struct cli *cli);
int verb_daemon_restart(struct cli *cli);
int verb_daemon_status(struct cli *cli);
int verb_box_show(struct cli *cli);
int verb_version(struct cli *cli);
int verb_help(struct cli *cli);
