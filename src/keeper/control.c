/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Messages with the engine (src/plan/proto.h). Those that announce a state are
 * kept as bits until the socket takes them, and sent in the order of their
 * numbers; an engine that lets answers pile up loses its connection.
 */

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../base/clock.h"
#include "../base/fd.h"
#include "../base/macro.h"
#include "../sys/proctree.h"
#include "keeper.h"

#define BYE_NS (5 * NS_PER_SEC)

struct packet {
	struct keeper_msg msg;
	unsigned char data[KEEPER_DATA_MAX];
};

static struct packet in_packet;

static int send_packet(struct keeper *k, const struct keeper_msg *msg, const void *data,
		       size_t len, int fd)
{
	static struct packet out;
	ssize_t r;

	out.msg = *msg;
	memcpy(out.data, data, len);
	r = fd_send(k->control, &out, sizeof(out.msg) + len, &fd, fd >= 0 ? 1 : 0,
		    MSG_DONTWAIT);
	return r < 0 ? (int)r : 0;
}

static int send_msg(struct keeper *k, const struct keeper_msg *msg, int fd)
{
	return send_packet(k, msg, "", 0, fd);
}

static int send_data(struct keeper *k, const struct keeper_msg *msg, const void *data)
{
	return send_packet(k, msg, data, msg->len, -1);
}

void control_drop(struct keeper *k)
{
	if (k->control < 0)
		return;
	(void)close(k->control);
	k->control = -1;
	k->watching = false;
	k->pending = 0;
	k->told_end = 0;
	k->in.waiting = false;
	timer_arm(k, TIMER_BYE, 0);
	if (k->consumer) {
		k->consumer = false;
		if (k->out[0].stalled || k->out[1].stalled)
			timer_arm(k, TIMER_BLOCK, k->timers.block);
	}
	life_event(k, EV_CONTROL_LOST);
}

static int send_state(struct keeper *k, enum keeper_msg_type type)
{
	struct keeper_msg m = { .type = (uint32_t)type };

	switch (type) {
	case KEEPER_STARTED:
		m.a = (uint64_t)k->box.record.sandbox_pid;
		m.b = k->box.record.spawn_ns;
		return send_msg(k, &m, k->main_pidfd);
	case KEEPER_FAILED:
		m.len = sizeof(k->start_err);
		return send_data(k, &m, &k->start_err);
	case KEEPER_OUTPUT:
		m.a = streams_total(k, 0);
		m.b = streams_total(k, 1);
		m.c = (k->out[0].fd < 0 ? 1u : 0) | (k->out[1].fd < 0 ? 2u : 0);
		k->told_end = (uint32_t)m.c;
		return send_msg(k, &m, -1);
	case KEEPER_HELLO:
	case KEEPER_COMMIT:
	case KEEPER_SIGNAL:
	case KEEPER_KILL:
	case KEEPER_WRITE:
	case KEEPER_RESIZE:
	case KEEPER_WATCH:
	case KEEPER_ACK:
	case KEEPER_CONSUMER:
	case KEEPER_STAT:
	case KEEPER_TOUCH:
	case KEEPER_READY:
	case KEEPER_EXITED:
	case KEEPER_CLOSED:
	case KEEPER_EMPTY:
	case KEEPER_REPLY:
	case KEEPER_STAT_REPLY:
	default:
		return send_msg(k, &m, -1);
	}
}

/*
 * CLOSED is no news by itself: it travels with the end of the main process. EMPTY
 * says all that there is to say, so that a result and the end of the tree are one
 * piece of news where they are one.
 */
uint32_t control_due(const struct keeper *k)
{
	uint32_t closed = 1u << KEEPER_CLOSED, exited = 1u << KEEPER_EXITED;

	if (k->pending & 1u << KEEPER_EMPTY)
		return k->pending & ~(closed | exited);
	return k->pending & ~(k->life == LIFE_RUNNING ? closed : 0u);
}

void control_flush(struct keeper *k)
{
	for (uint32_t t = 0; t < 32 && k->control >= 0 && k->greeted; t++) {
		int r;

		if (!(control_due(k) & (1u << t)))
			continue;
		r = send_state(k, (enum keeper_msg_type)t);
		if (r == -EAGAIN)
			return;
		if (r < 0) {
			control_drop(k);
			return;
		}
		k->pending = t == KEEPER_EMPTY ? 0 : k->pending & ~(1u << t);
	}
}

void control_tell(struct keeper *k, enum keeper_msg_type type)
{
	if (type == KEEPER_EXITED) {
		if (k->told_exit)
			return;
		k->told_exit = true;
	}
	if (type == KEEPER_EMPTY)
		timer_arm(k, TIMER_BYE, BYE_NS);
	if (k->control < 0)
		return;
	k->pending |= 1u << type; /* sent at the end of the turn */
}

void control_reply(struct keeper *k, uint32_t seq, int error, uint64_t value)
{
	struct keeper_msg m = {
		.type = KEEPER_REPLY,
		.seq = seq,
		.a = (uint64_t)(unsigned int)(error < 0 ? -error : error),
		.b = value,
	};

	if (k->control >= 0 && send_msg(k, &m, -1) < 0)
		control_drop(k);
}

void control_output(struct keeper *k)
{
	uint32_t ended = (k->out[0].fd < 0 ? 1u : 0) | (k->out[1].fd < 0 ? 2u : 0);

	if (!k->watching || k->control < 0)
		return;
	if (streams_total(k, 0) <= k->watch_at[0] &&
	    streams_total(k, 1) <= k->watch_at[1] && !(ended & ~k->told_end))
		return;
	k->watching = false;
	control_tell(k, KEEPER_OUTPUT);
}

/* What an engine that comes later must be told, after hello. */
static uint32_t present(const struct keeper *k)
{
	switch (k->life) {
	case LIFE_PREPARED:
	case LIFE_HOLDING:
		return 1u << KEEPER_READY;
	case LIFE_STARTING:
		return 0;
	case LIFE_RUNNING:
		return 1u << KEEPER_STARTED;
	case LIFE_LINGERING:
	case LIFE_DRAINING:
		return (k->main_pidfd >= 0 ? 1u << KEEPER_STARTED : 0) |
		       (k->told_exit ? 1u << KEEPER_EXITED : 0) |
		       (streams_open(k) ? 0 : 1u << KEEPER_CLOSED);
	case LIFE_DONE:
	case LIFE_MAX_:
	default:
		return 1u << KEEPER_EMPTY;
	}
}

void control_accept(struct keeper *k)
{
	int fd = accept4(k->given->fd[SLOT_LISTEN], NULL, NULL,
			 SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (fd < 0)
		return;
	/* Only who made it can commit it, and it ends with him. */
	if (k->life == LIFE_PREPARED) {
		(void)close(fd);
		return;
	}
	/* The newest engine is the one that lives. */
	if (k->control >= 0) {
		(void)close(k->control);
		k->watching = false;
		k->in.waiting = false;
	}
	k->control = fd;
	k->greeted = false;
	k->pending = 0;
	k->told_end = 0;
}

static void hello(struct keeper *k, const struct keeper_msg *m)
{
	struct keeper_msg answer = {
		.type = KEEPER_HELLO, .a = k->given->version, .b = k->life, .seq = m->seq
	};

	if (m->a < KEEPER_VERSION_LEAST || send_msg(k, &answer, -1) < 0) {
		control_drop(k);
		return;
	}
	k->greeted = true;
	k->pending = present(k);
	control_flush(k);
}

static void stat_reply(struct keeper *k, uint32_t seq)
{
	struct keeper_msg m = { .type = KEEPER_STAT_REPLY,
				.seq = seq,
				.len = sizeof(struct keeper_stat) };
	struct keeper_stat st = { .state = k->box.record.state };
	struct proctree_usage u = { 0 };
	int r = k->empty ? 0 : proctree_usage(k->tree_root, &u);

	if (r < 0) {
		control_reply(k, seq, r, 0);
		return;
	}
	st.live = u.live;
	if (k->given->version >= 2) {
		st.cpu_us = u.cpu_us + k->box.record.utime_us + k->box.record.stime_us;
		st.rss_bytes = u.rss_bytes;
		st.read_bytes = u.read_bytes;
		st.write_bytes = u.write_bytes;
	}
	if (send_data(k, &m, &st) < 0)
		control_drop(k);
}

static void consumer(struct keeper *k, bool there)
{
	k->consumer = there;
	if (there)
		timer_arm(k, TIMER_BLOCK, 0);
	else if (k->out[0].stalled || k->out[1].stalled)
		timer_arm(k, TIMER_BLOCK, k->timers.block);
}

static void ack(struct keeper *k, uint64_t stream, uint64_t offset)
{
	if (stream >= BOX_STREAMS || !k->box.stream[stream].counters)
		return;
	box_writer_ack(&k->box, (int)stream, offset);
	k->out[stream].stalled = false;
	timer_arm(k, TIMER_BLOCK, 0);
	keeper_touch(k);
}

static void take_commit(struct keeper *k, const struct keeper_msg *m, int *fds, size_t n)
{
	static const int slots[] = { SLOT_COMMIT,	 SLOT_STDIN,
				     SLOT_STDOUT,	 SLOT_STDERR,
				     SLOT_CGROUP_MEMORY, SLOT_CGROUP_PIDS,
				     SLOT_CGROUP_EVENTS, SLOT_CGROUP_PEAK };
	size_t next = 0;

	if (k->life != LIFE_PREPARED)
		return;
	for (size_t i = 0; i < ARRAY_SIZE(slots); i++)
		if (m->a & (UINT64_C(1) << slots[i]) && next < n) {
			k->given->fd[slots[i]] = fds[next];
			fds[next++] = -1;
		}
	k->born_ns = clock_mono();
	life_event(k, EV_COMMIT);
}

static void handle(struct keeper *k, const struct packet *p, int *fds, size_t n)
{
	const struct keeper_msg *m = &p->msg;

	if (!k->greeted && m->type != KEEPER_HELLO) {
		control_drop(k);
		return;
	}
	switch (m->type) {
	case KEEPER_HELLO:
		hello(k, m);
		break;
	case KEEPER_COMMIT:
		take_commit(k, m, fds, n);
		break;
	case KEEPER_SIGNAL:
		control_reply(k, m->seq,
			      m->a < 1 || m->a > 64 ?
				      EINVAL :
				      ladder_signal(k, (int)m->a, m->b == 1),
			      0);
		break;
	case KEEPER_KILL:
		if (m->a < 1 || m->a > 64 || m->c >= BOX_REASON_LOST) {
			control_reply(k, m->seq, EINVAL, 0);
			break;
		}
		control_reply(k, m->seq, 0, 0);
		ladder_begin(k, (int)m->a, m->b, (enum box_reason)m->c);
		break;
	case KEEPER_WRITE:
		input_write(k, m->seq, p->data, m->len, m->a == 1);
		break;
	case KEEPER_RESIZE:
		control_reply(k, m->seq, start_resize(k, m->a, m->b), 0);
		break;
	case KEEPER_WATCH:
		k->watching = true;
		k->watch_at[0] = m->a;
		k->watch_at[1] = m->b;
		control_output(k);
		break;
	case KEEPER_ACK:
		ack(k, m->a, m->b);
		break;
	case KEEPER_CONSUMER:
		consumer(k, m->a == 1);
		break;
	case KEEPER_STAT:
		stat_reply(k, m->seq);
		break;
	case KEEPER_TOUCH:
		keeper_touch(k);
		break;
	default:
		control_drop(k);
		break;
	}
}

void control_receive(struct keeper *k)
{
	/* Bounded, so that a busy engine does not starve the pipes. */
	for (int i = 0; i < 16 && k->control >= 0; i++) {
		int fds[FD_PASS_MAX];
		size_t n = 0;
		ssize_t r = fd_recv(k->control, &in_packet, sizeof(in_packet), fds,
				    FD_PASS_MAX, &n, MSG_DONTWAIT);

		if (r == -EAGAIN)
			return;
		if (r < (ssize_t)sizeof(in_packet.msg) ||
		    in_packet.msg.len != (size_t)r - sizeof(in_packet.msg))
			control_drop(k);
		else
			handle(k, &in_packet, fds, n);
		for (size_t j = 0; r >= 0 && j < n; j++)
			if (fds[j] >= 0)
				(void)close(fds[j]);
	}
}
