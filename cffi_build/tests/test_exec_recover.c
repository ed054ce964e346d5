/* test_exec_recover.c: the executive's thread dies at every point of a cycle; another goes on from the last finished
 * one. A "process" is a thread here: the robust mutex tells its end just the same. */
#include "../src/state_block.h"
#include "exec_fixture.h"

#include "../src/lease.h"

#define LIVES 64

/* One life of an executive. */
struct life {
    uint64_t cycles;     /* to run */
    uint32_t kill_phase; /* MXRC_PHASES: none */
    uint64_t kill_cycle; /* in its n-th cycle (from 1; 0: before the first) */
    uint32_t keep_order; /* end() at the end */
    const struct mxrc_exec_restore *checkpoint;
    int usable; /* the state that it found */
    uint64_t count;
    int begun;
    int result;
    struct mxrc_exec *exec;
};

static struct mxrc_exec *graves[LIVES];
static uint32_t grave_count;

/* Every command of axis 0 that a finished cycle (its state block is whole) has made, in order. */
static double commands[20000];
static uint32_t command_count;

static void maybe_die(void *context, uint32_t phase)
{
    struct life *life = context;
    if (phase == MXRC_AT_STATE_DONE && command_count < sizeof commands / sizeof commands[0])
        commands[command_count++] = life->exec->axis[0].command;
    if (phase == life->kill_phase && life->count == life->kill_cycle)
        pthread_exit(NULL);
}

static void *live(void *argument)
{
    struct life *life = argument;
    life->exec = exec_made();
    graves[grave_count++] = life->exec;
    life->exec->at_phase = maybe_die;
    life->exec->at_phase_context = life;
    life->usable = mxrc_exec_state_usable(life->exec);
    if (life->checkpoint && !life->usable)
        CHECK_EQUAL(mxrc_exec_restore(life->exec, life->checkpoint, error, sizeof error), 0);
    life->begun = mxrc_exec_begin(life->exec, error, sizeof error);
    CHECK_SAY(life->begun == 0, "begin: %s", error);
    while (life->result == 0 && life->count < life->cycles) {
        life->count++;
        life->result = mxrc_exec_cycle(life->exec);
    }
    if (life->keep_order)
        mxrc_exec_end(life->exec);
    return NULL;
}

/* Runs one life to its end; time goes on a little less than a period. */
static void live_from(struct life *life)
{
    pthread_t thread;
    pthread_create(&thread, NULL, live, life);
    pthread_join(thread, NULL);
    fake.now_ns += 300000;
}

static struct mxrc_exec *run_life(uint64_t run, uint32_t kill_phase, uint64_t kill_cycle)
{
    struct life life = {.cycles = run,
                        .kill_phase = kill_phase,
                        .kill_cycle = kill_cycle,
                        .keep_order = kill_phase == MXRC_PHASES};
    live_from(&life);
    return life.exec;
}

static void bury(void)
{
    while (grave_count > 0)
        mxrc_exec_free(graves[--grave_count]);
    command_count = 0;
}

static void new_segment(void)
{
    bury();
    exec_segment();
}

static void check_continuous(uint32_t phase, uint64_t at)
{
    double velocity = 0;
    for (uint32_t i = 1; i < command_count; i++) {
        double v = (commands[i] - commands[i - 1]) / 1e-3;
        if (fabs(v) > 2 * (1 + 1e-5) || fabs(v - velocity) > 10e-3 * (1 + 1e-3)) {
            CHECK_SAY(0, "killed at phase %u of cycle %u: velocity %g after %g", phase,
                      (unsigned)at, v, velocity);
            return;
        }
        velocity = v;
    }
    CHECK(command_count > 100);
}

static void prepare_move(void)
{
    program_begin();
    program_move(0, 0.8, 0);
    program_end();
    send_start(42, 0);
}

/* All phases of a cycle, in the cycle that takes the command, one in the middle of the move, and the last. */
static void test_kill_at_every_phase(void)
{
    new_segment();
    prepare_move();
    struct mxrc_exec *exec = run_life(5000, MXRC_PHASES, 0);
    uint64_t last = 1;
    while (commands[last] != commands[command_count - 1])
        last++;
    CHECK(exec->active_tasks == 0 && last > 300);
    const uint64_t moments[] = {1, 2, last / 3, last, last + 1, last + 2};

    for (uint32_t phase = MXRC_AT_WAKE; phase < MXRC_PHASES; phase++)
        for (uint32_t m = 0; m < sizeof moments / sizeof moments[0]; m++) {
            new_segment();
            prepare_move();
            run_life(5000, phase, moments[m]);
            exec = run_life(2000, MXRC_PHASES, 0);
            check_continuous(phase, moments[m]);
            CHECK_EQUAL(exec->command_tail, 1);
            CHECK_EQUAL(exec->active_tasks, 0);
            CHECK_EQUAL(exec->epoch, 2);
            CHECK(commands[command_count - 1] == 0.8);
            CHECK_EQUAL(rt_status()->state, MXRC_STATE_RUNNING);
            CHECK_EQUAL(rt_status()->restart_count, 1);
            CHECK_EQUAL(rt_status()->command_tail, 1);
            /* Told at least once; twice only where the crash undid it. */
            uint32_t started = count_events(MXRC_EVENT_TASK, MXRC_EV_TASK_STARTED);
            uint32_t completed = count_events(MXRC_EVENT_TASK, MXRC_EV_TASK_COMPLETED);
            CHECK(started >= 1 && completed >= 1 && started + completed <= 3);
            if (phase >= MXRC_AT_STATE_DONE)
                CHECK_EQUAL(started + completed, 2);
            /* One action, one sequence, one task: the same ids however often they are told. */
            struct mxrc_event event;
            uint8_t ids[3][8] = {{0}};
            while (next_event(MXRC_EVENT_SPAN, 0, &event)) {
                uint32_t i = event.code - MXRC_SPAN_TASK_EXECUTE;
                uint64_t known;
                memcpy(&known, ids[i], 8);
                CHECK(known == 0 || memcmp(ids[i], event.span_id, 8) == 0);
                memcpy(ids[i], event.span_id, 8);
            }
        }
}

/* In the middle of the take-over itself. */
static void test_kill_while_taking_over(void)
{
    for (uint32_t phase = MXRC_AT_LEASE; phase <= MXRC_AT_RESTORED; phase++) {
        new_segment();
        prepare_move();
        run_life(5000, MXRC_AT_STATE_BLOCK, 200);
        run_life(5000, phase, 0);
        struct mxrc_exec *exec = run_life(2000, MXRC_PHASES, 0);
        check_continuous(phase, 0);
        CHECK(exec->axis[0].command == 0.8);
        CHECK_EQUAL(exec->epoch, phase == MXRC_AT_LEASE ? 2 : 3);
        CHECK_EQUAL(exec->command_tail, 1);
    }
}

/* The last epoch that fits is used, and the one after it refused; the mutex is free again each time. */
static void test_last_epochs(void)
{
    new_segment();
    struct mxrc_lease *lease = mxrc_region(&rt, MXRC_REGION_LEASE, NULL);
    lease->owner = (MXRC_EPOCH_MAX - 1) << 16 | 1;
    lease->admitted_epoch = MXRC_EPOCH_MAX - 1;
    struct mxrc_exec *exec = exec_made();
    CHECK_EQUAL(mxrc_exec_begin(exec, error, sizeof error), 0);
    CHECK_EQUAL(exec->epoch, MXRC_EPOCH_MAX);
    CHECK_EQUAL(lease->admitted_epoch, MXRC_EPOCH_MAX);
    CHECK_EQUAL(exec_run(exec, 50), 0);
    exec_done(exec);
    for (int i = 0; i < 2; i++) {
        exec = exec_made();
        CHECK_EQUAL(mxrc_exec_begin(exec, error, sizeof error), EOVERFLOW);
        CHECK_HAS(error, "a new generation begins");
        CHECK_EQUAL(mxrc_lease_take(exec, lease->owner), 0);
        CHECK_EQUAL(lease->admitted_epoch, MXRC_EPOCH_MAX);
        mxrc_exec_free(exec);
    }
}

static void test_second_primary_refused(void)
{
    new_segment();
    struct mxrc_exec *first = exec_made();
    CHECK_EQUAL(mxrc_exec_begin(first, error, sizeof error), 0);
    struct mxrc_exec *second = exec_made();
    CHECK_EQUAL(mxrc_exec_begin(second, error, sizeof error), EBUSY);
    CHECK_HAS(error, "PRIMARY");
    CHECK_EQUAL(exec_run(first, 3), 0); /* its epoch still counts */
    exec_done(first);
    CHECK_EQUAL(mxrc_exec_begin(second, error, sizeof error), 0);
    CHECK_EQUAL(exec_run(second, 3), 0);
    exec_done(second);
}

/* Dead for a second: the arm stands, motion goes on from rest. Nothing was committed in these slots, so they are misses;
 * the window judges the process that runs. */
static void test_long_outage(void)
{
    new_segment();
    prepare_move();
    run_life(5000, MXRC_AT_RECORD, 200);
    double at = commands[command_count - 1];
    uint64_t misses = counter(MXRC_COUNTER_MISSES);
    fake.now_ns += 1000 * PERIOD;
    command_count = 0;
    struct mxrc_exec *exec = run_life(2000, MXRC_PHASES, 0);
    CHECK(commands[0] == at);
    check_continuous(MXRC_AT_RECORD, 200);
    CHECK(exec->axis[0].command == 0.8);
    CHECK_EQUAL(counter(MXRC_COUNTER_MISSES), misses + 1000);
    CHECK_EQUAL(counter(MXRC_COUNTER_OUTAGE_SLOTS), 1000);
    CHECK_EQUAL(exec->window_misses, 0);
    struct mxrc_event event;
    CHECK(next_event(MXRC_EVENT_LOG, MXRC_EV_RECOVERED_STATE, &event));
    CHECK(event.args[1] == MXRC_STATE_RUNNING && event.args[2] == 1 && event.args[3] == 1000);
}

/* The plant goes on where it is: its state is in the block. */
static void test_plant_goes_on(void)
{
    new_segment();
    prepare_move();
    struct mxrc_exec *exec = run_life(5000, MXRC_AT_RECORD, 200);
    double position = exec->inputs.position[0];
    CHECK(position > 0.01 && position < 0.79);
    exec = run_life(1, MXRC_PHASES, 0);
    CHECK(fabs(exec->inputs.position[0] - position) < 5e-3);
}

static void test_restart_policies(void)
{
    for (uint32_t policy = 0; policy <= MXRC_RESTART_FAIL; policy++) {
        new_segment();
        program_begin();
        program.program.on_restart = policy;
        program_move(0, 0.3, 0);
        program_move(0, 0.6, 0);
        program_end();
        send_start(42, 0);
        run_life(5000, MXRC_AT_RECORD, 600);
        CHECK(commands[command_count - 1] > 0.3);
        struct mxrc_exec *exec = run_life(10, MXRC_PHASES, 0);
        if (policy == MXRC_RESTART_RESUME)
            CHECK_EQUAL(exec->task[0].strand.op, 1);
        if (policy == MXRC_RESTART_RESTART)
            CHECK_EQUAL(exec->task[0].strand.op, 0);
        exec = run_life(3000, MXRC_PHASES, 0);
        CHECK_EQUAL(exec->active_tasks, 0);
        struct mxrc_event event;
        if (policy == MXRC_RESTART_FAIL) {
            CHECK(next_event(MXRC_EVENT_TASK, MXRC_EV_TASK_FAILED, &event));
            CHECK_EQUAL(event.error_code, MXRC_ERR_RESTART);
        } else {
            CHECK(exec->axis[0].command == 0.6);
            CHECK_EQUAL(count_events(MXRC_EVENT_TASK, MXRC_EV_TASK_COMPLETED), 1);
        }
    }
}

static void test_damaged_program(void)
{
    new_segment();
    prepare_move();
    run_life(5000, MXRC_AT_RECORD, 100);
    struct mxrc_program_slot *slots = mxrc_region(&rt, MXRC_REGION_PROGRAMS, NULL);
    slots[0].op[0].args[0] = 0.9;
    struct mxrc_exec *exec = run_life(10, MXRC_PHASES, 0);
    CHECK_EQUAL(exec->active_tasks, 0);
    struct mxrc_event event;
    CHECK(next_event(MXRC_EVENT_TASK, MXRC_EV_TASK_FAILED, &event));
    CHECK_EQUAL(event.error_code, MXRC_ERR_CORRUPT);
}

static void test_ring_slot_in_pieces(void)
{
    new_segment();
    run_life(50, MXRC_AT_STATUS, 20);
    struct mxrc_ring ring;
    mxrc_ring_open(&ring, &rt, MXRC_REGION_CYCLE_RING);
    uint64_t head = ring.header->head;
    uint64_t *seq = (uint64_t *)(void *)(ring.slots + (head & ring.mask) * ring.slot_bytes);
    mxrc_store_release(seq, 2 * head + 1);
    run_life(5, MXRC_PHASES, 0);
    struct mxrc_cycle_record record;
    CHECK_EQUAL(mxrc_ring_read_one(&cycles, head, &record), 1);
    CHECK_EQUAL(record.flags, MXRC_CYCLE_TOMBSTONE);
    CHECK_EQUAL(mxrc_ring_read_one(&cycles, head + 1, &record), 1);
    CHECK_EQUAL(record.flags & MXRC_CYCLE_FIRST, MXRC_CYCLE_FIRST);
    CHECK_EQUAL(count_events(MXRC_EVENT_LOG, MXRC_EV_RING_RECOVERED), 1);
    CHECK_EQUAL(count_events(MXRC_EVENT_LOG, MXRC_EV_OLD_PRIMARY_DEAD), 1);
}

/* One block damaged: the older one counts. Both: a clean start, and no command a second time. */
static void test_damaged_blocks(void)
{
    for (uint32_t both = 0; both < 2; both++) {
        new_segment();
        prepare_move();
        struct mxrc_exec *exec = run_life(5000, MXRC_AT_RECORD, 200);
        struct mxrc_state_block *blocks = mxrc_region(&rt, MXRC_REGION_STATE, NULL);
        uint32_t newest = blocks[1].cycle > blocks[0].cycle;
        uint64_t older = blocks[!newest].cycle;
        CHECK_EQUAL(blocks[newest].cycle, exec->now.cycle);
        blocks[newest].data[100] ^= 1;
        if (both)
            blocks[!newest].data[8] ^= 1;
        exec = run_life(2000, MXRC_PHASES, 0);
        struct mxrc_event event;
        if (both) {
            CHECK_EQUAL(count_events(MXRC_EVENT_LOG, MXRC_EV_RECOVERED_STATE), 0);
            CHECK_EQUAL(count_events(MXRC_EVENT_LOG, MXRC_EV_CLEAN_START), 2);
            CHECK_EQUAL(count_events(MXRC_EVENT_TASK, MXRC_EV_TASK_STARTED), 1);
        } else {
            CHECK(next_event(MXRC_EVENT_LOG, MXRC_EV_RECOVERED_STATE, &event));
            CHECK(event.args[0] == (double)older);
            CHECK(exec->axis[0].command == 0.8);
        }
        CHECK_EQUAL(exec->command_tail, 1);
    }
}

/* A block of whole bytes but of a version that this build does not know: the checkpoint counts, where there is one, and not for
 * the life before, whose block is good. */
static void test_unknown_section_version(int has_checkpoint)
{
    struct mxrc_exec_restore checkpoint = {.state = MXRC_STATE_PAUSED};
    struct life life = {
        .cycles = 50, .kill_phase = MXRC_AT_RECORD, .kill_cycle = 20, .checkpoint = &checkpoint};
    new_segment();
    run_life(50, MXRC_AT_RECORD, 20);
    live_from(&life);
    CHECK(life.usable);
    CHECK_EQUAL(rt_status()->state, MXRC_STATE_RUNNING);
    struct mxrc_state_block *blocks = mxrc_region(&rt, MXRC_REGION_STATE, NULL);
    for (uint32_t i = 0; i < 2; i++) {
        blocks[i].section[2].version = 9;
        blocks[i].crc = 0;
        blocks[i].crc = mxrc_crc32c(0, &blocks[i].epoch,
                                    blocks[i].bytes - offsetof(struct mxrc_state_block, epoch));
    }
    life = (struct life){.cycles = 5, .kill_phase = MXRC_AT_RECORD, .kill_cycle = 5};
    life.checkpoint = has_checkpoint ? &checkpoint : NULL;
    live_from(&life);
    CHECK(!life.usable);
    struct mxrc_event event;
    CHECK(next_event(MXRC_EVENT_LOG, MXRC_EV_STATE_UNUSABLE, &event));
    CHECK(event.args[0] == MXRC_SECTION_TASKS);
    CHECK_EQUAL(rt_status()->state, has_checkpoint ? MXRC_STATE_PAUSED : MXRC_STATE_RUNNING);
    CHECK_EQUAL(rt_status()->last_recovery, has_checkpoint ? 2 : 0);
}

/* The state before goes on, whatever auto_start says. */
static void test_state_goes_on(void)
{
    const uint32_t events[] = {MXRC_RT_PAUSE, MXRC_RT_SAFE_MODE_ENTER, MXRC_RT_ERROR_OCCUR};
    const uint32_t states[] = {MXRC_STATE_PAUSED, MXRC_STATE_SAFE_MODE, MXRC_STATE_ERROR};
    for (uint32_t i = 0; i < 3; i++) {
        new_segment();
        run_life(3, MXRC_AT_RECORD, 2);
        send_event(events[i]);
        run_life(50, MXRC_AT_RECORD, 20);
        run_life(5, MXRC_PHASES, 0);
        CHECK_EQUAL(rt_status()->state, states[i]);
        CHECK_EQUAL(rt_status()->last_recovery, 1);
    }
}

/* A STOP that the process lived to finish, or not: what it had, and what came behind the STOP, does not go on. */
static void test_nothing_goes_on_after_a_stop(void)
{
    const uint32_t ends[] = {MXRC_PHASES, MXRC_AT_STATE_DONE, MXRC_AT_RECORD};
    for (uint32_t i = 0; i < 3; i++) {
        new_segment();
        program_begin();
        program_wait(20 * PERIOD);
        program_end();
        send_start(1, 0);
        run_life(3, MXRC_PHASES, 0);
        CHECK_EQUAL(counter(MXRC_COUNTER_TASKS_STARTED), 1);
        send_event(MXRC_RT_STOP);
        send_start(2, 0);
        run_life(50, ends[i], 1);
        struct mxrc_exec *exec = run_life(50, MXRC_PHASES, 0);
        CHECK_EQUAL(rt_status()->state, MXRC_STATE_RUNNING);
        CHECK_EQUAL(rt_status()->last_recovery, 0);
        CHECK_EQUAL(exec->active_tasks, 0);
        CHECK_EQUAL(counter(MXRC_COUNTER_TASKS_STARTED), 1);
        CHECK_EQUAL(counter(MXRC_COUNTER_TASKS_CANCELLED), 1);
        send_start(3, 0); /* commands are taken again */
        run_life(50, MXRC_PHASES, 0);
        CHECK_EQUAL(counter(MXRC_COUNTER_TASKS_COMPLETED), 1);
    }
}

/* Both processes died: Non-RT has five seconds to come back before what went on is stopped. */
static void test_nonrt_stays_away(void)
{
    new_segment();
    beat();
    run_life(300, MXRC_AT_RECORD, 200);
    fake.now_ns += 1000 * PERIOD;
    run_life(4900, MXRC_PHASES, 0);
    CHECK_EQUAL(rt_status()->state, MXRC_STATE_RUNNING);
    run_life(5100, MXRC_PHASES, 0);
    CHECK_EQUAL(rt_status()->state, MXRC_STATE_SAFE_MODE);
    CHECK_EQUAL(rt_status()->safe_cause, MXRC_SAFE_HEARTBEAT);
}

static void test_other_period_refused(void)
{
    new_segment();
    run_life(3, MXRC_PHASES, 0);
    config.period_ns = 2 * PERIOD;
    struct mxrc_exec *exec = exec_made();
    CHECK_EQUAL(mxrc_exec_begin(exec, error, sizeof error), EINVAL);
    CHECK_HAS(error, "period");
    mxrc_exec_free(exec);
    exec_config_default();
    run_life(3, MXRC_PHASES, 0); /* and the lease is free */
}

/* The end of a task is told before the cycle that it ends in is final. Whoever starts the next one on the same axis then
 * is not refused, also when that cycle is undone: it waits. */
static void test_start_after_an_end_that_is_undone(void)
{
    for (uint32_t phase = MXRC_AT_TASKS; phase <= MXRC_AT_RECORD; phase++)
        for (uint64_t cycle = 2; cycle <= 6; cycle++) {
            new_segment();
            program_begin();
            struct mxrc_op *op = program_op(MXRC_OP_HOLD);
            op->axes = 1;
            op->duration_ns = 3 * PERIOD;
            program_end();
            send_start(1, 0);
            run_life(100, phase, cycle);
            uint64_t number = send_start(2, 1);
            struct mxrc_exec *exec = run_life(50, MXRC_PHASES, 0);
            CHECK_EQUAL(reply_to(number), MXRC_OK);
            CHECK_EQUAL(exec->active_tasks, 0);
            CHECK(counter(MXRC_COUNTER_TASKS_COMPLETED) >= 2);
            CHECK_EQUAL(counter(MXRC_COUNTER_TASKS_FAILED), 0);
        }
}

int main(void)
{
    exec_config_default();
    test_kill_at_every_phase();
    test_kill_while_taking_over();
    test_last_epochs();
    test_second_primary_refused();
    test_long_outage();
    test_plant_goes_on();
    test_restart_policies();
    test_start_after_an_end_that_is_undone();
    test_damaged_program();
    test_ring_slot_in_pieces();
    test_damaged_blocks();
    test_unknown_section_version(0);
    test_unknown_section_version(1);
    test_state_goes_on();
    test_nothing_goes_on_after_a_stop();
    test_nonrt_stays_away();
    test_other_period_refused();
    bury();
    return test_summary();
}
