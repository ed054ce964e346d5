/* test_exec_time.c: the time grid: slots, deadlines, skipped slots, overrun policies, miss window, schedule. */
#include "exec_fixture.h"

#include "../src/log.h"

static struct mxrc_exec *running(void)
{
    struct mxrc_exec *exec = exec_begun();
    CHECK_EQUAL(exec_run(exec, 3), 0);
    return exec;
}

/* One cycle in which the work takes so long. */
static int stall(struct mxrc_exec *exec, uint64_t work_ns)
{
    fake.work_ns = work_ns;
    int result = mxrc_exec_cycle(exec);
    fake.work_ns = 0;
    return result;
}

static void test_slots(void)
{
    struct mxrc_entry_config two = {
        .name = "two", .run = MXRC_RUN_CODE, .code = &entry_idle, .period_ns = 2 * PERIOD};
    struct mxrc_entry_config three = {
        .name = "three", .run = MXRC_RUN_CODE, .code = &entry_idle, .period_ns = 3 * PERIOD};
    config.entry_count = 2;
    config.entry[0] = two;
    config.entry[1] = three;
    struct mxrc_exec *exec = running();
    CHECK_EQUAL(rt_status()->slots, 6);
    uint64_t first = last_record().cycle;
    for (uint64_t i = 1; i <= 20; i++) {
        CHECK_EQUAL(mxrc_exec_cycle(exec), 0);
        struct mxrc_cycle_record record = last_record();
        CHECK_EQUAL(record.cycle, first + i);
        CHECK_EQUAL(record.slot, (first + i) % 6);
        CHECK_EQUAL(record.wake_ns, record.scheduled_ns);
        CHECK_EQUAL((record.scheduled_ns - exec->origin_ns), record.cycle * PERIOD);
        CHECK_EQUAL(record.skipped, 0);
    }
    CHECK_EQUAL(counter(MXRC_COUNTER_MISSES), 0);
    exec_done(exec);

    exec_segment();
    config.entry[0].wcet_ns = DEADLINE / 2 + 1;
    config.entry[1].wcet_ns = DEADLINE / 2;
    CHECK(mxrc_exec_new(&rt, &config, error, sizeof error) == NULL);
    CHECK_HAS(error, "slot 0");
    CHECK_HAS(error, "900001");
    config.entry[1].phase_ns = PERIOD;
    CHECK(mxrc_exec_new(&rt, &config, error, sizeof error) == NULL);
    CHECK_HAS(error, "slot 4"); /* the first that both share: 0, 2, 4 and 1, 4 */
    config.entry[1].wcet_ns = 0;
    config.entry[1].period_ns = 3 * PERIOD / 2;
    CHECK(mxrc_exec_new(&rt, &config, error, sizeof error) == NULL);
    CHECK_HAS(error, "three");
    config.entry[0].period_ns = 65537 * PERIOD;
    config.entry_count = 1;
    config.entry[0].wcet_ns = 0;
    CHECK(mxrc_exec_new(&rt, &config, error, sizeof error) == NULL);
    CHECK_HAS(error, "65536");
    exec_config_default();
}

static void test_deadline(void)
{
    struct mxrc_exec *exec = running();
    stall(exec, DEADLINE);
    CHECK_EQUAL(counter(MXRC_COUNTER_MISSES), 0);
    CHECK_EQUAL(last_record().flags & MXRC_CYCLE_DEADLINE_MISS, 0);
    stall(exec, DEADLINE + 1);
    CHECK_EQUAL(counter(MXRC_COUNTER_MISSES), 1);
    CHECK_EQUAL(last_record().flags, MXRC_CYCLE_DEADLINE_MISS);
    CHECK_EQUAL(counter(MXRC_COUNTER_OVERRUNS), 0);
    CHECK_EQUAL(rt_status()->window_misses, 1);
    struct mxrc_event event;
    CHECK(next_event(MXRC_EVENT_LOG, MXRC_EV_DEADLINE_MISS, &event));
    CHECK_EQUAL(event.level, MXRC_LEVEL_ERROR);
    CHECK(fabs(event.args[0] - 0.001) < 1e-9); /* us late */
    exec_done(exec);
}

static void test_stall_of_ten_slots(void)
{
    struct mxrc_exec *exec = running();
    uint64_t before = last_record().cycle;
    stall(exec, 10 * PERIOD - 1); /* to the end of the tenth slot */
    CHECK_EQUAL(last_record().flags, MXRC_CYCLE_DEADLINE_MISS | MXRC_CYCLE_OVERRUN);
    CHECK_EQUAL(counter(MXRC_COUNTER_MISSES), 10);
    CHECK_EQUAL(counter(MXRC_COUNTER_SKIPPED), 9);
    CHECK_EQUAL(counter(MXRC_COUNTER_OVERRUNS), 1);
    CHECK_EQUAL(mxrc_exec_cycle(exec), 0);
    struct mxrc_cycle_record record = last_record();
    CHECK_EQUAL(record.cycle, before + 11);
    CHECK_EQUAL(record.skipped, 9);
    CHECK_EQUAL(record.flags & MXRC_CYCLE_SKIPPED_BEFORE, MXRC_CYCLE_SKIPPED_BEFORE);
    CHECK_EQUAL(record.wake_ns, record.scheduled_ns); /* on the grid, not bunched up */
    CHECK_EQUAL(counter(MXRC_COUNTER_MISSES), 10);
    CHECK_EQUAL(rt_status()->window_misses, 10);
    CHECK_EQUAL(rt_status()->window_slots, 3 + 11); /* skipped slots are in the denominator */
    CHECK_EQUAL(counter(MXRC_COUNTER_CYCLES), 3 + 2);
    exec_done(exec);
}

static void test_late_wake(void)
{
    struct mxrc_exec *exec = running();
    fake.now_ns = exec->now.scheduled_ns + 3 * PERIOD + 5; /* overslept */
    CHECK_EQUAL(mxrc_exec_cycle(exec), 0);
    CHECK_EQUAL(last_record().wake_ns - last_record().scheduled_ns, 3 * PERIOD + 5);
    CHECK_EQUAL(counter(MXRC_COUNTER_MISSES), 4);
    CHECK_EQUAL(counter(MXRC_COUNTER_SKIPPED), 3);
    exec_done(exec);
}

static void test_policies(void)
{
    config.overrun_policy = MXRC_OVERRUN_CATCH_UP;
    struct mxrc_exec *exec = running();
    uint64_t before = last_record().cycle;
    stall(exec, 3 * PERIOD + PERIOD / 2);
    exec_run(exec, 3);
    CHECK_EQUAL(last_record().cycle, before + 4); /* every slot was run */
    CHECK_EQUAL(counter(MXRC_COUNTER_SKIPPED), 0);
    CHECK_EQUAL(counter(MXRC_COUNTER_MISSES), 3); /* the fourth wakes late, within its deadline */
    stall(exec, 500 * PERIOD);
    CHECK(counter(MXRC_COUNTER_SKIPPED) >= 399); /* catching up has a bound */
    exec_done(exec);

    config.overrun_policy = MXRC_OVERRUN_REBASE;
    exec = running();
    before = last_record().cycle;
    stall(exec, 3 * PERIOD + 77);
    uint64_t end = fake.now_ns;
    exec_run(exec, 1);
    CHECK_EQUAL(last_record().cycle, before + 2);
    CHECK_EQUAL(last_record().scheduled_ns, end);
    CHECK_EQUAL(counter(MXRC_COUNTER_SKIPPED), 0);
    CHECK_EQUAL(counter(MXRC_COUNTER_MISSES), 1);
    const struct mxrc_lease *lease = mxrc_region(&nonrt, MXRC_REGION_LEASE, NULL);
    CHECK_EQUAL(lease->grid_origin_ns + last_record().cycle * PERIOD, end);
    exec_run(exec, 1);
    CHECK_EQUAL(last_record().scheduled_ns, end + PERIOD);
    exec_done(exec);

    config.overrun_policy = MXRC_OVERRUN_SAFE;
    exec = running();
    stall(exec, 3 * PERIOD);
    exec_done(exec); /* it is in force when nobody is left to say so */
    exec = exec_made();
    CHECK_EQUAL(mxrc_exec_begin(exec, error, sizeof error), 0);
    exec_run(exec, 1);
    CHECK_EQUAL(rt_status()->state, MXRC_STATE_SAFE_MODE);
    CHECK_EQUAL(rt_status()->safe_cause, MXRC_SAFE_OVERRUN);
    exec_done(exec);
    exec_config_default();
}

static void test_window(void)
{
    struct mxrc_exec *exec = running();
    stall(exec, 20 * PERIOD - 1);
    CHECK_EQUAL(rt_status()->window_misses,
                1); /* the skipped ones count with the next slot's status */
    exec_run(exec, 1);
    CHECK_EQUAL(rt_status()->window_misses, 20);
    exec_run(exec, MXRC_MISS_WINDOW + 3 - 24); /* the first miss is the oldest slot in it */
    CHECK_EQUAL(rt_status()->window_misses, 20);
    CHECK_EQUAL(rt_status()->window_slots, MXRC_MISS_WINDOW);
    exec_run(exec, 1);
    CHECK_EQUAL(rt_status()->window_misses, 19); /* one by one they leave it */
    exec_run(exec, 30);
    CHECK_EQUAL(rt_status()->window_misses, 0);
    stall(exec, 3600 * 1000 * PERIOD); /* an hour: bounded work, a full window */
    exec_run(exec, 1);
    CHECK_EQUAL(rt_status()->window_misses, MXRC_MISS_WINDOW - 1);
    CHECK_EQUAL(counter(MXRC_COUNTER_MISSES), 20 + 3600 * 1000);
    exec_done(exec);
}

static void test_warmup(void)
{
    config.warmup_cycles = 10;
    struct mxrc_exec *exec = exec_begun();
    exec_run(exec, 4);
    stall(exec, 5 * PERIOD);
    CHECK_EQUAL(last_record().flags & MXRC_CYCLE_WARMUP, MXRC_CYCLE_WARMUP);
    exec_run(exec, 5);
    CHECK_EQUAL(last_record().flags & MXRC_CYCLE_WARMUP, MXRC_CYCLE_WARMUP);
    CHECK_EQUAL(counter(MXRC_COUNTER_MISSES), 0);
    CHECK_EQUAL(rt_metrics()->histogram[MXRC_HISTOGRAM_CYCLE_TIME].count, 0);
    CHECK_EQUAL(rt_status()->window_slots, 0);
    exec_run(exec, 1);
    CHECK_EQUAL(last_record().flags & MXRC_CYCLE_WARMUP, 0);
    CHECK_EQUAL(rt_metrics()->histogram[MXRC_HISTOGRAM_CYCLE_TIME].count, 1);
    exec_done(exec);
    exec_config_default();
}

static void test_histograms(void)
{
    struct mxrc_exec *exec = running();
    const struct mxrc_histogram *times = &rt_metrics()->histogram[MXRC_HISTOGRAM_CYCLE_TIME];
    stall(exec, 250000);
    CHECK_EQUAL(times->count, 4);
    CHECK_EQUAL(times->max_ns, 250000);
    CHECK_EQUAL(times->bucket[mxrc_histogram_index(250000)], 1);
    const struct mxrc_histogram *wake = &rt_metrics()->histogram[MXRC_HISTOGRAM_WAKEUP_LATENCY];
    fake.now_ns = exec->now.scheduled_ns + 4000;
    exec_run(exec, 1);
    CHECK_EQUAL(wake->bucket[mxrc_histogram_index(4000)], 1);
    exec_done(exec);
}

static void test_storm(void)
{
    struct mxrc_exec *exec = running();
    skip_events();
    for (int i = 0; i < 100; i++)
        stall(exec, DEADLINE + 1000);
    CHECK_EQUAL(counter(MXRC_COUNTER_MISSES), 100); /* counted all */
    CHECK_EQUAL(count_events(MXRC_EVENT_LOG, MXRC_EV_DEADLINE_MISS), 10);
    CHECK_EQUAL(counter(MXRC_COUNTER_EVENTS_SUPPRESSED), 90);
    exec_run(exec, 1300); /* the storm is over: what it left out is said without another miss */
    struct mxrc_event event;
    uint32_t suppressed = 0, lines = 0;
    while (next_event(MXRC_EVENT_LOG, MXRC_EV_DEADLINE_MISS, &event)) {
        suppressed += event.suppressed;
        lines++;
    }
    CHECK_EQUAL(lines + suppressed, 100);
    CHECK_EQUAL(lines, 11);
    exec_done(exec);
}

static void test_threshold(void)
{
    struct mxrc_exec *exec = running();
    struct mxrc_control *control = mxrc_region(&nonrt, MXRC_REGION_CONTROL, NULL);
    control->log_level[MXRC_LOGGER_CYCLE] = MXRC_LEVEL_CRITICAL;
    skip_events();
    stall(exec, DEADLINE + 1000);
    CHECK_EQUAL(count_events(MXRC_EVENT_LOG, MXRC_EV_DEADLINE_MISS), 0);
    control->log_level[MXRC_LOGGER_CYCLE] = MXRC_LEVEL_ERROR;
    stall(exec, DEADLINE + 1000);
    CHECK_EQUAL(count_events(MXRC_EVENT_LOG, MXRC_EV_DEADLINE_MISS), 1);
    /* A change of state is told below its threshold, too, but not to the log. */
    skip_events();
    control->log_level[MXRC_LOGGER_STATE] = MXRC_LEVEL_CRITICAL;
    send_event(MXRC_RT_PAUSE);
    exec_run(exec, 1);
    CHECK_EQUAL(count_events(MXRC_EVENT_STATE, MXRC_EV_STATE_CHANGED), 0);
    struct mxrc_event event;
    CHECK(next_event(MXRC_EVENT_STATE, 0, &event));
    CHECK_EQUAL((int)event.args[1], MXRC_STATE_PAUSED);
    skip_events();
    control->log_level[MXRC_LOGGER_STATE] = MXRC_LEVEL_ERROR;
    send_event(MXRC_RT_RESUME);
    exec_run(exec, 1);
    CHECK_EQUAL(count_events(MXRC_EVENT_STATE, MXRC_EV_STATE_CHANGED), 1);
    exec_done(exec);
}

/* Each message id has a storm of its own; a threshold drops before a storm counts. */
static void test_storms_are_apart(void)
{
    struct mxrc_exec *exec = running();
    struct mxrc_control *control = mxrc_region(&nonrt, MXRC_REGION_CONTROL, NULL);
    skip_events();
    for (int i = 0; i < 30; i++)
        mxrc_log(exec, MXRC_EV_DEADLINE_MISS, NULL, 1.0 + i, 2.0, 3.0, 4.0);
    mxrc_log(exec, MXRC_EV_OVERRUN, NULL, 5.0, 6.0, 7.0);
    for (int i = 0; i < 30; i++)
        mxrc_log(exec, MXRC_EV_ACTION_RETRY, NULL, 1.0, 2.0, 3.0);
    CHECK_EQUAL(counter(MXRC_COUNTER_EVENTS_SUPPRESSED), 20);
    CHECK_EQUAL(count_events(MXRC_EVENT_LOG, MXRC_EV_DEADLINE_MISS), 10);
    CHECK_EQUAL(count_events(MXRC_EVENT_LOG, MXRC_EV_OVERRUN), 1);
    CHECK_EQUAL(count_events(MXRC_EVENT_LOG, MXRC_EV_ACTION_RETRY), 30);
    skip_events();
    control->log_level[MXRC_LOGGER_CYCLE] = MXRC_LEVEL_CRITICAL;
    for (int i = 0; i < 30; i++)
        mxrc_log(exec, MXRC_EV_DEADLINE_MISS, NULL, 1.0, 2.0, 3.0, 4.0);
    CHECK_EQUAL(counter(MXRC_COUNTER_EVENTS_SUPPRESSED), 20);
    control->log_level[MXRC_LOGGER_CYCLE] = MXRC_LEVEL_TRACE;
    exec_run(exec, 1300); /* a window later; the last one left out is said with its arguments */
    struct mxrc_event event;
    CHECK(next_event(MXRC_EVENT_LOG, MXRC_EV_DEADLINE_MISS, &event));
    CHECK_EQUAL(event.suppressed, 19); /* the line itself is the twentieth */
    CHECK(event.args[0] == 30.0);
    exec_done(exec);
}

static void test_live_settings(void)
{
    struct mxrc_exec *exec = running();
    struct mxrc_exec_live live = exec->live;
    live.deadline_ns = 100000;
    CHECK_EQUAL(mxrc_exec_apply(exec, &live), 0);
    CHECK_EQUAL(mxrc_exec_apply(exec, &live), 0); /* replaces the one not taken yet */
    stall(exec, 200000);
    CHECK_EQUAL(counter(MXRC_COUNTER_MISSES), 1);
    CHECK_EQUAL(rt_status()->deadline_ns, 100000);
    live.deadline_ns = PERIOD + 1;
    CHECK_EQUAL(mxrc_exec_apply(exec, &live), EINVAL);
    live.deadline_ns = 1;
    live.overrun_policy = 9;
    CHECK_EQUAL(mxrc_exec_apply(exec, &live), EINVAL);
    exec_done(exec);
}

static void test_config_refused(void)
{
    exec_segment();
    struct {
        void *field;
        double value;
        const char *said;
    } bad[] = {
        {&config.axis[1].position_min, 4, "axis1"},
        {&config.axis[2].velocity_max, 0, "axis2"},
        {&config.axis[0].acceleration_max, NAN, "0"},
        {&config.axis[3].home, 7, "home"},
        {&config.simulated_time_constant_s, 0, "time constant"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        exec_config_default();
        memcpy(bad[i].field, &bad[i].value, sizeof(double));
        CHECK(mxrc_exec_new(&rt, &config, error, sizeof error) == NULL);
        CHECK_HAS(error, bad[i].said);
    }
    exec_config_default();
    config.period_ns = 1000;
    CHECK(mxrc_exec_new(&rt, &config, error, sizeof error) == NULL);
    exec_config_default();
    config.axis_count = 9;
    CHECK(mxrc_exec_new(&rt, &config, error, sizeof error) == NULL);
    exec_config_default();
    config.driver = 99;
    CHECK(mxrc_exec_new(&rt, &config, error, sizeof error) == NULL);
    exec_config_default();
}

int main(void)
{
    exec_config_default();
    test_slots();
    test_deadline();
    test_stall_of_ten_slots();
    test_late_wake();
    test_policies();
    test_window();
    test_warmup();
    test_histograms();
    test_storm();
    test_threshold();
    test_storms_are_apart();
    test_live_settings();
    test_config_refused();
    return test_summary();
}
