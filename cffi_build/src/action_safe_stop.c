/* action_safe_stop.c: a task asks for SAFE_MODE; it goes on with its next op after RESUME. */
#include "action.h"

static uint32_t validate(const struct mxrc_op *op, const struct mxrc_axis_config *axes,
                         uint32_t axis_count, uint32_t data_keys)
{
    (void)axes, (void)axis_count, (void)data_keys;
    return op->axes == 0 ? MXRC_OK : MXRC_ERR_INVALID;
}

static uint32_t begin(struct mxrc_action *action)
{
    (void)action;
    return MXRC_ACTION_RUNNING;
}

/* Entered once all tasks have had their turn in this cycle. */
static uint32_t step(struct mxrc_action *action)
{
    action->exec->task_asks_safe = MXRC_SAFE_TASK;
    return MXRC_ACTION_DONE;
}

const struct mxrc_action_type mxrc_action_safe_stop = {
    .kind = MXRC_OP_SAFE_STOP,
    .instant = 1,
    .validate = validate,
    .begin = begin,
    .step = step,
};
