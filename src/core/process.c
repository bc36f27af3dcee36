/* SPDX-License-Identifier: Apache-2.0 */

#include "process.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../base/macro.h"
#include "../wire/json.h"
#include "states.h"

/* Ids are random: any of their bytes are a hash. */
static size_t id_bucket(const struct id *id)
{
	return ((size_t)id->b[0] << 8 | id->b[1]) % PROCESS_BUCKETS;
}

static size_t pid_bucket(int32_t pid)
{
	return (uint32_t)pid % PROCESS_BUCKETS;
}

void registry_init(struct registry *r, int boxes_fd)
{
	memset(r, 0, sizeof(*r));
	r->boxes_fd = boxes_fd;
	list_init(&r->all);
	list_init(&r->ended);
	list_init(&r->told);
	list_init(&r->ready);
	list_init(&r->dead);
}

static void process_free(struct process *p)
{
	principal_unref(p->owner);
	free(p->spec);
	json_decref(p->asked);
	free(p->label);
	free(p->call_id);
	free(p->profile);
	free(p->start_err);
	free(p->killed_by);
	free(p->consumer);
	free(p->writes);
	if (p->box_fd >= 0)
		(void)close(p->box_fd);
	free(p);
}

void registry_reap(struct registry *r)
{
	LIST_EACH_SAFE (&r->dead, it) {
		list_remove(it);
		process_free(container_of(it, struct process, all));
	}
}

void registry_fini(struct registry *r)
{
	if (!r->all.next)
		return;
	LIST_EACH_SAFE (&r->all, it)
		process_forget(container_of(it, struct process, all));
	registry_reap(r);
}

int registry_admit(const struct registry *r, struct err *err)
{
	if (r->n_live < PROCESS_LIVE_MAX)
		return 0;
	return err_set(
		err, ERR_QUOTA, NULL, 0,
		"%u commands are alive, and no more are allowed: end some of them first",
		r->n_live);
}

static bool is_later(const struct process *a, const struct process *b)
{
	if (a->created_wall_ns != b->created_wall_ns)
		return a->created_wall_ns > b->created_wall_ns;
	return memcmp(a->id.b, b->id.b, ID_BYTES) > 0;
}

/* The order holds although the wall clock may be set back. */
static void insert_in_order(struct registry *r, struct process *p)
{
	struct list *at = &r->all;

	while (at->prev != &r->all &&
	       is_later(container_of(at->prev, struct process, all), p))
		at = at->prev;
	list_append(at, &p->all);
}

static int dup_text(char **ret, const char *text)
{
	*ret = text ? strdup(text) : NULL;
	return text && !*ret ? -ENOMEM : 0;
}

int process_new(struct registry *r, const struct process_args *a, struct process **ret,
		struct err *err)
{
	size_t bucket = id_bucket(&a->id);
	struct process *p;

	if (process_find(r, &a->id))
		return err_set(err, ERR_CONFLICT, "id", 0, "this id is in use");
	p = calloc(1, sizeof(*p));
	if (!p)
		return err_set(err, ERR_UNAVAILABLE, NULL, ENOMEM,
			       "cannot keep the process");
	p->box_fd = -1;
	if (dup_text(&p->spec, a->spec) < 0 || dup_text(&p->label, a->label) < 0 ||
	    dup_text(&p->call_id, a->call_id) < 0 ||
	    dup_text(&p->profile, a->profile) < 0) {
		process_free(p);
		return err_set(err, ERR_UNAVAILABLE, NULL, ENOMEM,
			       "cannot keep the process");
	}

	p->registry = r;
	p->id = a->id;
	p->boot_id = a->boot_id;
	p->owner = principal_ref(a->owner);
	p->created_wall_ns = a->created_wall_ns;
	p->created_boot_ns = a->created_boot_ns;
	list_init(&p->ended);
	list_init(&p->told);
	list_init(&p->ready);
	list_init(&p->siblings);
	list_init(&p->waiters);
	list_init(&p->feeds);
	p->next_id = r->by_id[bucket];
	r->by_id[bucket] = p;
	insert_in_order(r, p);
	r->n_all++;
	r->n_live++;
	r->started++;

	*ret = p;
	return 0;
}

static void unlink_id(struct process *p)
{
	struct process **at = &p->registry->by_id[id_bucket(&p->id)];

	while (*at && *at != p)
		at = &(*at)->next_id;
	if (*at)
		*at = p->next_id;
}

static void unlink_pid(struct process *p)
{
	struct process **at;

	if (p->pid == 0)
		return;
	at = &p->registry->by_pid[pid_bucket(p->pid)];
	while (*at && *at != p)
		at = &(*at)->next_pid;
	if (*at)
		*at = p->next_pid;
	p->pid = 0;
}

void process_forget(struct process *p)
{
	struct registry *r = p->registry;

	if (p->released)
		return;
	p->released = true;
	unlink_id(p);
	unlink_pid(p);
	if (p->ended_mono_ns != 0)
		r->n_ended--;
	else
		r->n_live--;
	r->n_all--;
	list_remove(&p->ended);
	list_remove(&p->told);
	list_remove(&p->ready);
	list_remove(&p->siblings);
	list_remove(&p->all);
	list_append(&r->dead, &p->all);

	while (!list_empty(&p->waiters)) {
		struct waiter *w = container_of(p->waiters.next, struct waiter, node);

		waiter_remove(w);
		w->fn(w, p, NEWS_RELEASED);
	}
}

void process_release(struct process *p)
{
	assert(p->ended_mono_ns != 0);
	process_forget(p);
}

struct process *process_find(const struct registry *r, const struct id *id)
{
	struct process *p = r->by_id[id_bucket(id)];

	while (p && !id_eq(&p->id, id))
		p = p->next_id;
	return p;
}

struct process *process_find_pid(const struct registry *r, int32_t pid)
{
	struct process *p;

	if (pid <= 0)
		return NULL;
	p = r->by_pid[pid_bucket(pid)];
	while (p && p->pid != pid)
		p = p->next_pid;
	return p;
}

void process_set_pid(struct process *p, int32_t pid)
{
	struct process **bucket;

	unlink_pid(p);
	if (pid <= 0 || p->released)
		return;
	bucket = &p->registry->by_pid[pid_bucket(pid)];
	p->pid = pid;
	p->next_pid = *bucket;
	*bucket = p;
}

void process_note(struct process *p, unsigned int news)
{
	if (p->released)
		return;
	if (p->news == 0)
		list_append(&p->registry->told, &p->told);
	p->news |= news;
}

struct process *registry_next_news(struct registry *r)
{
	struct process *p;

	if (list_empty(&r->told))
		return NULL;
	p = container_of(r->told.next, struct process, told);
	list_remove(&p->told);
	if (p->ready_news == 0)
		list_append(&r->ready, &p->ready);
	p->ready_news |= p->news;
	p->news = 0;
	return p;
}

struct process *registry_take_ready(struct registry *r, unsigned int *ret_news)
{
	struct process *p;

	if (list_empty(&r->ready))
		return NULL;
	p = container_of(r->ready.next, struct process, ready);
	list_remove(&p->ready);
	*ret_news = p->ready_news;
	p->ready_news = 0;
	return p;
}

void process_tell(struct process *p, unsigned int news)
{
	/*
	 * Who is told may go, come again, or take others along. Those that were told
	 * or came meanwhile stand behind those that were not.
	 */
	p->round++;
	while (!p->released && !list_empty(&p->waiters)) {
		struct waiter *w = container_of(p->waiters.next, struct waiter, node);

		if (w->round == p->round)
			return;
		w->round = p->round;
		list_remove(&w->node);
		list_append(&p->waiters, &w->node);
		w->fn(w, p, news);
	}
}

void process_set_ended(struct process *p, uint64_t now_mono_ns)
{
	if (p->ended_mono_ns != 0 || p->released)
		return;
	p->ended_mono_ns = MAX(now_mono_ns, 1);
	p->registry->n_live--;
	p->registry->n_ended++;
	list_append(&p->registry->ended, &p->ended);
	unlink_pid(p);
}

void process_wait(struct process *p, struct waiter *w,
		  void (*fn)(struct waiter *w, struct process *p, unsigned int news))
{
	w->process = p;
	w->fn = fn;
	w->round = p->round;
	for (int i = 0; i < BOX_STREAMS; i++)
		w->past[i] = WAITER_NO_OUTPUT;
	list_append(&p->waiters, &w->node);
}

void waiter_remove(struct waiter *w)
{
	struct process *p = w->process;

	if (!p)
		return;
	list_remove(&w->node);
	w->process = NULL;
	/* They take twice the room of all the rest: thousands may be idle. */
	if (list_empty(&p->waiters)) {
		json_decref(p->asked);
		p->asked = NULL;
	}
}

bool process_wants_output(const struct process *p, uint64_t past[static BOX_STREAMS])
{
	bool any = false;

	for (int i = 0; i < BOX_STREAMS; i++)
		past[i] = WAITER_NO_OUTPUT;
	LIST_EACH (&p->waiters, it) {
		const struct waiter *w = container_of(it, struct waiter, node);

		for (int i = 0; i < BOX_STREAMS; i++) {
			any = any || w->past[i] != WAITER_NO_OUTPUT;
			past[i] = MIN(past[i], w->past[i]);
		}
	}
	return any;
}

struct process *registry_expired(const struct registry *r, uint64_t now_mono_ns)
{
	LIST_EACH (&r->ended, it) {
		struct process *p = container_of(it, struct process, ended);

		if (r->n_ended <= PROCESS_ENDED_MAX &&
		    now_mono_ns - p->ended_mono_ns < PROCESS_RETAIN_NS)
			return NULL;
		if (list_empty(&p->waiters) && p->news == 0 && p->ready_news == 0 &&
		    !p->unsaved)
			return p;
	}
	return NULL;
}

bool process_write_seen(struct process *p, const char *write_id,
			struct process_write **ret)
{
	struct process_write *w;

	*ret = NULL;
	if (!p->writes)
		p->writes = calloc(1, sizeof(*p->writes));
	if (!p->writes)
		return false;
	for (size_t i = 0; i < PROCESS_WRITE_IDS; i++) {
		w = &p->writes->w[i];
		if (strcmp(w->id, write_id) == 0) {
			*ret = w;
			return true;
		}
	}
	w = &p->writes->w[p->writes->next++ % PROCESS_WRITE_IDS];
	(void)memset(w, 0, sizeof(*w));
	(void)memcpy(w->id, write_id, strnlen(write_id, PROCESS_WRITE_ID_MAX));
	*ret = w;
	return false;
}

const char *process_state_name(enum process_state s)
{
	return process_state_names[s];
}

const char *process_status(const struct process *p)
{
	static const char *const by_reason[] = {
		[BOX_REASON_NONE] = "running",
		[BOX_REASON_EXITED] = "error",
		[BOX_REASON_SIGNALED] = "error",
		[BOX_REASON_TIMEOUT] = "timeout",
		[BOX_REASON_KILLED] = "killed",
		[BOX_REASON_CANCELLED] = "cancelled",
		[BOX_REASON_OOM] = "killed",
		[BOX_REASON_LIFETIME] = "timeout",
		[BOX_REASON_IDLE] = "timeout",
		[BOX_REASON_OUTPUT_LIMIT] = "killed",
		[BOX_REASON_DISCONNECTED] = "cancelled",
		[BOX_REASON_START_FAILED] = "error",
		[BOX_REASON_LOST] = "lost",
	};

	if (p->state == PROCESS_LOST)
		return "lost";
	if (!p->exited)
		return "running";
	if (p->record.reason >= ARRAY_SIZE(by_reason))
		return "error";
	if (p->record.reason == BOX_REASON_EXITED && p->record.exit_code == 0)
		return "ok";
	return by_reason[p->record.reason];
}
