/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * term - the caller's terminal in raw mode, and the keys that leave it
 *
 * Raw mode is undone when the program exits and when a signal ends it; only
 * SIGKILL leaves a terminal as it is.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../base/err.h"

/* -errno. A second call changes nothing. */
int term_raw(int fd);

/* After a stop and SIGCONT: raw again, if it was. */
void term_raw_again(void);

/* Safe to call at any time, in a signal handler too. */
void term_restore(void);

struct term_size {
	uint64_t cols, rows; /* 1 ... 1000 */
};

/* Of the first of stdin, stdout, stderr that is a terminal; else 80 x 24, false. */
bool term_size(struct term_size *ret);

#define TERM_KEYS_MAX 8
#define TERM_KEYS_DEFAULT "ctrl-p,ctrl-q"

/* Recognises the keys in what is typed; a zeroed one with n = 0 recognises none. */
struct term_keys {
	unsigned char keys[TERM_KEYS_MAX];
	size_t n;
	size_t seen;
};

/* "ctrl-p,ctrl-q", "ctrl-a,d", "" for none. ERR_INVALID_INPUT. */
int term_keys_parse(const char *text, struct term_keys *ret, struct err *err);

/*
 * Takes len bytes, gives in out (which has room for len + TERM_KEYS_MAX) those that
 * are to be passed on, in *ret_len how many. True at the last of the keys: what
 * was typed behind it is dropped.
 */
bool term_keys_feed(struct term_keys *k, const unsigned char *data, size_t len,
		    unsigned char *out, size_t *ret_len);
