/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * err - what went wrong, where, and what the caller is told
 *
 * The caller owns a struct err, usually on its stack, and passes it last. It
 * holds no pointer: it needs no release, is safe after clone(2), and travels
 * over a pipe as it is, from the child of a keeper to the person at the
 * terminal. A success leaves it alone.
 *
 * Functions that take a struct err return 0 or the negative err_code. Leaf
 * functions with one obvious cause take none and return -errno.
 *
 * The codes are public and stable. One table (err.c) maps each to its name,
 * HTTP status, JSON-RPC code and exit status.
 */

#include <stdarg.h>

#include "macro.h"

enum err_code {
	ERR_OK = 0,
	ERR_INVALID_INPUT,
	ERR_UNAUTHENTICATED,
	ERR_DENIED,
	ERR_NOT_FOUND,
	ERR_CONFLICT,
	ERR_QUOTA,
	ERR_CANCELLED,
	ERR_UNSUPPORTED,
	ERR_UNAVAILABLE,
	ERR_TIMEOUT,
	ERR_INTERNAL,
	ERR_MAX_,
};

#define ERR_STAGE_MAX 24
#define ERR_MSG_MAX 480

struct err {
	int code;		   /* enum err_code */
	int sys_errno;		   /* 0 where no system call failed */
	char stage[ERR_STAGE_MAX]; /* step of the plan, or field of a request */
	char msg[ERR_MSG_MAX];	   /* names object and call; never a secret */
};

struct err_info {
	const char *name; /* "invalid_input" */
	int http;
	int jsonrpc;
	int exit_status;
};

/* Never NULL: a code out of range is answered as ERR_INTERNAL. */
const struct err_info *err_info(int code);

/* The code with this name, or -1. */
int err_code_by_name(const char *name);

/*
 * Fill *err and return -code. sys_errno, if not 0, is appended to the message
 * as text. stage may be NULL. err may be NULL: then only the code is returned.
 * A message that is too long is cut.
 */
int err_set(struct err *err, int code, const char *stage, int sys_errno, const char *fmt,
	    ...) PRINTF(5, 6);
int err_setv(struct err *err, int code, const char *stage, int sys_errno, const char *fmt,
	     va_list ap) PRINTF(5, 0);

/* Put context and ": " before the message that is there. Returns -err->code. */
int err_wrap(struct err *err, const char *fmt, ...) PRINTF(2, 3);

/* clang's analyzer sees one file at a time: it is told here what they return. */
#ifdef __clang_analyzer__
#define err_set(...) ((void)err_set(__VA_ARGS__), -1)
#define err_wrap(...) ((void)err_wrap(__VA_ARGS__), -1)
#endif
