/* rt_spans.c: what spans cost the RT thread; bench_tracing.py compiles and runs it. JSON on stdout, times in ns.
 *
 * The reference body is arithmetic for 100 us that touches 32 KiB, with three spans behind it (action, sequence, task,
 * and their ids), at sampling rates of 0, 10 and 100 % in alternating blocks, and without the calls. A block is the mean of its cycles,
 * so that a rate of 10 % counts as it is; given are the least block (what it costs) and the median (what the machine
 * made of it). */
#include "../cffi_build/tests/exec_fixture.h"

#include "../cffi_build/src/span.h"

#define BLOCKS 1500
#define CYCLES 10
#define ROUNDS 400
#define CALLS 256

enum { WITHOUT, OFF, TENTH, ALL, KINDS };
static const char *const kind_names[KINDS] = {"without", "off", "10", "100"};

static struct mxrc_exec *exec;
static struct mxrc_task_state *task;
static double memory[4096];
static uint32_t sweeps = 1;
static double block_ns[KINDS][BLOCKS];

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
}

static void body(void)
{
    for (uint32_t sweep = 0; sweep < sweeps; sweep++) {
        for (uint32_t i = 0; i < 4096; i++)
            memory[i] = memory[i] * 0.999 + 0.001 * i;
        __asm__ volatile("" ::"r"(memory) : "memory");
    }
}

static void three_spans(void)
{
    mxrc_span_id(exec, task->task_span_id);
    mxrc_span_id(exec, task->sequence_span_id);
    mxrc_span_id(exec, task->strand.action_span_id);
    mxrc_span_end(exec, &task->strand, MXRC_SPAN_ACTION_EXECUTE, MXRC_OK);
    mxrc_span_end(exec, &task->strand, MXRC_SPAN_SEQUENCE_RUN, MXRC_OK);
    mxrc_span_end(exec, &task->strand, MXRC_SPAN_TASK_EXECUTE, MXRC_OK);
}

static double block(int kind)
{
    double began = now();
    for (uint32_t cycle = 0; cycle < CYCLES; cycle++) {
        body();
        task->trace_flags = kind == ALL || (kind == TENTH && cycle % 10 == 0);
        if (kind != WITHOUT)
            three_spans();
    }
    return (now() - began) / CYCLES;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double one_span(uint8_t flags)
{
    double least = 1e18;
    task->trace_flags = flags;
    for (uint32_t i = 0; i < ROUNDS; i++) {
        double began = now();
        for (uint32_t n = 0; n < CALLS; n++)
            mxrc_span_end(exec, &task->strand, MXRC_SPAN_ACTION_EXECUTE, MXRC_OK);
        least = fmin(least, now() - began);
    }
    return least / CALLS;
}

int main(void)
{
    exec_config_default();
    exec = exec_begun();
    program_begin();
    program_wait(1000000 * PERIOD);
    program_end();
    send_start(1, 0);
    exec_run(exec, 10);
    task = &exec->task[0];
    double sampled = one_span(1), unsampled = one_span(0);
    double one = 1e18;
    for (uint32_t i = 0; i < 200; i++) {
        double began = now();
        body();
        one = fmin(one, now() - began);
    }
    sweeps = (uint32_t)fmax(1, 100000 / one);
    for (uint32_t i = 0; i < BLOCKS; i++)
        for (int kind = 0; kind < KINDS; kind++)
            block_ns[(kind + (int)i) % KINDS][i] = block((kind + (int)i) % KINDS);
    printf("{\"span_ns\": %.1f, \"unsampled_span_ns\": %.2f", sampled, unsampled);
    double least[KINDS], median[KINDS];
    for (int kind = 0; kind < KINDS; kind++) {
        qsort(block_ns[kind], BLOCKS, sizeof(double), by_value);
        least[kind] = block_ns[kind][0];
        median[kind] = block_ns[kind][BLOCKS / 2];
    }
    printf(", \"body_us\": %.2f, \"noise_percent\": %.2f", least[WITHOUT] / 1e3,
           100 * (median[WITHOUT] - least[WITHOUT]) / least[WITHOUT]);
    for (int kind = OFF; kind < KINDS; kind++)
        printf(", \"%s\": {\"ns_per_cycle\": %.0f, \"percent\": %.3f, \"median_percent\": %.3f}",
               kind_names[kind], least[kind] - least[WITHOUT],
               100 * (least[kind] - least[WITHOUT]) / least[WITHOUT],
               100 * (median[kind] - median[WITHOUT]) / median[WITHOUT]);
    printf("}\n");
    exec_done(exec);
    return 0;
}
