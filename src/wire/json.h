/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * json - jansson with our cleanup
 *
 *	CLEANUP(json_decref) json_t *j = json_object();
 */

#include <jansson.h>

#include "../base/cleanup.h"

DEFINE_CLEANUP(json_t *, json_decref);
