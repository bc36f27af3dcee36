/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * output - bytes of a process in replies and events
 *
 * In a reply the bytes of both streams stand behind the JSON, and its key "raw"
 * says where (docs/protocol.md). Nothing is copied but what is sent, at most
 * REQ_OUTPUT_MAX a stream.
 */

#include <jansson.h>

#include "../base/buf.h"
#include "../core/process.h"

#define OUTPUT_CHUNK ((size_t)65536) /* of a stream in one event */

extern const char *const output_names[BOX_STREAMS]; /* "stdout", "stderr" */

/*
 * The first and the last half of max bytes of each stream. Adds to o: raw,
 * stdout_next, stdout_omitted_at, and the same for stderr. -ENOMEM.
 */
int output_ends(struct process *p, size_t max, json_t *o, struct buf *raw);

/* Tells o["raw"][name] where the bytes lie. -ENOMEM. */
int output_describe(json_t *o, const char *name, size_t at, size_t len, size_t head,
		    uint64_t omitted);

/*
 * The offset from which the last `lines` lines of the stream begin, and no more
 * than max bytes before its end.
 */
uint64_t output_tail_lines(struct process *p, int stream, uint64_t lines, size_t max);
