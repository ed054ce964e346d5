/* exec_commands.c: the command queue's consumer. exec->command_tail is saved in the state block and only
 * afterwards published in rt_status: what a crash undoes is taken again, what it does not undo is not.
 * An answer may so come twice; it names its command. */
#include <string.h>

#include "command.h"
#include "exec_commands.h"
#include "log.h"
#include "misses.h"
#include "state.h"
#include "task.h"

#define COMMANDS_PER_CYCLE 8 /* where the configuration says 0 */

static uint32_t handle(struct mxrc_exec *exec, const struct mxrc_command *command, uint64_t number,
                       uint32_t *op)
{
    switch (command->kind) {
    case MXRC_COMMAND_RT_EVENT:
        if (command->key > MXRC_RT_RESET)
            return MXRC_ERR_INVALID;
        return mxrc_state_apply(exec, command->key, MXRC_SAFE_REQUEST) ? MXRC_OK : MXRC_ERR_STATE;
    case MXRC_COMMAND_TASK_START:
        return mxrc_task_start(exec, command, number, op);
    case MXRC_COMMAND_TASK_CANCEL:
        return mxrc_task_cancel(exec, command->execution_id);
    case MXRC_COMMAND_TASK_PAUSE:
        return mxrc_task_pause(exec, command->execution_id, 1);
    case MXRC_COMMAND_TASK_RESUME:
        return mxrc_task_pause(exec, command->execution_id, 0);
    case MXRC_COMMAND_BUS_EVENT:
        return mxrc_task_event(exec, command->execution_id, command->key, command->args[0]);
    case MXRC_COMMAND_NOOP:
        return MXRC_OK;
    default:
        return MXRC_ERR_INVALID;
    }
}

static void reply(struct mxrc_exec *exec, const struct mxrc_command *command, uint64_t number,
                  uint32_t result, uint32_t op)
{
    struct mxrc_event event;
    mxrc_event_fill(exec, &event, MXRC_EVENT_REPLY, NULL);
    event.code = result;
    event.error_code = result;
    event.reply_to = number;
    event.execution_id = command->execution_id;
    event.step = op;
    memcpy(event.task_id, command->task_id, sizeof event.task_id - 1);
    if (result != MXRC_OK && command->kind == MXRC_COMMAND_TASK_START)
        mxrc_event_line(exec, &event, MXRC_EV_TASK_REFUSED, (const double[]){result, op}, 2);
    mxrc_event_publish(exec, &event);
}

static void take(struct mxrc_exec *exec, const struct mxrc_command *command, uint64_t number)
{
    memcpy(exec->trace.trace_id, command->trace_id, sizeof exec->trace.trace_id);
    memcpy(exec->trace.span_id, command->span_id, sizeof exec->trace.span_id);
    exec->trace.flags = command->trace_flags;
    if (command->time_ns <= exec->now.wake_ns)
        mxrc_histogram_add(&exec->at.metrics->histogram[MXRC_HISTOGRAM_COMMAND_LATENCY],
                           exec->now.wake_ns - command->time_ns);
    uint32_t op = UINT32_MAX;
    uint32_t result = handle(exec, command, number, &op);
    if (result != MXRC_OK) {
        mxrc_count(exec, MXRC_COUNTER_COMMANDS_REFUSED, 1);
        if (command->kind != MXRC_COMMAND_TASK_START)
            mxrc_log(exec, MXRC_EV_COMMAND_INVALID, NULL, (double)number, result, command->kind);
    }
    reply(exec, command, number, result, op);
    memset(&exec->trace, 0, sizeof exec->trace);
}

void mxrc_commands_take(struct mxrc_exec *exec)
{
    uint32_t limit = exec->config.commands_per_cycle;
    if (limit == 0)
        limit = COMMANDS_PER_CYCLE;
    for (uint32_t n = 0; n < limit && exec->state != MXRC_STATE_SHUTDOWN; n++) {
        struct mxrc_command command;
        int found = mxrc_command_peek(exec->segment, exec->command_tail, &command);
        if (found == 0)
            return;
        uint64_t number = exec->command_tail++;
        mxrc_count(exec, MXRC_COUNTER_COMMANDS, 1);
        if (found > 0) {
            take(exec, &command, number);
            continue;
        }
        mxrc_count(exec, MXRC_COUNTER_COMMANDS_REFUSED, 1);
        mxrc_log(exec, MXRC_EV_COMMAND_INVALID, NULL, (double)number, MXRC_ERR_CORRUPT, 0);
    }
}
