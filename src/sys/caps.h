/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * caps - capability sets (capabilities(7)), by the raw calls
 */

#include <stdint.h>

/*
 * Empties all five sets but for `keep` (a mask of 1 << CAP_*), which stays in
 * the permitted and effective sets only. Needs CAP_SETPCAP to empty the bounding
 * set; without it the bounding set is left if no capability is held anyway.
 */
int caps_keep_only(uint64_t keep);
