/* state.c: transitions of the RT state and what they entail for tasks, axes and law. */
#include <errno.h>

#include "axes.h"
#include "log.h"
#include "misses.h"
#include "state.h"
#include "task.h"

static void enter(struct mxrc_exec *exec, uint32_t from)
{
    switch (exec->state) {
    case MXRC_STATE_INIT:
        mxrc_tasks_end(exec, MXRC_TASK_CANCELLED, MXRC_ERR_CANCELLED);
        exec->start_pending = 1;
        break;
    case MXRC_STATE_PAUSED:
        if (from != MXRC_STATE_SAFE_MODE)
            mxrc_tasks_hold(exec);
        break;
    case MXRC_STATE_SAFE_MODE:
        mxrc_tasks_safe(exec);
        mxrc_axes_safe_begin(exec);
        break;
    case MXRC_STATE_ERROR:
        mxrc_tasks_end(exec, MXRC_TASK_FAILED, MXRC_ERR_ERROR_STATE);
        mxrc_axes_safe_begin(exec);
        break;
    case MXRC_STATE_SHUTDOWN:
        mxrc_tasks_end(exec, MXRC_TASK_CANCELLED, MXRC_ERR_CANCELLED);
        mxrc_axes_safe_begin(exec);
        exec->shutdown_since_ns = exec->now.wake_ns;
        break;
    default:
        break;
    }
}

int mxrc_state_apply(struct mxrc_exec *exec, uint32_t event, uint32_t cause)
{
    uint32_t from = exec->state;
    int next = mxrc_state_next(from, event, exec->state_before);
    if (next < 0) {
        mxrc_log(exec, MXRC_EV_STATE_REFUSED, NULL, from, event);
        return 0;
    }
    exec->state = (uint32_t)next;
    exec->state_since_ns = exec->now.wake_ns;
    if (next == MXRC_STATE_SAFE_MODE) {
        exec->state_before = from;
        exec->safe_cause = cause;
        mxrc_count(exec, MXRC_COUNTER_SAFE_MODE_ENTRIES, 1);
    }
    mxrc_count(exec, MXRC_COUNTER_STATE_CHANGES, 1);
    struct mxrc_event record;
    mxrc_event_fill(exec, &record, MXRC_EVENT_STATE, NULL);
    mxrc_event_line(exec, &record, MXRC_EV_STATE_CHANGED,
                    (const double[]){from, next, event, exec->safe_cause}, 4);
    mxrc_event_publish(exec, &record);
    enter(exec, from);
    if (next != MXRC_STATE_SAFE_MODE)
        exec->safe_cause = MXRC_SAFE_NONE;
    return 1;
}

void mxrc_state_fault(struct mxrc_exec *exec, uint32_t cause)
{
    if (mxrc_state_next(exec->state, MXRC_RT_SAFE_MODE_ENTER, exec->state_before) >= 0)
        mxrc_state_apply(exec, MXRC_RT_SAFE_MODE_ENTER, cause);
}

void mxrc_state_settle(struct mxrc_exec *exec)
{
    if (exec->state == MXRC_STATE_INIT)
        mxrc_state_apply(exec, MXRC_RT_LOADED, MXRC_SAFE_NONE);
    if (exec->state == MXRC_STATE_READY && exec->start_pending) {
        exec->start_pending = 0;
        if (exec->config.auto_start)
            mxrc_state_apply(exec, MXRC_RT_START, MXRC_SAFE_NONE);
    }
}

/* One word with two writers: the main thread fills it when it is empty, the RT thread empties it. */
int mxrc_exec_post(struct mxrc_exec *exec, uint32_t rt_event)
{
    if (rt_event > MXRC_RT_RESET)
        return EINVAL;
    return mxrc_cas_u32(&exec->outside.mailbox, 0, rt_event + 1) ? 0 : EAGAIN;
}

void mxrc_mailbox_take(struct mxrc_exec *exec)
{
    uint32_t posted = mxrc_load_acquire32(&exec->outside.mailbox);
    if (posted == 0)
        return;
    mxrc_store_release32(&exec->outside.mailbox, 0);
    mxrc_state_apply(exec, posted - 1, MXRC_SAFE_REQUEST);
}
