/* test_exec_law.c: a law that fails or asks for too much, a driver that fails, and outputs within limits whatever
 * happens. */
#include "exec_fixture.h"

static double (*wanted)(double t); /* what the law under test asks for on axis 1 */
static int code;
static int resets;
static double clock_s;

static int law_init(void *state, const double *parameters, uint32_t axes, double dt)
{
    (void)state, (void)parameters, (void)axes, (void)dt;
    return 0;
}

static int law_step(void *state, const double *parameters, const struct mxrc_law_input *input,
                    double *command)
{
    (void)state, (void)parameters;
    memcpy(command, input->setpoint, input->axes * sizeof *command);
    if (wanted)
        command[1] = wanted(clock_s += input->dt);
    return code;
}

static void law_reset(void *state, const double *parameters, const struct mxrc_law_input *input)
{
    (void)state, (void)parameters, (void)input;
    resets++;
}

static struct mxrc_law law = {
    .abi = MXRC_LAW_ABI,
    .bytes = sizeof(struct mxrc_law),
    .name = "under_test",
    .command = MXRC_LAW_POSITION,
    .state_bytes = 64,
    .state_version = 1,
    .init = law_init,
    .step = law_step,
    .reset = law_reset,
};

static struct mxrc_exec *with_law(void)
{
    exec_segment();
    struct mxrc_exec *exec = exec_made();
    CHECK_EQUAL(mxrc_exec_use_law(exec, &law, NULL, 0, error, sizeof error), 0);
    wanted = NULL;
    code = 0;
    clock_s = 0;
    CHECK_EQUAL(mxrc_exec_begin(exec, error, sizeof error), 0);
    return exec;
}

/* Cycles with axis 1 checked against its limits; the greatest position. */
static double run_within_limits(struct mxrc_exec *exec, uint32_t count)
{
    const struct mxrc_axis_config *limits = &config.axis[1];
    double previous = exec->axis[1].command, velocity = exec->axis[1].command_velocity;
    double highest = previous, fastest = 0, hardest = 0;
    for (uint32_t i = 0; i < count; i++) {
        mxrc_exec_cycle(exec);
        double now = exec->outputs.command[1];
        double v = (now - previous) / 1e-3;
        CHECK(isfinite(now) && now <= limits->position_max && now >= limits->position_min);
        fastest = fmax(fastest, fabs(v));
        hardest = fmax(hardest, fabs(v - velocity) / 1e-3);
        highest = fmax(highest, now);
        velocity = v;
        previous = now;
    }
    CHECK_SAY(fastest <= limits->velocity_max * (1 + 1e-4), "velocity %g", fastest);
    CHECK_SAY(hardest <= limits->acceleration_max * (1 + 1e-2), "acceleration %g", hardest);
    return highest;
}

static double not_a_number(double t)
{
    return t < 0.05 ? 0.1 : NAN;
}

static double endless(double t)
{
    (void)t;
    return INFINITY;
}

static double far_away(double t)
{
    (void)t;
    return 100;
}

static double too_fast(double t)
{
    return 0.1 + 2.5 * sin(40 * t);
}

static double jumps(double t)
{
    return (long)(t * 10) % 2 ? 1 : -1;
}

static void test_not_a_number(void)
{
    double (*const variants[])(double) = {not_a_number, endless};
    for (uint32_t i = 0; i < 2; i++) {
        struct mxrc_exec *exec = with_law();
        exec_run(exec, 5);
        wanted = variants[i];
        run_within_limits(exec, 200);
        CHECK_EQUAL(rt_status()->state, MXRC_STATE_SAFE_MODE);
        CHECK_EQUAL(rt_status()->safe_cause, MXRC_SAFE_LAW_FAULT);
        struct mxrc_event event;
        CHECK(next_event(MXRC_EVENT_LOG, MXRC_EV_LAW_FAULT, &event));
        CHECK(event.args[0] == 1); /* the axis */
        CHECK_EQUAL(count_events(MXRC_EVENT_LOG, MXRC_EV_LAW_FAULT), 0);
        CHECK_EQUAL(last_record().flags & MXRC_CYCLE_OUTPUTS_HELD, MXRC_CYCLE_OUTPUTS_HELD);
        exec_done(exec);
    }
}

/* In the cycle of the fault itself the outputs are safe ones, also while a task moves an axis. */
static void test_error_while_moving(void)
{
    struct mxrc_exec *exec = with_law();
    program_begin();
    program_move(1, 2.0, 0);
    program_end();
    send_start(1, 0);
    run_within_limits(exec, 600);
    CHECK(exec->axis[1].command_velocity > 0.2);
    code = 42;
    int before = resets;
    run_within_limits(exec, 1000);
    CHECK_EQUAL(rt_status()->state, MXRC_STATE_SAFE_MODE);
    CHECK_EQUAL(resets, before);
    code = 0;
    send_event(MXRC_RT_SAFE_MODE_EXIT);
    exec_run(exec, 2);
    CHECK_EQUAL(resets, before + 1); /* takes over from the safe action */
    send_event(MXRC_RT_RESUME);
    run_within_limits(exec, 3000);
    CHECK(exec->axis[1].command == 2.0);
    exec_done(exec);
}

static void test_limits(void)
{
    struct mxrc_exec *exec = with_law();
    exec_run(exec, 5);
    wanted = far_away;
    double highest = run_within_limits(exec, 3000);
    CHECK_SAY(highest > 2.9999, "reaches its bound: %g", highest);
    CHECK_EQUAL(last_record().flags & MXRC_CYCLE_LIMITED, MXRC_CYCLE_LIMITED);
    CHECK(counter(MXRC_COUNTER_OUTPUTS_LIMITED) > 1000);
    CHECK(count_events(MXRC_EVENT_LOG, MXRC_EV_OUTPUT_LIMITED) < 50);
    exec_done(exec);
    exec = with_law();
    exec_run(exec, 5);
    wanted = too_fast;
    run_within_limits(exec, 3000);
    wanted = jumps;
    run_within_limits(exec, 3000);
    CHECK_EQUAL(rt_status()->state, MXRC_STATE_RUNNING);
    exec_done(exec);
}

/* A task may go to the very bound, however short the way: nothing is cut on the way. */
static void test_to_the_bound(void)
{
    struct mxrc_exec *exec = with_law();
    const double targets[] = {3, 2.9999, 3, 2.99, 3, -3};
    program_begin();
    for (uint32_t i = 0; i < sizeof targets / sizeof targets[0]; i++)
        program_move(1, targets[i], 0);
    program_end();
    send_start(1, 0);
    run_within_limits(exec, 20000);
    CHECK_EQUAL(rt_status()->active_tasks, 0);
    CHECK(exec->axis[1].command == -3);
    CHECK_EQUAL(counter(MXRC_COUNTER_OUTPUTS_LIMITED), 0);
    exec_done(exec);
}

static int refusing_init(void *state, const double *parameters, uint32_t axes, double dt)
{
    (void)state, (void)parameters, (void)axes, (void)dt;
    return 17;
}

static void test_refused(void)
{
    exec_segment();
    struct mxrc_exec *exec = exec_made();
    struct mxrc_law bad = law;
    bad.abi++;
    CHECK_EQUAL(mxrc_exec_use_law(exec, &bad, NULL, 0, error, sizeof error), EINVAL);
    CHECK_HAS(error, "interface 2");
    bad = law;
    bad.state_bytes = MXRC_LAW_STATE_BYTES + 1;
    CHECK_EQUAL(mxrc_exec_use_law(exec, &bad, NULL, 0, error, sizeof error), EINVAL);
    CHECK_HAS(error, "under_test");
    bad = law;
    bad.parameter_count = 3;
    CHECK_EQUAL(mxrc_exec_use_law(exec, &bad, NULL, 0, error, sizeof error), EINVAL);
    bad = law;
    bad.command = MXRC_LAW_EFFORT;
    struct mxrc_driver positions = *exec->driver;
    const struct mxrc_driver *both = exec->driver;
    positions.accepts = 1u << MXRC_LAW_POSITION;
    exec->driver = &positions;
    CHECK_EQUAL(mxrc_exec_use_law(exec, &bad, NULL, 0, error, sizeof error), EINVAL);
    CHECK_HAS(error, "does not take");
    exec->driver = both;
    bad = law;
    bad.init = refusing_init;
    CHECK_EQUAL(mxrc_exec_use_law(exec, &bad, NULL, 0, error, sizeof error), EINVAL);
    CHECK_HAS(error, "code 17");
    bad = law;
    bad.command = 0;
    CHECK_EQUAL(mxrc_exec_use_law(exec, &bad, NULL, 0, error, sizeof error), EINVAL);
    bad = law;
    bad.step = NULL;
    CHECK_EQUAL(mxrc_exec_use_law(exec, &bad, NULL, 0, error, sizeof error), EINVAL);
    mxrc_exec_free(exec);
}

/* ---- a driver that fails ---- */

static struct mxrc_driver broken;
static int read_code, commit_code;
static int (*real_read)(void *, void *, uint64_t, struct mxrc_driver_inputs *);
static int (*real_commit)(void *, void *, uint64_t, uint64_t, const struct mxrc_driver_outputs *);

static int broken_read(void *instance, void *state, uint64_t time_ns,
                       struct mxrc_driver_inputs *inputs)
{
    return read_code ? read_code : real_read(instance, state, time_ns, inputs);
}

static int broken_commit(void *instance, void *state, uint64_t epoch, uint64_t cycle,
                         const struct mxrc_driver_outputs *outputs)
{
    return commit_code ? commit_code : real_commit(instance, state, epoch, cycle, outputs);
}

static void test_driver_fault(void)
{
    for (int i = 0; i < 2; i++) {
        struct mxrc_exec *exec = exec_begun();
        broken = *exec->driver;
        real_read = broken.read;
        real_commit = broken.commit;
        broken.read = broken_read;
        broken.commit = broken_commit;
        exec->driver = &broken;
        read_code = commit_code = 0;
        CHECK_EQUAL(exec_run(exec, 5), 0);
        CHECK_EQUAL(rt_status()->state, MXRC_STATE_RUNNING);
        *(i ? &read_code : &commit_code) = 5;
        CHECK_EQUAL(exec_run(exec, 20), 0);
        CHECK_EQUAL(rt_status()->state, MXRC_STATE_SAFE_MODE);
        CHECK_EQUAL(rt_status()->safe_cause, MXRC_SAFE_DRIVER);
        CHECK(count_events(MXRC_EVENT_LOG, MXRC_EV_DRIVER_FAULT) >= 1);
        exec_done(exec);
    }
}

int main(void)
{
    exec_config_default();
    test_not_a_number();
    test_error_while_moving();
    test_limits();
    test_to_the_bound();
    test_refused();
    test_driver_fault();
    return test_summary();
}
