/* restore.h: going on from a checkpoint, where the segment has no state to go on from. */
#ifndef MXRC_RESTORE_H
#define MXRC_RESTORE_H

#include "exec.h"

/* Before the driver is read for the first time: its own state, if it is one of this driver. */
void mxrc_restore_driver(struct mxrc_exec *exec);
/* After a clean start was prepared and the grid was entered. 1: goes on from the checkpoint, and has logged it. */
int mxrc_restore_state(struct mxrc_exec *exec);

#endif
