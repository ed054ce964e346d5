/* test_spin_margin.c: the margin "auto" covers what the kernel's wake-ups ask for, soon after they change; rules that are wrong in one
 * way each must be found. */
#include "exec_fixture.h"

#include "../src/spin_margin.h"

typedef uint64_t rule(uint64_t margin_ns, uint64_t period_ns, uint64_t late_ns);

/* ---- wrong ---- */

static uint64_t never_raised(uint64_t margin_ns, uint64_t period_ns, uint64_t late_ns)
{
    return late_ns < margin_ns ? mxrc_spin_margin_next(margin_ns, period_ns, late_ns) : margin_ns;
}

static uint64_t never_lowered(uint64_t margin_ns, uint64_t period_ns, uint64_t late_ns)
{
    return late_ns < margin_ns ? margin_ns : mxrc_spin_margin_next(margin_ns, period_ns, late_ns);
}

static uint64_t raised_slowly(uint64_t margin_ns, uint64_t period_ns, uint64_t late_ns)
{
    if (late_ns >= margin_ns && late_ns < period_ns / 2)
        return margin_ns + margin_ns / 8000;
    return mxrc_spin_margin_next(margin_ns, period_ns, late_ns);
}

static uint64_t without_bounds(uint64_t margin_ns, uint64_t period_ns, uint64_t late_ns)
{
    if (late_ns < margin_ns)
        return margin_ns - margin_ns / 8000;
    return late_ns < period_ns / 2 ? margin_ns + margin_ns / 8 : margin_ns;
}

static uint64_t as_late_as_the_last(uint64_t margin_ns, uint64_t period_ns, uint64_t late_ns)
{
    if (late_ns >= margin_ns && late_ns < period_ns / 2)
        return late_ns + late_ns / 4;
    return mxrc_spin_margin_next(margin_ns, period_ns, late_ns);
}

static uint64_t raised_in_vain(uint64_t margin_ns, uint64_t period_ns, uint64_t late_ns)
{
    return mxrc_spin_margin_next(margin_ns, period_ns,
                                 late_ns < period_ns / 2 ? late_ns : period_ns / 2 - 1);
}

/* ---- claims ---- */

static uint64_t random_state;

static double uniform(void)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return ((double)(random_state >> 11) + 0.5) * 0x1p-53;
}

/* How late a wake-up is: mostly about `usual`, with a tail that falls off by e per `usual`. */
static double lateness(double usual_ns)
{
    return usual_ns * (1.0 - log(uniform()));
}

/* Late wake-ups in a thousand, of `count`. */
static double run(rule *next, uint64_t *margin, double usual_ns, uint32_t count)
{
    uint32_t late = 0;
    for (uint32_t i = 0; i < count; i++) {
        uint64_t late_ns = (uint64_t)lateness(usual_ns);
        late += late_ns >= *margin;
        *margin = next(*margin, PERIOD, late_ns);
    }
    return 1000.0 * late / count;
}

/* What does not hold of a rule; NULL: everything does. */
static const char *fault(rule *next)
{
    random_state = 1;
    uint64_t margin = MXRC_SPIN_MARGIN_FIRST_NS;
    run(next, &margin, 5000, 50000);
    double late = run(next, &margin, 5000, 200000);
    if (late < 0.7 || late > 1.5)
        return "settled, one wake-up in a thousand is late";
    if (margin < 25000 || margin > 70000) /* 5 us (1 + ln 1000) is 40 us */
        return "settled, the margin is about the 99.9th percentile";
    uint64_t quiet = margin;
    if (run(next, &margin, 30000, 1000) > 30)
        return "of the first thousand wake-ups under load few are late";
    if (run(next, &margin, 30000, 50000) > 1.5)
        return "under load, one wake-up in a thousand is late";
    run(next, &margin, 5000, 40000);
    if (margin > 2 * quiet)
        return "the load gone, the margin is small again";
    uint64_t raised = next(quiet, PERIOD, PERIOD / 2 - 1);
    if (raised <= quiet || raised > quiet + quiet / 4)
        return "one outlier raises it, but not by much";
    if (next(quiet, PERIOD, PERIOD / 2) != quiet)
        return "what no margin covers does not raise it";
    run(next, &margin, 150000, 5000);
    if (margin < 450000 || margin > PERIOD / 2)
        return "half a period is the most";
    run(next, &margin, 1, 100000);
    if (margin != MXRC_SPIN_MARGIN_MIN_NS)
        return "it has a least";
    return NULL;
}

static void test_rules(void)
{
    const char *found = fault(mxrc_spin_margin_next);
    if (found)
        printf("does not hold: %s\n", found);
    CHECK(found == NULL);
    CHECK(fault(never_raised) != NULL);
    CHECK(fault(never_lowered) != NULL);
    CHECK(fault(raised_slowly) != NULL);
    CHECK(fault(without_bounds) != NULL);
    CHECK(fault(as_late_as_the_last) != NULL);
    CHECK(fault(raised_in_vain) != NULL);
    CHECK_EQUAL(mxrc_spin_margin_next(49000, 100000, 49500), 50000); /* 10 kHz */
    CHECK_EQUAL(mxrc_spin_margin_next(100, 1000, 1),
                500); /* the bound of the period is the stronger */
}

/* ---- the executive ---- */

static struct mxrc_exec *hybrid(uint32_t automatic, uint64_t margin_ns)
{
    config.wait_mode = MXRC_WAIT_HYBRID;
    config.spin_margin_auto = automatic;
    config.spin_margin_ns = margin_ns;
    struct mxrc_exec *exec = exec_begun();
    exec_run(exec, 1);
    return exec;
}

static uint64_t wakeup(void)
{
    return last_record().wake_ns - last_record().scheduled_ns;
}

static void test_executive_follows(void)
{
    struct mxrc_exec *exec = hybrid(1, 0);
    uint64_t margin = rt_status()->spin_margin_ns;
    CHECK(margin > 99000 && margin <= 100000);
    fake.oversleep_ns = 150000;
    exec_run(exec, 1);
    CHECK_EQUAL(wakeup(), 150000 - margin);
    CHECK_EQUAL(rt_status()->spin_margin_ns, margin + margin / 8);
    exec_run(exec, 20);
    CHECK_EQUAL(wakeup(), 0);
    CHECK(rt_status()->spin_margin_ns > 150000);
    CHECK(rt_status()->spin_margin_ns < 150000 * 9 / 8);
    uint64_t before = rt_status()->spin_margin_ns;
    fake.oversleep_ns = 700000; /* more than may be spun */
    exec_run(exec, 40);
    CHECK_EQUAL(rt_status()->spin_margin_ns, before);
    fake.oversleep_ns = 499000;
    exec_run(exec, 40);
    CHECK(rt_status()->spin_margin_ns > 499000);
    CHECK_EQUAL(wakeup(), 0);
    fake.oversleep_ns = 1000;
    exec_run(exec, 40000);
    CHECK_EQUAL(rt_status()->spin_margin_ns, MXRC_SPIN_MARGIN_MIN_NS);
    CHECK_EQUAL(wakeup(), 0);
    exec_done(exec);
    exec_config_default();
}

/* Late because of the work before, not because of the kernel. */
static void test_work_is_not_the_kernel(void)
{
    struct mxrc_exec *exec = hybrid(1, 0);
    uint64_t margin = rt_status()->spin_margin_ns;
    fake.work_ns = PERIOD + 10000;
    exec->live.overrun_policy = MXRC_OVERRUN_CATCH_UP;
    exec_run(exec, 50);
    CHECK(rt_status()->spin_margin_ns <= margin);
    fake.work_ns = 0;
    exec_done(exec);
    exec_config_default();
}

static void test_live_changes(void)
{
    struct mxrc_exec *exec = hybrid(1, 0);
    fake.oversleep_ns = 250000;
    exec_run(exec, 100);
    uint64_t learned = rt_status()->spin_margin_ns;
    CHECK(learned > 250000);
    struct mxrc_exec_live live = exec->live;
    live.deadline_ns = 500000;
    CHECK_EQUAL(mxrc_exec_apply(exec, &live), 0);
    exec_run(exec, 1);
    CHECK(rt_status()->spin_margin_ns > learned - 100); /* another setting does not forget it */
    live.spin_margin_auto = 0;
    live.spin_margin_ns = 70000;
    CHECK_EQUAL(mxrc_exec_apply(exec, &live), 0);
    exec_run(exec, 50);
    CHECK_EQUAL(rt_status()->spin_margin_ns, 70000);
    CHECK_EQUAL(wakeup(), 180000);
    live.spin_margin_ns = 900000;
    CHECK_EQUAL(mxrc_exec_apply(exec, &live), 0);
    exec_run(exec, 1);
    CHECK_EQUAL(rt_status()->spin_margin_ns, PERIOD / 2);
    live.wait_mode = MXRC_WAIT_SLEEP;
    CHECK_EQUAL(mxrc_exec_apply(exec, &live), 0);
    exec_run(exec, 2);
    CHECK_EQUAL(rt_status()->spin_margin_ns, 0);
    CHECK_EQUAL(wakeup(), 250000);
    live.spin_margin_auto = 2;
    CHECK_EQUAL(mxrc_exec_apply(exec, &live), EINVAL);
    exec_done(exec);
    exec_config_default();
}

static void test_busy(void)
{
    config.wait_mode = MXRC_WAIT_BUSY;
    struct mxrc_exec *exec = exec_begun();
    fake.oversleep_ns = 250000;
    exec_run(exec, 10);
    CHECK_EQUAL(wakeup(), 0);
    CHECK_EQUAL(fake.sleeps, 0);
    exec_done(exec);
    exec_config_default();
}

int main(void)
{
    exec_config_default();
    test_rules();
    test_executive_follows();
    test_work_is_not_the_kernel();
    test_live_changes();
    test_busy();
    return test_summary();
}
