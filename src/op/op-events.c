/* SPDX-License-Identifier: Apache-2.0 */

/* events.watch: until the caller has enough. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../wire/json.h"
#include "handlers.h"
#include "request.h"
#include "watcher.h"

static bool is_kind(const struct watcher *x, enum bus_kind kind)
{
	return (x->kinds >> kind & 1) != 0;
}

bool watcher_wants(const struct watcher *x, enum bus_kind kind, const struct process *p,
		   const struct principal *owner)
{
	const struct watch_params *q = x->call->params;
	char id[ID_TEXT];

	if (!is_kind(x, kind))
		return false;
	if (owner && !principal_may(x->call->session->who, ACCESS_SEE, owner))
		return false;
	/* Who asks for one process, sandbox or label wants nothing about others. */
	if (!p)
		return !q->id && !q->sandbox && !q->label;
	if (q->id && strcmp(q->id, id_format(&p->id, ID_PROCESS, id)) != 0)
		return false;
	if (q->sandbox &&
	    (id_is_zero(&p->sandbox_id) ||
	     strcmp(q->sandbox, id_format(&p->sandbox_id, ID_SANDBOX, id)) != 0))
		return false;
	return !q->label || strcmp(q->label, p->label ? p->label : "") == 0;
}

int watcher_level(const struct watcher *x)
{
	return ((const struct watch_params *)x->call->params)->level;
}

static void tell_missed(struct watcher *x)
{
	if (x->missed == 0 || !call_has_room(x->call))
		return;
	call_event(x->call,
		   json_pack("{s:s, s:I}", "event", "missed", "count",
			     (json_int_t)x->missed),
		   NULL, 0);
	x->missed = 0;
}

void watcher_send(struct watcher *x, json_t *event)
{
	if (!call_has_room(x->call)) {
		x->missed++;
		json_decref(event);
		return;
	}
	tell_missed(x);
	call_event(x->call, event, NULL, 0);
}

static void on_room(struct call *c)
{
	tell_missed(c->state);
}

static void on_stop(struct call *c, enum call_end why)
{
	struct watcher *x = c->state;

	(void)why;
	list_remove(&x->node);
	c->state = NULL;
	free(x);
}

int op_events_watch(struct call *c, struct err *err)
{
	const struct watch_params *q = c->params;
	struct watcher *x = calloc(1, sizeof(*x));

	if (!x)
		return err_set(err, ERR_UNAVAILABLE, NULL, ENOMEM, "no memory");
	x->call = c;
	for (unsigned int k = 0; k < BUS_MAX_; k++) {
		bool wanted = q->kinds.n == 0;

		for (size_t i = 0; i < q->kinds.n; i++)
			wanted = wanted || strcmp(q->kinds.v[i], bus_kinds[k]) == 0;
		x->kinds |= wanted ? 1u << k : 0;
	}
	c->state = x;
	c->stop = on_stop;
	c->room = on_room;
	list_append(&c->world->watchers, &x->node);
	return 0;
}
