/* action_log.c: a message of the task's author with up to four numbers. */
#include <math.h>

#include "action.h"
#include "log.h"

#define VALUES 4

static uint32_t validate(const struct mxrc_op *op, const struct mxrc_axis_config *axes,
                         uint32_t axis_count, uint32_t data_keys)
{
    (void)axes, (void)axis_count, (void)data_keys;
    if (op->key > MXRC_LEVEL_CRITICAL || op->axes != 0)
        return MXRC_ERR_INVALID;
    for (uint32_t i = 0; i < VALUES; i++)
        if (!isfinite(op->args[i]))
            return MXRC_ERR_INVALID;
    return MXRC_OK;
}

static uint32_t begin(struct mxrc_action *action)
{
    (void)action;
    return MXRC_ACTION_RUNNING;
}

static uint32_t step(struct mxrc_action *action)
{
    mxrc_log_level(action->exec, MXRC_EV_TASK_LOG, action->strand, (int)action->op->key,
                   action->op->args, VALUES);
    return MXRC_ACTION_DONE;
}

const struct mxrc_action_type mxrc_action_log = {
    .kind = MXRC_OP_LOG,
    .instant = 1,
    .validate = validate,
    .begin = begin,
    .step = step,
};
