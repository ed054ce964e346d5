/* action_wait.c: let time pass, with axes (hold) or without (wait). */
#include "action.h"
#include "axes.h"

static uint32_t validate_wait(const struct mxrc_op *op, const struct mxrc_axis_config *axes,
                              uint32_t axis_count, uint32_t data_keys)
{
    (void)axes, (void)axis_count, (void)data_keys;
    return op->axes == 0 ? MXRC_OK : MXRC_ERR_INVALID;
}

static uint32_t validate_hold(const struct mxrc_op *op, const struct mxrc_axis_config *axes,
                              uint32_t axis_count, uint32_t data_keys)
{
    (void)axes, (void)axis_count, (void)data_keys;
    return op->axes != 0 ? MXRC_OK : MXRC_ERR_INVALID;
}

static uint32_t begin_wait(struct mxrc_action *action)
{
    (void)action;
    return MXRC_ACTION_RUNNING;
}

static uint32_t begin_hold(struct mxrc_action *action)
{
    return mxrc_axes_at_rest(action->exec, action->op->axes) ? MXRC_ACTION_RUNNING
                                                             : MXRC_ACTION_WAITING;
}

static uint32_t step(struct mxrc_action *action)
{
    action->exec->now.driven |= action->op->axes;
    return action->strand->elapsed_ns >= action->op->duration_ns ? MXRC_ACTION_DONE
                                                                 : MXRC_ACTION_RUNNING;
}

const struct mxrc_action_type mxrc_action_wait = {
    .kind = MXRC_OP_WAIT,
    .validate = validate_wait,
    .begin = begin_wait,
    .step = step,
};

const struct mxrc_action_type mxrc_action_hold = {
    .kind = MXRC_OP_HOLD,
    .validate = validate_hold,
    .begin = begin_hold,
    .step = step,
};
