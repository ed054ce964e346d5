/* grid.h: slots on the absolute time grid, and what happens after an overrun. */
#ifndef MXRC_GRID_H
#define MXRC_GRID_H

#include "exec.h"

/* Commands that came late by more than both: the arm has stopped meanwhile, and motion goes on from rest. */
#define BRIDGED_SLOTS 2
#define BRIDGED_NS 10000000
/* After so long without commands an axis stands, and whatever is left of its distance to the last one is no lag: it was moved. */
#define SETTLED_NS 1000000000

/* Joins the grid of the generation, or founds it. 0, or EINVAL when its period is another. Lease held. */
int mxrc_grid_join(struct mxrc_exec *exec, char *error, size_t error_bytes);
/* The first slot whose start has not passed becomes the current one. */
void mxrc_grid_enter(struct mxrc_exec *exec);
/* After the work of a slot: the next one by the overrun policy; counts what was skipped as misses. */
void mxrc_grid_next(struct mxrc_exec *exec);

#endif
