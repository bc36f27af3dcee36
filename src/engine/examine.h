/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * examine - what the machine can do, found out by a process of its own
 *
 * Probes fork, unshare and mount: not in the loop. The engine runs itself as
 * "proctord probe", which prints a JSON array (core/boot.h), and reads that.
 */

struct engine;

/* The program's side: prints, and gives the exit status. */
int examine_main(void);

/* Frees what was found; nobody waits any more. */
void examine_fini(struct engine *e);
