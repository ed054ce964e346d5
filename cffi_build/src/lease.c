/* lease.c: the lease of the PRIMARY, in steps. The robust mutex says that the old thread is gone, the epoch keeps
 * what it may still write away from devices: neither replaces the other. */
#define _GNU_SOURCE /* pthread_mutex_clocklock */
#include <errno.h>
#include <pthread.h>
#include <time.h>

#include "error.h"
#include "grid.h"
#include "lease.h"
#include "log.h"
#include "state.h"

#define OWNER_MEMBER 0xffff

static pthread_mutex_t *mutex_of(struct mxrc_lease *lease)
{
    return (pthread_mutex_t *)(void *)lease->mutex;
}

static int lock_for(pthread_mutex_t *mutex, uint64_t timeout_ns)
{
    if (timeout_ns == 0)
        return pthread_mutex_trylock(mutex);
    uint64_t until = mxrc_now_ns() + timeout_ns;
    struct timespec time = {.tv_sec = (time_t)(until / 1000000000),
                            .tv_nsec = (long)(until % 1000000000)};
    return pthread_mutex_clocklock(mutex, CLOCK_MONOTONIC, &time);
}

int mxrc_lease_lock(struct mxrc_lease *lease, uint64_t timeout_ns, int *owner_died)
{
    int result = lock_for(mutex_of(lease), timeout_ns);
    *owner_died = result == EOWNERDEAD;
    if (result == EOWNERDEAD)
        return pthread_mutex_consistent(mutex_of(lease));
    return result == EBUSY ? ETIMEDOUT : result;
}

/* The compare-and-swap fails only against another claimant; each success is an epoch of its own, so the loop ends. The
 * admitted epoch only rises: of two claimants the one with the older epoch does not lower it. */
uint64_t mxrc_lease_claim(struct mxrc_lease *lease, int member)
{
    uint64_t owner, epoch;
    do {
        owner = mxrc_load_acquire(&lease->owner);
        epoch = (owner >> 16) + 1;
    } while (!mxrc_cas_u64(&lease->owner, owner, epoch << 16 | (uint64_t)(member + 1)));
    uint64_t admitted = mxrc_load_acquire(&lease->admitted_epoch);
    while (admitted < epoch && !mxrc_cas_u64(&lease->admitted_epoch, admitted, epoch))
        admitted = mxrc_load_acquire(&lease->admitted_epoch);
    return epoch;
}

void mxrc_lease_watch(struct mxrc_exec *exec)
{
    uint64_t expiry = mxrc_load_acquire(&exec->at.lease->expiry_ns);
    uint64_t now = exec->now.wake_ns;
    if (expiry == 0 || now <= expiry ||
        mxrc_state_next(exec->state, MXRC_RT_SAFE_MODE_ENTER, exec->state_before) < 0)
        return;
    mxrc_log(exec, MXRC_EV_LEASE_EXPIRED, NULL, (double)(now - expiry) * 1e-6);
    mxrc_state_fault(exec, MXRC_SAFE_LEASE);
}

void mxrc_lease_unlock(struct mxrc_lease *lease)
{
    pthread_mutex_unlock(mutex_of(lease));
}

int mxrc_lease_acquire(struct mxrc_exec *exec, int *owner_died, char *error, size_t error_bytes)
{
    struct mxrc_lease *lease = exec->at.lease;
    int result = mxrc_lease_lock(lease, 0, owner_died);
    if (result == ETIMEDOUT)
        return mxrc_fail(error, error_bytes, EBUSY,
                         "another RT process is PRIMARY of this instance (member %d, epoch %llu)",
                         (int)(mxrc_load_acquire(&lease->owner) & OWNER_MEMBER) - 1,
                         (unsigned long long)(mxrc_load_acquire(&lease->owner) >> 16));
    if (result)
        return mxrc_fail(error, error_bytes, result, "the lease's mutex cannot be locked: error %d",
                         result);
    mxrc_phase(exec, MXRC_AT_LEASE);
    result = mxrc_grid_join(exec, error, error_bytes);
    if (result) {
        mxrc_lease_unlock(lease);
        return result;
    }
    exec->epoch = mxrc_lease_claim(lease, exec->segment->member);
    exec->holds_lease = 1;
    mxrc_phase(exec, MXRC_AT_EPOCH);
    return 0;
}
