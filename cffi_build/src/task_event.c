/* task_event.c: events of the event bus on their way to the executions that listen. An execution keeps the newest value of
 * each of its topics. */
#include <math.h>

#include "misses.h"
#include "span.h"
#include "task.h"

static int give(struct mxrc_exec *exec, struct mxrc_task_state *task, uint32_t topic, double value)
{
    const struct mxrc_program *program = &exec->at.program[task->program_slot].program;
    for (uint32_t i = 0; i < program->topic_count; i++) {
        uint8_t bit = (uint8_t)(1u << i);
        if (program->topic[i] != topic)
            continue;
        if (task->event_pending & bit)
            mxrc_count(exec, MXRC_COUNTER_EVENTS_OVERWRITTEN, 1);
        task->event_pending |= bit;
        task->event_seen |= bit;
        task->event_value[i] = value;
        mxrc_span_process(exec, &task->strand, topic);
        return 1;
    }
    return 0;
}

uint32_t mxrc_task_event(struct mxrc_exec *exec, uint64_t execution_id, uint32_t topic,
                         double value)
{
    int taken = 0;
    if (topic == 0 || !isfinite(value))
        return MXRC_ERR_INVALID;
    for (uint32_t i = 0; i < MXRC_TASKS; i++) {
        struct mxrc_task_state *task = &exec->task[i];
        if (task->execution_id && task->status == MXRC_TASK_RUNNING &&
            (execution_id == 0 || task->execution_id == execution_id))
            taken |= give(exec, task, topic, value);
    }
    return taken ? MXRC_OK : MXRC_ERR_UNKNOWN;
}
