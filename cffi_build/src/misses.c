/* misses.c: every slot of the time grid enters a window of the last 10,000 as met or missed; skipped
 * slots are misses. Counters and window lie in the segment and survive a restart; warm-up cycles are in none
 * of them. */
#include "misses.h"
#include "log.h"

/* One writer: a relaxed load and store, no locked instruction. */
void mxrc_count(struct mxrc_exec *exec, uint32_t counter, uint64_t by)
{
    uint64_t *word = &exec->at.metrics->counter[counter];
    mxrc_store_relaxed(word, mxrc_load_relaxed(word) + by);
}

static void window_enter(struct mxrc_exec *exec, int missed)
{
    struct mxrc_rt_metrics *metrics = exec->at.metrics;
    uint64_t position = mxrc_load_relaxed(&metrics->miss_position);
    uint64_t place = position % MXRC_MISS_WINDOW;
    uint64_t *word = &metrics->miss_bits[place / 64];
    uint64_t bit = (uint64_t)1 << (place % 64);
    uint64_t old = mxrc_load_relaxed(word);
    exec->window_misses -= (old & bit) != 0;
    exec->window_misses += missed;
    mxrc_store_relaxed(word, missed ? old | bit : old & ~bit);
    mxrc_store_relaxed(&metrics->miss_position, position + 1);
}

void mxrc_misses_begin(struct mxrc_exec *exec)
{
    exec->window_misses = 0;
    for (uint32_t i = 0; i < sizeof exec->at.metrics->miss_bits / sizeof(uint64_t); i++) {
        uint64_t bits = mxrc_load_relaxed(&exec->at.metrics->miss_bits[i]);
        exec->window_misses += (uint32_t)__builtin_popcountll(bits);
    }
}

void mxrc_misses_judge(struct mxrc_exec *exec)
{
    struct mxrc_cycle *now = &exec->now;
    uint64_t deadline = now->scheduled_ns + exec->live.deadline_ns;
    int missed = now->commit_ns > deadline;
    if (missed)
        now->flags |= MXRC_CYCLE_DEADLINE_MISS;
    if (exec->warmup_left > 0)
        return;
    window_enter(exec, missed);
    if (!missed)
        return;
    mxrc_count(exec, MXRC_COUNTER_MISSES, 1);
    mxrc_log(exec, MXRC_EV_DEADLINE_MISS, NULL, (double)(now->commit_ns - deadline) * 1e-3,
             (double)(now->wake_ns - now->scheduled_ns) * 1e-3,
             (double)(now->commit_ns - now->wake_ns) * 1e-3,
             (double)mxrc_load_relaxed(&exec->at.metrics->counter[MXRC_COUNTER_MISSES]));
}

void mxrc_misses_overrun(struct mxrc_exec *exec, uint64_t skipped)
{
    const struct mxrc_cycle *now = &exec->now;
    struct mxrc_rt_metrics *metrics = exec->at.metrics;
    mxrc_count(exec, MXRC_COUNTER_OVERRUNS, 1);
    mxrc_count(exec, MXRC_COUNTER_SKIPPED, skipped);
    mxrc_count(exec, MXRC_COUNTER_MISSES, skipped);
    /* Bounded work after a stall of any length: what is older than the window has left it. */
    uint64_t enter = skipped < MXRC_MISS_WINDOW ? skipped : MXRC_MISS_WINDOW;
    uint64_t position = mxrc_load_relaxed(&metrics->miss_position);
    mxrc_store_relaxed(&metrics->miss_position, position + skipped - enter);
    for (uint64_t i = 0; i < enter; i++)
        window_enter(exec, 1);
    mxrc_log(exec, MXRC_EV_OVERRUN, NULL, (double)skipped,
             (double)(now->end_ns - now->wake_ns) * 1e-3,
             (double)mxrc_load_relaxed(&metrics->counter[MXRC_COUNTER_MISSES]));
}

void mxrc_misses_times(struct mxrc_exec *exec)
{
    const struct mxrc_cycle *now = &exec->now;
    struct mxrc_histogram *histogram = exec->at.metrics->histogram;
    mxrc_histogram_add(&histogram[MXRC_HISTOGRAM_CYCLE_TIME], now->end_ns - now->wake_ns);
    mxrc_histogram_add(&histogram[MXRC_HISTOGRAM_WAKEUP_LATENCY], now->wake_ns - now->scheduled_ns);
    mxrc_histogram_add(&histogram[MXRC_HISTOGRAM_COMMIT], now->commit_ns - now->scheduled_ns);
}
