/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * text - bytes of a command as text for JSON
 *
 * UTF-8 as RFC 3629 has it: no overlong forms, no surrogates, nothing above
 * U+10FFFF. NUL is a character like any other.
 */

#include <stdbool.h>
#include <stddef.h>

#include "../base/buf.h"

bool text_is_utf8(const void *data, size_t len);

/* Bytes at the end of data that begin a character but do not complete it: 0 ... 3. */
size_t text_cut_end(const void *data, size_t len);

/* Bytes at the front of data that go on a character begun before: 0 ... 3. */
size_t text_cut_front(const void *data, size_t len);

/* RFC 4648 with padding. */
void text_base64(struct buf *out, const void *data, size_t len);
