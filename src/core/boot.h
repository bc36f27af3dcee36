/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * boot - which boot of the machine this is, and what the machine can do
 *
 * The facts are for people (`daemon.doctor`): what was found, what is missing,
 * why, and how to get it. Probes that change a process run in a forked child, so
 * this is for the start of a program or a helper process, not for a busy loop.
 */

#include <stdbool.h>
#include <stddef.h>

#include "../base/err.h"
#include "../base/id.h"
#include "../sys/probe.h"

/*
 * From /proc/sys/kernel/random/boot_id. In builds with fault injection the
 * environment's PROCTOR_BOOT_ID, 32 hex digits, goes before it.
 */
int boot_id_get(struct id *ret, struct err *err);

#define BOOT_FACTS_MAX 16

struct boot_fact {
	const char *name;  /* "user_namespaces" */
	const char *title; /* "user namespaces" */
	bool found;
	bool needed;		/* by the native backend; else it is an extra */
	char value[PROBE_TEXT]; /* what was found: "ABI 7", "hybrid"; may be "" */
	char why[PROBE_TEXT];	/* it is missing; "" if found */
	const char *cure;	/* what to do about it; NULL if found */
};

struct boot_facts {
	size_t n;
	struct boot_fact fact[BOOT_FACTS_MAX];
};

/* Never fails as a whole: what cannot be tried is "not found", with why. */
void boot_probe(struct boot_facts *ret);
