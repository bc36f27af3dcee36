/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * digests - which programs and profiles these are, by SHA-256
 *
 * proctord is read through /proc/self/exe, proctor-keeper by the path that the
 * engine starts it from, when the first status is asked for. They are read a piece
 * a turn, so that nobody waits for them but who asked; then they are kept.
 */

#include <jansson.h>
#include <stdbool.h>

#include "../core/sha256.h"

enum digest_of { DIGEST_PROCTORD, DIGEST_KEEPER, DIGEST_MAX_ };

struct digests {
	bool known;
	char text[DIGEST_MAX_][SHA256_TEXT]; /* empty: it could not be read */
};

struct call;

/* Calls done() at once or later. Has state, stop() and tick() of the call meanwhile. */
void digests_get(struct call *c, const json_t *facts,
		 void (*done)(struct call *c, const json_t *facts));

/* {"programs": {name: text}, "profiles": {name: text}}; null where one is unknown. */
json_t *digests_json(const struct digests *d);
