/* SPDX-License-Identifier: Apache-2.0 */

#include "netstock.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <unistd.h>

#include "../base/log.h"
#include "../sys/netns.h"
#include "../sys/spawn.h"

struct making {
	const struct zygote *zygote;
	int fd; /* or -errno */
};

static int make(void *arg)
{
	struct making *m = arg;
	int r = 0;

	/* Only there an ordinary user may make one. */
	if (m->zygote->user_fd >= 0 && setns(m->zygote->user_fd, CLONE_NEWUSER) < 0)
		r = -errno;
	if (r == 0 && unshare(CLONE_NEWNET) < 0)
		r = -errno;
	if (r == 0)
		r = netns_loopback_up();
	if (r == 0) {
		r = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
		r = r < 0 ? -errno : r;
	}
	m->fd = r;
	return 0;
}

bool netstock_wants(const struct netstock *s)
{
	return s->n < NETSTOCK_MAX && !s->failed;
}

void netstock_add(struct netstock *s, const struct zygote *z)
{
	struct making m = { z, -ECHILD };
	int r = sys_run_vm(make, &m);

	r = r < 0 ? r : m.fd;
	if (r >= 0) {
		s->fd[s->n++] = r;
		return;
	}
	s->failed = true;
	if (!s->said)
		log_warning("no network namespaces can be made ahead of need: %s",
			    strerrordesc_np(-r));
	s->said = true;
}

int netstock_take(struct netstock *s)
{
	s->failed = false;
	return s->n > 0 ? s->fd[--s->n] : -1;
}

void netstock_fini(struct netstock *s)
{
	while (s->n > 0)
		(void)close(s->fd[--s->n]);
}
