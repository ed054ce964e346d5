/* wait.c: sleep, hybrid and busy waiting on the absolute grid of CLOCK_MONOTONIC. */
#include <errno.h>
#include <time.h>

#include "wait.h"

#define NS_PER_S 1000000000

uint64_t mxrc_exec_now(struct mxrc_exec *exec)
{
    struct mxrc_fake_clock *fake = exec->fake;
    if (!fake)
        return mxrc_now_ns();
    fake->now_ns += fake->advance_ns;
    return fake->now_ns;
}

/* clock_nanosleep returns its error as a positive number, not through errno. An absolute sleep is
 * simply begun again after a signal. */
static int sleep_until(uint64_t deadline_ns)
{
    struct timespec until = {
        .tv_sec = (time_t)(deadline_ns / NS_PER_S),
        .tv_nsec = (long)(deadline_ns % NS_PER_S),
    };
    int result;
    do
        result = clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
    while (result == EINTR);
    return result;
}

int mxrc_wait_until(struct mxrc_exec *exec, uint64_t deadline_ns)
{
    struct mxrc_fake_clock *fake = exec->fake;
    if (fake) {
        if (fake->now_ns < deadline_ns) {
            fake->now_ns = deadline_ns;
            fake->sleeps++;
        }
        return 0;
    }
    if (exec->live.wait_mode == MXRC_WAIT_SLEEP)
        return sleep_until(deadline_ns);
    if (exec->live.wait_mode == MXRC_WAIT_HYBRID) {
        /* Spinning longer than half a period would starve whoever shares the CPU. */
        uint64_t margin = exec->live.spin_margin_ns;
        if (margin > exec->config.period_ns / 2)
            margin = exec->config.period_ns / 2;
        int result = sleep_until(deadline_ns - margin);
        if (result)
            return result;
    }
    while (mxrc_now_ns() < deadline_ns)
        mxrc_pause();
    return 0;
}
