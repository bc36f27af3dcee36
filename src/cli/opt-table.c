/* SPDX-License-Identifier: Apache-2.0 */

/* The table of options. The order is that of --help. */

#include "opt.h"

#define DAY UINT64_C(86400000)

static const char *const captures[] = { "separate", "combined", "discard", NULL };
static const char *const overflows[] = { "drop_oldest", "block", NULL };
static const char *const leftovers[] = { "keep", "kill", NULL };
static const char *const disconnects[] = { "detach", "kill", NULL };
static const char *const scopes[] = { "tree", "process", NULL };
static const char *const fors[] = { "exited", "closed", "empty", NULL };
static const char *const levels[] = { "error", "warning", "info", "debug", NULL };
static const char *const outputs[] = { "stdout", "stderr", NULL };

#define TEXT(id_, name_, letter_, arg_, groups_, doc_)                                   \
	{                                                                                \
		.id = (id_), .name = name_, .letter = letter_, .arg = arg_,              \
		.kind = OPT_IS_TEXT, .groups = (groups_), .doc = doc_                    \
	}
#define FLAG(id_, name_, letter_, groups_, doc_)                                         \
	{                                                                                \
		.id = (id_), .name = name_, .letter = letter_, .kind = OPT_IS_FLAG,      \
		.groups = (groups_), .doc = doc_                                         \
	}
#define LIST(id_, name_, letter_, arg_, groups_, doc_)                                   \
	{                                                                                \
		.id = (id_), .name = name_, .letter = letter_, .arg = arg_,              \
		.kind = OPT_IS_LIST, .groups = (groups_), .doc = doc_                    \
	}
#define CHOICE(id_, name_, choices_, arg_, groups_, doc_)                                \
	{                                                                                \
		.id = (id_), .name = name_, .arg = arg_, .kind = OPT_IS_CHOICE,          \
		.choices = (choices_), .groups = (groups_), .doc = doc_                  \
	}
#define AMOUNT(id_, name_, letter_, kind_, arg_, min_, max_, groups_, doc_)              \
	{                                                                                \
		.id = (id_), .name = name_, .letter = letter_, .arg = arg_,              \
		.kind = (kind_), .min = (min_), .max = (max_), .groups = (groups_),      \
		.doc = doc_                                                              \
	}

/* clang-format off */
const struct opt opt_table[] = {
	FLAG(OPT_DETACH, "detach", 'd', OPT_G_FRONT,
	     "Start the command, print its id and do not wait for it."),
	FLAG(OPT_INTERACTIVE, "interactive", 'i', OPT_G_FRONT | OPT_G_ATTACH,
	     "Pass standard input on, from a terminal too; with -d keep it open for `proctor "
	     "write`."),
	FLAG(OPT_TTY, "tty", 't', OPT_G_FRONT, "Run the command on a terminal of its own."),
	FLAG(OPT_RM, "rm", 0, OPT_G_FRONT, "Forget the record when the command has ended."),
	TEXT(OPT_DETACH_KEYS, "detach-keys", 0, "KEYS", OPT_G_FRONT | OPT_G_ATTACH,
	     "Keys that leave a terminal while its command runs on (ctrl-p,ctrl-q)."),
	FLAG(OPT_NEW, "new", 0, OPT_G_ATTACH, "Show only output from now on."),

	TEXT(OPT_COMMAND, "command", 'c', "COMMAND", OPT_G_SH, "The command line for the shell."),
	TEXT(OPT_SHELL, "shell", 0, "SHELL", OPT_G_SH,
	     "Shell to use: a name or a path (bash if it is there, else sh)."),
	FLAG(OPT_LOGIN, "login", 'l', OPT_G_SH, "Run the shell as a login shell."),

	LIST(OPT_ENV, "env", 'e', "NAME[=VALUE]", OPT_G_COMMAND,
	     "Set a variable; without a value, pass it on from here."),
	TEXT(OPT_WORKDIR, "workdir", 'w', "DIR", OPT_G_COMMAND,
	     "Working directory, inside the workspace (the current directory)."),
	TEXT(OPT_LABEL, "label", 0, "TEXT", OPT_G_COMMAND | OPT_G_NEW_SANDBOX,
	     "A note by which it can be found again."),
	TEXT(OPT_LABEL, "name", 0, "TEXT", OPT_G_COMMAND | OPT_G_NEW_SANDBOX, "The same as --label."),
	AMOUNT(OPT_TIMEOUT, "timeout", 0, OPT_IS_MS, "TIME", 1, DAY, OPT_G_COMMAND,
	       "End the command after this time, such as 30s or 5m (none)."),
	AMOUNT(OPT_GRACE, "grace", 0, OPT_IS_MS, "TIME", 0, 30000, OPT_G_COMMAND | OPT_G_KILL,
	       "Time between the first signal and SIGKILL (5s)."),
	AMOUNT(OPT_LIFETIME, "lifetime", 0, OPT_IS_MS, "TIME", 1, 7 * DAY,
	       OPT_G_COMMAND | OPT_G_NEW_SANDBOX,
	       "End it with all that it left behind after this time (commands: 6h)."),
	AMOUNT(OPT_IDLE, "idle", 0, OPT_IS_MS, "TIME", 1000, 7 * DAY,
	       OPT_G_COMMAND | OPT_G_NEW_SANDBOX,
	       "End it after this time without use (none)."),
	CHOICE(OPT_LEFTOVER, "leftover", leftovers, "WHAT", OPT_G_COMMAND,
	       "Processes left behind at the end: keep them, or kill them (keep)."),
	CHOICE(OPT_ON_DISCONNECT, "on-disconnect", disconnects, "WHAT", OPT_G_COMMAND,
	       "If this program dies: detach, or kill the command (detach)."),
	AMOUNT(OPT_MEMORY, "memory", 'm', OPT_IS_BYTES, "BYTES", 1 << 20, INT64_MAX, OPT_G_COMMAND,
	       "Memory of all its processes together, such as 512m."),
	TEXT(OPT_CPUS, "cpus", 0, "N", OPT_G_COMMAND, "Processors that it may keep busy."),
	AMOUNT(OPT_PIDS, "pids", 0, OPT_IS_NUMBER, "N", 1, 4194304, OPT_G_COMMAND,
	       "Processes and threads that may exist at once."),
	AMOUNT(OPT_PIDS, "pids-limit", 0, OPT_IS_NUMBER, "N", 1, 4194304, OPT_G_COMMAND,
	       "The same as --pids."),
	AMOUNT(OPT_CPU_TIME, "cpu-time", 0, OPT_IS_MS, "TIME", 1000, 365 * DAY, OPT_G_COMMAND,
	       "Processor time of each process."),
	AMOUNT(OPT_OPEN_FILES, "open-files", 0, OPT_IS_NUMBER, "N", 16, 1048576, OPT_G_COMMAND,
	       "Open descriptors of each process."),
	AMOUNT(OPT_FILE_SIZE, "file-size", 0, OPT_IS_BYTES, "BYTES", 0, INT64_MAX, OPT_G_COMMAND,
	       "Size of the largest file that it may write."),
	AMOUNT(OPT_CORE_SIZE, "core-size", 0, OPT_IS_BYTES, "BYTES", 0, INT64_MAX, OPT_G_COMMAND,
	       "Size of a core dump."),
	AMOUNT(OPT_OUTPUT_LIMIT, "output-limit", 0, OPT_IS_BYTES, "BYTES", 1, INT64_MAX,
	       OPT_G_COMMAND, "End the command after this much output."),
	CHOICE(OPT_CAPTURE, "capture", captures, "HOW", OPT_G_COMMAND,
	       "Record stdout and stderr separate, combined, or discard both (separate)."),
	AMOUNT(OPT_RING, "ring", 0, OPT_IS_BYTES, "BYTES", 4096, 1 << 30, OPT_G_COMMAND,
	       "Output that is kept of each stream (1m)."),
	CHOICE(OPT_OVERFLOW, "overflow", overflows, "HOW", OPT_G_COMMAND,
	       "When that is full: drop_oldest, or block the command (drop_oldest)."),
	TEXT(OPT_CALL_ID, "call-id", 0, "TEXT", OPT_G_COMMAND,
	     "Name of this call, for `proctor cancel`."),
	TEXT(OPT_IDEMPOTENCY_KEY, "idempotency-key", 0, "TEXT", OPT_G_COMMAND,
	     "Run only once what is asked for again with the same key."),
	TEXT(OPT_TRACE_ID, "trace-id", 0, "HEX", OPT_G_COMMAND, "W3C trace id, 32 hex digits."),
	TEXT(OPT_SANDBOX, "sandbox", 0, "ID", OPT_G_SANDBOX | OPT_G_EVENTS,
	     "The named sandbox to use (a fresh one)."),
	TEXT(OPT_PROFILE, "profile", 0, "NAME", OPT_G_CEILING, "Isolation profile."),
	TEXT(OPT_WORKSPACE, "workspace", 0, "DIR", OPT_G_CEILING,
	     "Directory that may be written to (the git work tree, else the current one)."),

	FLAG(OPT_ALL, "all", 'a', OPT_G_PS, "Ended ones too."),
	FLAG(OPT_QUIET, "quiet", 'q', OPT_G_PS | OPT_G_QUIET, "Print ids alone."),
	LIST(OPT_FILTER, "filter", 'f', "KEY=VALUE", OPT_G_PS,
	     "Only those with this label, sandbox, agent or state."),
	FLAG(OPT_FOLLOW, "follow", 'f', OPT_G_LOGS, "Go on as output comes, to the end."),
	AMOUNT(OPT_SINCE, "since", 0, OPT_IS_BYTES, "OFFSET", 0, INT64_MAX, OPT_G_LOGS,
	       "Begin at this byte of the stream: output carries no times."),
	AMOUNT(OPT_TAIL, "tail", 'n', OPT_IS_NUMBER, "LINES", 0, 100000, OPT_G_LOGS,
	       "Begin with the last lines."),
	FLAG(OPT_STDOUT, "stdout", 0, OPT_G_LOGS, "Standard output alone."),
	FLAG(OPT_STDERR, "stderr", 0, OPT_G_LOGS, "Standard error alone."),
	FLAG(OPT_WATCH, "watch", 'w', OPT_G_STATS, "Show it again and again."),
	AMOUNT(OPT_INTERVAL, "interval", 0, OPT_IS_MS, "TIME", 100, DAY, OPT_G_STATS,
	       "Time from one to the next with --watch (2s)."),
	TEXT(OPT_SIGNAL, "signal", 's', "SIGNAL", OPT_G_KILL | OPT_G_SIGNAL,
	     "Signal, by name or number; -9 and -HUP are understood."),
	CHOICE(OPT_SCOPE, "scope", scopes, "WHOM", OPT_G_SIGNAL,
	       "All of its processes (tree), or the main one (process)."),
	FLAG(OPT_DRY_RUN, "dry-run", 0, OPT_G_KILL, "Only say what would be signalled."),
	TEXT(OPT_REASON, "reason", 0, "TEXT", OPT_G_KILL, "Why, for the journal."),
	FLAG(OPT_FORCE, "force", 'f', OPT_G_RM, "End it first if it still runs."),
	FLAG(OPT_CLOSE, "close", 'c', OPT_G_WRITE, "Close its input afterwards."),
	FLAG(OPT_NEWLINE, "newline", 'n', OPT_G_WRITE, "Add a newline to TEXT."),
	AMOUNT(OPT_TIMEOUT, "timeout", 0, OPT_IS_MS, "TIME", 0, DAY, OPT_G_WAIT,
	       "Wait no longer than this; then exit with 75 (no end)."),
	CHOICE(OPT_FOR, "for", fors, "WHAT", OPT_G_WAIT,
	       "Its exit, its output closed, or no process of it left (exited)."),
	LIST(OPT_KIND, "kind", 0, "KIND", OPT_G_EVENTS, "Only events of this kind: start, exit ..."),
	TEXT(OPT_LABEL, "label", 0, "TEXT", OPT_G_EVENTS, "Only those with this label."),
	CHOICE(OPT_LEVEL, "level", levels, "LEVEL", OPT_G_EVENTS,
	       "Of log lines, this level and graver ones."),
	FLAG(OPT_KILL, "kill", 0, OPT_G_STOP, "End all commands as well."),
	CHOICE(OPT_OUTPUT, "output", outputs, "STREAM", OPT_G_BOX,
	       "Print the recorded bytes of this stream instead."),
	FLAG(OPT_MAN, "man", 0, OPT_G_HELP, "Print verbs and options as a part of a manual page (man(7))."),
	FLAG(OPT_BASH, "bash", 0, OPT_G_HELP, "Print the completion for bash."),
	FLAG(OPT_ZSH, "zsh", 0, OPT_G_HELP, "Print the completion for zsh."),
	FLAG(OPT_FISH, "fish", 0, OPT_G_HELP, "Print the completion for fish."),
	FLAG(OPT_JSON, "json", 0, OPT_G_JSON, "Print JSON."),
	FLAG(OPT_HELP, "help", 'h', OPT_G_ALL, "Show what the verb takes."),
	{ .name = NULL },
};
/* clang-format on */
