/* test_exec_task.c: the life of a task: actions, timeouts, retries, cancel, pause, states, periods, commands. */
#include "exec_fixture.h"
#include "span.h"

static struct mxrc_exec *running(void)
{
    struct mxrc_exec *exec = exec_begun();
    exec_run(exec, 1);
    return exec;
}

static void test_wait_takes_its_time(void)
{
    struct mxrc_exec *exec = running();
    program_begin();
    program_wait(10 * PERIOD);
    program_wait(5 * PERIOD);
    program_end();
    send_start(1, 0);
    exec_run(exec, 1);
    CHECK_EQUAL(run_out(exec, 100), 15);
    struct mxrc_event event;
    CHECK(next_event(MXRC_EVENT_TASK, MXRC_EV_TASK_COMPLETED, &event));
    CHECK(event.args[0] == 15);
    CHECK_EQUAL(event.code, MXRC_TASK_COMPLETED);
    exec_done(exec);
}

static void test_the_span_of_a_message(void)
{
    struct mxrc_exec *exec = running();
    program_begin();
    program_wait(10 * PERIOD);
    program_end();
    send_start(77, 0);
    exec_run(exec, 3);
    struct mxrc_task_state *task = &exec->task[0];
    uint8_t id[8];
    mxrc_span_publish(exec, &task->strand, 1234, id);
    struct mxrc_event span;
    CHECK(next_event(MXRC_EVENT_SPAN, 0, &span));
    CHECK_EQUAL(span.code, MXRC_SPAN_EVENTBUS_PUBLISH);
    CHECK(memcmp(span.span_id, id, 8) == 0);
    CHECK(memcmp(span.parent_span_id, task->strand.action_span_id, 8) == 0);
    CHECK(span.args[0] == 1234);
    CHECK_EQUAL(exec->at.metrics->counter[MXRC_COUNTER_SPANS_PUBLISH], 1);
    CHECK(exec->at.metrics->counter[MXRC_COUNTER_TRACING_TIME] > 0);

    task->trace_flags = 0; /* not sampled: what processes the message is a child of the action */
    mxrc_span_publish(exec, &task->strand, 1234, id);
    CHECK(memcmp(task->strand.action_span_id, id, 8) == 0);
    CHECK(!next_event(MXRC_EVENT_SPAN, 0, &span));
    CHECK_EQUAL(exec->at.metrics->counter[MXRC_COUNTER_SPANS_PUBLISH], 1);
    exec_done(exec);
}

static void test_spans(void)
{
    struct mxrc_exec *exec = running();
    program_begin();
    program_wait(10 * PERIOD);
    program_move(1, 0.2, 50 * PERIOD);
    program_end();
    send_start(77, 0);
    exec_run(exec, 20);
    struct mxrc_cycle_record record = last_record();
    CHECK_EQUAL(record.execution_id, 77);
    CHECK_EQUAL(record.action_name, 101);
    CHECK_EQUAL(record.step, 1);
    CHECK_EQUAL(record.trace_id[0], 0xaa);
    CHECK_EQUAL(record.trace_flags, 1);
    CHECK_EQUAL(record.active_tasks, 1);
    run_out(exec, 1000);
    struct mxrc_event span[4];
    for (int i = 0; i < 4; i++)
        CHECK(next_event(MXRC_EVENT_SPAN, 0, &span[i]));
    CHECK_EQUAL(next_event(MXRC_EVENT_SPAN, 0, &(struct mxrc_event){0}), 0);
    const uint32_t operations[] = {MXRC_SPAN_ACTION_EXECUTE, MXRC_SPAN_ACTION_EXECUTE,
                                   MXRC_SPAN_SEQUENCE_RUN, MXRC_SPAN_TASK_EXECUTE};
    for (int i = 0; i < 4; i++) {
        CHECK_EQUAL(span[i].code, operations[i]);
        CHECK_EQUAL(span[i].span_status, MXRC_SPAN_OK);
        CHECK_EQUAL(span[i].trace_id[0], 0xaa);
        CHECK_EQUAL(span[i].execution_id, 77);
        for (int j = 0; j < i; j++)
            CHECK(memcmp(span[i].span_id, span[j].span_id, 8) != 0);
    }
    CHECK(memcmp(span[0].parent_span_id, span[2].span_id, 8) == 0);
    CHECK(memcmp(span[1].parent_span_id, span[2].span_id, 8) == 0);
    CHECK(memcmp(span[2].parent_span_id, span[3].span_id, 8) == 0);
    CHECK_EQUAL(span[3].parent_span_id[0], 0xbb);
    CHECK(memcmp(record.span_id, span[1].span_id, 8) == 0);
    CHECK_EQUAL(span[0].time_ns - span[0].start_ns, 10 * PERIOD);
    CHECK_EQUAL(span[1].start_ns, span[0].time_ns);
    CHECK(span[0].args[0] == 10 * PERIOD && span[0].args[1] == 10 * PERIOD);
    CHECK(span[1].args[0] == 50 * PERIOD);
    CHECK_EQUAL(counter(MXRC_COUNTER_SPANS_ACTION), 2);
    exec_done(exec);
}

static void test_unsampled(void)
{
    struct mxrc_exec *exec = running();
    program_begin();
    program_wait(PERIOD);
    program_end();
    struct mxrc_program_slot *slots = mxrc_region(&nonrt, MXRC_REGION_STAGING, NULL);
    slots[3] = program;
    struct mxrc_command command = {.kind = MXRC_COMMAND_TASK_START,
                                   .program = 3,
                                   .program_bytes = program.program.bytes,
                                   .program_crc = program.program.crc,
                                   .execution_id = 5};
    send(&command);
    exec_run(exec, 10);
    CHECK_EQUAL(counter(MXRC_COUNTER_TASKS_COMPLETED), 1);
    CHECK_EQUAL(count_events(MXRC_EVENT_SPAN, 0), 0);
    exec_done(exec);
}

static void test_timeout_and_retries(void)
{
    struct mxrc_exec *exec = running();
    program_begin();
    struct mxrc_op *op = program_wait(100 * PERIOD);
    op->timeout_ns = 10 * PERIOD;
    op->retries = 2;
    op->backoff_ns = 5 * PERIOD;
    program_end();
    send_start(1, 0);
    exec_run(exec, 1);
    CHECK_EQUAL(run_out(exec, 200), 10 + 5 + 10 + 5 + 10);
    CHECK_EQUAL(ended_with(MXRC_EV_TASK_FAILED), MXRC_ERR_TIMEOUT);
    CHECK_EQUAL(count_events(MXRC_EVENT_LOG, MXRC_EV_ACTION_RETRY), 2);
    struct mxrc_event event;
    uint32_t failed = 0;
    while (next_event(MXRC_EVENT_SPAN, 0, &event)) {
        CHECK_EQUAL(event.span_status, MXRC_SPAN_ERROR);
        failed += event.error_code == MXRC_ERR_TIMEOUT;
    }
    CHECK_EQUAL(failed, 5); /* three attempts, the sequence, the task */
    exec_done(exec);
}

static void test_on_failure(void)
{
    struct mxrc_exec *exec = running();
    program_begin();
    struct mxrc_op *op = program_move(0, 1.0, 0);
    op->timeout_ns = 100 * PERIOD;
    op->on_failure = MXRC_FAIL_SKIP;
    program_move(0, 0.1, 0); /* begins once the axis has come to rest */
    program_end();
    send_start(1, 0);
    exec_run(exec, 3);
    double velocity = 0, previous = exec->axis[0].command, top = 0;
    while (exec->active_tasks > 0 && exec->now.cycle < 5000) {
        mxrc_exec_cycle(exec);
        double v = (exec->axis[0].command - previous) / 1e-3;
        if (exec->now.cycle > 5)
            top = fmax(top, fabs(v - velocity) / 1e-3);
        velocity = v;
        previous = exec->axis[0].command;
    }
    CHECK_SAY(top <= 10 * (1 + 1e-4), "acceleration %g", top);
    CHECK_EQUAL(count_events(MXRC_EVENT_LOG, MXRC_EV_ACTION_SKIPPED), 1);
    CHECK_EQUAL(ended_with(MXRC_EV_TASK_COMPLETED), 0);
    CHECK(exec->axis[0].command == 0.1);
    exec_done(exec);

    exec = running();
    program_begin();
    op = program_wait(100 * PERIOD);
    op->timeout_ns = 2 * PERIOD;
    op->on_failure = MXRC_FAIL_SAFE_MODE;
    program_end();
    send_start(1, 0);
    exec_run(exec, 10);
    CHECK_EQUAL(rt_status()->state, MXRC_STATE_SAFE_MODE);
    CHECK_EQUAL(rt_status()->safe_cause, MXRC_SAFE_TASK);
    CHECK_EQUAL(ended_with(MXRC_EV_TASK_FAILED), MXRC_ERR_TIMEOUT);
    exec_done(exec);
}

static void test_cancel(void)
{
    struct mxrc_exec *exec = running();
    program_begin();
    program_move(0, 2.0, 0);
    program_end();
    send_start(1, 0);
    exec_run(exec, 500);
    uint64_t unknown = send_execution(MXRC_COMMAND_TASK_CANCEL, 99);
    uint64_t number = send_execution(MXRC_COMMAND_TASK_CANCEL, 1);
    exec_run(exec, 1);
    CHECK_EQUAL(reply_to(unknown), MXRC_ERR_UNKNOWN);
    CHECK_EQUAL(reply_to(number), MXRC_OK);
    CHECK_EQUAL(ended_with(MXRC_EV_TASK_CANCELLED), MXRC_ERR_CANCELLED);
    CHECK(exec->axis[0].command_velocity > 0.1); /* it ramps, it does not stop dead */
    exec_run(exec, 1000);
    CHECK(fabs(exec->axis[0].command_velocity) < 1e-9);
    CHECK_EQUAL(counter(MXRC_COUNTER_OUTPUTS_LIMITED), 0);
    exec_done(exec);
}

/* By RT state and by task: motion stops within limits, time held does not count, the rest follows. */
static void test_pause_and_resume(void)
{
    for (int by_state = 0; by_state < 2; by_state++) {
        struct mxrc_exec *exec = running();
        program_begin();
        struct mxrc_op *op = program_move(0, 2.0, 0);
        op->timeout_ns = 2900 * PERIOD;
        program_end();
        send_start(1, 0);
        exec_run(exec, 500);
        if (by_state)
            send_event(MXRC_RT_PAUSE);
        else
            send_execution(MXRC_COMMAND_TASK_PAUSE, 1);
        exec_run(exec, 3000);
        double at = exec->axis[0].command;
        CHECK(at > 0.1 && at < 1.9 && exec->axis[0].command_velocity == 0);
        CHECK_EQUAL(count_events(MXRC_EVENT_LOG, MXRC_EV_TASK_HELD), 1);
        CHECK_EQUAL(rt_status()->active_tasks, 1);
        if (by_state)
            send_event(MXRC_RT_RESUME);
        else
            send_execution(MXRC_COMMAND_TASK_RESUME, 1);
        run_out(exec, 4000);
        CHECK_EQUAL(ended_with(MXRC_EV_TASK_COMPLETED), 0);
        CHECK(exec->axis[0].command == 2.0);
        CHECK_EQUAL(count_events(MXRC_EVENT_LOG, MXRC_EV_TASK_RESUMED), 1);
        CHECK_EQUAL(counter(MXRC_COUNTER_OUTPUTS_LIMITED), 0);
        exec_done(exec);
    }
}

/* Paused by command, then by state: the state's RESUME does not resume it. */
static void test_pauses_do_not_mix(void)
{
    struct mxrc_exec *exec = running();
    program_begin();
    program_wait(10 * PERIOD);
    program_end();
    send_start(1, 0);
    exec_run(exec, 3);
    send_execution(MXRC_COMMAND_TASK_PAUSE, 1);
    send_event(MXRC_RT_PAUSE);
    exec_run(exec, 3);
    send_event(MXRC_RT_RESUME);
    exec_run(exec, 100);
    CHECK_EQUAL(rt_status()->active_tasks, 1);
    send_execution(MXRC_COMMAND_TASK_RESUME, 1);
    exec_run(exec, 20);
    CHECK_EQUAL(rt_status()->active_tasks, 0);
    exec_done(exec);
}

static void test_safe_mode_and_error(void)
{
    struct mxrc_exec *exec = running();
    program_begin();
    program_move(0, 2.0, 0);
    program_end();
    send_start(1, 0);
    exec_run(exec, 500);
    send_event(MXRC_RT_SAFE_MODE_ENTER);
    exec_run(exec, 1500);
    CHECK_EQUAL(rt_status()->active_tasks, 1);
    uint64_t refused = send_start(2, 1);
    send_event(MXRC_RT_SAFE_MODE_EXIT);
    exec_run(exec, 100);
    CHECK_EQUAL(reply_to(refused), MXRC_ERR_SAFE_MODE);
    CHECK_EQUAL(rt_status()->state, MXRC_STATE_PAUSED);
    double at = exec->axis[0].command;
    exec_run(exec, 100);
    CHECK(exec->axis[0].command == at); /* nothing moves before RESUME */
    send_event(MXRC_RT_RESUME);
    exec_run(exec, 300);
    CHECK(exec->axis[0].command > at);
    send_event(MXRC_RT_ERROR_OCCUR);
    refused = send_start(3, 1);
    exec_run(exec, 2);
    CHECK_EQUAL(ended_with(MXRC_EV_TASK_FAILED), MXRC_ERR_ERROR_STATE);
    CHECK_EQUAL(reply_to(refused), MXRC_ERR_ERROR_STATE);
    CHECK_EQUAL(rt_status()->active_tasks, 0);
    exec_done(exec);
}

static void test_instant_actions(void)
{
    struct mxrc_exec *exec = exec_begun();
    /* Three keys: a double of RT's, a whole number of RT's with limits, one of Non-RT's. */
    struct mxrc_data_directory *directory = mxrc_region(&rt, MXRC_REGION_DATA_DIRECTORY, NULL);
    uint64_t bytes;
    mxrc_region(&rt, MXRC_REGION_DATA_DIRECTORY, &bytes);
    mprotect(directory, bytes, PROT_READ | PROT_WRITE);
    struct mxrc_data_key *key = (struct mxrc_data_key *)(void *)(directory + 1);
    memset(key, 0, 3 * sizeof *key);
    for (uint32_t i = 0; i < 3; i++) {
        key[i].length = 1;
        key[i].type = MXRC_DATA_DOUBLE;
        key[i].writer = i < 2 ? MXRC_WRITER_RT : MXRC_WRITER_NONRT;
        key[i].cell = i < 2 ? i : 0;
        key[i].minimum = -INFINITY;
        key[i].maximum = INFINITY;
    }
    key[1].type = MXRC_DATA_INT64;
    key[1].minimum = 0;
    key[1].maximum = 10;
    directory->count = 3;
    exec_run(exec, 1);

    program_begin();
    struct mxrc_op *op = program_op(MXRC_OP_LOG);
    op->args[0] = 1.5;
    op->key = MXRC_LEVEL_WARN;
    op = program_op(MXRC_OP_SET_VALUE);
    op->key = 0;
    op->args[0] = 2.25;
    op = program_op(MXRC_OP_SET_VALUE);
    op->key = 1;
    op->args[0] = 7;
    op = program_op(MXRC_OP_HOLD);
    op->axes = 3;
    op->duration_ns = 4 * PERIOD;
    program_op(MXRC_OP_SAFE_STOP);
    op = program_op(MXRC_OP_LOG);
    op->args[0] = 2.5;
    program_end();
    send_start(1, 0);
    exec_run(exec, 1);
    double value = 0;
    int64_t integer = 0;
    uint32_t got = 8;
    uint64_t time_ns;
    CHECK_EQUAL(mxrc_data_read(&nonrt, 0, &value, &got, &time_ns), 0);
    CHECK(value == 2.25); /* all in the cycle that took the command */
    got = 8;
    CHECK_EQUAL(mxrc_data_read(&nonrt, 1, &integer, &got, &time_ns), 0);
    CHECK_EQUAL(integer, 7);
    struct mxrc_event event;
    CHECK(next_event(MXRC_EVENT_LOG, MXRC_EV_TASK_LOG, &event));
    CHECK(event.args[0] == 1.5);
    CHECK_EQUAL(event.level, MXRC_LEVEL_WARN);
    CHECK_EQUAL(event.execution_id, 1);
    exec_run(exec, 5);
    CHECK_EQUAL(rt_status()->state, MXRC_STATE_SAFE_MODE);
    CHECK_EQUAL(rt_status()->safe_cause, MXRC_SAFE_TASK);
    CHECK_EQUAL(rt_status()->active_tasks, 1);
    send_event(MXRC_RT_SAFE_MODE_EXIT);
    send_event(MXRC_RT_RESUME);
    exec_run(exec, 3);
    CHECK(next_event(MXRC_EVENT_LOG, MXRC_EV_TASK_LOG, &event));
    CHECK(event.args[0] == 2.5);
    CHECK_EQUAL(rt_status()->active_tasks, 0);

    const struct {
        uint32_t key;
        double value;
        uint32_t result;
    } refused[] = {{1, 11, MXRC_ERR_LIMIT}, {2, 1, MXRC_ERR_INVALID}};
    for (uint32_t i = 0; i < 2; i++) {
        skip_events();
        program_begin();
        op = program_op(MXRC_OP_SET_VALUE);
        op->key = refused[i].key;
        op->args[0] = refused[i].value;
        program_end();
        send_start(10 + i, 0);
        exec_run(exec, 3);
        CHECK_EQUAL(ended_with(MXRC_EV_TASK_FAILED), refused[i].result);
    }
    exec_done(exec);
}

static void test_periodic(void)
{
    struct mxrc_exec *exec = running();
    program_begin();
    program.program.mode = MXRC_MODE_PERIODIC;
    program.program.period_ns = 20 * PERIOD;
    program_wait(7 * PERIOD);
    program_end();
    uint64_t number = send_start(1, 0);
    exec_run(exec, 1);
    uint64_t first = exec->now.cycle - 1;
    exec_run(exec, 2000 - 1);
    CHECK_EQUAL(reply_to(number), MXRC_OK);
    CHECK_EQUAL(count_events(MXRC_EVENT_TASK, 0), 1); /* RUNNING, once */
    struct mxrc_event event;
    uint64_t runs = 0;
    while (next_event(MXRC_EVENT_SPAN, 0, &event))
        if (event.code == MXRC_SPAN_TASK_EXECUTE) {
            CHECK_EQUAL(event.cycle, first + 20 * runs + 7); /* on the grid, without drift */
            runs++;
        }
    CHECK_EQUAL(runs, 100);
    CHECK_EQUAL(counter(MXRC_COUNTER_PERIODS_SKIPPED), 0);
    /* A stall over three periods: those are skipped, the next one is on the grid again. */
    fake.work_ns = 65 * PERIOD;
    exec_run(exec, 1);
    fake.work_ns = 0;
    exec_run(exec, 60);
    CHECK(counter(MXRC_COUNTER_PERIODS_SKIPPED) >= 2);
    CHECK_EQUAL((exec->task[0].next_run_cycle - first) % 20, 0);
    send_execution(MXRC_COMMAND_TASK_CANCEL, 1);
    exec_run(exec, 1);
    CHECK_EQUAL(rt_status()->active_tasks, 0);
    program.program.period_ns = PERIOD + 1;
    program_seal();
    number = send_start(2, 1);
    exec_run(exec, 1);
    CHECK_EQUAL(reply_to(number), MXRC_ERR_INVALID);
    exec_done(exec);
}

static void test_several_at_once(void)
{
    struct mxrc_exec *exec = running();
    uint64_t number[MXRC_TASKS + 1];
    program_begin();
    program_move(0, 0.5, 100 * PERIOD);
    program_end();
    number[0] = send_start(1, 0);
    uint64_t same_axis = send_start(2, 1);
    program_begin();
    program_wait(50 * PERIOD);
    program_end();
    for (uint32_t i = 1; i <= MXRC_TASKS; i++)
        number[i] = send_start(10 + i, 2);
    uint64_t twice = send_start(11, 2);
    exec_run(exec, 5);
    CHECK_EQUAL(reply_to(same_axis), MXRC_OK); /* it waits */
    CHECK_EQUAL(exec->task[1].waits_for, 1);
    CHECK_EQUAL(reply_to(twice), MXRC_OK);
    for (uint32_t i = 0; i <= MXRC_TASKS; i++)
        CHECK_EQUAL(reply_to(number[i]), i < MXRC_TASKS - 1 ? MXRC_OK : MXRC_ERR_BUSY);
    CHECK_EQUAL(rt_status()->active_tasks, MXRC_TASKS);
    run_out(exec, 2000);
    CHECK_EQUAL(counter(MXRC_COUNTER_TASKS_COMPLETED), MXRC_TASKS);
    CHECK_EQUAL(counter(MXRC_COUNTER_TASKS_STARTED), MXRC_TASKS);
    exec_done(exec);
}

static void test_commands(void)
{
    config.commands_per_cycle = 4;
    struct mxrc_exec *exec = running();
    struct mxrc_command noop = {.kind = MXRC_COMMAND_NOOP};
    struct mxrc_command unknown = {.kind = 99};
    struct mxrc_command loaded = {.kind = MXRC_COMMAND_RT_EVENT, .key = MXRC_RT_LOADED};
    uint64_t first = send(&noop), bad = send(&unknown), internal = send(&loaded);
    for (int i = 0; i < 7; i++)
        send(&noop);
    exec_run(exec, 1);
    CHECK_EQUAL(rt_status()->command_tail, first + 4); /* bounded */
    CHECK_EQUAL(rt_status()->waiting_commands, 6);
    CHECK_EQUAL(reply_to(first), MXRC_OK);
    CHECK_EQUAL(reply_to(bad), MXRC_ERR_INVALID);
    CHECK_EQUAL(reply_to(internal), MXRC_ERR_INVALID);
    exec_run(exec, 2);
    CHECK_EQUAL(rt_status()->command_tail, first + 10);
    CHECK_EQUAL(counter(MXRC_COUNTER_COMMANDS_REFUSED), 2);
    CHECK_EQUAL(rt_metrics()->histogram[MXRC_HISTOGRAM_COMMAND_LATENCY].count, 10);

    program_begin();
    program_wait(PERIOD);
    program_end();
    struct mxrc_program_slot *slots = mxrc_region(&nonrt, MXRC_REGION_STAGING, NULL);
    slots[0] = program;
    struct mxrc_command start = {.kind = MXRC_COMMAND_TASK_START,
                                 .program_bytes = program.program.bytes,
                                 .program_crc = program.program.crc,
                                 .execution_id = 5};
    struct mxrc_command wrong = start;
    wrong.program = 16;
    CHECK_EQUAL(send(&wrong), first + 10);
    wrong = start;
    wrong.program_bytes = sizeof(struct mxrc_program_slot) + 8;
    send(&wrong);
    wrong = start;
    wrong.program_crc ^= 1;
    send(&wrong);
    wrong = start;
    wrong.execution_id = 0;
    send(&wrong);
    exec_run(exec, 1);
    CHECK_EQUAL(reply_to(first + 10), MXRC_ERR_INVALID);
    CHECK_EQUAL(reply_to(first + 11), MXRC_ERR_INVALID);
    CHECK_EQUAL(reply_to(first + 12), MXRC_ERR_CORRUPT);
    CHECK_EQUAL(reply_to(first + 13), MXRC_ERR_INVALID);
    slots[0].op[0].duration_ns++;
    uint64_t torn = send(&start);
    exec_run(exec, 1);
    CHECK_EQUAL(reply_to(torn), MXRC_ERR_CORRUPT);
    slots[0].op[0].duration_ns--;
    start.not_before_ns = exec->now.scheduled_ns + 20 * PERIOD + 1;
    send(&start);
    exec_run(exec, 21);
    CHECK_EQUAL(counter(MXRC_COUNTER_TASKS_STARTED), 0);
    CHECK_EQUAL(rt_status()->active_tasks, 1);
    exec_run(exec, 1);
    CHECK_EQUAL(counter(MXRC_COUNTER_TASKS_STARTED), 1);
    exec_done(exec);
    exec_config_default();
}

/* Many skipped slots: the arm has stopped, and motion goes on from rest. */
static void test_motion_after_a_stall(uint32_t policy)
{
    config.overrun_policy = policy;
    struct mxrc_exec *exec = running();
    program_begin();
    program_move(0, 2.0, 0);
    program_end();
    send_start(1, 0);
    exec_run(exec, 500);
    fake.work_ns = 50 * PERIOD;
    exec_run(exec, 1);
    fake.work_ns = 0;
    double at = exec->axis[0].command;
    exec_run(exec, 2);
    CHECK(fabs(exec->axis[0].command - at) < 1e-4);
    /* Slots that are caught up are run at once. */
    while (exec->now.scheduled_ns < fake.now_ns)
        exec_run(exec, 1);
    CHECK_SAY(fabs(exec->axis[0].command - at) < 2e-3, "policy %u: %g at once", policy,
              exec->axis[0].command - at);
    run_out(exec, 5000);
    CHECK(exec->axis[0].command == 2.0);
    CHECK_EQUAL(counter(MXRC_COUNTER_OUTPUTS_LIMITED), 0);
    CHECK_EQUAL(count_events(MXRC_EVENT_LOG, MXRC_EV_MOTION_INTERRUPTED), 1);
    exec_done(exec);
    config.overrun_policy = MXRC_OVERRUN_SKIP;
}

/* A machine that stalls again and again: nobody held a task, so no line says so, and the lines of the interruptions
 * are limited like any storm. */
static void test_stalls_do_not_fill_the_log(void)
{
    struct mxrc_exec *exec = running();
    program_begin();
    program_move(0, 2.0, 0);
    program_end();
    send_start(1, 0);
    exec_run(exec, 100);
    for (uint32_t i = 0; i < 40; i++) {
        fake.work_ns = 15 * PERIOD;
        exec_run(exec, 1);
        fake.work_ns = 0;
        exec_run(exec, 1);
    }
    CHECK_EQUAL(count_events(MXRC_EVENT_LOG, MXRC_EV_TASK_HELD), 0);
    CHECK_EQUAL(count_events(MXRC_EVENT_LOG, MXRC_EV_TASK_RESUMED), 0);
    uint32_t lines = count_events(MXRC_EVENT_LOG, MXRC_EV_MOTION_INTERRUPTED);
    CHECK(lines >= 1 && lines <= 11);
    CHECK_EQUAL(exec->active_tasks, 1);
    exec_done(exec);
}

int main(void)
{
    exec_config_default();
    test_wait_takes_its_time();
    test_spans();
    test_the_span_of_a_message();
    test_unsampled();
    test_timeout_and_retries();
    test_on_failure();
    test_cancel();
    test_pause_and_resume();
    test_pauses_do_not_mix();
    test_safe_mode_and_error();
    test_instant_actions();
    test_periodic();
    test_several_at_once();
    test_commands();
    test_motion_after_a_stall(MXRC_OVERRUN_SKIP);
    test_motion_after_a_stall(MXRC_OVERRUN_CATCH_UP);
    test_motion_after_a_stall(MXRC_OVERRUN_REBASE);
    test_stalls_do_not_fill_the_log();
    return test_summary();
}
