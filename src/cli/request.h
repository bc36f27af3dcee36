/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * request - parameters of process.run, process.start and policy.check from options
 */

#include <jansson.h>

#include "cli.h"

/*
 * All that the options say but how it is run: no argv, command or stdin. NULL
 * after a message; *ret_status is then set. cli->ws must be there.
 */
json_t *request_params(struct cli *cli, int *ret_status);

/* "argv" from the operands, from number `from` on. */
void request_argv(const struct cli *cli, int from, json_t *params);

enum request_input {
	REQUEST_NULL, /* nothing to read */
	REQUEST_PASS, /* our descriptor 0 becomes the command's */
	REQUEST_OPEN, /* a pipe, or the terminal, that process.write feeds */
};

/* What a descriptor can be used for, if input is wanted (-i) or not asked for. */
enum request_input request_input_of(int fd, bool wanted, bool tty);

/* The exit status that tells how the command ended; see cli.h. */
int request_exit_status(const json_t *record);
