/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * options - the command line of proctord
 */

#include "../base/err.h"
#include "engine.h"

/*
 * Fills *ret with defaults and what argv says. 1: --help or --version was printed,
 * and that was all. ERR_INVALID_INPUT.
 */
int options_parse(int argc, char **argv, struct options *ret, struct err *err);
