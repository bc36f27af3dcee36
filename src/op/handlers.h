/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * handlers - one function per operation, bound in handlers.c
 *
 * Each is in the file of its group: op-run.c, op-read.c, op-process.c, op-kill.c,
 * op-sandbox.c, op-policy.c, op-events.c, op-daemon.c.
 */

#include "call.h"

int op_process_run(struct call *c, struct err *err);
int op_process_start(struct call *c, struct err *err);
int op_process_wait(struct call *c, struct err *err);
int op_process_attach(struct call *c, struct err *err);

int op_process_read(struct call *c, struct err *err);

int op_process_list(struct call *c, struct err *err);
int op_process_stats(struct call *c, struct err *err);
int op_process_release(struct call *c, struct err *err);

int op_process_write(struct call *c, struct err *err);
int op_process_signal(struct call *c, struct err *err);
int op_process_resize(struct call *c, struct err *err);

int op_process_kill(struct call *c, struct err *err);
int op_call_cancel(struct call *c, struct err *err);

int op_sandbox_create(struct call *c, struct err *err);
int op_sandbox_list(struct call *c, struct err *err);
int op_sandbox_get(struct call *c, struct err *err);
int op_sandbox_destroy(struct call *c, struct err *err);

int op_policy_show(struct call *c, struct err *err);
int op_policy_check(struct call *c, struct err *err);

int op_events_watch(struct call *c, struct err *err);

int op_daemon_status(struct call *c, struct err *err);
int op_daemon_doctor(struct call *c, struct err *err);
