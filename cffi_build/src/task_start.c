/* task_start.c: an execution is accepted: from the command and the staged program to a task slot, or the reason against
 * it. */
#include <string.h>

#include "condition.h"
#include "task.h"

/* A slot freed in this cycle keeps its program until the state block no longer refers to it. */
static struct mxrc_task_state *free_slot(struct mxrc_exec *exec)
{
    for (uint32_t i = 0; i < MXRC_TASKS; i++)
        if (!exec->task[i].execution_id && exec->task_freed_cycle[i] != exec->now.cycle)
            return &exec->task[i];
    return NULL;
}

static uint32_t state_admits(const struct mxrc_exec *exec)
{
    switch (exec->state) { /* before RUNNING it waits */
    case MXRC_STATE_INIT:
    case MXRC_STATE_READY:
    case MXRC_STATE_RUNNING:
    case MXRC_STATE_PAUSED:
        return MXRC_OK;
    case MXRC_STATE_SAFE_MODE:
        return MXRC_ERR_SAFE_MODE;
    case MXRC_STATE_ERROR:
        return MXRC_ERR_ERROR_STATE;
    default:
        return MXRC_ERR_STATE;
    }
}

static int law_fits(const struct mxrc_exec *exec, const struct mxrc_op *op)
{
    const struct mxrc_law *law = exec->config.task_law[op->key].law;
    return law && op->identity == exec->task_law_identity[op->key] &&
           op->count == law->parameter_count;
}

/* Keys that conditions name: there, and a number. Laws: loaded, and the one that is meant. */
static uint32_t check_keys(const struct mxrc_exec *exec, const struct mxrc_program_slot *own,
                           uint32_t *op)
{
    if (!mxrc_condition_has_key(exec, &own->program.trigger))
        return MXRC_ERR_INVALID;
    for (uint32_t i = 0; i < own->program.op_count; i++) {
        *op = i;
        if (!mxrc_condition_has_key(exec, &own->op[i].condition))
            return MXRC_ERR_INVALID;
        if (own->op[i].kind == MXRC_OP_CONTROL_LAW && !law_fits(exec, &own->op[i]))
            return MXRC_ERR_LAW;
    }
    *op = UINT32_MAX;
    return MXRC_OK;
}

/* From Non-RT's staging into RT's own region; judged there, where nobody else can change it any more. */
static uint32_t take_program(struct mxrc_exec *exec, const struct mxrc_command *command,
                             struct mxrc_program_slot *own, uint32_t *op)
{
    *op = UINT32_MAX;
    if (command->program >= exec->at.staging_slots || command->program_bytes % 8 ||
        command->program_bytes < sizeof(struct mxrc_program) ||
        command->program_bytes > sizeof(struct mxrc_program_slot))
        return MXRC_ERR_INVALID;
    mxrc_copy_out(own, &exec->at.staging[command->program], command->program_bytes);
    if (own->program.bytes != command->program_bytes || own->program.crc != command->program_crc)
        return MXRC_ERR_CORRUPT;
    uint32_t result = mxrc_program_validate(own, exec->config.axis, exec->config.axis_count,
                                            (uint32_t)mxrc_load_acquire(&exec->at.data->count), op);
    if (result != MXRC_OK)
        return result;
    result = check_keys(exec, own, op);
    if (result != MXRC_OK)
        return result;
    /* Runs lie on the time grid. */
    if (own->program.mode == MXRC_MODE_PERIODIC && own->program.period_ns % exec->config.period_ns)
        return MXRC_ERR_INVALID;
    return MXRC_OK;
}

static uint64_t cycle_not_before(const struct mxrc_exec *exec, uint64_t time_ns)
{
    if (time_ns <= exec->now.scheduled_ns)
        return exec->now.cycle;
    uint64_t period = exec->config.period_ns;
    return exec->now.cycle + (time_ns - exec->now.scheduled_ns + period - 1) / period;
}

uint32_t mxrc_task_start(struct mxrc_exec *exec, const struct mxrc_command *command,
                         uint64_t number, uint32_t *op)
{
    *op = UINT32_MAX;
    if (command->execution_id == 0)
        return MXRC_ERR_INVALID;
    if (mxrc_task_find(exec, command->execution_id))
        return MXRC_OK; /* sent again: it is under way */
    uint32_t result = state_admits(exec);
    if (result != MXRC_OK)
        return result;
    struct mxrc_task_state *task = free_slot(exec);
    if (!task)
        return MXRC_ERR_BUSY;
    uint16_t index = (uint16_t)(task - exec->task);
    struct mxrc_program_slot *own = &exec->at.program[index];
    result = take_program(exec, command, own, op);
    if (result != MXRC_OK)
        return result;

    task->execution_id = command->execution_id;
    task->command_index = number;
    memcpy(task->trace_id, command->trace_id, sizeof task->trace_id);
    memcpy(task->parent_span_id, command->span_id, sizeof task->parent_span_id);
    task->trace_flags = command->trace_flags;
    task->program_crc = own->program.crc;
    task->program_slot = index;
    task->axes = own->program.axes;
    task->strand.owner = (uint8_t)(index + 1);
    task->status = MXRC_TASK_PENDING;
    task->next_run_cycle = cycle_not_before(exec, command->not_before_ns);
    exec->active_tasks++;
    return MXRC_OK;
}
