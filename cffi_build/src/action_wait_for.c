/* action_wait_for.c: until a condition holds. */
#include "action.h"

static uint32_t validate(const struct mxrc_op *op, const struct mxrc_axis_config *axes,
                         uint32_t axis_count, uint32_t data_keys)
{
    (void)axes, (void)axis_count, (void)data_keys;
    return op->axes == 0 ? MXRC_OK : MXRC_ERR_INVALID;
}

const struct mxrc_action_type mxrc_action_wait_for = {
    .kind = MXRC_OP_WAIT_FOR,
    .validate = validate,
};
