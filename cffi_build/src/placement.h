/* placement.h: CPUs, policy and priority of the RT thread, set by itself. */
#ifndef MXRC_PLACEMENT_H
#define MXRC_PLACEMENT_H

#include "exec.h"

/* As configured; what cannot be had goes into placement_warning. */
void mxrc_place(struct mxrc_exec *exec);
/* Of a STANDBY: a CPU on which the PRIMARY does not run, of those configured if possible, else of the others that the
 * process may use. If there is none: the same, one priority above, so that a PRIMARY that loops is noticed. */
void mxrc_place_standby(struct mxrc_exec *exec, uint32_t primary_cpu);

#endif
