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
#include "standby.h"
#include "state.h"

/* A STANDBY beats at least that often, on a machine that lets it. */
#define WARM_NS 200000000

static pthread_mutex_t *mutex_of(struct mxrc_lease *lease)
{
    return (pthread_mutex_t *)(void *)lease->mutex;
}

static int lock_until(pthread_mutex_t *mutex, uint64_t until_ns)
{
    if (until_ns == 0)
        return pthread_mutex_trylock(mutex);
    struct timespec until = {.tv_sec = (time_t)(until_ns / 1000000000),
                             .tv_nsec = (long)(until_ns % 1000000000)};
#ifdef MXRC_TSAN
    /* ThreadSanitizer knows a dead owner from trylock only, and would take the unlock for a mistake. */
    int result;
    (void)until;
    while ((result = pthread_mutex_trylock(mutex)) == EBUSY && mxrc_now_ns() < until_ns)
        clock_nanosleep(CLOCK_MONOTONIC, 0, &(struct timespec){.tv_nsec = 50000}, NULL);
    return result;
#else
    return pthread_mutex_clocklock(mutex, CLOCK_MONOTONIC, &until);
#endif
}

int mxrc_lease_lock(struct mxrc_lease *lease, uint64_t until_ns, int *owner_died)
{
    int result = lock_until(mutex_of(lease), until_ns);
    *owner_died = result == EOWNERDEAD;
    if (result == EOWNERDEAD)
        return pthread_mutex_consistent(mutex_of(lease));
    return result == EBUSY ? ETIMEDOUT : result;
}

/* The admitted epoch only rises: of two claimants the one with the older epoch does not lower it. */
static void admit(struct mxrc_lease *lease, uint64_t epoch)
{
    uint64_t admitted = mxrc_load_acquire(&lease->admitted_epoch);
    while (admitted < epoch && !mxrc_cas_u64(&lease->admitted_epoch, admitted, epoch))
        admitted = mxrc_load_acquire(&lease->admitted_epoch);
}

static uint64_t owner_word(uint64_t epoch, int member)
{
    return epoch << 16 | (uint64_t)(member + 1);
}

/* The compare-and-swap fails only against another claimant; each success is an epoch of its own, so the loop ends. */
uint64_t mxrc_lease_claim(struct mxrc_lease *lease, int member)
{
    uint64_t owner, epoch;
    do {
        owner = mxrc_load_acquire(&lease->owner);
        epoch = mxrc_owner_epoch(owner) + 1;
        if (epoch > MXRC_EPOCH_MAX)
            return 0;
    } while (!mxrc_cas_u64(&lease->owner, owner, owner_word(epoch, member)));
    admit(lease, epoch);
    return epoch;
}

uint64_t mxrc_lease_take(struct mxrc_exec *exec, uint64_t owner)
{
    struct mxrc_lease *lease = exec->at.lease;
    uint64_t epoch = mxrc_owner_epoch(owner) + 1;
    if (epoch > MXRC_EPOCH_MAX ||
        !mxrc_cas_u64(&lease->owner, owner, owner_word(epoch, exec->segment->member)))
        return 0;
    mxrc_phase(exec, MXRC_AT_TAKEN);
    admit(lease, epoch);
    exec->driver->admit(exec->driver_instance, epoch);
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

int mxrc_lease_meant_for_another(const struct mxrc_exec *exec)
{
    uint64_t requested = mxrc_load_acquire(&exec->at.lease->requested);
    int target = (int)requested - 1;
    return requested != 0 && target != exec->segment->member &&
           mxrc_standby_warm(exec, target, WARM_NS);
}

int mxrc_lease_enter(struct mxrc_exec *exec, char *error, size_t error_bytes)
{
    struct mxrc_lease *lease = exec->at.lease;
    int result = mxrc_grid_join(exec, error, error_bytes);
    uint64_t owner = mxrc_load_acquire(&lease->owner);
    if (result == 0) {
        exec->epoch = mxrc_owner_member(owner) == exec->segment->member && exec->epoch &&
                              exec->epoch == mxrc_owner_epoch(owner)
                          ? exec->epoch
                          : mxrc_lease_claim(lease, exec->segment->member);
        if (exec->epoch == 0)
            result = mxrc_fail(error, error_bytes, EOVERFLOW,
                               "the lease has no epoch above %llu: stop all RT processes, so that "
                               "a new generation begins",
                               (unsigned long long)MXRC_EPOCH_MAX);
    }
    if (result) {
        mxrc_lease_unlock(lease);
        return result;
    }
    exec->driver->admit(exec->driver_instance, exec->epoch);
    mxrc_store_release(&lease->requested, 0);
    exec->holds_lease = 1;
    mxrc_phase(exec, MXRC_AT_EPOCH);
    return 0;
}

static int refuse(const struct mxrc_exec *exec, char *error, size_t error_bytes)
{
    uint64_t owner = mxrc_load_acquire(&exec->at.lease->owner);
    return mxrc_fail(error, error_bytes, EBUSY,
                     "another RT process is PRIMARY of this instance (member %d, epoch %llu)",
                     mxrc_owner_member(owner), (unsigned long long)mxrc_owner_epoch(owner));
}

int mxrc_lease_acquire(struct mxrc_exec *exec, int *owner_died, char *error, size_t error_bytes)
{
    int result = mxrc_lease_lock(exec->at.lease, 0, owner_died);
    if (result == ETIMEDOUT)
        return refuse(exec, error, error_bytes);
    if (result)
        return mxrc_fail(error, error_bytes, result, "the lease's mutex cannot be locked: error %d",
                         result);
    if (!*owner_died && mxrc_lease_meant_for_another(exec)) {
        mxrc_lease_unlock(exec->at.lease);
        return refuse(exec, error, error_bytes);
    }
    mxrc_phase(exec, MXRC_AT_LEASE);
    return mxrc_lease_enter(exec, error, error_bytes);
}
