/* SPDX-License-Identifier: Apache-2.0 */

#include "stock.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../box/stock.h"

int stock_init(struct stock *s, int dirfd, struct err *err)
{
	memset(s, 0, sizeof(*s));
	s->dirfd = dirfd;
	s->unlinks = calloc(STOCK_UNLINKS_MAX, sizeof(*s->unlinks));
	if (!s->unlinks)
		return err_set(err, ERR_UNAVAILABLE, "stock", ENOMEM, "stock of boxes");
	return 0;
}

void stock_fini(struct stock *s)
{
	while (s->n_ready > 0) {
		s->n_ready--;
		(void)box_unlink(s->dirfd, &s->ready[s->n_ready].id, ID_PROCESS);
		(void)close(s->ready[s->n_ready].fd);
	}
	while (s->n_unlinks > 0) {
		s->n_unlinks--;
		(void)box_unlink(s->dirfd, &s->unlinks[s->n_unlinks].id,
				 s->unlinks[s->n_unlinks].kind);
	}
	free(s->unlinks);
	memset(s, 0, sizeof(*s));
}

static int make(struct stock *s, uint32_t streams, uint64_t ring_bytes, char kind,
		struct stock_box *ret, struct err *err)
{
	struct stock_box b;
	int r = id_new(&b.id);

	if (r < 0)
		return err_set(err, ERR_UNAVAILABLE, "box", -r, "getrandom");
	r = box_create(s->dirfd, &b.id, kind, streams, ring_bytes, &b.fd, err);
	if (r == 0)
		*ret = b;
	return r;
}

int stock_take(struct stock *s, uint32_t streams, uint64_t ring_bytes, char kind,
	       struct id *ret_id, int *ret_fd, struct err *err)
{
	struct stock_box b = { .fd = -1 };
	int r;

	if (kind == ID_PROCESS && ring_bytes == BOX_RING_DEFAULT && s->n_ready > 0) {
		b = s->ready[--s->n_ready];
	} else {
		r = make(s, streams, ring_bytes, kind, &b, err);
		if (r < 0)
			return r;
	}
	*ret_id = b.id;
	*ret_fd = b.fd;
	return 0;
}

void stock_unlink(struct stock *s, const struct id *id, char kind)
{
	if (s->n_unlinks == STOCK_UNLINKS_MAX)
		(void)box_unlink(s->dirfd, id, kind);
	else
		s->unlinks[s->n_unlinks++] = (struct stock_unlink){ *id, kind };
}

bool stock_chore(struct stock *s, unsigned int unlinks)
{
	struct err ignored;
	bool made = false;

	if (s->n_ready < STOCK_READY) {
		/* A full disk is told to the call that then makes its own. */
		if (make(s, BOX_STREAMS, BOX_RING_DEFAULT, ID_PROCESS,
			 &s->ready[s->n_ready], &ignored) == 0) {
			s->n_ready++;
			made = true;
		}
	}
	for (; unlinks > 0 && s->n_unlinks > 0; unlinks--) {
		s->n_unlinks--;
		(void)box_unlink(s->dirfd, &s->unlinks[s->n_unlinks].id,
				 s->unlinks[s->n_unlinks].kind);
	}
	return s->n_unlinks > 0 || (made && s->n_ready < STOCK_READY);
}
