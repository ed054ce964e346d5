/* bench_program.c: what an active task costs in a cycle, and whether that depends on how many have finished. Cycles under a
 * fake clock, back to back; the least of several rounds, in turn, so that other load on the machine hits all alike.
 *     make -C cffi_build bench */
#include "../tests/exec_fixture.h"

#define ROUNDS 15
#define ROUND_CYCLES 2000
#define FINISHED 10000

enum shape { WAITING, WATCHING, MOVING, SHAPES };
static const char *const shape_name[SHAPES] = {"wait", "wait_for on a key", "move_joints"};

static void start(enum shape shape, uint64_t execution_id, uint32_t axis)
{
    program_begin();
    struct mxrc_op *op;
    switch (shape) {
    case WATCHING:
        op = program_op(MXRC_OP_WAIT_FOR);
        key_above(&op->condition, 1, 5);
        break;
    case MOVING:
        program_move(axis, 1.0, 1000000 * PERIOD);
        break;
    default:
        program_wait(1000000 * PERIOD);
    }
    program_end();
    send_start(execution_id, (uint32_t)(execution_id % 16));
}

static struct mxrc_exec *with_tasks(enum shape shape, uint32_t count)
{
    struct mxrc_exec *exec = exec_begun();
    two_keys();
    exec_run(exec, 2);
    set_key(1);
    for (uint32_t i = 0; i < count; i++) {
        start(shape, i + 1, i % AXES);
        exec_run(exec, 1);
    }
    CHECK_EQUAL(exec->active_tasks, count);
    return exec;
}

/* ns a cycle, the least of the rounds. */
static double measure(struct mxrc_exec *exec)
{
    double least = INFINITY;
    for (uint32_t round = 0; round < ROUNDS; round++) {
        uint64_t from = mxrc_now_ns();
        exec_run(exec, ROUND_CYCLES);
        least = fmin(least, (double)(mxrc_now_ns() - from) / ROUND_CYCLES);
    }
    return least;
}

static void finish_many(struct mxrc_exec *exec)
{
    for (uint32_t i = 0; i < FINISHED; i++) {
        program_begin();
        program_end();
        send_start(1000 + i, i % 16);
        exec_run(exec, 1);
    }
    CHECK(counter(MXRC_COUNTER_TASKS_COMPLETED) >= FINISHED);
}

int main(void)
{
    exec_config_default();
    for (enum shape shape = 0; shape < SHAPES; shape++) {
        uint32_t count = shape == MOVING ? AXES : MXRC_TASKS - 1;
        struct mxrc_exec *exec = with_tasks(shape, 0);
        double none = measure(exec);
        exec_done(exec);
        exec = with_tasks(shape, count);
        double some = measure(exec);
        finish_many(exec);
        double after = measure(exec);
        exec_done(exec);
        printf("%s: cycle without tasks %.0f ns, with %u tasks %.0f ns: %.0f ns a task; after %u "
               "finished ones %.0f ns a task\n",
               shape_name[shape], none, count, some, (some - none) / count, FINISHED,
               (after - none) / count);
    }
    return test_summary();
}
