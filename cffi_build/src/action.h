/* action.h: the interface of actions. One table entry per op kind; see action_table.c. */
#ifndef MXRC_ACTION_H
#define MXRC_ACTION_H

#include "exec.h"

enum mxrc_action_status {
    MXRC_ACTION_WAITING = 0, /* cannot begin yet; tried again in the next cycle */
    MXRC_ACTION_RUNNING = 1,
    MXRC_ACTION_DONE = 2,
    MXRC_ACTION_FAILED = 3 /* with the reason in action->result */
};

/* One step of one op. An action keeps what it must remember between cycles in `task` (it is saved every cycle), and
 * nothing elsewhere. */
struct mxrc_action {
    struct mxrc_exec *exec;
    struct mxrc_task_state *task;
    const struct mxrc_op *op;
    uint32_t result; /* enum mxrc_result */
};

struct mxrc_action_type {
    uint16_t kind;
    uint16_t instant; /* takes no time: the next op may begin in the same cycle */
    /* Of the op alone, before a program runs: MXRC_OK or the reason against it. */
    uint32_t (*validate)(const struct mxrc_op *op, const struct mxrc_axis_config *axes,
                         uint32_t axis_count, uint32_t data_keys);
    /* Also after a hold, with task->phase still 2: begins again from where the axes are. */
    uint32_t (*begin)(struct mxrc_action *action);
    /* Once per cycle from the one of `begin` on; task->elapsed_ns already has this cycle in it. */
    uint32_t (*step)(struct mxrc_action *action);
};

/* NULL: no such kind. */
const struct mxrc_action_type *mxrc_action_find(uint32_t kind);

extern const struct mxrc_action_type mxrc_action_move_joints;
extern const struct mxrc_action_type mxrc_action_wait;
extern const struct mxrc_action_type mxrc_action_hold;
extern const struct mxrc_action_type mxrc_action_log;
extern const struct mxrc_action_type mxrc_action_set_value;
extern const struct mxrc_action_type mxrc_action_safe_stop;
extern const struct mxrc_action_type mxrc_action_wait_for;
extern const struct mxrc_action_type mxrc_action_emit_event;
extern const struct mxrc_action_type mxrc_action_control_law;

#endif
