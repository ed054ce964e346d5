/* restore.c: going on from a checkpoint. It is older than the last cycle, by up to the checkpoint interval: so it
 * says which state the machine was in, and never where an axis has to be. */
#include <errno.h>
#include <math.h>

#include "axes.h"
#include "error.h"
#include "log.h"
#include "restore.h"
#include "state_block.h"

_Static_assert(sizeof((struct mxrc_exec_restore *)0)->driver >= 40 + MXRC_DRIVER_STATE_BYTES,
               "section DRIVER fits: name, version, size and the driver's own bytes");

int mxrc_exec_restore(struct mxrc_exec *exec, const struct mxrc_exec_restore *restore, char *error,
                      size_t error_bytes)
{
    if (restore->state < MXRC_STATE_READY || restore->state > MXRC_STATE_ERROR ||
        restore->state_before > MXRC_STATE_ERROR || restore->safe_cause > MXRC_SAFE_CAUSE_LAST)
        return mxrc_fail(error, error_bytes, EINVAL,
                         "checkpoint: RT state %u (from %u, cause %u) is none to go on from",
                         restore->state, restore->state_before, restore->safe_cause);
    for (uint32_t i = 0; i < exec->config.axis_count; i++)
        if (!isfinite(restore->setpoint[i]))
            return mxrc_fail(error, error_bytes, EINVAL,
                             "checkpoint: the set-point of axis %u is not finite", i);
    if (restore->driver_bytes > sizeof restore->driver)
        return mxrc_fail(error, error_bytes, EINVAL, "checkpoint: driver state of %u bytes",
                         restore->driver_bytes);
    exec->restore = *restore;
    exec->restore_given = 1;
    return 0;
}

void mxrc_restore_driver(struct mxrc_exec *exec)
{
    const struct mxrc_exec_restore *from = &exec->restore;
    if (!exec->restore_given || from->driver_bytes == 0)
        return;
    for (uint32_t i = 0; i < exec->section_count; i++) {
        const struct mxrc_section *section = exec->section[i];
        if (section->id == MXRC_SECTION_DRIVER && section->version == from->driver_version &&
            section->validate(exec, from->driver, from->driver_bytes))
            section->restore(exec, from->driver, from->driver_bytes);
    }
}

static uint32_t log_moved(struct mxrc_exec *exec)
{
    uint32_t moved = 0;
    for (uint32_t i = 0; i < exec->config.axis_count; i++) {
        double measured = exec->inputs.position[i], saved = exec->restore.setpoint[i];
        if (!mxrc_axis_moved(&exec->config.axis[i], measured, saved))
            continue;
        mxrc_log(exec, MXRC_EV_AXIS_MOVED, NULL, i, measured, saved);
        moved++;
    }
    return moved;
}

int mxrc_restore_state(struct mxrc_exec *exec)
{
    if (!exec->restore_given)
        return 0;
    exec->state = exec->restore.state;
    exec->state_before = exec->restore.state_before;
    exec->safe_cause = exec->restore.safe_cause;
    exec->start_pending = 0;
    exec->recovery = 2;
    if (exec->state == MXRC_STATE_SAFE_MODE || exec->state == MXRC_STATE_ERROR)
        mxrc_axes_safe_begin(exec);
    uint32_t moved = log_moved(exec);
    mxrc_log(exec, MXRC_EV_RECOVERED_CHECKPOINT, NULL, exec->restore.checkpoint,
             (double)exec->restore.cycle, exec->state, moved);
    return 1;
}
