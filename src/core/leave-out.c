/* SPDX-License-Identifier: Apache-2.0 */

#include "leave-out.h"

#include <assert.h>
#include <sched.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "../base/macro.h"

#ifdef PROCTOR_FAULT_INJECTION
static bool named(const char *name)
{
	const char *names = getenv("PROCTOR_LEAVE_OUT");
	size_t n;

	for (const char *p = names ? names : ""; *p; p += n + (p[n] == ',')) {
		n = strcspn(p, ",");
		if (strlen(name) == n && memcmp(p, name, n) == 0)
			return true;
	}
	return false;
}

bool leave_out_step(enum plan_step_type type)
{
	return named(plan_step_info(type)->name);
}

/* The mount namespace stays: a keeper that builds mounts must never do so in the host's.
 */
uint32_t leave_out_namespaces(void)
{
	static const struct {
		const char *name;
		uint32_t flag;
	} parts[] = {
		{ "namespaces.user", CLONE_NEWUSER },
		{ "namespaces.pid", CLONE_NEWPID },
		{ "namespaces.ipc", CLONE_NEWIPC },
		{ "namespaces.uts", CLONE_NEWUTS },
		{ "namespaces.network", CLONE_NEWNET },
		{ "namespaces.cgroup", CLONE_NEWCGROUP },
	};
	uint32_t flags = 0;

	for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
		flags |= named(parts[i].name) ? parts[i].flag : 0;
	return flags;
}

/* Flags stand first in both. */
static_assert(offsetof(struct step_namespaces, flags) == 0, "see leave_out()");
static_assert(offsetof(struct step_join, flags) == 0, "see leave_out()");

void leave_out(struct plan_builder *b)
{
	const struct plan all = { (const unsigned char *)b->buf.data, b->buf.len };
	struct plan_builder kept = { .part = b->part };
	struct plan_step s;

	if (!getenv("PROCTOR_LEAVE_OUT") || !buf_ok(&b->buf))
		return;
	for (size_t at = 0; plan_next(&all, &at, &s) > 0;) {
		struct step_namespaces ns;

		if (leave_out_step(s.type))
			continue;
		if (s.type == STEP_NAMESPACES || s.type == STEP_JOIN) {
			memcpy(&ns, s.payload, sizeof(ns));
			ns.flags &= ~leave_out_namespaces();
			s.payload = &ns;
		}
		plan_add(&kept, s.type, s.payload, s.size);
	}
	plan_builder_fini(b);
	*b = kept;
}
#else
bool leave_out_step(enum plan_step_type type)
{
	(void)type;
	return false;
}

uint32_t leave_out_namespaces(void)
{
	return 0;
}

void leave_out(struct plan_builder *b)
{
	(void)b;
}
#endif
