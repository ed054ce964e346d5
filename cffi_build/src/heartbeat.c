/* heartbeat.c: without Non-RT nobody could stop the machine; so the executive stops it. */
#include "heartbeat.h"
#include "log.h"
#include "state.h"

#define STEADY_NS 200000000 /* from the first fresh beat to the last, none of them too late */
#define RECOVERY_GRACE_NS 5000000000

static void lost(struct mxrc_exec *exec, uint64_t age_ns)
{
    exec->heartbeat_fresh_since_ns = 0;
    if (!exec->heartbeat_lost) {
        exec->heartbeat_lost = 1;
        mxrc_log(exec, MXRC_EV_HEARTBEAT_LOST, NULL, (double)age_ns * 1e-6);
    }
    mxrc_state_fault(exec, MXRC_SAFE_HEARTBEAT);
}

static void steady(struct mxrc_exec *exec)
{
    if (exec->heartbeat_lost) {
        exec->heartbeat_lost = 0;
        mxrc_log(exec, MXRC_EV_HEARTBEAT_BACK, NULL, 0.0);
    }
    if (exec->state != MXRC_STATE_SAFE_MODE || exec->safe_cause != MXRC_SAFE_HEARTBEAT)
        return;
    mxrc_state_apply(exec, MXRC_RT_SAFE_MODE_EXIT, MXRC_SAFE_NONE);
    /* Only what was running goes on by itself, not what an operator had paused. */
    if (exec->live.safe_mode_resume && exec->state == MXRC_STATE_PAUSED &&
        exec->state_before == MXRC_STATE_RUNNING)
        mxrc_state_apply(exec, MXRC_RT_RESUME, MXRC_SAFE_NONE);
}

/* After a crash of both, Non-RT gets some time to come back before the state that goes on is stopped. */
static int armed(const struct mxrc_exec *exec, uint64_t beat)
{
    return exec->heartbeat_armed || (exec->recovery && beat != 0 &&
                                     exec->now.wake_ns - exec->started_ns > RECOVERY_GRACE_NS);
}

void mxrc_heartbeat_watch(struct mxrc_exec *exec)
{
    uint64_t beat = mxrc_load_acquire(&exec->at.nonrt->heartbeat_ns);
    uint64_t now = exec->now.wake_ns;
    uint64_t age = now > beat ? now - beat : 0;
    int fresh = beat != 0 && age <= exec->live.heartbeat_timeout_ns;
    if (!fresh) {
        if (armed(exec, beat))
            lost(exec, age);
        return;
    }
    exec->heartbeat_armed = 1;
    if (exec->heartbeat_fresh_since_ns == 0)
        exec->heartbeat_fresh_since_ns = beat;
    if (beat - exec->heartbeat_fresh_since_ns >= STEADY_NS)
        steady(exec);
}
