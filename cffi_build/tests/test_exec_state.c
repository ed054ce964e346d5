/* test_exec_state.c: every pair of state and event, and what states mean for outputs, heartbeat and the end. */
#include "exec_fixture.h"

enum {
    I = MXRC_STATE_INIT,
    D = MXRC_STATE_READY,
    R = MXRC_STATE_RUNNING,
    P = MXRC_STATE_PAUSED,
    S = MXRC_STATE_SAFE_MODE,
    E = MXRC_STATE_ERROR,
    X = MXRC_STATE_SHUTDOWN,
    no = -1
};

/* Written out from the contract; columns START PAUSE RESUME STOP ERROR_OCCUR SAFE_MODE_ENTER SAFE_MODE_EXIT RESET. */
static const int contract[7][8] = {
    /* INIT      */ {no, no, no, X, E, no, no, no},
    /* READY     */ {R, no, no, X, E, S, no, I},
    /* RUNNING   */ {no, P, no, X, E, S, no, no},
    /* PAUSED    */ {no, no, R, X, E, S, no, I},
    /* SAFE_MODE */ {no, no, no, X, E, no, P, no},
    /* ERROR     */ {no, no, no, X, no, no, no, I},
    /* SHUTDOWN  */ {no, no, no, no, no, no, no, no},
};

static void test_table(void)
{
    for (uint32_t state = 0; state < 7; state++)
        for (uint32_t event = 0; event < 8; event++)
            for (uint32_t before = 0; before < 7; before++) {
                int expected = contract[state][event];
                if (state == S && event == MXRC_RT_SAFE_MODE_EXIT && before == D)
                    expected = D;
                CHECK_SAY(mxrc_state_next(state, event, before) == expected, "%s on %s from %s",
                          mxrc_state_name(state), mxrc_rt_event_name(event),
                          mxrc_state_name(before));
            }
    CHECK_EQUAL(mxrc_state_next(I, MXRC_RT_LOADED, 0), D);
    for (uint32_t state = 1; state < 7; state++)
        CHECK(mxrc_state_next(state, MXRC_RT_LOADED, 0) == -1);
    CHECK(mxrc_state_next(7, 0, 0) == -1);
    CHECK(mxrc_state_next(0, 9, 0) == -1);
}

/* Every pair by command on a running executive: the reply, the state, and one line about it. */
static void test_pairs_by_command(void)
{
    config.auto_start = 0;
    for (uint32_t state = D; state <= E; state++)
        for (uint32_t event = 0; event < 8; event++) {
            struct mxrc_exec *exec = exec_begun();
            exec_run(exec, 1);
            exec->state = state;
            exec->state_before = R;
            skip_events();
            uint64_t number = send_event(event);
            int ended = mxrc_exec_cycle(exec);
            int expected = contract[state][event];
            CHECK_EQUAL(reply_to(number), expected == no ? MXRC_ERR_STATE : MXRC_OK);
            CHECK_EQUAL(rt_status()->state, expected == no ? state : (uint32_t)expected);
            CHECK_EQUAL(count_events(MXRC_EVENT_STATE, MXRC_EV_STATE_CHANGED), expected != no);
            CHECK_EQUAL(count_events(MXRC_EVENT_LOG, MXRC_EV_STATE_REFUSED), expected == no);
            CHECK_EQUAL(ended, expected == X);
            exec_done(exec);
        }
    exec_config_default();
}

static void test_start_and_reset(void)
{
    config.auto_start = 0;
    struct mxrc_exec *exec = exec_begun();
    exec_run(exec, 5);
    CHECK_EQUAL(rt_status()->state, D);
    send_event(MXRC_RT_START);
    exec_run(exec, 1);
    CHECK_EQUAL(rt_status()->state, R);
    exec_done(exec);
    config.auto_start = 1;
    exec = exec_begun();
    exec_run(exec, 1);
    CHECK_EQUAL(rt_status()->state, R);
    send_event(MXRC_RT_ERROR_OCCUR);
    exec_run(exec, 1);
    CHECK_EQUAL(rt_status()->state, E);
    send_event(MXRC_RT_RESET);
    exec_run(exec, 1);
    CHECK_EQUAL(rt_status()->state, I);
    exec_run(exec, 1);
    CHECK_EQUAL(rt_status()->state, R);
    exec_done(exec);
}

/* READY, SAFE_MODE and back: auto_start has been issued and does not come again. */
static void test_safe_mode_from_ready(void)
{
    config.auto_start = 0;
    struct mxrc_exec *exec = exec_begun();
    exec_run(exec, 1);
    send_event(MXRC_RT_SAFE_MODE_ENTER);
    exec_run(exec, 1);
    CHECK_EQUAL(rt_status()->state, S);
    CHECK_EQUAL(rt_status()->safe_cause, MXRC_SAFE_REQUEST);
    CHECK_EQUAL(rt_status()->state_before, D);
    send_event(MXRC_RT_SAFE_MODE_EXIT);
    exec_run(exec, 3);
    CHECK_EQUAL(rt_status()->state, D);
    exec_done(exec);
    exec_config_default();
}

static void run_beating(struct mxrc_exec *exec, uint64_t count)
{
    while (count--) {
        beat();
        mxrc_exec_cycle(exec);
    }
}

static void test_heartbeat(uint32_t resume)
{
    config.safe_mode_resume = resume;
    struct mxrc_exec *exec = exec_begun();
    exec_run(exec, 2000);
    CHECK_EQUAL(rt_status()->state, R); /* not armed before the first beat */
    run_beating(exec, 10);
    exec_run(exec, 499);
    CHECK_EQUAL(rt_status()->state, R);
    exec_run(exec, 3);
    CHECK_EQUAL(rt_status()->state, S);
    CHECK_EQUAL(rt_status()->safe_cause, MXRC_SAFE_HEARTBEAT);
    CHECK_EQUAL(count_events(MXRC_EVENT_LOG, MXRC_EV_HEARTBEAT_LOST), 1);
    exec_run(exec, 1000);
    run_beating(exec, 150); /* back, but not steady: */
    exec_run(exec, 600);    /* gone again */
    run_beating(exec, 150);
    CHECK_EQUAL(rt_status()->state, S);
    run_beating(exec, 60);
    CHECK_EQUAL(rt_status()->state, resume ? R : P);
    CHECK_EQUAL(count_events(MXRC_EVENT_LOG, MXRC_EV_HEARTBEAT_BACK), 1);
    exec_done(exec);

    /* What an operator had paused stays so, and what he made safe is not left by itself. */
    exec = exec_begun();
    run_beating(exec, 300);
    send_event(MXRC_RT_PAUSE);
    run_beating(exec, 1);
    exec_run(exec, 600);
    run_beating(exec, 300);
    CHECK_EQUAL(rt_status()->state, P);
    send_event(MXRC_RT_SAFE_MODE_ENTER);
    exec_run(exec, 600);
    run_beating(exec, 300);
    CHECK_EQUAL(rt_status()->state, S);
    exec_done(exec);
    exec_config_default();
}

/* Starts a long fast move of axis 0 and stops in its middle. */
static struct mxrc_exec *moving(void)
{
    struct mxrc_exec *exec = exec_begun();
    program_begin();
    program_move(0, 2.5, 0);
    program_end();
    send_start(1, 0);
    exec_run(exec, 800);
    CHECK(exec->axis[0].command_velocity > 0.5);
    return exec;
}

/* Runs until axis 0 stands; checks velocity and acceleration of every command on the way. */
static double settle(struct mxrc_exec *exec, int *ended)
{
    double previous = exec->axis[0].command, velocity = exec->axis[0].command_velocity;
    double top = 0;
    for (int i = 0; i < 4000 && !*ended; i++) {
        *ended = mxrc_exec_cycle(exec);
        double now = exec->axis[0].command;
        double v = (now - previous) / 1e-3;
        top = fmax(top, fabs(v - velocity) / 1e-3);
        CHECK(fabs(v) <= 2 * (1 + 1e-5));
        velocity = v;
        previous = now;
    }
    CHECK_SAY(top <= 10 * (1 + 1e-4), "acceleration %g", top);
    CHECK_SAY(fabs(velocity) < 1e-9, "velocity %g", velocity);
    return previous;
}

static void test_safe_actions(void)
{
    struct {
        uint32_t action;
        uint32_t event;
    } variants[] = {
        {MXRC_SAFE_RAMP, MXRC_RT_SAFE_MODE_ENTER}, {MXRC_SAFE_HOLD, MXRC_RT_SAFE_MODE_ENTER},
        {MXRC_SAFE_GOTO, MXRC_RT_SAFE_MODE_ENTER}, {MXRC_SAFE_RAMP, MXRC_RT_ERROR_OCCUR},
        {MXRC_SAFE_GOTO, MXRC_RT_ERROR_OCCUR},     {MXRC_SAFE_GOTO, MXRC_RT_STOP},
        {MXRC_SAFE_RAMP, MXRC_RT_PAUSE},
    };
    for (size_t i = 0; i < sizeof variants / sizeof variants[0]; i++) {
        config.axis[0].safe_action = variants[i].action;
        config.axis[0].safe_value = -1;
        struct mxrc_exec *exec = moving();
        int ended = 0;
        double at = exec->axis[0].command, v = exec->axis[0].command_velocity;
        CHECK_EQUAL(mxrc_exec_post(exec, variants[i].event), 0);
        double end = settle(exec, &ended);
        double braking = v * v / 20;
        if (variants[i].event == MXRC_RT_STOP || variants[i].action == MXRC_SAFE_RAMP)
            CHECK_SAY(fabs(end - (at + braking)) < 3e-3, "stopped at %g", end);
        else if (variants[i].action == MXRC_SAFE_HOLD)
            CHECK_SAY(fabs(end - at) < 3e-3, "held at %g, found at %g", end, at);
        else
            CHECK_SAY(end == -1, "went to %g", end);
        CHECK_EQUAL(ended, variants[i].event == MXRC_RT_STOP);
        CHECK_EQUAL(counter(MXRC_COUNTER_OUTPUTS_LIMITED), 0);
        exec_done(exec);
    }
    exec_config_default();
}

/* A safe value at the very bound, for limits and periods of all kinds: the axis goes there within its limits, and nothing is cut. */
static void test_goto_the_bound(void)
{
    uint64_t dice = 20261122;
    for (int round = 0; round < 60; round++) {
        struct mxrc_axis_config *axis = &config.axis[0];
        config.period_ns = 250000u << test_random(&dice) % 6;
        config.deadline_ns = config.period_ns;
        axis->velocity_max = 0.2 + (double)(test_random(&dice) % 1000) / 200;
        axis->acceleration_max = 0.5 + (double)(test_random(&dice) % 1000) / 20;
        axis->safe_action = MXRC_SAFE_GOTO;
        axis->safe_value = round % 2 ? axis->position_max : axis->position_min;
        axis->home = (double)(test_random(&dice) % 4000) / 1000 - 2;
        struct mxrc_exec *exec = exec_begun();
        exec_run(exec, 3);
        double dt = (double)config.period_ns * 1e-9, velocity = 0, hardest = 0, farthest = 0;
        CHECK_EQUAL(mxrc_exec_post(exec, MXRC_RT_SAFE_MODE_ENTER), 0);
        for (uint64_t i = 0;
             i < 40000000000 / config.period_ns && exec->axis[0].command != axis->safe_value; i++) {
            double before = exec->axis[0].command;
            exec_run(exec, 1);
            double now = (exec->axis[0].command - before) / dt;
            hardest = fmax(hardest, fabs(now - velocity) / dt);
            farthest = fmax(farthest, fabs(exec->axis[0].setpoint));
            velocity = now;
        }
        CHECK(exec->axis[0].command == axis->safe_value);
        CHECK_SAY(hardest <= axis->acceleration_max * (1 + 1e-4), "%g of %g rad/s^2", hardest,
                  axis->acceleration_max);
        CHECK_SAY(farthest <= 3 * (1 + 1e-12), "set-point at %.9g", farthest);
        CHECK_EQUAL(counter(MXRC_COUNTER_OUTPUTS_LIMITED), 0);
        exec_done(exec);
        exec_config_default();
    }
}

/* STOP while the arm moves: the last record is the one in which it stands. */
static void test_stop(void)
{
    struct mxrc_exec *exec = moving();
    send_event(MXRC_RT_STOP);
    CHECK_EQUAL(mxrc_exec_cycle(exec), 0);
    CHECK_EQUAL(rt_status()->state, X);
    CHECK_EQUAL(count_events(MXRC_EVENT_TASK, MXRC_EV_TASK_CANCELLED), 1);
    CHECK_EQUAL(exec_run(exec, 5000), 1);
    CHECK_EQUAL(last_record().state, X);
    CHECK(fabs(exec->axis[0].command_velocity) <= 10 * 1e-3 * 1.001);
    mxrc_exec_end(exec);
    const struct mxrc_member *member = mxrc_region(&nonrt, MXRC_REGION_MEMBER, NULL);
    CHECK_EQUAL(member->role, MXRC_ROLE_NONE);
    mxrc_exec_free(exec);
}

static void test_lease_expiry(void)
{
    struct mxrc_exec *exec = exec_begun();
    struct mxrc_lease *lease = mxrc_region(&rt, MXRC_REGION_LEASE, NULL);
    mxrc_store_release(&lease->expiry_ns, fake.now_ns + 10 * PERIOD);
    exec_run(exec, 8);
    CHECK_EQUAL(rt_status()->state, R);
    exec_run(exec, 100);
    CHECK_EQUAL(rt_status()->state, S);
    CHECK_EQUAL(rt_status()->safe_cause, MXRC_SAFE_LEASE);
    CHECK_EQUAL(count_events(MXRC_EVENT_LOG, MXRC_EV_LEASE_EXPIRED), 1);
    exec_done(exec);
}

static void test_mailbox(void)
{
    struct mxrc_exec *exec = exec_begun();
    exec_run(exec, 1);
    CHECK_EQUAL(mxrc_exec_post(exec, MXRC_RT_PAUSE), 0);
    CHECK_EQUAL(mxrc_exec_post(exec, MXRC_RT_STOP), EAGAIN);
    CHECK_EQUAL(mxrc_exec_post(exec, MXRC_RT_LOADED), EINVAL);
    exec_run(exec, 1);
    CHECK_EQUAL(rt_status()->state, P);
    CHECK_EQUAL(mxrc_exec_post(exec, MXRC_RT_STOP), 0);
    CHECK_EQUAL(mxrc_exec_cycle(exec), 1);
    exec_done(exec);
}

int main(void)
{
    exec_config_default();
    test_table();
    test_pairs_by_command();
    test_start_and_reset();
    test_safe_mode_from_ready();
    test_heartbeat(0);
    test_heartbeat(1);
    test_safe_actions();
    test_goto_the_bound();
    test_stop();
    test_lease_expiry();
    test_mailbox();
    return test_summary();
}
