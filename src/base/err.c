/* SPDX-License-Identifier: Apache-2.0 */

#include "err.h"

#include <stdio.h>
#include <string.h>

#undef err_set
#undef err_wrap

/* clang-format off */
static const struct err_info infos[ERR_MAX_] = {
	[ERR_OK]              = { "ok",              200,      0,  0 },
	[ERR_INVALID_INPUT]   = { "invalid_input",   400, -32602, 64 },
	[ERR_UNAUTHENTICATED] = { "unauthenticated", 401, -32001, 77 },
	[ERR_DENIED]          = { "denied",          403, -32003, 77 },
	[ERR_NOT_FOUND]       = { "not_found",       404, -32004, 66 },
	[ERR_CONFLICT]        = { "conflict",        409, -32009, 75 },
	[ERR_QUOTA]           = { "quota",           429, -32029, 75 },
	[ERR_CANCELLED]       = { "cancelled",       499, -32800, 75 },
	[ERR_UNSUPPORTED]     = { "unsupported",     501, -32051, 69 },
	[ERR_UNAVAILABLE]     = { "unavailable",     503, -32053, 69 },
	[ERR_TIMEOUT]         = { "timeout",         504, -32054, 75 },
	[ERR_INTERNAL]        = { "internal",        500, -32603, 70 },
};
/* clang-format on */

const struct err_info *err_info(int code)
{
	if (code < 0 || code >= ERR_MAX_)
		return &infos[ERR_INTERNAL];
	return &infos[code];
}

int err_code_by_name(const char *name)
{
	for (int i = 0; i < ERR_MAX_; i++)
		if (strcmp(infos[i].name, name) == 0)
			return i;
	return -1;
}

int err_setv(struct err *err, int code, const char *stage, int sys_errno, const char *fmt,
	     va_list ap)
{
	size_t n;

	if (!err)
		return -code;
	memset(err, 0, sizeof(*err));
	err->code = code;
	err->sys_errno = sys_errno;
	if (stage)
		(void)snprintf(err->stage, sizeof(err->stage), "%s", stage);
	(void)vsnprintf(err->msg, sizeof(err->msg), fmt, ap);
	if (sys_errno) {
		n = strlen(err->msg);
		(void)snprintf(err->msg + n, sizeof(err->msg) - n, ": %s",
			       strerrordesc_np(sys_errno) ? strerrordesc_np(sys_errno) :
							    "unknown error");
	}
	return -code;
}

int err_set(struct err *err, int code, const char *stage, int sys_errno, const char *fmt,
	    ...)
{
	va_list ap;
	int r;

	va_start(ap, fmt);
	r = err_setv(err, code, stage, sys_errno, fmt, ap);
	va_end(ap);
	return r;
}

int err_wrap(struct err *err, const char *fmt, ...)
{
	char old[ERR_MSG_MAX];
	va_list ap;
	size_t n;

	if (!err)
		return -ERR_INTERNAL;
	memcpy(old, err->msg, sizeof(old));
	va_start(ap, fmt);
	(void)vsnprintf(err->msg, sizeof(err->msg), fmt, ap);
	va_end(ap);
	n = strlen(err->msg);
	(void)snprintf(err->msg + n, sizeof(err->msg) - n, ": %s", old);
	return -err->code;
}
