/* SPDX-License-Identifier: Apache-2.0 */

/* Fields of all operations but those that start a command. */

#include <string.h>

#include "../base/log.h"
#include "rows.h"
#include "tables.h"

#define SIGNAL_SCHEMA                                                                    \
	"{\"anyOf\": [{\"type\": \"string\", \"maxLength\": 16},"                        \
	" {\"type\": \"integer\", \"minimum\": 1, \"maximum\": 64}]}"

static const char *const states[] = { "running", "exited", "all", NULL };
static const char *const wait_fors[] = { "exited", "closed", "empty", NULL };
static const char *const streams[] = { "stdout", "stderr", "both", NULL };
static const char *const encodings[] = { "auto", "utf-8", "base64", NULL };
static const char *const write_encodings[] = { "utf-8", "base64", NULL };
static const char *const scopes[] = { "tree", "process", NULL };
static const char *const levels[] = { "error", "warning", "info", "debug", NULL };
static const char *const hello_sandboxes[] = { "fresh", "own", NULL };
static const char *const watch_kinds[] = { "start",	"exit",	  "closed", "empty",
					   "heartbeat", "denial", "log",    NULL };

_Static_assert(LOG_LEVEL_ERROR == 0 && LOG_LEVEL_DEBUG == 3,
	       "levels[] is in their order");

/* clang-format off */
#define PROCESS_ID_ROW(type_, member_, required_, doc_)                                  \
	{ .name = "id", .type = FIELD_STRING, AT(type_, member_),                        \
	  .min = 1, .max = ID_TEXT_MAX, .required = (required_), .audience = TO_ALL,     \
	  .doc = doc_ }

/* A struct that begins with a struct target_params. */
#define TARGET_ROWS                                                                      \
	PROCESS_ID_ROW(target_params, id, false,                                         \
		       "Id of the process, p_..., as it was given when it was started. " \
		       "Either this or pid."),                                           \
	{ .name = "pid", .type = FIELD_UINT, AT(target_params, pid),                     \
	  .min = 1, .max = PID_LIMIT, .audience = TO_ALL,                                \
	  .doc = "The host's process number of one of the caller's own running "         \
		 "processes, instead of id." }

#define PAGE_ROWS(type_)                                                                 \
	{ .name = "limit", .type = FIELD_UINT, AT(type_, limit),                         \
	  .min = 1, .max = 1000, .fallback = "100", .audience = TO_CLIENTS,              \
	  .doc = "How many to give at most in one answer." },                            \
	{ .name = "cursor", .type = FIELD_STRING, AT(type_, cursor),                     \
	  .min = 1, .max = LABEL_MAX, .text = &field_text_line, .audience = TO_CLIENTS,  \
	  .doc = "next_cursor of the answer before, to go on from there." }

#define GRACE_ROW(type_)                                                                 \
	{ .name = "grace_ms", .type = FIELD_UINT, AT(type_, grace_ms),                   \
	  .max = 30000, .fallback = "5000", .audience = TO_CLIENTS,                      \
	  .doc = "Milliseconds between the first signal and SIGKILL." }

#define LABEL_ROW(type_, audience_, doc_)                                                \
	{ .name = "label", .type = FIELD_STRING, AT(type_, label),                       \
	  .max = LABEL_MAX, .text = &field_text_line, .audience = (audience_), .doc = doc_ }

#define SANDBOX_ROW(type_, doc_)                                                         \
	{ .name = "sandbox", .type = FIELD_STRING, AT(type_, sandbox),                   \
	  .min = 1, .max = ID_TEXT_MAX, .text = &field_text_line,                        \
	  .audience = TO_CLIENTS, .doc = doc_ }

#define SANDBOX_ID_ROW(type_)                                                            \
	{ .name = "id", .type = FIELD_STRING, AT(type_, id), .required = true,           \
	  .min = 1, .max = ID_TEXT_MAX, .audience = TO_CLIENTS,                          \
	  .doc = "Id of the sandbox, s_..., as sandbox.create gave it." }

#define PROFILE_ROW(type_, audience_, doc_)                                              \
	{ .name = "profile", .type = FIELD_STRING, AT(type_, profile),                   \
	  .min = 1, .max = NAME_MAX_BYTES, .text = &req_text_name,                       \
	  .audience = (audience_), .doc = doc_ }

#define SIGNAL_ROW(type_, required_, fallback_, audience_, doc_)                         \
	{ .name = "signal", .type = FIELD_CUSTOM, AT(type_, signal),                     \
	  .required = (required_), .decode = signal_decode, .fallback = fallback_,       \
	  .text = &req_text_signal,                                                      \
	  .schema = SIGNAL_SCHEMA, .model_schema = "{\"type\": \"string\"}",             \
	  .audience = (audience_), .doc = doc_ }

#define CONSUMER_ROW(type_, doc_)                                                        \
	{ .name = "consumer", .type = FIELD_STRING, AT(type_, consumer),                 \
	  .min = 1, .max = NAME_MAX_BYTES, .text = &field_text_line,                     \
	  .audience = TO_CLIENTS, .doc = doc_ }
/* clang-format on */

_Static_assert(offsetof(struct stats_params, target) == 0, "TARGET_ROWS");
_Static_assert(offsetof(struct wait_params, target) == 0, "TARGET_ROWS");
_Static_assert(offsetof(struct read_params, target) == 0, "TARGET_ROWS");
_Static_assert(offsetof(struct signal_params, target) == 0, "TARGET_ROWS");
_Static_assert(offsetof(struct kill_params, target) == 0, "TARGET_ROWS");

const struct field params_list[] = {
	{ .name = "state",
	  .type = FIELD_ENUM,
	  AT(list_params, state),
	  .choices = states,
	  .fallback = "\"running\"",
	  .audience = TO_ALL,
	  .doc = "Which processes: running (those that have ended but left processes "
		 "behind "
		 "count as running), exited, or all that are still remembered." },
	{ .name = "agent",
	  .type = FIELD_STRING,
	  AT(list_params, agent),
	  .min = 1,
	  .max = LABEL_MAX,
	  .text = &field_text_line,
	  .audience = TO_CLIENTS,
	  .doc = "Only those of this agent, by name, or \"self\" for the caller." },
	LABEL_ROW(list_params, TO_ALL, "Only those with exactly this label."),
	SANDBOX_ROW(list_params, "Only those in the sandbox with this id."),
	PAGE_ROWS(list_params),
	FIELD_END,
};

const struct field params_stats[] = {
	TARGET_ROWS,
	FIELD_END,
};

const struct field params_wait[] = {
	TARGET_ROWS,
	{ .name = "ids",
	  .type = FIELD_STRINGS,
	  AT(wait_params, ids),
	  .min = 1,
	  .max = 64,
	  .max_item = ID_TEXT_MAX,
	  .audience = TO_CLIENTS,
	  .doc = "Ids of several processes, instead of id or pid: wait for any of "
		 "them." },
	{ .name = "wait_ms",
	  .type = FIELD_UINT,
	  AT(wait_params, wait_ms),
	  .max = REQ_WAIT_MAX_MS,
	  .fallback = "30000",
	  .audience = TO_ALL,
	  .doc = "Milliseconds to wait. When they are over the answer says exited: "
		 "false; "
		 "that is no error, and nothing is ended." },
	{ .name = "for",
	  .type = FIELD_ENUM,
	  AT(wait_params, wait_for),
	  .choices = wait_fors,
	  .fallback = "\"exited\"",
	  .audience = TO_CLIENTS,
	  .doc = "What to wait for: the command itself has exited, its output is closed "
		 "by "
		 "all who held it, or its tree is empty of processes." },
	{ .name = "max_output_bytes",
	  .type = FIELD_UINT,
	  AT(wait_params, max_output_bytes),
	  .max = REQ_OUTPUT_MAX,
	  .fallback = "65536",
	  .audience = TO_CLIENTS,
	  .doc = "Bytes of output in the answer, per stream; of longer output the first "
		 "and "
		 "the last half of that are given." },
	FIELD_END,
};

const struct field params_read[] = {
	TARGET_ROWS,
	{ .name = "stream",
	  .type = FIELD_ENUM,
	  AT(read_params, stream),
	  .choices = streams,
	  .fallback = "\"both\"",
	  .audience = TO_ALL,
	  .doc = "Which output to read. Of a command with combined output or a pty all "
		 "is in "
		 "stdout." },
	{ .name = "offset",
	  .type = FIELD_UINT,
	  AT_HAS(read_params, offset),
	  .max = INT64_MAX,
	  .audience = TO_ALL,
	  .doc = "Where to begin, in bytes since the stream began: 0, or next_offset of "
		 "the "
		 "answer before. With stream both it is stdout's." },
	{ .name = "stderr_offset",
	  .type = FIELD_UINT,
	  AT_HAS(read_params, stderr_offset),
	  .max = INT64_MAX,
	  .audience = TO_ALL,
	  .doc = "With stream both: where to begin in stderr (stderr_next_offset of the "
		 "answer "
		 "before). If only one of the offsets is given, the other is 0." },
	{ .name = "tail_bytes",
	  .type = FIELD_UINT,
	  AT_HAS(read_params, tail_bytes),
	  .min = 1,
	  .max = REQ_OUTPUT_MAX,
	  .audience = TO_CLIENTS,
	  .doc = "The last so many bytes of each stream, instead of an offset. Without "
		 "offset "
		 "and tail: the last 16384 bytes." },
	{ .name = "tail_lines",
	  .type = FIELD_UINT,
	  AT_HAS(read_params, tail_lines),
	  .min = 1,
	  .max = 100000,
	  .audience = TO_ALL,
	  .doc = "The last so many lines of each stream, instead of an offset, within "
		 "max_bytes." },
	{ .name = "max_bytes",
	  .type = FIELD_UINT,
	  AT(read_params, max_bytes),
	  .min = 1,
	  .max = REQ_OUTPUT_MAX,
	  .fallback = "65536",
	  .audience = TO_ALL,
	  .doc = "Bytes in the answer at most, per stream." },
	{ .name = "wait_ms",
	  .type = FIELD_UINT,
	  AT(read_params, wait_ms),
	  .max = REQ_WAIT_MAX_MS,
	  .fallback = "0",
	  .audience = TO_ALL,
	  .doc = "Milliseconds to wait for output (with until: for that text) if there "
		 "is none "
		 "yet. 0 answers at once." },
	{ .name = "until",
	  .type = FIELD_STRING,
	  AT(read_params, until),
	  .min = 1,
	  .max = 4096,
	  .audience = TO_ALL,
	  .doc = "Text to wait for, literally, such as \"Listening on\". The answer "
		 "comes when "
		 "it is in the output, at the end of the output, or after wait_ms." },
	{ .name = "encoding",
	  .type = FIELD_ENUM,
	  AT(read_params, encoding),
	  .choices = encodings,
	  .fallback = "\"auto\"",
	  .audience = TO_CLIENTS,
	  .doc = "How a front end shows the bytes: as text if they are UTF-8 and else as "
		 "base64 (auto), always as text with replacement characters, or always "
		 "as "
		 "base64. On the engine's socket they are raw." },
	CONSUMER_ROW(read_params,
		     "Name of the consumer that acknowledges, as given at start "
		     "for overflow block."),
	{ .name = "ack",
	  .type = FIELD_BOOL,
	  AT(read_params, ack),
	  .fallback = "false",
	  .audience = TO_CLIENTS,
	  .doc = "Acknowledge all bytes before offset (and stderr_offset): the command "
		 "may "
		 "overwrite them. Needs consumer." },
	FIELD_END,
};

const struct field params_write[] = {
	PROCESS_ID_ROW(
		write_params, id, true,
		"Id of the process, p_...; it was started with its input open, or on a "
		"pty."),
	{ .name = "data",
	  .type = FIELD_CUSTOM,
	  AT(write_params, data),
	  .decode = req_bytes_decode,
	  .fini = req_bytes_fini,
	  .text = &req_text_data,
	  .schema = "{\"type\": \"string\", \"maxLength\": 1398108}",
	  .audience = TO_ALL,
	  .doc = "What to write, at most 1 MiB. A line needs its newline at the end. "
		 "Absent: "
		 "the raw bytes behind the call's JSON, which may be none." },
	{ .name = "encoding",
	  .type = FIELD_ENUM,
	  AT(write_params, encoding),
	  .choices = write_encodings,
	  .fallback = "\"utf-8\"",
	  .audience = TO_CLIENTS,
	  .doc = "How data is written in the JSON: as text, or as base64 for any "
		 "bytes." },
	{ .name = "close",
	  .type = FIELD_BOOL,
	  AT(write_params, close),
	  .fallback = "false",
	  .audience = TO_ALL,
	  .doc = "Close the input after data, so that the command sees the end of its "
		 "input." },
	{ .name = "write_id",
	  .type = FIELD_STRING,
	  AT(write_params, write_id),
	  .min = 1,
	  .max = LABEL_MAX,
	  .text = &field_text_line,
	  .audience = TO_CLIENTS,
	  .doc = "The caller's name for this write: repeated with the same name, it is "
		 "not "
		 "written twice." },
	{ .name = "wait_ms",
	  .type = FIELD_UINT,
	  AT(write_params, wait_ms),
	  .max = REQ_WAIT_MAX_MS,
	  .fallback = "30000",
	  .audience = TO_ALL,
	  .doc = "Milliseconds to wait until the command has taken all of it. When they "
		 "are over the answer says timed_out: true; what is left is still "
		 "written, as the command reads." },
	FIELD_END,
};

const struct field params_signal[] = {
	TARGET_ROWS,
	SIGNAL_ROW(
		signal_params, true, NULL, TO_CLIENTS,
		"Signal to send, by name in any case with or without SIG, or by number."),
	{ .name = "scope",
	  .type = FIELD_ENUM,
	  AT(signal_params, scope),
	  .choices = scopes,
	  .fallback = "\"tree\"",
	  .audience = TO_CLIENTS,
	  .doc = "Whom: every process of the command's tree, or its main process "
		 "alone." },
	FIELD_END,
};

const struct field params_kill[] = {
	TARGET_ROWS,
	SIGNAL_ROW(kill_params, false, "\"SIGTERM\"", TO_ALL,
		   "First signal, by name or number. With SIGTERM, SIGINT, SIGQUIT and "
		   "SIGKILL "
		   "the whole tree is ended, by SIGKILL after the grace period; another "
		   "one is "
		   "sent once."),
	GRACE_ROW(kill_params),
	{ .name = "dry_run",
	  .type = FIELD_BOOL,
	  AT(kill_params, dry_run),
	  .fallback = "false",
	  .audience = TO_CLIENTS,
	  .doc = "Only say what would be signalled; do nothing." },
	{ .name = "reason",
	  .type = FIELD_STRING,
	  AT(kill_params, reason),
	  .max = 256,
	  .text = &field_text_line,
	  .audience = TO_CLIENTS,
	  .doc = "Why, in a few words, for the journal." },
	FIELD_END,
};

const struct field params_resize[] = {
	PROCESS_ID_ROW(resize_params, id, true,
		       "Id of the process, p_...; it was started on a pty."),
	{ .name = "cols",
	  .type = FIELD_UINT,
	  AT(resize_params, cols),
	  .required = true,
	  .min = 1,
	  .max = 1000,
	  .audience = TO_CLIENTS,
	  .doc = "New width of the terminal in characters." },
	{ .name = "rows",
	  .type = FIELD_UINT,
	  AT(resize_params, rows),
	  .required = true,
	  .min = 1,
	  .max = 1000,
	  .audience = TO_CLIENTS,
	  .doc = "New height of the terminal in lines." },
	FIELD_END,
};

const struct field params_attach[] = {
	PROCESS_ID_ROW(attach_params, id, true,
		       "Id of the process, p_..., running or ended."),
	{ .name = "stdout_offset",
	  .type = FIELD_UINT,
	  AT(attach_params, stdout_offset),
	  .max = INT64_MAX,
	  .fallback = "0",
	  .audience = TO_CLIENTS,
	  .doc = "Where to begin in stdout, in bytes since the stream began. What the "
		 "ring no "
		 "longer holds is counted as lost." },
	{ .name = "stderr_offset",
	  .type = FIELD_UINT,
	  AT(attach_params, stderr_offset),
	  .max = INT64_MAX,
	  .fallback = "0",
	  .audience = TO_CLIENTS,
	  .doc = "Where to begin in stderr, in the same way." },
	{ .name = "input",
	  .type = FIELD_BOOL,
	  AT(attach_params, input),
	  .fallback = "false",
	  .audience = TO_CLIENTS,
	  .doc = "The caller also wants to write (with process.write): refused at once "
		 "if it "
		 "may not, or if the input is not open." },
	CONSUMER_ROW(attach_params,
		     "Name of the consumer, as given at start for overflow "
		     "block: what is sent to it counts as acknowledged."),
	FIELD_END,
};

const struct field params_process[] = {
	PROCESS_ID_ROW(id_params, id, true, "Id of the process, p_..."),
	FIELD_END,
};

const struct field params_sandbox[] = {
	SANDBOX_ID_ROW(id_params),
	FIELD_END,
};

const struct field params_sandbox_create[] = {
	PROFILE_ROW(
		sandbox_create_params, TO_ADMINS,
		"Name of the isolation profile, one that the ceiling allows. Absent: the "
		"first of them."),
	{ .name = "workspace",
	  .type = FIELD_STRING,
	  AT(sandbox_create_params, workspace),
	  .min = 1,
	  .max = PATH_BYTES_MAX,
	  .text = &req_text_path,
	  .audience = TO_CLIENTS,
	  .doc = "Directory that commands may write to: the connection's workspace or "
		 "one "
		 "inside it. Absent: the connection's." },
	LABEL_ROW(sandbox_create_params, TO_CLIENTS,
		  "Short note for people, shown in listings."),
	{ .name = "idle_ms",
	  .type = FIELD_UINT,
	  AT(sandbox_create_params, idle_ms),
	  .min = 1000,
	  .max = UINT64_C(604800000),
	  .audience = TO_CLIENTS,
	  .doc = "Milliseconds without a process in it after which the sandbox is "
		 "destroyed. "
		 "Absent: never." },
	{ .name = "lifetime_ms",
	  .type = FIELD_UINT,
	  AT(sandbox_create_params, lifetime_ms),
	  .min = 1000,
	  .max = UINT64_C(2592000000),
	  .audience = TO_CLIENTS,
	  .doc = "Milliseconds after which the sandbox is destroyed with all that runs "
		 "in it, "
		 "at most 30 days. Absent: never." },
	FIELD_END,
};

const struct field params_sandbox_list[] = {
	LABEL_ROW(sandbox_list_params, TO_CLIENTS, "Only those with exactly this label."),
	PAGE_ROWS(sandbox_list_params),
	FIELD_END,
};

const struct field params_sandbox_destroy[] = {
	SANDBOX_ID_ROW(sandbox_destroy_params),
	GRACE_ROW(sandbox_destroy_params),
	FIELD_END,
};

const struct field params_cancel[] = {
	{ .name = "call_id",
	  .type = FIELD_STRING,
	  AT(cancel_params, call_id),
	  .required = true,
	  .min = 1,
	  .max = LABEL_MAX,
	  .text = &field_text_line,
	  .audience = TO_CLIENTS,
	  .doc = "The call_id that the processes were started with." },
	FIELD_END,
};

const struct field params_policy_show[] = {
	PROFILE_ROW(profile_params, TO_CLIENTS,
		    "Name of the profile to show. Absent: the caller's default."),
	FIELD_END,
};

const struct field params_doctor[] = {
	PROFILE_ROW(
		profile_params, TO_CLIENTS,
		"Name of the profile to examine the machine for. Absent: the caller's "
		"default."),
	FIELD_END,
};

const struct field params_watch[] = {
	{ .name = "kinds",
	  .type = FIELD_STRINGS,
	  AT(watch_params, kinds),
	  .max = 16,
	  .max_item = 32,
	  .choices = watch_kinds,
	  .audience = TO_CLIENTS,
	  .doc = "Kinds of events to send. Absent or empty: all." },
	{ .name = "id",
	  .type = FIELD_STRING,
	  AT(watch_params, id),
	  .min = 1,
	  .max = ID_TEXT_MAX,
	  .audience = TO_CLIENTS,
	  .doc = "Only events of the process with this id." },
	SANDBOX_ROW(watch_params,
		    "Only events of processes in the sandbox with this id."),
	LABEL_ROW(watch_params, TO_CLIENTS,
		  "Only events of processes with exactly this label."),
	{ .name = "level",
	  .type = FIELD_ENUM,
	  AT(watch_params, level),
	  .choices = levels,
	  .fallback = "\"info\"",
	  .audience = TO_CLIENTS,
	  .doc = "Of log events: this level and graver ones." },
	FIELD_END,
};

const struct field params_none[] = { FIELD_END };

const struct field hello_fields[] = {
	{ .name = "version",
	  .type = FIELD_UINT,
	  AT(hello_params, version),
	  .required = true,
	  .min = 1,
	  .max = 65535,
	  .audience = TO_CLIENTS,
	  .doc = "Highest version of the protocol that the client speaks." },
	{ .name = "client",
	  .type = FIELD_STRING,
	  AT(hello_params, client),
	  .max = LABEL_MAX,
	  .text = &field_text_line,
	  .audience = TO_CLIENTS,
	  .doc = "Name and version of the program, for log and journal." },
	{ .name = "workspace",
	  .type = FIELD_STRING,
	  AT(hello_params, workspace),
	  .min = 1,
	  .max = PATH_BYTES_MAX,
	  .text = &req_text_path,
	  .audience = TO_CLIENTS,
	  .doc = "Directory that commands of this connection may write to and start in. "
		 "Absent: none, and nothing of the host is writable." },
	{ .name = "allow_wide",
	  .type = FIELD_BOOL,
	  AT(hello_params, allow_wide),
	  .fallback = "false",
	  .audience = TO_CLIENTS,
	  .doc = "The workspace was named by hand: also / or a home directory itself is "
		 "accepted." },
	{ .name = "profiles",
	  .type = FIELD_STRINGS,
	  AT(hello_params, profiles),
	  .max = 16,
	  .max_item = NAME_MAX_BYTES,
	  .text = &req_text_name,
	  .audience = TO_CLIENTS,
	  .doc = "Profiles that calls of this connection may use; the first is the "
		 "default. "
		 "Absent: the user's own default alone." },
	{ .name = "operations",
	  .type = FIELD_STRINGS,
	  AT(hello_params, operations),
	  .max = 64,
	  .max_item = NAME_MAX_BYTES,
	  .audience = TO_CLIENTS,
	  .doc = "Operations that this connection may call. Absent or empty: all." },
	{ .name = "limits",
	  .type = FIELD_OBJECT,
	  AT(hello_params, limits),
	  .fields = limits_fields,
	  .audience = TO_CLIENTS,
	  .doc = "The widest limits that a call may have." },
	{ .name = "sandbox",
	  .type = FIELD_ENUM,
	  AT(hello_params, sandbox),
	  .choices = hello_sandboxes,
	  .fallback = "\"fresh\"",
	  .audience = TO_CLIENTS,
	  .doc = "Where commands run by default: each in a fresh sandbox, or all in one "
		 "that "
		 "is the connection's own and ends with it." },
	{ .name = "path",
	  .type = FIELD_STRING,
	  AT(hello_params, path),
	  .max = 65536,
	  .audience = TO_CLIENTS,
	  .doc = "The caller's PATH, which profiles that pass it give to commands." },
	FIELD_END,
};
