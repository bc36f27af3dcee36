/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * probe - whether this kernel, as this user, really does what we need of it
 *
 * Each probe tries the thing itself rather than reading a version or a setting.
 * Those that change a process fork and try it in a child, which is killed and
 * reaped if it does not answer in PROBE_TIMEOUT_MS. Nothing is left behind.
 */

#include <stdbool.h>

#define PROBE_TEXT 160
#define PROBE_TIMEOUT_MS 5000

struct probe {
	bool found;
	int sys_errno;		/* of what failed, or 0 */
	char value[PROBE_TEXT]; /* "ABI 7"; may be empty */
	char why[PROBE_TEXT];	/* not found: which call, and the error's text */
};

void probe_user_namespace(
	struct probe *ret); /* made, mapped, with mount, pid, net ... inside */
void probe_proc_mount(struct probe *ret);     /* a fresh /proc in it */
void probe_mount_api(struct probe *ret);      /* open_tree, mount_setattr, move_mount */
void probe_idmapped_mount(struct probe *ret); /* needs root; tried on a tmpfs */
void probe_seccomp(struct probe *ret);
void probe_landlock(struct probe *ret);
void probe_pidfd(struct probe *ret);
void probe_openat2(struct probe *ret);
void probe_start_calls(struct probe *ret); /* clone3, close_range */
/*
 * Found: groups with limits can be made. value: "v1", "v2", "hybrid" or "none", and
 * the controllers that can be used: "hybrid: memory, pids". Nothing is made.
 */
void probe_cgroup(struct probe *ret);
