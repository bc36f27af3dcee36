/* SPDX-License-Identifier: Apache-2.0 */

/* daemon.status and daemon.doctor. */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../base/cleanup.h"
#include "../base/clock.h"
#include "../core/compile.h"
#include "../core/layout.h"
#include "../core/shown.h"
#include "../wire/json.h"
#include "digests.h"
#include "handlers.h"
#include "record.h"
#include "request.h"

#define PATH_DIRS_MAX 32
#define HIDDEN_MAX 2000
#define ENTRIES_MAX 2000 /* of one directory */

static void set(json_t *o, const char *key, json_t *v)
{
	(void)json_object_set_new(o, key, v);
}

static void set_facts(json_t *o, const struct world *w)
{
	struct engine_facts f;

	world_facts(w, &f);
	set(o, "launcher_pid",
	    f.launcher_pid > 0 ? json_integer(f.launcher_pid) : json_null());
	set(o, "connections", json_integer(f.connections));
	set(o, "calls", json_integer(f.calls));
	set(o, "loop_stall_max_ms", json_thousandths((double)f.stall_max_ns / 1e6));
	set(o, "turns", json_integer((json_int_t)f.turns));
	set(o, "memory_bytes", json_integer((json_int_t)f.memory_bytes));
	set(o, "wal_pages", json_integer(f.wal_pages));
	set(o, "prepared_keepers", json_integer(f.prepared));
}

/* {"user_namespaces": true, "landlock": "why it is not there"} */
static json_t *features(const json_t *facts)
{
	json_t *o = json_object();
	const json_t *fact;
	size_t i;

	json_array_foreach (facts, i, fact) {
		const char *name = json_string_value(json_object_get(fact, "name"));
		json_t *why = json_object_get(fact, "why");

		if (name)
			set(o, name,
			    json_is_true(json_object_get(fact, "found")) ?
				    json_true() :
				    json_incref(why));
	}
	return o;
}

static void on_known(struct call *c, const json_t *facts)
{
	const struct world *w = c->world;
	json_t *o = json_object();

	if (o) {
		set(o, "version", json_string(PROCTOR_VERSION));
		set(o, "protocol", json_integer(WIRE_VERSION));
		set(o, "pid", json_integer(getpid()));
		set(o, "uid", json_integer(w->uid));
		set(o, "started_at", json_time_or_null(w->started_wall_ns));
		set(o, "uptime_ms",
		    json_integer((json_int_t)((clock_boot() - w->started_boot_ns) /
					      NS_PER_MS)));
		set(o, "socket", json_text_or_null(w->socket));
		set(o, "state_dir", json_text_or_null(w->state_dir));
		set(o, "live", json_integer(w->processes.n_live));
		set(o, "live_max", json_integer(PROCESS_LIVE_MAX));
		set(o, "sandboxes", json_integer(w->sandboxes.n));
		set(o, "adopted", json_integer(w->adopted));
		set(o, "lost", json_integer(w->lost));
		set(o, "digests", digests_json(&w->digests));
		set(o, "features", features(facts));
		set_facts(o, w);
	}
	call_reply(c, o, NULL, 0);
}

static void on_status(struct call *c, const json_t *facts)
{
	digests_get(c, facts, on_known);
}

int op_daemon_status(struct call *c, struct err *err)
{
	return world_probe(c, false, on_status, err);
}

/* --- doctor --- */

static bool is_shown(const struct call *c, const struct profile *p,
		     const struct shown_list *shown, const char *dir)
{
	const char *ws = c->session->ceiling.workspace.path;

	if (p->backend == BACKEND_HOST || layout_is_system(p, dir))
		return true;
	if (ws && path_within(dir, ws))
		return true;
	for (size_t i = 0; i < shown->n; i++)
		if (path_within(dir, shown->v[i].target) &&
		    shown_is_there(&shown->v[i], c->session->who->uid))
			return true;
	return false;
}

/* Of a profile that would not let a command run: as if it showed nothing more. */
static void find_shown(const struct call *c, const struct profile *p,
		       struct shown_list *ret)
{
	const struct compile_args a = {
		.who = c->session->who,
		.profile = p,
		.workspace = &c->session->ceiling.workspace,
		.engine_uid = c->world->uid,
		.private_dirs = { c->world->state_dir, c->world->runtime_dir },
		.path = p->path_from_caller ? c->session->path : NULL,
	};
	struct err ignored;

	(void)compile_shown(&a, ret, &ignored);
}

static void add_programs(const char *dir, json_t *list)
{
	DIR *d = opendir(dir);
	const struct dirent *e;
	size_t n = 0;

	while (d && (e = readdir(d)) && n++ < ENTRIES_MAX &&
	       json_array_size(list) < HIDDEN_MAX) {
		struct stat st;

		if (e->d_name[0] == '.' || fstatat(dirfd(d), e->d_name, &st, 0) < 0)
			continue;
		if (S_ISREG(st.st_mode) && st.st_mode & 0111) {
			CLEANUP(buf_fini) struct buf path = { 0 };

			buf_addf(&path, "%s/%s", dir, e->d_name);
			if (buf_ok(&path))
				(void)json_array_append_new(list,
							    json_text_or_null(path.data));
		}
	}
	if (d)
		(void)closedir(d);
}

struct seen {
	struct stat dirs[PATH_DIRS_MAX];
	size_t n;
};

/* A directory may be named twice, and by links: /bin is /usr/bin. */
static bool is_new_dir(struct seen *s, const char *dir)
{
	struct stat *st = &s->dirs[s->n];

	if (stat(dir, st) < 0)
		return false;
	for (size_t i = 0; i < s->n; i++)
		if (s->dirs[i].st_dev == st->st_dev && s->dirs[i].st_ino == st->st_ino)
			return false;
	s->n++;
	return true;
}

static json_t *hidden_programs(const struct call *c, const struct profile *p)
{
	json_t *list = json_array();
	const char *at = c->session->path ? c->session->path : "";
	CLEANUP(shown_fini) struct shown_list shown = { 0 };
	struct seen seen = { .n = 0 };

	find_shown(c, p, &shown);
	for (size_t i = 0; *at && i < PATH_DIRS_MAX; i++) {
		size_t len = strcspn(at, ":");
		char dir[4096];

		if (len > 0 && len < sizeof(dir) && *at == '/') {
			memcpy(dir, at, len);
			dir[len] = '\0';
			if (is_new_dir(&seen, dir) && !is_shown(c, p, &shown, dir))
				add_programs(dir, list);
		}
		at += len + (at[len] == ':');
	}
	return list;
}

static const char *text_of(const json_t *fact, const char *key)
{
	const char *t = json_string_value(json_object_get(fact, key));

	return t ? t : "";
}

/* What is missing but not needed leaves the profile whole. */
static json_t *check(const json_t *fact, const struct profile *p, bool *ok)
{
	bool found = json_is_true(json_object_get(fact, "found"));
	bool needed = json_is_true(json_object_get(fact, "needed")) &&
		      p->backend == BACKEND_NATIVE;

	if (!found && needed)
		*ok = false;
	return json_pack("{s:s, s:s, s:s, s:o}", "name", text_of(fact, "title"), "state",
			 found	? "ok" :
			 needed ? "missing" :
				  "degraded",
			 "detail", found ? text_of(fact, "value") : text_of(fact, "why"),
			 "cure", json_text_or_null(text_of(fact, "cure")));
}

static void on_doctor(struct call *c, const json_t *facts)
{
	const struct profile_params *q = c->params;
	const struct profile *p = NULL;
	json_t *checks = json_array();
	const json_t *fact;
	bool ok = true;
	size_t i;

	/* The handler has looked at it already: the ceiling does not change. */
	if (ceiling_profile(&c->session->ceiling, q->profile, &p, NULL) < 0) {
		json_decref(checks);
		call_reply(c, NULL, NULL, 0);
		return;
	}
	json_array_foreach (facts, i, fact)
		(void)json_array_append_new(checks, check(fact, p, &ok));
	call_reply(c,
		   json_pack("{s:b, s:s, s:o, s:o}", "ok", ok, "profile", p->name,
			     "checks", checks, "hidden_programs", hidden_programs(c, p)),
		   NULL, 0);
}

int op_daemon_doctor(struct call *c, struct err *err)
{
	const struct profile_params *q = c->params;
	const struct profile *p;
	int r = ceiling_profile(&c->session->ceiling, q->profile, &p, err);

	return r < 0 ? r : world_probe(c, true, on_doctor, err);
}
