/* task_turn.c: when a run begins: at its time, or when its trigger says so, and then as soon as its axes are free. Of those
 * that want the same axis the one of higher priority is first, then the one that was started first; who comes
 * later does not overtake, so that a task that needs many axes gets its turn. A run takes all of its axes at once:
 * nobody waits in a ring. */
#include "task_turn.h"
#include "condition.h"
#include "log.h"
#include "misses.h"

static const struct mxrc_program *program_of(const struct mxrc_exec *exec,
                                             const struct mxrc_task_state *task)
{
    return &exec->at.program[task->program_slot].program;
}

/* ---- triggers ---- */

void mxrc_turn_watch(struct mxrc_exec *exec, struct mxrc_task_state *task)
{
    const struct mxrc_program *program = program_of(exec, task);
    if (program->mode != MXRC_MODE_TRIGGERED)
        return;
    int holds = mxrc_condition_holds(exec, task, &program->trigger);
    if (holds < 0)
        return;
    if (!holds) {
        task->armed = 1;
        if (!program->trigger.edge)
            task->queued = 0; /* a level that is over asks for nothing */
        return;
    }
    int fires = program->trigger.edge ? task->armed : 1;
    task->armed = 0;
    if (!fires)
        return;
    int going = task->status == MXRC_TASK_RUNNING;
    if (!going && task->queued == 0) {
        task->queued = 1;
    } else if (!program->trigger.edge) {
        return; /* the level asks again once the run has ended */
    } else if (going && program->on_late == MXRC_LATE_QUEUE && task->queued == 0) {
        task->queued = 1;
        mxrc_count(exec, MXRC_COUNTER_PERIODS_QUEUED, 1);
        mxrc_log(exec, MXRC_EV_PERIOD_QUEUED, &task->strand, 1.0);
    } else {
        mxrc_count(exec, MXRC_COUNTER_PERIODS_SKIPPED, 1);
        mxrc_log(exec, MXRC_EV_PERIOD_SKIPPED, &task->strand, 1.0);
    }
}

/* ---- periods ---- */

static uint64_t period_of(const struct mxrc_exec *exec, const struct mxrc_task_state *task)
{
    uint64_t cycles = program_of(exec, task)->period_ns / exec->config.period_ns;
    return cycles > 0 ? cycles : 1; /* of a program that is older than the cycle's period */
}

static void skip_periods(struct mxrc_exec *exec, struct mxrc_task_state *task, uint64_t periods)
{
    if (periods == 0)
        return;
    task->next_run_cycle += periods * period_of(exec, task);
    mxrc_count(exec, MXRC_COUNTER_PERIODS_SKIPPED, periods);
    mxrc_log(exec, MXRC_EV_PERIOD_SKIPPED, &task->strand, (double)periods);
}

/* ---- axes ---- */

static int is_due(const struct mxrc_exec *exec, const struct mxrc_task_state *task)
{
    return task->execution_id && task->status == MXRC_TASK_PENDING && !task->paused &&
           exec->now.cycle >= task->next_run_cycle &&
           (task->queued || program_of(exec, task)->mode != MXRC_MODE_TRIGGERED);
}

static int comes_before(const struct mxrc_exec *exec, const struct mxrc_task_state *a,
                        const struct mxrc_task_state *b)
{
    uint32_t of_a = program_of(exec, a)->priority, of_b = program_of(exec, b)->priority;
    return of_a != of_b ? of_a > of_b : a->command_index < b->command_index;
}

/* Who holds an axis of `task`, else who comes before it; 0: nobody. */
static uint64_t in_the_way(const struct mxrc_exec *exec, const struct mxrc_task_state *task)
{
    uint64_t before = 0;
    if (task->axes == 0)
        return 0;
    for (uint32_t i = 0; i < MXRC_TASKS; i++) {
        const struct mxrc_task_state *other = &exec->task[i];
        if (!other->execution_id || other == task || !(other->axes & task->axes))
            continue;
        if (other->status == MXRC_TASK_RUNNING)
            return other->execution_id;
        if (is_due(exec, other) && comes_before(exec, other, task))
            before = other->execution_id;
    }
    return before;
}

int mxrc_turn_has_come(struct mxrc_exec *exec, struct mxrc_task_state *task)
{
    if (!is_due(exec, task))
        return 0;
    uint64_t holder = in_the_way(exec, task);
    if (holder && task->waits_for == 0)
        mxrc_log(exec, MXRC_EV_TASK_WAITING, &task->strand, (double)holder);
    task->waits_for = holder;
    if (holder)
        return 0;
    const struct mxrc_program *program = program_of(exec, task);
    if (program->mode == MXRC_MODE_TRIGGERED) {
        uint64_t period = exec->config.period_ns;
        task->queued--;
        task->next_run_cycle = exec->now.cycle + (program->rearm_ns + period - 1) / period;
    } else if (program->mode == MXRC_MODE_PERIODIC) { /* it makes up for one period, not for all */
        skip_periods(exec, task, (exec->now.cycle - task->next_run_cycle) / period_of(exec, task));
    }
    return 1;
}

/* ---- after a run ---- */

/* Periods lie on the time grid: counted from the first run, whatever each run took. */
void mxrc_turn_after(struct mxrc_exec *exec, struct mxrc_task_state *task)
{
    const struct mxrc_program *program = program_of(exec, task);
    if (program->mode != MXRC_MODE_PERIODIC)
        return;
    uint64_t period = period_of(exec, task), cycle = exec->now.cycle;
    task->next_run_cycle += period;
    if (task->next_run_cycle > cycle)
        return;
    uint64_t due = (cycle - task->next_run_cycle) / period + 1;
    if (program->on_late == MXRC_LATE_QUEUE) { /* the last of them begins in the next cycle */
        mxrc_count(exec, MXRC_COUNTER_PERIODS_QUEUED, 1);
        mxrc_log(exec, MXRC_EV_PERIOD_QUEUED, &task->strand, (double)due);
        due--;
    }
    skip_periods(exec, task, due);
}
