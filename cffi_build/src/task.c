/* task.c: the life of executions: their runs, what begins and ends them, and what holds them. Where a run is in its
 * program is strand.c's. */
#include <string.h>

#include "action.h"
#include "log.h"
#include "misses.h"
#include "span.h"
#include "state.h"
#include "strand.h"
#include "task.h"
#include "task_turn.h"

static const struct mxrc_program *program_of(const struct mxrc_exec *exec,
                                             const struct mxrc_task_state *task)
{
    return &exec->at.program[task->program_slot].program;
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
    mxrc_event_fill(exec, &event, MXRC_EVENT_TASK, &task->strand);
    memcpy(event.span_id, task->task_span_id, sizeof event.span_id);
    event.code = status;
    event.error_code = result;
    event.reply_to = task->command_index;
    double step = task->strand.op;
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

static void end_run(struct mxrc_exec *exec, struct mxrc_task_state *task, uint32_t result)
{
    mxrc_strand_abort(exec, task, &task->strand, result);
    mxrc_span_end(exec, &task->strand, MXRC_SPAN_SEQUENCE_RUN, result);
    mxrc_span_end(exec, &task->strand, MXRC_SPAN_TASK_EXECUTE, result);
}

/* ---- begin and end of a run ---- */

static void first_op(struct mxrc_task_state *task)
{
    mxrc_strand_at(&task->strand, 0);
    task->strand.error = MXRC_OK;
    task->progress = 0;
    task->event_pending = task->event_seen = 0;
}

static void begin_run(struct mxrc_exec *exec, struct mxrc_task_state *task)
{
    first_op(task);
    task->waits_for = 0;
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
        end_run(exec, task, result);
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

static void complete_run(struct mxrc_exec *exec, struct mxrc_task_state *task)
{
    if (program_of(exec, task)->mode == MXRC_MODE_ONCE) {
        finish(exec, task, MXRC_TASK_COMPLETED, MXRC_OK);
        return;
    }
    end_run(exec, task, MXRC_OK);
    task->runs++;
    mxrc_log(exec, MXRC_EV_TASK_RUN_COMPLETED, &task->strand, (double)task->runs,
             milliseconds(task->task_start_ns, exec->now.wake_ns));
    mxrc_turn_after(exec, task);
    first_op(task);
    task->status = MXRC_TASK_PENDING;
}

static void run_task(struct mxrc_exec *exec, struct mxrc_task_state *task)
{
    mxrc_turn_watch(exec, task);
    if (task->status == MXRC_TASK_PENDING) {
        if (!mxrc_turn_has_come(exec, task))
            return;
        begin_run(exec, task);
    }
    switch (mxrc_strand_run(exec, task, &task->strand)) {
    case MXRC_STRAND_ON:
        return;
    case MXRC_STRAND_FAILED:
        finish(exec, task, MXRC_TASK_FAILED, task->strand.error);
        return;
    default:
        complete_run(exec, task);
    }
}

void mxrc_tasks_step(struct mxrc_exec *exec)
{
    if (exec->state != MXRC_STATE_RUNNING || exec->active_tasks == 0)
        return;
    exec->task_asks_safe = 0;
    /* Places behind the last task in use are not looked at: each is a cold cache line. */
    uint32_t left = exec->active_tasks;
    for (uint32_t i = 0; left > 0 && i < MXRC_TASKS; i++) {
        struct mxrc_task_state *task = &exec->task[i];
        if (!task->execution_id)
            continue;
        left--;
        if (!task->paused)
            run_task(exec, task);
    }
    if (exec->task_asks_safe)
        mxrc_state_fault(exec, exec->task_asks_safe);
}

/* ---- all of them ---- */

/* Every strand of the task that is in progress, or is to begin again, into that phase. 1: its own was. */
static int set_phase(struct mxrc_exec *exec, struct mxrc_task_state *task, uint8_t phase)
{
    struct mxrc_strand *own = &task->strand;
    int was = own->phase == IN_PROGRESS || own->phase == REPLAN;
    if (was)
        own->phase = phase;
    for (uint32_t i = 0; exec->branches && i < MXRC_TASK_BRANCHES; i++) {
        struct mxrc_strand *branch = &exec->branch[i];
        if (branch->owner == own->owner &&
            (branch->phase == IN_PROGRESS || branch->phase == REPLAN))
            branch->phase = phase;
    }
    return was;
}

static void hold(struct mxrc_exec *exec, struct mxrc_task_state *task)
{
    if (set_phase(exec, task, HELD))
        mxrc_log(exec, MXRC_EV_TASK_HELD, &task->strand, task->strand.op);
}

void mxrc_tasks_hold(struct mxrc_exec *exec)
{
    for (uint32_t i = 0; i < MXRC_TASKS; i++)
        if (exec->task[i].execution_id)
            hold(exec, &exec->task[i]);
}

static void begin_anew(struct mxrc_exec *exec, struct mxrc_task_state *task, uint32_t result)
{
    mxrc_strand_abort(exec, task, &task->strand, result);
    first_op(task);
}

void mxrc_tasks_safe(struct mxrc_exec *exec)
{
    for (uint32_t i = 0; i < MXRC_TASKS; i++) {
        struct mxrc_task_state *task = &exec->task[i];
        if (!task->execution_id || task->status != MXRC_TASK_RUNNING)
            continue;
        switch (program_of(exec, task)->on_safe_mode) {
        case MXRC_RESTART_FAIL:
            finish(exec, task, MXRC_TASK_FAILED, MXRC_ERR_SAFE_MODE);
            break;
        case MXRC_RESTART_RESTART:
            begin_anew(exec, task, MXRC_ERR_SAFE_MODE);
            break;
        default:
            hold(exec, task);
        }
    }
}

void mxrc_tasks_replan(struct mxrc_exec *exec)
{
    for (uint32_t i = 0; i < MXRC_TASKS; i++)
        if (exec->task[i].execution_id && exec->task[i].strand.phase != HELD)
            set_phase(exec, &exec->task[i], REPLAN);
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

static int place_valid(const struct mxrc_program_slot *slot, const struct mxrc_strand *strand)
{
    if (strand->op >= slot->program.op_count)
        return 0;
    const struct mxrc_op *op = &slot->op[strand->op];
    return op->kind != MXRC_OP_VIA && (op->kind != MXRC_OP_MOVE_JOINTS || strand->via <= op->count);
}

static int places_valid(const struct mxrc_exec *exec, const struct mxrc_task_state *task)
{
    const struct mxrc_program_slot *slot = &exec->at.program[task->program_slot];
    uint32_t branches = 0;
    if (!place_valid(slot, &task->strand))
        return 0;
    for (uint32_t i = 0; i < MXRC_TASK_BRANCHES; i++) {
        if (exec->branch[i].owner != task->strand.owner)
            continue;
        branches++;
        if (!place_valid(slot, &exec->branch[i]))
            return 0;
    }
    return branches == 0 ||
           (slot->op[task->strand.op].kind == MXRC_OP_PARALLEL && task->strand.phase != NOT_BEGUN);
}

/* Branches of nobody, as a damaged program leaves them. */
static void drop_branches(struct mxrc_exec *exec)
{
    for (uint32_t i = 0; i < MXRC_TASK_BRANCHES; i++) {
        struct mxrc_strand *branch = &exec->branch[i];
        if (!branch->owner || exec->task[branch->owner - 1].execution_id)
            continue;
        memset(branch, 0, sizeof *branch);
        exec->branches--;
    }
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
            slot->program.crc != task->program_crc || !places_valid(exec, task)) {
            memset(&task->strand, 0, sizeof task->strand);
            task->strand.owner = (uint8_t)(i + 1);
            finish(exec, task, MXRC_TASK_FAILED, MXRC_ERR_CORRUPT);
            continue;
        }
        if (task->status != MXRC_TASK_RUNNING)
            continue; /* what has not begun is not under way */
        if (slot->program.on_restart == MXRC_RESTART_FAIL) {
            finish(exec, task, MXRC_TASK_FAILED, MXRC_ERR_RESTART);
        } else if (slot->program.on_restart == MXRC_RESTART_RESTART) {
            begin_anew(exec, task, MXRC_ERR_RESTART);
        }
    }
    drop_branches(exec);
    mxrc_law_runs_recover(exec);
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
