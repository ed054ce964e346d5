/* task.c: the interpreter: which op of each execution runs, and what its end entails. Bounded work per cycle:
 * each op of a program has a greater index than the one before, and of ops that take no time at most
 * OPS_PER_CYCLE run in a cycle. */
#include <string.h>

#include "action.h"
#include "log.h"
#include "misses.h"
#include "span.h"
#include "state.h"
#include "task.h"

#define OPS_PER_CYCLE 8

/* mxrc_task_state.phase. REPLAN: begun again from rest in the next step, as after a hold, but nobody held it: on an
 * overloaded machine this may come many times a second, and the line of the interruption is enough. */
enum { NOT_BEGUN = 0, IN_PROGRESS = 1, HELD = 2, REPLAN = 3 };

static const struct mxrc_program *program_of(const struct mxrc_exec *exec,
                                             const struct mxrc_task_state *task)
{
    return &exec->at.program[task->program_slot].program;
}

static const struct mxrc_op *op_of(const struct mxrc_exec *exec, const struct mxrc_task_state *task)
{
    return &exec->at.program[task->program_slot].op[task->op];
}

static double milliseconds(uint64_t from_ns, uint64_t to_ns)
{
    return (double)(to_ns - from_ns) * 1e-6;
}

/* ---- events ---- */

static void publish_status(struct mxrc_exec *exec, const struct mxrc_task_state *task,
                           uint32_t status, uint32_t result)
{
    struct mxrc_event event;
    mxrc_event_fill(exec, &event, MXRC_EVENT_TASK, task);
    memcpy(event.span_id, task->task_span_id, sizeof event.span_id);
    event.code = status;
    event.error_code = result;
    event.reply_to = task->command_index;
    double step = task->op;
    switch (status) {
    case MXRC_TASK_RUNNING:
        mxrc_event_line(exec, &event, MXRC_EV_TASK_STARTED, NULL, 0);
        break;
    case MXRC_TASK_COMPLETED: {
        double duration = milliseconds(task->task_start_ns, exec->now.wake_ns);
        mxrc_event_line(exec, &event, MXRC_EV_TASK_COMPLETED, &duration, 1);
        break;
    }
    case MXRC_TASK_CANCELLED:
        mxrc_event_line(exec, &event, MXRC_EV_TASK_CANCELLED, &step, 1);
        break;
    default:
        mxrc_event_line(exec, &event, MXRC_EV_TASK_FAILED, (const double[]){step, result}, 2);
    }
    mxrc_event_publish(exec, &event);
}

static void end_run_spans(struct mxrc_exec *exec, const struct mxrc_task_state *task,
                          uint32_t result)
{
    if (task->phase != NOT_BEGUN)
        mxrc_span_end(exec, task, MXRC_SPAN_ACTION_EXECUTE, result);
    mxrc_span_end(exec, task, MXRC_SPAN_SEQUENCE_RUN, result);
    mxrc_span_end(exec, task, MXRC_SPAN_TASK_EXECUTE, result);
}

/* ---- begin and end of a run ---- */

static void first_op(struct mxrc_task_state *task)
{
    task->op = 0;
    task->phase = NOT_BEGUN;
    task->retries = 0;
    task->action_start_cycle = 0;
}

static void begin_run(struct mxrc_exec *exec, struct mxrc_task_state *task)
{
    first_op(task);
    task->task_start_ns = exec->now.wake_ns;
    mxrc_span_id(exec, task->task_span_id);
    mxrc_span_id(exec, task->sequence_span_id);
    task->status = MXRC_TASK_RUNNING;
    if (task->runs > 0)
        return;
    mxrc_count(exec, MXRC_COUNTER_TASKS_STARTED, 1);
    publish_status(exec, task, MXRC_TASK_RUNNING, MXRC_OK);
}

static void finish(struct mxrc_exec *exec, struct mxrc_task_state *task, uint32_t status,
                   uint32_t result)
{
    if (task->status == MXRC_TASK_RUNNING)
        end_run_spans(exec, task, result);
    publish_status(exec, task, status, result);
    mxrc_count(exec,
               status == MXRC_TASK_COMPLETED   ? MXRC_COUNTER_TASKS_COMPLETED
               : status == MXRC_TASK_CANCELLED ? MXRC_COUNTER_TASKS_CANCELLED
                                               : MXRC_COUNTER_TASKS_FAILED,
               1);
    exec->task_freed_cycle[task - exec->task] = exec->now.cycle;
    exec->active_tasks--;
    memset(task, 0, sizeof *task);
}

/* Periods lie on the time grid: counted from the first run, whatever each run took. */
static void await_next_period(struct mxrc_exec *exec, struct mxrc_task_state *task)
{
    uint64_t period = program_of(exec, task)->period_ns / exec->config.period_ns;
    uint64_t cycle = exec->now.cycle;
    task->runs++;
    mxrc_log(exec, MXRC_EV_TASK_RUN_COMPLETED, task, (double)task->runs,
             milliseconds(task->task_start_ns, exec->now.wake_ns));
    task->next_run_cycle += period;
    if (task->next_run_cycle <= cycle) {
        uint64_t periods = (cycle - task->next_run_cycle) / period + 1;
        task->next_run_cycle += periods * period;
        mxrc_count(exec, MXRC_COUNTER_PERIODS_SKIPPED, periods);
        mxrc_log(exec, MXRC_EV_PERIOD_SKIPPED, task, (double)periods);
    }
    first_op(task);
    task->status = MXRC_TASK_PENDING;
}

static void complete_run(struct mxrc_exec *exec, struct mxrc_task_state *task)
{
    if (program_of(exec, task)->mode != MXRC_MODE_PERIODIC) {
        finish(exec, task, MXRC_TASK_COMPLETED, MXRC_OK);
        return;
    }
    end_run_spans(exec, task, MXRC_OK);
    await_next_period(exec, task);
}

/* ---- one op ---- */

static void next_op(struct mxrc_exec *exec, struct mxrc_task_state *task)
{
    task->op = (uint16_t)op_of(exec, task)->next;
    task->phase = NOT_BEGUN;
    task->retries = 0;
    task->action_start_cycle = 0;
}

static void op_done(struct mxrc_exec *exec, struct mxrc_task_state *task)
{
    mxrc_log(exec, MXRC_EV_ACTION_COMPLETED, task, task->op,
             milliseconds(task->action_start_ns, exec->now.wake_ns));
    mxrc_span_end(exec, task, MXRC_SPAN_ACTION_EXECUTE, MXRC_OK);
    next_op(exec, task);
}

static void op_failed(struct mxrc_exec *exec, struct mxrc_task_state *task, uint32_t result)
{
    const struct mxrc_op *op = op_of(exec, task);
    if (task->retries < op->retries) {
        mxrc_span_end(exec, task, MXRC_SPAN_ACTION_EXECUTE, result);
        task->retries++;
        mxrc_log(exec, MXRC_EV_ACTION_RETRY, task, task->op, task->retries, result);
        uint64_t period = exec->config.period_ns;
        task->phase = NOT_BEGUN;
        task->action_start_cycle = exec->now.cycle + (op->backoff_ns + period - 1) / period;
        return;
    }
    if (op->on_failure == MXRC_FAIL_SKIP) {
        mxrc_log(exec, MXRC_EV_ACTION_SKIPPED, task, task->op, result);
        mxrc_span_end(exec, task, MXRC_SPAN_ACTION_EXECUTE, result);
        next_op(exec, task);
        return;
    }
    if (op->on_failure == MXRC_FAIL_RECOVERY) {
        mxrc_log(exec, MXRC_EV_ACTION_SKIPPED, task, task->op, result);
        mxrc_span_end(exec, task, MXRC_SPAN_ACTION_EXECUTE, result);
        task->op = op->recovery;
        task->phase = NOT_BEGUN;
        task->retries = 0;
        task->action_start_cycle = 0;
        return;
    }
    if (op->on_failure == MXRC_FAIL_SAFE_MODE)
        exec->task_asks_safe = 1;
    finish(exec, task, MXRC_TASK_FAILED, result);
}

/* Begins an op, or begins it again after a hold. The trajectory starts in this cycle at time zero, the first step is
 * the next cycle's: an op takes exactly its time, and the one after it begins in the cycle in which it ends. */
static uint32_t begin_op(struct mxrc_action *action, const struct mxrc_action_type *type)
{
    struct mxrc_exec *exec = action->exec;
    struct mxrc_task_state *task = action->task;
    if (task->phase == NOT_BEGUN && exec->now.cycle < task->action_start_cycle)
        return MXRC_ACTION_WAITING;
    uint32_t status = type->begin(action);
    if (status != MXRC_ACTION_RUNNING)
        return status;
    if (task->phase == HELD) {
        mxrc_log(exec, MXRC_EV_TASK_RESUMED, task, task->op);
    } else if (task->phase == NOT_BEGUN) {
        mxrc_span_id(exec, task->action_span_id);
        task->action_start_ns = exec->now.wake_ns;
        task->action_start_cycle = exec->now.cycle;
        task->elapsed_ns = 0;
        task->phase = IN_PROGRESS;
        mxrc_log(exec, MXRC_EV_ACTION_STARTED, task, task->op);
    }
    task->phase = IN_PROGRESS;
    return type->instant ? type->step(action) : MXRC_ACTION_RUNNING;
}

static uint32_t step_op(struct mxrc_action *action, const struct mxrc_action_type *type)
{
    struct mxrc_task_state *task = action->task;
    task->elapsed_ns += action->exec->now.elapsed_ns;
    uint32_t status = type->step(action);
    if (status == MXRC_ACTION_RUNNING && action->op->timeout_ns &&
        task->elapsed_ns >= action->op->timeout_ns) {
        action->result = MXRC_ERR_TIMEOUT;
        return MXRC_ACTION_FAILED;
    }
    return status;
}

static void run_task(struct mxrc_exec *exec, struct mxrc_task_state *task)
{
    if (task->status == MXRC_TASK_PENDING) {
        if (exec->now.cycle < task->next_run_cycle)
            return;
        begin_run(exec, task);
    }
    for (uint32_t n = 0; n < OPS_PER_CYCLE; n++) {
        const struct mxrc_op *op = op_of(exec, task);
        if (op->kind == MXRC_OP_END) {
            complete_run(exec, task);
            return;
        }
        struct mxrc_action action = {.exec = exec, .task = task, .op = op};
        const struct mxrc_action_type *type = mxrc_action_find(op->kind);
        uint32_t status =
            task->phase == IN_PROGRESS ? step_op(&action, type) : begin_op(&action, type);
        if (status == MXRC_ACTION_FAILED)
            op_failed(exec, task, action.result);
        if (status != MXRC_ACTION_DONE)
            return;
        op_done(exec, task);
        if (exec->task_asks_safe)
            return;
    }
}

void mxrc_tasks_step(struct mxrc_exec *exec)
{
    if (exec->state != MXRC_STATE_RUNNING || exec->active_tasks == 0)
        return;
    exec->task_asks_safe = 0;
    for (uint32_t i = 0; i < MXRC_TASKS; i++) {
        struct mxrc_task_state *task = &exec->task[i];
        if (task->execution_id && !task->paused)
            run_task(exec, task);
    }
    if (exec->task_asks_safe)
        mxrc_state_fault(exec, MXRC_SAFE_TASK);
}

/* ---- all of them ---- */

static void hold(struct mxrc_exec *exec, struct mxrc_task_state *task)
{
    if (task->phase != IN_PROGRESS && task->phase != REPLAN)
        return;
    mxrc_log(exec, MXRC_EV_TASK_HELD, task, task->op);
    task->phase = HELD;
}

void mxrc_tasks_hold(struct mxrc_exec *exec)
{
    for (uint32_t i = 0; i < MXRC_TASKS; i++)
        if (exec->task[i].execution_id)
            hold(exec, &exec->task[i]);
}

void mxrc_tasks_replan(struct mxrc_exec *exec)
{
    for (uint32_t i = 0; i < MXRC_TASKS; i++)
        if (exec->task[i].execution_id && exec->task[i].phase == IN_PROGRESS)
            exec->task[i].phase = REPLAN;
}

void mxrc_tasks_end(struct mxrc_exec *exec, uint32_t status, uint32_t result)
{
    for (uint32_t i = 0; i < MXRC_TASKS; i++)
        if (exec->task[i].execution_id)
            finish(exec, &exec->task[i], status, result);
}

const struct mxrc_task_state *mxrc_tasks_first(const struct mxrc_exec *exec)
{
    if (exec->active_tasks == 0)
        return NULL;
    for (uint32_t i = 0; i < MXRC_TASKS; i++)
        if (exec->task[i].execution_id && exec->task[i].status == MXRC_TASK_RUNNING)
            return &exec->task[i];
    return NULL;
}

void mxrc_tasks_recover(struct mxrc_exec *exec)
{
    for (uint32_t i = 0; i < MXRC_TASKS; i++) {
        struct mxrc_task_state *task = &exec->task[i];
        if (!task->execution_id)
            continue;
        const struct mxrc_program_slot *slot = &exec->at.program[task->program_slot];
        uint32_t op;
        if (mxrc_program_validate(slot, exec->config.axis, exec->config.axis_count,
                                  (uint32_t)exec->at.data->count, &op) != MXRC_OK ||
            slot->program.crc != task->program_crc || task->op >= slot->program.op_count) {
            task->op = 0;
            finish(exec, task, MXRC_TASK_FAILED, MXRC_ERR_CORRUPT);
            continue;
        }
        if (task->status != MXRC_TASK_RUNNING)
            continue; /* what has not begun is not under way */
        if (slot->program.on_restart == MXRC_RESTART_FAIL) {
            finish(exec, task, MXRC_TASK_FAILED, MXRC_ERR_RESTART);
        } else if (slot->program.on_restart == MXRC_RESTART_RESTART) {
            if (task->phase != NOT_BEGUN)
                mxrc_span_end(exec, task, MXRC_SPAN_ACTION_EXECUTE, MXRC_ERR_RESTART);
            first_op(task);
        }
    }
}

/* ---- one of them ---- */

struct mxrc_task_state *mxrc_task_find(struct mxrc_exec *exec, uint64_t execution_id)
{
    for (uint32_t i = 0; i < MXRC_TASKS; i++)
        if (exec->task[i].execution_id == execution_id)
            return &exec->task[i];
    return NULL;
}

uint32_t mxrc_task_cancel(struct mxrc_exec *exec, uint64_t execution_id)
{
    struct mxrc_task_state *task = execution_id ? mxrc_task_find(exec, execution_id) : NULL;
    if (!task)
        return MXRC_ERR_UNKNOWN;
    finish(exec, task, MXRC_TASK_CANCELLED, MXRC_ERR_CANCELLED);
    return MXRC_OK;
}

uint32_t mxrc_task_pause(struct mxrc_exec *exec, uint64_t execution_id, int paused)
{
    struct mxrc_task_state *task = execution_id ? mxrc_task_find(exec, execution_id) : NULL;
    if (!task)
        return MXRC_ERR_UNKNOWN;
    task->paused = paused != 0;
    if (paused)
        hold(exec, task);
    return MXRC_OK;
}
