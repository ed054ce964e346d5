/* log.c: log events of the RT thread. Text is made by Non-RT; here an id and up to six numbers. */
#include <errno.h>
#include <string.h>

#include "error.h"
#include "log.h"
#include "misses.h"

#define STORM_WINDOW_NS 1000000000
#define STORM_LINES 10 /* of one message id per window */

int mxrc_log_begin(struct mxrc_exec *exec, char *error, size_t error_bytes)
{
    size_t count;
    const struct mxrc_event_def *def = mxrc_event_defs(&count);
    for (size_t i = 0; i < count; i++) {
        if (def[i].id >= MXRC_ALL_EVENTS)
            return mxrc_fail(error, error_bytes, EINVAL, "events.def: id %u is above %u", def[i].id,
                             MXRC_ALL_EVENTS - 1);
        exec->event_def[def[i].id] = &def[i];
    }
    return 0;
}

/* What one fault can repeat in every cycle. The life of tasks, the lease and users' own messages are bounded by what
 * causes them and are never left out. */
static int storms(uint32_t logger_id)
{
    return logger_id != MXRC_LOGGER_TASK && logger_id != MXRC_LOGGER_LEASE &&
           logger_id != MXRC_LOGGER_USER;
}

/* gcc -O2 makes one memset of a whole event a `rep stos`, which begins slowly: it was a quarter of a log call. */
static void clear(struct mxrc_event *event)
{
    enum { PART = 64 };
    _Static_assert(sizeof *event % PART == 0, "parts make the whole");
    for (size_t at = 0; at < sizeof *event; at += PART)
        memset((uint8_t *)event + at, 0, PART);
}

void mxrc_event_fill(const struct mxrc_exec *exec, struct mxrc_event *event, uint32_t kind,
                     const struct mxrc_strand *strand)
{
    clear(event);
    event->time_ns = exec->now.wake_ns;
    event->cycle = exec->now.cycle;
    event->slot = exec->now.slot;
    event->epoch = (uint32_t)exec->epoch;
    event->kind = (uint16_t)kind;
    event->state = exec->state;
    event->tid = exec->tid;
    if (!strand) {
        memcpy(event->trace_id, exec->trace.trace_id, sizeof event->trace_id);
        memcpy(event->span_id, exec->trace.span_id, sizeof event->span_id);
        event->trace_flags = exec->trace.flags;
        return;
    }
    const struct mxrc_task_state *task = mxrc_strand_task(exec, strand);
    const struct mxrc_program_slot *slot = &exec->at.program[task->program_slot];
    memcpy(event->trace_id, task->trace_id, sizeof event->trace_id);
    memcpy(event->span_id, strand->phase ? strand->action_span_id : task->task_span_id,
           sizeof event->span_id);
    event->trace_flags = task->trace_flags;
    event->execution_id = task->execution_id;
    event->task_name = slot->program.task_name;
    event->sequence_name = slot->program.sequence_name;
    event->action_name = slot->op[strand->op].action_name;
    event->step = strand->op;
    memcpy(event->task_id, slot->program.task_id, sizeof event->task_id);
}

void mxrc_event_publish(struct mxrc_exec *exec, struct mxrc_event *event)
{
    if (event->message_id)
        mxrc_count(exec, MXRC_COUNTER_LOG_TRACE + event->level, 1);
    mxrc_ring_publish(&exec->at.lane, event);
}

static int below_threshold(const struct mxrc_exec *exec, const struct mxrc_event_def *def,
                           uint32_t level)
{
    /* A byte that Non-RT changes: independent of every other word. */
    return level < __atomic_load_n(&exec->at.control->log_level[def->logger_id], __ATOMIC_RELAXED);
}

static void put_line(struct mxrc_event *event, uint32_t message_id, uint32_t level,
                     const double *args, uint32_t count)
{
    event->message_id = message_id;
    event->level = (uint8_t)level;
    for (uint32_t i = 0; i < count && i < MXRC_ARGS; i++)
        event->args[i] = args[i];
}

void mxrc_event_line(struct mxrc_exec *exec, struct mxrc_event *event, uint32_t message_id,
                     const double *args, uint32_t count)
{
    const struct mxrc_event_def *def = exec->event_def[message_id];
    put_line(event, below_threshold(exec, def, def->level) ? 0 : message_id, def->level, args,
             count);
}

/* 1 when this line is to be left out. */
static int storm_takes(struct mxrc_exec *exec, uint32_t message_id, const double *args,
                       uint32_t count)
{
    struct mxrc_storm *storm = &exec->storm[message_id];
    uint64_t time_ns = exec->now.wake_ns;
    if (time_ns - storm->window_start_ns >= STORM_WINDOW_NS) {
        storm->window_start_ns = time_ns;
        storm->in_window = 0;
    }
    if (storm->in_window < STORM_LINES) {
        storm->in_window++;
        return 0;
    }
    storm->suppressed++;
    memset(storm->args, 0, sizeof storm->args);
    memcpy(storm->args, args, count * sizeof *args);
    mxrc_count(exec, MXRC_COUNTER_EVENTS_SUPPRESSED, 1);
    return 1;
}

static void write_line(struct mxrc_exec *exec, uint32_t message_id,
                       const struct mxrc_strand *strand, int level, const double *args,
                       uint32_t count)
{
    struct mxrc_storm *storm = &exec->storm[message_id];
    struct mxrc_event event;
    mxrc_event_fill(exec, &event, MXRC_EVENT_LOG, strand);
    put_line(&event, message_id, level >= 0 ? (uint32_t)level : exec->event_def[message_id]->level,
             args, count);
    event.suppressed = storm->suppressed;
    storm->suppressed = 0;
    mxrc_event_publish(exec, &event);
}

void mxrc_log_level(struct mxrc_exec *exec, uint32_t message_id, const struct mxrc_strand *strand,
                    int level, const double *args, uint32_t count)
{
    const struct mxrc_event_def *def = exec->event_def[message_id];
    uint32_t line_level = level >= 0 ? (uint32_t)level : def->level;
    if (count > MXRC_ARGS)
        count = MXRC_ARGS;
    if (below_threshold(exec, def, line_level))
        return;
    if (storms(def->logger_id) && storm_takes(exec, message_id, args, count))
        return;
    write_line(exec, message_id, strand, level, args, count);
}

void mxrc_log_settle(struct mxrc_exec *exec)
{
    uint32_t message_id = exec->storm_next;
    exec->storm_next = (message_id + 1) % MXRC_ALL_EVENTS;
    struct mxrc_storm *storm = &exec->storm[message_id];
    if (storm->suppressed == 0 || exec->now.wake_ns - storm->window_start_ns < STORM_WINDOW_NS)
        return;
    storm->window_start_ns = exec->now.wake_ns;
    storm->in_window = 1;
    storm->suppressed--; /* one of them is the line itself */
    write_line(exec, message_id, NULL, -1, storm->args, MXRC_ARGS);
}
