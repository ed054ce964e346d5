/* axes.h: set-points of the axes that no task drives, and limits on every output. */
#ifndef MXRC_AXES_H
#define MXRC_AXES_H

#include "exec.h"

/* SAFE_MODE, ERROR or SHUTDOWN begins: set-points start from what was committed last. */
void mxrc_axes_safe_begin(struct mxrc_exec *exec);
/* Gives a set-point to each axis that no task has driven in this cycle: the safe action where it is in force, else a
 * ramp to a stop. */
void mxrc_axes_undriven(struct mxrc_exec *exec);
/* 1 when the axes of `mask` stand still at their set-point. */
int mxrc_axes_at_rest(const struct mxrc_exec *exec, uint32_t mask);
/* The arm was left alone for several slots. Under commands of position it stands at the last one, its state's or the unseen one,
 * unless the time was long and it is measured elsewhere: somebody has moved it, and it stays there. Under commands of effort it is
 * where, and as fast as, it is measured. Motion is planned anew from there. measured: the inputs are of now. */
void mxrc_axes_interrupted(struct mxrc_exec *exec, int measured);
/* Whether an axis is elsewhere than expected. */
int mxrc_axis_moved(const struct mxrc_axis_config *limits, double measured, double expected);
/* The predecessor has committed once more than the restored state says. Motion that goes on does that step again; motion
 * that starts from rest starts where it has led. */
void mxrc_axes_unseen(struct mxrc_exec *exec);
/* Measured motion is there again after a time without: the axes may be anywhere, and stay where they are found. */
void mxrc_axes_found(struct mxrc_exec *exec);
/* Moves a set-point for one cycle at `velocity`, or at the one next to it from which the axis still stops before both bounds
 * of position. A set-point that cannot any more brakes. */
void mxrc_axes_steer(struct mxrc_axis_state *axis, const struct mxrc_axis_config *limits,
                     double velocity, double dt);
/* Cuts the commands in exec->outputs to what position, velocity and acceleration (or effort) limits allow. */
void mxrc_axes_limit(struct mxrc_exec *exec);
/* What was committed becomes the start of the next cycle. */
void mxrc_axes_committed(struct mxrc_exec *exec);

static inline int mxrc_state_is_safe(uint32_t state)
{
    return state == MXRC_STATE_SAFE_MODE || state == MXRC_STATE_ERROR ||
           state == MXRC_STATE_SHUTDOWN;
}

static inline double mxrc_cycle_seconds(const struct mxrc_exec *exec)
{
    return (double)exec->config.period_ns * 1e-9;
}

#endif
