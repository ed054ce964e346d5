/* publish.c: rt_status and the cycle ring. */
#define _GNU_SOURCE /* RUSAGE_THREAD */
#include <string.h>

#include "entries.h"
#include "publish.h"
#include "task.h"

void mxrc_status_begin(struct mxrc_exec *exec)
{
    struct mxrc_rt_status *status = exec->at.status;
    uint64_t starts = mxrc_add_u64(&exec->at.lease->start_count, 1);
    mxrc_store_relaxed(&status->epoch, exec->epoch);
    mxrc_store_relaxed32(&status->pid, exec->pid);
    mxrc_store_relaxed32(&status->tid, exec->tid);
    mxrc_store_relaxed32(&status->member, (uint32_t)exec->segment->member);
    mxrc_store_relaxed32(&status->slots, exec->slots);
    mxrc_store_relaxed32(&status->restart_count, (uint32_t)starts);
    mxrc_store_relaxed(&status->started_ns, exec->started_ns);
    mxrc_store_relaxed(&status->last_recovery, exec->stopped_before ? 0 : exec->recovery);
    mxrc_store_relaxed32(&exec->at.member->tid, exec->tid);
    mxrc_store_release32(&exec->at.member->role, MXRC_ROLE_PRIMARY);
}

void mxrc_status_publish(struct mxrc_exec *exec)
{
    struct mxrc_rt_status *status = exec->at.status;
    struct mxrc_rt_metrics *metrics = exec->at.metrics;
    uint64_t entered = mxrc_load_relaxed(&metrics->miss_position);
    uint64_t head = mxrc_load_acquire(&exec->at.commands->head);
    mxrc_store_relaxed(&status->cycles_run, mxrc_load_relaxed(&status->cycles_run) + 1);
    mxrc_store_relaxed(&status->state_since_ns, exec->state_since_ns);
    mxrc_store_relaxed32(&status->state_before, exec->state_before);
    mxrc_store_relaxed32(&status->safe_cause, exec->safe_cause);
    mxrc_store_relaxed32(&status->active_tasks, exec->active_tasks);
    mxrc_store_relaxed32(&status->cpu, exec->cpu);
    mxrc_store_relaxed(&status->deadline_ns, exec->live.deadline_ns);
    mxrc_store_relaxed(&status->spin_margin_ns,
                       exec->live.wait_mode == MXRC_WAIT_HYBRID ? exec->spin_margin_ns : 0);
    mxrc_store_relaxed32(&status->window_misses, exec->window_misses);
    mxrc_store_relaxed32(&status->window_slots,
                         entered < MXRC_MISS_WINDOW ? (uint32_t)entered : MXRC_MISS_WINDOW);
    mxrc_store_relaxed(&status->waiting_commands,
                       head > exec->command_tail ? head - exec->command_tail : 0);
    mxrc_store_release32(&status->state, exec->state);
    /* Room in the queue again: the commands' effects are in the state block. */
    mxrc_store_release(&status->command_tail, exec->command_tail);
    mxrc_store_release(&status->cycle, exec->now.cycle);
    mxrc_store_release(&status->heartbeat_ns, exec->now.wake_ns);
    mxrc_store_relaxed32(&exec->at.member->cpu, exec->cpu);
    mxrc_store_release(&exec->at.member->heartbeat_ns, exec->now.wake_ns);
}

static uint16_t saturated(long after, long before)
{
    long difference = after - before;
    return difference > UINT16_MAX ? UINT16_MAX : (uint16_t)(difference < 0 ? 0 : difference);
}

/* Faults and context switches since the last cycle's reading; the one system call besides the sleep. */
static void add_usage(struct mxrc_exec *exec, struct mxrc_cycle_record *record)
{
    struct rusage usage;
    if (!exec->config.rusage || getrusage(RUSAGE_THREAD, &usage))
        return;
    record->minor_faults = saturated(usage.ru_minflt, exec->usage.ru_minflt);
    record->major_faults = saturated(usage.ru_majflt, exec->usage.ru_majflt);
    record->voluntary_switches = saturated(usage.ru_nvcsw, exec->usage.ru_nvcsw);
    record->involuntary_switches = saturated(usage.ru_nivcsw, exec->usage.ru_nivcsw);
    exec->usage = usage;
}

static void add_task(const struct mxrc_exec *exec, struct mxrc_cycle_record *record)
{
    const struct mxrc_task_state *task = mxrc_tasks_first(exec);
    record->active_tasks = (uint8_t)exec->active_tasks;
    if (!task)
        return;
    const struct mxrc_program_slot *slot = &exec->at.program[task->program_slot];
    memcpy(record->trace_id, task->trace_id, sizeof record->trace_id);
    memcpy(record->span_id,
           task->strand.phase ? task->strand.action_span_id : task->sequence_span_id,
           sizeof record->span_id);
    record->trace_flags = task->trace_flags;
    record->execution_id = task->execution_id;
    record->task_name = slot->program.task_name;
    record->action_name = slot->op[task->strand.op].action_name;
    record->step = task->strand.op;
}

void mxrc_record_publish(struct mxrc_exec *exec)
{
    struct mxrc_cycle *now = &exec->now;
    struct mxrc_cycle_record record = {
        .cycle = now->cycle,
        .scheduled_ns = now->scheduled_ns,
        .wake_ns = now->wake_ns,
        .commit_ns = now->commit_ns,
        .slot = now->slot,
        .state = (uint16_t)exec->state,
        .epoch = (uint32_t)exec->epoch,
        .skipped = now->skipped,
        .cpu = (uint16_t)exec->cpu,
        .axes = (uint16_t)exec->config.axis_count,
    };
    add_task(exec, &record);
    for (uint32_t i = 0; i < exec->config.axis_count; i++) {
        record.setpoint[i] = (float)exec->axis[i].setpoint;
        record.position[i] = (float)exec->inputs.position[i];
        record.velocity[i] = (float)exec->inputs.velocity[i];
        record.effort[i] = (float)exec->inputs.effort[i];
    }
    add_usage(exec, &record);
    now->end_ns = mxrc_exec_now(exec);
    mxrc_stage_ended(exec, MXRC_RUN_RECORDS, now->end_ns);
    record.longest_ns = now->longest_ns;
    record.longest_entry = (uint16_t)now->longest_entry;
    if (now->end_ns > now->scheduled_ns + exec->config.period_ns)
        now->flags |= MXRC_CYCLE_OVERRUN;
    if (exec->warmup_left > 0)
        now->flags |= MXRC_CYCLE_WARMUP;
    record.end_ns = now->end_ns;
    record.flags = (uint16_t)now->flags;
    mxrc_ring_publish(&exec->at.cycles, &record);
}
