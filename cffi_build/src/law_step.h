/* law_step.h: running the control law. */
#ifndef MXRC_LAW_STEP_H
#define MXRC_LAW_STEP_H

#include "exec.h"

extern const struct mxrc_law mxrc_law_position_servo;

/* This cycle's measured and wanted motion into exec->law_input. */
void mxrc_law_fill_input(struct mxrc_exec *exec);
/* From inputs and set-points to exec->outputs. In the safe states, and from the moment a law fails, the set-points of
 * the safe actions are the outputs. */
void mxrc_law_step(struct mxrc_exec *exec);

#endif
