/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What the engine before has left: every process and sandbox that the journal
 * believes alive is looked up, and adopted or judged. Before the first client is
 * served; bounded by the patience that a link has with a keeper.
 */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../base/cleanup.h"
#include "../base/clock.h"
#include "../box/stock.h"
#include "../op/record.h"
#include "../wire/json.h"
#include "engine.h"
#include "facts.h"
#include "link.h"
#include "say.h"

#define REBOOT "reboot: the machine was restarted while it ran"

/* --- sandboxes --- */

static int open_workspace(const struct principal *who, const char *path,
			  struct ceiling *ret, struct err *err)
{
	const struct ceiling_request req = { .workspace = path, .by_hand = true };

	return ceiling_open(ret, who, &req, err);
}

static int make_sandbox(struct engine *e, const struct journal_sandbox *row,
			struct sandbox **ret, struct err *err)
{
	CLEANUP(json_decref) json_t *o = json_loads(row->spec, 0, NULL);
	CLEANUP(principal_unref) struct principal *owner = NULL;
	CLEANUP(ceiling_fini) struct ceiling ceiling = CEILING_INIT;
	const char *profile = json_string_value(json_object_get(o, "profile"));
	const char *path = json_string_value(json_object_get(o, "workspace"));
	struct err why;
	struct sandbox_args a = {
		.id = row->id,
		.profile = profile ? profile_find(profile) : NULL,
		.workspace = &ceiling.workspace,
		.label = json_string_value(json_object_get(o, "label")),
		.spec = row->spec,
		.created_wall_ns = row->created_wall_ns,
		.created_boot_ns = row->created_boot_ns,
		.created_mono_ns = clock_mono(),
		.idle_ns = (uint64_t)json_integer_value(json_object_get(o, "idle_ms")) *
			   NS_PER_MS,
		.lifetime_ns =
			(uint64_t)json_integer_value(json_object_get(o, "lifetime_ms")) *
			NS_PER_MS,
	};
	int r;

	/* It can be seen and ended, though nothing new can be started in it. */
	if (!a.profile && profile)
		a.profile = profile_of_old(profile);
	if (!a.profile)
		return err_set(err, ERR_INTERNAL, "journal", 0,
			       "a sandbox in the journal has no readable request");
	r = principal_new(&owner, row->uid, row->uid, err);
	if (r < 0)
		return r;
	if (path && open_workspace(owner, path, &ceiling, &why) < 0)
		say(LOG_LEVEL_WARNING, "a sandbox has lost its workspace: %s", why.msg);
	a.owner = owner;
	r = sandbox_new(&e->world.sandboxes, &a, ret, err);
	/* The connection that it was made for is gone. */
	if (r == 0)
		(*ret)->orphan = json_is_true(json_object_get(o, "own"));
	return r;
}

static int on_sandbox(void *user, const struct journal_sandbox *row, struct err *err)
{
	struct engine *e = user;
	struct sandbox *s;
	int r;

	if (row->state != JOURNAL_INTENT)
		return 0;
	r = make_sandbox(e, row, &s, err);
	if (r < 0) {
		/* One that cannot be understood must not keep all others from living. */
		say(LOG_LEVEL_ERROR, "a sandbox is given up: %s", err->msg);
		return 0;
	}
	if (id_eq(&row->boot_id, &e->world.boot_id))
		return link_adopt(e, NULL, s, err);
	s->state = SANDBOX_GONE;
	s->unsaved = true;
	sandbox_step(&e->world, s);
	return 0;
}

/* --- processes --- */

static int make_process(struct engine *e, const struct journal_process *row,
			struct process **ret, struct err *err)
{
	CLEANUP(principal_unref) struct principal *owner = NULL;
	struct process_args a = {
		.id = row->id,
		.boot_id = row->boot_id,
		.created_wall_ns = row->created_wall_ns,
		.created_boot_ns = row->created_boot_ns,
		.spec = row->spec,
	};
	struct process *p;
	int r;

	r = principal_new(&owner, row->uid, row->uid, err);
	if (r < 0)
		return r;
	a.owner = owner;
	r = process_new(&e->world.processes, &a, &p, err);
	if (r < 0)
		return r;
	r = record_recall(p, err);
	if (r == 0 && row->outcome)
		r = record_recall_outcome(p, row->outcome, err);
	if (r < 0) {
		process_forget(p);
		return r;
	}
	p->sandbox_id = row->sandbox;
	p->ring_bytes = row->ring_bytes;
	for (int i = 0; i < BOX_STREAMS; i++)
		p->total[i] = row->total[i];
	*ret = p;
	return 0;
}

static void join_sandbox(struct engine *e, struct process *p)
{
	struct sandbox *s = id_is_zero(&p->sandbox_id) ?
				    NULL :
				    sandbox_find(&e->world.sandboxes, &p->sandbox_id);

	if (!s)
		return;
	p->sandbox = s;
	list_append(&s->commands, &p->siblings);
	s->n_live++;
}

static void judge_rebooted(struct engine *e, struct process *p)
{
	/* Nothing of another boot lives, and no number of it means anybody. */
	if (p->exited || (process_read(p) && p->record.flags & BOX_HAS_EXITED))
		facts_empty(e, p);
	else
		facts_lost(e, p, REBOOT);
	p->closed = p->empty = true;
}

static bool has_box(const struct engine *e, const struct process *p)
{
	int fd = -1;

	if (box_open(e->world.boxes_fd, &p->id, ID_PROCESS, &fd, NULL) < 0)
		return false;
	(void)close(fd);
	return true;
}

static int on_alive(void *user, const struct journal_process *row, struct err *err)
{
	struct engine *e = user;
	struct process *p;
	struct err why;
	int r;

	r = make_process(e, row, &p, err);
	if (r < 0) {
		say(LOG_LEVEL_ERROR, "a process is given up: %s", err->msg);
		return 0;
	}
	join_sandbox(e, p);
	if (!id_eq(&p->boot_id, &e->world.boot_id)) {
		judge_rebooted(e, p);
		return 0;
	}
	if (!has_box(e, p)) {
		(void)err_set(&why, ERR_UNAVAILABLE, "box", 0,
			      "it was not started: the engine before ended first");
		if (row->state == JOURNAL_INTENT)
			facts_failed(e, p, &why);
		else
			facts_lost(e, p, "its black box is gone");
		return 0;
	}
	return link_adopt(e, p, NULL, err);
}

static int on_ended(void *user, const struct journal_process *row, struct err *err)
{
	struct engine *e = user;
	struct process *p;
	int r;

	/* Those that were judged just now are among them. */
	if (process_find(&e->world.processes, &row->id))
		return 0;
	r = make_process(e, row, &p, err);
	if (r < 0) {
		say(LOG_LEVEL_WARNING, "an ended process is not remembered: %s",
		    err->msg);
		return 0;
	}
	p->state = p->state == PROCESS_LOST ? PROCESS_LOST : PROCESS_EXITED;
	p->at_end[0] = p->at_end[1] = true;
	p->stdin_open = false;
	/* Of these the box says less than the journal. */
	p->settled =
		p->state == PROCESS_LOST || p->record.reason == BOX_REASON_START_FAILED;
	process_set_ended(p, clock_mono());
	return 0;
}

/* --- files that nobody knows --- */

static bool is_known(const struct engine *e, const struct id *id, char kind)
{
	if (kind == ID_PROCESS)
		return process_find(&e->world.processes, id) != NULL;
	return sandbox_find(&e->world.sandboxes, id) != NULL;
}

static bool parse_name(const char *name, const char *suffix, struct id *ret,
		       char *ret_kind)
{
	char text[ID_TEXT];

	if (strlen(name) != ID_TEXT - 1 + strlen(suffix) ||
	    strcmp(name + ID_TEXT - 1, suffix) != 0)
		return false;
	memcpy(text, name, ID_TEXT - 1);
	text[ID_TEXT - 1] = '\0';
	*ret_kind = text[0] == ID_SANDBOX ? ID_SANDBOX : ID_PROCESS;
	return id_parse(text, *ret_kind, ret) == 0;
}

/* Spare ones, those of forgotten processes, and those whose intent was not kept. */
static void clean_box(struct engine *e, const struct id *id, char kind)
{
	int fd = -1;

	if (is_known(e, id, kind) || box_open(e->world.boxes_fd, id, kind, &fd, NULL) < 0)
		return;
	if (box_is_locked(fd) == 0)
		stock_unlink(&e->stock, id, kind);
	(void)close(fd);
}

static void clean_folder(struct engine *e, int dirfd, const char *suffix)
{
	int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *entry;
	struct id id;
	char kind;

	if (!d && fd >= 0)
		(void)close(fd);
	while (d && (entry = readdir(d))) {
		if (!parse_name(entry->d_name, suffix, &id, &kind))
			continue;
		if (dirfd == e->world.boxes_fd)
			clean_box(e, &id, kind);
		else if (!is_known(e, &id, kind))
			(void)unlinkat(dirfd, entry->d_name, 0);
	}
	if (d)
		(void)closedir(d);
}

static bool is_done(void *user)
{
	const struct engine *e = user;

	return e->adopting == 0;
}

static void count_lost(struct engine *e)
{
	LIST_EACH (&e->world.processes.all, it)
		if (container_of(it, struct process, all)->state == PROCESS_LOST)
			e->world.lost++;
}

int recover(struct engine *e, struct err *err)
{
	uint64_t wall = clock_wall(), began = clock_mono();
	int r;

	e->recovering = true;
	r = journal_each_sandbox(e->world.journal, on_sandbox, e, err);
	if (r >= 0)
		r = journal_each_alive(e->world.journal, on_alive, e, err);
	if (r < 0)
		return r;
	turn_end(e);
	loop_run_until(&e->loop, is_done, turn_end, e);
	count_lost(e);
	r = journal_each_ended(e->world.journal,
			       wall > PROCESS_RETAIN_NS ? wall - PROCESS_RETAIN_NS : 0,
			       on_ended, e, err);
	if (r < 0)
		return r;
	turn_end(e);
	clean_folder(e, e->world.boxes_fd, ".box");
	clean_folder(e, e->keepers_fd, ".sock");
	groups_sweep(e);
	e->recovering = false;
	if (e->world.adopted > 0 || e->world.lost > 0)
		say(LOG_LEVEL_INFO,
		    "%u commands and sandboxes adopted, %u lost, in %llu ms",
		    e->world.adopted, e->world.lost,
		    (unsigned long long)((clock_mono() - began) / NS_PER_MS));
	return 0;
}
