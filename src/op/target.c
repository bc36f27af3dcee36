/* SPDX-License-Identifier: Apache-2.0 */

#include "target.h"

#include <string.h>

static int not_found(struct err *err, const char *field, const char *what)
{
	return err_set(err, ERR_NOT_FOUND, field, 0, "there is no such %s", what);
}

void target_note(struct call *c, const struct id *id, char kind)
{
	(void)id_format(id, kind, c->subject);
}

int target_find_id(struct call *c, const char *text, enum access what,
		   struct process **ret, struct err *err)
{
	struct process *p;
	struct id id;

	if (id_parse(text, ID_PROCESS, &id) < 0)
		return not_found(err, "id", "process");
	p = process_find(&c->world->processes, &id);
	if (!p || !principal_may(c->session->who, what, p->owner))
		return not_found(err, "id", "process");
	target_note(c, &p->id, ID_PROCESS);
	*ret = p;
	return 0;
}

int target_find(struct call *c, const struct target_params *t, enum access what,
		struct process **ret, struct err *err)
{
	struct process *p;

	if (t->id)
		return target_find_id(c, t->id, what, ret, err);
	p = t->pid <= INT32_MAX ?
		    process_find_pid(&c->world->processes, (int32_t)t->pid) :
		    NULL;
	if (!p || !principal_may(c->session->who, what, p->owner))
		return not_found(err, "pid", "running process of yours");
	target_note(c, &p->id, ID_PROCESS);
	*ret = p;
	return 0;
}

int target_find_sandbox(struct call *c, const char *text, enum access what,
			struct sandbox **ret, struct err *err)
{
	struct sandbox *s;
	struct id id;

	if (id_parse(text, ID_SANDBOX, &id) < 0)
		return not_found(err, "sandbox", "sandbox");
	s = sandbox_find(&c->world->sandboxes, &id);
	if (!s || !principal_may(c->session->who, what, s->owner))
		return not_found(err, "sandbox", "sandbox");
	target_note(c, &s->id, ID_SANDBOX);
	*ret = s;
	return 0;
}
