/* test_exec_effort.c: laws that command efforts: they move the simulated arm, their state survives a restart, and no bound of
 * position, velocity or effort is passed whatever they ask for. */
#include "../src/law_step.h"
#include "exec_fixture.h"

struct pid {
    double integral[MXRC_LAW_AXES];
    uint64_t steps;
};

static double push; /* not 0: asked for on all axes */
static double load; /* added to what the law asks for */
static int resets;

static int pid_init(void *state, const double *gains, uint32_t axes, double dt)
{
    (void)state, (void)axes, (void)dt;
    return gains[0] > 0 ? 0 : 1;
}

static int pid_step(void *state, const double *gains, const struct mxrc_law_input *input,
                    double *command)
{
    struct pid *self = state;
    for (uint32_t i = 0; i < input->axes; i++) {
        double error = input->setpoint[i] - input->position[i];
        self->integral[i] += gains[1] * error * input->dt;
        command[i] = gains[0] * error + self->integral[i] +
                     gains[2] * (input->setpoint_velocity[i] - input->velocity[i]) + load;
        if (push != 0)
            command[i] = push;
    }
    self->steps++;
    return 0;
}

static void pid_reset(void *state, const double *gains, const struct mxrc_law_input *input)
{
    struct pid *self = state;
    (void)gains, (void)input;
    memset(self->integral, 0, sizeof self->integral);
    resets++;
}

static const struct mxrc_law pid = {
    .abi = MXRC_LAW_ABI,
    .bytes = sizeof(struct mxrc_law),
    .name = "pid",
    .command = MXRC_LAW_EFFORT,
    .state_bytes = sizeof(struct pid),
    .state_version = 1,
    .parameter_count = 3,
    .init = pid_init,
    .step = pid_step,
    .reset = pid_reset,
};

static void configure(void)
{
    exec_config_default();
    config.simulated_inertia = 1;
    config.simulated_damping = 0.5;
    config.law = &pid;
    config.law_name = 4711;
    config.law_parameter_count = 3;
    config.law_parameters[0] = 400;
    config.law_parameters[1] = 200;
    config.law_parameters[2] = 40;
    push = load = 0;
    resets = 0;
}

static double greatest_error(const struct mxrc_exec *exec)
{
    double greatest = 0;
    for (uint32_t i = 0; i < AXES; i++)
        greatest = fmax(greatest, fabs(exec->axis[i].setpoint - exec->inputs.position[i]));
    return greatest;
}

static void send_move(double target)
{
    program_begin();
    program_move(0, target, 1000000000);
    program_end();
    send_start(1, 0);
}

static void test_follows(void)
{
    configure();
    struct mxrc_exec *exec = exec_begun();
    send_move(1.5);
    double greatest = 0;
    for (int i = 0; i < 1500; i++) {
        CHECK_EQUAL(mxrc_exec_cycle(exec), 0);
        greatest = fmax(greatest, greatest_error(exec));
    }
    CHECK_SAY(greatest > 1e-4 && greatest < 0.05, "tracking error %g", greatest);
    CHECK_SAY(fabs(exec->inputs.position[0] - 1.5) < 0.01, "at %g", exec->inputs.position[0]);
    CHECK_EQUAL(rt_status()->active_tasks, 0); /* the move has ended */
    CHECK_EQUAL(resets, 1);
    CHECK_EQUAL(exec->outputs.command_kind, MXRC_LAW_EFFORT);
    exec_done(exec);
}

/* The one that takes over is another process: nothing but the segment is left. */
static void test_state_survives(void)
{
    configure();
    struct mxrc_exec *exec = exec_begun();
    send_move(1.5);
    exec_run(exec, 300);
    struct pid before;
    memcpy(&before, exec->law_state, sizeof before);
    double error_before = greatest_error(exec);
    CHECK(before.steps == 300 && before.integral[0] != 0);
    exec_done(exec);
    exec = exec_made();
    CHECK_EQUAL(mxrc_exec_begin(exec, error, sizeof error), 0);
    CHECK(memcmp(&before, exec->law_state, sizeof before) == 0);
    CHECK_EQUAL(exec_run(exec, 1), 0);
    CHECK_EQUAL(resets, 1); /* it goes on, it does not start */
    CHECK_EQUAL(((struct pid *)(void *)exec->law_state)->steps, 301);
    CHECK_SAY(greatest_error(exec) < error_before + 0.02, "error %g", greatest_error(exec));
    exec_run(exec, 1500);
    CHECK(fabs(exec->inputs.position[0] - 1.5) < 0.01);
    exec_done(exec);
}

/* The last effort goes on acting while no cycle runs: motion goes on from where the arm has come to, not from where it was. asleep: the
 * thread wakes late, else it works long. */
static void test_after_a_stall(int asleep)
{
    configure();
    struct mxrc_exec *exec = exec_begun();
    send_move(1.5);
    exec_run(exec, 500);
    CHECK(exec->inputs.velocity[0] > 1);
    if (asleep) {
        fake.now_ns = exec->now.scheduled_ns + 50 * PERIOD;
    } else {
        fake.work_ns = 50 * PERIOD;
        exec_run(exec, 1);
        fake.work_ns = 0;
    }
    exec_run(exec, 1);
    CHECK_SAY(fabs(exec->axis[0].setpoint - exec->inputs.position[0]) < 3e-3, "%g from where it is",
              exec->axis[0].setpoint - exec->inputs.position[0]);
    CHECK_SAY(fabs(exec->outputs.command[0]) < 5, "pulled with %g N m", exec->outputs.command[0]);
    double back = 0;
    for (int i = 0; i < 3000; i++) {
        double before = exec->axis[0].setpoint;
        exec_run(exec, 1);
        back = fmax(back, before - exec->axis[0].setpoint);
    }
    CHECK_SAY(back < 1e-9, "the set-point goes back by %g", back);
    CHECK(fabs(exec->inputs.position[0] - 1.5) < 0.01);
    CHECK_EQUAL(resets, 1);
    exec_done(exec);
}

/* A law that holds against a load stands beside its set-point: the set-point stays, however often the machine stands still. */
static void test_stalls_at_rest(void)
{
    for (uint32_t policy = MXRC_OVERRUN_SKIP; policy <= MXRC_OVERRUN_REBASE; policy++) {
        configure();
        config.law_parameters[1] = 0;
        config.overrun_policy = policy;
        load = -20;
        struct mxrc_exec *exec = exec_begun();
        exec_run(exec, 3000);
        double setpoint = exec->axis[0].setpoint, position = exec->inputs.position[0];
        CHECK_SAY(position < setpoint - 0.04, "at %g", position);
        for (int i = 0; i < 100; i++) {
            fake.work_ns = 15 * PERIOD;
            exec_run(exec, 1);
            fake.work_ns = 0;
            exec_run(exec, 100);
        }
        CHECK(exec->axis[0].setpoint == setpoint);
        CHECK_SAY(fabs(exec->inputs.position[0] - position) < 1e-3, "policy %u: %g, was %g", policy,
                  exec->inputs.position[0], position);
        exec_done(exec);
    }
}

/* Policy safe: the stop begins where the arm is, and as fast as it is. */
static void test_stall_with_policy_safe(void)
{
    configure();
    config.overrun_policy = MXRC_OVERRUN_SAFE;
    struct mxrc_exec *exec = exec_begun();
    send_move(1.5);
    exec_run(exec, 500);
    fake.work_ns = 50 * PERIOD;
    exec_run(exec, 1);
    fake.work_ns = 0;
    double slowest = 9;
    for (int i = 0; i < 1000; i++) {
        exec_run(exec, 1);
        if (i == 0)
            CHECK_SAY(fabs(exec->outputs.command[0] - exec->inputs.position[0]) < 5e-3,
                      "%g from where it is", exec->outputs.command[0] - exec->inputs.position[0]);
        slowest = fmin(slowest, exec->inputs.velocity[0]);
    }
    CHECK_EQUAL(rt_status()->safe_cause, MXRC_SAFE_OVERRUN);
    CHECK_EQUAL(exec->outputs.command_kind, MXRC_LAW_POSITION);
    CHECK_SAY(slowest > -1e-3, "backwards at %g rad/s", slowest);
    exec_done(exec);
}

/* What a law has gathered before a STOP is not for the machine that is started after it. */
static void test_reset_after_a_stop(void)
{
    configure();
    struct mxrc_exec *exec = exec_begun();
    load = -20;
    exec_run(exec, 3000);
    CHECK(((const struct pid *)(const void *)exec->law_state)->integral[0] > 10);
    send_event(MXRC_RT_STOP);
    CHECK_EQUAL(exec_run(exec, 5000), 1);
    exec_done(exec);
    load = 0;
    fake.now_ns += 60000 * PERIOD;
    int before = resets;
    exec = exec_made();
    CHECK_EQUAL(mxrc_exec_begin(exec, error, sizeof error), 0);
    exec_run(exec, 1);
    CHECK_EQUAL(resets, before + 1);
    CHECK_SAY(fabs(exec->outputs.command[0]) < 1, "begins with %g N m", exec->outputs.command[0]);
    exec_done(exec);
}

/* Full effort for two seconds towards a bound, then towards the other. */
static void test_bounds(void)
{
    for (double inertia = 0.3; inertia < 5; inertia *= 2) {
        configure();
        config.simulated_inertia = inertia;
        struct mxrc_exec *exec = exec_begun();
        double fastest = 0, farthest = 0;
        exec_run(exec, 3);
        for (int i = 0; i < 12000; i++) {
            push = i < 5000 ? 1e6 : i < 10000 ? -1e6 : 1e-300;
            CHECK_EQUAL(mxrc_exec_cycle(exec), 0);
            for (uint32_t axis = 0; axis < AXES; axis++) {
                CHECK(fabs(exec->outputs.command[axis]) <= config.axis[axis].effort_max);
                fastest = fmax(fastest, fabs(exec->inputs.velocity[axis]));
                farthest = fmax(farthest, fabs(exec->inputs.position[axis]));
            }
        }
        CHECK_SAY(fastest > 1.5 && fastest <= 2 * 1.02, "inertia %g: velocity %g", inertia,
                  fastest);
        CHECK_SAY(farthest > 2.9 && farthest <= 3.006, "inertia %g: position %g", inertia,
                  farthest);
        CHECK(last_record().flags & MXRC_CYCLE_LIMITED || push == 1e-300);
        CHECK(counter(MXRC_COUNTER_OUTPUTS_LIMITED) > 1000);
        CHECK_EQUAL(rt_status()->state, MXRC_STATE_RUNNING);
        exec_done(exec);
    }
}

/* A law that fails in the middle of a move: the drives take over where the axis is, and stop it within its limits. */
static void test_failure(void)
{
    configure();
    struct mxrc_exec *exec = exec_begun();
    send_move(1.5);
    exec_run(exec, 500);
    CHECK(exec->inputs.velocity[0] > 1);
    push = NAN;
    CHECK_EQUAL(mxrc_exec_cycle(exec), 0);
    CHECK_EQUAL(rt_status()->state, MXRC_STATE_SAFE_MODE);
    CHECK_EQUAL(rt_status()->safe_cause, MXRC_SAFE_LAW_FAULT);
    struct mxrc_event event;
    CHECK(next_event(MXRC_EVENT_LOG, MXRC_EV_LAW_FAULT, &event));
    CHECK(event.args[0] == 0 && event.args[1] == -1 && event.args[2] == 4711);
    double velocity = exec->inputs.velocity[0];
    CHECK(fabs(exec->outputs.command[0] - exec->inputs.position[0]) < 5e-3);
    for (int i = 0; i < 1000; i++) {
        CHECK_EQUAL(exec->outputs.command_kind, MXRC_LAW_POSITION);
        CHECK(fabs(exec->axis[0].command_velocity - velocity) < 0.03); /* no jump */
        velocity = exec->axis[0].command_velocity;
        CHECK_EQUAL(mxrc_exec_cycle(exec), 0);
    }
    CHECK(fabs(exec->inputs.velocity[0]) < 1e-6);
    push = 0;
    send_event(MXRC_RT_SAFE_MODE_EXIT);
    exec_run(exec, 2);
    send_event(MXRC_RT_RESUME);
    exec_run(exec, 3000);
    CHECK_EQUAL(resets, 2);
    CHECK_SAY(fabs(exec->inputs.position[0] - 1.5) < 0.01, "at %g", exec->inputs.position[0]);
    exec_done(exec);
}

static void test_stops_in_order(void)
{
    configure();
    struct mxrc_exec *exec = exec_begun();
    send_move(1.5);
    exec_run(exec, 500);
    send_event(MXRC_RT_STOP);
    CHECK_EQUAL(exec_run(exec, 2000), 1);
    CHECK(fabs(exec->inputs.velocity[0]) < 0.2);
    exec_done(exec);
}

static void refused(const char *because)
{
    exec_segment();
    CHECK(mxrc_exec_new(&rt, &config, error, sizeof error) == NULL);
    CHECK_HAS(error, because);
}

static void test_refused(void)
{
    configure();
    config.law_parameter_count = 2;
    refused("pid takes 3 parameters, 2 were given");
    configure();
    config.law_parameters[0] = -1;
    refused("pid refuses to start with code 1");
    configure();
    config.simulated_inertia = 0;
    refused("inertia (0) must be above 0");
}

static void law_every(uint64_t cycles, uint64_t phase_ns)
{
    config.entry_count = 1;
    config.entry[0] = (struct mxrc_entry_config){.name = "law",
                                                 .run = MXRC_RUN_LAW,
                                                 .period_ns = cycles * PERIOD,
                                                 .phase_ns = phase_ns,
                                                 .criticality = MXRC_CRITICALITY_HIGH};
}

/* The schedule gives the law four cycles: it runs in its slots and its command is held between them. */
static void test_slower(void)
{
    configure();
    law_every(4, PERIOD);
    struct mxrc_exec *exec = exec_begun();
    const struct pid *self = (const void *)exec->law_state;
    while (exec->now.cycle % 4 != 1)
        exec_run(exec, 1);
    uint64_t before = self->steps;
    exec_run(exec, 400);
    CHECK_EQUAL(self->steps, before + 100);
    CHECK(fabs(exec->law_input.dt - 0.004) < 1e-12);
    mxrc_law_fill_input(exec); /* for laws of tasks, which run in every cycle */
    CHECK(fabs(exec->law_input.dt - 0.001) < 1e-12);
    push = 0.25;
    exec_run(exec, 1); /* its slot */
    push = 0.5;
    for (int i = 0; i < 3; i++) {
        exec_run(exec, 1);
        CHECK(exec->outputs.command[0] == 0.25);
    }
    exec_run(exec, 1);
    CHECK(exec->outputs.command[0] == 0.5);
    /* Its slot passes in a stall: it runs in the first slot after it. */
    before = self->steps;
    while (exec->now.cycle % 4 != 0)
        exec_run(exec, 1);
    fake.work_ns = 2 * PERIOD;
    exec_run(exec, 1);
    fake.work_ns = 0;
    CHECK_EQUAL(self->steps, before);
    exec_run(exec, 1);
    CHECK_EQUAL(self->steps, before + 1);
    push = 0;
    exec_done(exec);
    /* So it does where the grid is moved instead. */
    config.overrun_policy = MXRC_OVERRUN_REBASE;
    exec = exec_begun();
    self = (const void *)exec->law_state;
    exec_run(exec, 10);
    while (exec->now.cycle % 4 != 2)
        exec_run(exec, 1);
    fake.work_ns = 100 * PERIOD;
    exec_run(exec, 1);
    fake.work_ns = 0;
    before = self->steps;
    exec_run(exec, 1);
    CHECK_EQUAL(self->steps, before + 1);
    exec_done(exec);
}

/* Each run counts for the law's whole period: wake-ups that are a little late do not make more of them. */
static void test_slower_with_late_wake_ups(void)
{
    configure();
    law_every(10, 0);
    struct mxrc_exec *exec = exec_begun();
    const struct pid *self = (const void *)exec->law_state;
    exec_run(exec, 100);
    uint64_t before = self->steps, since = fake.now_ns;
    for (int i = 0; i < 4000; i++) {
        if (i % 5 == 0)
            fake.now_ns = exec->now.scheduled_ns + PERIOD + PERIOD / 10;
        exec_run(exec, 1);
    }
    double periods = (double)(fake.now_ns - since) / (10 * PERIOD);
    double runs = (double)(self->steps - before);
    CHECK_SAY(runs > 0.95 * periods && runs < 1.4 * periods, "%g runs in %g periods", runs,
              periods);
    exec_done(exec);
}

static int entry_code;

static int failing_step(void *state, const double *parameters, const struct mxrc_entry_input *input,
                        double *output)
{
    (void)state, (void)parameters, (void)input, (void)output;
    return entry_code;
}

static const struct mxrc_entry_code failing = {
    .abi = MXRC_ENTRY_ABI,
    .bytes = sizeof(struct mxrc_entry_code),
    .name = "failing",
    .init = idle_init,
    .step = failing_step,
};

/* SAFE_MODE behind a commit of efforts, and the process is gone: its successor begins the stop where the arm is. */
static void test_successor_after_a_failure_behind_the_commit(void)
{
    configure();
    config.entry_count = 1;
    config.entry[0] = (struct mxrc_entry_config){.name = "failing",
                                                 .run = MXRC_RUN_CODE,
                                                 .code = &failing,
                                                 .period_ns = PERIOD,
                                                 .wcet_ns = PERIOD / 20,
                                                 .criticality = MXRC_CRITICALITY_HIGH};
    struct mxrc_exec *exec = exec_begun();
    send_move(1.5);
    exec_run(exec, 500);
    entry_code = 1;
    exec_run(exec, 1);
    entry_code = 0;
    CHECK_EQUAL(rt_status()->state, MXRC_STATE_SAFE_MODE);
    CHECK_EQUAL(exec->outputs.command_kind, MXRC_LAW_EFFORT);
    exec_done(exec);
    fake.now_ns += 60 * PERIOD;
    exec = exec_made();
    CHECK_EQUAL(mxrc_exec_begin(exec, error, sizeof error), 0);
    double slowest = 9;
    for (int i = 0; i < 500; i++) {
        exec_run(exec, 1);
        slowest = fmin(slowest, exec->inputs.velocity[0]);
    }
    CHECK_SAY(slowest > -1e-3, "backwards at %g rad/s", slowest);
    CHECK_EQUAL(rt_status()->state, MXRC_STATE_SAFE_MODE);
    exec_done(exec);
}

int main(void)
{
    test_follows();
    test_state_survives();
    test_after_a_stall(0);
    test_after_a_stall(1);
    test_stalls_at_rest();
    test_stall_with_policy_safe();
    test_reset_after_a_stop();
    test_bounds();
    test_failure();
    test_stops_in_order();
    test_slower();
    test_slower_with_late_wake_ups();
    test_successor_after_a_failure_behind_the_commit();
    test_refused();
    return test_summary();
}
