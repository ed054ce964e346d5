/* exec.c: the executive: what happens before the first cycle, in each cycle, and at the end. */
#define _GNU_SOURCE /* gettid, sched_getcpu, RUSAGE_THREAD */
#include <errno.h>
#include <sched.h>
#include <unistd.h>

#include "axes.h"
#include "entries.h"
#include "error.h"
#include "exec_commands.h"
#include "grid.h"
#include "handover.h"
#include "heartbeat.h"
#include "law_step.h"
#include "lease.h"
#include "live.h"
#include "log.h"
#include "memory.h"
#include "misses.h"
#include "publish.h"
#include "restore.h"
#include "span.h"
#include "state.h"
#include "state_block.h"
#include "task.h"
#include "wait.h"

/* SHUTDOWN waits so long for the axes to come to rest. */
#define SHUTDOWN_NS 10000000000

/* ---- a slot ---- */

/* 0, or what is wrong with them. */
static int read_inputs(struct mxrc_exec *exec)
{
    int code = exec->driver->read(exec->driver_instance, exec->driver_state, exec->now.wake_ns,
                                  &exec->inputs);
    exec->cpu = (uint32_t)sched_getcpu(); /* vDSO */
    if (exec->fake)
        exec->fake->now_ns += exec->fake->work_ns;
    return code;
}

/* Where the axes are after a time in which nobody told them anything: time by the clock and not by the grid, on which a thread
 * that wakes late has lost nothing yet. */
static void look_after_a_gap(struct mxrc_exec *exec, int measured)
{
    uint64_t gap_ns = exec->now.gap_ns;
    if (gap_ns > (BRIDGED_SLOTS + 1) * exec->config.period_ns && gap_ns > BRIDGED_NS) {
        mxrc_axes_interrupted(exec, measured);
        mxrc_log(exec, MXRC_EV_MOTION_INTERRUPTED, NULL, (double)gap_ns * 1e-6,
                 (double)exec->now.skipped);
    }
    if (measured && exec->stopped_before && exec->now.flags & MXRC_CYCLE_FIRST)
        mxrc_axes_found(exec);
}

static void judge_inputs(struct mxrc_exec *exec, int code)
{
    if (code) {
        mxrc_log(exec, MXRC_EV_DRIVER_FAULT, NULL, code);
        mxrc_state_fault(exec, MXRC_SAFE_DRIVER);
    } else if (exec->driver_failed) {
        mxrc_axes_found(exec);
    }
    exec->driver_failed = code != 0;
}

/* 0, or ESTALE: another process is PRIMARY, and nothing that it writes may be touched any more. */
static int commit_outputs(struct mxrc_exec *exec)
{
    /* Held up in this slot, behind its look at the axes, for so long that they may have been moved: the next one looks again. */
    exec->now.commit_ns = mxrc_exec_now(exec);
    if (exec->now.commit_ns - exec->now.wake_ns > SETTLED_NS) {
        exec->now.flags |= MXRC_CYCLE_OUTPUTS_HELD;
        return mxrc_load_acquire(&exec->at.lease->admitted_epoch) == exec->epoch ? 0 : ESTALE;
    }
    int code = exec->driver->commit(exec->driver_instance, exec->driver_state, exec->epoch,
                                    exec->now.cycle, &exec->outputs);
    exec->now.commit_ns = mxrc_exec_now(exec);
    if (code == ESTALE)
        return ESTALE;
    mxrc_axes_committed(exec);
    if (code) {
        mxrc_log(exec, MXRC_EV_DRIVER_FAULT, NULL, code);
        mxrc_state_fault(exec, MXRC_SAFE_DRIVER);
    }
    return 0;
}

/* STOP: the last slot is the one in which the axes have come to rest. */
static void shut_down(struct mxrc_exec *exec)
{
    if (exec->state != MXRC_STATE_SHUTDOWN)
        return;
    uint32_t all = (1u << exec->config.axis_count) - 1;
    if (!mxrc_axes_at_rest(exec, all) && exec->now.wake_ns - exec->shutdown_since_ns < SHUTDOWN_NS)
        return;
    exec->driver->safe(exec->driver_instance, exec->driver_state, exec->epoch);
    exec->finished = 1;
}

static void end_slot(struct mxrc_exec *exec)
{
    mxrc_count(exec, MXRC_COUNTER_CYCLES, 1);
    if (exec->warmup_left == 0)
        mxrc_misses_times(exec);
    mxrc_entries_settle(exec);
    mxrc_grid_next(exec);
    if (exec->warmup_left > 0)
        exec->warmup_left--;
}

/* The lane is this process's own; everything else belongs to the new PRIMARY. */
static int fenced(struct mxrc_exec *exec)
{
    struct mxrc_event event;
    mxrc_event_fill(exec, &event, MXRC_EVENT_LOG, NULL);
    uint64_t admitted = mxrc_load_acquire(&exec->at.lease->admitted_epoch);
    mxrc_event_line(exec, &event, MXRC_EV_COMMIT_REFUSED,
                    (const double[]){(double)exec->epoch, (double)admitted}, 2);
    mxrc_ring_publish(&exec->at.lane, &event);
    exec->finished = 1;
    return ESTALE;
}

int mxrc_exec_cycle(struct mxrc_exec *exec)
{
    int result = mxrc_wait_until(exec, exec->now.scheduled_ns);
    if (result) {
        exec->driver->safe(exec->driver_instance, exec->driver_state, exec->epoch);
        return result;
    }
    exec->now.wake_ns = mxrc_exec_now(exec);
    exec->now.gap_ns =
        exec->now.wake_ns > exec->last_wake_ns ? exec->now.wake_ns - exec->last_wake_ns : 0;
    exec->last_wake_ns = exec->now.mark_ns = exec->now.wake_ns;
    exec->now.longest_ns = exec->now.longest_entry = 0;
    exec->now.driven = 0;
    mxrc_phase(exec, MXRC_AT_WAKE);
    mxrc_live_take(exec);
    int inputs = read_inputs(exec);
    look_after_a_gap(exec, inputs == 0);
    judge_inputs(exec, inputs);
    mxrc_stage_done(exec, MXRC_RUN_INPUTS);
    mxrc_phase(exec, MXRC_AT_INPUTS);
    mxrc_mailbox_take(exec);
    mxrc_state_settle(exec);
    mxrc_commands_take(exec);
    mxrc_phase(exec, MXRC_AT_COMMANDS);
    mxrc_lease_watch(exec);
    mxrc_heartbeat_watch(exec);
    mxrc_phase(exec, MXRC_AT_STATE);

    mxrc_tasks_step(exec);
    mxrc_axes_undriven(exec);
    mxrc_stage_done(exec, MXRC_RUN_TASKS);
    mxrc_phase(exec, MXRC_AT_TASKS);
    mxrc_law_step(exec);
    if (exec->law_made)
        mxrc_stage_done(exec, MXRC_RUN_LAW);
    mxrc_phase(exec, MXRC_AT_LAW);
    mxrc_axes_limit(exec);
    mxrc_phase(exec, MXRC_AT_COMMIT);
    result = commit_outputs(exec);
    if (result)
        return fenced(exec);
    mxrc_stage_ended(exec, MXRC_RUN_OUTPUTS, exec->now.commit_ns);
    mxrc_phase(exec, MXRC_AT_COMMITTED);
    mxrc_entries_run(exec);

    shut_down(exec);
    mxrc_misses_judge(exec);
    mxrc_log_settle(exec);
    mxrc_state_block_write(exec);
    mxrc_phase(exec, MXRC_AT_STATE_DONE);
    mxrc_status_publish(exec);
    mxrc_phase(exec, MXRC_AT_STATUS);
    mxrc_record_publish(exec);
    mxrc_phase(exec, MXRC_AT_RECORD);
    end_slot(exec);
    if (exec->finished)
        return 1;
    return mxrc_handover_due(exec) ? EAGAIN : 0;
}

/* ---- before the first ---- */

static void clean_start(struct mxrc_exec *exec)
{
    exec->state = MXRC_STATE_INIT;
    exec->start_pending = 1;
    exec->now.cycle = 0;
    exec->state_since_ns = exec->now.wake_ns;
    for (uint32_t i = 0; i < exec->config.axis_count; i++)
        exec->axis[i].setpoint = exec->axis[i].command = exec->inputs.position[i];
}

/* Rings before anything is written to them, then the state. Only behind the lease. */
static int recover(struct mxrc_exec *exec, int owner_died)
{
    uint64_t previous = exec->epoch - 1;
    int cycles = mxrc_ring_recover(&exec->at.cycles);
    int lane = mxrc_ring_recover(&exec->at.lane);
    int restored = exec->config.ignore_state ? 0 : mxrc_state_block_restore(exec);
    exec->recovery = restored > 0;
    exec->last_wake_ns = restored > 0 ? exec->block.time_ns : exec->now.wake_ns;
    if (restored > 0)
        mxrc_axes_unseen(exec);
    if (restored <= 0)
        mxrc_restore_driver(exec);
    if (restored <= 0) {
        /* Where a clean start finds the axes. After a restored state the first cycle reads them, and knows what to do without. */
        int result = exec->driver->read(exec->driver_instance, exec->driver_state,
                                        exec->now.wake_ns, &exec->inputs);
        if (result == ECONNRESET) /* since the checkpoint: wherever the axes are now is right */
            result = exec->driver->read(exec->driver_instance, exec->driver_state,
                                        exec->now.wake_ns, &exec->inputs);
        if (result == 0)
            result = mxrc_span_seed(exec);
        if (result)
            return result;
        /* Without a state nothing tells which effects a command had: none is taken twice. */
        exec->command_tail = mxrc_load_acquire(&exec->at.status->command_tail);
        clean_start(exec);
    }
    mxrc_grid_enter(exec);
    mxrc_entries_begin(exec);
    mxrc_log(exec, MXRC_EV_BECAME_PRIMARY, NULL, (double)exec->epoch, exec->segment->member,
             (double)mxrc_load_relaxed(&exec->at.lease->start_count));
    if (owner_died)
        mxrc_log(exec, MXRC_EV_OLD_PRIMARY_DEAD, NULL, (double)previous);
    if (cycles)
        mxrc_log(exec, MXRC_EV_RING_RECOVERED, NULL, MXRC_REGION_CYCLE_RING, cycles == 2);
    if (lane)
        mxrc_log(exec, MXRC_EV_RING_RECOVERED, NULL, MXRC_REGION_LANE + 2 * exec->segment->member,
                 lane == 2);
    if (restored < 0)
        mxrc_log(exec, MXRC_EV_STATE_UNUSABLE, NULL, -restored);
    if (restored <= 0) {
        if (!mxrc_restore_state(exec))
            mxrc_log(exec, MXRC_EV_CLEAN_START, NULL, 0.0);
        return 0;
    }
    mxrc_log(exec, MXRC_EV_RECOVERED_STATE, NULL, (double)exec->block.cycle, exec->state,
             exec->active_tasks, (double)exec->recovery_gap);
    /* Nobody committed anything in these slots. They are counted as misses, but stay out of the window: its
     * rate judges the process that runs. */
    mxrc_count(exec, MXRC_COUNTER_OUTAGE_SLOTS, exec->recovery_gap);
    mxrc_count(exec, MXRC_COUNTER_MISSES, exec->recovery_gap);
    mxrc_tasks_recover(exec);
    if (exec->limits_changed) /* the plans of moves in progress were made with others */
        mxrc_tasks_replan(exec);
    return 0;
}

int mxrc_exec_begin(struct mxrc_exec *exec, char *error, size_t error_bytes)
{
    int owner_died;
    exec->tid = (uint32_t)gettid();
    exec->pid = (uint32_t)getpid();
    getrusage(RUSAGE_THREAD, &exec->usage);
    mxrc_prefault_segment(exec->segment);
    int result = mxrc_lease_acquire(exec, &owner_died, error, error_bytes);
    return result ? result : mxrc_exec_enter(exec, owner_died, error, error_bytes);
}

/* Of a STANDBY every cycle counts from the first: it is warm. */
int mxrc_exec_enter(struct mxrc_exec *exec, int owner_died, char *error, size_t error_bytes)
{
    exec->started_ns = exec->now.wake_ns = mxrc_exec_now(exec);
    exec->warmup_left = exec->was_standby ? 0 : exec->config.warmup_cycles;
    mxrc_misses_begin(exec);
    int result = recover(exec, owner_died);
    if (result) {
        mxrc_exec_end(exec);
        return mxrc_fail(error, error_bytes, result,
                         "the driver or the kernel's random source failed before the first cycle: "
                         "error %d",
                         result);
    }
    mxrc_status_begin(exec);
    mxrc_phase(exec, MXRC_AT_RESTORED);
    return 0;
}

/* ---- after the last ---- */

void mxrc_exec_end(struct mxrc_exec *exec)
{
    if (!exec->holds_lease)
        return;
    mxrc_store_release32(&exec->at.member->role, MXRC_ROLE_NONE);
    exec->holds_lease = 0;
    mxrc_lease_unlock(exec->at.lease);
}
