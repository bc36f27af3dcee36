/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * leave-out - plans without some of their steps
 *
 * Builds with fault injection take PROCTOR_LEAVE_OUT, a list of names with commas: a
 * step by its name in plan.c, or one kind of namespace ("namespaces.network"). So a
 * test can show that it is this layer that stops something. Other builds leave nothing
 * out.
 */

#include <stdbool.h>
#include <stdint.h>

#include "../plan/plan.h"

bool leave_out_step(enum plan_step_type type);
uint32_t leave_out_namespaces(void); /* CLONE_NEW* */
/* Writes the plan anew without them. */
void leave_out(struct plan_builder *b);
