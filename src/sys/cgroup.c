/* SPDX-License-Identifier: Apache-2.0 */

#include "cgroup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "../base/buf.h"
#include "../base/cleanup.h"
#include "../base/fd.h"
#include "../base/macro.h"
#include "../base/num.h"

#define CMDS "cmds"

static const char *const names[CGROUP_CONTROLLERS] = {
	[CGROUP_MEMORY] = "memory",
	[CGROUP_PIDS] = "pids",
};

const char *cgroup_controller_name(enum cgroup_controller c)
{
	return names[c];
}

const char *cgroup_layout_name(enum cgroup_layout l)
{
	static const char *const layouts[] = { "none", "v1", "v2", "hybrid" };

	return layouts[l];
}

/* --- the texts --- */

/* The next field up to `end` or the end of the line; *p goes behind it. */
struct span {
	const char *at;
	size_t len;
};

static struct span next_field(const char **p, char end)
{
	struct span s = { *p, 0 };

	while ((*p)[0] && (*p)[0] != '\n' && (*p)[0] != end)
		(*p)++;
	s.len = (size_t)(*p - s.at);
	if (end && (*p)[0] == end)
		(*p)++;
	return s;
}

static const char *next_line(const char *p)
{
	p = strchrnul(p, '\n');
	return *p ? p + 1 : p;
}

static bool is(struct span s, const char *text)
{
	return strlen(text) == s.len && memcmp(s.at, text, s.len) == 0;
}

/* Whether a list with commas has it. */
static bool has(struct span list, const char *item)
{
	const char *end = list.at + list.len;

	for (const char *p = list.at; p < end;) {
		const char *comma = memchr(p, ',', (size_t)(end - p));
		struct span one = { p, (size_t)((comma ? comma : end) - p) };

		if (is(one, item))
			return true;
		p += one.len + 1;
	}
	return false;
}

static bool is_octal(const char *p)
{
	return p[0] >= '0' && p[0] <= '3' && p[1] >= '0' && p[1] <= '7' && p[2] >= '0' &&
	       p[2] <= '7';
}

/* proc(5): space, tab, newline and backslash stand in mountinfo as \ooo. */
static bool unescape(struct span s, char ret[static PATH_MAX])
{
	size_t n = 0;

	for (size_t i = 0; i < s.len; i++) {
		char c = s.at[i];

		if (c == '\\' && i + 3 < s.len && is_octal(s.at + i + 1)) {
			c = (char)((s.at[i + 1] - '0') << 6 | (s.at[i + 2] - '0') << 3 |
				   (s.at[i + 3] - '0'));
			i += 3;
		}
		if (n + 1 >= PATH_MAX)
			return false;
		ret[n++] = c;
	}
	ret[n] = '\0';
	return true;
}

struct mount {
	char root[PATH_MAX], point[PATH_MAX];
	bool unified;
	struct span options; /* of the file system: controllers, among others */
};

/* id parent dev root point options [optional ...] - type source options */
static bool parse_mount(const char *line, struct mount *ret)
{
	struct span root, point, type, f;
	const char *p = line;

	for (int i = 0; i < 3; i++)
		(void)next_field(&p, ' ');
	root = next_field(&p, ' ');
	point = next_field(&p, ' ');
	do
		f = next_field(&p, ' ');
	while (f.len > 0 && !is(f, "-"));
	type = next_field(&p, ' ');
	(void)next_field(&p, ' ');
	ret->options = next_field(&p, ' ');
	ret->unified = is(type, "cgroup2");
	return (ret->unified || is(type, "cgroup")) && unescape(root, ret->root) &&
	       unescape(point, ret->point);
}

/* The path of our group in the hierarchy of this controller, NULL: of v2. */
static bool find_self(const char *self, const char *controller, char ret[static PATH_MAX])
{
	for (const char *p = self; *p; p = next_line(p)) {
		const char *at = p;
		struct span number = next_field(&at, ':');
		struct span list = next_field(&at, ':');
		struct span path = next_field(&at, '\0');

		if (controller ? !has(list, controller) :
				 !(is(number, "0") && list.len == 0))
			continue;
		if (path.len == 0 || path.at[0] != '/' || path.len >= PATH_MAX)
			return false;
		memcpy(ret, path.at, path.len);
		ret[path.len] = '\0';
		return true;
	}
	return false;
}

/* Where the group `path` lies, if the mount shows it. */
static bool locate(const struct mount *m, const char *path, char ret[static PATH_MAX])
{
	size_t n = strcmp(m->root, "/") == 0 ? 0 : strlen(m->root);
	int len;

	/* A group outside of our cgroup namespace. */
	if (strncmp(path, "/..", 3) == 0)
		return false;
	if (strncmp(path, m->root, n) != 0 || (path[n] != '/' && path[n] != '\0'))
		return false;
	path += n;
	len = snprintf(ret, PATH_MAX, "%s%s", m->point,
		       strcmp(path, "/") == 0 ? "" : path);
	return len > 0 && len < PATH_MAX;
}

static void place_of(const struct mount *m, const char *self, enum cgroup_controller c,
		     struct cgroup_place *ret)
{
	if (!has(m->options, names[c]) || ret->usable)
		return;
	if (find_self(self, names[c], ret->path) && locate(m, ret->path, ret->dir)) {
		ret->usable = true;
		ret->why[0] = '\0';
	} else {
		ret->dir[0] = '\0';
		(void)snprintf(ret->why, sizeof(ret->why),
			       "the mount of the %s controller does not show this "
			       "process's own group",
			       names[c]);
	}
}

static enum cgroup_layout layout_of(bool v1, bool v2)
{
	if (v1 && v2)
		return CGROUP_HYBRID;
	return v1 ? CGROUP_V1 : v2 ? CGROUP_V2 : CGROUP_NONE;
}

static void explain(struct cgroups *g)
{
	for (size_t c = 0; c < CGROUP_CONTROLLERS; c++) {
		struct cgroup_place *at = &g->at[c];

		if (at->usable || at->why[0])
			continue;
		if (g->layout == CGROUP_NONE)
			(void)snprintf(at->why, sizeof(at->why),
				       "no control groups are mounted");
		else if (g->layout == CGROUP_V2)
			(void)snprintf(at->why, sizeof(at->why),
				       "the machine has control groups of version 2 "
				       "alone, which this version does not use yet");
		else
			(void)snprintf(at->why, sizeof(at->why),
				       "no hierarchy of version 1 has the %s controller",
				       names[c]);
	}
}

void cgroup_parse(const char *mountinfo, const char *self, struct cgroups *ret)
{
	static const char *const others[] = { "cpu", "cpuacct", "freezer", "devices",
					      "blkio" };
	bool v1 = false, v2 = false;
	char path[PATH_MAX];
	struct mount m;

	memset(ret, 0, sizeof(*ret));
	for (const char *p = mountinfo; *p; p = next_line(p)) {
		if (!parse_mount(p, &m))
			continue;
		if (m.unified) {
			v2 = true;
			if (!ret->unified[0] && find_self(self, NULL, path) &&
			    !locate(&m, path, ret->unified))
				ret->unified[0] = '\0';
			continue;
		}
		for (enum cgroup_controller c = 0; c < CGROUP_CONTROLLERS; c++) {
			v1 = v1 || has(m.options, names[c]);
			place_of(&m, self, c, &ret->at[c]);
		}
		for (size_t i = 0; i < ARRAY_SIZE(others); i++)
			v1 = v1 || has(m.options, others[i]);
	}
	ret->layout = layout_of(v1, v2);
	explain(ret);
}

int cgroup_parse_oom(const char *text, uint64_t *ret)
{
	for (const char *p = text; *p; p = next_line(p)) {
		const char *at = p;
		char number[24];

		if (!is(next_field(&at, ' '), "oom_kill"))
			continue;
		(void)snprintf(number, sizeof(number), "%.*s", (int)strcspn(at, "\n"),
			       at);
		return num_parse_u64(number, 0, UINT64_MAX, ret);
	}
	return -ENODATA;
}

/* --- this process --- */

static bool read_text(const char *path, struct buf *ret)
{
	CLEANUP(close) int fd = open(path, O_RDONLY | O_CLOEXEC);
	char part[4096];
	ssize_t n = -1;

	while (fd >= 0 && (n = read(fd, part, sizeof(part))) > 0 &&
	       ret->len < CGROUP_TEXT_MAX)
		buf_add(ret, part, (size_t)n);
	buf_add(ret, "", 1);
	return n == 0 && buf_ok(ret);
}

void cgroup_find(struct cgroups *ret)
{
	CLEANUP(buf_fini) struct buf mounts = { 0 }, self = { 0 };

	if (!read_text("/proc/self/mountinfo", &mounts) ||
	    !read_text("/proc/self/cgroup", &self)) {
		cgroup_parse("", "", ret);
		return;
	}
	cgroup_parse(mounts.data, self.data, ret);
	for (size_t c = 0; c < CGROUP_CONTROLLERS; c++) {
		struct cgroup_place *at = &ret->at[c];

		if (!at->usable ||
		    faccessat(AT_FDCWD, at->dir, W_OK | X_OK, AT_EACCESS) == 0)
			continue;
		at->usable = false;
		(void)snprintf(at->why, sizeof(at->why), "%.120s cannot be written: %s",
			       at->dir, strerrordesc_np(errno));
	}
}

/* --- groups --- */

static int open_dir(int dirfd, const char *name, int *ret)
{
	*ret = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return *ret < 0 ? -errno : 0;
}

static bool is_v1(int dirfd)
{
	struct statfs fs;

	return fstatfs(dirfd, &fs) == 0 && fs.f_type == CGROUP_SUPER_MAGIC;
}

static int make_dir(int dirfd, const char *name)
{
	return mkdirat(dirfd, name, 0755) < 0 && errno != EEXIST ? -errno : 0;
}

int cgroup_base_open(const struct cgroups *g, enum cgroup_controller c, const char *base,
		     bool make, int *ret_cmds, struct err *err)
{
	const struct cgroup_place *at = &g->at[c];
	CLEANUP(close) int own = -1, dir = -1;
	int r = at->usable ? open_dir(AT_FDCWD, at->dir, &own) : -ENOENT;

	if (r == 0 && !is_v1(own))
		r = -ENODEV;
	if (r == 0 && make)
		r = make_dir(own, base);
	if (r == 0)
		r = open_dir(own, base, &dir);
	if (r == 0 && make)
		r = make_dir(dir, CMDS);
	if (r == 0)
		r = open_dir(dir, CMDS, ret_cmds);
	if (r < 0 && make)
		(void)err_set(err, ERR_UNAVAILABLE, "cgroup", -r, "make %.120s/%s",
			      at->dir, base);
	return r;
}

void cgroup_base_remove(const struct cgroups *g, enum cgroup_controller c,
			const char *base)
{
	CLEANUP(close) int own = -1, dir = -1;

	if (!g->at[c].usable || open_dir(AT_FDCWD, g->at[c].dir, &own) < 0 ||
	    open_dir(own, base, &dir) < 0)
		return;
	(void)unlinkat(dir, CMDS, AT_REMOVEDIR);
	(void)unlinkat(own, base, AT_REMOVEDIR);
}

/* All of it in one write(2), which takes effect or says why not. */
static int put(int dir, const char *file, const char *text)
{
	CLEANUP(close) int fd = openat(dir, file, O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	return write(fd, text, strlen(text)) < 0 ? -errno : 0;
}

/*
 * Without a limit on memory and swap together, what is too much would just be written
 * to swap. Where the kernel does not count swap, none of it is used.
 */
static int limit_memory(int dir, const char *number, const char **ret_file)
{
	int r = put(dir, *ret_file = "memory.limit_in_bytes", number);

	if (r < 0)
		return r;
	r = put(dir, *ret_file = "memory.memsw.limit_in_bytes", number);
	return r == -ENOENT ? put(dir, *ret_file = "memory.swappiness", "0") : r;
}

static int set_limit(int dir, enum cgroup_controller c, uint64_t limit, struct err *err)
{
	const char *file = "pids.max";
	char number[24];
	int r;

	(void)snprintf(number, sizeof(number), "%" PRIu64, limit);
	r = c == CGROUP_MEMORY ? limit_memory(dir, number, &file) :
				 put(dir, file, number);
	return r < 0 ? err_set(err, ERR_UNAVAILABLE, "cgroup", -r, "write %s to %s",
			       number, file) :
		       0;
}

int cgroup_make(int cmds, enum cgroup_controller c, const char *parent, const char *name,
		uint64_t limit, int *ret_dir, struct err *err)
{
	CLEANUP(close) int above = -1, dir = -1;
	int r = 0;

	if (parent) {
		r = make_dir(cmds, parent);
		if (r == 0)
			r = open_dir(cmds, parent, &above);
	}
	if (r == 0 && mkdirat(parent ? above : cmds, name, 0755) < 0)
		r = -errno;
	if (r == 0)
		r = open_dir(parent ? above : cmds, name, &dir);
	if (r < 0)
		return err_set(err, ERR_UNAVAILABLE, "cgroup", -r,
			       "make a group of the %s controller", names[c]);
	r = set_limit(dir, c, limit, err);
	if (r < 0) {
		(void)cgroup_remove(cmds, parent, name);
		return r;
	}
	*ret_dir = TAKE_FD(dir);
	return 0;
}

int cgroup_remove(int cmds, const char *parent, const char *name)
{
	CLEANUP(close) int above = -1;
	int r = 0;

	if (parent && open_dir(cmds, parent, &above) < 0)
		return 0;
	if (unlinkat(parent ? above : cmds, name, AT_REMOVEDIR) < 0 && errno != ENOENT)
		r = -errno;
	/* Others of the sandbox may be in it. */
	if (parent && r == 0)
		(void)unlinkat(cmds, parent, AT_REMOVEDIR);
	return r;
}

static void sweep(int dirfd, int depth, bool (*keep)(void *user, const char *name),
		  void *user)
{
	int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *e;

	if (!d && fd >= 0)
		(void)close(fd);
	while (d && (e = readdir(d))) {
		CLEANUP(close) int below = -1;

		if (e->d_type != DT_DIR || e->d_name[0] == '.' || keep(user, e->d_name))
			continue;
		if (depth > 0 && open_dir(dirfd, e->d_name, &below) == 0)
			sweep(below, depth - 1, keep, user);
		/* The kernel refuses it for one that is in use. */
		(void)unlinkat(dirfd, e->d_name, AT_REMOVEDIR);
	}
	if (d)
		(void)closedir(d);
}

void cgroup_sweep(int cmds, bool (*keep)(void *user, const char *name), void *user)
{
	sweep(cmds, 1, keep, user);
}
