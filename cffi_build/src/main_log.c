/* main_log.c: log events of the RT process's main thread, into that thread's own lane. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "atomic.h"
#include "mxrc/core.h"

static const struct mxrc_event_def *find(uint32_t message_id)
{
    size_t count;
    const struct mxrc_event_def *def = mxrc_event_defs(&count);
    for (size_t i = 0; i < count; i++)
        if (def[i].id == message_id)
            return &def[i];
    return NULL;
}

int mxrc_main_log(struct mxrc_segment *segment, uint32_t message_id, const double *args,
                  uint32_t count)
{
    const struct mxrc_event_def *def = find(message_id);
    if (!def || segment->member < 0)
        return ENOENT;
    struct mxrc_ring lane;
    if (mxrc_ring_open(&lane, segment, MXRC_REGION_LANE + 2 * (uint32_t)segment->member + 1))
        return ENOENT;
    const struct mxrc_control *control = mxrc_region(segment, MXRC_REGION_CONTROL, NULL);
    if (def->level < __atomic_load_n(&control->log_level[def->logger_id], __ATOMIC_RELAXED))
        return 0;
    const struct mxrc_rt_status *status = mxrc_region(segment, MXRC_REGION_RT_STATUS, NULL);
    struct mxrc_event event = {
        .time_ns = mxrc_now_ns(),
        .cycle = mxrc_load_relaxed(&status->cycle),
        .epoch = (uint32_t)mxrc_load_relaxed(&status->epoch),
        .kind = MXRC_EVENT_LOG,
        .level = (uint8_t)def->level,
        .message_id = message_id,
        .state = mxrc_load_relaxed32(&status->state),
        .tid = (uint32_t)getpid(), /* of the main thread */
    };
    if (count > MXRC_ARGS)
        count = MXRC_ARGS;
    if (count)
        memcpy(event.args, args, count * sizeof *args);
    mxrc_ring_publish(&lane, &event);
    return 0;
}
