/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * reply - what an operation answered, and the public form of errors
 *
 * The bytes behind the JSON of a reply belong to the streams that its "raw" key
 * lists, in the order stdout, stderr. Numbers in it are checked against what came.
 */

#include <jansson.h>
#include <proctor/proctor.h>

#include "../base/err.h"
#include "../wire/frame.h"

/* Copies all that it needs of f. ERR_INTERNAL for one that is malformed. */
int reply_new(const struct frame *f, struct proctor_reply **ret, struct err *err);

/* Fills *e, which may be NULL. Returns -err->code. */
int reply_set_error(struct proctor_error *e, const struct err *err);

/* The same from an error object of the engine. */
int reply_read_error(struct proctor_error *e, const json_t *object);
