/* test_exec_flow.c: if, repeat, parallel, recovery, conditions, events: what runs, in which cycle, with which spans. */
#include "exec_fixture.h"

static struct mxrc_exec *running(void)
{
    struct mxrc_exec *exec = exec_begun();
    two_keys();
    exec_run(exec, 1);
    return exec;
}

static struct mxrc_op *log_op(double tag)
{
    struct mxrc_op *op = program_op(MXRC_OP_LOG);
    op->args[0] = tag;
    return op;
}

/* Tags of all TASK_LOG lines so far, as digits of one number. */
static uint64_t tags(void)
{
    struct mxrc_event event;
    uint64_t found = 0, before = lane_cursor;
    while (next_event(MXRC_EVENT_LOG, MXRC_EV_TASK_LOG, &event))
        found = found * 10 + (uint64_t)event.args[0];
    lane_cursor = before;
    return found;
}

/* Every span of an execution ended once, actions below the one sequence, that below the task. */
static void check_spans(uint32_t actions)
{
    struct mxrc_event event, sequence = {0}, found[64];
    uint32_t count = 0;
    uint64_t before = lane_cursor;
    while (count < 64 && next_event(MXRC_EVENT_SPAN, 0, &event)) {
        if (event.code == MXRC_SPAN_ACTION_EXECUTE)
            found[count++] = event;
        if (event.code == MXRC_SPAN_SEQUENCE_RUN)
            sequence = event;
    }
    lane_cursor = before;
    CHECK_EQUAL(count, actions);
    for (uint32_t i = 0; i < count; i++) {
        CHECK(memcmp(found[i].parent_span_id, sequence.span_id, 8) == 0);
        CHECK(found[i].start_ns >= sequence.start_ns && found[i].time_ns <= sequence.time_ns);
        for (uint32_t j = 0; j < i; j++)
            CHECK(memcmp(found[i].span_id, found[j].span_id, 8) != 0);
    }
}

/* 0 IF (key 1 > 5) 1 log 1, else 2 log 2; 3 END */
static void test_if(void)
{
    for (int value = 4; value <= 6; value += 2) {
        struct mxrc_exec *exec = running();
        set_key(value);
        program_begin();
        struct mxrc_op *op = program_op(MXRC_OP_IF);
        key_above(&op->condition, 1, 5);
        op->target = 2;
        log_op(1)->next = 3;
        log_op(2);
        program_end();
        send_start(1, 0);
        exec_run(exec, 2);
        CHECK_EQUAL(tags(), value > 5 ? 1 : 2);
        CHECK_EQUAL(ended_with(MXRC_EV_TASK_COMPLETED), 0);
        exec_done(exec);
    }
}

/* A key that nobody has written makes a condition false, "different" too. */
static void test_unwritten_key(void)
{
    struct mxrc_exec *exec = running();
    program_begin();
    struct mxrc_op *op = program_op(MXRC_OP_IF);
    key_above(&op->condition, 1, 5);
    op->condition.compare = MXRC_COMPARE_NE;
    op->target = 2;
    log_op(1)->next = 3;
    log_op(2);
    program_end();
    send_start(1, 0);
    exec_run(exec, 2);
    CHECK_EQUAL(tags(), 2);
    exec_done(exec);
}

/* 0 REPEAT 3x { 1 log 1; 2 REPEAT 2x { 3 log 2; 4 wait; 5 JUMP }; 6 JUMP }; 7 log 3; 8 END */
static void nested(void)
{
    program_begin();
    struct mxrc_op *op = program_op(MXRC_OP_REPEAT);
    op->count = 3;
    op->target = 7;
    log_op(1);
    op = program_op(MXRC_OP_REPEAT);
    op->count = 2;
    op->target = 6;
    op->key = 1;
    log_op(2);
    program_wait(2 * PERIOD);
    program_op(MXRC_OP_JUMP)->next = 2;
    program_op(MXRC_OP_JUMP)->next = 0;
    log_op(3);
    program_end();
}

static void test_repeat(void)
{
    struct mxrc_exec *exec = running();
    nested();
    send_start(1, 0);
    exec_run(exec, 1);
    CHECK_EQUAL(run_out(exec, 1000), 12);
    CHECK_EQUAL(tags(), 1221221223);
    exec_done(exec);
}

/* While the key is above 5, at most any number of rounds. */
static void test_while(void)
{
    struct mxrc_exec *exec = running();
    set_key(6);
    program_begin();
    struct mxrc_op *op = program_op(MXRC_OP_REPEAT);
    key_above(&op->condition, 1, 5);
    op->target = 3;
    program_wait(PERIOD);
    program_op(MXRC_OP_JUMP)->next = 0;
    program_end();
    send_start(1, 0);
    exec_run(exec, 500);
    CHECK_EQUAL(exec->active_tasks, 1);
    set_key(5);
    exec_run(exec, 3);
    CHECK_EQUAL(exec->active_tasks, 0);
    CHECK_EQUAL(ended_with(MXRC_EV_TASK_COMPLETED), 0);
    exec_done(exec);
}

/* Rounds that take no time are spread over the cycles. */
static void test_bounded_work(void)
{
    struct mxrc_exec *exec = running();
    program_begin();
    struct mxrc_op *op = program_op(MXRC_OP_REPEAT);
    op->count = 100;
    op->target = 3;
    log_op(1);
    program_op(MXRC_OP_JUMP)->next = 0;
    program_end();
    send_start(1, 0);
    uint32_t before = 0;
    do {
        exec_run(exec, 1);
        uint32_t lines = count_events(MXRC_EVENT_LOG, MXRC_EV_TASK_LOG);
        CHECK(lines - before <= 8);
        before = lines;
    } while (exec->active_tasks > 0 && exec->now.cycle < 1000);
    CHECK_EQUAL(before, 100);
    exec_done(exec);
}

/* 0 PARALLEL { 1 move axis 0, 2 log 1 | 3 move axis 1 | 4 wait } 5 JOIN 6 log 2 7 END */
static void parallel(uint32_t join)
{
    program_begin();
    struct mxrc_op *op = program_op(MXRC_OP_PARALLEL);
    op->key = join;
    op->branch[0] = 1;
    op->branch[1] = 3;
    op->branch[2] = 4;
    op->target = 5;
    program_move(0, 0.5, 300 * PERIOD);
    log_op(1)->next = 5;
    program_move(1, 0.5, 600 * PERIOD)->next = 5;
    program_wait(100 * PERIOD);
    program_op(MXRC_OP_JOIN);
    log_op(2);
    program_end();
}

static void test_parallel(void)
{
    struct mxrc_exec *exec = running();
    parallel(MXRC_JOIN_ALL);
    send_start(1, 0);
    exec_run(exec, 50);
    CHECK_EQUAL(exec->branches, 3);
    CHECK(exec->axis[0].setpoint_velocity != 0 && exec->axis[1].setpoint_velocity != 0);
    run_out(exec, 5000);
    CHECK_EQUAL(tags(), 12);
    CHECK_EQUAL(exec->branches, 0);
    CHECK(exec->axis[0].command == 0.5 && exec->axis[1].command == 0.5);
    CHECK_EQUAL(ended_with(MXRC_EV_TASK_COMPLETED), 0);
    CHECK_EQUAL(counter(MXRC_COUNTER_OUTPUTS_LIMITED), 0);
    check_spans(5);
    exec_done(exec);
}

static void test_parallel_first(void)
{
    struct mxrc_exec *exec = running();
    parallel(MXRC_JOIN_FIRST);
    send_start(1, 0);
    exec_run(exec, 1);
    CHECK_EQUAL(run_out(exec, 5000), 100);
    CHECK_EQUAL(tags(), 2);
    CHECK_EQUAL(exec->branches, 0);
    check_spans(4);
    exec_run(exec, 2000);
    CHECK(exec->axis[0].command_velocity == 0 && exec->axis[0].command < 0.5);
    CHECK_EQUAL(counter(MXRC_COUNTER_OUTPUTS_LIMITED), 0);
    exec_done(exec);
}

static void test_parallel_cancel_and_hold(void)
{
    struct mxrc_exec *exec = running();
    parallel(MXRC_JOIN_ALL);
    send_start(1, 0);
    exec_run(exec, 50);
    send_execution(MXRC_COMMAND_TASK_PAUSE, 1);
    exec_run(exec, 1000);
    CHECK(exec->axis[0].command_velocity == 0 && exec->axis[1].command_velocity == 0);
    CHECK_EQUAL(exec->branches, 3);
    send_execution(MXRC_COMMAND_TASK_RESUME, 1);
    exec_run(exec, 60);
    CHECK(exec->axis[0].setpoint_velocity != 0);
    send_execution(MXRC_COMMAND_TASK_CANCEL, 1);
    exec_run(exec, 1);
    CHECK_EQUAL(exec->branches, 0);
    CHECK_EQUAL(exec->active_tasks, 0);
    check_spans(3); /* the wait had ended or not: three begun, three ended */
    exec_done(exec);
}

/* A branch that fails ends the others; the block's own on_failure decides. */
static void test_parallel_failure(void)
{
    struct mxrc_exec *exec = running();
    parallel(MXRC_JOIN_ALL);
    program.op[4].duration_ns = 200 * PERIOD;
    program.op[4].timeout_ns = 100 * PERIOD;
    program_seal();
    send_start(1, 0);
    exec_run(exec, 1);
    CHECK_EQUAL(run_out(exec, 5000), 100);
    CHECK_EQUAL(ended_with(MXRC_EV_TASK_FAILED), MXRC_ERR_TIMEOUT);
    check_spans(3);
    exec_run(exec, 2000);
    skip_events();
    program.op[0].on_failure = MXRC_FAIL_SKIP;
    program_seal();
    send_start(2, 0);
    exec_run(exec, 200);
    CHECK_EQUAL(ended_with(MXRC_EV_TASK_COMPLETED), 0);
    CHECK_EQUAL(tags(), 2);
    exec_done(exec);
}

/* A take-over in the middle of branches: a successor goes on with each of them. */
static void test_parallel_goes_on(void)
{
    struct mxrc_exec *exec = running();
    parallel(MXRC_JOIN_ALL);
    send_start(1, 0);
    exec_run(exec, 50);
    double at = exec->axis[0].command;
    exec_done(exec);
    exec = exec_made();
    CHECK_EQUAL(mxrc_exec_begin(exec, error, sizeof error), 0);
    CHECK_EQUAL(exec->branches, 3);
    exec_run(exec, 2);
    CHECK(fabs(exec->axis[0].command - at) < 0.01);
    run_out(exec, 5000);
    CHECK_EQUAL(ended_with(MXRC_EV_TASK_COMPLETED), 0);
    CHECK(exec->axis[0].command == 0.5 && exec->axis[1].command == 0.5);
    CHECK_EQUAL(tags(), 12);
    exec_done(exec);
}

/* 0 wait with timeout, recovery 1: log 1, FAIL; 3: log 2 END, and one that goes on. */
static void test_recovery(void)
{
    for (int goes_on = 0; goes_on < 2; goes_on++) {
        struct mxrc_exec *exec = running();
        program_begin();
        struct mxrc_op *op = program_wait(100 * PERIOD);
        op->timeout_ns = 3 * PERIOD;
        op->on_failure = MXRC_FAIL_RECOVERY;
        op->recovery = 1;
        op->next = 3;
        op = log_op(1);
        if (goes_on)
            op->next = 3;
        program_op(MXRC_OP_FAIL);
        log_op(2);
        program_end();
        send_start(1, 0);
        exec_run(exec, 20);
        CHECK_EQUAL(exec->active_tasks, 0);
        CHECK_EQUAL(tags(), goes_on ? 12 : 1);
        CHECK_EQUAL(ended_with(goes_on ? MXRC_EV_TASK_COMPLETED : MXRC_EV_TASK_FAILED),
                    goes_on ? MXRC_OK : MXRC_ERR_TIMEOUT);
        CHECK_EQUAL(count_events(MXRC_EVENT_LOG, MXRC_EV_ACTION_RECOVERY), 1);
        exec_done(exec);
    }
}

static void test_wait_for_key(void)
{
    for (uint8_t edge = 0; edge < 2; edge++) {
        struct mxrc_exec *exec = running();
        set_key(6);
        program_begin();
        struct mxrc_op *op = program_op(MXRC_OP_WAIT_FOR);
        key_above(&op->condition, 1, 5);
        op->condition.edge = edge;
        program_end();
        send_start(1, 0);
        exec_run(exec, 10);
        CHECK_EQUAL(exec->active_tasks, edge);
        set_key(1);
        exec_run(exec, 10);
        CHECK_EQUAL(exec->active_tasks, edge);
        set_key(6);
        exec_run(exec, 1);
        CHECK_EQUAL(exec->active_tasks, 0);
        skip_events();
        program.op[0].timeout_ns = 5 * PERIOD;
        program_seal();
        set_key(1);
        send_start(2, 0);
        exec_run(exec, 10);
        CHECK_EQUAL(ended_with(MXRC_EV_TASK_FAILED), MXRC_ERR_TIMEOUT);
        exec_done(exec);
    }
}

static uint64_t send_bus(uint64_t execution_id, uint32_t topic, double value)
{
    struct mxrc_command command = {
        .kind = MXRC_COMMAND_BUS_EVENT, .execution_id = execution_id, .key = topic};
    command.args[0] = value;
    command.trace_id[0] = 0xbb;
    command.span_id[0] = 0xcc;
    command.trace_flags = 1;
    return send(&command);
}

/* RT -> Non-RT -> RT: 0 emit 70; 1 wait; 2 wait for 71 > 5; 3 END */
static void test_events(void)
{
    struct mxrc_exec *exec = running();
    program_begin();
    program.program.topic_count = 1;
    program.program.topic[0] = 71;
    struct mxrc_op *op = program_op(MXRC_OP_EMIT_EVENT);
    op->key = 70;
    op->count = 2;
    op->args[0] = 1.5;
    op->args[1] = 2.5;
    program_wait(5 * PERIOD);
    op = program_op(MXRC_OP_WAIT_FOR);
    op->condition = (struct mxrc_condition){
        .source = MXRC_CONDITION_EVENT, .compare = MXRC_COMPARE_GT, .value = 5};
    program_end();
    uint64_t early = send_bus(0, 71, 9);
    send_start(1, 0);
    exec_run(exec, 1);
    CHECK_EQUAL(reply_to(early), MXRC_ERR_UNKNOWN); /* nobody listened */
    struct mxrc_event event;
    uint64_t before = lane_cursor;
    CHECK(next_event(MXRC_EVENT_BUS, 0, &event));
    lane_cursor = before;
    CHECK_EQUAL(event.code, 70);
    CHECK(event.count == 2 && event.args[0] == 1.5 && event.args[1] == 2.5);
    CHECK_EQUAL(event.trace_id[0], 0xaa);
    CHECK_EQUAL(event.execution_id, 1);
    uint64_t low = send_bus(0, 71, 4), other = send_bus(2, 71, 9), foreign = send_bus(0, 99, 9);
    exec_run(exec, 20);
    CHECK_EQUAL(reply_to(low), MXRC_OK);
    CHECK_EQUAL(reply_to(other), MXRC_ERR_UNKNOWN);
    CHECK_EQUAL(reply_to(foreign), MXRC_ERR_UNKNOWN);
    CHECK_EQUAL(exec->active_tasks, 1); /* 4 is used up */
    skip_events();
    instrument(0);
    send_bus(1, 71, 3);
    exec_run(exec, 1);
    CHECK(!next_event(MXRC_EVENT_SPAN, 0, &event));
    instrument(7);
    send_bus(1, 71, 6);
    exec_run(exec, 1);
    before = lane_cursor;
    CHECK(
        next_event(MXRC_EVENT_SPAN, 0, &event)); /* a child of who sent it, in the sender's trace */
    lane_cursor = before;
    CHECK_EQUAL(event.code, MXRC_SPAN_EVENTBUS_PROCESS);
    CHECK(event.trace_id[0] == 0xbb && event.parent_span_id[0] == 0xcc && event.args[0] == 71);
    CHECK(memcmp(event.span_id, event.parent_span_id, sizeof event.span_id) != 0);
    CHECK(event.execution_id == 1 && event.sequence_name == 0 && event.action_name == 0);
    CHECK_EQUAL(exec->active_tasks, 0);
    CHECK_EQUAL(ended_with(MXRC_EV_TASK_COMPLETED), 0);

    /* One that comes before the wait counts. */
    skip_events();
    send_start(2, 0);
    exec_run(exec, 2);
    send_bus(2, 71, 7);
    exec_run(exec, 10);
    CHECK_EQUAL(exec->active_tasks, 0);
    exec_done(exec);
}

static void test_safe_mode_policies(void)
{
    for (uint32_t policy = 0; policy <= MXRC_RESTART_FAIL; policy++) {
        struct mxrc_exec *exec = running();
        program_begin();
        program.program.on_safe_mode = policy;
        log_op(1);
        program_wait(20 * PERIOD);
        log_op(2);
        program_end();
        send_start(1, 0);
        exec_run(exec, 10);
        send_event(MXRC_RT_SAFE_MODE_ENTER);
        exec_run(exec, 5);
        send_event(MXRC_RT_SAFE_MODE_EXIT);
        exec_run(exec, 1);
        send_event(MXRC_RT_RESUME);
        exec_run(exec, 40);
        CHECK_EQUAL(exec->active_tasks, 0);
        CHECK_EQUAL(tags(), policy == MXRC_RESTART_RESUME ? 12
                            : policy == MXRC_RESTART_FAIL ? 1
                                                          : 112);
        if (policy == MXRC_RESTART_FAIL)
            CHECK_EQUAL(ended_with(MXRC_EV_TASK_FAILED), MXRC_ERR_SAFE_MODE);
        exec_done(exec);
    }
}

int main(void)
{
    exec_config_default();
    test_if();
    test_unwritten_key();
    test_repeat();
    test_while();
    test_bounded_work();
    test_parallel();
    test_parallel_first();
    test_parallel_cancel_and_hold();
    test_parallel_failure();
    test_parallel_goes_on();
    test_recovery();
    test_wait_for_key();
    test_events();
    test_safe_mode_policies();
    return test_summary();
}
