/* SPDX-License-Identifier: Apache-2.0 */

#include "bus.h"

#include "../base/clock.h"
#include "../base/signame.h"
#include "../wire/json.h"
#include "record.h"
#include "watcher.h"

const char *const bus_kinds[BUS_MAX_] = { "start",     "exit",	 "closed", "empty",
					  "heartbeat", "denial", "log" };

json_t *bus_event(enum bus_kind kind, const struct process *p)
{
	char id[ID_TEXT], now[CLOCK_TEXT];
	json_t *e = json_pack("{s:s, s:s}", "event", bus_kinds[kind], "time",
			      clock_rfc3339(clock_wall(), now));

	if (e && p)
		(void)json_object_set_new(e, "id",
					  json_string(id_format(&p->id, ID_PROCESS, id)));
	return e;
}

/* Takes event. owner NULL: for everybody. */
static void emit(struct world *w, enum bus_kind kind, const struct process *p,
		 const struct principal *owner, json_t *event)
{
	LIST_EACH_SAFE (&w->watchers, it) {
		struct watcher *x = container_of(it, struct watcher, node);

		if (event && watcher_wants(x, kind, p, owner))
			watcher_send(x, json_incref(event));
	}
	json_decref(event);
}

static json_t *started(const struct process *p)
{
	json_t *e = bus_event(BUS_START, p);
	char id[ID_TEXT];

	if (!e)
		return NULL;
	(void)json_object_set_new(e, "pid",
				  p->pid > 0 ? json_integer(p->pid) : json_null());
	(void)json_object_set_new(
		e, "sandbox",
		id_is_zero(&p->sandbox_id) ?
			json_null() :
			json_string(id_format(&p->sandbox_id, ID_SANDBOX, id)));
	(void)json_object_set_new(e, "agent", json_text_or_null(p->owner->name));
	(void)json_object_set_new(e, "label", json_text_or_null(p->label));
	(void)json_object_set_new(e, "call_id", json_text_or_null(p->call_id));
	return e;
}

static json_t *exited(struct world *w, struct process *p)
{
	static const char *const keys[] = { "status", "reason",	     "exit_code",
					    "signal", "duration_ms", "live" };
	CLEANUP(json_decref) json_t *record = record_json(w, p, p->owner);
	json_t *e = bus_event(BUS_EXIT, p);

	for (size_t i = 0; e && record && i < ARRAY_SIZE(keys); i++)
		(void)json_object_set(e, keys[i], json_object_get(record, keys[i]));
	return e;
}

void bus_news(struct world *w, struct process *p, unsigned int news)
{
	if (list_empty(&w->watchers))
		return;
	if (news & NEWS_STARTED)
		emit(w, BUS_START, p, p->owner, started(p));
	if (news & NEWS_EXITED)
		emit(w, BUS_EXIT, p, p->owner, exited(w, p));
	if (news & NEWS_CLOSED)
		emit(w, BUS_CLOSED, p, p->owner, bus_event(BUS_CLOSED, p));
	if (news & NEWS_EMPTY)
		emit(w, BUS_EMPTY, p, p->owner, bus_event(BUS_EMPTY, p));
}

void bus_heartbeat(struct world *w, struct process *p, const json_t *event)
{
	if (!list_empty(&w->watchers))
		emit(w, BUS_HEARTBEAT, p, p->owner,
		     json_copy((json_t *)(uintptr_t)event));
}

void bus_denial(struct world *w, const struct principal *who, const char *operation,
		const struct err *why)
{
	json_t *e;

	if (list_empty(&w->watchers))
		return;
	e = bus_event(BUS_DENIAL, NULL);
	if (!e)
		return;
	(void)json_object_set_new(e, "id", json_null());
	(void)json_object_set_new(e, "operation", json_text_or_null(operation));
	(void)json_object_set_new(e, "what", json_text_or_null(why->msg));
	(void)json_object_set_new(e, "layer", json_string("policy"));
	(void)json_object_set_new(e, "rule", json_text_or_null(why->stage));
	emit(w, BUS_DENIAL, NULL, who, e);
}

void bus_log(struct world *w, enum log_level level, const char *line)
{
	static const char *const names[] = { "error", "warning", "info", "debug" };
	json_t *e;

	if (list_empty(&w->watchers) || (size_t)level >= ARRAY_SIZE(names))
		return;
	e = bus_event(BUS_LOG, NULL);
	if (!e)
		return;
	(void)json_object_set_new(e, "level", json_string(names[level]));
	(void)json_object_set_new(e, "message", json_text_or_null(line));
	LIST_EACH_SAFE (&w->watchers, it) {
		struct watcher *x = container_of(it, struct watcher, node);

		if ((int)level <= watcher_level(x) &&
		    watcher_wants(x, BUS_LOG, NULL, NULL))
			watcher_send(x, json_incref(e));
	}
	json_decref(e);
}
