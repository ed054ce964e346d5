/* action_parallel.c: up to four branches side by side. Each has a strand of its own from a table that all tasks share; a
 * PARALLEL that finds too few free ones waits for them. It holds none meanwhile, so that nobody waits in a ring. */
#include <string.h>

#include "action.h"
#include "strand.h"

static uint32_t validate(const struct mxrc_op *op, const struct mxrc_axis_config *axes,
                         uint32_t axis_count, uint32_t data_keys)
{
    (void)axes, (void)axis_count, (void)data_keys;
    return op->axes == 0 && op->duration_ns == 0 ? MXRC_OK : MXRC_ERR_INVALID;
}

static void release(struct mxrc_exec *exec, struct mxrc_strand *branch)
{
    memset(branch, 0, sizeof *branch);
    exec->branches--;
}

static void abort_all(struct mxrc_action *action, uint32_t result)
{
    for (uint32_t i = 0; i < MXRC_TASK_BRANCHES; i++) {
        struct mxrc_strand *branch = &action->exec->branch[i];
        if (branch->owner != action->strand->owner)
            continue;
        mxrc_strand_abort(action->exec, action->task, branch, result);
        release(action->exec, branch);
    }
}

/* One turn of each branch. */
static uint32_t run(struct mxrc_action *action)
{
    struct mxrc_exec *exec = action->exec;
    uint32_t left = 0;
    for (uint32_t i = 0; i < MXRC_TASK_BRANCHES; i++) {
        struct mxrc_strand *branch = &exec->branch[i];
        if (branch->owner != action->strand->owner)
            continue;
        uint32_t status = mxrc_strand_run(exec, action->task, branch);
        if (status == MXRC_STRAND_ON) {
            left++;
            continue;
        }
        action->result = branch->error;
        release(exec, branch);
        if (status != MXRC_STRAND_JOINED)
            return MXRC_ACTION_FAILED; /* the others end in abort */
        if (action->op->key == MXRC_JOIN_FIRST) {
            abort_all(action, MXRC_ERR_CANCELLED);
            return MXRC_ACTION_DONE;
        }
    }
    return left ? MXRC_ACTION_RUNNING : MXRC_ACTION_DONE;
}

static uint32_t begin(struct mxrc_action *action)
{
    struct mxrc_exec *exec = action->exec;
    if (action->strand->phase == NOT_BEGUN) {
        uint32_t wanted = 0;
        while (wanted < MXRC_BRANCHES && action->op->branch[wanted])
            wanted++;
        if (wanted > MXRC_TASK_BRANCHES - exec->branches)
            return MXRC_ACTION_WAITING;
        for (uint32_t i = 0, b = 0; b < wanted; i++) {
            struct mxrc_strand *branch = &exec->branch[i];
            if (branch->owner)
                continue;
            branch->owner = action->strand->owner;
            mxrc_strand_at(branch, action->op->branch[b++]);
        }
        exec->branches += wanted;
    }
    uint32_t status = run(action);
    if (status == MXRC_ACTION_FAILED)
        abort_all(action, MXRC_ERR_CANCELLED);
    /* It takes a cycle even when none of its ops does. */
    return status == MXRC_ACTION_DONE ? MXRC_ACTION_RUNNING : status;
}

const struct mxrc_action_type mxrc_action_parallel = {
    .kind = MXRC_OP_PARALLEL,
    .quiet = 1,
    .validate = validate,
    .begin = begin,
    .step = run,
    .abort = abort_all,
};
