/* SPDX-License-Identifier: Apache-2.0 */

#include <assert.h>
#include <sched.h>
#include <string.h>

#include "../base/macro.h"
#include "../sys/landlock.h"
#include "compile-parts.h"
#include "leave-out.h"

#define NO_LIMIT_OF_A_CGROUP "the command has no limit that needs one"

/* By the step that, if it were not there, would make the layer absent. */
static void add_layer(struct isolation *i, const char *name, enum plan_step_type step,
		      uint32_t namespace, const char *missing)
{
	if (!missing && (leave_out_step(step) || leave_out_namespaces() & namespace))
		missing = "left out for a test";
	assert(i->n < ISOLATION_LAYERS);
	i->layer[i->n++] = (struct isolation_layer){ .name = name,
						     .applied = missing == NULL,
						     .why = missing };
}

/* What Landlock refuses depends on how much of it the kernel has. */
static const char *landlock_note(int abi)
{
	static const char *const notes[] = { "abi 2", "abi 3", "abi 4",
					     "abi 5", "abi 6", "abi 7" };

	static_assert(ARRAY_SIZE(notes) == LANDLOCK_ABI_KNOWN - LANDLOCK_ABI_LEAST + 1,
		      "a note for each");
	assert(abi >= LANDLOCK_ABI_LEAST && abi <= LANDLOCK_ABI_KNOWN);
	return notes[abi - LANDLOCK_ABI_LEAST];
}

void isolation_describe(const struct compile_args *a, int abi, struct isolation *ret)
{
	static const struct {
		const char *name;
		enum plan_step_type step;
		uint32_t namespace;
	} by_backend[] = {
		{ "user", STEP_NAMESPACES, CLONE_NEWUSER },
		{ "mount", STEP_NAMESPACES, CLONE_NEWNS },
		{ "pid", STEP_NAMESPACES, CLONE_NEWPID },
		{ "ipc", STEP_NAMESPACES, CLONE_NEWIPC },
		{ "uts", STEP_NAMESPACES, CLONE_NEWUTS },
		{ "network", STEP_NAMESPACES, CLONE_NEWNET },
		{ "cgroup_namespace", STEP_NAMESPACES, CLONE_NEWCGROUP },
		{ "root", STEP_PIVOT, 0 },
		{ "capabilities", STEP_DROP_CAPS, 0 },
		{ "seccomp", STEP_SECCOMP, 0 },
		{ "landlock", STEP_LANDLOCK, 0 },
	};
	const char *missing = native(a) ? NULL : "the profile's backend is host";

	*ret = (struct isolation){ .backend = a->profile->backend };
	for (size_t i = 0; i < ARRAY_SIZE(by_backend); i++)
		add_layer(ret, by_backend[i].name, by_backend[i].step,
			  by_backend[i].namespace, missing);
	if (native(a))
		ret->layer[ret->n - 1].note = landlock_note(abi);
	add_layer(ret, "cgroup", STEP_CGROUP, 0, NO_LIMIT_OF_A_CGROUP);
	add_layer(ret, "no_new_privs", STEP_NO_NEW_PRIVS, 0, NULL);
	add_layer(ret, "rlimits", STEP_RLIMIT, 0, NULL);
}

void isolation_describe_cgroup(struct compiled *c)
{
	const struct compiled_cgroup *g = &c->cgroup;
	struct isolation_layer *l = NULL;

	for (size_t i = 0; i < c->isolation.n; i++)
		if (strcmp(c->isolation.layer[i].name, "cgroup") == 0)
			l = &c->isolation.layer[i];
	if (!l)
		return;
	l->applied = (g->memory_bytes || g->processes) && !leave_out_step(STEP_CGROUP);
	l->note = g->memory_bytes && g->processes ? "v1 memory, pids" :
		  g->memory_bytes		  ? "v1 memory" :
						    "v1 pids";
	if (l->applied)
		l->why = NULL;
	else if (g->memory_bytes || g->processes)
		l->why = "left out for a test";
	else
		l->why = g->absent ? g->absent : NO_LIMIT_OF_A_CGROUP;
	if (!l->applied)
		l->note = NULL;
}
