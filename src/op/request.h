/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * request - parameters of the operations, decoded
 *
 * Each struct is filled by the field table of its operation (table.c) through
 * op_decode(). Strings that were not given are NULL, numbers their default, or 0
 * where 0 means "none". has_x is true only if the caller gave x, so that a
 * default can be told from a wish. All is owned by the struct and released by
 * op_params_fini().
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../base/err.h"
#include "../wire/field.h"

#define REQ_COMMAND_MAX ((size_t)1 << 20) /* bytes of a shell command */
#define REQ_ARG_MAX ((size_t)128 << 10)	  /* execve(2): MAX_ARG_STRLEN */
#define REQ_ARGS_MAX 4096
#define REQ_ARGV_MAX ((size_t)2 << 20)	/* bytes of argv, NULs counted */
#define REQ_STDIN_MAX ((size_t)3 << 20) /* bytes of stdin text, decoded */
#define REQ_WRITE_MAX ((size_t)1 << 20) /* bytes of one process.write, decoded */
#define REQ_TIMEOUT_MAX_MS UINT64_C(86400000)
#define REQ_WAIT_MAX_MS UINT64_C(3600000)
#define REQ_GRACE_MS UINT64_C(5000)
#define REQ_LIFETIME_MS UINT64_C(21600000)
#define REQ_OUTPUT_MAX ((size_t)1 << 20)    /* bytes of a stream in one reply */
#define REQ_TAIL_DEFAULT ((size_t)16 << 10) /* process.read without offset or tail */
#define REQ_SANDBOX_NEW "new"

/* Bytes that may hold NULs. */
struct req_bytes {
	unsigned char *v; /* NULL if not given */
	size_t len;
};

enum stdin_kind {
	STDIN_NULL, /* /dev/null */
	STDIN_TEXT, /* bytes, then end of file; given as text or as base64 */
	STDIN_OPEN, /* a pipe (or the terminal) that process.write feeds */
	STDIN_FD,   /* the first descriptor that came with the frame */
};

struct stdin_spec {
	enum stdin_kind kind;
	unsigned char *bytes;
	size_t len;
};

/* What was not given is the profile's to say. */
struct limits_params {
	bool has_cpu_seconds, has_open_files, has_processes, has_file_bytes;
	bool has_core_bytes, has_output_bytes, has_lifetime_ms, has_idle_ms;
	bool has_memory_bytes;
	uint64_t cpu_seconds;
	uint64_t open_files;
	uint64_t processes;
	uint64_t file_bytes;
	uint64_t core_bytes;
	uint64_t output_bytes;
	uint64_t lifetime_ms; /* default REQ_LIFETIME_MS */
	uint64_t idle_ms;     /* 0 = none */
	uint64_t memory_bytes;
};

struct pty_params {
	uint64_t cols, rows;
};

enum req_capture { REQ_CAPTURE_SEPARATE, REQ_CAPTURE_COMBINED, REQ_CAPTURE_DISCARD };
enum req_overflow { REQ_DROP_OLDEST, REQ_BLOCK };
enum req_leftover { REQ_LEFTOVER_KEEP, REQ_LEFTOVER_KILL };
enum req_on_disconnect { REQ_DETACH, REQ_DISCONNECT_KILL };

/* process.start and policy.check; the first part of process.run. */
struct start_params {
	char *command;		   /* either this ... */
	struct field_strings argv; /* ... or this */
	char *shell;		   /* NULL = bash if there, else sh */
	bool login;
	char *cwd; /* NULL = the workspace */
	struct field_strings env;
	struct stdin_spec stdin_spec;
	uint64_t timeout_ms; /* 0 = none */
	uint64_t grace_ms;
	char *profile; /* NULL = the first of the ceiling */
	struct limits_params limits;
	bool has_capture;
	int capture;	     /* enum req_capture */
	uint64_t ring_bytes; /* a multiple of 4096 after the check */
	int overflow;	     /* enum req_overflow */
	char *consumer;
	bool has_pty;
	struct pty_params pty;
	char *label;
	char *call_id;
	char *idempotency_key;
	char *trace_id;	   /* 32 lower-case hex digits */
	char *sandbox;	   /* NULL = the connection's, REQ_SANDBOX_NEW, or an id */
	int leftover;	   /* enum req_leftover */
	int on_disconnect; /* enum req_on_disconnect */
};

struct run_params {
	struct start_params start; /* first: the two share their rows */
	bool has_wait_ms;
	uint64_t wait_ms; /* meaningful only with has_wait_ms; else to the end */
	uint64_t max_output_bytes;
	bool stream;
};

/* One process: exactly one of the two. First in each struct that has it. */
struct target_params {
	char *id;
	uint64_t pid; /* 0 = not given */
};

enum req_state { REQ_STATE_RUNNING, REQ_STATE_EXITED, REQ_STATE_ALL };

struct list_params {
	int state;   /* enum req_state; REQ_STATE_RUNNING counts lingering ones */
	char *agent; /* "self" or a name */
	char *label;
	char *sandbox;
	uint64_t limit;
	char *cursor;
};

struct stats_params {
	struct target_params target;
};

enum req_wait_for { REQ_WAIT_EXITED, REQ_WAIT_CLOSED, REQ_WAIT_EMPTY };

struct wait_params {
	struct target_params target; /* both unset if ids is given */
	struct field_strings ids;    /* any of them */
	uint64_t wait_ms;
	int wait_for; /* enum req_wait_for */
	uint64_t max_output_bytes;
};

enum req_stream { REQ_STDOUT, REQ_STDERR, REQ_BOTH };
enum req_encoding { REQ_ENCODING_AUTO, REQ_ENCODING_UTF8, REQ_ENCODING_BASE64 };

struct read_params {
	struct target_params target;
	int stream; /* enum req_stream */
	bool has_offset, has_stderr_offset, has_tail_bytes, has_tail_lines;
	uint64_t offset;	/* of the one stream; of stdout with REQ_BOTH */
	uint64_t stderr_offset; /* with REQ_BOTH only */
	uint64_t tail_bytes;
	uint64_t tail_lines;
	uint64_t max_bytes;
	uint64_t wait_ms;
	char *until;
	int encoding; /* enum req_encoding */
	char *consumer;
	bool ack;
};

enum req_write_encoding { REQ_WRITE_UTF8, REQ_WRITE_BASE64 };

struct write_params {
	char *id;
	struct req_bytes data; /* decoded after the check; else the frame's raw bytes */
	int encoding;	       /* enum req_write_encoding */
	bool close;
	char *write_id;
	uint64_t wait_ms;
};

enum req_scope { REQ_SCOPE_TREE, REQ_SCOPE_PROCESS };

struct signal_params {
	struct target_params target;
	int signal;
	int scope; /* enum req_scope */
};

struct kill_params {
	struct target_params target;
	int signal;
	uint64_t grace_ms;
	bool dry_run;
	char *reason;
};

struct resize_params {
	char *id;
	uint64_t cols, rows;
};

struct attach_params {
	char *id;
	uint64_t stdout_offset, stderr_offset;
	bool input;
	char *consumer;
};

/* process.release, sandbox.get */
struct id_params {
	char *id;
};

struct sandbox_create_params {
	char *profile;
	char *workspace; /* NULL = the connection's */
	char *label;
	uint64_t idle_ms;     /* 0 = none */
	uint64_t lifetime_ms; /* 0 = none */
};

struct sandbox_list_params {
	char *label;
	uint64_t limit;
	char *cursor;
};

struct sandbox_destroy_params {
	char *id;
	uint64_t grace_ms;
};

struct cancel_params {
	char *call_id;
};

/* policy.show, daemon.doctor */
struct profile_params {
	char *profile;
};

struct watch_params {
	struct field_strings kinds; /* n == 0: all that can be watched */
	char *id;
	char *sandbox;
	char *label;
	int level; /* enum log_level: of "log" events, this and graver ones */
};

struct none_params {
	char unused;
};

/* The hello of a client: the ceiling of its connection. */
enum req_hello_sandbox { REQ_HELLO_FRESH, REQ_HELLO_OWN };

struct hello_params {
	uint64_t version;
	char *client;			 /* "name/version" */
	char *workspace;		 /* absolute; NULL = none: nothing is writable */
	bool allow_wide;		 /* "/" or a home directory was named by hand */
	struct field_strings profiles;	 /* n == 0: the user's own default */
	struct field_strings operations; /* n == 0: all */
	struct limits_params limits;
	int sandbox; /* enum req_hello_sandbox */
	char *path;  /* the caller's PATH */
};

extern const struct field hello_fields[];

/*
 * The checks over several fields. They also finish what decoding began: round
 * ring_bytes up, decode base64. ERR_INVALID_INPUT with the field as stage.
 */
int start_params_check(void *start_params, struct err *err);
int run_params_check(void *run_params, struct err *err);
int target_params_check(void *target_params,
			struct err *err); /* or what begins with it */
int wait_params_check(void *wait_params, struct err *err);
int read_params_check(void *read_params, struct err *err);
int write_params_check(void *write_params, struct err *err);

/* Decoders of FIELD_CUSTOM rows. *at is a struct stdin_spec, int, struct req_bytes. */
int stdin_spec_decode(const json_t *value, void *at, const char *path, struct err *err);
void stdin_spec_fini(void *at);
int signal_decode(const json_t *value, void *at, const char *path, struct err *err);
int req_bytes_decode(const json_t *value, void *at, const char *path, struct err *err);
void req_bytes_fini(void *at);

/* Texts with a form of their own. */
extern const struct field_text req_text_trace_id; /* W3C trace context, level 1 */
extern const struct field_text req_text_path;	  /* absolute */
extern const struct field_text req_text_name;	  /* of a profile, no slash */
extern const struct field_text req_text_signal, req_text_stdin, req_text_data;
