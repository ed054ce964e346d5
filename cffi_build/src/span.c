/* span.c: span ids and records. Ids are a bijection of seed + counter (SplitMix64: Steele, Lea, Flood 2014), both in
 * the state block: a cycle that is run again after a crash makes the same ids, so that a span recorded twice
 * is one span to who reads it. */
#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include "log.h"
#include "misses.h"
#include "span.h"

#define SAMPLED 1          /* W3C trace flags, bit 0 */
#define TASK_INSTRUMENTS 2 /* mxrc_control.instrumentation, bit 1 */

int mxrc_span_seed(struct mxrc_exec *exec)
{
    ssize_t got;
    do
        got = getrandom(&exec->span_seed, sizeof exec->span_seed, 0);
    while (got < 0 && errno == EINTR);
    exec->span_counter = 0;
    return got == (ssize_t)sizeof exec->span_seed ? 0 : EIO;
}

void mxrc_span_id(struct mxrc_exec *exec, uint8_t id[8])
{
    uint64_t value;
    do { /* an id is never zero; at most one of 2^64 counters gives it */
        value = exec->span_seed + ++exec->span_counter * 0x9e3779b97f4a7c15;
        value = (value ^ value >> 30) * 0xbf58476d1ce4e5b9;
        value = (value ^ value >> 27) * 0x94d049bb133111eb;
        value ^= value >> 31;
    } while (value == 0);
    memcpy(id, &value, sizeof value);
}

static const uint32_t counters[] = {
    [MXRC_SPAN_TASK_EXECUTE] = MXRC_COUNTER_SPANS_TASK,
    [MXRC_SPAN_SEQUENCE_RUN] = MXRC_COUNTER_SPANS_SEQUENCE,
    [MXRC_SPAN_ACTION_EXECUTE] = MXRC_COUNTER_SPANS_ACTION,
};

void mxrc_span_end(struct mxrc_exec *exec, const struct mxrc_task_state *task, uint32_t operation,
                   uint32_t result)
{
    /* Parent-based: the sender of the command has decided. */
    if (!(task->trace_flags & SAMPLED) ||
        !(mxrc_load_relaxed32(&exec->at.control->instrumentation) & TASK_INSTRUMENTS))
        return;
    struct mxrc_event event;
    mxrc_event_fill(exec, &event, MXRC_EVENT_SPAN, task);
    const uint8_t *own = task->action_span_id;
    const uint8_t *parent = task->sequence_span_id;
    event.start_ns = task->action_start_ns;
    if (operation != MXRC_SPAN_ACTION_EXECUTE) {
        own = operation == MXRC_SPAN_TASK_EXECUTE ? task->task_span_id : task->sequence_span_id;
        parent = operation == MXRC_SPAN_TASK_EXECUTE ? task->parent_span_id : task->task_span_id;
        event.start_ns = task->task_start_ns;
        event.action_name = 0;
    }
    if (operation == MXRC_SPAN_TASK_EXECUTE)
        event.sequence_name = 0;
    memcpy(event.span_id, own, sizeof event.span_id);
    memcpy(event.parent_span_id, parent, sizeof event.parent_span_id);
    event.code = operation;
    event.span_status = result == MXRC_OK ? MXRC_SPAN_OK : MXRC_SPAN_ERROR;
    event.error_code = result;
    event.level = result == MXRC_OK ? MXRC_LEVEL_INFO : MXRC_LEVEL_ERROR;
    mxrc_event_publish(exec, &event);
    mxrc_count(exec, counters[operation], 1);
}
