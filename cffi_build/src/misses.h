/* misses.h: deadline misses, overruns and the window behind the miss rate. */
#ifndef MXRC_MISSES_H
#define MXRC_MISSES_H

#include "exec.h"

/* Counts the misses that the shared window holds (a predecessor wrote it). */
void mxrc_misses_begin(struct mxrc_exec *exec);
/* After the commit: flags, counts and logs the slot that is running. */
void mxrc_misses_judge(struct mxrc_exec *exec);
/* After the end of a slot that ran past the start of the next: `skipped` slots will not be run. */
void mxrc_misses_overrun(struct mxrc_exec *exec, uint64_t skipped);
/* Adds the times of the slot to the histograms. */
void mxrc_misses_times(struct mxrc_exec *exec);

void mxrc_count(struct mxrc_exec *exec, uint32_t counter, uint64_t by);

#endif
