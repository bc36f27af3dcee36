/* SPDX-License-Identifier: Apache-2.0 */

#include "../base/clock.h"
#include "keeper.h"

#include <limits.h>
#include <signal.h>

void timer_arm(struct keeper *k, enum timer t, uint64_t after_ns)
{
	k->deadline[t] = after_ns ? clock_mono() + after_ns : 0;
}

void keeper_touch(struct keeper *k)
{
	/* The deadline is only moved when it is reached: touching is cheap. */
	k->touched_ns = clock_mono();
}

int timers_wait_ms(const struct keeper *k)
{
	uint64_t least = 0, now;

	for (int t = 0; t < TIMER_MAX_; t++)
		if (k->deadline[t] && (!least || k->deadline[t] < least))
			least = k->deadline[t];
	if (!least)
		return -1;
	now = clock_mono();
	if (least <= now)
		return 0;
	least = (least - now + NS_PER_MS - 1) / NS_PER_MS;
	return least > INT_MAX ? INT_MAX : (int)least;
}

static void idle_check(struct keeper *k)
{
	uint64_t now = clock_mono();
	uint64_t at = k->touched_ns + k->timers.idle;

	if (at > now)
		timer_arm(k, TIMER_IDLE, at - now);
	else
		ladder_begin(k, SIGTERM, k->timers.grace, BOX_REASON_IDLE);
}

static void fire(struct keeper *k, enum timer t)
{
	switch (t) {
	case TIMER_TIMEOUT:
		ladder_begin(k, SIGTERM, k->timers.grace, BOX_REASON_TIMEOUT);
		break;
	case TIMER_LIFETIME:
		ladder_begin(k, SIGTERM, k->timers.grace, BOX_REASON_LIFETIME);
		break;
	case TIMER_IDLE:
		idle_check(k);
		break;
	case TIMER_DRAIN:
		life_event(k, EV_SETTLED);
		break;
	case TIMER_GRACE:
	case TIMER_AGAIN:
		ladder_force(k);
		break;
	case TIMER_GIVE_UP:
		if (k->life == LIFE_LINGERING)
			life_announce(k);
		break;
	case TIMER_BLOCK:
		box_writer_lapse(&k->box);
		life_store(k);
		for (int i = 0; i < BOX_STREAMS; i++)
			k->out[i].stalled = false;
		break;
	case TIMER_BYE:
		control_drop(k);
		break;
	case TIMER_MAX_:
		break;
	}
}

void timers_fire(struct keeper *k)
{
	uint64_t now = clock_mono();

	for (int t = 0; t < TIMER_MAX_; t++)
		if (k->deadline[t] && k->deadline[t] <= now) {
			k->deadline[t] = 0;
			fire(k, (enum timer)t);
		}
}
