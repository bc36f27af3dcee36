/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * policy - limits and ceilings as JSON; new references
 */

#include <jansson.h>

#include "../core/limits.h"
#include "call.h"

json_t *policy_limits(const struct limits *l);
json_t *policy_ceiling(const struct session *s);
