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
#define BUS_INSTRUMENTS 1  /* mxrc_control.instrumentation, bit 0 */
#define TASK_INSTRUMENTS 2 /* bit 1 */
#define MEASURED_SHARE                                                                             \
    16 /* one span of so many is timed: reading the clock costs as much as half a span */

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
    [MXRC_SPAN_EVENTBUS_PUBLISH] = MXRC_COUNTER_SPANS_PUBLISH,
    [MXRC_SPAN_EVENTBUS_PROCESS] = MXRC_COUNTER_SPANS_PROCESS,
};

/* Parent-based: the sender of the command has decided. */
static int wanted(const struct mxrc_exec *exec, uint32_t trace_flags, uint32_t instrument)
{
    return trace_flags & SAMPLED &&
           mxrc_load_relaxed32(&exec->at.control->instrumentation) & instrument;
}

/* How long the op in progress was to take; a move without a duration: its last trajectory. */
static uint64_t planned_ns(const struct mxrc_exec *exec, const struct mxrc_strand *strand)
{
    uint16_t slot = mxrc_strand_task(exec, strand)->program_slot;
    const struct mxrc_op *op = &exec->at.program[slot].op[strand->op];
    return op->duration_ns ? op->duration_ns : strand->motion_duration_ns;
}

/* Publishes a span whose making began at `since_ns` (0: this one is not timed). */
static void publish(struct mxrc_exec *exec, struct mxrc_event *event, uint64_t since_ns)
{
    mxrc_event_publish(exec, event);
    mxrc_count(exec, counters[event->code], 1);
    if (since_ns)
        mxrc_count(exec, MXRC_COUNTER_TRACING_TIME, (mxrc_now_ns() - since_ns) * MEASURED_SHARE);
}

static uint64_t measured_since(struct mxrc_exec *exec)
{
    return exec->spans_made++ % MEASURED_SHARE ? 0 : mxrc_now_ns();
}

void mxrc_span_end(struct mxrc_exec *exec, const struct mxrc_strand *strand, uint32_t operation,
                   uint32_t result)
{
    const struct mxrc_task_state *task = mxrc_strand_task(exec, strand);
    if (!wanted(exec, task->trace_flags, TASK_INSTRUMENTS))
        return;
    uint64_t since_ns = measured_since(exec);
    struct mxrc_event event;
    mxrc_event_fill(exec, &event, MXRC_EVENT_SPAN, strand);
    const uint8_t *own = strand->action_span_id;
    const uint8_t *parent = task->sequence_span_id;
    event.start_ns = strand->action_start_ns;
    if (operation == MXRC_SPAN_ACTION_EXECUTE) {
        event.args[0] = (double)planned_ns(exec, strand);
        event.args[1] = (double)strand->elapsed_ns;
    } else {
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
    publish(exec, &event, since_ns);
}

void mxrc_span_publish(struct mxrc_exec *exec, const struct mxrc_strand *strand,
                       uint32_t topic_name, uint8_t id[8])
{
    const struct mxrc_task_state *task = mxrc_strand_task(exec, strand);
    const uint8_t *parent = strand->phase ? strand->action_span_id : task->sequence_span_id;
    memcpy(id, parent, 8);
    if (!wanted(exec, task->trace_flags, BUS_INSTRUMENTS))
        return;
    uint64_t since_ns = measured_since(exec);
    struct mxrc_event event;
    mxrc_event_fill(exec, &event, MXRC_EVENT_SPAN, strand);
    mxrc_span_id(exec, id);
    memcpy(event.span_id, id, sizeof event.span_id);
    memcpy(event.parent_span_id, parent, sizeof event.parent_span_id);
    event.start_ns = event.time_ns;
    event.code = MXRC_SPAN_EVENTBUS_PUBLISH;
    event.span_status = MXRC_SPAN_OK;
    event.level = MXRC_LEVEL_INFO;
    event.args[0] = topic_name;
    publish(exec, &event, since_ns);
}

void mxrc_span_process(struct mxrc_exec *exec, const struct mxrc_strand *strand,
                       uint32_t topic_name)
{
    if (!wanted(exec, exec->trace.flags, BUS_INSTRUMENTS))
        return;
    uint64_t since_ns = measured_since(exec);
    struct mxrc_event event;
    mxrc_event_fill(exec, &event, MXRC_EVENT_SPAN, strand);
    event.sequence_name = event.action_name = 0; /* of the execution, not of a step of it */
    event.trace_flags = exec->trace.flags;
    memcpy(event.trace_id, exec->trace.trace_id, sizeof event.trace_id);
    memcpy(event.parent_span_id, exec->trace.span_id, sizeof event.parent_span_id);
    mxrc_span_id(exec, event.span_id);
    event.start_ns = event.time_ns;
    event.code = MXRC_SPAN_EVENTBUS_PROCESS;
    event.span_status = MXRC_SPAN_OK;
    event.level = MXRC_LEVEL_INFO;
    event.args[0] = topic_name;
    publish(exec, &event, since_ns);
}
