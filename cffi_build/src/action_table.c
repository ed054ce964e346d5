/* action_table.c: the actions there are. */
#include "action.h"

static const struct mxrc_action_type *const types[] = {
    [MXRC_OP_MOVE_JOINTS] = &mxrc_action_move_joints,
    [MXRC_OP_WAIT] = &mxrc_action_wait,
    [MXRC_OP_HOLD] = &mxrc_action_hold,
    [MXRC_OP_LOG] = &mxrc_action_log,
    [MXRC_OP_SET_VALUE] = &mxrc_action_set_value,
    [MXRC_OP_SAFE_STOP] = &mxrc_action_safe_stop,
    [MXRC_OP_WAIT_FOR] = &mxrc_action_wait_for,
    [MXRC_OP_CONTROL_LAW] = &mxrc_action_control_law,
    [MXRC_OP_EMIT_EVENT] = &mxrc_action_emit_event,
    [MXRC_OP_PARALLEL] = &mxrc_action_parallel,
};

const struct mxrc_action_type *mxrc_action_find(uint32_t kind)
{
    return kind < sizeof types / sizeof types[0] ? types[kind] : NULL;
}
