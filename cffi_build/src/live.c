/* live.c: one slot between main thread and RT thread, guarded by a state word. Who moves it to WRITING or
 * READING has the slot alone; the RT thread never waits for it. */
#include <errno.h>
#include <sched.h>

#include "live.h"
#include "spin_margin.h"

enum { EMPTY = 0, WRITING = 1, FILLED = 2, READING = 3 };

#define TRIES 1000

int mxrc_live_valid(const struct mxrc_exec *exec, const struct mxrc_exec_live *live)
{
    return live->deadline_ns > 0 && live->deadline_ns <= exec->config.period_ns &&
           live->overrun_policy <= MXRC_OVERRUN_SAFE && live->wait_mode <= MXRC_WAIT_BUSY &&
           live->safe_mode_resume <= 1 && live->spin_margin_auto <= 1 &&
           live->heartbeat_timeout_ns > 0;
}

int mxrc_exec_apply(struct mxrc_exec *exec, const struct mxrc_exec_live *live)
{
    struct mxrc_outside *outside = &exec->outside;
    if (!mxrc_live_valid(exec, live))
        return EINVAL;
    for (int i = 0; i < TRIES; i++) {
        if (mxrc_cas_u32(&outside->live_state, EMPTY, WRITING) ||
            mxrc_cas_u32(&outside->live_state, FILLED, WRITING)) {
            outside->live = *live;
            mxrc_store_release32(&outside->live_state, FILLED);
            return 0;
        }
        sched_yield();
    }
    return EAGAIN;
}

/* A margin that was learned outlives changes of anything else. */
void mxrc_live_use(struct mxrc_exec *exec, const struct mxrc_exec_live *live)
{
    uint64_t most = mxrc_spin_margin_most(exec->config.period_ns);
    uint64_t margin = live->spin_margin_auto ? MXRC_SPIN_MARGIN_FIRST_NS : live->spin_margin_ns;
    if (!exec->live.spin_margin_auto || !live->spin_margin_auto)
        exec->spin_margin_ns = margin < most ? margin : most;
    exec->live = *live;
}

void mxrc_live_take(struct mxrc_exec *exec)
{
    struct mxrc_outside *outside = &exec->outside;
    if (mxrc_load_relaxed32(&outside->live_state) != FILLED ||
        !mxrc_cas_u32(&outside->live_state, FILLED, READING))
        return;
    mxrc_live_use(exec, &outside->live);
    mxrc_store_release32(&outside->live_state, EMPTY);
}
