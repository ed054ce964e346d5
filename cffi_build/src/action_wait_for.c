/* action_wait_for.c: until a condition holds: on the data store, or on an event from the event bus. */
#include "action.h"
#include "condition.h"

static uint32_t validate(const struct mxrc_op *op, const struct mxrc_axis_config *axes,
                         uint32_t axis_count, uint32_t data_keys)
{
    (void)axes, (void)axis_count, (void)data_keys;
    return op->axes == 0 ? MXRC_OK : MXRC_ERR_INVALID;
}

static uint32_t begin(struct mxrc_action *action)
{
    if (action->strand->phase == NOT_BEGUN)
        action->strand->edge = 0;
    return MXRC_ACTION_RUNNING;
}

/* Each event counts once, whether it satisfies or not. */
static int event_came(struct mxrc_task_state *task, uint32_t topic)
{
    uint8_t bit = (uint8_t)(1u << topic);
    int came = (task->event_pending & bit) != 0;
    task->event_pending &= (uint8_t)~bit;
    return came;
}

static uint32_t step(struct mxrc_action *action)
{
    const struct mxrc_condition *condition = &action->op->condition;
    struct mxrc_strand *strand = action->strand;
    if (condition->source == MXRC_CONDITION_EVENT && !event_came(action->task, condition->key))
        return MXRC_ACTION_RUNNING;
    int holds = mxrc_condition_holds(action->exec, action->task, condition);
    if (holds == 1 && (!condition->edge || strand->edge))
        return MXRC_ACTION_DONE;
    if (holds == 0)
        strand->edge = 1;
    return MXRC_ACTION_RUNNING;
}

const struct mxrc_action_type mxrc_action_wait_for = {
    .kind = MXRC_OP_WAIT_FOR,
    .validate = validate,
    .begin = begin,
    .step = step,
};
