/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * tables - the parts that the operation table is put together from
 *
 * For table.c only; everybody else goes through op.h.
 */

#include "op.h"

/* params-start.c */
extern const struct field params_run[];
extern const struct field params_start[];

/* params.c */
extern const struct field params_list[];
extern const struct field params_stats[];
extern const struct field params_wait[];
extern const struct field params_read[];
extern const struct field params_write[];
extern const struct field params_signal[];
extern const struct field params_kill[];
extern const struct field params_resize[];
extern const struct field params_attach[];
extern const struct field params_process[];
extern const struct field params_sandbox[];
extern const struct field params_sandbox_create[];
extern const struct field params_sandbox_list[];
extern const struct field params_sandbox_destroy[];
extern const struct field params_cancel[];
extern const struct field params_policy_show[];
extern const struct field params_doctor[];
extern const struct field params_watch[];
extern const struct field params_none[];

/* results.c */
extern const struct result_field result_run[];
extern const struct result_field result_list[];
extern const struct result_field result_stats[];
extern const struct result_field result_wait[];
extern const struct result_field result_read[];
extern const struct result_field result_write[];
extern const struct result_field result_signal[];
extern const struct result_field result_kill[];
extern const struct result_field result_release[];
extern const struct result_field result_sandbox_list[];
extern const struct result_field result_sandbox_destroy[];
extern const struct result_field result_cancel[];
extern const struct result_field result_policy_show[];
extern const struct result_field result_policy_check[];
extern const struct result_field result_status[];
extern const struct result_field result_doctor[];
extern const struct result_field result_none[];
