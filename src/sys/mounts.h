/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * mounts - building mount trees with the descriptor-based mount calls
 *
 * open_tree(2) and move_mount(2) are Linux 5.2, mount_setattr(2) 5.12. Paths
 * below a root are resolved as if it were "/" (openat2 with RESOLVE_IN_ROOT), so
 * that a symbolic link in it leads nowhere else. All return descriptors or 0, or
 * -errno.
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* A detached copy of the mount at dirfd/path, with all below it if recursive. */
int mounts_clone(int dirfd, const char *path, bool recursive);

/* MOUNT_ATTR_* to set on a mount, and on all below it if recursive. */
int mounts_set(int fd, uint64_t attrs, bool recursive);

/* Shows files of the user namespace's inner ids as its outer ids (Linux 5.12). */
int mounts_idmap(int fd, int userns_fd);

/* A detached new file system of its own; options as "key=value", NULL-terminated. */
int mounts_new(const char *type, const char *const *options, uint64_t attrs);

/* Attaches a detached mount at dirfd/path, or at the directory dirfd if path is "". */
int mounts_attach(int fd, int dirfd, const char *path);

/* O_PATH of `path` inside the tree at root_fd. */
int mounts_open_in(int root_fd, const char *path, int flags);

/* mkdir -p below root_fd; the last component gets `mode`, those above 0755. */
int mounts_mkdirs(int root_fd, const char *path, mode_t mode);

/* Makes the mount at fd the root, and unmounts the old one. */
int mounts_pivot(int root_fd);
