/* state_block.c: what the state block costs the RT thread per cycle; bench_failover.py compiles and runs it. JSON on stdout, times in ns.
 *
 * Warm: the best of ROUNDS blocks of CALLS, on a shared machine the rest is noise of others. Cold: median of single writes, each after
 * half a MiB of other memory, as a cycle that does much between two of them. The yardsticks copy and check as many bytes. */
#include "../cffi_build/tests/exec_fixture.h"

#include "../cffi_build/src/crc32c.h"
#include "../cffi_build/src/state_block.h"

#define ROUNDS 400
#define CALLS 64
#define SINGLES 2000
#define OTHERS (512 * 1024)

static struct mxrc_exec *exec;
static uint8_t copy[sizeof(struct mxrc_state_block)];
static uint8_t others[OTHERS];
static volatile uint32_t sink;

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
}

static void write_block(void)
{
    mxrc_state_block_write(exec);
}

static void copy_bytes(void)
{
    memcpy(copy, &exec->block, exec->block.bytes);
    __asm__ volatile("" ::"r"(copy) : "memory");
}

static void check_bytes(void)
{
    sink = mxrc_crc32c(0, &exec->block, exec->block.bytes);
}

static double warm(void (*work)(void))
{
    double least = 1e18;
    for (uint32_t i = 0; i < ROUNDS; i++) {
        double began = now();
        for (uint32_t k = 0; k < CALLS; k++)
            work();
        least = fmin(least, now() - began);
    }
    return least / CALLS;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double cold(void)
{
    static double took[SINGLES];
    for (uint32_t i = 0; i < SINGLES; i++) {
        for (uint32_t k = 0; k < OTHERS; k += 64)
            others[k]++;
        double began = now();
        write_block();
        took[i] = now() - began;
    }
    qsort(took, SINGLES, sizeof *took, by_value);
    return took[SINGLES / 2];
}

static void report(const char *name, const char *end)
{
    double write = warm(write_block), memory = warm(copy_bytes), check = warm(check_bytes);
    printf("\"%s\": {\"bytes\": %u, \"write_ns\": %.1f, \"cold_ns\": %.1f, \"memcpy_ns\": %.1f, "
           "\"crc32c_ns\": %.1f, \"ratio_to_memcpy_and_crc\": %.2f}%s",
           name, exec->block.bytes, write, cold(), memory, check, write / (2 * memory + check),
           end);
}

/* In addition as many laws as tasks can run at once, each with so much state. */
static void run_laws(uint32_t state_bytes)
{
    static struct mxrc_law law = {.name = "benchmark", .state_version = 1};
    law.state_bytes = state_bytes;
    for (uint32_t i = 0; i < MXRC_TASK_LAW_RUNS; i++) {
        exec->config.task_law[i % MXRC_PROGRAM_LAWS].law = &law;
        exec->law_run[i].key = i % MXRC_PROGRAM_LAWS;
        exec->law_run[i].strand = 1 + i;
    }
    exec->law_runs = MXRC_TASK_LAW_RUNS;
    write_block();
}

int main(void)
{
    exec_config_default();
    exec = exec_begun();
    exec_run(exec, 10);
    write_block();
    printf("{");
    report("idle", ", ");
    for (uint32_t i = 0; i < MXRC_TASKS; i++) {
        exec->task[i].execution_id = 1 + i;
        exec->task[i].program_slot = i;
    }
    exec->active_tasks = MXRC_TASKS;
    write_block();
    report("all_tasks", ", ");
    run_laws(64);
    report("tasks, laws", ", ");
    run_laws(MXRC_TASK_LAW_STATE_BYTES);
    report("large laws", "}\n");
    memset(exec->law_run, 0, sizeof exec->law_run);
    exec->law_runs = 0;
    memset(exec->task, 0, sizeof exec->task);
    exec->active_tasks = 0;
    exec_done(exec);
    return 0;
}
