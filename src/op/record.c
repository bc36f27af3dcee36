/* SPDX-License-Identifier: Apache-2.0 */

#include "record.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../base/clock.h"
#include "../base/num.h"
#include "../base/signame.h"
#include "../box/reader.h"
#include "../wire/json.h"

#define CUT "..."

json_t *json_text_or_null(const char *text)
{
	return text && *text ? json_text(text) : json_null();
}

json_t *json_text(const char *text)
{
	CLEANUP(free) char *copy = NULL;
	json_t *j = json_string(text);

	if (j)
		return j;
	/* A path need not be UTF-8, and a message may be cut anywhere. */
	copy = strdup(text);
	for (char *p = copy; p && *p; p++)
		if ((unsigned char)*p >= 0x80)
			*p = '?';
	return copy ? json_string(copy) : NULL;
}

json_t *json_time_or_null(uint64_t wall_ns)
{
	char buf[CLOCK_TEXT];

	return wall_ns ? json_string(clock_rfc3339(wall_ns, buf)) : json_null();
}

static json_t *number(uint64_t v)
{
	return json_integer((json_int_t)MIN(v, (uint64_t)INT64_MAX));
}

/* Sets a value that must be made; a failed allocation shows at the end. */
static void set(json_t *o, const char *key, json_t *value, bool *ok)
{
	if (!value || json_object_set_new_nocheck(o, key, value) < 0)
		*ok = false;
}

/* --- the half that was asked for --- */

/* A text that is not longer than max bytes, cut between two characters. */
static json_t *short_text(const char *text, size_t max, bool *was_cut)
{
	CLEANUP(free) char *cut = NULL;
	size_t len = strlen(text);

	if (len <= max)
		return json_string(text);
	*was_cut = true;
	while (max > 0 && ((unsigned char)text[max] & 0xc0) == 0x80)
		max--;
	cut = malloc(max + sizeof(CUT));
	if (!cut)
		return NULL;
	memcpy(cut, text, max);
	memcpy(cut + max, CUT, sizeof(CUT));
	return json_string(cut);
}

static json_t *short_argv(const struct field_strings *argv, bool *was_cut)
{
	size_t left = RECORD_COMMAND_MAX;
	json_t *a = json_array();

	for (size_t i = 0; a && i < argv->n; i++) {
		size_t len = strlen(argv->v[i]) + 1;
		json_t *t = left > 0 ? short_text(argv->v[i], left, was_cut) :
				       json_string(CUT);

		if (json_array_append_new(a, t) < 0) {
			json_decref(a);
			return NULL;
		}
		if (left == 0) {
			*was_cut = true;
			break;
		}
		left -= MIN(left, len);
	}
	return a;
}

json_t *record_isolation(const struct isolation *i)
{
	CLEANUP(json_decref) json_t *o = json_object();
	json_t *layers = json_array();
	char hash[20];
	bool ok = true;

	for (size_t n = 0; layers && n < i->n; n++) {
		const struct isolation_layer *l = &i->layer[n];
		json_t *one = json_object();

		set(one, "name", json_string(l->name), &ok);
		set(one, "state", json_string(l->applied ? "applied" : "absent"), &ok);
		set(one, "why", l->applied ? json_null() : json_text_or_null(l->why),
		    &ok);
		set(one, "note", l->applied ? json_text_or_null(l->note) : json_null(),
		    &ok);
		if (json_array_append_new(layers, one) < 0)
			ok = false;
	}
	(void)snprintf(hash, sizeof(hash), "%016llx", (unsigned long long)i->plan_hash);
	set(o, "backend", json_string(backend_name(i->backend)), &ok);
	set(o, "layers", layers, &ok);
	set(o, "plan_hash", json_string(hash), &ok);
	return ok ? TAKE_PTR(o) : NULL;
}

static const char *capture_of(const struct start_params *q)
{
	static const char *const names[] = { "separate", "combined", "discard" };

	return q->has_pty ? "pty" : names[q->capture];
}

/* Of the whole command: those that the record may leave out as well. */
static size_t command_bytes(const struct start_params *q)
{
	size_t n = q->command ? strlen(q->command) : 0;

	for (size_t i = 0; i < q->argv.n; i++)
		n += strlen(q->argv.v[i]) + 1;
	return n;
}

/* What the engine or a reader of the journal needs again, and nobody else. */
static json_t *kept(const struct start_params *q, const struct compiled *c)
{
	return json_pack(
		"{s:s, s:b, s:b, s:b, s:b, s:I, s:I, s:I, s:I, s:s?}", "backend",
		backend_name(c->isolation.backend), "pty", q->has_pty, "combined",
		q->has_pty || q->capture == REQ_CAPTURE_COMBINED, "stdin_open",
		q->has_pty || q->stdin_spec.kind == STDIN_OPEN, "disconnect_kill",
		q->on_disconnect == REQ_DISCONNECT_KILL, "grace_ms",
		(json_int_t)q->grace_ms, "timeout_ms", (json_int_t)c->timeout_ms,
		"streams",
		(json_int_t)(q->has_pty || q->capture != REQ_CAPTURE_SEPARATE ? 1 : 2),
		"command_bytes", (json_int_t)command_bytes(q), "consumer", q->consumer);
}

json_t *record_spec(const struct start_params *q, const struct compiled *c,
		    const struct profile *profile, const char *trace_id)
{
	CLEANUP(json_decref) json_t *o = json_object();
	bool ok = o != NULL, was_cut = false;

	set(o, "label", json_text_or_null(q->label), &ok);
	set(o, "command",
	    q->command ? short_text(q->command, RECORD_COMMAND_MAX, &was_cut) :
			 json_null(),
	    &ok);
	set(o, "argv", q->argv.n > 0 ? short_argv(&q->argv, &was_cut) : json_null(), &ok);
	set(o, "command_truncated", json_boolean(was_cut), &ok);
	set(o, "shell", json_text_or_null(c->shell), &ok);
	set(o, "cwd", json_text_or_null(c->cwd), &ok);
	set(o, "profile", json_string(profile->name), &ok);
	set(o, "call_id", json_text_or_null(q->call_id), &ok);
	set(o, "trace_id", json_text_or_null(trace_id), &ok);
	set(o, "capture", json_string(capture_of(q)), &ok);
	set(o, "overflow",
	    json_string(q->overflow == REQ_BLOCK ? "block" : "drop_oldest"), &ok);
	set(o, "timeout_ms", c->timeout_ms ? number(c->timeout_ms) : json_null(), &ok);
	set(o, "isolation", record_isolation(&c->isolation), &ok);
	set(o, "cgroup_path", json_text_or_null(c->cgroup_path), &ok);
	set(o, "kept", kept(q, c), &ok);
	return ok ? TAKE_PTR(o) : NULL;
}

static int dup_key(const json_t *o, const char *key, char **ret)
{
	const char *text = json_string_value(json_object_get(o, key));

	if (text && !*ret)
		*ret = strdup(text);
	return text && !*ret ? -ENOMEM : 0;
}

static bool flag(const json_t *o, const char *key)
{
	return json_is_true(json_object_get(o, key));
}

static uint64_t uint_of(const json_t *o, const char *key, uint64_t max)
{
	json_int_t v = json_integer_value(json_object_get(o, key));

	return v > 0 ? MIN((uint64_t)v, max) : 0;
}

static int recall(struct process *p, const json_t *o, struct err *err)
{
	const json_t *k = json_object_get(o, "kept");
	const char *backend = json_string_value(json_object_get(k, "backend"));
	const char *capture = json_string_value(json_object_get(o, "capture"));
	const char *overflow = json_string_value(json_object_get(o, "overflow"));

	if (!json_is_object(k) || !backend || !capture || !overflow)
		return err_set(err, ERR_INTERNAL, "journal", 0,
			       "a process in the journal has no readable request");
	if (dup_key(o, "label", &p->label) < 0 ||
	    dup_key(o, "call_id", &p->call_id) < 0 ||
	    dup_key(o, "profile", &p->profile) < 0 ||
	    dup_key(k, "consumer", &p->consumer) < 0)
		return err_set(err, ERR_UNAVAILABLE, NULL, ENOMEM,
			       "cannot keep a process");
	p->cgroup = json_is_string(json_object_get(o, "cgroup_path"));
	p->backend = strcmp(backend, "host") == 0 ? BACKEND_HOST : BACKEND_NATIVE;
	p->pty = flag(k, "pty");
	p->combined = flag(k, "combined");
	p->block = strcmp(overflow, "block") == 0;
	p->discard = strcmp(capture, "discard") == 0;
	p->stdin_open = flag(k, "stdin_open");
	p->disconnect_kill = flag(k, "disconnect_kill");
	p->grace_ns = uint_of(k, "grace_ms", REQ_TIMEOUT_MAX_MS) * NS_PER_MS;
	p->timeout_ns = uint_of(k, "timeout_ms", REQ_TIMEOUT_MAX_MS) * NS_PER_MS;
	p->streams = (uint32_t)uint_of(k, "streams", BOX_STREAMS);
	return 0;
}

int record_begin(struct process *p, json_t *spec, struct err *err)
{
	CLEANUP(json_decref) json_t *o = spec;

	p->spec = json_dumps(o, JSON_TEXT);
	if (!p->spec)
		return err_set(err, ERR_UNAVAILABLE, NULL, ENOMEM,
			       "cannot keep the request");
	p->asked = TAKE_PTR(o);
	return recall(p, p->asked, err);
}

int record_recall(struct process *p, struct err *err)
{
	CLEANUP(json_decref) json_t *o = json_loads(p->spec, 0, NULL);

	return recall(p, o, err);
}

/* --- the half that became of it --- */

/* Numbers of struct box_record that outlive the box. */
static const struct {
	const char *name;
	size_t offset;
	size_t size;
	bool is_signed;
} numbers[] = {
#define U(m)                                                                             \
	{                                                                                \
#m, offsetof(struct box_record, m), sizeof(((struct box_record *)0)->m), \
			false                                                            \
	}
#define S(m)                                                                             \
	{                                                                                \
#m, offsetof(struct box_record, m), sizeof(((struct box_record *)0)->m), \
			true                                                             \
	}
	U(state),	    U(reason),		U(flags),
	S(exit_code),	    S(exit_signal),	S(sandbox_pid),
	U(started_boot_ns), U(started_wall_ns), U(ended_boot_ns),
	U(ended_wall_ns),   U(utime_us),	U(stime_us),
	U(max_rss_bytes),   U(spawn_ns),	U(live),
	S(start_errno),
#undef U
#undef S
};

static json_int_t get_number(const struct box_record *r, size_t i)
{
	const char *at = (const char *)r + numbers[i].offset;
	uint32_t u32;
	int32_t s32;
	uint64_t u64;

	if (numbers[i].size == sizeof(u64)) {
		memcpy(&u64, at, sizeof(u64));
		return (json_int_t)MIN(u64, (uint64_t)INT64_MAX);
	}
	if (numbers[i].is_signed) {
		memcpy(&s32, at, sizeof(s32));
		return s32;
	}
	memcpy(&u32, at, sizeof(u32));
	return u32;
}

static void set_number(struct box_record *r, size_t i, json_int_t v)
{
	char *at = (char *)r + numbers[i].offset;
	uint32_t u32 = (uint32_t)v; /* the same bits if it is signed */
	uint64_t u64 = (uint64_t)v;

	if (numbers[i].size == sizeof(u64))
		memcpy(at, &u64, sizeof(u64));
	else
		memcpy(at, &u32, sizeof(u32));
}

static json_t *error_json(const struct err *e)
{
	return json_pack("{s:s, s:o, s:i, s:o}", "code", err_info(e->code)->name, "stage",
			 json_text(e->stage), "errno", e->sys_errno, "message",
			 json_text(e->msg));
}

static json_t *usage_json(const struct box_usage *u)
{
	return json_pack("{s:o, s:o, s:o}", "memory_limit", number(u->memory_limit),
			 "memory_peak", number(u->memory_peak), "oom_killed",
			 number(u->oom_killed));
}

static void set_text_if_any(json_t *o, const char *key, const char *text, bool *ok)
{
	if (text && *text)
		set(o, key, json_text(text), ok);
}

/* What is 0, false or empty is left out: it is the same when it is read again. */
char *record_outcome(const struct process *p)
{
	CLEANUP(json_decref) json_t *o = json_object();
	bool ok = o != NULL;

	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
		json_int_t v = get_number(&p->record, i);

		if (v != 0)
			set(o, numbers[i].name, json_integer(v), &ok);
	}
	if (p->usage.memory_limit > 0)
		set(o, "usage", usage_json(&p->usage), &ok);
	set_text_if_any(o, "start_stage", p->record.start_stage, &ok);
	set_text_if_any(o, "start_msg", p->record.start_msg, &ok);
	set_text_if_any(o, "killed_by", p->killed_by, &ok);
	if (p->state == PROCESS_LOST)
		set(o, "lost", json_true(), &ok);
	if (p->empty)
		set(o, "empty", json_true(), &ok);
	if (p->start_err)
		set(o, "error", error_json(p->start_err), &ok);
	return ok ? json_dumps(o, JSON_TEXT) : NULL;
}

static void recall_text(const json_t *o, const char *key, char *to, size_t size)
{
	const char *text = json_string_value(json_object_get(o, key));

	(void)snprintf(to, size, "%s", text ? text : "");
}

static void recall_usage(struct box_usage *u, const json_t *o)
{
	u->memory_limit = uint_of(o, "memory_limit", INT64_MAX);
	u->memory_peak = uint_of(o, "memory_peak", INT64_MAX);
	u->oom_killed = uint_of(o, "oom_killed", INT64_MAX);
}

static void recall_error(struct process *p, const json_t *o)
{
	const char *code = json_string_value(json_object_get(o, "code"));
	int c = code ? err_code_by_name(code) : -1;

	if (!json_is_object(o))
		return;
	p->start_err = calloc(1, sizeof(*p->start_err));
	if (!p->start_err)
		return;
	p->start_err->code = c > ERR_OK ? c : ERR_INTERNAL;
	p->start_err->sys_errno = (int)json_integer_value(json_object_get(o, "errno"));
	recall_text(o, "stage", p->start_err->stage, sizeof(p->start_err->stage));
	recall_text(o, "message", p->start_err->msg, sizeof(p->start_err->msg));
}

int record_recall_outcome(struct process *p, const char *outcome, struct err *err)
{
	CLEANUP(json_decref) json_t *o = json_loads(outcome ? outcome : "", 0, NULL);

	if (!json_is_object(o))
		return err_set(err, ERR_INTERNAL, "journal", 0,
			       "a process in the journal has no readable outcome");
	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
		set_number(&p->record, i,
			   json_integer_value(json_object_get(o, numbers[i].name)));
	recall_usage(&p->usage, json_object_get(o, "usage"));
	recall_text(o, "start_stage", p->record.start_stage,
		    sizeof(p->record.start_stage));
	recall_text(o, "start_msg", p->record.start_msg, sizeof(p->record.start_msg));
	p->has_record = true;
	p->exited = (p->record.flags & BOX_HAS_EXITED) != 0;
	p->closed = (p->record.flags & BOX_HAS_CLOSED) != 0;
	p->empty = flag(o, "empty");
	p->state = flag(o, "lost") ? PROCESS_LOST : PROCESS_EXITED;
	if (dup_key(o, "killed_by", &p->killed_by) < 0)
		return err_set(err, ERR_UNAVAILABLE, NULL, ENOMEM,
			       "cannot keep a process");
	recall_error(p, json_object_get(o, "error"));
	return 0;
}

static void set_end(json_t *o, const struct process *p, bool *ok)
{
	const struct box_record *r = &p->record;
	char sig[SIGNAME_MAX];
	uint32_t reason =
		p->state == PROCESS_LOST ? (uint32_t)BOX_REASON_LOST : r->reason;
	bool ended = p->exited || p->state == PROCESS_LOST;

	set(o, "state", json_string(process_state_name(p->state)), ok);
	set(o, "status", json_string(process_status(p)), ok);
	set(o, "reason", ended ? json_string(box_reason_name(reason)) : json_null(), ok);
	set(o, "killed_by", json_text_or_null(p->killed_by), ok);
	set(o, "exit_code",
	    p->exited && r->exit_code >= 0 ? json_integer(r->exit_code) : json_null(),
	    ok);
	set(o, "signal",
	    p->exited && r->exit_signal > 0 ? json_string(signame(r->exit_signal, sig)) :
					      json_null(),
	    ok);
	set(o, "core_dumped", json_boolean(p->exited && r->flags & BOX_DUMPED_CORE), ok);
	set(o, "exited", json_boolean(p->exited), ok);
	set(o, "closed", json_boolean(p->closed), ok);
	if (p->empty)
		set(o, "live", json_integer(0), ok);
	else if (p->exited && p->ended_mono_ns == 0)
		set(o, "live", json_integer(r->live), ok);
	else
		set(o, "live", json_null(), ok);
	set(o, "lingering", json_boolean(p->exited && p->ended_mono_ns == 0), ok);
}

static void set_times(json_t *o, const struct process *p, const struct world *w, bool *ok)
{
	const struct box_record *r = &p->record;
	uint64_t end = r->ended_boot_ns;

	if (end == 0 && p->ended_mono_ns == 0 && id_eq(&p->boot_id, &w->boot_id))
		end = clock_boot();
	set(o, "started_at", json_time_or_null(r->started_wall_ns), ok);
	set(o, "ended_at", json_time_or_null(r->ended_wall_ns), ok);
	set(o, "duration_ms",
	    r->started_boot_ns && end >= r->started_boot_ns ?
		    number((end - r->started_boot_ns) / NS_PER_MS) :
		    json_null(),
	    ok);
	set(o, "spawn_ms",
	    r->started_boot_ns ? json_thousandths((double)r->spawn_ns / 1e6) :
				 json_null(),
	    ok);
	set(o, "cpu_ms",
	    p->has_record ? number((r->utime_us + r->stime_us) / 1000) : json_null(), ok);
	set(o, "max_rss_bytes", p->exited ? number(r->max_rss_bytes) : json_null(), ok);
}

/* What its group has counted, if it has one that does. */
static void set_memory(json_t *o, const struct process *p, bool *ok)
{
	const struct box_usage *u = &p->usage;

	set(o, "memory_peak_bytes",
	    u->memory_peak > 0 ? number(u->memory_peak) : json_null(), ok);
	set(o, "oom",
	    u->oom_killed > 0 ?
		    json_pack("{s:o, s:o, s:o}", "limit_bytes", number(u->memory_limit),
			      "peak_bytes",
			      u->memory_peak > 0 ? number(u->memory_peak) : json_null(),
			      "killed", number(u->oom_killed)) :
		    json_null(),
	    ok);
}

static void set_output(json_t *o, const struct process *p, bool *ok)
{
	static const char *const names[BOX_STREAMS][2] = {
		{ "stdout_bytes", "stdout_lost" }, { "stderr_bytes", "stderr_lost" }
	};

	for (int i = 0; i < BOX_STREAMS; i++) {
		bool there = i < (int)p->streams;

		set(o, names[i][0], number(there ? p->total[i] : 0), ok);
		set(o, names[i][1], number(there ? p->lost[i] : 0), ok);
	}
	set(o, "disk_full", json_boolean(p->disk_full), ok);
	if (p->record.flags & BOX_BLOCK_LAPSED)
		set(o, "overflow", json_string("drop_oldest"), ok);
}

static json_t *start_error(const struct process *p)
{
	const struct box_record *r = &p->record;

	if (p->start_err)
		return json_pack("{s:o, s:i, s:o}", "stage",
				 json_text(p->start_err->stage), "errno",
				 p->start_err->sys_errno, "message",
				 json_text(p->start_err->msg));
	if (r->reason != BOX_REASON_START_FAILED)
		return json_null();
	return json_pack("{s:o, s:i, s:o}", "stage", json_text(r->start_stage), "errno",
			 r->start_errno, "message", json_text(r->start_msg));
}

static void set_places(json_t *o, const struct process *p, const struct world *w,
		       bool *ok)
{
	char id[ID_TEXT], box[PATH_MAX + 64];

	set(o, "id", json_string(id_format(&p->id, ID_PROCESS, id)), ok);
	(void)snprintf(box, sizeof(box), "%s/boxes/%s.box", w->state_dir, id);
	set(o, "box", json_text_or_null(box), ok);
	set(o, "pid", p->pid > 0 ? json_integer(p->pid) : json_null(), ok);
	set(o, "sandbox_pid",
	    p->record.sandbox_pid > 0 ? json_integer(p->record.sandbox_pid) : json_null(),
	    ok);
	set(o, "sandbox",
	    id_is_zero(&p->sandbox_id) ?
		    json_null() :
		    json_string(id_format(&p->sandbox_id, ID_SANDBOX, id)),
	    ok);
	/* What an older engine journalled has none. */
	if (!json_object_get(o, "cgroup_path"))
		set(o, "cgroup_path", json_null(), ok);
}

json_t *record_json(struct world *w, struct process *p, const struct principal *viewer)
{
	CLEANUP(json_decref)
	json_t *o = p->asked ? TAKE_PTR(p->asked) : json_loads(p->spec, 0, NULL);
	bool ok = json_is_object(o);

	if (!ok)
		return NULL;
	/* Its numbers are those of now. */
	(void)process_read(p);
	if (p->ended_mono_ns != 0)
		process_box_close(p);
	(void)json_object_del(o, "kept");
	set_places(o, p, w, &ok);
	set(o, "agent",
	    json_text_or_null(p->owner->uid == viewer->uid ? "self" : p->owner->name),
	    &ok);
	set_end(o, p, &ok);
	set_times(o, p, w, &ok);
	set_memory(o, p, &ok);
	set(o, "cpu_percent", json_null(), &ok);
	set(o, "memory_bytes", json_null(), &ok);
	set_output(o, p, &ok);
	set(o, "stdin_open", json_boolean(p->stdin_open), &ok);
	set(o, "denials", json_array(), &ok);
	set(o, "start_error", start_error(p), &ok);
	return ok ? TAKE_PTR(o) : NULL;
}

/* --- sandboxes --- */

char *record_sandbox_spec(const struct profile *profile,
			  const struct workspace *workspace,
			  const struct isolation *isolation, uint64_t idle_ns,
			  uint64_t lifetime_ns, const char *label, bool own)
{
	CLEANUP(json_decref) json_t *o = json_object();
	bool ok = o != NULL;

	set(o, "label", json_text_or_null(label), &ok);
	set(o, "profile", json_string(profile->name), &ok);
	set(o, "workspace", json_text_or_null(workspace->path), &ok);
	set(o, "idle_ms", idle_ns ? number(idle_ns / NS_PER_MS) : json_null(), &ok);
	set(o, "lifetime_ms", lifetime_ns ? number(lifetime_ns / NS_PER_MS) : json_null(),
	    &ok);
	set(o, "isolation", record_isolation(isolation), &ok);
	set(o, "own", json_boolean(own), &ok);
	return ok ? json_dumps(o, JSON_TEXT) : NULL;
}

json_t *record_sandbox(const struct sandbox *s, const struct principal *viewer)
{
	CLEANUP(json_decref) json_t *o = json_loads(s->spec, 0, NULL);
	bool ok = json_is_object(o);
	char id[ID_TEXT];

	if (!ok)
		return NULL;
	(void)json_object_del(o, "own");
	set(o, "id", json_string(id_format(&s->id, ID_SANDBOX, id)), &ok);
	set(o, "agent",
	    json_text_or_null(s->owner->uid == viewer->uid ? "self" : s->owner->name),
	    &ok);
	set(o, "state", json_string(sandbox_state_name(s->state)), &ok);
	set(o, "live", json_integer(s->n_live), &ok);
	set(o, "created_at", json_time_or_null(s->created_wall_ns), &ok);
	return ok ? TAKE_PTR(o) : NULL;
}
