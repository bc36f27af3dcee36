/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * proctor - client of the engine that runs and records commands
 *
 *	struct proctor_options options = { .size = sizeof(options), .autostart = true };
 *	struct proctor_request request = {
 *		.size = sizeof(request),
 *		.op = "process.run",
 *		.params = "{\"argv\":[\"make\",\"test\"]}",
 *	};
 *
 *	if (proctor_connect(&options, &p, &error) < 0 ||
 *	    proctor_call(p, &request, &reply, &error) < 0)
 *		...
 *	puts(proctor_reply_json(reply));
 *
 * A handle is one connection. It belongs to one thread at a time, and is not to
 * be used after fork(2). Parameters and results are JSON texts in UTF-8; they are
 * described by proctor-operations(7). Output of commands travels as bytes.
 *
 * There are two forms. proctor_call() waits for its reply. proctor_call_start()
 * does not: the caller watches proctor_fd() for proctor_events() with poll(2) or
 * a loop of its own, and calls proctor_process() when it is ready, which runs the
 * callbacks. Both may be mixed, but proctor_call() must not be used in a callback.
 *
 * Functions return 0 or a negative enum proctor_code and then fill *error, which
 * may be NULL. Structs that a caller fills begin with their size, so that they
 * can grow. A lost connection ends no command, unless the command was started
 * with "on_disconnect": "kill".
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum proctor_code {
	PROCTOR_OK = 0,
	PROCTOR_INVALID_INPUT,
	PROCTOR_UNAUTHENTICATED,
	PROCTOR_DENIED,
	PROCTOR_NOT_FOUND,
	PROCTOR_CONFLICT,
	PROCTOR_QUOTA,
	PROCTOR_CANCELLED,
	PROCTOR_UNSUPPORTED,
	PROCTOR_UNAVAILABLE, /* also: the connection is lost */
	PROCTOR_TIMEOUT,
	PROCTOR_INTERNAL,
};

struct proctor_error {
	int code;	   /* enum proctor_code */
	int sys_errno;	   /* 0 where no system call failed */
	char field[64];	   /* the parameter, or the step that failed; "" if none */
	char message[512]; /* one line, without a full stop */
	char hint[512];	   /* what to do, or "" */
};

/* "invalid_input" ... Never NULL. */
const char *proctor_code_name(int code);

/* The exit status that a program should end with, after sysexits(3). */
int proctor_code_exit_status(int code);

/* "0.1.0" */
const char *proctor_version(void);

struct proctor;

struct proctor_options {
	size_t size;
	const char *socket; /* NULL: that of the caller's own engine */
	bool autostart;	    /* start the caller's own engine if none runs */
	const char *client; /* "name/version"; NULL: "libproctor/..." */

	/*
	 * The ceiling of the connection. No later call can widen it. Without a
	 * workspace nothing of the host is writable; "/" and home directories are
	 * refused unless allow_wide says that a person named them.
	 */
	const char *workspace;
	bool allow_wide;
	const char *const *profiles;   /* NULL-terminated; NULL: the user's default */
	const char *const *operations; /* NULL-terminated; NULL: all */
	const char *limits;	       /* JSON object, or NULL */

	bool own_sandbox; /* commands share one sandbox as long as the connection lasts */
	const char *path; /* the caller's PATH, for profiles that show it; or NULL */
};

/* On success *ret owns the connection; end it with proctor_close(). */
int proctor_connect(const struct proctor_options *options, struct proctor **ret,
		    struct proctor_error *error);

/* Accepts NULL. Callbacks of calls that were not answered are not run. */
void proctor_close(struct proctor *p);

/* The engine's hello as JSON text: version, pid, the ceiling. Valid till the close. */
const char *proctor_hello(const struct proctor *p);

/* What an operation answered. */
struct proctor_reply;

enum proctor_stream { PROCTOR_STDOUT, PROCTOR_STDERR };

struct proctor_output {
	const unsigned char *data;
	size_t len;
	size_t head;	  /* of them, bytes from the front; the others are the end */
	uint64_t omitted; /* bytes left out between the two */
};

/* PROCTOR_OK, or why the operation failed. A command that ran is a success. */
int proctor_reply_code(const struct proctor_reply *r);

/* NULL for a success. */
const struct proctor_error *proctor_reply_error(const struct proctor_reply *r);

/*
 * The result as JSON text; for a failure the error object. Output that came with
 * it is in "stdout" and "stderr" (in "data" of a process.read), as text if it is
 * UTF-8 and else as base64, which "stdout_encoding" tells; "stdout_omitted" is the
 * number of bytes left out in the middle. A character that the cut would split is
 * left out with them. NULL without memory. Valid till proctor_reply_free().
 */
const char *proctor_reply_json(struct proctor_reply *r);

/* The result as it came, without output. Never NULL. */
const char *proctor_reply_meta(const struct proctor_reply *r);

/* The bytes of one stream; false if none came. */
bool proctor_reply_output(const struct proctor_reply *r, enum proctor_stream stream,
			  struct proctor_output *ret);

/* Accepts NULL. */
void proctor_reply_free(struct proctor_reply *r);

/* What came before the reply. Valid only during the callback. */
struct proctor_event {
	size_t size;
	const char *kind; /* "output", "heartbeat", ... */
	const char *json; /* all of the event but its bytes */
	size_t json_len;

	/* "output" */
	enum proctor_stream stream;
	uint64_t offset; /* of the first byte of data in the stream */
	uint64_t lost;	 /* bytes that were lost before it */
	const unsigned char *data;
	size_t len;
};

typedef void proctor_event_fn(void *data, const struct proctor_event *event);

/*
 * Ends the call. The callee owns the reply. reply is NULL if the connection was
 * lost: then proctor_process() tells why.
 */
typedef void proctor_reply_fn(void *data, struct proctor_reply *reply);

struct proctor_request {
	size_t size;
	const char *op;	    /* "process.run" */
	const char *params; /* JSON object, NULL: {} */
	const void *raw;    /* bytes for process.write, without "data" in params */
	size_t raw_len;
	const int *fds; /* descriptors that travel with the call; the caller keeps his */
	size_t n_fds;	/* at most 3 */
	proctor_event_fn *on_event; /* or NULL */
	proctor_reply_fn *on_reply; /* needed by proctor_call_start() alone */
	void *data;
};

/*
 * Waits for the reply. 0 with *ret if the operation answered, also with an error
 * of its own (proctor_reply_code()); negative if the call itself failed, and the
 * connection is then lost or was never asked.
 */
int proctor_call(struct proctor *p, const struct proctor_request *request,
		 struct proctor_reply **ret, struct proctor_error *error);

/*
 * Queues the call. *ret_call, if not NULL, names it for proctor_cancel(). The
 * request is copied. Nothing is sent before the next proctor_process().
 */
int proctor_call_start(struct proctor *p, const struct proctor_request *request,
		       uint32_t *ret_call, struct proctor_error *error);

/* Waits no longer: a reply with PROCTOR_CANCELLED or the real one will follow. */
int proctor_cancel(struct proctor *p, uint32_t call, struct proctor_error *error);

/* The descriptor to watch, and what for: POLLIN, perhaps POLLOUT. */
int proctor_fd(const struct proctor *p);
short proctor_events(const struct proctor *p);

/*
 * Sends and receives what can be without waiting and runs callbacks; a bounded
 * amount, so that a stream cannot keep the caller. More may be there: poll again.
 * Negative when the connection is lost; calls in flight have then been ended.
 */
int proctor_process(struct proctor *p, struct proctor_error *error);

#ifdef __cplusplus
}
#endif
