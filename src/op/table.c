/* SPDX-License-Identifier: Apache-2.0 */

#include "op.h"

#include <assert.h>
#include <string.h>

#include "../base/macro.h"
#include "request.h"
#include "tables.h"

#define TO_ALL (FIELD_MODEL | FIELD_CLIENT | FIELD_ADMIN)
#define TO_CLIENTS (FIELD_CLIENT | FIELD_ADMIN)

#define PARAMS(table, type) .params = (table), .params_size = sizeof(struct type)

static const struct op ops[OP_MAX_] = {
	[OP_PROCESS_RUN] = {
		.name = "process.run",
		.title = "Run a command",
		.tool = "run_command",
		.doc = "Runs a command in a sandbox, waits for its end and gives exit and "
		       "output. What the command leaves running stays listed. If wait_ms is "
		       "over first, the answer says state running, and nothing is ended.",
		PARAMS(params_run, run_params),
		.check = run_params_check,
		.result = result_run,
		.record = true,
		.changes = true,
		.destroys = true,
		.streams = true,
		.audience = TO_ALL,
		.example = "{\"command\": \"make test\", \"timeout_ms\": 600000}",
	},
	[OP_PROCESS_START] = {
		.name = "process.start",
		.title = "Start a command in the background",
		.doc = "Starts a command in a sandbox and answers at once with its id. Its "
		       "output is recorded, whoever reads it; it runs on when the caller goes "
		       "away.",
		PARAMS(params_start, start_params),
		.check = start_params_check,
		.result = result_none,
		.record = true,
		.changes = true,
		.destroys = true,
		.audience = TO_CLIENTS,
		.example = "{\"argv\": [\"npm\", \"run\", \"dev\"], \"label\": \"web server\"}",
	},
	[OP_PROCESS_LIST] = {
		.name = "process.list",
		.title = "List processes",
		.tool = "list_processes",
		.doc = "Lists the commands that the caller and its descendants have started, "
		       "with their state and live use of processor and memory.",
		PARAMS(params_list, list_params),
		.result = result_list,
		.audience = TO_ALL,
		.example = "{\"state\": \"all\", \"limit\": 20}",
	},
	[OP_PROCESS_STATS] = {
		.name = "process.stats",
		.title = "Examine a process",
		.tool = "process_stats",
		.doc = "Gives the record of one command and what its tree uses now: processor, "
		       "memory, input and output, number of processes, isolation.",
		PARAMS(params_stats, stats_params),
		.check = target_params_check,
		.result = result_stats,
		.record = true,
		.audience = TO_ALL,
		.example = "{\"pid\": 4711}",
	},
	[OP_PROCESS_WAIT] = {
		.name = "process.wait",
		.title = "Wait for a process",
		.tool = "wait_for_process",
		.doc = "Waits until a command, or any of several, has exited, and gives exit "
		       "and output. When wait_ms is over first, the answer says exited: false; "
		       "the command runs on.",
		PARAMS(params_wait, wait_params),
		.check = wait_params_check,
		.result = result_wait,
		.record = true,
		.streams = true,
		.audience = TO_ALL,
		.example = "{\"id\": \"p_0123456789abcdefghjkmnpqrs\", \"wait_ms\": 5000}",
	},
	[OP_PROCESS_READ] = {
		.name = "process.read",
		.title = "Read output",
		.tool = "read_process_output",
		.doc = "Reads recorded output of a running or ended command from an offset on, "
		       "or its end. Reading removes nothing; bytes that the ring has lost are "
		       "counted.",
		PARAMS(params_read, read_params),
		.check = read_params_check,
		.result = result_read,
		.audience = TO_ALL,
		.example = "{\"id\": \"p_0123456789abcdefghjkmnpqrs\", \"stream\": \"stdout\", "
			   "\"offset\": 0, \"until\": \"Listening on\", \"wait_ms\": 10000}",
	},
	[OP_PROCESS_WRITE] = {
		.name = "process.write",
		.title = "Write input",
		.tool = "write_process_input",
		.doc = "Writes to the standard input, or the terminal, of a running command.",
		PARAMS(params_write, write_params),
		.check = write_params_check,
		.result = result_write,
		.changes = true,
		.destroys = true,
		.audience = TO_ALL,
		.example = "{\"id\": \"p_0123456789abcdefghjkmnpqrs\", \"data\": \"yes\\n\"}",
	},
	[OP_PROCESS_SIGNAL] = {
		.name = "process.signal",
		.title = "Send a signal",
		.doc = "Sends a signal once. It never escalates and never marks anything "
		       "ended: only the end is an end.",
		PARAMS(params_signal, signal_params),
		.check = target_params_check,
		.result = result_signal,
		.changes = true,
		.destroys = true,
		.audience = TO_CLIENTS,
		.example = "{\"id\": \"p_0123456789abcdefghjkmnpqrs\", \"signal\": \"HUP\"}",
	},
	[OP_PROCESS_KILL] = {
		.name = "process.kill",
		.title = "End a process",
		.tool = "kill_process",
		.doc = "Ends a command and everything that it has started: a signal, a grace "
		       "period, SIGKILL, and a look whether the tree is empty. Gives exit, "
		       "survivors and last output.",
		PARAMS(params_kill, kill_params),
		.check = target_params_check,
		.result = result_kill,
		.record = true,
		.changes = true,
		.destroys = true,
		.audience = TO_ALL,
		.example = "{\"id\": \"p_0123456789abcdefghjkmnpqrs\", \"grace_ms\": 1000}",
	},
	[OP_PROCESS_RESIZE] = {
		.name = "process.resize",
		.title = "Resize a terminal",
		.doc = "Changes the size of the terminal of a command with a pty.",
		PARAMS(params_resize, resize_params),
		.result = result_none,
		.changes = true,
		.audience = TO_CLIENTS,
		.example = "{\"id\": \"p_0123456789abcdefghjkmnpqrs\", \"cols\": 120, "
			   "\"rows\": 40}",
	},
	[OP_PROCESS_ATTACH] = {
		.name = "process.attach",
		.title = "Follow a process",
		.doc = "Sends output as events from an offset on, as it comes, and ends with "
		       "the record when the command has exited and all has been sent.",
		PARAMS(params_attach, attach_params),
		.result = result_none,
		.record = true,
		.streams = true,
		.audience = TO_CLIENTS,
		.example = "{\"id\": \"p_0123456789abcdefghjkmnpqrs\", \"input\": true}",
	},
	[OP_PROCESS_RELEASE] = {
		.name = "process.release",
		.title = "Forget an ended process",
		.doc = "Forgets record and output of a command whose tree is empty, before the "
		       "retention time is over.",
		PARAMS(params_process, id_params),
		.result = result_release,
		.changes = true,
		.destroys = true,
		.audience = TO_CLIENTS,
		.example = "{\"id\": \"p_0123456789abcdefghjkmnpqrs\"}",
	},
	[OP_SANDBOX_CREATE] = {
		.name = "sandbox.create",
		.title = "Make a sandbox",
		.doc = "Makes a named sandbox, which several commands share: loopback network, "
		       "/tmp, HOME and mounts. They reach each other by TCP, UDP and sockets "
		       "with a path, not by abstract Unix sockets.",
		PARAMS(params_sandbox_create, sandbox_create_params),
		.result = op_sandbox,
		.changes = true,
		.audience = TO_CLIENTS,
		.example = "{\"label\": \"tests\", \"idle_ms\": 600000}",
	},
	[OP_SANDBOX_LIST] = {
		.name = "sandbox.list",
		.title = "List sandboxes",
		.doc = "Lists the named sandboxes of the caller and its descendants.",
		PARAMS(params_sandbox_list, sandbox_list_params),
		.result = result_sandbox_list,
		.audience = TO_CLIENTS,
		.example = "{\"label\": \"tests\"}",
	},
	[OP_SANDBOX_GET] = {
		.name = "sandbox.get",
		.title = "Examine a sandbox",
		.doc = "Gives what is known of one named sandbox.",
		PARAMS(params_sandbox, id_params),
		.result = op_sandbox,
		.audience = TO_CLIENTS,
		.example = "{\"id\": \"s_0123456789abcdefghjkmnpqrs\"}",
	},
	[OP_SANDBOX_DESTROY] = {
		.name = "sandbox.destroy",
		.title = "Destroy a sandbox",
		.doc = "Ends all that runs in a named sandbox and removes it, with its /tmp "
		       "and HOME. The workspace stays.",
		PARAMS(params_sandbox_destroy, sandbox_destroy_params),
		.result = result_sandbox_destroy,
		.changes = true,
		.destroys = true,
		.audience = TO_CLIENTS,
		.example = "{\"id\": \"s_0123456789abcdefghjkmnpqrs\"}",
	},
	[OP_CALL_CANCEL] = {
		.name = "call.cancel",
		.title = "Cancel a call",
		.doc = "Ends exactly the processes that the call with this call_id has "
		       "started, and no others.",
		PARAMS(params_cancel, cancel_params),
		.result = result_cancel,
		.changes = true,
		.destroys = true,
		.audience = TO_CLIENTS,
		.example = "{\"call_id\": \"build-17\"}",
	},
	[OP_POLICY_SHOW] = {
		.name = "policy.show",
		.title = "Show a profile",
		.doc = "Gives a profile with all of its settings, and the connection's ceiling.",
		PARAMS(params_policy_show, profile_params),
		.result = result_policy_show,
		.audience = TO_CLIENTS,
		.example = "{\"profile\": \"default\"}",
	},
	[OP_POLICY_CHECK] = {
		.name = "policy.check",
		.title = "Check a command against the policy",
		.doc = "Takes what process.start takes and starts nothing: says whether it "
		       "would be allowed, by which rule, and what would be done.",
		PARAMS(params_start, start_params),
		.check = start_params_check,
		.result = result_policy_check,
		.audience = TO_CLIENTS,
		.example = "{\"command\": \"curl https://example.com\"}",
	},
	[OP_EVENTS_WATCH] = {
		.name = "events.watch",
		.title = "Watch events",
		.doc = "Sends events of the caller's processes as they happen, until the call "
		       "is cancelled.",
		PARAMS(params_watch, watch_params),
		.result = result_none,
		.streams = true,
		.audience = TO_CLIENTS,
		.example = "{\"kinds\": [\"start\", \"exit\"]}",
	},
	[OP_DAEMON_STATUS] = {
		.name = "daemon.status",
		.title = "Status of the engine",
		.doc = "Gives version, digests, features found, and what the engine is doing.",
		PARAMS(params_none, none_params),
		.result = result_status,
		.audience = TO_CLIENTS,
		.example = "{}",
	},
	[OP_DAEMON_DOCTOR] = {
		.name = "daemon.doctor",
		.title = "Examine the machine",
		.doc = "Examines what this machine can isolate, what is missing for a profile "
		       "and how to get it, and which programs on PATH the profile hides.",
		PARAMS(params_doctor, profile_params),
		.result = result_doctor,
		.audience = TO_CLIENTS,
		.example = "{\"profile\": \"coding\"}",
	},
};

const struct op *op_get(enum op_id id)
{
	assert(id < OP_MAX_);
	return &ops[id];
}

const struct op *op_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(ops); i++)
		if (strcmp(ops[i].name, name) == 0)
			return &ops[i];
	return NULL;
}

enum op_id op_id(const struct op *op)
{
	assert(op >= ops && op < ops + OP_MAX_);
	return (enum op_id)(op - ops);
}

int op_decode(const struct op *op, const json_t *params, void *out, struct err *err)
{
	int e = field_decode(op->params, params, out, err);

	if (e == 0 && op->check) {
		e = op->check(out, err);
		if (e < 0)
			field_fini(op->params, out);
	}
	if (e < 0)
		memset(out, 0, op->params_size);
	return e;
}

void op_params_fini(const struct op *op, void *params)
{
	field_fini(op->params, params);
	memset(params, 0, op->params_size);
}
