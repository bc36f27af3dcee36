/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* netns - brings up the loopback interface of this network namespace. -errno. */
int netns_loopback_up(void);
