/* action_move_joints.c: joint-space move, minimum jerk, from rest to rest. All axes start and arrive together. */
#include <math.h>

#include "action.h"
#include "axes.h"
#include "motion.h"

#define SHARE MXRC_AXES /* argument: share of the limits to use, 0: all of them */

static uint32_t validate(const struct mxrc_op *op, const struct mxrc_axis_config *axes,
                         uint32_t axis_count, uint32_t data_keys)
{
    (void)data_keys;
    if (op->axes == 0 || op->key > MXRC_PROFILE_TRAPEZOIDAL)
        return MXRC_ERR_INVALID;
    if (!(op->args[SHARE] >= 0 && op->args[SHARE] <= 1))
        return MXRC_ERR_INVALID;
    for (uint32_t i = 0; i < axis_count; i++) {
        if (!(op->axes & (1u << i)))
            continue;
        if (!isfinite(op->args[i]))
            return MXRC_ERR_INVALID;
        if (op->args[i] < axes[i].position_min || op->args[i] > axes[i].position_max)
            return MXRC_ERR_LIMIT;
    }
    return MXRC_OK;
}

static uint32_t begin(struct mxrc_action *action)
{
    struct mxrc_exec *exec = action->exec;
    struct mxrc_task_state *task = action->task;
    if (!mxrc_axes_at_rest(exec, action->op->axes))
        return MXRC_ACTION_WAITING;
    /* As long as asked, or what is left of it after a hold; longer where the limits need it. */
    uint64_t wanted_ns = action->op->duration_ns;
    if (task->phase >= 2) /* HELD, REPLAN */
        wanted_ns = task->motion_duration_ns - task->motion_ns;
    double seconds = (double)wanted_ns * 1e-9;
    double share = action->op->args[SHARE] > 0 ? action->op->args[SHARE] : 1.0;
    for (uint32_t i = 0; i < exec->config.axis_count; i++) {
        if (!(action->op->axes & (1u << i)))
            continue;
        struct mxrc_axis_config limits = exec->config.axis[i];
        limits.velocity_max *= share;
        limits.acceleration_max *= share;
        task->start_position[i] = exec->axis[i].setpoint;
        seconds = fmax(seconds,
                       mxrc_jerk_duration(action->op->args[i] - task->start_position[i], &limits));
    }
    task->motion_ns = 0;
    task->motion_duration_ns = (uint64_t)ceil(seconds * 1e9);
    return MXRC_ACTION_RUNNING;
}

/* Time along the trajectory advances by one period per cycle that runs: after skipped slots the arm goes on from where
 * it is and never jumps to where it should be. */
static uint32_t step(struct mxrc_action *action)
{
    struct mxrc_exec *exec = action->exec;
    struct mxrc_task_state *task = action->task;
    task->motion_ns += exec->config.period_ns;
    if (task->motion_ns > task->motion_duration_ns)
        task->motion_ns = task->motion_duration_ns;
    for (uint32_t i = 0; i < exec->config.axis_count; i++) {
        if (!(action->op->axes & (1u << i)))
            continue;
        mxrc_jerk_at(task->start_position[i], action->op->args[i], (double)task->motion_ns * 1e-9,
                     (double)task->motion_duration_ns * 1e-9, &exec->axis[i]);
    }
    exec->now.driven |= action->op->axes;
    return task->motion_ns >= task->motion_duration_ns ? MXRC_ACTION_DONE : MXRC_ACTION_RUNNING;
}

const struct mxrc_action_type mxrc_action_move_joints = {
    .kind = MXRC_OP_MOVE_JOINTS,
    .validate = validate,
    .begin = begin,
    .step = step,
};
