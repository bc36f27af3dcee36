/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * attempt - what the parts of this program share
 *
 * Each part has a table of attempts, ended by an empty row. An attempt gets the words
 * behind its name, and returns 0 if it did what it set out to do, or the errno of the
 * call that stopped it. What it judges by must be the effect, or the bytes that came,
 * wherever that can be seen: the test looks at the effect once more, from outside.
 */

#include <errno.h>
#include <stddef.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/* No errno: the call worked and had no effect. */
#define NOTHING_CAME 4095

struct attempt {
	const char *name;
	int (*try)(char **arg); /* NULL-terminated words */
};

extern const struct attempt file_attempts[];
extern const struct attempt kernel_attempts[];
extern const struct attempt net_attempts[];
extern const struct attempt other_attempts[];

/* Of a call's result: 0, or errno. */
static inline int told(long result)
{
	return result < 0 ? errno : 0;
}

/* "127" as a number; words come from the test alone. */
long number(const char *word);

/* Reads from fd and compares; 0, errno or NOTHING_CAME. */
int expect(int fd, const char *text);

/* The secret of `attempt victim`: the same address in every copy of this program. */
extern char secret[64];
