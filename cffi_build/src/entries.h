/* entries.h: what the cycle's time goes into: the executive's stages and the entries of the schedule. */
#ifndef MXRC_ENTRIES_H
#define MXRC_ENTRIES_H

#include "exec.h"

/* Before begin: the code of the entries made ready. 0, or EINVAL with what does not fit. */
int mxrc_entries_prepare(struct mxrc_exec *exec, char *error, size_t error_bytes);
/* Behind the lease, once the first slot is known: names, periods and declared times into the segment. */
void mxrc_entries_begin(struct mxrc_exec *exec);
/* Those whose slot this is; after the commit. */
void mxrc_entries_run(struct mxrc_exec *exec);

/* The stage has just ended, or did at `at_ns`: its time counts from the end of the one before. */
void mxrc_stage_ended(struct mxrc_exec *exec, uint32_t stage, uint64_t at_ns);
void mxrc_stage_done(struct mxrc_exec *exec, uint32_t stage);
/* After the end of the cycle: its times into the histograms. */
void mxrc_entries_settle(struct mxrc_exec *exec);

#endif
