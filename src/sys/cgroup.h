/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * cgroup - which control groups this process may use, and groups below its own
 *
 * A machine has cgroup v1 (a hierarchy for each controller, or for a few), v2 (one
 * for all), or both side by side (hybrid: what a v1 hierarchy has, v2 has not). Where
 * this process is, /proc/self/cgroup says; where that is mounted, mountinfo.
 *
 * Groups are made in v1 hierarchies only, as yet; of v2 it is only told what is there.
 *
 *	<own group>/<base>/cmds/<process>		one command
 *	<own group>/<base>/cmds/<sandbox>/<process>	one in a named sandbox
 *
 * Nothing outside of <own group>/<base> is ever written to: all that makes and removes
 * goes through a descriptor of cmds and names without a slash. Only the command and
 * what it starts is in its group. It goes there by itself, while it is one thread:
 * it writes "0" to `tasks`. Moving a process by `cgroup.procs` waits for an RCU grace
 * period, up to 20 ms, on v1 and v2 alike; `tasks` does not.
 */

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../base/err.h"

#define CGROUP_WHY 256
/* The texts that are read: /proc/self/mountinfo of a machine with many containers. */
#define CGROUP_TEXT_MAX ((size_t)4 << 20)

enum cgroup_layout { CGROUP_NONE, CGROUP_V1, CGROUP_V2, CGROUP_HYBRID };
enum cgroup_controller { CGROUP_MEMORY, CGROUP_PIDS, CGROUP_CONTROLLERS };

/* A v1 hierarchy. */
struct cgroup_place {
	bool usable;
	char dir[PATH_MAX];   /* our own group, in the file system; "" = none */
	char path[PATH_MAX];  /* and as /proc/self/cgroup calls it */
	char why[CGROUP_WHY]; /* it is not usable */
};

struct cgroups {
	enum cgroup_layout layout;
	struct cgroup_place at[CGROUP_CONTROLLERS];
	char unified[PATH_MAX]; /* our own group in v2; "" = none */
};

/*
 * By the texts of /proc/self/mountinfo and /proc/self/cgroup alone; usable says only
 * that there is a directory.
 */
void cgroup_parse(const char *mountinfo, const char *self, struct cgroups *ret);
/* Looks at this process, and whether it may make groups below its own. */
void cgroup_find(struct cgroups *ret);

const char *cgroup_layout_name(enum cgroup_layout l);	      /* "v1", ..., "none" */
const char *cgroup_controller_name(enum cgroup_controller c); /* "memory", "pids" */

/*
 * <own group>/<base>/cmds. make: what is missing of it is made; else -ENOENT.
 * -ENODEV: that is no cgroup file system. -errno; with make, err says more.
 */
int cgroup_base_open(const struct cgroups *g, enum cgroup_controller c, const char *base,
		     bool make, int *ret_cmds, struct err *err);
/* If it is empty. */
void cgroup_base_remove(const struct cgroups *g, enum cgroup_controller c,
			const char *base);

/*
 * A group with this limit (bytes, or processes), as a descriptor of its directory.
 * parent is the sandbox's name, or NULL. What was made is removed again on failure.
 */
int cgroup_make(int cmds, enum cgroup_controller c, const char *parent, const char *name,
		uint64_t limit, int *ret_dir, struct err *err);
/*
 * And the sandbox's, if it has become empty. -EBUSY while processes are in it; one
 * that is not there is no error.
 */
int cgroup_remove(int cmds, const char *parent, const char *name);
/* Removes what is empty below cmds, but for the groups whose name keep() says so of. */
void cgroup_sweep(int cmds, bool (*keep)(void *user, const char *name), void *user);

/* Of memory.oom_control (v1) or memory.events (v2): how many were killed. */
int cgroup_parse_oom(const char *text, uint64_t *ret);
