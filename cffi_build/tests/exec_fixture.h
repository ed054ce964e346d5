/* exec_fixture.h: an executive on a segment of its own, with a fake clock, and the Non-RT side beside it. */
#ifndef MXRC_EXEC_FIXTURE_H
#define MXRC_EXEC_FIXTURE_H

#define _GNU_SOURCE
#include <errno.h>
#include <math.h>

#include "../src/exec.h"
#include "fixture.h"

#define PERIOD 1000000ull
#define DEADLINE 900000ull
#define AXES 6u

static struct mxrc_segment rt;    /* attached as an RT process */
static struct mxrc_segment nonrt; /* attached as Non-RT */
static struct mxrc_fake_clock fake;
static struct mxrc_exec_config config;
static struct mxrc_ring cycles, lane;
static uint64_t lane_cursor, cycle_cursor;

#define UNUSED __attribute__((unused))

static int idle_init(void *state, const double *parameters, double dt)
{
    (void)state, (void)parameters, (void)dt;
    return 0;
}

static int idle_step(void *state, const double *parameters, const struct mxrc_entry_input *input,
                     double *output)
{
    (void)state, (void)parameters, (void)input, (void)output;
    return 0;
}

/* A schedule entry that does nothing. */
UNUSED static const struct mxrc_entry_code entry_idle = {
    .abi = MXRC_ENTRY_ABI,
    .bytes = sizeof(struct mxrc_entry_code),
    .name = "idle",
    .init = idle_init,
    .step = idle_step,
};

static void exec_config_default(void)
{
    memset(&config, 0, sizeof config);
    config.period_ns = PERIOD;
    config.deadline_ns = DEADLINE;
    config.wait_mode = MXRC_WAIT_SLEEP;
    config.auto_start = 1;
    config.heartbeat_timeout_ns = 500000000;
    config.axis_count = AXES;
    config.driver = MXRC_DRIVER_SIMULATED;
    config.simulated_time_constant_s = 0.01;
    strcpy(config.thread_name, "mxrc-test");
    for (uint32_t i = 0; i < AXES; i++) {
        struct mxrc_axis_config *axis = &config.axis[i];
        snprintf(axis->name, sizeof axis->name, "axis%u", i);
        axis->position_min = -3;
        axis->position_max = 3;
        axis->velocity_max = 2;
        axis->acceleration_max = 10;
        axis->effort_max = 50;
        axis->home = 0.1 * i;
        axis->safe_action = MXRC_SAFE_RAMP;
    }
}

/* Bits of mxrc_control.instrumentation, as Non-RT sets them. */
UNUSED static void instrument(uint32_t bits)
{
    struct mxrc_control *control = mxrc_region(&nonrt, MXRC_REGION_CONTROL, NULL);
    mxrc_store_relaxed32(&control->instrumentation, bits);
}

/* What the creator writes before a generation is published; NULL: nothing. */
UNUSED static void (*exec_fill)(struct mxrc_segment *segment);

/* A fresh generation; the one before is unlinked. */
UNUSED static void exec_segment(void)
{
    static int started;
    if (!started)
        fixture_start();
    else {
        mxrc_segment_detach(&nonrt);
        mxrc_segment_detach(&rt);
        shm_unlink(fixture_name);
    }
    started = 1;
    struct mxrc_geometry geometry = fixture_geometry();
    geometry.cycle_slots = 4096;
    geometry.event_slots = 4096;
    geometry.command_slots = 64;
    geometry.staging_slots = 16;
    int created;
    int result = mxrc_segment_open_rt(&rt, fixture_name, fixture_lock, &geometry, &created, error,
                                      sizeof error);
    if (result == 0 && created && exec_fill)
        exec_fill(&rt);
    if (result || !created || mxrc_segment_publish(&rt) ||
        mxrc_segment_attach(&nonrt, fixture_name, MXRC_ACCESS_NONRT, error, sizeof error)) {
        printf("no segment: %s\n", error);
        exit(EXIT_FAILURE);
    }
    mxrc_ring_open(&cycles, &nonrt, MXRC_REGION_CYCLE_RING);
    mxrc_ring_open(&lane, &nonrt, MXRC_REGION_LANE);
    lane_cursor = cycle_cursor = 0;
    memset(&fake, 0, sizeof fake);
    fake.now_ns = 5000000000000ull + 123456;
    instrument(7);
}

UNUSED static struct mxrc_exec *exec_made(void)
{
    struct mxrc_exec *exec = mxrc_exec_new(&rt, &config, error, sizeof error);
    if (!exec) {
        printf("no executive: %s\n", error);
        exit(EXIT_FAILURE);
    }
    mxrc_exec_use_clock(exec, &fake);
    return exec;
}

/* On a fresh segment, begun. */
UNUSED static struct mxrc_exec *exec_begun(void)
{
    exec_segment();
    struct mxrc_exec *exec = exec_made();
    int result = mxrc_exec_begin(exec, error, sizeof error);
    if (result) {
        printf("begin: %s\n", error);
        exit(EXIT_FAILURE);
    }
    return exec;
}

UNUSED static void exec_done(struct mxrc_exec *exec)
{
    mxrc_exec_end(exec);
    mxrc_exec_free(exec);
}

UNUSED static int exec_run(struct mxrc_exec *exec, uint64_t count)
{
    int result = 0;
    while (count-- && result == 0)
        result = mxrc_exec_cycle(exec);
    return result;
}

/* ---- the Non-RT side ---- */

UNUSED static void beat(void)
{
    struct mxrc_nonrt_status *status = mxrc_region(&nonrt, MXRC_REGION_NONRT_STATUS, NULL);
    mxrc_store_release(&status->heartbeat_ns, fake.now_ns);
}

UNUSED static uint64_t send(struct mxrc_command *command)
{
    uint64_t number = UINT64_MAX;
    command->time_ns = fake.now_ns;
    CHECK_EQUAL(mxrc_command_send(&nonrt, command, &number), 0);
    return number;
}

UNUSED static uint64_t send_event(uint32_t event)
{
    struct mxrc_command command = {.kind = MXRC_COMMAND_RT_EVENT, .key = event};
    return send(&command);
}

UNUSED static uint64_t send_execution(uint32_t kind, uint64_t execution_id)
{
    struct mxrc_command command = {.kind = (uint16_t)kind, .execution_id = execution_id};
    return send(&command);
}

/* ---- programs ---- */

static struct mxrc_program_slot program;

UNUSED static void program_begin(void)
{
    memset(&program, 0, sizeof program);
    program.program.magic = MXRC_PROGRAM_MAGIC;
    program.program.version = MXRC_PROGRAM_VERSION;
    program.program.task_name = 1;
    program.program.sequence_name = 2;
    strcpy(program.program.task_id, "test");
}

UNUSED static struct mxrc_op *program_op(uint32_t kind)
{
    uint32_t index = program.program.op_count++;
    struct mxrc_op *op = &program.op[index];
    op->kind = (uint16_t)kind;
    op->next = kind == MXRC_OP_END ? 0 : index + 1;
    op->action_name = 100 + index;
    return op;
}

UNUSED static struct mxrc_op *program_move(uint32_t axis, double target, uint64_t duration_ns)
{
    struct mxrc_op *op = program_op(MXRC_OP_MOVE_JOINTS);
    op->axes = 1u << axis;
    op->args[axis] = target;
    op->duration_ns = duration_ns;
    return op;
}

UNUSED static struct mxrc_op *program_wait(uint64_t duration_ns)
{
    struct mxrc_op *op = program_op(MXRC_OP_WAIT);
    op->duration_ns = duration_ns;
    return op;
}

UNUSED static void program_seal(void)
{
    program.program.axes = 0;
    for (uint32_t i = 0; i < program.program.op_count; i++)
        program.program.axes |= program.op[i].axes;
    program.program.bytes =
        (uint32_t)(sizeof program.program + program.program.op_count * sizeof program.op[0]);
    program.program.crc = mxrc_program_checksum(&program);
}

UNUSED static void program_end(void)
{
    program_op(MXRC_OP_END);
    program_seal();
}

/* Stages `program` and sends its start, sampled. */
UNUSED static uint64_t send_start(uint64_t execution_id, uint32_t staging)
{
    struct mxrc_program_slot *slots = mxrc_region(&nonrt, MXRC_REGION_STAGING, NULL);
    mxrc_copy_in(&slots[staging], &program, program.program.bytes);
    struct mxrc_command command = {
        .kind = MXRC_COMMAND_TASK_START,
        .program = staging,
        .program_bytes = program.program.bytes,
        .program_crc = program.program.crc,
        .execution_id = execution_id,
        .trace_flags = 1,
        .trace_id = {0xaa, 1, 2, 3},
        .span_id = {0xbb, 1},
        .task_id = "test",
    };
    return send(&command);
}

/* Cycles until no task is active; the number of them, at most `limit`. */
UNUSED static uint32_t run_out(struct mxrc_exec *exec, uint32_t limit)
{
    uint32_t n = 0;
    while (n < limit && exec->active_tasks > 0) {
        mxrc_exec_cycle(exec);
        n++;
    }
    return n;
}

/* Two double keys: handle 0 written by RT, 1 by Non-RT. Before the first cycle. */
UNUSED static void two_keys(void)
{
    uint64_t bytes;
    struct mxrc_data_directory *directory = mxrc_region(&rt, MXRC_REGION_DATA_DIRECTORY, &bytes);
    mprotect(directory, bytes, PROT_READ | PROT_WRITE);
    struct mxrc_data_key *key = (struct mxrc_data_key *)(void *)(directory + 1);
    memset(key, 0, 2 * sizeof *key);
    for (uint32_t i = 0; i < 2; i++) {
        key[i].length = 1;
        key[i].type = MXRC_DATA_DOUBLE;
        key[i].writer = i == 0 ? MXRC_WRITER_RT : MXRC_WRITER_NONRT;
        key[i].minimum = -INFINITY;
        key[i].maximum = INFINITY;
    }
    directory->count = 2;
}

UNUSED static void set_key(double value)
{
    CHECK_EQUAL(mxrc_data_write(&nonrt, 1, &value, sizeof value, fake.now_ns), 0);
}

UNUSED static void key_above(struct mxrc_condition *condition, uint32_t key, double value)
{
    *condition = (struct mxrc_condition){
        .key = key, .source = MXRC_CONDITION_KEY, .compare = MXRC_COMPARE_GT, .value = value};
}

/* ---- what the RT side has left ---- */

/* The next event of that kind (and message, unless 0) in the lane: 1 found. */
UNUSED static int next_event(uint32_t kind, uint32_t message_id, struct mxrc_event *event)
{
    uint64_t lost = 0;
    while (mxrc_ring_read(&lane, &lane_cursor, event, 1, &lost) == 1)
        if (event->kind == kind && (message_id == 0 || event->message_id == message_id))
            return 1;
    return 0;
}

UNUSED static uint32_t count_events(uint32_t kind, uint32_t message_id)
{
    struct mxrc_event event;
    uint32_t count = 0;
    uint64_t before = lane_cursor;
    while (next_event(kind, message_id, &event))
        count++;
    lane_cursor = before;
    return count;
}

UNUSED static void skip_events(void)
{
    lane_cursor = mxrc_load_acquire(&lane.header->head);
}

/* The result of a command, UINT32_MAX when it was not answered. */
UNUSED static uint32_t reply_to(uint64_t number)
{
    struct mxrc_event event;
    uint32_t result = UINT32_MAX;
    uint64_t before = lane_cursor;
    while (next_event(MXRC_EVENT_REPLY, 0, &event))
        if (event.reply_to == number)
            result = event.code;
    lane_cursor = before;
    return result;
}

UNUSED static uint32_t ended_with(uint32_t message_id)
{
    struct mxrc_event event;
    uint64_t before = lane_cursor;
    int found = next_event(MXRC_EVENT_TASK, message_id, &event);
    lane_cursor = before;
    return found ? event.error_code : UINT32_MAX;
}

UNUSED static struct mxrc_cycle_record last_record(void)
{
    struct mxrc_cycle_record record;
    memset(&record, 0xff, sizeof record);
    mxrc_ring_read_one(&cycles, mxrc_load_acquire(&cycles.header->head) - 1, &record);
    return record;
}

UNUSED static const struct mxrc_rt_status *rt_status(void)
{
    return mxrc_region(&nonrt, MXRC_REGION_RT_STATUS, NULL);
}

UNUSED static const struct mxrc_rt_metrics *rt_metrics(void)
{
    return mxrc_region(&nonrt, MXRC_REGION_RT_METRICS, NULL);
}

UNUSED static uint64_t counter(uint32_t id)
{
    return mxrc_load_relaxed(&rt_metrics()->counter[id]);
}

#endif
