/* lease.h: who is PRIMARY. See struct mxrc_lease in layout.h for the words. */
#ifndef MXRC_LEASE_H
#define MXRC_LEASE_H

#include "exec.h"

/* Takes the mutex, waiting at most `timeout_ns`. 0: held (its dead owner's hold is cleared, *owner_died tells), ETIMEDOUT: a
 * live thread holds it. Only who holds it may touch rings, state block, status and metrics. */
int mxrc_lease_lock(struct mxrc_lease *lease, uint64_t timeout_ns, int *owner_died);
/* Makes this member the owner with a new epoch and admits only that epoch to the outputs. The new epoch. */
uint64_t mxrc_lease_claim(struct mxrc_lease *lease, int member);
/* Once per cycle: SAFE_MODE when a lease with an expiry (several hosts) has run out. */
void mxrc_lease_watch(struct mxrc_exec *exec);
void mxrc_lease_unlock(struct mxrc_lease *lease);

/* Start of a PRIMARY where no other lives: lock, then join the grid, then claim. 0, EBUSY when another process is PRIMARY,
 * or EINVAL from the grid. */
int mxrc_lease_acquire(struct mxrc_exec *exec, int *owner_died, char *error, size_t error_bytes);

/* A standby that takes over from a PRIMARY that may still run uses the same steps in another order: claim (from
 * here on nothing of the old one reaches a device), kill it, lock (EOWNERDEAD proves it gone), then recover. */

#endif
