/* clock.c: the two clocks of the project, in nanoseconds. */
#include <time.h>

#include "mxrc/core.h"

static uint64_t read_clock(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

uint64_t mxrc_now_ns(void)
{
    return read_clock(CLOCK_MONOTONIC);
}

uint64_t mxrc_realtime_ns(void)
{
    return read_clock(CLOCK_REALTIME);
}
