/* fuzz_program.c: libFuzzer target of the validator and the executor of
 * programs. An input becomes a program, most of whose fields are near what is
 * valid, and a list of disturbances. What the validator lets pass runs; then
 * must hold, in every cycle: outputs within position, velocity and acceleration
 * limits, a bounded number of events; at the end: it has ended, or is cancelled
 * in one cycle, with no branch left and every span that was begun ended once.
 */
#include "../src/axes.h"
#include "../tests/exec_fixture.h"

#define CYCLES 400
#define EVENTS_PER_CYCLE                                                                           \
    400 /* 5 strands x 8 ops x (3 lines, span, own event), tasks, states,        \
         replies */
#define KEYS 2
#define TOPIC 71

#define REQUIRE(condition)                                                                         \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #condition);         \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

struct input {
    const uint8_t *at;
    size_t left;
};

/* Zero once the input is used up. */
static uint8_t byte(struct input *input)
{
    if (input->left == 0)
        return 0;
    input->left--;
    return *input->at++;
}

/* 0: the next one; else any near one, some of them wrong. */
static uint32_t near(struct input *input, uint32_t index, uint32_t zero)
{
    uint8_t b = byte(input);
    return b == 0 ? zero : (uint32_t)((int)index + (int)(b % 16) - 4);
}

static double number(struct input *input)
{
    static const double special[] = {0,  1,   -1,   0.5,   2.999, -2.999,  3,
                                     -3, 3.1, 1e-9, 1e300, NAN,   INFINITY};
    uint8_t b = byte(input);
    if (b < sizeof special / sizeof *special)
        return special[b];
    return (b - 128) / 43.0; /* about -2.7 to 2.95 */
}

static void condition(struct input *input, struct mxrc_condition *condition)
{
    uint8_t b = byte(input);
    condition->source = b & 3;
    condition->compare = (uint8_t)(b >> 2) % 8;
    condition->edge = b >> 7;
    condition->key = condition->source == MXRC_CONDITION_KEY ? b >> 5 & 1 : 0;
    condition->value = number(input);
}

/* ---- a law for tasks that asks for anything ---- */

enum { ASKS, THEN_ASKS, AFTER, RETURNS, LAW_PARAMETERS };

static int law_init(void *state, const double *p, uint32_t axes, double dt)
{
    (void)state, (void)axes, (void)dt;
    return p[ASKS] == 0.5;
}

static int law_step(void *state, const double *p, const struct mxrc_law_input *in, double *command)
{
    double *steps = state;
    int late = ++*steps > p[AFTER];
    for (uint32_t i = 0; i < in->axes; i++)
        command[i] = late ? p[THEN_ASKS] : p[ASKS] * in->setpoint[i] + 1e-3 * *steps;
    return late ? (int)p[RETURNS] : 0;
}

static void law_reset(void *state, const double *p, const struct mxrc_law_input *in)
{
    (void)state, (void)p, (void)in;
}

static const struct mxrc_law law = {
    .abi = MXRC_LAW_ABI,
    .bytes = sizeof(struct mxrc_law),
    .name = "fuzzed",
    .command = MXRC_LAW_POSITION,
    .state_bytes = 8,
    .state_version = 1,
    .parameter_count = LAW_PARAMETERS,
    .init = law_init,
    .step = law_step,
    .reset = law_reset,
};

static void make_law(struct input *input, struct mxrc_op *op, uint8_t time)
{
    uint8_t b = byte(input);
    op->key = b & 1;
    op->count = b >> 1 & 7 ? LAW_PARAMETERS : byte(input);
    op->identity = mxrc_crc32c(0, "fuzzed", b >> 4 & 7 ? 6 : 5);
    op->axes = b >> 7 ? 0 : byte(input) & 0x3f;
    op->duration_ns = (time & 15) * 20 * PERIOD;
    if (byte(input) & 1)
        condition(input, &op->condition);
    op->args[ASKS] = number(input);
    op->args[THEN_ASKS] = number(input);
    op->args[AFTER] = byte(input);
    b = byte(input);
    op->args[RETURNS] = b < 64 ? MXRC_LAW_DONE : b < 128 ? 1 : 0;
}

static void make_op(struct input *input, uint32_t index)
{
    uint8_t kind = byte(input), failure = byte(input), time = byte(input);
    struct mxrc_op *op = program_op(kind % 18);
    op->next = near(input, index, index + 1);
    op->on_failure = failure % 5;
    if (op->on_failure == MXRC_FAIL_RECOVERY)
        op->recovery = (uint16_t)near(input, index, index + 1);
    op->retries = failure >> 6;
    op->backoff_ns = (failure >> 4 & 3) * PERIOD;
    op->timeout_ns = (time >> 4) * 7 * PERIOD;
    switch (op->kind) {
    case MXRC_OP_MOVE_JOINTS:
        op->axes = 1u << byte(input) % 7;
        op->axes |= byte(input) & 0x3f;
        op->count = byte(input) % 8 < 5 ? 0 : byte(input) % 14;
        op->key = byte(input) % 3;
        op->duration_ns = (time & 15) * 20 * PERIOD;
        op->args[MXRC_AXES] = byte(input) ? 0 : 0.5;
        for (uint32_t i = 0; i < MXRC_AXES; i++)
            op->args[i] = op->axes >> i & 1 ? number(input) : 0;
        if (op->count)
            op->next = index + 1 + (op->count + 1) / 2;
        break;
    case MXRC_OP_HOLD:
        op->axes = byte(input) & 0x3f;
        /* fall through */
    case MXRC_OP_WAIT:
        op->duration_ns = (time & 15) * PERIOD;
        break;
    case MXRC_OP_SET_VALUE:
        op->key = byte(input) % 3;
        op->args[0] = number(input);
        break;
    case MXRC_OP_WAIT_FOR:
        condition(input, &op->condition);
        break;
    case MXRC_OP_CONTROL_LAW:
        make_law(input, op, time);
        break;
    case MXRC_OP_EMIT_EVENT:
        op->key = byte(input);
        op->count = byte(input) % 8;
        op->args[0] = number(input);
        break;
    case MXRC_OP_IF:
        condition(input, &op->condition);
        op->target = (uint16_t)near(input, index, index + 2);
        op->on_failure = op->retries = 0;
        op->backoff_ns = op->timeout_ns = 0;
        op->recovery = 0;
        break;
    case MXRC_OP_REPEAT:
        if (byte(input) & 1)
            condition(input, &op->condition);
        op->count = byte(input) % 9;
        op->key = byte(input) % 5;
        op->target = (uint16_t)near(input, index, index + 3);
        break;
    case MXRC_OP_PARALLEL:
        op->key = byte(input) % 3;
        for (uint32_t b = 0, at = index + 1, n = byte(input) % 5; b < n && b < MXRC_BRANCHES; b++) {
            op->branch[b] = (uint16_t)at;
            at += 1 + byte(input) % 4;
        }
        op->target = (uint16_t)near(input, index, index + 4);
        break;
    case MXRC_OP_VIA:
        for (uint32_t i = 0; i < 2 * MXRC_AXES; i++)
            op->args[i] = number(input);
        break;
    case MXRC_OP_FAIL:
        op->key = byte(input) % 16;
        break;
    default:
        break;
    }
    if (op->kind >= MXRC_OP_REPEAT && op->kind != MXRC_OP_PARALLEL) {
        op->on_failure = op->retries = op->recovery = 0;
        op->backoff_ns = op->timeout_ns = 0;
    }
}

static void make_program(struct input *input)
{
    uint8_t mode = byte(input), policy = byte(input);
    program_begin();
    program.program.mode = mode % 4;
    if (program.program.mode == MXRC_MODE_PERIODIC)
        program.program.period_ns = (1 + (mode >> 2)) * PERIOD;
    if (program.program.mode == MXRC_MODE_TRIGGERED) {
        condition(input, &program.program.trigger);
        program.program.rearm_ns = (mode >> 2) * PERIOD;
    }
    program.program.on_late = policy & 1;
    program.program.on_safe_mode = policy >> 1 & 3;
    program.program.on_restart = policy >> 3 & 3;
    program.program.topic_count = policy >> 5 & 1;
    program.program.topic[0] = TOPIC;
    uint32_t ops = 1 + byte(input) % (MXRC_PROGRAM_OPS - 1);
    for (uint32_t i = 0; i < ops && program.program.op_count < MXRC_PROGRAM_OPS - 1; i++)
        make_op(input, i);
    program_op(MXRC_OP_END);
    program_seal();
}

/* ---- what must hold ---- */

static uint64_t begun, ended; /* actions: lines of their begin, spans of their end */

static void read_events(void)
{
    struct mxrc_event event;
    uint64_t lost = 0, count = 0;
    while (mxrc_ring_read(&lane, &lane_cursor, &event, 1, &lost) == 1) {
        count++;
        begun += event.message_id == MXRC_EV_ACTION_STARTED;
        ended += event.kind == MXRC_EVENT_SPAN && event.code == MXRC_SPAN_ACTION_EXECUTE;
    }
    REQUIRE(lost == 0 && count <= EVENTS_PER_CYCLE);
}

static double was[AXES], velocity_was[AXES];

static void check_outputs(const struct mxrc_exec *exec)
{
    for (uint32_t i = 0; i < AXES; i++) {
        double at = exec->axis[i].command, velocity = (at - was[i]) / 1e-3;
        REQUIRE(at >= -3 - 1e-9 && at <= 3 + 1e-9);
        REQUIRE(fabs(velocity) <= 2 * (1 + 1e-5));
        REQUIRE(fabs(velocity - velocity_was[i]) <= 10e-3 * (1 + 1e-3) + 1e-5);
        was[i] = at;
        velocity_was[i] = velocity;
    }
}

static void cycle(struct mxrc_exec *exec)
{
    REQUIRE(mxrc_exec_cycle(exec) == 0);
    check_outputs(exec);
    read_events();
}

static void disturb(struct input *input, uint64_t execution_id)
{
    struct mxrc_command event = {.kind = MXRC_COMMAND_BUS_EVENT, .key = TOPIC};
    switch (byte(input) % 8) {
    case 1:
        set_key(number(input) > 0 ? 2 : -2);
        break;
    case 2:
        event.args[0] = number(input);
        send(&event);
        break;
    case 3:
        send_execution(MXRC_COMMAND_TASK_PAUSE, execution_id);
        break;
    case 4:
        send_execution(MXRC_COMMAND_TASK_RESUME, execution_id);
        break;
    case 5:
        send_event(MXRC_RT_PAUSE);
        break;
    case 6:
        send_event(MXRC_RT_SAFE_MODE_ENTER);
        break;
    default:
        break;
    }
    send_event(MXRC_RT_SAFE_MODE_EXIT);
    send_event(MXRC_RT_RESUME);
}

/* A successor goes on from the state block. */
static struct mxrc_exec *replace(struct mxrc_exec *exec)
{
    exec_done(exec);
    exec = exec_made();
    REQUIRE(mxrc_exec_begin(exec, error, sizeof error) == 0);
    return exec;
}

static struct mxrc_exec *prepared(void)
{
    exec_config_default();
    config.task_law[0] = (struct mxrc_task_law){.law = &law, .name = "fuzzed"};
    struct mxrc_exec *exec = exec_begun();
    two_keys();
    exec_run(exec, 2);
    for (uint32_t i = 0; i < AXES; i++)
        was[i] = exec->axis[i].command;
    skip_events();
    return exec;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct mxrc_exec *exec;
    static uint64_t execution_id;
    struct input input = {data, size};
    uint32_t op;
    if (!exec)
        exec = prepared();
    make_program(&input);
    if (mxrc_program_validate(&program, config.axis, AXES, KEYS, &op) != MXRC_OK)
        return -1; /* not kept in the corpus */
    begun = ended = 0;
    send_start(++execution_id, 0);
    uint8_t replaced = byte(&input);
    for (uint32_t n = 0; n < CYCLES; n++) {
        if (n % 40 == 39)
            disturb(&input, execution_id);
        if (n == 100 && replaced == 1)
            exec = replace(exec);
        cycle(exec);
        if (exec->active_tasks == 0 && n > 1)
            break;
    }
    send_execution(MXRC_COMMAND_TASK_CANCEL, execution_id);
    cycle(exec);
    REQUIRE(exec->active_tasks == 0 && exec->branches == 0 && exec->law_runs == 0);
    REQUIRE(begun == ended);
    for (uint32_t n = 0; n < 1000 && !mxrc_axes_at_rest(exec, (1u << AXES) - 1); n++)
        cycle(exec);
    send_event(MXRC_RT_SAFE_MODE_EXIT);
    send_event(MXRC_RT_RESUME);
    cycle(exec);
    REQUIRE(rt_status()->state == MXRC_STATE_RUNNING);
    return 0;
}
