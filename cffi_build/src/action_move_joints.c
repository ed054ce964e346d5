/* action_move_joints.c: joint-space move from rest to rest, to a target or through via points. All axes start and arrive
 * together. A minimum-jerk move without via points is planned by motion.c, every other one by motion_path.c. */
#include <math.h>

#include "action.h"
#include "axes.h"
#include "motion.h"
#include "motion_path.h"

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

static int is_path(const struct mxrc_op *op)
{
    return op->count > 0 || op->key != MXRC_PROFILE_MINIMUM_JERK;
}

static double share_of(const struct mxrc_op *op)
{
    return op->args[SHARE] > 0 ? op->args[SHARE] : 1.0;
}

/* ---- along via points; the plan follows from what is saved, so that it is not saved itself ---- */

static struct mxrc_path *path_of(const struct mxrc_action *action)
{
    struct mxrc_exec *exec = action->exec;
    const struct mxrc_strand *strand = action->strand;
    return strand == &action->task->strand
               ? &exec->path[strand->owner - 1]
               : &exec->path[MXRC_TASKS + (uint32_t)(strand - exec->branch)];
}

static struct mxrc_path *plan(const struct mxrc_action *action, double seconds)
{
    struct mxrc_exec *exec = action->exec;
    const struct mxrc_op *op = action->op;
    struct mxrc_path *path = path_of(action);
    uint32_t points = 1;
    for (uint32_t p = action->strand->via; p <= op->count; p++, points++) {
        const double *point =
            p == op->count ? op->args
                           : &op[1 + p / MXRC_VIA_PER_OP].args[p % MXRC_VIA_PER_OP * MXRC_AXES];
        for (uint32_t i = 0; i < MXRC_AXES; i++)
            path->point[points][i] = point[i];
    }
    for (uint32_t i = 0; i < MXRC_AXES; i++)
        path->point[0][i] = exec->axis[i].motion_start;
    mxrc_path_plan(path, points, op->key, op->axes, exec->config.axis, share_of(op), seconds);
    return path;
}

/* The plan in force; made again by a process that has taken over. */
static struct mxrc_path *planned(const struct mxrc_action *action)
{
    struct mxrc_path *path = path_of(action);
    return path->points ? path : plan(action, (double)action->strand->motion_duration_ns * 1e-9);
}

/* ---- both ---- */

static double jerk_seconds(const struct mxrc_action *action, double seconds)
{
    const struct mxrc_exec *exec = action->exec;
    for (uint32_t i = 0; i < exec->config.axis_count; i++) {
        if (!(action->op->axes & (1u << i)))
            continue;
        struct mxrc_axis_config limits = exec->config.axis[i];
        limits.velocity_max *= share_of(action->op);
        limits.acceleration_max *= share_of(action->op);
        double way = action->op->args[i] - exec->axis[i].motion_start;
        seconds = fmax(seconds, mxrc_jerk_duration(way, &limits));
    }
    return seconds;
}

/* Via points that this plan has passed. What is saved counts where the plan is gone: one with the limits of a restarted process would be
 * at another place at that time. */
static uint8_t passed(const struct mxrc_action *action)
{
    const struct mxrc_exec *exec = action->exec;
    const struct mxrc_strand *strand = action->strand;
    const struct mxrc_path *path = path_of(action);
    if (path->points == 0)
        return strand->edge;
    return (uint8_t)mxrc_path_passed(path, action->op->axes, (double)strand->motion_ns * 1e-9,
                                     exec->config.axis, exec->axis);
}

static uint32_t begin(struct mxrc_action *action)
{
    struct mxrc_exec *exec = action->exec;
    struct mxrc_strand *strand = action->strand;
    const struct mxrc_op *op = action->op;
    if (strand->phase < HELD)
        strand->edge = 0; /* of the action before */
    if (!mxrc_axes_at_rest(exec, op->axes))
        return MXRC_ACTION_WAITING;
    /* As long as asked, or what is left of it after a hold; longer where the limits need it. */
    uint64_t wanted_ns = op->duration_ns;
    if (strand->phase >= HELD) {
        wanted_ns = strand->motion_duration_ns - strand->motion_ns;
        if (is_path(op))
            strand->via += passed(action);
        strand->edge = 0;
    }
    double seconds = (double)wanted_ns * 1e-9;
    for (uint32_t i = 0; i < exec->config.axis_count; i++)
        if (op->axes & (1u << i))
            exec->axis[i].motion_start = exec->axis[i].setpoint;
    if (is_path(op)) {
        const struct mxrc_path *path = plan(action, seconds);
        seconds = fmax(seconds, path->duration);
    } else {
        seconds = jerk_seconds(action, seconds);
    }
    strand->motion_ns = 0;
    strand->motion_duration_ns = (uint64_t)ceil(seconds * 1e9);
    return MXRC_ACTION_RUNNING;
}

/* Time along the trajectory advances by one period per cycle that runs: after skipped slots the arm goes on from where
 * it is and never jumps to where it should be. */
static uint32_t step(struct mxrc_action *action)
{
    struct mxrc_exec *exec = action->exec;
    struct mxrc_strand *strand = action->strand;
    const struct mxrc_op *op = action->op;
    strand->motion_ns += exec->config.period_ns;
    if (strand->motion_ns > strand->motion_duration_ns)
        strand->motion_ns = strand->motion_duration_ns;
    double t = (double)strand->motion_ns * 1e-9;
    if (is_path(op)) {
        mxrc_path_at(planned(action), op->axes, t, exec->axis);
        strand->edge = passed(action);
    }
    for (uint32_t i = 0; i < exec->config.axis_count && !is_path(op); i++)
        if (op->axes & (1u << i))
            mxrc_jerk_at(exec->axis[i].motion_start, op->args[i], t,
                         (double)strand->motion_duration_ns * 1e-9, &exec->axis[i]);
    exec->now.driven |= op->axes;
    if (strand->motion_ns < strand->motion_duration_ns)
        return MXRC_ACTION_RUNNING;
    if (is_path(op)) { /* rounding aside it is there */
        for (uint32_t i = 0; i < exec->config.axis_count; i++)
            if (op->axes & (1u << i)) {
                exec->axis[i].setpoint = op->args[i];
                exec->axis[i].setpoint_velocity = exec->axis[i].setpoint_acceleration = 0;
            }
    }
    return MXRC_ACTION_DONE;
}

const struct mxrc_action_type mxrc_action_move_joints = {
    .kind = MXRC_OP_MOVE_JOINTS,
    .validate = validate,
    .begin = begin,
    .step = step,
};
