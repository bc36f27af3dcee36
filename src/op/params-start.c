/* SPDX-License-Identifier: Apache-2.0 */

/* Fields of what starts a command: process.start, process.run, policy.check. */

#include "rows.h"
#include "tables.h"

#define STDIN_SCHEMA                                                                     \
	"{\"anyOf\": [{\"type\": \"null\"}, {\"type\": \"string\", \"maxLength\": "      \
	"3145728},"                                                                      \
	" {\"type\": \"object\", \"properties\": {"                                      \
	"  \"text\": {\"type\": \"string\", \"maxLength\": 3145728},"                    \
	"  \"base64\": {\"type\": \"string\", \"maxLength\": 4194308},"                  \
	"  \"open\": {\"const\": true}, \"fd\": {\"const\": true}},"                     \
	" \"minProperties\": 1, \"maxProperties\": 1, \"additionalProperties\": "        \
	"false}]}"

static const char *const captures[] = { "separate", "combined", "discard", NULL };
static const char *const overflows[] = { "drop_oldest", "block", NULL };
static const char *const leftovers[] = { "keep", "kill", NULL };
static const char *const disconnects[] = { "detach", "kill", NULL };

#define LIMIT(member_, min_, max_, doc_)                                                 \
	{                                                                                \
		.name = #member_, .type = FIELD_UINT, AT_HAS(limits_params, member_),    \
		.min = (min_), .max = (max_), .audience = TO_ADMINS, .doc = doc_         \
	}

const struct field limits_fields[] = {
	LIMIT(cpu_seconds, 1, 31536000,
	      "Processor time that each process may use, in seconds (RLIMIT_CPU); "
	      "absent: as "
	      "the profile says."),
	LIMIT(open_files, 16, 1048576,
	      "Open descriptors per process (RLIMIT_NOFILE); absent: as the profile "
	      "says."),
	LIMIT(processes, 1, 4194304,
	      "Processes and threads that may exist at once; absent: as the profile "
	      "says."),
	LIMIT(file_bytes, 0, INT64_MAX,
	      "Size of the largest file that may be written, in bytes (RLIMIT_FSIZE); "
	      "absent: "
	      "as the profile says."),
	LIMIT(core_bytes, 0, INT64_MAX,
	      "Size of a core dump, in bytes (RLIMIT_CORE); absent: as the profile says, "
	      "usually none."),
	LIMIT(output_bytes, 1, INT64_MAX,
	      "Output of both streams together after which the command is ended, with "
	      "reason "
	      "output_limit; absent: as the profile says, usually none."),
	{ .name = "lifetime_ms",
	  .type = FIELD_UINT,
	  AT_HAS(limits_params, lifetime_ms),
	  .min = 1,
	  .max = UINT64_C(604800000),
	  .fallback = "21600000",
	  .audience = TO_ADMINS,
	  .doc = "Milliseconds after which the command and whatever it left behind is "
		 "ended, "
		 "with reason lifetime: 6 hours unless given, at most 7 days." },
	LIMIT(idle_ms, 1000, 604800000,
	      "Milliseconds without output, input or a reader after which the command is "
	      "ended, with reason idle; absent: none."),
	LIMIT(memory_bytes, 1048576, INT64_MAX,
	      "Memory of the command's processes together, in bytes; absent: as the "
	      "profile "
	      "says. A process beyond it is ended; see oom. Needs cgroups."),
	FIELD_END,
};

static const struct field pty_fields[] = {
	{ .name = "cols",
	  .type = FIELD_UINT,
	  AT(pty_params, cols),
	  .min = 1,
	  .max = 1000,
	  .fallback = "80",
	  .audience = TO_ALL,
	  .doc = "Width of the terminal in characters." },
	{ .name = "rows",
	  .type = FIELD_UINT,
	  AT(pty_params, rows),
	  .min = 1,
	  .max = 1000,
	  .fallback = "24",
	  .audience = TO_ALL,
	  .doc = "Height of the terminal in lines." },
	FIELD_END,
};

/*
 * All rows but timeout_ms, whose default differs. They are at the same offsets in
 * struct run_params, which begins with a struct start_params.
 */
/* clang-format off */
#define START_ROWS                                                                       \
	{ .name = "command", .type = FIELD_STRING, AT(start_params, command),            \
	  .min = 1, .max = REQ_COMMAND_MAX, .audience = TO_ALL, .model_required = true,  \
	  .doc = "Command line for a shell, as one would type it. Either this or argv." }, \
	{ .name = "argv", .type = FIELD_STRINGS, AT(start_params, argv),                 \
	  .min = 1, .max = REQ_ARGS_MAX, .max_item = REQ_ARG_MAX - 1,                    \
	  .audience = TO_CLIENTS,                                                        \
	  .doc = "Program and arguments, run without a shell, at most 2 MiB together. "  \
		 "Either this or command." },                                            \
	{ .name = "shell", .type = FIELD_STRING, AT(start_params, shell),                \
	  .min = 1, .max = PATH_BYTES_MAX, .text = &field_text_line,                     \
	  .audience = TO_CLIENTS,                                                        \
	  .doc = "Shell for command: a path, or a name that is looked up in the "        \
		 "command's PATH; it is called with -c. Absent: bash if it is there, "   \
		 "else sh." },                                                           \
	{ .name = "login", .type = FIELD_BOOL, AT(start_params, login),                  \
	  .fallback = "false", .audience = TO_CLIENTS,                                   \
	  .doc = "Run the shell as a login shell, so that it reads the profile files." }, \
	{ .name = "cwd", .type = FIELD_STRING, AT(start_params, cwd),                    \
	  .min = 1, .max = PATH_BYTES_MAX, .audience = TO_ALL,                           \
	  .doc = "Working directory: relative to the workspace, or absolute and inside " \
		 "it. Absent: the workspace itself." },                                  \
	{ .name = "env", .type = FIELD_ENV, AT(start_params, env),                       \
	  .max = 256, .max_item = 65536, .audience = TO_ALL,                             \
	  .doc = "Environment variables to set, by name, on top of what the profile "    \
		 "passes. Values are never journalled." },                               \
	{ .name = "stdin", .type = FIELD_CUSTOM, AT(start_params, stdin_spec),           \
	  .nullable = true, .decode = stdin_spec_decode, .fini = stdin_spec_fini,        \
	  .text = &req_text_stdin,                                                       \
	  .fallback = "null", .schema = STDIN_SCHEMA,                                    \
	  .model_schema = "{\"type\": \"string\", \"maxLength\": 3145728}",             \
	  .audience = TO_ALL,                                                            \
	  .doc = "Standard input. Text (at most 3 MiB) is fed to the command, then the " \
		 "input ends; null, the default, is empty input. Clients may also give " \
		 "{\"text\": T}, {\"base64\": B}, {\"open\": true} for a pipe that "     \
		 "process.write feeds, or {\"fd\": true} for the first descriptor that " \
		 "comes with the call." },                                               \
	{ .name = "grace_ms", .type = FIELD_UINT, AT(start_params, grace_ms),            \
	  .max = 30000, .fallback = "5000", .audience = TO_CLIENTS,                      \
	  .doc = "Milliseconds between the first signal and SIGKILL when the command "   \
		 "is ended by a timeout or another limit." },                            \
	{ .name = "profile", .type = FIELD_STRING, AT(start_params, profile),            \
	  .min = 1, .max = NAME_MAX_BYTES, .text = &req_text_name,                       \
	  .audience = TO_ADMINS,                                                         \
	  .doc = "Name of the isolation profile; one of those that the connection's "    \
		 "ceiling allows. Absent: the first of them." },                         \
	{ .name = "limits", .type = FIELD_OBJECT, AT(start_params, limits),              \
	  .fields = limits_fields, .audience = TO_ADMINS,                                \
	  .doc = "Limits for this command; they can be tighter than those of profile "   \
		 "and ceiling, never wider." },                                          \
	{ .name = "capture", .type = FIELD_ENUM, AT_HAS(start_params, capture),          \
	  .choices = captures, .fallback = "\"separate\"", .audience = TO_CLIENTS,       \
	  .doc = "How output is recorded: stdout and stderr separate, both combined in " \
		 "their true order, or discard. A pty is always combined." },            \
	{ .name = "ring_bytes", .type = FIELD_UINT, AT(start_params, ring_bytes),        \
	  .min = 4096, .max = 1073741824, .fallback = "1048576", .audience = TO_CLIENTS, \
	  .doc = "Bytes of output kept per stream, rounded up to a multiple of 4096. "   \
		 "Older output is dropped and counted." },                               \
	{ .name = "overflow", .type = FIELD_ENUM, AT(start_params, overflow),            \
	  .choices = overflows, .fallback = "\"drop_oldest\"", .audience = TO_CLIENTS,   \
	  .doc = "When the ring is full: drop_oldest, or block, which makes the command " \
		 "wait until its consumer has acknowledged output (and drops the oldest " \
		 "after all if that consumer stays away)." },                            \
	{ .name = "consumer", .type = FIELD_STRING, AT(start_params, consumer),          \
	  .min = 1, .max = NAME_MAX_BYTES, .text = &field_text_line,                     \
	  .audience = TO_CLIENTS,                                                        \
	  .doc = "With overflow block, and only then: name of the one reader that "      \
		 "acknowledges output, by process.read with ack or by process.attach." }, \
	{ .name = "pty", .type = FIELD_OBJECT, AT_HAS(start_params, pty),                \
	  .fields = pty_fields, .audience = TO_ALL,                                      \
	  .doc = "Run the command on a terminal of its own of this size, for programs "  \
		 "that need one. Its output is one stream, with control sequences." },   \
	{ .name = "label", .type = FIELD_STRING, AT(start_params, label),                \
	  .max = LABEL_MAX, .text = &field_text_line, .audience = TO_ALL,                \
	  .doc = "Short note for people, shown in listings; it can be listed by." },     \
	{ .name = "call_id", .type = FIELD_STRING, AT(start_params, call_id),            \
	  .min = 1, .max = LABEL_MAX, .text = &field_text_line, .audience = TO_CLIENTS,  \
	  .doc = "The caller's own name for this call, by which call.cancel finds what " \
		 "it started." },                                                        \
	{ .name = "idempotency_key", .type = FIELD_STRING,                               \
	  AT(start_params, idempotency_key),                                             \
	  .min = 1, .max = LABEL_MAX, .text = &field_text_line, .audience = TO_CLIENTS,  \
	  .doc = "The same key with the same request gives the process that is there "   \
		 "already, also after a crash; with another request it is a conflict." }, \
	{ .name = "trace_id", .type = FIELD_STRING, AT(start_params, trace_id),          \
	  .min = 32, .max = 32, .text = &req_text_trace_id, .audience = TO_CLIENTS,      \
	  .doc = "W3C trace id that the record carries and the command gets as "         \
		 "PROCTOR_TRACE_ID and in TRACEPARENT. Absent: a new one." },            \
	{ .name = "sandbox", .type = FIELD_STRING, AT(start_params, sandbox),            \
	  .min = 1, .max = ID_TEXT_MAX, .text = &field_text_line,                        \
	  .audience = TO_CLIENTS,                                                        \
	  .doc = "Id of a named sandbox (s_...) to run in, or \"new\" for a fresh one "  \
		 "of its own. Absent: the connection's default." },                      \
	{ .name = "leftover", .type = FIELD_ENUM, AT(start_params, leftover),            \
	  .choices = leftovers, .fallback = "\"keep\"", .audience = TO_CLIENTS,          \
	  .doc = "What becomes of processes that the command leaves behind: keep lets "  \
		 "them run, listed as lingering; kill ends them before the result." },   \
	{ .name = "on_disconnect", .type = FIELD_ENUM, AT(start_params, on_disconnect),  \
	  .choices = disconnects, .fallback = "\"detach\"", .audience = TO_CLIENTS,      \
	  .doc = "When the caller's connection is lost: detach lets the command run on, " \
		 "kill ends it." }

#define TIMEOUT_ROW(fallback_, doc_)                                                     \
	{ .name = "timeout_ms", .type = FIELD_UINT, AT(start_params, timeout_ms),        \
	  .nullable = true, .min = 1, .max = REQ_TIMEOUT_MAX_MS, .fallback = fallback_,  \
	  .audience = TO_ALL, .doc = doc_ }
/* clang-format on */

_Static_assert(offsetof(struct run_params, start) == 0, "START_ROWS serves both structs");

const struct field params_start[] = {
	START_ROWS,
	TIMEOUT_ROW(NULL,
		    "Milliseconds after which the command is ended, with reason timeout. "
		    "Absent or null: no timeout."),
	FIELD_END,
};

const struct field params_run[] = {
	START_ROWS,
	TIMEOUT_ROW("30000", "Milliseconds after which the command is ended, with reason "
			     "timeout. Absent: 30 seconds; null: no timeout."),
	{ .name = "wait_ms",
	  .type = FIELD_UINT,
	  AT_HAS(run_params, wait_ms),
	  .max = REQ_TIMEOUT_MAX_MS,
	  .audience = TO_CLIENTS,
	  .doc = "Milliseconds to wait for the end; then the answer says state running "
		 "and "
		 "where to read on, and the command runs on. Absent: wait until the "
		 "end." },
	{ .name = "max_output_bytes",
	  .type = FIELD_UINT,
	  AT(run_params, max_output_bytes),
	  .max = REQ_OUTPUT_MAX,
	  .fallback = "65536",
	  .audience = TO_CLIENTS,
	  .doc = "Bytes of output in the answer, per stream; of longer output the first "
		 "and "
		 "the last half of that are given, and the number left out." },
	{ .name = "stream",
	  .type = FIELD_BOOL,
	  AT(run_params, stream),
	  .fallback = "false",
	  .audience = TO_CLIENTS,
	  .doc = "Send output as events while the command runs, instead of in the "
		 "answer." },
	FIELD_END,
};
