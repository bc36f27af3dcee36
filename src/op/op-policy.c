/* SPDX-License-Identifier: Apache-2.0 */

/* policy.show and policy.check: what is allowed, and what would be done. */

#include <errno.h>
#include <linux/sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "../base/buf.h"
#include "../base/cleanup.h"
#include "../core/compile.h"
#include "../plan/plan.h"
#include "../sys/landlock.h"
#include "../wire/json.h"
#include "handlers.h"
#include "policy.h"
#include "record.h"
#include "request.h"
#include "start.h"

#define WORDS_MAX 512 /* of one step */

static json_t *strings(const char *const *v)
{
	json_t *a = json_array();

	for (; a && v && *v; v++)
		(void)json_array_append_new(a, json_string(*v));
	return a;
}

json_t *policy_limits(const struct limits *l)
{
	json_t *o = json_object();

	for (int i = 0; o && i < LIMIT_MAX_; i++)
		if (limits_has(l, (enum limit_id)i))
			(void)json_object_set_new(o, limit_name((enum limit_id)i),
						  json_integer((json_int_t)MIN(
							  l->v[i], (uint64_t)INT64_MAX)));
	return o;
}

static json_t *profile_names(const struct ceiling *c)
{
	json_t *a = json_array();
	const struct profile *p;

	/* The one that is used unless another is named comes first. */
	if (a && c->first)
		(void)json_array_append_new(a, json_string(c->first->name));
	for (size_t i = 0; a && i < PROFILES_MAX; i++) {
		p = profile_at(i);
		if (p && c->profiles >> i & 1 && i != profile_index(c->first))
			(void)json_array_append_new(a, json_string(p->name));
	}
	return a;
}

json_t *policy_ceiling(const struct session *s)
{
	const struct ceiling *c = &s->ceiling;
	json_t *ops = json_array();

	for (unsigned int i = 0; ops && i < OP_MAX_; i++)
		if (ceiling_may(c, i))
			(void)json_array_append_new(ops, json_string(op_get(i)->name));
	return json_pack("{s:o, s:o, s:o, s:o, s:s}", "workspace",
			 json_text_or_null(c->workspace.path), "profiles",
			 profile_names(c), "operations", ops, "limits",
			 policy_limits(&c->limits), "sandbox", s->own ? "own" : "fresh");
}

static json_t *profile_json(const struct profile *p)
{
	json_t *o = json_pack(
		"{s:s, s:s, s:s, s:s, s:s, s:o, s:o, s:o, s:o, s:s}", "name", p->name,
		"doc", p->doc, "origin", p->origin, "backend", backend_name(p->backend),
		"network", network_name(p->network), "read", strings(p->read), "env_pass",
		strings(p->env_pass), "limits", policy_limits(&p->limits), "timeout_ms",
		p->timeout_ms ? json_integer((json_int_t)p->timeout_ms) : json_null(),
		"text", p->text);

	(void)json_object_set_new(o, "write", strings(p->write));
	(void)json_object_set_new(o, "mask",
				  json_pack("{s:o, s:o}", "read_only",
					    strings(p->mask_read_only), "hide",
					    strings(p->mask_hide)));
	return o;
}

int op_policy_show(struct call *c, struct err *err)
{
	const struct profile_params *q = c->params;
	const struct profile *p;
	int r = ceiling_profile(&c->session->ceiling, q->profile, &p, err);

	if (r < 0)
		return r;
	call_reply(c,
		   json_pack("{s:o, s:o, s:o}", "profile", profile_json(p), "profiles",
			     profile_names(&c->session->ceiling), "ceiling",
			     policy_ceiling(c->session)),
		   NULL, 0);
	return 0;
}

/* --- a plan in words --- */

static void namespaces_words(uint32_t flags, struct buf *b)
{
	static const struct {
		uint32_t flag;
		const char *name;
	} names[] = {
		{ CLONE_NEWUSER, "user" },     { CLONE_NEWNS, "mount" },
		{ CLONE_NEWPID, "pid" },       { CLONE_NEWIPC, "ipc" },
		{ CLONE_NEWUTS, "uts" },       { CLONE_NEWNET, "network" },
		{ CLONE_NEWCGROUP, "cgroup" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (flags & names[i].flag)
			buf_addf(b, " %s", names[i].name);
	if (flags == 0)
		buf_adds(b, " none, the host's own");
}

static void words(struct buf *b, const struct plan_step *s, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const char *t = plan_text(s, i);

		if (!t || b->len > WORDS_MAX) {
			buf_adds(b, " ...");
			return;
		}
		buf_addf(b, " %.*s", WORDS_MAX, t);
	}
}

/* Never a value of the environment. */
static void step_words(const struct plan_step *s, struct buf *b)
{
	const char *name;

	buf_adds(b, s->info->name);
	switch (s->type) {
	case STEP_NAMESPACES:
		namespaces_words(((const struct step_namespaces *)s->payload)->flags, b);
		break;
	case STEP_JOIN:
		namespaces_words(((const struct step_join *)s->payload)->flags, b);
		break;
	case STEP_OWNER:
		buf_addf(b, " uid %u gid %u",
			 ((const struct step_owner *)s->payload)->uid,
			 ((const struct step_owner *)s->payload)->gid);
		break;
	case STEP_WORKSPACE:
	case STEP_BIND:
	case STEP_MASK:
	case STEP_CWD:
		words(b, s, 2);
		break;
	case STEP_HOSTNAME:
	case STEP_DIR:
	case STEP_MOUNT:
	case STEP_SHOW:
	case STEP_SHOWN:
		words(b, s, 1);
		break;
	case STEP_LANDLOCK_RULES:
		buf_addf(b, " of abi %u", ((const struct step_u32 *)s->payload)->v);
		break;
	case STEP_LANDLOCK_RULE:
		name = landlock_kind_name(
			(enum landlock_kind)((const struct step_u32 *)s->payload)->v);
		buf_addf(b, " %s", name ? name : "?");
		words(b, s, 1);
		break;
	case STEP_SCRATCH:
		buf_addf(b, " of %llu bytes",
			 (unsigned long long)((const struct step_scratch *)s->payload)
				 ->size);
		break;
	case STEP_RLIMIT:
		buf_addf(b, " %u to %llu",
			 ((const struct step_rlimit *)s->payload)->resource,
			 (unsigned long long)((const struct step_rlimit *)s->payload)
				 ->hard);
		break;
	case STEP_EXEC:
		words(b, s, ((const struct step_exec *)s->payload)->argc);
		break;
	case STEP_ROOT:
	case STEP_IDMAP:
	case STEP_LOOPBACK:
	case STEP_ATTACH:
	case STEP_DEVPTS:
	case STEP_PROC:
	case STEP_PIVOT:
	case STEP_RECORD:
	case STEP_TIMERS:
	case STEP_STDIO:
	case STEP_CGROUP:
	case STEP_UMASK:
	case STEP_NO_NEW_PRIVS:
	case STEP_DROP_CAPS:
	case STEP_LANDLOCK:
	case STEP_SECCOMP:
	case STEP_MAX_:
		break;
	}
}

static void add_plan(json_t *list, const struct plan_builder *b)
{
	const struct plan p = { .data = (const unsigned char *)b->buf.data,
				.len = b->buf.len };
	struct plan_step s;

	for (size_t at = 0; p.len > 0 && plan_next(&p, &at, &s) > 0;) {
		CLEANUP(buf_fini) struct buf text = { 0 };

		step_words(&s, &text);
		if (buf_ok(&text))
			(void)json_array_append_new(list, json_text_or_null(text.data));
	}
}

int op_policy_check(struct call *c, struct err *err)
{
	CLEANUP(compiled_fini) struct compiled compiled = { 0 };
	const struct profile *profile = NULL;
	json_t *plan = json_array();
	struct err why = { 0 };
	bool allowed;

	allowed = start_check(c, c->params, &profile, &compiled, &why) == 0;
	if (!allowed && why.code != ERR_DENIED && why.code != ERR_QUOTA &&
	    why.code != ERR_UNSUPPORTED) {
		json_decref(plan);
		*err = why;
		return -err->code;
	}
	if (allowed) {
		add_plan(plan, &compiled.prepare);
		add_plan(plan, &compiled.commit);
	}
	call_reply(c,
		   json_pack("{s:s, s:o, s:o, s:o}", "decision",
			     allowed ? "allow" : "deny", "rule",
			     allowed ? json_sprintf("profile %s", profile->name) :
				       json_text_or_null(why.stage),
			     "message", json_text_or_null(why.msg), "plan", plan),
		   NULL, 0);
	return 0;
}
