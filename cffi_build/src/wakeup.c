/* wakeup.c: the executive's sleep by itself, to measure how late this machine wakes a thread. */
#include <errno.h>
#include <time.h>

#include "mxrc/core.h"

#define NS_PER_S 1000000000

int mxrc_wakeup_measure(uint64_t period_ns, uint32_t count, uint32_t *late_ns)
{
    if (period_ns == 0)
        return EINVAL;
    uint64_t scheduled = mxrc_now_ns() + period_ns;
    for (uint32_t i = 0; i < count; i++) {
        const struct timespec until = {
            .tv_sec = (time_t)(scheduled / NS_PER_S),
            .tv_nsec = (long)(scheduled % NS_PER_S),
        };
        int result;
        do
            result = clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
        while (result == EINTR);
        if (result)
            return result;
        uint64_t late = mxrc_now_ns() - scheduled;
        late_ns[i] = late < UINT32_MAX ? (uint32_t)late : UINT32_MAX;
        /* Slots that passed meanwhile are as late as the rest of the same delay. */
        scheduled += period_ns;
        while (late >= period_ns && i + 1 < count) {
            late -= period_ns;
            late_ns[++i] = late < UINT32_MAX ? (uint32_t)late : UINT32_MAX;
            scheduled += period_ns;
        }
    }
    return 0;
}
