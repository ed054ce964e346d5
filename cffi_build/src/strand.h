/* strand.h: one place in a program going on: a task has one, and one more for each branch of a PARALLEL in progress. */
#ifndef MXRC_STRAND_H
#define MXRC_STRAND_H

#include "exec.h"

/* Ops that a strand begins in one cycle at most. */
#define MXRC_OPS_PER_CYCLE 8

enum mxrc_strand_status {
    MXRC_STRAND_ON = 0,
    MXRC_STRAND_ENDED = 1,  /* at an END */
    MXRC_STRAND_JOINED = 2, /* a branch at its JOIN */
    MXRC_STRAND_FAILED = 3  /* with the reason in strand->error */
};

/* The next op is `op`, not begun. */
void mxrc_strand_at(struct mxrc_strand *strand, uint32_t op);
/* One cycle of it: an enum mxrc_strand_status. */
uint32_t mxrc_strand_run(struct mxrc_exec *exec, struct mxrc_task_state *task,
                         struct mxrc_strand *strand);
/* Ends what has begun, with its span and its branches. */
void mxrc_strand_abort(struct mxrc_exec *exec, struct mxrc_task_state *task,
                       struct mxrc_strand *strand, uint32_t result);

#endif
