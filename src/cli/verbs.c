/* SPDX-License-Identifier: Apache-2.0 */

/* The table of verbs, in the order of `proctor help`, and the way into them. */

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"
#include "out.h"

#define RUNS (OPT_G_COMMAND | OPT_G_CEILING)

/* clang-format off */
const struct verb verb_table[] = {
	{ "run", verb_run, RUNS | OPT_G_FRONT | OPT_G_SANDBOX | OPT_G_JSON,
	  VERB_COMMAND | VERB_PASSES, 1, -1, "[--] COMMAND [ARG]...",
	  "Run a command in a sandbox, show its output, end as it does",
	  "Ends with the command's exit status; 128 + N after signal N; 124 at --timeout; 125 if\n"
	  "proctor itself failed; 126 if COMMAND cannot be executed, 127 if there is none." },
	{ "sh", verb_sh, RUNS | OPT_G_FRONT | OPT_G_SANDBOX | OPT_G_SH | OPT_G_JSON,
	  VERB_COMMAND | VERB_PASSES, 0, -1, "[-c COMMAND] [ARG]...",
	  "The same with a shell: stands in for bash -c", NULL },
	{ "exec", verb_exec, RUNS | OPT_G_FRONT | OPT_G_JSON,
	  VERB_COMMAND | VERB_PASSES, 2, -1, "SANDBOX [--] COMMAND [ARG]...",
	  "Run a command in a named sandbox", NULL },
	{ "start", verb_start, RUNS | OPT_G_SANDBOX | OPT_G_FRONT | OPT_G_JSON, VERB_COMMAND, 1, -1,
	  "[--] COMMAND [ARG]...", "Start a command in the background and print its id", NULL },
	{ "attach", verb_attach, OPT_G_ATTACH | OPT_G_JSON, VERB_PASSES, 1, 1, "ID",
	  "Show the output of a command that runs, and pass input and signals to it", NULL },
	{ "ps", verb_ps, OPT_G_PS | OPT_G_JSON, 0, 0, 0, "", "List commands",
	  "Filters: label=TEXT, sandbox=ID, agent=NAME, state=running|exited|all." },
	{ "logs", verb_logs, OPT_G_LOGS | OPT_G_JSON, 0, 1, 1, "ID",
	  "Show recorded output",
	  "Standard output comes first, standard error to standard error; with --follow as they\n"
	  "come. Output that the record no longer holds is counted on standard error." },
	{ "wait", verb_wait, OPT_G_WAIT | OPT_G_JSON, 0, 1, 64, "ID...",
	  "Wait for commands and print their exit statuses", NULL },
	{ "kill", verb_kill, OPT_G_KILL | OPT_G_JSON, VERB_SIGNALS, 1, -1, "ID...",
	  "End commands and all that they started, and see that they are gone", NULL },
	{ "stop", verb_kill, OPT_G_KILL | OPT_G_JSON, VERB_SIGNALS | VERB_HIDDEN, 1, -1, "ID...",
	  "The same as kill", NULL },
	{ "signal", verb_signal, OPT_G_SIGNAL | OPT_G_JSON, VERB_SIGNALS, 1, -1, "[SIGNAL] ID...",
	  "Send a signal once", NULL },
	{ "write", verb_write, OPT_G_WRITE | OPT_G_JSON, 0, 1, 2, "ID [TEXT]",
	  "Write TEXT, or standard input, to a command's input", NULL },
	{ "inspect", verb_inspect, 0, 0, 1, -1, "ID...",
	  "Print all that is known of commands or sandboxes, as JSON", NULL },
	{ "stats", verb_stats, OPT_G_STATS | OPT_G_JSON, 0, 0, -1, "[ID]...",
	  "Show what commands use now", NULL },
	{ "top", verb_top, OPT_G_STATS | OPT_G_JSON, 0, 0, -1, "[ID]...",
	  "The same, again and again, the busiest first", NULL },
	{ "rm", verb_rm, OPT_G_RM | OPT_G_JSON, 0, 1, -1, "ID...", "Forget ended commands", NULL },
	{ "prune", verb_prune, OPT_G_JSON, 0, 0, 0, "", "Forget all ended commands", NULL },
	{ "cancel", verb_cancel, OPT_G_JSON, 0, 1, 1, "CALL_ID",
	  "End exactly what the call with this --call-id started", NULL },
	{ "sandbox create", verb_sandbox_create, OPT_G_NEW_SANDBOX | OPT_G_CEILING | OPT_G_JSON, 0,
	  0, 0, "", "Make a named sandbox and print its id", NULL },
	{ "sandbox ls", verb_sandbox_ls, OPT_G_JSON | OPT_G_QUIET, 0, 0, 0, "",
	  "List named sandboxes", NULL },
	{ "sandbox inspect", verb_sandbox_inspect, 0, 0, 1, -1, "ID...",
	  "Print all that is known of sandboxes, as JSON", NULL },
	{ "sandbox rm", verb_sandbox_rm, OPT_G_JSON, 0, 1, -1, "ID...",
	  "End all that runs in a sandbox and remove it", NULL },
	{ "sandbox list", verb_sandbox_ls, OPT_G_JSON | OPT_G_QUIET, VERB_HIDDEN, 0, 0, "",
	  "The same as sandbox ls", NULL },
	{ "sandbox get", verb_sandbox_inspect, 0, VERB_HIDDEN, 1, -1, "ID...",
	  "The same as sandbox inspect", NULL },
	{ "sandbox destroy", verb_sandbox_rm, OPT_G_JSON, VERB_HIDDEN, 1, -1, "ID...",
	  "The same as sandbox rm", NULL },
	{ "events", verb_events, OPT_G_EVENTS | OPT_G_JSON, 0, 0, 1, "[ID]",
	  "Show events as they happen", NULL },
	{ "policy show", verb_policy_show, OPT_G_CEILING | OPT_G_JSON, 0, 0, 1, "[PROFILE]",
	  "Show a profile and what is allowed", NULL },
	{ "policy check", verb_policy_check, RUNS | OPT_G_SANDBOX | OPT_G_JSON, VERB_COMMAND, 1, -1,
	  "[--] COMMAND [ARG]...", "Say whether a command would be allowed, and how it would run",
	  NULL },
	{ "doctor", verb_doctor, OPT_G_CEILING | OPT_G_JSON, 0, 0, 1, "[PROFILE]",
	  "Examine what this machine can do, and how to get the rest", NULL },
	{ "daemon start", verb_daemon_start, OPT_G_JSON, 0, 0, 0, "",
	  "Start the engine, if none runs", NULL },
	{ "daemon stop", verb_daemon_stop, OPT_G_STOP, 0, 0, 0, "",
	  "Stop the engine; commands run on", NULL },
	{ "daemon restart", verb_daemon_restart, OPT_G_STOP, 0, 0, 0, "",
	  "Stop the engine and start it again; commands run on", NULL },
	{ "daemon status", verb_daemon_status, OPT_G_JSON, 0, 0, 0, "",
	  "Show whether the engine runs, and how it does", NULL },
	{ "box show", verb_box_show, OPT_G_BOX | OPT_G_JSON, 0, 1, 1, "FILE",
	  "Read a black box, without any engine", NULL },
	{ "version", verb_version, OPT_G_JSON, 0, 0, 0, "", "Print the version", NULL },
	{ "help", verb_help, OPT_G_HELP, 0, 0, 2, "[VERB]", "Explain verbs", NULL },
	{ .name = NULL },
};
/* clang-format on */

static bool matches(const struct verb *v, int argc, char *const *argv, int *ret_words)
{
	const char *space = strchr(v->name, ' ');
	size_t n = space ? (size_t)(space - v->name) : strlen(v->name);

	if (strlen(argv[0]) != n || memcmp(argv[0], v->name, n) != 0)
		return false;
	if (!space) {
		*ret_words = 1;
		return true;
	}
	*ret_words = 2;
	return argc > 1 && strcmp(argv[1], space + 1) == 0;
}

int verb_find(int argc, char *const *argv, const struct verb **ret)
{
	int words = 0;

	if (argc < 1)
		return 0;
	for (const struct verb *v = verb_table; v->name; v++) {
		if (matches(v, argc, argv, &words)) {
			*ret = v;
			return words;
		}
	}
	return 0;
}

static int unknown_verb(const struct cli *cli, int argc, char *const *argv)
{
	const char *best = NULL;
	size_t least = 3;

	for (const struct verb *v = verb_table; v->name; v++) {
		const char *space = strchr(v->name, ' ');
		size_t n = space ? (size_t)(space - v->name) : 0, d;

		/* The first word of two, alone or with a wrong second one. */
		if (n > 0 && strlen(argv[0]) == n && memcmp(argv[0], v->name, n) == 0)
			return argc > 1 ? cli_usage(cli, "unknown verb \"%s %s\"",
						    argv[0], argv[1]) :
					  cli_usage(cli,
						    "\"%s\" needs a second word, such as "
						    "\"%s\"",
						    argv[0], v->name);
		d = opt_distance(argv[0], v->name);
		if (d < least && d < strlen(v->name)) {
			least = d;
			best = v->name;
		}
	}
	if (best)
		return cli_usage(cli, "unknown verb \"%s\": did you mean \"%s\"?",
				 argv[0], best);
	return cli_usage(cli, "unknown verb \"%s\"", argv[0]);
}

static int check_operands(const struct cli *cli)
{
	const struct verb *v = cli->verb;
	int n = cli->args.n_operands;

	if (n < v->min)
		return cli_usage(cli, "%s: something is missing: proctor %s %s", v->name,
				 v->name, v->operands);
	if (v->max >= 0 && n > v->max)
		return cli_usage(cli, "%s: \"%s\" is too much", v->name,
				 cli->args.operands[v->max]);
	return 0;
}

static int run_verb(struct cli *cli, int argc, char **argv)
{
	struct opt_spec spec = {
		.groups = cli->verb->groups,
		.order =
			cli->verb->flags & VERB_COMMAND ? OPT_STOP_AT_OPERAND : OPT_MIXED,
		.signals = cli->verb->flags & VERB_SIGNALS,
	};
	struct err err;
	int status, ended;

	if (opt_parse(&spec, argc, argv, &cli->args, &err) < 0)
		return cli_usage(cli, "%s: %s", cli->verb->name, err.msg);
	if (cli_has(cli, OPT_HELP))
		return verb_help(cli);
	status = check_operands(cli);
	if (status != 0)
		return status;
	status = cli->verb->run(cli);
	ended = out_end();
	return ended != 0 ? ended : status;
}

/* A file opened later must not become what others take for standard output. */
static void fill_standard_descriptors(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDWR);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd > STDERR_FILENO)
		(void)close(fd);
}

int cli_main(int argc, char **argv)
{
	struct cli *cli = cli_need_memory(calloc(1, sizeof(*cli)));
	char help[] = "help", version[] = "version";
	int words, status;

	fill_standard_descriptors();
	/* A reader that has gone is an error of a write, not an end. */
	(void)signal(SIGPIPE, SIG_IGN);
	if (argc > 1 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0))
		argv[1] = help;
	else if (argc > 1 && strcmp(argv[1], "--version") == 0)
		argv[1] = version;
	if (argc < 2) {
		status = cli_usage(cli, "which verb?");
		free(cli);
		return status;
	}
	words = verb_find(argc - 1, argv + 1, &cli->verb);
	if (words == 0)
		status = unknown_verb(cli, argc - 1, argv + 1);
	else
		status = run_verb(cli, argc - 1 - words, argv + 1 + words);
	proctor_close(cli->p);
	free(cli);
	return status;
}
