/* watch.c: see watch.h. */
#include "watch.h"

#define TICKS 4 /* per timeout; a tick is late by as much */
#define TICK_MAX_NS 10000000
#define ON_TIME_TICKS 2

static uint64_t latest(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

void mxrc_watch_begin(struct mxrc_watch *watch, uint64_t timeout_ns, uint64_t now_ns)
{
    mxrc_watch_limit(watch, timeout_ns);
    mxrc_watch_renew(watch, now_ns);
}

void mxrc_watch_limit(struct mxrc_watch *watch, uint64_t timeout_ns)
{
    uint64_t tick = timeout_ns / TICKS;
    watch->timeout_ns = timeout_ns;
    watch->tick_ns = tick < TICK_MAX_NS ? tick : TICK_MAX_NS;
}

void mxrc_watch_renew(struct mxrc_watch *watch, uint64_t now_ns)
{
    watch->since_ns = now_ns;
    watch->on_time = 0;
}

uint64_t mxrc_watch_due(const struct mxrc_watch *watch, uint64_t now_ns, uint64_t beat_ns)
{
    uint64_t tick = now_ns + watch->tick_ns;
    uint64_t silent = latest(beat_ns, watch->since_ns) + watch->timeout_ns + 1;
    return silent > now_ns && silent < tick ? silent : tick;
}

int mxrc_watch_silent(struct mxrc_watch *watch, uint64_t due_ns, uint64_t now_ns, uint64_t beat_ns)
{
    if (now_ns > due_ns + watch->timeout_ns / TICKS) {
        mxrc_watch_renew(watch, now_ns);
        return 0;
    }
    watch->on_time++;
    return watch->on_time >= ON_TIME_TICKS &&
           now_ns > latest(beat_ns, watch->since_ns) + watch->timeout_ns;
}
