/* action_table.c: the actions there are. */
#include "action.h"

static const struct mxrc_action_type *const types[] = {
    &mxrc_action_move_joints, &mxrc_action_wait,       &mxrc_action_hold,
    &mxrc_action_log,         &mxrc_action_set_value,  &mxrc_action_safe_stop,
    &mxrc_action_wait_for,    &mxrc_action_emit_event, &mxrc_action_control_law,
};

const struct mxrc_action_type *mxrc_action_find(uint32_t kind)
{
    for (uint32_t i = 0; i < sizeof types / sizeof types[0]; i++)
        if (types[i]->kind == kind)
            return types[i];
    return NULL;
}
