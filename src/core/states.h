/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * states - the names of the states of processes and sandboxes
 *
 * The one list of each, by enum process_state and enum sandbox_state, and NULL
 * at its end. Records say them, and the operation table lists them: a file of its
 * own, so that programs which only know the table link nothing else of core.
 */

extern const char *const process_state_names[];
extern const char *const sandbox_state_names[];
