/* task_turn.h: when an execution's next run begins. */
#ifndef MXRC_TASK_TURN_H
#define MXRC_TASK_TURN_H

#include "exec.h"

/* Once per cycle: looks at the trigger of a triggered task, also while a run is going. */
void mxrc_turn_watch(struct mxrc_exec *exec, struct mxrc_task_state *task);
/* 1: the run of a PENDING task begins in this cycle. 0: it is not due, or waits for axes: task->waits_for. */
int mxrc_turn_has_come(struct mxrc_exec *exec, struct mxrc_task_state *task);
/* A run of a task that has further ones has ended. */
void mxrc_turn_after(struct mxrc_exec *exec, struct mxrc_task_state *task);

#endif
