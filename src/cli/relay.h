/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * relay - a command in the foreground: its output here, our input and signals there
 *
 * One loop over the engine's connection, the signals, standard input and the two
 * outputs. Memory is bounded: nothing more is read from the engine while an output
 * does not take what there is. SIGINT, SIGTERM, SIGHUP and SIGQUIT are sent on to the
 * command's tree; a second SIGINT within 2 s ends it.
 *
 * If the connection is lost, the command runs on, and so does the relay: it
 * connects anew, to a new engine if need be, and goes on at the byte where it was.
 */

#include <jansson.h>
#include <proctor/proctor.h>
#include <stdbool.h>
#include <stdint.h>

#include "cli.h"

#define RELAY_ID_MAX 64

struct relay_args {
	const char *op;	      /* process.run or process.attach */
	json_t *params;	      /* borrowed */
	int pass_fd;	      /* descriptor that becomes the command's input; -1 = none */
	bool input;	      /* feed it from our standard input */
	bool tty;	      /* it has a terminal */
	bool forward;	      /* signals go to the command; else they end the relay */
	const char *id;	      /* if known already, else NULL */
	const char *consumer; /* or NULL */
	const char *keys;     /* that leave a terminal */
	bool hide[2];	      /* stdout, stderr */
	bool whole;	      /* the record has the output, as for --json */
	uint64_t at[2];	      /* offsets to begin at */
	bool watch_reader;    /* end when nobody reads stdout, before the next byte */
};

enum relay_end {
	RELAY_ENDED,	/* record is there */
	RELAY_LEFT,	/* by the detach keys */
	RELAY_BROKEN,	/* nobody reads our output any more */
	RELAY_SIGNALED, /* by a signal that was not sent on */
	RELAY_FAILED,	/* error is there */
};

struct relay_result {
	enum relay_end end;
	json_t *record; /* new reference, or NULL */
	struct proctor_error error;
	int signal;
	uint64_t lost; /* bytes of output that could not be shown */
	char id[RELAY_ID_MAX];
};

void relay_run(struct cli *cli, const struct relay_args *args, struct relay_result *ret);
