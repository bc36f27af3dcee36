/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * json - jansson with our cleanup
 *
 *	CLEANUP(json_decref) json_t *j = json_object();
 *
 * Texts are made with JSON_TEXT: 15 digits are what a double keeps of any decimal
 * number, so that 4.421 stays 4.421.
 */

#include <jansson.h>
#include <stdint.h>

#include "../base/cleanup.h"

DEFINE_CLEANUP(json_t *, json_decref);

#define JSON_TEXT (JSON_COMPACT | JSON_REAL_PRECISION(15))

/* v, which is not negative, to the thousandth. */
static inline json_t *json_thousandths(double v)
{
	return json_real((double)(uint64_t)(v * 1e3 + 0.5) / 1e3);
}
