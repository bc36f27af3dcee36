/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * userns - id maps of user namespaces (user_namespaces(7))
 */

#include <stdint.h>
#include <sys/types.h>

/*
 * Called by the first process of a new user namespace: maps one uid and one gid
 * to themselves, denying setgroups(2) as an unprivileged map requires. Needs an
 * effective uid and gid equal to these and a dumpable process. proc_fd is a /proc
 * that shows the process. -errno.
 */
int userns_map_self(int proc_fd, uid_t uid, gid_t gid);

/*
 * A descriptor of a user namespace that maps inner uid/gid to outer ones, for an
 * id-mapped mount. Needs CAP_SETUID and CAP_SETGID. -errno.
 */
int userns_for_idmap(uid_t inner_uid, uid_t outer_uid, gid_t inner_gid, gid_t outer_gid);
