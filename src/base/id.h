/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * id - opaque names of processes and sandboxes
 *
 * 128 random bits, never reused, printed as a kind letter, '_' and 26 digits of
 * Crockford's base 32 in lower case ("p_0h3k..."). The text says nothing about
 * the object. Parsing is strict: one spelling per id.
 */

#include <stdbool.h>
#include <stdint.h>

#define ID_BYTES 16
#define ID_TEXT 29 /* with the terminating NUL */

struct id {
	uint8_t b[ID_BYTES];
};

#define ID_PROCESS 'p'
#define ID_SANDBOX 's'

/* Fills *ret from getrandom(2). -errno. */
int id_new(struct id *ret);

/* Writes the text of id into buf and returns buf. */
char *id_format(const struct id *id, char kind, char buf[static ID_TEXT]);

/* -EINVAL unless text is exactly what id_format() gives for that kind. */
int id_parse(const char *text, char kind, struct id *ret);

bool id_eq(const struct id *a, const struct id *b);
bool id_is_zero(const struct id *id);
