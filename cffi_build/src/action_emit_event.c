/* action_emit_event.c: a message to the event bus. */
#include <math.h>

#include "action.h"
#include "log.h"
#include "span.h"

static uint32_t validate(const struct mxrc_op *op, const struct mxrc_axis_config *axes,
                         uint32_t axis_count, uint32_t data_keys)
{
    (void)axes, (void)axis_count, (void)data_keys;
    if (op->key == 0 || op->count > MXRC_ARGS || op->axes != 0)
        return MXRC_ERR_INVALID;
    for (uint32_t i = 0; i < op->count; i++)
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
    struct mxrc_event event;
    mxrc_event_fill(action->exec, &event, MXRC_EVENT_BUS, action->strand);
    event.code = action->op->key;
    mxrc_span_publish(action->exec, action->strand, action->op->key, event.span_id);
    event.count = action->op->count;
    for (uint32_t i = 0; i < action->op->count; i++)
        event.args[i] = action->op->args[i];
    mxrc_event_publish(action->exec, &event);
    return MXRC_ACTION_DONE;
}

const struct mxrc_action_type mxrc_action_emit_event = {
    .kind = MXRC_OP_EMIT_EVENT,
    .instant = 1,
    .validate = validate,
    .begin = begin,
    .step = step,
};
