/* test_exec_task_laws.c: laws that tasks run: what they drive, their ends, several at once, their states across restarts. */
#include "../src/state_block.h"
#include "exec_fixture.h"

static struct mxrc_exec *running(void)
{
    struct mxrc_exec *exec = exec_begun();
    two_keys();
    exec_run(exec, 1);
    return exec;
}

static double wanted;      /* of axis 1 */
static double wanted_more; /* per step, up to 4 */
static int law_code;       /* what step returns */
static uint32_t law_runs;  /* steps */

static int law_init(void *state, const double *parameters, uint32_t axes, double dt)
{
    (void)axes, (void)dt;
    memcpy(state, parameters, sizeof *parameters);
    return parameters[0] < 0;
}

static int law_step(void *state, const double *parameters, const struct mxrc_law_input *input,
                    double *command)
{
    (void)parameters, (void)input;
    double offset;
    memcpy(&offset, state, sizeof offset);
    law_runs++;
    wanted = wanted_more > 0 ? fmin(wanted + wanted_more, 4) : wanted;
    command[1] = wanted + offset;
    return law_code;
}

static void law_reset(void *state, const double *parameters, const struct mxrc_law_input *input)
{
    (void)state, (void)parameters, (void)input;
}

static const struct mxrc_law task_law = {
    .abi = MXRC_LAW_ABI,
    .bytes = sizeof(struct mxrc_law),
    .name = "under_test",
    .command = MXRC_LAW_POSITION,
    .state_bytes = 64,
    .state_version = 1,
    .parameter_count = 1,
    .init = law_init,
    .step = law_step,
    .reset = law_reset,
};

static struct mxrc_op *law_op(uint64_t cycles)
{
    program_begin();
    struct mxrc_op *op = program_op(MXRC_OP_CONTROL_LAW);
    op->key = 2;
    op->count = 1;
    op->identity = mxrc_crc32c(0, "under_test", 10);
    op->axes = 2;
    op->args[0] = 0.25;
    op->duration_ns = cycles * PERIOD;
    program_end();
    law_code = 0;
    law_runs = 0;
    wanted = 0.5;
    wanted_more = 0;
    return op;
}

static void test_control_law(void)
{
    struct mxrc_exec *exec = running();
    law_op(100);
    uint64_t number = send_start(1, 0);
    exec_run(exec, 1);
    CHECK_EQUAL(reply_to(number), MXRC_ERR_LAW); /* none is loaded */
    exec_done(exec);

    config.task_law[2] = (struct mxrc_task_law){.law = &task_law, .name = "under_test"};
    exec = running();
    law_op(2000);
    send_start(1, 0);
    exec_run(exec, 1500); /* a step of its command is followed within limits */
    CHECK(fabs(exec->axis[1].command - 0.75) < 1e-6);
    CHECK_EQUAL(counter(MXRC_COUNTER_OUTPUTS_LIMITED), 0);
    exec_done(exec); /* a successor goes on with the law's state */
    exec = exec_made();
    CHECK_EQUAL(mxrc_exec_begin(exec, error, sizeof error), 0);
    wanted = 9; /* beyond the limit of the axis */
    exec_run(exec, 10000);
    CHECK(exec->axis[1].command <= 3);
    CHECK_EQUAL(ended_with(MXRC_EV_TASK_COMPLETED), 0);
    CHECK_EQUAL(law_runs, 2000);
    CHECK_EQUAL(exec->law_runs, 0);

    const struct {
        int code;
        double wanted, parameter;
        uint32_t ends, result;
    } cases[] = {{MXRC_LAW_DONE, 0, 0, MXRC_EV_TASK_COMPLETED, MXRC_OK},
                 {7, 0, 0, MXRC_EV_TASK_FAILED, MXRC_ERR_LAW},
                 {0, NAN, 0, MXRC_EV_TASK_FAILED, MXRC_ERR_LAW},
                 {0, 0, -1, MXRC_EV_TASK_FAILED, MXRC_ERR_LAW}};
    for (uint32_t i = 0; i < 4; i++) {
        skip_events();
        law_op(0)->args[0] = cases[i].parameter;
        program_seal();
        law_code = cases[i].code;
        wanted = cases[i].wanted;
        send_start(10 + i, 0);
        exec_run(exec, 4000);
        CHECK_EQUAL(ended_with(cases[i].ends), cases[i].result);
        CHECK_EQUAL(exec->law_runs, 0);
        if (cases[i].result == MXRC_OK) {
            CHECK_EQUAL(exec->state, MXRC_STATE_RUNNING);
            continue;
        }
        CHECK_EQUAL(exec->state, MXRC_STATE_SAFE_MODE); /* it drove an axis */
        CHECK_EQUAL(rt_status()->safe_cause, MXRC_SAFE_LAW_FAULT);
        send_event(MXRC_RT_SAFE_MODE_EXIT);
        exec_run(exec, 1);
        send_event(MXRC_RT_RESUME);
        exec_run(exec, 1);
    }

    /* A user's action that fails is a failed step; the machine goes on. */
    skip_events();
    law_op(0)->axes = 0;
    program.program.axes = 0;
    program_seal();
    law_code = 7;
    send_start(15, 0);
    exec_run(exec, 10);
    CHECK_EQUAL(ended_with(MXRC_EV_TASK_FAILED), MXRC_ERR_LAW);
    CHECK_EQUAL(exec->state, MXRC_STATE_RUNNING);

    /* Compiled for another law under that handle, or with other parameters. */
    law_op(10)->identity++;
    program_seal();
    number = send_start(16, 0);
    exec_run(exec, 1);
    CHECK_EQUAL(reply_to(number), MXRC_ERR_LAW);
    law_op(10)->count = 2;
    program_seal();
    number = send_start(17, 0);
    exec_run(exec, 1);
    CHECK_EQUAL(reply_to(number), MXRC_ERR_LAW);

    /* Cancelled: the law is free again. */
    law_op(1000);
    send_start(30, 0);
    exec_run(exec, 10);
    CHECK(exec->law_runs == 1);
    send_execution(MXRC_COMMAND_TASK_CANCEL, 30);
    exec_run(exec, 1);
    CHECK_EQUAL(exec->law_runs, 0);
    exec_done(exec);
    exec_config_default();
}

/* ---- up to a bound ---- */

/* Cycles, in which the command of axis 1 keeps its limits: position, velocity and acceleration. */
static void run_within_limits(struct mxrc_exec *exec, uint32_t cycles)
{
    const struct mxrc_axis_config *limits = &config.axis[1];
    const struct mxrc_axis_state *axis = &exec->axis[1];
    double dt = PERIOD * 1e-9, slack = 1e-5 * limits->velocity_max;
    for (uint32_t n = 0; n < cycles; n++) {
        double before = axis->command, velocity_before = axis->command_velocity;
        exec_run(exec, 1);
        double velocity = (axis->command - before) / dt;
        int kept = axis->command <= fmax(limits->position_max, before) &&
                   fabs(velocity) <= limits->velocity_max + slack &&
                   fabs(velocity - velocity_before) <= limits->acceleration_max * dt + slack;
        CHECK_SAY(kept, "cycle %u: position %.9g, velocity %.9g after %.9g", n, axis->command,
                  velocity, velocity_before);
        if (!kept)
            return;
    }
}

/* A law that asks for more and more, to beyond the bound. At the axis's velocity, 2e-3 per cycle, the set-point never comes up
 * with it. */
static void ask_for_more(struct mxrc_exec *exec, double per_cycle, uint64_t cycles)
{
    skip_events();
    law_op(cycles)->args[0] = 0;
    program_seal();
    wanted = exec->axis[1].setpoint;
    wanted_more = per_cycle;
    send_start(1, 0);
}

/* The axis is there for others: it holds, and moves away. */
static void must_go_to_zero(struct mxrc_exec *exec)
{
    skip_events();
    program_begin();
    program_op(MXRC_OP_HOLD)->axes = 2;
    program.op[0].duration_ns = PERIOD;
    program_move(1, 0, 0);
    program_end();
    send_start(2, 1);
    run_within_limits(exec, 5000);
    CHECK_EQUAL(ended_with(MXRC_EV_TASK_COMPLETED), MXRC_OK);
    CHECK(exec->axis[1].command == 0);
}

/* Cycles until what is asked for is so far before the bound. */
static void until_before_bound(struct mxrc_exec *exec, double distance)
{
    for (uint32_t n = 0; n < 10000 && wanted < 3 - distance; n++)
        run_within_limits(exec, 1);
}

static void test_bound_is_not_passed(double per_cycle)
{
    enum { ENDS, ENDS_AT_BOUND, CANCELLED, PAUSED, TASK_PAUSED, WAYS };
    config.task_law[2] = (struct mxrc_task_law){.law = &task_law, .name = "under_test"};
    /* An axis at 1.5e-3 per cycle just stops in 0.1125. */
    const double distances[] = {0.3, 0.15, 0.05, 0, -0.1, -0.3};
    for (uint32_t way = 0; way < WAYS; way++)
        for (uint32_t i = 0; i < sizeof distances / sizeof distances[0]; i++) {
            struct mxrc_exec *exec = running();
            uint64_t cycles = (uint64_t)((3 - distances[i] - exec->axis[1].setpoint) / per_cycle);
            ask_for_more(exec, per_cycle,
                         way == ENDS            ? cycles
                         : way == ENDS_AT_BOUND ? 4500
                                                : 9999);
            if (way >= CANCELLED) {
                until_before_bound(exec, distances[i]);
                CHECK(exec->law_runs == 1);
            }
            if (way == CANCELLED)
                send_execution(MXRC_COMMAND_TASK_CANCEL, 1);
            if (way == PAUSED)
                send_event(MXRC_RT_PAUSE);
            if (way == TASK_PAUSED)
                send_execution(MXRC_COMMAND_TASK_PAUSE, 1);
            run_within_limits(exec, 4600);
            CHECK(exec->axis[1].setpoint <= 3 + 1e-9);
            CHECK(exec->axis[1].setpoint_velocity == 0);
            if (way >= PAUSED) { /* it goes on to the bound */
                law_runs = 0;
                if (way == PAUSED)
                    send_event(MXRC_RT_RESUME);
                else
                    send_execution(MXRC_COMMAND_TASK_RESUME, 1);
                run_within_limits(exec, 2500);
                CHECK(law_runs > 2000);
                CHECK(fabs(exec->axis[1].command - 3) < 1e-9);
                send_execution(MXRC_COMMAND_TASK_CANCEL, 1);
            }
            CHECK_EQUAL(counter(MXRC_COUNTER_OUTPUTS_LIMITED), 0);
            must_go_to_zero(exec);
            exec_done(exec);
        }
    exec_config_default();
}

/* A restart in motion with a bound that the axis has passed, or that it cannot stop before. */
static void test_narrower_limits(void)
{
    enum { GOES_ON, CANCELLED, PAUSED, WAYS };
    const double bounds[] = {2, 2.4, 2.45, 2.55, 2.7};
    for (uint32_t way = 0; way < WAYS; way++)
        for (uint32_t i = 0; i < sizeof bounds / sizeof bounds[0]; i++) {
            config.task_law[2] = (struct mxrc_task_law){.law = &task_law, .name = "under_test"};
            struct mxrc_exec *exec = running();
            ask_for_more(exec, 1.5e-3, 2600);
            until_before_bound(exec, 0.6);
            exec_done(exec);
            config.axis[1].position_max = bounds[i];
            exec = exec_made();
            CHECK_EQUAL(mxrc_exec_begin(exec, error, sizeof error), 0);
            double at = exec->axis[1].command;
            CHECK(at > 2.3 && exec->axis[1].command_velocity > 1.4);
            if (way == CANCELLED)
                send_execution(MXRC_COMMAND_TASK_CANCEL, 1);
            if (way == PAUSED)
                send_event(MXRC_RT_PAUSE);
            for (uint32_t n = 0; n < 2700; n++) {
                exec_run(exec, 1);
                CHECK(exec->axis[1].command <= fmax(at, bounds[i]));
            }
            CHECK(exec->axis[1].command_velocity == 0 && exec->axis[1].setpoint_velocity == 0);
            CHECK(fabs(exec->axis[1].command - exec->axis[1].setpoint) < 1e-9);
            if (way == PAUSED) {
                send_execution(MXRC_COMMAND_TASK_CANCEL, 1);
                send_event(MXRC_RT_RESUME);
            }
            must_go_to_zero(exec);
            exec_done(exec);
            exec_config_default();
        }
}

/* One that is found beyond a bound stays there until it is told to move, and may come back. */
static void test_found_beyond_a_bound(void)
{
    struct mxrc_exec *exec = running();
    program_begin();
    program_move(1, 2.5, 0);
    program_end();
    send_start(1, 0);
    run_within_limits(exec, 3000);
    CHECK(exec->axis[1].command == 2.5);
    exec_done(exec);
    config.axis[1].position_max = 2;
    exec = exec_made();
    CHECK_EQUAL(mxrc_exec_begin(exec, error, sizeof error), 0);
    exec_run(exec, 1000);
    CHECK(exec->axis[1].command == 2.5);
    must_go_to_zero(exec);
    exec_done(exec);
    exec_config_default();
}

/* ---- several at once ---- */

/* Counts its steps in its state, by axis (its parameter) also outside. */
static uint64_t counted[MXRC_AXES];
static uint32_t begun[MXRC_AXES];

static int count_init(void *state, const double *parameters, uint32_t axes, double dt)
{
    (void)state, (void)axes, (void)dt;
    begun[(uint32_t)parameters[0]]++;
    return 0;
}

static int count_step(void *state, const double *parameters, const struct mxrc_law_input *input,
                      double *command)
{
    uint32_t axis = (uint32_t)parameters[0];
    uint64_t n;
    memcpy(&n, state, sizeof n);
    counted[axis] = ++n;
    memcpy(state, &n, sizeof n);
    command[axis] = input->setpoint[axis] + 1e-5;
    return 0;
}

static struct mxrc_law counting = {
    .abi = MXRC_LAW_ABI,
    .bytes = sizeof(struct mxrc_law),
    .name = "counting",
    .command = MXRC_LAW_POSITION,
    .state_bytes = 13, /* not a multiple of 8 */
    .state_version = 1,
    .parameter_count = 1,
    .init = count_init,
    .step = count_step,
    .reset = law_reset,
};

/* Handles 2 and 3: the laws have other names, so that one of them can be changed alone. */
static struct mxrc_law other;

static struct mxrc_exec *with_laws(void)
{
    other = counting;
    strcpy(other.name, "other");
    counting.state_version = 1;
    config.task_law[2] = (struct mxrc_task_law){.law = &counting, .name = "counting"};
    config.task_law[3] = (struct mxrc_task_law){.law = &other, .name = "other"};
    memset(counted, 0, sizeof counted);
    memset(begun, 0, sizeof begun);
    return running();
}

/* Runs law `key` for so many cycles on an axis, or (drives 0) as a user's action that knows it only as a number. */
static void counting_op(uint32_t key, uint32_t axis, int drives, uint64_t cycles)
{
    struct mxrc_op *op = program_op(MXRC_OP_CONTROL_LAW);
    const char *name = config.task_law[key].name;
    op->key = key;
    op->count = 1;
    op->identity = mxrc_crc32c(0, name, strlen(name));
    op->axes = drives ? 1u << axis : 0;
    op->args[0] = axis;
    op->duration_ns = cycles * PERIOD;
}

static void start_counting(uint64_t execution, uint32_t key, uint32_t axis, int drives,
                           uint64_t cycles)
{
    program_begin();
    counting_op(key, axis, drives, cycles);
    program_end();
    send_start(execution, (uint32_t)execution % 16);
}

static void test_two_at_once(void)
{
    struct mxrc_exec *exec = with_laws();
    double from[MXRC_AXES];
    for (uint32_t i = 0; i < AXES; i++)
        from[i] = exec->axis[i].setpoint;
    start_counting(1, 2, 1, 1, 400);
    start_counting(2, 3, 4, 1, 300);
    exec_run(exec, 100);
    CHECK_EQUAL(exec->law_runs, 2);
    CHECK_EQUAL(counted[1], counted[4]);
    CHECK(counted[1] >= 98);
    CHECK(exec->axis[1].setpoint > from[1] && exec->axis[4].setpoint > from[4]);
    CHECK(exec->axis[2].setpoint == from[2]);

    uint64_t before = counted[1];
    exec_done(exec); /* a successor goes on with the state of each */
    exec = exec_made();
    CHECK_EQUAL(mxrc_exec_begin(exec, error, sizeof error), 0);
    exec_run(exec, 10);
    CHECK_EQUAL(exec->law_runs, 2);
    CHECK_EQUAL(counted[1], before + 10);
    CHECK_EQUAL(counted[4], before + 10);
    exec_run(exec, 400);
    CHECK_EQUAL(counted[1], 400);
    CHECK_EQUAL(counted[4], 300);
    CHECK(begun[1] == 1 && begun[4] == 1);
    CHECK_EQUAL(counter(MXRC_COUNTER_TASKS_COMPLETED), 2);
    CHECK_EQUAL(exec->law_runs, 0);
    exec_done(exec);
}

/* The law of one of them is another after the restart: its action fails, the other one's state is kept. */
static void test_one_is_not_restored(void)
{
    struct mxrc_exec *exec = with_laws();
    start_counting(1, 2, 1, 0, 400);
    start_counting(2, 3, 4, 0, 400);
    exec_run(exec, 100);
    uint64_t before = counted[4];
    exec_done(exec);
    counting.state_version = 2;
    exec = exec_made();
    CHECK_EQUAL(mxrc_exec_begin(exec, error, sizeof error), 0);
    exec_run(exec, 10);
    CHECK_EQUAL(exec->law_runs, 1);
    CHECK_EQUAL(counted[4], before + 10);
    CHECK_EQUAL(ended_with(MXRC_EV_TASK_FAILED), MXRC_ERR_LAW);
    CHECK_EQUAL(exec->active_tasks, 1);
    CHECK_EQUAL(exec->state, MXRC_STATE_RUNNING); /* it drove nothing */
    exec_done(exec);
}

/* Branches count, too, and one that finds no room waits. */
static void test_as_many_as_there_is_room_for(void)
{
    struct mxrc_exec *exec = with_laws();
    start_counting(1, 2, 7, 0, 50);
    for (uint32_t i = 1; i < MXRC_TASK_LAW_RUNS; i++)
        start_counting(1 + i, 2, 6, 0, 200);
    exec_run(exec, 10);
    CHECK_EQUAL(exec->law_runs, MXRC_TASK_LAW_RUNS);
    CHECK_EQUAL(begun[6], MXRC_TASK_LAW_RUNS - 1);
    program_begin();
    struct mxrc_op *fork = program_op(MXRC_OP_PARALLEL);
    fork->branch[0] = 1;
    fork->branch[1] = 2;
    fork->target = 3;
    counting_op(3, 1, 1, 20);
    program.op[1].next = 3;
    counting_op(3, 4, 1, 20);
    program_op(MXRC_OP_JOIN);
    program_end();
    uint64_t number = send_start(12, 12);
    exec_run(exec, 10);
    CHECK_EQUAL(reply_to(number), MXRC_OK);
    CHECK(begun[1] == 0 && begun[4] == 0);
    exec_run(exec, 40); /* the first has ended: one branch goes, the other one waits for it */
    CHECK(begun[1] == 1 && begun[4] == 0);
    CHECK_EQUAL(exec->law_runs, MXRC_TASK_LAW_RUNS);
    exec_done(exec);
    exec = exec_made();
    CHECK_EQUAL(mxrc_exec_begin(exec, error, sizeof error), 0);
    exec_run(exec, 50);
    CHECK_EQUAL(counted[1], 20);
    CHECK_EQUAL(counted[4], 20);
    exec_run(exec, 100);
    CHECK_EQUAL(counter(MXRC_COUNTER_TASKS_COMPLETED), MXRC_TASK_LAW_RUNS + 1);
    CHECK_EQUAL(exec->law_runs, 0);
    exec_done(exec);
}

/* A branch before it has ended: the law of the other one goes on with its state all the same. */
static void test_a_law_in_the_branch_that_is_left(void)
{
    struct mxrc_exec *exec = with_laws();
    program_begin();
    struct mxrc_op *fork = program_op(MXRC_OP_PARALLEL);
    fork->branch[0] = 1;
    fork->branch[1] = 2;
    fork->target = 3;
    program_wait(20 * PERIOD)->next = 3;
    counting_op(3, 1, 1, 200);
    program_op(MXRC_OP_JOIN);
    program_end();
    uint64_t number = send_start(1, 0);
    exec_run(exec, 100);
    CHECK_EQUAL(reply_to(number), MXRC_OK);
    CHECK_EQUAL(exec->branches, 1);
    exec_done(exec);
    exec = exec_made();
    CHECK_EQUAL(mxrc_exec_begin(exec, error, sizeof error), 0);
    exec_run(exec, 50);
    CHECK_EQUAL(rt_status()->state, MXRC_STATE_RUNNING);
    CHECK_EQUAL(exec->law_runs, 1);
    exec_run(exec, 200);
    CHECK_EQUAL(counted[1], 200);
    CHECK_EQUAL(begun[1], 1);
    CHECK_EQUAL(counter(MXRC_COUNTER_TASKS_COMPLETED), 1);
    exec_done(exec);
}

/* A task whose program was damaged while nobody ran leaves nothing behind. */
static void test_nobody_s_run_is_free(void)
{
    struct mxrc_exec *exec = with_laws();
    start_counting(1, 2, 1, 0, 400);
    start_counting(2, 3, 4, 0, 400);
    exec_run(exec, 100);
    exec_done(exec);
    struct mxrc_program_slot *slots = mxrc_region(&rt, MXRC_REGION_PROGRAMS, NULL);
    slots[0].op[0].duration_ns++;
    exec = exec_made();
    CHECK_EQUAL(mxrc_exec_begin(exec, error, sizeof error), 0);
    CHECK_EQUAL(exec->active_tasks, 1);
    CHECK_EQUAL(exec->law_runs, 1);
    exec_run(exec, 400);
    CHECK_EQUAL(exec->law_runs, 0);
    start_counting(3, 2, 1, 0, 10);
    exec_run(exec, 20);
    CHECK_EQUAL(begun[1], 2);
    exec_done(exec);
}

/* What the state block says of runs is judged before it is believed. */
static void test_damaged_section(void)
{
    struct mxrc_exec *exec = with_laws();
    uint8_t saved[4096], bad[4096];
    start_counting(1, 2, 1, 0, 400);
    start_counting(2, 3, 4, 0, 400);
    exec_run(exec, 10);
    const struct mxrc_section *section = &mxrc_section_task_laws;
    uint32_t bytes = section->save(exec, saved);
    CHECK_EQUAL(bytes, 2 * (8 + 40 + 16));
    CHECK(section->validate(exec, saved, bytes));
    CHECK(section->validate(exec, saved, 0));
    for (uint32_t cut = 1; cut < bytes; cut++)
        CHECK(section->validate(exec, saved, cut) == (cut == bytes / 2));
    const struct {
        uint32_t at, value;
    } wrong[] = {{0, 0}, {0, 29}, {0, UINT32_MAX}, {64, 1}, {8 + 36, 513}, {8 + 36, UINT32_MAX}};
    for (uint32_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        memcpy(bad, saved, bytes);
        memcpy(bad + wrong[i].at, &wrong[i].value, sizeof wrong[i].value);
        CHECK_SAY(!section->validate(exec, bad, bytes), "variant %u", i);
    }
    memcpy(bad, saved, bytes);
    memset(bad + 4, 0xff, 4); /* a handle that is none */
    CHECK(section->validate(exec, bad, bytes));
    section->restore(exec, bad, bytes);
    CHECK_EQUAL(exec->law_runs, 1);
    exec_done(exec);
}

int main(void)
{
    exec_config_default();
    test_control_law();
    test_bound_is_not_passed(2e-3);
    test_bound_is_not_passed(1.5e-3);
    test_bound_is_not_passed(0.8e-3);
    test_narrower_limits();
    test_found_beyond_a_bound();
    test_two_at_once();
    test_one_is_not_restored();
    test_as_many_as_there_is_room_for();
    test_a_law_in_the_branch_that_is_left();
    test_nobody_s_run_is_free();
    test_damaged_section();
    return test_summary();
}
