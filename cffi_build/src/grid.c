/* grid.c: slot k starts at origin + k * period, for the life of a generation. Only policy `rebase` moves
 * the origin. */
#include <errno.h>

#include "error.h"
#include "grid.h"
#include "log.h"
#include "misses.h"
#include "state.h"
#include "state_block.h"

/* Half of the shortest time between two ticks (1000 Hz). */
#define TICK_DISTANCE_NS 500000

static uint64_t start_of(const struct mxrc_exec *exec, uint64_t cycle)
{
    return exec->origin_ns + cycle * exec->config.period_ns;
}

/* The first slot that starts at `time_ns` or later. */
static uint64_t first_from(const struct mxrc_exec *exec, uint64_t time_ns)
{
    if (time_ns <= exec->origin_ns)
        return 0;
    return (time_ns - exec->origin_ns + exec->config.period_ns - 1) / exec->config.period_ns;
}

static void schedule_slot(struct mxrc_exec *exec, uint64_t cycle, uint64_t before)
{
    struct mxrc_cycle *now = &exec->now;
    now->cycle = cycle;
    now->slot = (uint32_t)(cycle % exec->slots);
    now->scheduled_ns = start_of(exec, cycle);
    now->elapsed_ns = (cycle - before) * exec->config.period_ns;
    uint64_t skipped = cycle - before - 1;
    now->skipped = skipped > UINT32_MAX ? UINT32_MAX : (uint32_t)skipped;
    now->flags = skipped ? MXRC_CYCLE_SKIPPED_BEFORE : 0;
}

/* Whole milliseconds are when the kernel's tick and everybody else's periodic timers are due, too: a slot that
 * starts there waits for their handlers. */
static uint64_t off_tick(uint64_t period_ns)
{
    return period_ns / 2 < TICK_DISTANCE_NS ? period_ns / 2 : TICK_DISTANCE_NS;
}

int mxrc_grid_join(struct mxrc_exec *exec, char *error, size_t error_bytes)
{
    struct mxrc_lease *lease = exec->at.lease;
    uint64_t period = exec->config.period_ns;
    uint64_t origin = mxrc_load_acquire(&lease->grid_origin_ns);
    if (origin == 0) {
        origin = mxrc_exec_now(exec) / period * period + period + off_tick(period);
        mxrc_store_relaxed(&lease->period_ns, period);
        mxrc_store_release(&lease->grid_origin_ns, origin);
    } else if (mxrc_load_relaxed(&lease->period_ns) != period) {
        return mxrc_fail(error, error_bytes, EINVAL,
                         "the running generation has a cycle of %llu ns, not %llu ns; stop it "
                         "before the period is changed",
                         (unsigned long long)mxrc_load_relaxed(&lease->period_ns),
                         (unsigned long long)period);
    }
    exec->origin_ns = origin;
    return 0;
}

/* Slots between the last one of a predecessor (now.cycle, when something was recovered) and this one had no
 * PRIMARY: an outage, which is counted for itself and not as misses of this executive. */
void mxrc_grid_enter(struct mxrc_exec *exec)
{
    uint64_t last = exec->now.cycle;
    uint64_t cycle = first_from(exec, mxrc_exec_now(exec));
    if (exec->recovery && cycle <= last)
        cycle = last + 1; /* a clock that ran backwards, or a rebase: never the same slot twice */
    schedule_slot(exec, cycle, exec->recovery ? last : cycle - 1);
    exec->recovery_gap = exec->now.skipped;
    exec->now.flags |= MXRC_CYCLE_FIRST;
}

/* Slots that policy catch_up runs back to back, the rest is skipped after all: as much motion as is bridged, for all of it is
 * commanded at once. */
static uint64_t catch_up_slots(const struct mxrc_exec *exec)
{
    uint64_t slots = BRIDGED_NS / exec->config.period_ns;
    return slots > BRIDGED_SLOTS ? slots : BRIDGED_SLOTS;
}

static void rebase(struct mxrc_exec *exec, uint64_t cycle)
{
    exec->origin_ns = exec->now.end_ns - cycle * exec->config.period_ns;
    mxrc_store_release(&exec->at.lease->grid_origin_ns, exec->origin_ns);
}

void mxrc_grid_next(struct mxrc_exec *exec)
{
    const struct mxrc_cycle *now = &exec->now;
    uint64_t ended = now->cycle;
    uint64_t next = ended + 1;
    uint64_t first = first_from(exec, now->end_ns), lost_ns = 0;
    if (first <= next) {
        schedule_slot(exec, next, ended);
        return;
    }
    switch (exec->live.overrun_policy) {
    case MXRC_OVERRUN_CATCH_UP:
        if (first - next > catch_up_slots(exec))
            next = first - catch_up_slots(exec);
        break;
    case MXRC_OVERRUN_REBASE:
        lost_ns = now->end_ns - start_of(exec, next);
        rebase(exec, next);
        break;
    default:
        next = first;
    }
    uint64_t skipped = next - ended - 1;
    int warmup = exec->warmup_left > 0;
    if (!warmup)
        mxrc_misses_overrun(exec, skipped);
    if (exec->live.overrun_policy == MXRC_OVERRUN_SAFE && !warmup &&
        mxrc_state_next(exec->state, MXRC_RT_SAFE_MODE_ENTER, exec->state_before) >= 0) {
        mxrc_state_apply(exec, MXRC_RT_SAFE_MODE_ENTER, MXRC_SAFE_OVERRUN);
        mxrc_state_block_write(exec); /* of this slot, once more: a successor stops, too */
    }
    schedule_slot(exec, next, ended);
    exec->now.elapsed_ns += lost_ns;
}
