/* wait.c: sleep, hybrid and busy waiting on the absolute grid of CLOCK_MONOTONIC. */
#include <errno.h>
#include <time.h>

#include "spin_margin.h"
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
static int sleep_until(struct mxrc_fake_clock *fake, uint64_t moment_ns)
{
    if (fake) {
        if (fake->now_ns < moment_ns) {
            fake->now_ns = moment_ns + fake->oversleep_ns;
            fake->sleeps++;
        }
        return 0;
    }
    struct timespec until = {
        .tv_sec = (time_t)(moment_ns / NS_PER_S),
        .tv_nsec = (long)(moment_ns % NS_PER_S),
    };
    int result;
    do
        result = clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
    while (result == EINTR);
    return result;
}

/* Returns the time at which it began. */
static uint64_t spin_until(struct mxrc_fake_clock *fake, uint64_t moment_ns)
{
    uint64_t began_ns = fake ? fake->now_ns : mxrc_now_ns();
    if (fake) {
        if (began_ns < moment_ns)
            fake->now_ns = moment_ns;
        return began_ns;
    }
    for (uint64_t now_ns = began_ns; now_ns < moment_ns; now_ns = mxrc_now_ns())
        mxrc_pause();
    return began_ns;
}

int mxrc_wait_until(struct mxrc_exec *exec, uint64_t deadline_ns)
{
    if (exec->live.wait_mode == MXRC_WAIT_SLEEP)
        return sleep_until(exec->fake, deadline_ns);
    if (exec->live.wait_mode == MXRC_WAIT_BUSY) {
        spin_until(exec->fake, deadline_ns);
        return 0;
    }
    uint64_t alarm_ns = deadline_ns - exec->spin_margin_ns;
    int result = sleep_until(exec->fake, alarm_ns);
    if (result)
        return result;
    uint64_t woke_ns = spin_until(exec->fake, deadline_ns);
    /* Too late without having slept is the work of the slot before, and says nothing of the kernel. */
    if (exec->live.spin_margin_auto && (woke_ns < deadline_ns || exec->now.end_ns < alarm_ns))
        exec->spin_margin_ns =
            mxrc_spin_margin_next(exec->spin_margin_ns, exec->config.period_ns, woke_ns - alarm_ns);
    return 0;
}
