/* SPDX-License-Identifier: Apache-2.0 */

#include "proctree.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../base/cleanup.h"
#include "../base/macro.h"

#define TREE_MAX 65536

/* Touched only as far as a tree is large. */
static pid_t queue[TREE_MAX];

struct numbers {
	int fd;
	char buf[4096] __attribute__((aligned(8)));
	long len, at;
};

/* The next all-digit name of a directory, 0 at its end. */
static pid_t next_number(struct numbers *n)
{
	for (;;) {
		const struct dirent64 *d;

		if (n->at >= n->len) {
			n->len = syscall(SYS_getdents64, n->fd, n->buf, sizeof(n->buf));
			n->at = 0;
			if (n->len <= 0)
				return 0;
		}
		d = (const struct dirent64 *)(const void *)(n->buf + n->at);
		n->at += d->d_reclen;
		if (isdigit((unsigned char)d->d_name[0]))
			return (pid_t)strtol(d->d_name, NULL, 10);
	}
}

/* Reads a small /proc file whole; what is longer is cut. */
static ssize_t read_proc(char *buf, size_t size, const char *path)
{
	CLEANUP(close) int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t got = 0;

	if (fd < 0)
		return -errno;
	while (got + 1 < size) {
		ssize_t n = read(fd, buf + got, size - 1 - got);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		got += (size_t)n;
	}
	buf[got] = '\0';
	return (ssize_t)got;
}

/* From the state letter on: the name before it may hold anything. */
static const char *stat_of(pid_t pid, char *buf, size_t size)
{
	char path[32];
	char *p;

	(void)snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	if (read_proc(buf, size, path) <= 0)
		return NULL;
	p = strrchr(buf, ')');
	return p && p[1] == ' ' ? p + 2 : NULL;
}

static bool is_alive(pid_t pid)
{
	char buf[512];
	const char *s = stat_of(pid, buf, sizeof(buf));

	return s && *s != 'Z' && *s != 'X';
}

static int add_children(pid_t pid, size_t *n)
{
	static char text[65536];
	struct numbers tasks = { .fd = -1 };
	CLEANUP(close) int dir = -1;
	char path[64];
	pid_t tid;

	(void)snprintf(path, sizeof(path), "/proc/%d/task", pid);
	dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return errno == ENOENT ? 0 : -errno;
	tasks.fd = dir;
	while ((tid = next_number(&tasks))) {
		char *p = text, *end;
		ssize_t r;

		(void)snprintf(path, sizeof(path), "/proc/%d/task/%d/children", pid, tid);
		r = read_proc(text, sizeof(text), path);
		if (r < 0) /* gone meanwhile */
			continue;
		for (;;) {
			long child = strtol(p, &end, 10);

			if (end == p)
				break;
			p = end;
			if (*n < TREE_MAX)
				queue[(*n)++] = (pid_t)child;
		}
	}
	return 0;
}

int proctree_each(pid_t root, void (*visit)(pid_t pid, void *arg), void *arg)
{
	size_t n = 0;
	int live = 0;

	if (root == 1) {
		CLEANUP(close)
		int dir = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		struct numbers all = { .fd = dir };
		pid_t pid;

		if (dir < 0)
			return -errno;
		while ((pid = next_number(&all)))
			if (pid != 1 && n < TREE_MAX)
				queue[n++] = pid;
	} else {
		int r = access("/proc/thread-self/children", F_OK) < 0 ? -ENOSYS : 0;

		if (r == 0)
			r = add_children(root, &n);
		for (size_t i = 0; r == 0 && i < n; i++)
			r = add_children(queue[i], &n);
		if (r < 0)
			return r;
	}
	for (size_t i = 0; i < n; i++) {
		if (!is_alive(queue[i]))
			continue;
		live++;
		if (visit)
			visit(queue[i], arg);
	}
	return live;
}

static uint64_t io_field(const char *text, const char *name)
{
	const char *p = strstr(text, name);

	return p ? strtoull(p + strlen(name), NULL, 10) : 0;
}

/* Field n of proc(5)'s stat, a number; s is at field 3. 0 if there is none. */
static uint64_t stat_field(const char *s, int n)
{
	for (int i = 3; s && i < n; i++) {
		s = strchr(s, ' ');
		if (s)
			s++;
	}
	return s ? strtoull(s, NULL, 10) : 0;
}

static void add_usage(pid_t pid, void *arg)
{
	struct proctree_usage *u = arg;
	uint64_t tick_us = 1000000 / (uint64_t)sysconf(_SC_CLK_TCK);
	char buf[1024], path[32];
	const char *s = stat_of(pid, buf, sizeof(buf));

	u->live++;
	/* utime, stime, rss */
	u->cpu_us += (stat_field(s, 14) + stat_field(s, 15)) * tick_us;
	u->rss_bytes += stat_field(s, 24) * (uint64_t)sysconf(_SC_PAGESIZE);
	(void)snprintf(path, sizeof(path), "/proc/%d/io", pid);
	if (read_proc(buf, sizeof(buf), path) > 0) {
		u->read_bytes += io_field(buf, "\nread_bytes: ");
		u->write_bytes += io_field(buf, "\nwrite_bytes: ");
	}
}

int proctree_usage(pid_t root, struct proctree_usage *ret)
{
	struct proctree_usage u = { 0 };
	int r = proctree_each(root, add_usage, &u);

	if (r < 0)
		return r;
	*ret = u;
	return 0;
}

struct shot {
	int sig;
	int hit;
};

/*
 * The pidfd pins the process; if it is still alive afterwards, the number meant
 * it all along or the tree's own next use of it.
 */
static void shoot(pid_t pid, void *arg)
{
	CLEANUP(close) int fd = pidfd_open(pid, 0);
	struct shot *shot = arg;

	if (fd >= 0 && pidfd_send_signal(fd, shot->sig, NULL, 0) == 0)
		shot->hit++;
}

int proctree_signal(pid_t root, int sig)
{
	struct shot shot = { .sig = sig };
	int r = proctree_each(root, shoot, &shot);

	return r < 0 ? r : shot.hit;
}
