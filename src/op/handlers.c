/* SPDX-License-Identifier: Apache-2.0 */

#include "handlers.h"

const op_handler op_handlers[OP_MAX_] = {
	[OP_PROCESS_RUN] = op_process_run,
	[OP_PROCESS_START] = op_process_start,
	[OP_PROCESS_LIST] = op_process_list,
	[OP_PROCESS_STATS] = op_process_stats,
	[OP_PROCESS_WAIT] = op_process_wait,
	[OP_PROCESS_READ] = op_process_read,
	[OP_PROCESS_WRITE] = op_process_write,
	[OP_PROCESS_SIGNAL] = op_process_signal,
	[OP_PROCESS_KILL] = op_process_kill,
	[OP_PROCESS_RESIZE] = op_process_resize,
	[OP_PROCESS_ATTACH] = op_process_attach,
	[OP_PROCESS_RELEASE] = op_process_release,
	[OP_SANDBOX_CREATE] = op_sandbox_create,
	[OP_SANDBOX_LIST] = op_sandbox_list,
	[OP_SANDBOX_GET] = op_sandbox_get,
	[OP_SANDBOX_DESTROY] = op_sandbox_destroy,
	[OP_CALL_CANCEL] = op_call_cancel,
	[OP_POLICY_SHOW] = op_policy_show,
	[OP_POLICY_CHECK] = op_policy_check,
	[OP_EVENTS_WATCH] = op_events_watch,
	[OP_DAEMON_STATUS] = op_daemon_status,
	[OP_DAEMON_DOCTOR] = op_daemon_doctor,
};
