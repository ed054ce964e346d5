/* test_exec_run.c: cycles with a task that moves the arm, with a fake clock and on a thread of its own. */
#include "exec_fixture.h"

static void test_move_with_fake_clock(void)
{
    struct mxrc_exec *exec = exec_begun();
    CHECK_EQUAL(exec_run(exec, 2), 0);
    CHECK_EQUAL(rt_status()->state, MXRC_STATE_RUNNING);
    program_begin();
    program_move(0, 1.0, 500000000);
    program_move(0, -0.5, 100000000); /* too short for its limits: takes longer */
    program_end();
    uint64_t number = send_start(7, 0);
    double previous = 0, velocity = 0, top_velocity = 0, top_acceleration = 0;
    uint32_t n = 0;
    for (; n < 5000; n++) {
        CHECK_EQUAL(mxrc_exec_cycle(exec), 0);
        double v = (exec->outputs.command[0] - previous) / 1e-3;
        top_velocity = fmax(top_velocity, fabs(v));
        top_acceleration = fmax(top_acceleration, fabs(v - velocity) / 1e-3);
        velocity = v;
        previous = exec->outputs.command[0];
        if (n > 5 && rt_status()->active_tasks == 0)
            break;
    }
    CHECK_EQUAL(reply_to(number), MXRC_OK);
    CHECK_SAY(n > 1000 && n < 4000, "%u cycles", n);
    CHECK_SAY(top_velocity <= 2 * (1 + 1e-6), "velocity %g", top_velocity);
    CHECK_SAY(top_acceleration <= 10 * (1 + 1e-5), "acceleration %g", top_acceleration);
    CHECK(top_velocity > 1.3);
    CHECK_SAY(exec->outputs.command[0] == -0.5, "%g", exec->outputs.command[0]);
    CHECK_EQUAL(counter(MXRC_COUNTER_OUTPUTS_LIMITED), 0);
    CHECK_EQUAL(exec_run(exec, 200), 0);
    CHECK(fabs(last_record().position[0] + 0.5) < 1e-6);
    CHECK_EQUAL(counter(MXRC_COUNTER_TASKS_COMPLETED), 1);
    CHECK_EQUAL(counter(MXRC_COUNTER_MISSES), 0);
    exec_done(exec);
}

static void test_thread(void)
{
    exec_segment();
    struct mxrc_exec *exec = mxrc_exec_new(&rt, &config, error, sizeof error);
    CHECK(exec != NULL);
    CHECK_EQUAL(mxrc_exec_start(exec, error, sizeof error), 0);
    fake.now_ns = mxrc_now_ns();
    program_begin();
    program_move(2, 0.5, 100000000);
    program_end();
    send_start(9, 1);
    for (int i = 0; i < 500 && counter(MXRC_COUNTER_TASKS_COMPLETED) == 0; i++)
        usleep(10000);
    CHECK_EQUAL(counter(MXRC_COUNTER_TASKS_COMPLETED), 1);
    CHECK_EQUAL(mxrc_exec_running(exec), 1);
    CHECK_EQUAL(mxrc_exec_join(exec, 1), ETIMEDOUT);
    CHECK_EQUAL(mxrc_exec_post(exec, MXRC_RT_STOP), 0);
    CHECK_EQUAL(mxrc_exec_join(exec, 10000), 0);
    CHECK_EQUAL(mxrc_exec_running(exec), 0);
    CHECK_EQUAL(mxrc_exec_result(exec), 0);
    CHECK_EQUAL(rt_status()->state, MXRC_STATE_SHUTDOWN);
    CHECK_EQUAL(last_record().state, MXRC_STATE_SHUTDOWN);
    const struct mxrc_rt_metrics *metrics = rt_metrics();
    CHECK(metrics->histogram[MXRC_HISTOGRAM_CYCLE_TIME].count > 50);
    mxrc_exec_free(exec);
}

int main(void)
{
    exec_config_default();
    test_move_with_fake_clock();
    test_thread();
    return test_summary();
}
