/* SPDX-License-Identifier: Apache-2.0 */

#include "sandbox.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../base/macro.h"
#include "states.h"

void sandboxes_init(struct sandboxes *l)
{
	memset(l, 0, sizeof(*l));
	list_init(&l->all);
	list_init(&l->dead);
}

static void sandbox_free(struct sandbox *s)
{
	principal_unref(s->owner);
	workspace_fini(&s->workspace);
	free(s->label);
	free(s->spec);
	if (s->holder_pidfd >= 0)
		(void)close(s->holder_pidfd);
	free(s);
}

void sandboxes_reap(struct sandboxes *l)
{
	LIST_EACH_SAFE (&l->dead, it) {
		list_remove(it);
		sandbox_free(container_of(it, struct sandbox, all));
	}
}

void sandboxes_fini(struct sandboxes *l)
{
	if (!l->all.next)
		return;
	LIST_EACH_SAFE (&l->all, it)
		sandbox_drop(l, container_of(it, struct sandbox, all));
	sandboxes_reap(l);
}

static int fill(struct sandbox *s, const struct sandbox_args *a, struct err *err)
{
	s->label = a->label ? strdup(a->label) : NULL;
	s->spec = a->spec ? strdup(a->spec) : NULL;
	if ((a->label && !s->label) || (a->spec && !s->spec))
		return err_set(err, ERR_UNAVAILABLE, NULL, ENOMEM,
			       "cannot keep the sandbox");
	return a->workspace ? workspace_dup(a->workspace, &s->workspace, err) : 0;
}

int sandbox_new(struct sandboxes *l, const struct sandbox_args *a, struct sandbox **ret,
		struct err *err)
{
	struct sandbox *s;
	int r;

	if (l->n >= SANDBOXES_MAX)
		return err_set(
			err, ERR_QUOTA, NULL, 0,
			"there are %u sandboxes, and no more are allowed: destroy some "
			"of them first",
			l->n);
	s = calloc(1, sizeof(*s));
	if (!s)
		return err_set(err, ERR_UNAVAILABLE, NULL, ENOMEM,
			       "cannot keep the sandbox");
	s->workspace.fd = -1;
	s->holder_pidfd = -1;
	r = fill(s, a, err);
	if (r < 0) {
		sandbox_free(s);
		return r;
	}
	list_init(&s->waiters);
	list_init(&s->commands);
	list_init(&s->orders);
	s->id = a->id;
	s->owner = principal_ref(a->owner);
	s->profile = a->profile;
	s->created_wall_ns = a->created_wall_ns;
	s->created_boot_ns = a->created_boot_ns;
	s->created_mono_ns = s->used_mono_ns = a->created_mono_ns;
	s->idle_ns = a->idle_ns;
	s->lifetime_ns = a->lifetime_ns;
	list_append(&l->all, &s->all);
	l->n++;

	*ret = s;
	return 0;
}

struct sandbox *sandbox_find(const struct sandboxes *l, const struct id *id)
{
	LIST_EACH (&l->all, it) {
		struct sandbox *s = container_of(it, struct sandbox, all);

		if (id_eq(&s->id, id))
			return s;
	}
	return NULL;
}

void sandbox_tell(struct sandbox *s)
{
	/* Who is told leaves the list, or stays at its end for the next news. */
	size_t n = 0;

	LIST_EACH (&s->waiters, it)
		n++;
	while (n-- > 0 && !list_empty(&s->waiters)) {
		struct sandbox_waiter *w =
			container_of(s->waiters.next, struct sandbox_waiter, node);

		list_remove(&w->node);
		list_append(&s->waiters, &w->node);
		w->fn(w, s);
	}
}

void sandbox_wait(struct sandbox *s, struct sandbox_waiter *w,
		  void (*fn)(struct sandbox_waiter *w, struct sandbox *s))
{
	w->sandbox = s;
	w->fn = fn;
	list_append(&s->waiters, &w->node);
}

void sandbox_waiter_remove(struct sandbox_waiter *w)
{
	if (!w->sandbox)
		return;
	list_remove(&w->node);
	w->sandbox = NULL;
}

void sandbox_drop(struct sandboxes *l, struct sandbox *s)
{
	list_remove(&s->all);
	list_append(&l->dead, &s->all);
	l->n--;
}

const char *sandbox_state_name(enum sandbox_state s)
{
	return sandbox_state_names[s];
}
