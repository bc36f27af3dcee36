/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * rows - what the rows of field tables have in common
 *
 * AT() places a field in its struct; AT_HAS() also names the bool has_<member>
 * that tells a wish from a default.
 */

#include <stddef.h>

#include "request.h"

#define AT(type, member)                                                                 \
	.offset = offsetof(struct type, member), .has_offset = FIELD_NO_HAS
#define AT_HAS(type, member)                                                             \
	.offset = offsetof(struct type, member),                                         \
	.has_offset = offsetof(struct type, has_##member)

/* Who is shown a field. */
#define TO_ALL (FIELD_MODEL | FIELD_CLIENT | FIELD_ADMIN)
#define TO_CLIENTS (FIELD_CLIENT | FIELD_ADMIN)
#define TO_ADMINS FIELD_ADMIN

#define ID_TEXT_MAX 64 /* longer than any id; what is no id is simply not found */
#define LABEL_MAX 128
#define NAME_MAX_BYTES 64
#define PATH_BYTES_MAX 4095
#define PID_LIMIT 4194304 /* PID_MAX_LIMIT, proc(5) */

extern const struct field limits_fields[];
