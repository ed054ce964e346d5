/* bench_cycle.c: cycle time (wake-up to end) of the demo's shape: a task that moves six axes, with joint PIDs as the law, and with
 * eight schedule entries at mixed periods. On the real clock, each shape in turn: at 1 kHz, where the caches are cold, and at 10 kHz.
 *     make -C cffi_build bench        figures in us; --json: a document
 * SCHED_FIFO and locked memory where permitted. */
#define _GNU_SOURCE /* CPU_SET */
#include <sched.h>
#include <sys/mman.h>

#include "../../examples/control_laws/joint_pid.c"
#include "../tests/exec_fixture.h"

#define ROUNDS 5
#define SETTLE 200
#define CYCLES 2000
#define ENTRIES 8
#define PRIORITY 80
#define PID_GOAL_NS 5000
#define ENTRIES_GOAL_NS 1000

enum shape { SERVO, PID, PID_ENTRIES, SHAPES };
static const char *const shape_name[SHAPES] = {"six axes", "six joint PIDs", "PIDs, 8 entries"};
enum pace { COLD, WARM, PACES };
static const uint64_t pace_ns[PACES] = {1000000, 100000};
static const uint32_t entry_cycles[ENTRIES] = {1, 1, 2, 2, 4, 5, 10, 20};

/* A first-order low-pass filter of a joint's position, from a data-store key's gain into another key. */
static int filter_step(void *state, const double *parameters, const struct mxrc_entry_input *input,
                       double *output)
{
    double *filtered = state;
    *filtered += parameters[0] * (input->position[0] - *filtered);
    output[0] = *filtered;
    return 0;
}

static const struct mxrc_entry_code filter = {
    .abi = MXRC_ENTRY_ABI,
    .bytes = sizeof(struct mxrc_entry_code),
    .name = "filter",
    .state_bytes = sizeof(double),
    .parameter_count = 1,
    .input_count = 1,
    .output_count = 1,
    .init = idle_init,
    .step = filter_step,
};

static void configure(enum shape shape, uint64_t period_ns)
{
    exec_config_default();
    config.period_ns = period_ns;
    config.deadline_ns = period_ns / 10 * 9;
    config.heartbeat_timeout_ns = UINT64_MAX / 2;
    config.simulated_inertia = 1;
    config.simulated_damping = 0.5;
    if (shape != PID_ENTRIES)
        return;
    for (uint32_t i = 0; i < ENTRIES; i++) {
        struct mxrc_entry_config *entry = &config.entry[config.entry_count++];
        memset(entry, 0, sizeof *entry);
        snprintf(entry->name, sizeof entry->name, "filter%u", i);
        entry->run = MXRC_RUN_CODE;
        entry->code = &filter;
        entry->parameter_count = entry->input_count = entry->output_count = 1;
        entry->parameters[0] = 0.1;
        entry->input[0] = 1;
        entry->output[0] = 0;
        entry->period_ns = entry_cycles[i] * period_ns;
        entry->phase_ns = entry_cycles[i] / 2 * period_ns;
        entry->wcet_ns = period_ns / 20;
    }
}

static struct mxrc_exec *moving(enum shape shape, uint64_t period_ns)
{
    static const double gains[] = {20, 5, 4, 10};
    configure(shape, period_ns);
    exec_segment();
    two_keys();
    struct mxrc_exec *exec = mxrc_exec_new(&rt, &config, error, sizeof error);
    if (exec && shape != SERVO)
        CHECK_EQUAL(mxrc_exec_use_law(exec, &joint_pid, gains, PARAMETERS, error, sizeof error), 0);
    if (!exec || mxrc_exec_begin(exec, error, sizeof error)) {
        printf("no executive: %s\n", error);
        exit(EXIT_FAILURE);
    }
    return exec;
}

static void move_all(void)
{
    program_begin();
    struct mxrc_op *op = program_op(MXRC_OP_MOVE_JOINTS);
    op->axes = (1u << AXES) - 1;
    for (uint32_t i = 0; i < AXES; i++)
        op->args[i] = 1.0;
    op->duration_ns = 3600ull * 1000000000;
    program_end();
    send_start(1, 1);
}

/* Cycle times of one round, in ns. */
static void measure(enum shape shape, uint64_t period_ns, uint64_t *ns)
{
    struct mxrc_exec *exec = moving(shape, period_ns);
    exec_run(exec, 2);
    move_all();
    exec_run(exec, SETTLE);
    CHECK_EQUAL(exec->active_tasks, 1);
    for (uint32_t i = 0; i < CYCLES; i++) {
        mxrc_exec_cycle(exec);
        ns[i] = exec->now.end_ns - exec->now.wake_ns;
    }
    exec_done(exec);
}

static int ascending(const void *left, const void *right)
{
    uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;
    return (a > b) - (a < b);
}

struct figures {
    double mean, p50, p99;
};

/* Sorts them. */
static struct figures figures_of(uint64_t *ns, uint32_t count)
{
    double sum = 0;
    qsort(ns, count, sizeof *ns, ascending);
    for (uint32_t i = 0; i < count; i++)
        sum += (double)ns[i];
    return (struct figures){
        .mean = sum / count,
        .p50 = (double)ns[count / 2],
        .p99 = (double)ns[count - count / 100],
    };
}

static double median(double *values)
{
    for (uint32_t i = 1; i < ROUNDS; i++)
        for (uint32_t j = i; j > 0 && values[j] < values[j - 1]; j--) {
            double swap = values[j];
            values[j] = values[j - 1];
            values[j - 1] = swap;
        }
    return values[ROUNDS / 2];
}

static void as_real_time(void)
{
    cpu_set_t cpus;
    CPU_ZERO(&cpus);
    CPU_SET((size_t)sysconf(_SC_NPROCESSORS_ONLN) - 1, &cpus);
    if (mlockall(MCL_CURRENT | MCL_FUTURE) || sched_setaffinity(0, sizeof cpus, &cpus) ||
        sched_setscheduler(0, SCHED_FIFO, &(struct sched_param){.sched_priority = PRIORITY}))
        fprintf(stderr, "without SCHED_FIFO and locked memory: %s\n", strerror(errno));
}

int main(int count, char **arguments)
{
    static uint64_t ns[PACES][SHAPES][ROUNDS][CYCLES];
    int json = count > 1 && strcmp(arguments[1], "--json") == 0;
    as_real_time();
    for (uint32_t round = 0; round < ROUNDS; round++)
        for (enum pace pace = 0; pace < PACES; pace++)
            for (enum shape shape = 0; shape < SHAPES; shape++)
                measure(shape, pace_ns[pace], ns[pace][shape][round]);
    for (enum pace pace = 0; pace < PACES; pace++) {
        double added[ROUNDS];
        struct figures found[SHAPES];
        for (uint32_t round = 0; round < ROUNDS; round++)
            added[round] = figures_of(ns[pace][PID_ENTRIES][round], CYCLES).p50 -
                           figures_of(ns[pace][PID][round], CYCLES).p50;
        for (enum shape shape = 0; shape < SHAPES; shape++)
            found[shape] = figures_of(ns[pace][shape][0], ROUNDS * CYCLES);
        double entries = median(added);
        if (json) {
            printf("%s{\"period_us\": %lu, \"entries_add_ns\": %.0f", pace ? ",\n " : "[",
                   (unsigned long)pace_ns[pace] / 1000, entries);
            for (enum shape shape = 0; shape < SHAPES; shape++)
                printf(", \"%s\": {\"mean_ns\": %.0f, \"p50_ns\": %.0f, \"p99_ns\": %.0f}",
                       shape_name[shape], found[shape].mean, found[shape].p50, found[shape].p99);
            printf("}%s", pace + 1 < PACES ? "" : "]\n");
            continue;
        }
        for (enum shape shape = 0; shape < SHAPES; shape++)
            printf("%lu us, %-16s mean %.2f us, p50 %.2f, p99 %.2f\n",
                   (unsigned long)pace_ns[pace] / 1000, shape_name[shape], found[shape].mean * 1e-3,
                   found[shape].p50 * 1e-3, found[shape].p99 * 1e-3);
        printf("    p99 of the PIDs %s the goal of 5 us; the entries add %.2f us (goal < 1): %s\n",
               found[PID].p99 < PID_GOAL_NS ? "meets" : "MISSES", entries * 1e-3,
               entries < ENTRIES_GOAL_NS ? "met" : "MISSED");
    }
    return test_failed ? test_summary() : 0;
}
