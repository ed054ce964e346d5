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

/* mxrc_strand.phase. REPLAN: begun again from rest in the next step, as after a hold, but nobody held it: on an
 * overloaded machine this may come many times a second, and the line of the interruption is enough. */
enum { NOT_BEGUN = 0, IN_PROGRESS = 1, HELD = 2, REPLAN = 3 };

/* One step of one op. An action keeps what it must remember between cycles in `strand` (it is saved every cycle), and
 * nothing elsewhere. */
struct mxrc_action {
    struct mxrc_exec *exec;
    struct mxrc_task_state *task;
    struct mxrc_strand *strand;
    const struct mxrc_op *op;
    uint32_t result; /* enum mxrc_result */
};

struct mxrc_action_type {
    uint16_t kind;
    uint8_t instant; /* takes no time: the next op may begin in the same cycle */
    uint8_t quiet;   /* control flow: neither span nor lines */
    /* Of the op alone, before a program runs: MXRC_OK or the reason against it. */
    uint32_t (*validate)(const struct mxrc_op *op, const struct mxrc_axis_config *axes,
                         uint32_t axis_count, uint32_t data_keys);
    /* Also after a hold, with strand->phase still HELD or REPLAN: begins again from where the axes are. */
    uint32_t (*begin)(struct mxrc_action *action);
    /* Once per cycle from the one of `begin` on; strand->elapsed_ns already has this cycle in it. */
    uint32_t (*step)(struct mxrc_action *action);
    /* Of what has begun, when it ends in whatever way before it is DONE; may be NULL. */
    void (*abort)(struct mxrc_action *action, uint32_t result);
};

/* NULL: no such kind. */
const struct mxrc_action_type *mxrc_action_find(uint32_t kind);

/* After the strands were restored and judged: frees what no strand runs any more. */
void mxrc_law_runs_recover(struct mxrc_exec *exec);

extern const struct mxrc_action_type mxrc_action_move_joints;
extern const struct mxrc_action_type mxrc_action_wait;
extern const struct mxrc_action_type mxrc_action_hold;
extern const struct mxrc_action_type mxrc_action_log;
extern const struct mxrc_action_type mxrc_action_set_value;
extern const struct mxrc_action_type mxrc_action_safe_stop;
extern const struct mxrc_action_type mxrc_action_parallel;
extern const struct mxrc_action_type mxrc_action_wait_for;
extern const struct mxrc_action_type mxrc_action_emit_event;
extern const struct mxrc_action_type mxrc_action_control_law;

#endif
