/* lease.h: who is PRIMARY. See struct mxrc_lease in layout.h for the words.
 *
 * The coordinator between RT processes is no more than this: campaign (lock, claim, take), the lease (epoch, expiry),
 * resign (unlock) and watch. The lease in shared memory is the one for a single host. */
#ifndef MXRC_LEASE_H
#define MXRC_LEASE_H

#include "exec.h"

/* What the commit word of a process image has room for, whichever driver is used; the owner word has more. */
#define MXRC_EPOCH_MAX 0xffffffffull

/* ---- the words ---- */

static inline uint64_t mxrc_owner_epoch(uint64_t owner)
{
    return owner >> 16;
}

/* -1: nobody yet */
static inline int mxrc_owner_member(uint64_t owner)
{
    return (int)(owner & 0xffff) - 1;
}

/* ---- campaign ---- */

/* Takes the mutex, waiting until `until_ns` of CLOCK_MONOTONIC (0: not at all). 0: held (its dead owner's hold is cleared, *owner_died
 * tells), ETIMEDOUT: a live thread holds it. Only who holds it may touch rings, state block, status and metrics. */
int mxrc_lease_lock(struct mxrc_lease *lease, uint64_t until_ns, int *owner_died);
/* Who holds the mutex makes itself the owner with a new epoch and admits only that epoch to the outputs. The new epoch, 0:
 * there is none left. */
uint64_t mxrc_lease_claim(struct mxrc_lease *lease, int member);
/* The same for one that does not hold the mutex and has judged `owner`: 0 also when the owner is another one by now. From here
 * on nothing of the old one reaches a device. */
uint64_t mxrc_lease_take(struct mxrc_exec *exec, uint64_t owner);

/* Start of a PRIMARY where no other lives: lock, then enter. 0, EBUSY when another process is PRIMARY or about to be, else
 * the reason. */
int mxrc_lease_acquire(struct mxrc_exec *exec, int *owner_died, char *error, size_t error_bytes);
/* With the mutex held: join the grid, claim the lease unless it is this member's already. Unlocks on failure. */
int mxrc_lease_enter(struct mxrc_exec *exec, char *error, size_t error_bytes);
/* 1: the lease was given up for another member, which is warm and has not taken it yet. */
int mxrc_lease_meant_for_another(const struct mxrc_exec *exec);

/* ---- resign, watch ---- */

void mxrc_lease_unlock(struct mxrc_lease *lease);
/* Once per cycle: SAFE_MODE when a lease with an expiry (several hosts) has run out. */
void mxrc_lease_watch(struct mxrc_exec *exec);

#endif
