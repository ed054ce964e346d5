/* wait.h: the executive's clock and its wait for the next slot. */
#ifndef MXRC_WAIT_H
#define MXRC_WAIT_H

#include "exec.h"

/* Until `deadline_ns` has come (at once when it has passed). 0, or an errno of the sleep. */
int mxrc_wait_until(struct mxrc_exec *exec, uint64_t deadline_ns);

#endif
