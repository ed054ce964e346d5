/* test_exec_restore.c: going on from a checkpoint, in a segment without a state. */
#include "../src/state_block.h"
#include "exec_fixture.h"

static struct mxrc_exec_restore checkpoint(uint32_t state)
{
    struct mxrc_exec_restore restore = {
        .state = state, .state_before = MXRC_STATE_RUNNING, .checkpoint = 7, .cycle = 4711};
    for (uint32_t i = 0; i < AXES; i++)
        restore.setpoint[i] = 0.1 * i; /* home: where the simulated arm begins */
    return restore;
}

static struct mxrc_exec *begun_from(const struct mxrc_exec_restore *restore)
{
    exec_segment();
    struct mxrc_exec *exec = exec_made();
    CHECK_EQUAL(mxrc_exec_restore(exec, restore, error, sizeof error), 0);
    CHECK_EQUAL(mxrc_exec_begin(exec, error, sizeof error), 0);
    return exec;
}

static void test_each_state_goes_on(void)
{
    for (uint32_t state = MXRC_STATE_READY; state <= MXRC_STATE_ERROR; state++) {
        struct mxrc_exec_restore restore = checkpoint(state);
        restore.safe_cause = state == MXRC_STATE_SAFE_MODE ? MXRC_SAFE_REQUEST : MXRC_SAFE_NONE;
        struct mxrc_exec *exec = begun_from(&restore);
        CHECK_EQUAL(exec_run(exec, 20), 0);
        CHECK_EQUAL(rt_status()->state, state); /* READY, too: auto_start is for clean starts */
        CHECK_EQUAL(rt_status()->last_recovery, 2);
        struct mxrc_event event;
        CHECK(next_event(MXRC_EVENT_LOG, MXRC_EV_RECOVERED_CHECKPOINT, &event));
        CHECK(event.args[0] == 7 && event.args[1] == 4711 && event.args[3] == 0);
        CHECK_EQUAL(count_events(MXRC_EVENT_LOG, MXRC_EV_CLEAN_START), 0);
        exec_done(exec);
    }
}

static void test_each_cause_goes_on(void)
{
    for (uint32_t cause = MXRC_SAFE_REQUEST; cause <= MXRC_SAFE_ENTRY; cause++) {
        struct mxrc_exec_restore restore = checkpoint(MXRC_STATE_SAFE_MODE);
        restore.safe_cause = cause;
        struct mxrc_exec *exec = begun_from(&restore);
        CHECK_EQUAL(exec_run(exec, 20), 0);
        CHECK_EQUAL(rt_status()->state, MXRC_STATE_SAFE_MODE);
        CHECK_EQUAL(rt_status()->safe_cause, cause);
        exec_done(exec);
    }
}

/* The arm has been moved by hand: it stays where it is. */
static void test_nothing_moves(void)
{
    for (uint32_t state = MXRC_STATE_READY; state <= MXRC_STATE_ERROR; state++) {
        struct mxrc_exec_restore restore = checkpoint(state);
        restore.setpoint[2] += 0.5;
        struct mxrc_exec *exec = begun_from(&restore);
        for (uint32_t n = 0; n < 50; n++) {
            CHECK_EQUAL(mxrc_exec_cycle(exec), 0);
            for (uint32_t i = 0; i < AXES; i++)
                CHECK_SAY(fabs(exec->axis[i].command - 0.1 * i) < 1e-9,
                          "state %u, cycle %u: axis %u is sent to %g", state, n, i,
                          exec->axis[i].command);
        }
        struct mxrc_event event;
        CHECK(next_event(MXRC_EVENT_LOG, MXRC_EV_AXIS_MOVED, &event));
        CHECK(event.args[0] == 2 && fabs(event.args[2] - 0.7) < 1e-9);
        CHECK(next_event(MXRC_EVENT_LOG, MXRC_EV_RECOVERED_CHECKPOINT, &event));
        CHECK(event.args[3] == 1);
        exec_done(exec);
    }
}

/* The simulated arm is where its driver's state says; another driver's state is left alone. */
static void test_driver_state(void)
{
    struct mxrc_exec *exec = exec_begun();
    exec->axis[1].setpoint = exec->axis[1].command = 0.11;
    CHECK_EQUAL(exec_run(exec, 200), 0);
    struct mxrc_exec_restore restore = checkpoint(MXRC_STATE_PAUSED);
    double position = exec->inputs.position[1];
    restore.setpoint[1] = position;
    for (uint32_t i = 0; i < exec->section_count; i++)
        if (exec->section[i]->id == MXRC_SECTION_DRIVER) {
            restore.driver_version = exec->section[i]->version;
            restore.driver_bytes = exec->section[i]->save(exec, restore.driver);
        }
    exec_done(exec);
    CHECK(position > 0.105 && restore.driver_bytes > 0);
    for (int foreign = 0; foreign < 2; foreign++) {
        if (foreign)
            restore.driver[0] ^= 1; /* its name */
        exec = begun_from(&restore);
        CHECK_EQUAL(exec_run(exec, 20), 0);
        CHECK(fabs(exec->axis[1].command - (foreign ? 0.1 : position)) < 1e-6);
        exec_done(exec);
    }
}

/* The segment's own state is newer than any checkpoint. */
static void test_state_block_first(void)
{
    struct mxrc_exec *exec = exec_begun();
    CHECK_EQUAL(exec_run(exec, 10), 0);
    exec_done(exec);
    struct mxrc_exec_restore restore = checkpoint(MXRC_STATE_ERROR);
    exec = exec_made();
    CHECK_EQUAL(mxrc_exec_restore(exec, &restore, error, sizeof error), 0);
    CHECK_EQUAL(mxrc_exec_begin(exec, error, sizeof error), 0);
    CHECK_EQUAL(exec_run(exec, 2), 0);
    CHECK_EQUAL(rt_status()->state, MXRC_STATE_RUNNING);
    CHECK_EQUAL(rt_status()->last_recovery, 1);
    exec_done(exec);
}

static void test_recovery_disabled(void)
{
    struct mxrc_exec *exec = exec_begun();
    CHECK_EQUAL(exec_run(exec, 10), 0);
    send_event(MXRC_RT_PAUSE);
    CHECK_EQUAL(exec_run(exec, 2), 0);
    CHECK_EQUAL(rt_status()->state, MXRC_STATE_PAUSED);
    exec_done(exec);
    skip_events();
    config.ignore_state = 1;
    exec = exec_made();
    config.ignore_state = 0;
    CHECK_EQUAL(mxrc_exec_begin(exec, error, sizeof error), 0);
    CHECK_EQUAL(exec_run(exec, 5), 0);
    CHECK_EQUAL(rt_status()->state, MXRC_STATE_RUNNING); /* auto_start, as at any clean start */
    CHECK_EQUAL(rt_status()->last_recovery, 0);
    CHECK_EQUAL(count_events(MXRC_EVENT_LOG, MXRC_EV_CLEAN_START), 1);
    struct mxrc_state_block block;
    CHECK(mxrc_state_read(&rt, &block) && block.epoch == 2);
    exec_done(exec);
}

static void test_refused(void)
{
    exec_segment();
    struct mxrc_exec *exec = exec_made();
    const uint32_t no_states[] = {MXRC_STATE_INIT, MXRC_STATE_SHUTDOWN, 99};
    for (uint32_t i = 0; i < 3; i++) {
        struct mxrc_exec_restore restore = checkpoint(no_states[i]);
        CHECK_EQUAL(mxrc_exec_restore(exec, &restore, error, sizeof error), EINVAL);
        CHECK_HAS(error, "RT state");
    }
    struct mxrc_exec_restore restore = checkpoint(MXRC_STATE_RUNNING);
    restore.setpoint[AXES - 1] = NAN;
    CHECK_EQUAL(mxrc_exec_restore(exec, &restore, error, sizeof error), EINVAL);
    restore = checkpoint(MXRC_STATE_RUNNING);
    restore.driver_bytes = sizeof restore.driver + 1;
    CHECK_EQUAL(mxrc_exec_restore(exec, &restore, error, sizeof error), EINVAL);
    CHECK_EQUAL(mxrc_exec_begin(exec, error, sizeof error), 0);
    CHECK_EQUAL(exec_run(exec, 5), 0);
    CHECK_EQUAL(rt_status()->last_recovery, 0);
    exec_done(exec);
}

int main(void)
{
    exec_config_default();
    test_each_state_goes_on();
    test_each_cause_goes_on();
    test_nothing_moves();
    test_driver_state();
    test_state_block_first();
    test_recovery_disabled();
    test_refused();
    return test_summary();
}
