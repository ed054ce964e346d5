/* test_exec_turn.c: when runs begin: waiting for axes by priority, triggers, late periods. */
#include "exec_fixture.h"

static struct mxrc_exec *running(void)
{
    struct mxrc_exec *exec = exec_begun();
    two_keys();
    exec_run(exec, 1);
    return exec;
}

static void hold_task(uint64_t execution_id, uint32_t axes, uint32_t priority, uint64_t cycles)
{
    program_begin();
    program.program.priority = priority;
    struct mxrc_op *op = program_op(MXRC_OP_HOLD);
    op->axes = axes;
    op->duration_ns = cycles * PERIOD;
    program_end();
    send_start(execution_id, (uint32_t)execution_id);
}

/* Order in which executions have begun, as digits. */
static uint64_t begun(void)
{
    struct mxrc_event event;
    uint64_t order = 0, before = lane_cursor;
    while (next_event(MXRC_EVENT_TASK, MXRC_EV_TASK_STARTED, &event))
        order = order * 10 + event.execution_id;
    lane_cursor = before;
    return order;
}

static void test_waits_by_priority(void)
{
    struct mxrc_exec *exec = running();
    hold_task(1, 1, 50, 20);
    exec_run(exec, 1);
    hold_task(2, 1, 10, 5);
    hold_task(3, 1, 50, 5);
    hold_task(4, 3, 90, 5);
    hold_task(5, 1, 50, 5);
    hold_task(6, 2, 50, 5); /* its axis is free, but 4 is to have it first */
    hold_task(7, 4, 0, 5);  /* in nobody's way */
    exec_run(exec, 2);
    CHECK_EQUAL(begun(), 17);
    CHECK_EQUAL(exec->task[1].waits_for, 1);
    CHECK_EQUAL(exec->task[3].waits_for, 1);
    CHECK_EQUAL(exec->task[5].waits_for, 4);
    CHECK_EQUAL(exec->task[6].waits_for, 0);
    uint32_t held = 0;
    while (exec->active_tasks > 0 && exec->now.cycle < 1000) {
        exec_run(exec, 1);
        held = 0; /* never two runs with a common axis */
        for (uint32_t i = 0; i < MXRC_TASKS; i++)
            if (exec->task[i].execution_id && exec->task[i].status == MXRC_TASK_RUNNING) {
                CHECK_EQUAL(held & exec->task[i].axes, 0);
                held |= exec->task[i].axes;
            }
    }
    uint64_t order = begun();
    CHECK_EQUAL(order, 1746352);
    CHECK_EQUAL(counter(MXRC_COUNTER_TASKS_COMPLETED), 7);
    CHECK_EQUAL(count_events(MXRC_EVENT_LOG, MXRC_EV_TASK_WAITING), 5);
    exec_done(exec);
}

static void test_cancel_of_who_waits(void)
{
    struct mxrc_exec *exec = running();
    hold_task(1, 1, 50, 20);
    hold_task(2, 1, 50, 20);
    exec_run(exec, 2);
    uint64_t number = send_execution(MXRC_COMMAND_TASK_CANCEL, 2);
    exec_run(exec, 1);
    CHECK_EQUAL(reply_to(number), MXRC_OK);
    CHECK_EQUAL(exec->active_tasks, 1);
    CHECK_EQUAL(count_events(MXRC_EVENT_SPAN, 0), 0); /* it never began */
    exec_done(exec);
}

static void triggered(uint8_t edge, uint64_t rearm, uint32_t on_late)
{
    program_begin();
    program.program.mode = MXRC_MODE_TRIGGERED;
    key_above(&program.program.trigger, 1, 5);
    program.program.trigger.edge = edge;
    program.program.rearm_ns = rearm * PERIOD;
    program.program.on_late = on_late;
    program_wait(10 * PERIOD);
    program_end();
}

static uint64_t runs(const struct mxrc_exec *exec)
{
    return exec->task[0].runs;
}

static void test_trigger_edge(void)
{
    struct mxrc_exec *exec = running();
    set_key(6); /* high from the start: no edge */
    triggered(1, 0, MXRC_LATE_SKIP);
    send_start(1, 0);
    exec_run(exec, 50);
    CHECK_EQUAL(runs(exec), 0);
    for (uint32_t n = 1; n <= 3; n++) {
        set_key(1);
        exec_run(exec, 2);
        set_key(6);
        exec_run(exec, 50);
        CHECK_EQUAL(runs(exec), n);
    }
    /* An edge during a run is skipped and counted. */
    set_key(1);
    exec_run(exec, 2);
    set_key(6);
    exec_run(exec, 2);
    set_key(1);
    exec_run(exec, 2);
    set_key(6);
    exec_run(exec, 50);
    CHECK_EQUAL(runs(exec), 4);
    CHECK_EQUAL(counter(MXRC_COUNTER_PERIODS_SKIPPED), 1);
    send_execution(MXRC_COMMAND_TASK_CANCEL, 1);
    exec_run(exec, 1);
    CHECK_EQUAL(exec->active_tasks, 0);
    exec_done(exec);
}

static void test_trigger_queue(void)
{
    struct mxrc_exec *exec = running();
    set_key(1);
    triggered(1, 0, MXRC_LATE_QUEUE);
    send_start(1, 0);
    for (uint32_t n = 0; n < 3; n++) { /* one run, one queued, one skipped */
        exec_run(exec, 2);
        set_key(6);
        exec_run(exec, 1);
        set_key(1);
    }
    exec_run(exec, 50);
    CHECK_EQUAL(runs(exec), 2);
    CHECK_EQUAL(counter(MXRC_COUNTER_PERIODS_QUEUED), 1);
    CHECK_EQUAL(counter(MXRC_COUNTER_PERIODS_SKIPPED), 1);
    exec_done(exec);
}

static void test_trigger_level(void)
{
    struct mxrc_exec *exec = running();
    set_key(6);
    triggered(0, 50, MXRC_LATE_SKIP);
    send_start(1, 0);
    exec_run(exec, 45);
    CHECK_EQUAL(runs(exec), 1); /* not again before 50 cycles are over */
    exec_run(exec, 50);
    CHECK_EQUAL(runs(exec), 2);
    set_key(1);
    exec_run(exec, 200);
    CHECK_EQUAL(runs(exec), 2);
    exec_done(exec);
}

static void test_period_queue(void)
{
    for (uint32_t late = 0; late <= MXRC_LATE_QUEUE; late++) {
        struct mxrc_exec *exec = running();
        set_key(10);
        program_begin();
        program.program.mode = MXRC_MODE_PERIODIC;
        program.program.period_ns = 20 * PERIOD;
        program.program.on_late = late;
        struct mxrc_op *op = program_op(MXRC_OP_IF);
        key_above(&op->condition, 1, 5);
        op->target = 2;
        program_wait(50 * PERIOD)->next = 3;
        program_wait(2 * PERIOD);
        program_end();
        send_start(1, 0);
        exec_run(exec, 30);
        set_key(1);
        exec_run(exec, 170);
        /* Of ten periods in 200 cycles the first run took two and a half: one of the two that it ran into is queued at most. */
        CHECK_EQUAL(runs(exec), late == MXRC_LATE_QUEUE ? 9 : 8);
        CHECK_EQUAL(counter(MXRC_COUNTER_PERIODS_SKIPPED), late == MXRC_LATE_QUEUE ? 1 : 2);
        CHECK_EQUAL(counter(MXRC_COUNTER_PERIODS_QUEUED), late == MXRC_LATE_QUEUE ? 1 : 0);
        exec_done(exec);
    }
}

/* A hundred periods of 20 cycles in which no run begins or ends: PAUSED, paused alone, SAFE_MODE, an axis of another task,
 * no RT process. */
enum { PAUSED, TASK_PAUSED, SAFE_MODE, AXIS_TAKEN, NOBODY_RUNS, OBSTACLES };

static struct mxrc_exec *stand_still(struct mxrc_exec *exec, uint32_t why)
{
    const uint32_t cycles = 100 * 20;
    if (why == PAUSED)
        send_event(MXRC_RT_PAUSE);
    if (why == TASK_PAUSED)
        send_execution(MXRC_COMMAND_TASK_PAUSE, 1);
    if (why == SAFE_MODE)
        send_event(MXRC_RT_SAFE_MODE_ENTER);
    if (why == AXIS_TAKEN)
        hold_task(2, 1, 99, cycles);
    if (why == NOBODY_RUNS) {
        exec_done(exec);
        fake.now_ns += cycles * PERIOD;
        exec = exec_made();
        CHECK_EQUAL(mxrc_exec_begin(exec, error, sizeof error), 0);
        return exec;
    }
    exec_run(exec, cycles);
    if (why == SAFE_MODE) {
        send_event(MXRC_RT_SAFE_MODE_EXIT);
        exec_run(exec, 1);
    }
    if (why == PAUSED || why == SAFE_MODE)
        send_event(MXRC_RT_RESUME);
    if (why == TASK_PAUSED)
        send_execution(MXRC_COMMAND_TASK_RESUME, 1);
    return exec;
}

static void test_no_backlog_of_periods(void)
{
    for (uint32_t variant = 0; variant < 4 * OBSTACLES; variant++) {
        uint32_t late = variant % 2, why = variant / 4;
        uint32_t in_run = variant / 2 % 2; /* it begins during a run, else between two */
        if (why == AXIS_TAKEN && in_run)
            continue; /* the run has that axis */
        struct mxrc_exec *exec = running();
        program_begin();
        program.program.mode = MXRC_MODE_PERIODIC;
        program.program.period_ns = 20 * PERIOD;
        program.program.on_late = late;
        program_op(MXRC_OP_HOLD)->axes = 1;
        program.op[0].duration_ns = 3 * PERIOD;
        program_end();
        send_start(1, 0);
        exec_run(exec, in_run ? 42 : 48);
        CHECK_EQUAL(runs(exec), in_run ? 2 : 3);
        exec = stand_still(exec, why);
        exec_run(exec, 10); /* three runs have time in these */
        uint64_t more = in_run && late == MXRC_LATE_SKIP ? 0 : 1;
        CHECK_SAY(runs(exec) == 3 + more, "late %u, obstacle %u: %u runs", late, why,
                  (unsigned)runs(exec));
        CHECK_EQUAL(counter(MXRC_COUNTER_PERIODS_SKIPPED), 100 - more);
        CHECK_EQUAL(counter(MXRC_COUNTER_PERIODS_QUEUED), in_run && late == MXRC_LATE_QUEUE);
        CHECK_EQUAL(count_events(MXRC_EVENT_LOG, MXRC_EV_PERIOD_SKIPPED), 1);
        exec_run(exec, 200); /* on the grid again */
        CHECK_EQUAL(runs(exec), 13 + more);
        CHECK_EQUAL(counter(MXRC_COUNTER_PERIODS_SKIPPED), 100 - more);
        exec_done(exec);
    }
}

/* A condition on a string, or on an element that is not there, is refused when the program is taken. */
static void test_keys_are_checked(void)
{
    struct mxrc_exec *exec = running();
    triggered(1, 0, 0);
    program.program.trigger.element = 1;
    program_seal();
    uint64_t number = send_start(1, 0);
    exec_run(exec, 1);
    CHECK_EQUAL(reply_to(number), MXRC_ERR_INVALID);
    exec_done(exec);
}

int main(void)
{
    exec_config_default();
    test_waits_by_priority();
    test_cancel_of_who_waits();
    test_trigger_edge();
    test_trigger_queue();
    test_trigger_level();
    test_period_queue();
    test_no_backlog_of_periods();
    test_keys_are_checked();
    return test_summary();
}
