/* SPDX-License-Identifier: Apache-2.0 */

#include "groups.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../base/buf.h"
#include "../base/cleanup.h"
#include "../base/fd.h"
#include "../core/compile.h"
#include "engine.h"
#include "say.h"

#define PLACE_FILE "cgroups"
#define PLACE_MAX (4 * PATH_MAX + 64)

struct gone {
	struct list node;
	char process[ID_TEXT];
	char sandbox[ID_TEXT]; /* "" = none */
};

/* FNV-1a, 64 bit, over the number of a file that no other has. */
static uint64_t identity(const struct stat *st)
{
	uint64_t h = UINT64_C(0xcbf29ce484222325);
	const uint64_t v[] = { st->st_dev, st->st_ino };

	for (size_t i = 0; i < ARRAY_SIZE(v); i++)
		for (int shift = 0; shift < 64; shift += 8) {
			h ^= v[i] >> shift & 0xff;
			h *= UINT64_C(0x100000001b3);
		}
	return h;
}

/* --- where --- */

/* A line for each controller: its name, the directory, the path of the group. */
static void note_place(struct engine *e)
{
	CLEANUP(close)
	int fd = openat(e->state_fd, PLACE_FILE,
			O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	CLEANUP(buf_fini) struct buf b = { 0 };

	for (enum cgroup_controller c = 0; c < CGROUP_CONTROLLERS; c++) {
		const struct cgroup_place *at = &e->world.cgroups.at[c];

		if (at->usable)
			buf_addf(&b, "%s\t%s\t%s\n", cgroup_controller_name(c), at->dir,
				 at->path);
	}
	e->groups.noted = fd >= 0 && buf_ok(&b) && fd_write_all(fd, b.data, b.len) == 0;
	if (!e->groups.noted)
		say(LOG_LEVEL_WARNING,
		    "the place of the control groups is not noted in "
		    "%s/" PLACE_FILE,
		    e->opt.state);
}

/* If the base is still there. */
static void use_place(struct engine *e, enum cgroup_controller c, const char *dir,
		      const char *path)
{
	struct cgroup_place *at = &e->world.cgroups.at[c];
	struct cgroup_place now = *at;

	at->usable = true;
	at->why[0] = '\0';
	(void)snprintf(at->dir, sizeof(at->dir), "%s", dir);
	(void)snprintf(at->path, sizeof(at->path), "%s", path);
	if (cgroup_base_open(&e->world.cgroups, c, e->groups.base, false,
			     &e->groups.cmds[c], NULL) < 0)
		*at = now;
}

static void recall_place(struct engine *e)
{
	CLEANUP(close)
	int fd = openat(e->state_fd, PLACE_FILE, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	char text[PLACE_MAX], *line, *rest = text;
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

	text[MAX(n, 0)] = '\0';
	while ((line = strsep(&rest, "\n"))) {
		const char *name = strsep(&line, "\t"), *dir = strsep(&line, "\t");

		for (enum cgroup_controller c = 0; line && c < CGROUP_CONTROLLERS; c++)
			if (strcmp(name, cgroup_controller_name(c)) == 0)
				use_place(e, c, dir, line);
	}
}

void groups_init(struct engine *e)
{
	struct groups *g = &e->groups;
	struct stat st = { 0 };

	list_init(&g->gone);
	list_init(&g->busy);
	for (size_t c = 0; c < CGROUP_CONTROLLERS; c++)
		g->cmds[c] = -1;
	cgroup_find(&e->world.cgroups);
	(void)fstat(e->state_fd, &st);
	(void)snprintf(g->base, sizeof(g->base), "proctor-%016" PRIx64, identity(&st));
	recall_place(e);
}

static int open_cmds(struct engine *e, enum cgroup_controller c, bool make,
		     struct err *err)
{
	struct groups *g = &e->groups;

	if (make && !g->noted)
		note_place(e);
	if (g->cmds[c] >= 0)
		return 0;
	return cgroup_base_open(&e->world.cgroups, c, g->base, make, &g->cmds[c], err);
}

static const char *sandbox_name(const struct id *sandbox, char buf[static ID_TEXT])
{
	if (!sandbox || id_is_zero(sandbox)) {
		buf[0] = '\0';
		return NULL;
	}
	return id_format(sandbox, ID_SANDBOX, buf);
}

/* --- made --- */

struct order {
	enum cgroup_controller controller;
	uint64_t limit;
	const char *parent, *name;
};

static int open_file(int dir, const char *file, int flags, int *ret, struct err *err)
{
	*ret = openat(dir, file, flags | O_CLOEXEC);
	return *ret < 0 ?
		       err_set(err, ERR_UNAVAILABLE, "cgroup", errno, "open %s", file) :
		       0;
}

/* The descriptors that were opened are the caller's also on failure. */
static int make(struct engine *e, const struct order *o, int fds[static SLOT_CGROUPS],
		struct err *err)
{
	CLEANUP(close) int dir = -1;
	bool memory = o->controller == CGROUP_MEMORY;
	int tasks = (memory ? SLOT_CGROUP_MEMORY : SLOT_CGROUP_PIDS) - SLOT_CGROUP;
	int r = open_cmds(e, o->controller, true, err);

	if (r == 0)
		r = cgroup_make(e->groups.cmds[o->controller], o->controller, o->parent,
				o->name, o->limit, &dir, err);
	if (r == 0)
		r = open_file(dir, "tasks", O_WRONLY, &fds[tasks], err);
	if (r == 0 && memory)
		r = open_file(dir, "memory.oom_control", O_RDONLY,
			      &fds[SLOT_CGROUP_EVENTS - SLOT_CGROUP], err);
	if (r == 0 && memory)
		r = open_file(dir, "memory.max_usage_in_bytes", O_RDONLY,
			      &fds[SLOT_CGROUP_PEAK - SLOT_CGROUP], err);
	return r;
}

static char *path_of(const struct engine *e, const struct order *o)
{
	const char *own = e->world.cgroups.at[o->controller].path;
	CLEANUP(buf_fini) struct buf b = { 0 };

	buf_addf(&b, "%s/%s/cmds/%s%s%s", strcmp(own, "/") == 0 ? "" : own,
		 e->groups.base, o->parent ? o->parent : "", o->parent ? "/" : "",
		 o->name);
	return buf_take(&b);
}

int world_group(struct world *w, const struct id *process, const struct id *sandbox,
		struct compiled *c, int ret_fds[static SLOT_CGROUPS], struct err *err)
{
	struct engine *e = engine_of(w);
	int fds[SLOT_CGROUPS] = { -1, -1, -1, -1 };
	char name[ID_TEXT], parent[ID_TEXT], *path = NULL;
	struct order o = { .parent = sandbox_name(sandbox, parent),
			   .name = id_format(process, ID_PROCESS, name) };
	const uint64_t limits[CGROUP_CONTROLLERS] = {
		[CGROUP_MEMORY] = c->cgroup.memory_bytes,
		[CGROUP_PIDS] = c->cgroup.processes,
	};
	int r = 0;

	for (enum cgroup_controller i = 0; r == 0 && i < CGROUP_CONTROLLERS; i++) {
		if (limits[i] == 0)
			continue;
		o.controller = i;
		o.limit = limits[i];
		r = make(e, &o, fds, err);
		if (r == 0 && !path && !(path = path_of(e, &o)))
			r = err_set(err, ERR_UNAVAILABLE, "cgroup", ENOMEM, "no memory");
	}
	if (r < 0) {
		for (size_t i = 0; i < SLOT_CGROUPS; i++)
			if (fds[i] >= 0)
				(void)close(fds[i]);
		free(path);
		groups_gone(e, process, sandbox);
		return r;
	}
	memcpy(ret_fds, fds, sizeof(fds));
	c->cgroup_path = path;
	return 0;
}

void world_group_drop(struct world *w, const struct id *process, const struct id *sandbox)
{
	groups_gone(engine_of(w), process, sandbox);
}

/* --- removed --- */

static int remove_now(struct engine *e, const struct gone *x)
{
	const char *parent = *x->sandbox ? x->sandbox : NULL;
	int r = 0;

	for (enum cgroup_controller c = 0; c < CGROUP_CONTROLLERS; c++)
		if (open_cmds(e, c, false, NULL) == 0 &&
		    cgroup_remove(e->groups.cmds[c], parent, x->process) == -EBUSY)
			r = -EBUSY;
	return r;
}

void groups_gone(struct engine *e, const struct id *process, const struct id *sandbox)
{
	struct gone *x = calloc(1, sizeof(*x)), now = { 0 };

	(void)id_format(process, ID_PROCESS, now.process);
	(void)sandbox_name(sandbox, now.sandbox);
	if (!x) {
		(void)remove_now(e, &now);
		return;
	}
	*x = now;
	list_append(&e->groups.gone, &x->node);
	chores_wake(e);
}

static struct gone *first(struct list *l)
{
	return list_empty(l) ? NULL : container_of(l->next, struct gone, node);
}

static void try_again(struct groups *g)
{
	struct gone *x;

	while ((x = first(&g->busy))) {
		list_remove(&x->node);
		list_append(&g->gone, &x->node);
	}
}

uint64_t groups_chore(struct engine *e, unsigned int n)
{
	struct groups *g = &e->groups;
	struct gone *x;

	if (!list_empty(&g->busy) && clock_mono() - g->busy_ns >= GROUPS_AGAIN_NS)
		try_again(g);
	for (; n > 0 && (x = first(&g->gone)); n--) {
		list_remove(&x->node);
		if (remove_now(e, x) == 0) {
			free(x);
			continue;
		}
		list_append(&g->busy, &x->node);
		g->busy_ns = clock_mono();
	}
	if (!list_empty(&g->gone))
		return 0;
	return list_empty(&g->busy) ? UINT64_MAX : GROUPS_AGAIN_NS;
}

/* --- what was left --- */

static bool is_known(void *user, const char *name)
{
	const struct engine *e = user;
	struct process *p;
	struct id id;

	if (id_parse(name, ID_PROCESS, &id) < 0)
		return false;
	p = process_find(&e->world.processes, &id);
	return p && p->ended_mono_ns == 0;
}

void groups_sweep(struct engine *e)
{
	for (enum cgroup_controller c = 0; c < CGROUP_CONTROLLERS; c++)
		if (open_cmds(e, c, false, NULL) == 0)
			cgroup_sweep(e->groups.cmds[c], is_known, e);
}

void groups_fini(struct engine *e)
{
	struct groups *g = &e->groups;
	struct gone *x;

	try_again(g);
	while ((x = first(&g->gone))) {
		list_remove(&x->node);
		(void)remove_now(e, x);
		free(x);
	}
	for (enum cgroup_controller c = 0; c < CGROUP_CONTROLLERS; c++) {
		if (g->cmds[c] < 0)
			continue;
		(void)close(g->cmds[c]);
		g->cmds[c] = -1;
		cgroup_base_remove(&e->world.cgroups, c, g->base);
	}
}
