/* action_control_law.c: a law that was loaded for tasks makes the set-points of some axes for a while. */
#include <math.h>

#include "action.h"

static uint32_t validate(const struct mxrc_op *op, const struct mxrc_axis_config *axes,
                         uint32_t axis_count, uint32_t data_keys)
{
    (void)axes, (void)axis_count, (void)data_keys;
    if (op->key >= MXRC_PROGRAM_LAWS)
        return MXRC_ERR_INVALID;
    for (uint32_t i = 0; i < MXRC_OP_ARGS; i++)
        if (!isfinite(op->args[i]))
            return MXRC_ERR_INVALID;
    return MXRC_OK;
}

const struct mxrc_action_type mxrc_action_control_law = {
    .kind = MXRC_OP_CONTROL_LAW,
    .validate = validate,
};
