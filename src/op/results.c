/* SPDX-License-Identifier: Apache-2.0 */

/* What operations answer, and the events. */

#include "../core/states.h"
#include "tables.h"

static const char *const statuses[] = { "ok",	  "error",   "timeout",
					"killed", "denied",  "cancelled",
					"lost",	  "running", NULL };
static const char *const reasons[] = {
	"exited",	"signaled", "timeout", "killed",       "cancelled",
	"oom",		"lifetime", "idle",    "output_limit", "disconnected",
	"start_failed", "lost",	    NULL
};
static const char *const captures[] = { "separate", "combined", "discard", "pty", NULL };
static const char *const overflows[] = { "drop_oldest", "block", NULL };
static const char *const encodings[] = { "utf-8", "base64", NULL };
static const char *const streams[] = { "stdout", "stderr", NULL };
static const char *const decisions[] = { "allow", "deny", NULL };
static const char *const levels[] = { "error", "warning", "info", "debug", NULL };
static const char *const check_states[] = { "ok", "missing", "degraded", NULL };

static const struct result_field start_error[] = {
	{ "stage", "string", NULL, NULL,
	  "Step that failed, such as exec, cwd or seccomp." },
	{ "errno", "integer", NULL, NULL, "Error number of the system call, 0 if none." },
	{ "message", "string", NULL, NULL, "What failed, for people." },
	RESULT_END,
};

static const struct result_field layer[] = {
	{ "name", "string", NULL, NULL, "Layer, such as mount, seccomp or landlock." },
	{ "state", "string", NULL, NULL, "applied or absent." },
	{ "why", "string|null", NULL, NULL, "Of an absent one: why." },
	{ "note", "string|null", NULL, NULL,
	  "Of an applied one: more about it, such as abi 7." },
	RESULT_END,
};

static const struct result_field isolation[] = {
	{ "backend", "string", NULL, NULL, "native or host." },
	{ "layers", "array", NULL, layer,
	  "Each layer of isolation and whether it is applied." },
	{ "plan_hash", "string|null", NULL, NULL,
	  "Digest of the plan that was executed." },
	RESULT_END,
};

static const struct result_field oom[] = {
	{ "limit_bytes", "integer", NULL, NULL, "Its limit on memory." },
	{ "peak_bytes", "integer|null", NULL, NULL, "Most that was in use." },
	{ "killed", "integer", NULL, NULL,
	  "How many of its processes the kernel ended. reason is oom if the main process "
	  "was ended by it." },
	RESULT_END,
};

static const struct result_field denial[] = {
	{ "what", "string", NULL, NULL, "Path, host or system call that was refused." },
	{ "layer", "string", NULL, NULL, "Layer that refused it." },
	{ "rule", "string|null", NULL, NULL, "Rule of the profile, if one is known." },
	{ "cure", "string|null", NULL, NULL,
	  "Smallest change of the profile that permits it." },
	{ "probable", "boolean", NULL, NULL, "Only likely, not observed." },
	RESULT_END,
};

const struct result_field op_record[] = {
	{ "id", "string", NULL, NULL, "Name of the process, p_..., never used again." },
	{ "pid", "integer|null", NULL, NULL, "The host's process number while it runs." },
	{ "sandbox_pid", "integer|null", NULL, NULL,
	  "The number that the command itself sees." },
	{ "sandbox", "string|null", NULL, NULL,
	  "Id of its named sandbox; null: one of its own." },
	{ "agent", "string", NULL, NULL, "Who started it: self, or the agent's name." },
	{ "label", "string|null", NULL, NULL, "As given at start." },
	{ "command", "string|null", NULL, NULL,
	  "Command line for the shell, if one was given." },
	{ "argv", "array|null", NULL, NULL,
	  "Program and arguments, if they were given." },
	{ "command_truncated", "boolean", NULL, NULL,
	  "command or argv was too long and is shown cut, with ... where it ends; all of "
	  "it was run." },
	{ "shell", "string|null", NULL, NULL, "Shell that ran the command line." },
	{ "cwd", "string", NULL, NULL, "Directory that it was started in." },
	{ "profile", "string", NULL, NULL, "Isolation profile." },
	{ "call_id", "string|null", NULL, NULL, "As given at start." },
	{ "trace_id", "string|null", NULL, NULL, "W3C trace id, 32 hexadecimal digits." },
	{ "state", "string", process_state_names, NULL,
	  "starting, running, exited (the command itself is gone), or lost (its keeper "
	  "is gone, "
	  "and nobody knows how it ended)." },
	{ "status", "string", statuses, NULL,
	  "All in one word; ok is exit code 0, error any other end of its own." },
	{ "reason", "string|null", reasons, NULL, "Why it ended; null while it runs." },
	{ "killed_by", "string|null", NULL, NULL,
	  "Of reason killed or cancelled: who did it." },
	{ "exit_code", "integer|null", NULL, NULL, "0 to 255, if it exited by itself." },
	{ "signal", "string|null", NULL, NULL, "Signal that ended it, such as SIGKILL." },
	{ "core_dumped", "boolean", NULL, NULL, "The signal left a core dump." },
	{ "exited", "boolean", NULL, NULL, "The command's main process is gone." },
	{ "closed", "boolean", NULL, NULL,
	  "Every process that could write to its output is gone, or has closed it." },
	{ "live", "integer|null", NULL, NULL,
	  "Processes that its tree still has; null if that cannot be known." },
	{ "lingering", "boolean", NULL, NULL,
	  "It has exited and left processes behind." },
	{ "started_at", "string|null", NULL, NULL,
	  "RFC 3339, UTC; null before it started." },
	{ "ended_at", "string|null", NULL, NULL, "RFC 3339, UTC; null while it runs." },
	{ "duration_ms", "integer|null", NULL, NULL, "From start to end, or until now." },
	{ "spawn_ms", "number|null", NULL, NULL, "Time that starting it took." },
	{ "cpu_ms", "integer|null", NULL, NULL,
	  "Processor time of all that has been reaped." },
	{ "cpu_percent", "number|null", NULL, NULL,
	  "Processor use now, 100 = one core; counted by process.list and "
	  "process.stats." },
	{ "memory_bytes", "integer|null", NULL, NULL,
	  "Memory of its tree now; counted by process.list and process.stats." },
	{ "max_rss_bytes", "integer|null", NULL, NULL,
	  "Most memory that one process held." },
	{ "memory_peak_bytes", "integer|null", NULL, NULL,
	  "Most memory that its cgroup held, page cache and private tmpfs included; null "
	  "without a limit on memory." },
	{ "oom", "object|null", NULL, oom,
	  "Processes of it were ended for want of memory; null if none was." },
	{ "cgroup_path", "string|null", NULL, NULL,
	  "Its cgroup, while it lives; null without one." },
	{ "capture", "string", captures, NULL, "How its output is recorded." },
	{ "overflow", "string", overflows, NULL,
	  "What happens when the ring is full, now." },
	{ "stdin_open", "boolean", NULL, NULL, "process.write can feed it." },
	{ "timeout_ms", "integer|null", NULL, NULL, "Its timeout; null: none." },
	{ "stdout_bytes", "integer", NULL, NULL, "Bytes ever written to stdout." },
	{ "stderr_bytes", "integer", NULL, NULL, "Bytes ever written to stderr." },
	{ "stdout_lost", "integer", NULL, NULL,
	  "Bytes of stdout that are no longer held." },
	{ "stderr_lost", "integer", NULL, NULL,
	  "Bytes of stderr that are no longer held." },
	{ "disk_full", "boolean", NULL, NULL,
	  "Output was lost because the disk was full." },
	{ "isolation", "object", NULL, isolation, "What isolates it." },
	{ "denials", "array", NULL, denial, "What the sandbox refused it." },
	{ "start_error", "object|null", NULL, start_error,
	  "Why it could not be started." },
	{ "box", "string|null", NULL, NULL,
	  "Path of its black box, for proctor box show." },
	RESULT_END,
};

const struct result_field op_sandbox[] = {
	{ "id", "string", NULL, NULL, "Name of the sandbox, s_..., never used again." },
	{ "label", "string|null", NULL, NULL, "As given when it was made." },
	{ "profile", "string", NULL, NULL, "Isolation profile." },
	{ "workspace", "string|null", NULL, NULL, "Directory that is writable in it." },
	{ "agent", "string", NULL, NULL, "Whose it is: self, or the agent's name." },
	{ "state", "string", sandbox_state_names, NULL,
	  "destroying: it takes no new commands, and those in it are being ended; lost: "
	  "its holder is gone." },
	{ "live", "integer|null", NULL, NULL,
	  "Processes in it, its holder not counted." },
	{ "created_at", "string", NULL, NULL, "RFC 3339, UTC." },
	{ "idle_ms", "integer|null", NULL, NULL, "Idle time that ends it; null: none." },
	{ "lifetime_ms", "integer|null", NULL, NULL,
	  "Lifetime that ends it; null: none." },
	{ "isolation", "object", NULL, isolation, "What isolates it." },
	RESULT_END,
};

/* clang-format off */
#define OUTPUT_ROWS(s)                                                                   \
	{ s, "bytes", NULL, NULL, "Output; if it is longer than max_output_bytes, its "  \
	  "first and last half of that." },                                              \
	{ s "_encoding", "string", encodings, NULL, "Made by front ends: base64 if the " \
	  "bytes are no UTF-8." },                                                       \
	{ s "_omitted", "integer", NULL, NULL, "Made by front ends: bytes left out "     \
	  "between first and last part, those that the ring lost among them." },         \
	{ s "_omitted_at", "integer", NULL, NULL, "Where in the bytes given they are "   \
	  "missing." },                                                                  \
	{ s "_next", "integer", NULL, NULL, "Offset to read on from with process.read." }
/* clang-format on */

const struct result_field result_run[] = {
	OUTPUT_ROWS("stdout"),
	OUTPUT_ROWS("stderr"),
	RESULT_END,
};

const struct result_field result_list[] = {
	{ "processes", "array", NULL, op_record, "Records, newest first." },
	{ "next_cursor", "string|null", NULL, NULL,
	  "cursor for what follows; null: no more." },
	RESULT_END,
};

const struct result_field result_stats[] = {
	{ "io_read_bytes", "integer|null", NULL, NULL, "Read from disks by its tree." },
	{ "io_written_bytes", "integer|null", NULL, NULL,
	  "Written to disks by its tree." },
	RESULT_END,
};

const struct result_field result_wait[] = {
	{ "done", "boolean", NULL, NULL,
	  "What was waited for has happened; false: the time was over first." },
	OUTPUT_ROWS("stdout"),
	OUTPUT_ROWS("stderr"),
	RESULT_END,
};

/* clang-format off */
#define READ_ROWS(p, of)                                                                 \
	{ p "data", "bytes", NULL, NULL, "Bytes " of "." },                              \
	{ p "encoding", "string", encodings, NULL, "Made by front ends: how the bytes "  \
	  "are shown." },                                                                \
	{ p "offset", "integer", NULL, NULL, "Offset of the first of the bytes." },      \
	{ p "next_offset", "integer", NULL, NULL, "Offset to read on from." },           \
	{ p "lost_bytes", "integer", NULL, NULL, "Bytes between the offset asked for "   \
	  "and the first one that is still held." },                                     \
	{ p "eof", "boolean", NULL, NULL, "No byte will follow." }
/* clang-format on */

const struct result_field result_read[] = {
	{ "id", "string", NULL, NULL, "Id of the process." },
	READ_ROWS("", "of the stream that was asked for; with both, of stdout"),
	READ_ROWS("stderr_", "of stderr, with stream both only"),
	{ "exited", "boolean", NULL, NULL, "The command's main process is gone." },
	{ "closed", "boolean", NULL, NULL, "Nobody can write to its output any more." },
	{ "found", "boolean|null", NULL, NULL, "With until: the text was found." },
	{ "note", "string|null", NULL, NULL,
	  "Where to read instead, when stderr of a combined command was asked for." },
	RESULT_END,
};

const struct result_field result_write[] = {
	{ "id", "string", NULL, NULL, "Id of the process." },
	{ "bytes", "integer", NULL, NULL, "Bytes taken." },
	{ "repeated", "boolean", NULL, NULL, "This write_id had been written before." },
	{ "closed", "boolean", NULL, NULL, "The input is closed now." },
	{ "timed_out", "boolean", NULL, NULL,
	  "wait_ms was over first: bytes counts what was taken until then, and the rest "
	  "is not to be written again. The same write_id waits on." },
	RESULT_END,
};

const struct result_field result_signal[] = {
	{ "id", "string", NULL, NULL, "Id of the process." },
	{ "sent", "string", NULL, NULL, "Signal that was sent." },
	{ "live", "integer|null", NULL, NULL, "Processes that its tree has." },
	RESULT_END,
};

const struct result_field result_kill[] = {
	{ "gone", "boolean", NULL, NULL, "The whole tree was verified to be empty." },
	{ "sent", "string|null", NULL, NULL, "First signal that was sent; null: none." },
	{ "dry_run", "boolean", NULL, NULL, "Nothing was done." },
	{ "survivors", "array", NULL, NULL, "Host process numbers of what is left." },
	OUTPUT_ROWS("stdout"),
	OUTPUT_ROWS("stderr"),
	RESULT_END,
};

const struct result_field result_release[] = {
	{ "id", "string", NULL, NULL, "Id of the process that is forgotten now." },
	RESULT_END,
};

const struct result_field result_sandbox_list[] = {
	{ "sandboxes", "array", NULL, op_sandbox, "Sandboxes, newest first." },
	{ "next_cursor", "string|null", NULL, NULL,
	  "cursor for what follows; null: no more." },
	RESULT_END,
};

const struct result_field result_sandbox_destroy[] = {
	{ "id", "string", NULL, NULL, "Id of the sandbox." },
	{ "gone", "boolean", NULL, NULL, "No process of it is left." },
	{ "ended", "integer", NULL, NULL, "Commands that were ended with it." },
	RESULT_END,
};

const struct result_field result_cancel[] = {
	{ "call_id", "string", NULL, NULL, "As given." },
	{ "processes", "array", NULL, op_record,
	  "What the call had started, ended now." },
	RESULT_END,
};

static const struct result_field ceiling[] = {
	{ "workspace", "string|null", NULL, NULL, "Directory that may be written to." },
	{ "profiles", "array", NULL, NULL,
	  "Profiles that calls may use; the first is the default." },
	{ "operations", "array", NULL, NULL, "Operations that may be called." },
	{ "limits", "object", NULL, NULL,
	  "The widest limits, by name; absent: no own limit." },
	{ "sandbox", "string", NULL, NULL, "fresh or own, as asked for." },
	RESULT_END,
};

const struct result_field op_hello[] = {
	{ "version", "integer", NULL, NULL,
	  "Version of the protocol that is spoken now." },
	{ "engine", "string", NULL, NULL, "Name and version of the engine." },
	{ "pid", "integer", NULL, NULL, "Process number of the engine." },
	{ "ceiling", "object", NULL, ceiling,
	  "What calls of this connection may have at most." },
	RESULT_END,
};

const struct result_field result_policy_show[] = {
	{ "profile", "object", NULL, NULL, "The profile with all of its settings." },
	{ "profiles", "array", NULL, NULL,
	  "Names of the profiles that the caller may use." },
	{ "ceiling", "object", NULL, ceiling,
	  "What the connection's hello allows at most." },
	RESULT_END,
};

const struct result_field result_policy_check[] = {
	{ "decision", "string", decisions, NULL, "allow or deny; nothing was started." },
	{ "rule", "string|null", NULL, NULL, "Rule that decided." },
	{ "message", "string|null", NULL, NULL, "Of deny: why, and the cure." },
	{ "plan", "array", NULL, NULL, "Steps that would be executed, in words." },
	RESULT_END,
};

static const struct result_field check[] = {
	{ "name", "string", NULL, NULL, "What was examined." },
	{ "state", "string", check_states, NULL, "ok, missing or degraded." },
	{ "detail", "string", NULL, NULL, "What was found." },
	{ "cure", "string|null", NULL, NULL, "How to get what is missing." },
	RESULT_END,
};

const struct result_field result_status[] = {
	{ "version", "string", NULL, NULL, "Version of the engine." },
	{ "protocol", "integer", NULL, NULL, "Version of the protocol in use." },
	{ "pid", "integer", NULL, NULL, "Process number of the engine." },
	{ "uid", "integer", NULL, NULL, "User that the engine runs as." },
	{ "started_at", "string", NULL, NULL, "RFC 3339, UTC." },
	{ "socket", "string", NULL, NULL, "Path of its socket." },
	{ "state_dir", "string", NULL, NULL, "Where journal and black boxes are." },
	{ "launcher_pid", "integer|null", NULL, NULL, "Process number of the launcher." },
	{ "uptime_ms", "integer", NULL, NULL, "Since it started." },
	{ "connections", "integer", NULL, NULL, "Connections that are open." },
	{ "calls", "integer", NULL, NULL, "Calls that wait for their answer." },
	{ "turns", "integer", NULL, NULL, "Turns of its loop." },
	{ "loop_stall_max_ms", "number", NULL, NULL, "Longest turn of its loop." },
	{ "memory_bytes", "integer|null", NULL, NULL, "Resident memory of the engine." },
	{ "wal_pages", "integer|null", NULL, NULL, "Pages in the journal's log." },
	{ "prepared_keepers", "integer", NULL, NULL,
	  "Keepers that stand ready for commands like earlier ones; at most 8." },
	{ "live", "integer", NULL, NULL, "Commands whose tree is not empty." },
	{ "live_max", "integer", NULL, NULL, "How many of those there may be." },
	{ "sandboxes", "integer", NULL, NULL, "Named sandboxes." },
	{ "adopted", "integer", NULL, NULL, "Commands taken over at start." },
	{ "lost", "integer", NULL, NULL, "Commands found lost at start." },
	{ "digests", "object", NULL, NULL,
	  "SHA-256 of `programs` and `profiles`, by name; null if unknown." },
	{ "features", "object", NULL, NULL,
	  "Kernel features, by name: true, or why not." },
	RESULT_END,
};

const struct result_field result_doctor[] = {
	{ "ok", "boolean", NULL, NULL, "The profile can be applied as it is." },
	{ "profile", "string", NULL, NULL, "The profile that was examined." },
	{ "checks", "array", NULL, check, "What was examined, with cures." },
	{ "hidden_programs", "array", NULL, NULL,
	  "Programs on the caller's PATH that the profile hides; at most 2000." },
	RESULT_END,
};

const struct result_field result_none[] = { RESULT_END };

/* Events. All have event and, where one is meant, id; both stand in each table. */
#define EVENT_ROW                                                                        \
	{                                                                                \
		"event", "string", NULL, NULL, "Kind of the event."                      \
	}
#define EVENT_ID_ROW                                                                     \
	{                                                                                \
		"id", "string", NULL, NULL, "Id of the process."                         \
	}
#define EVENT_TIME_ROW                                                                   \
	{                                                                                \
		"time", "string", NULL, NULL, "RFC 3339, UTC."                           \
	}

static const struct result_field event_start[] = {
	EVENT_ROW,
	EVENT_ID_ROW,
	EVENT_TIME_ROW,
	{ "pid", "integer|null", NULL, NULL, "The host's process number." },
	{ "sandbox", "string|null", NULL, NULL, "Id of its named sandbox." },
	{ "agent", "string", NULL, NULL, "Who started it." },
	{ "label", "string|null", NULL, NULL, "As given at start." },
	{ "call_id", "string|null", NULL, NULL, "As given at start." },
	RESULT_END,
};

static const struct result_field event_output[] = {
	EVENT_ROW,
	EVENT_ID_ROW,
	{ "stream", "string", streams, NULL,
	  "stdout (also of combined and pty) or stderr." },
	{ "offset", "integer", NULL, NULL, "Offset of the first byte." },
	{ "lost_bytes", "integer", NULL, NULL, "Bytes missing before it." },
	{ "data", "bytes", NULL, NULL, "The bytes, all that is raw in the frame." },
	RESULT_END,
};

static const struct result_field event_eof[] = {
	EVENT_ROW,
	EVENT_ID_ROW,
	{ "stream", "string", streams, NULL, "Which stream has ended." },
	{ "offset", "integer", NULL, NULL, "Bytes ever written to it." },
	RESULT_END,
};

static const struct result_field event_exit[] = {
	EVENT_ROW,
	EVENT_ID_ROW,
	EVENT_TIME_ROW,
	{ "status", "string", statuses, NULL, "As in the record." },
	{ "reason", "string", reasons, NULL, "As in the record." },
	{ "exit_code", "integer|null", NULL, NULL, "As in the record." },
	{ "signal", "string|null", NULL, NULL, "As in the record." },
	{ "duration_ms", "integer|null", NULL, NULL, "As in the record." },
	{ "live", "integer|null", NULL, NULL, "Processes left behind." },
	RESULT_END,
};

static const struct result_field event_plain[] = {
	EVENT_ROW,
	EVENT_ID_ROW,
	EVENT_TIME_ROW,
	RESULT_END,
};

static const struct result_field event_heartbeat[] = {
	EVENT_ROW,
	EVENT_ID_ROW,
	EVENT_TIME_ROW,
	{ "duration_ms", "integer", NULL, NULL, "Since the start." },
	{ "stdout_bytes", "integer", NULL, NULL, "Bytes ever written to stdout." },
	{ "stderr_bytes", "integer", NULL, NULL, "Bytes ever written to stderr." },
	RESULT_END,
};

static const struct result_field event_denial[] = {
	EVENT_ROW,
	{ "id", "string|null", NULL, NULL, "Id of the process, if one was started." },
	EVENT_TIME_ROW,
	{ "operation", "string|null", NULL, NULL, "Operation that was refused." },
	{ "what", "string", NULL, NULL, "Path, host, system call or rule." },
	{ "layer", "string", NULL, NULL, "Layer that refused it." },
	{ "rule", "string|null", NULL, NULL, "Rule that refused it." },
	RESULT_END,
};

static const struct result_field event_log[] = {
	EVENT_ROW,
	EVENT_TIME_ROW,
	{ "level", "string", levels, NULL, "error, warning, info or debug." },
	{ "message", "string", NULL, NULL, "The line." },
	RESULT_END,
};

static const struct result_field event_missed[] = {
	EVENT_ROW,
	{ "count", "integer", NULL, NULL, "Events that were dropped here." },
	RESULT_END,
};

const struct op_event op_events[] = {
	{ "start", "The command runs (its program was executed).", true, event_start },
	{ "output",
	  "Bytes of a stream, to process.attach, and to process.run with stream.", false,
	  event_output },
	{ "eof", "A stream has ended; no byte will follow.", false, event_eof },
	{ "exit", "The command's main process is gone.", true, event_exit },
	{ "closed", "Every writer of its output is gone.", true, event_plain },
	{ "empty", "No process of its tree is left.", true, event_plain },
	{ "heartbeat", "The command still runs: every 5 seconds, while somebody waits.",
	  true, event_heartbeat },
	{ "denial", "Policy refused a call, or the sandbox refused a command something.",
	  true, event_denial },
	{ "log", "A line of the engine's log.", true, event_log },
	{ "missed", "The reader was too slow; events were dropped at this place.", false,
	  event_missed },
	{ .name = NULL },
};
