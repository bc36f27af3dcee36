/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * base64 - RFC 4648 section 4, strictly
 *
 * Standard alphabet, with padding, no white space, and no other spelling of the
 * same bytes.
 */

#include <stddef.h>

#include "../base/buf.h"

/* *ret is allocated, never NULL, and has a NUL behind it. -EINVAL, -ENOMEM. */
int base64_decode(const char *text, size_t len, unsigned char **ret, size_t *ret_len);

void base64_encode(struct buf *out, const void *data, size_t len);
