/* standby.c: waits for the lease and watches who has it.
 *
 * The robust mutex hands over by itself after a crash (EOWNERDEAD) and after a hand-over. A PRIMARY that stands still or loops keeps
 * it; then, in this order and no other: swap (owner, epoch), admit the new epoch to the outputs, kill the old process, take the
 * mutex, and only with the mutex look at rings and state block. Nothing here is in the cycle: system calls are allowed. */
#define _GNU_SOURCE /* sched_getcpu */
#include <errno.h>
#include <sched.h>
#include <stddef.h>
#include <time.h>
#include <unistd.h>

#include "error.h"
#include "lease.h"
#include "live.h"
#include "log.h"
#include "pidfd.h"
#include "placement.h"
#include "standby.h"
#include "state_block.h"

#define STALL_CYCLES 3 /* of silence at least: a PRIMARY beats once in each */
#define STUCK_NS                                                                                   \
    20000000 /* a killed thread's mutex comes 0.1 ms after it, on a machine that is not overloaded */
#define ENDED_LOOKS 2 /* at a process that ended, before its mutex is given up for lost */

/* Decisions of one turn. */
enum turn { WAIT = 0, PRIMARY, STOPPED, FAILED };

/* Into the own lane; the counters are the PRIMARY's. */
static void say(struct mxrc_exec *exec, uint32_t message_id, const double *args, uint32_t count)
{
    struct mxrc_event event;
    exec->now.wake_ns = mxrc_now_ns();
    mxrc_event_fill(exec, &event, MXRC_EVENT_LOG, NULL);
    mxrc_event_line(exec, &event, message_id, args, count);
    if (event.message_id)
        mxrc_ring_publish(&exec->at.lane, &event);
}

static const struct mxrc_member *member_at(const struct mxrc_exec *exec, int member)
{
    if (member < 0 || member >= MXRC_MEMBERS)
        return NULL;
    return mxrc_region(exec->segment, MXRC_REGION_MEMBER + (uint32_t)member, NULL);
}

int mxrc_standby_warm(const struct mxrc_exec *exec, int member, uint64_t age_ns)
{
    const struct mxrc_member *at = member_at(exec, member);
    return at && mxrc_load_acquire32(&at->pid) != 0 &&
           mxrc_load_acquire32(&at->role) == MXRC_ROLE_STANDBY &&
           mxrc_now_ns() < mxrc_load_acquire(&at->heartbeat_ns) + age_ns;
}

int mxrc_standby_primary_cpu(const struct mxrc_exec *exec)
{
    int owner = mxrc_owner_member(mxrc_load_acquire(&exec->at.lease->owner));
    const struct mxrc_member *at = member_at(exec, owner);
    if (!at || owner == exec->segment->member ||
        mxrc_load_acquire32(&at->role) != MXRC_ROLE_PRIMARY ||
        !mxrc_process_alive(mxrc_load_acquire32(&at->pid), mxrc_load_relaxed(&at->process_start)))
        return -1;
    return (int)mxrc_load_relaxed32(&at->cpu);
}

/* ---- who is watched ---- */

static int open_process(const struct mxrc_member *at)
{
    uint32_t pid = mxrc_load_acquire32(&at->pid);
    return mxrc_pidfd_open(pid, mxrc_load_relaxed(&at->process_start));
}

static void forget(struct mxrc_standby *self)
{
    if (self->pidfd >= 0)
        close(self->pidfd);
    self->pidfd = -1;
    self->ended = 0;
}

/* Another owner: it has a whole timeout to show itself. */
static void observe(struct mxrc_exec *exec, uint64_t owner)
{
    struct mxrc_standby *self = &exec->standby;
    const struct mxrc_member *at = member_at(exec, mxrc_owner_member(owner));
    forget(self);
    self->owner = owner;
    self->fenced_ns = 0;
    self->stuck = 0;
    if (at && mxrc_owner_member(owner) != exec->segment->member)
        self->pidfd = open_process(at);
    mxrc_watch_renew(&self->watch, mxrc_now_ns());
}

/* A place that this process has taken over from a dead owner beats no more, whatever this one does. */
static uint64_t beat_of(const struct mxrc_exec *exec)
{
    int owner = mxrc_owner_member(exec->standby.owner);
    const struct mxrc_member *at = member_at(exec, owner);
    return at && owner != exec->segment->member ? mxrc_load_acquire(&at->heartbeat_ns) : 0;
}

/* Its process is gone, and yet the mutex does not come: nobody will give it back. */
static int lost(struct mxrc_standby *self)
{
    self->ended = self->pidfd >= 0 && mxrc_pidfd_ended(self->pidfd) ? self->ended + 1 : 0;
    return self->ended > ENDED_LOOKS;
}

static void keep_off(struct mxrc_exec *exec)
{
    const struct mxrc_member *at = member_at(exec, mxrc_owner_member(exec->standby.owner));
    uint32_t cpu = (uint32_t)sched_getcpu();
    if (at && mxrc_load_relaxed32(&at->cpu) == cpu &&
        mxrc_load_acquire32(&at->role) == MXRC_ROLE_PRIMARY)
        mxrc_place_standby(exec, cpu);
    mxrc_store_relaxed32(&exec->at.member->cpu, (uint32_t)sched_getcpu());
}

/* ---- taking over from one that keeps the mutex ---- */

/* The process that runs as PRIMARY where that is not the owner's: a claimant that died between its steps has left it. */
static int open_other_primary(const struct mxrc_exec *exec)
{
    for (int i = 0; i < MXRC_MEMBERS; i++) {
        const struct mxrc_member *at = member_at(exec, i);
        if (at && i != exec->segment->member && i != mxrc_owner_member(exec->standby.owner) &&
            mxrc_load_acquire32(&at->role) == MXRC_ROLE_PRIMARY)
            return open_process(at);
    }
    return -1;
}

static void make_safe(struct mxrc_exec *exec)
{
    struct mxrc_standby *self = &exec->standby;
    self->stuck = 1;
    exec->driver->safe(exec->driver_instance, exec->driver_state, exec->epoch);
    say(exec, MXRC_EV_TAKEOVER_STUCK,
        (const double[]){(double)(mxrc_now_ns() - self->fenced_ns) * 1e-6}, 1);
}

/* The descriptors are opened before the swap: if it succeeds, no other member became PRIMARY in between, and what is
 * killed is what was judged. */
static void take_over(struct mxrc_exec *exec, uint64_t now, uint64_t beat)
{
    struct mxrc_standby *self = &exec->standby;
    int other = open_other_primary(exec);
    mxrc_phase(exec, MXRC_AT_JUDGED);
    uint64_t judged = self->owner;
    uint64_t epoch = mxrc_lease_take(exec, judged);
    if (epoch) {
        exec->epoch = epoch;
        mxrc_phase(exec, MXRC_AT_FENCED);
        if (!exec->spare_old) {
            mxrc_pidfd_kill(self->pidfd);
            mxrc_pidfd_kill(other);
        }
        mxrc_phase(exec, MXRC_AT_KILLED);
        say(exec, MXRC_EV_PRIMARY_SILENT,
            (const double[]){mxrc_owner_member(judged), (double)mxrc_owner_epoch(judged),
                             (double)(now - beat) * 1e-6},
            3);
        observe(exec, mxrc_load_acquire(&exec->at.lease->owner));
        self->fenced_ns = now;
    }
    if (other >= 0)
        close(other);
}

/* ---- a turn ---- */

/* An operator's STOP that the PRIMARY did not live to finish is not undone by a successor. */
static int was_stopping(struct mxrc_exec *exec)
{
    return mxrc_state_block_state(exec) == MXRC_STATE_SHUTDOWN;
}

/* For a tick: should the one that it is meant for fail, the lease is anybody's. */
static void give_way(struct mxrc_exec *exec)
{
    struct mxrc_standby *self = &exec->standby;
    struct timespec tick = {.tv_nsec = (long)self->watch.tick_ns};
    mxrc_lease_unlock(exec->at.lease);
    clock_nanosleep(CLOCK_MONOTONIC, 0, &tick, NULL);
    self->gave_way = 1;
}

/* The mutex is held. */
static enum turn decide(struct mxrc_exec *exec, int owner_died, char *error, size_t error_bytes,
                        int *result)
{
    struct mxrc_standby *self = &exec->standby;
    self->owner_died = (uint32_t)owner_died;
    if (!owner_died && !self->gave_way && mxrc_lease_meant_for_another(exec)) {
        give_way(exec);
        return WAIT;
    }
    int stopping = was_stopping(exec);
    mxrc_phase(exec, MXRC_AT_LEASE);
    *result = mxrc_lease_enter(exec, error, error_bytes);
    if (*result)
        return FAILED;
    if (!stopping)
        return PRIMARY;
    exec->driver->safe(exec->driver_instance, exec->driver_state, exec->epoch);
    if (owner_died)
        say(exec, MXRC_EV_STOP_INHERITED, NULL, 0);
    return STOPPED;
}

/* The mutex did not come by the time of the look. */
static void look(struct mxrc_exec *exec)
{
    struct mxrc_standby *self = &exec->standby;
    uint64_t now = mxrc_now_ns();
    uint64_t owner = mxrc_load_acquire(&exec->at.lease->owner);
    mxrc_store_release(&exec->at.member->heartbeat_ns, now);
    self->gave_way = 0;
    if (owner != self->owner)
        observe(exec, owner);
    if (mxrc_owner_member(owner) == exec->segment->member &&
        mxrc_owner_epoch(owner) == exec->epoch) {
        if (self->fenced_ns && !self->stuck && now > self->fenced_ns + STUCK_NS)
            make_safe(exec);
        return;
    }
    keep_off(exec);
    uint64_t beat = beat_of(exec);
    int silent = mxrc_watch_silent(&self->watch, self->due_ns, now, beat);
    if (owner && (silent || lost(self)))
        take_over(exec, now, beat);
}

static enum turn take_turn(struct mxrc_exec *exec, char *error, size_t error_bytes, int *result)
{
    struct mxrc_standby *self = &exec->standby;
    int owner_died;
    self->due_ns = mxrc_watch_due(&self->watch, mxrc_now_ns(), beat_of(exec));
    int locked = mxrc_lease_lock(exec->at.lease, self->due_ns, &owner_died);
    if (locked == 0)
        return decide(exec, owner_died, error, error_bytes, result);
    if (locked == ETIMEDOUT) {
        look(exec);
        return WAIT;
    }
    *result = mxrc_fail(error, error_bytes, locked, "the lease's mutex cannot be locked: error %d",
                        locked);
    return FAILED;
}

static uint64_t stall_timeout(const struct mxrc_exec *exec)
{
    uint64_t least = STALL_CYCLES * exec->config.period_ns;
    return exec->live.stall_timeout_ns < least ? least : exec->live.stall_timeout_ns;
}

void mxrc_standby_begin(struct mxrc_exec *exec)
{
    struct mxrc_standby *self = &exec->standby;
    self->pidfd = -1;
    mxrc_watch_begin(&self->watch, stall_timeout(exec), mxrc_now_ns());
    observe(exec, mxrc_load_acquire(&exec->at.lease->owner));
    keep_off(exec);
    say(exec, MXRC_EV_STANDBY_READY,
        (const double[]){mxrc_owner_member(self->owner), (double)mxrc_owner_epoch(self->owner)}, 2);
    mxrc_store_relaxed32(&exec->at.member->tid, exec->tid);
    mxrc_store_release(&exec->at.member->heartbeat_ns, mxrc_now_ns());
    mxrc_store_release32(&exec->at.member->role, MXRC_ROLE_STANDBY);
}

int mxrc_standby_run(struct mxrc_exec *exec, char *error, size_t error_bytes)
{
    int result = 0;
    enum turn next = WAIT;
    exec->was_standby = 1;
    while (next == WAIT) {
        mxrc_live_take(exec);
        mxrc_watch_limit(&exec->standby.watch, stall_timeout(exec));
        if (mxrc_load_acquire32(&exec->outside.mailbox) == MXRC_RT_STOP + 1)
            next = STOPPED;
        else
            next = take_turn(exec, error, error_bytes, &result);
    }
    forget(&exec->standby);
    if (next == PRIMARY)
        return mxrc_exec_enter(exec, exec->standby.owner_died, error, error_bytes);
    mxrc_store_release32(&exec->at.member->role, MXRC_ROLE_NONE);
    return next == STOPPED ? 1 : result;
}
