/* handover.h: giving the lease to a warm STANDBY between two cycles. */
#ifndef MXRC_HANDOVER_H
#define MXRC_HANDOVER_H

#include "exec.h"

/* At the end of a cycle: 1 when the lease is to be given up now. */
int mxrc_handover_due(struct mxrc_exec *exec);

#endif
