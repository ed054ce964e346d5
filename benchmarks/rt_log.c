/* rt_log.c: what a log call costs the RT thread; bench_logging.py compiles and runs it. JSON on stdout, times in ns.
 *
 * Each figure is the best of ROUNDS blocks: on a shared machine the rest is noise of others. The reference body is
 * arithmetic for 100 us that touches 32 KiB, with and without ten calls in it, in turn. */
#include "../cffi_build/tests/exec_fixture.h"

#include "../cffi_build/src/log.h"

#define ROUNDS 300
#define CALLS 256

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
}

static struct mxrc_exec *exec;
static char text[256];
static double memory[4096];

static void calls(uint32_t message_id)
{
    for (uint32_t i = 0; i < CALLS; i++)
        mxrc_log(exec, message_id, NULL, 1.5 + i, 2.5, 3.5, i);
}

static void formatted(void)
{
    for (uint32_t i = 0; i < CALLS; i++) {
        snprintf(text, sizeof text,
                 "Deadline miss: outputs committed %.3f us after the deadline, woke %.3f us late, "
                 "worked %.3f us",
                 1.5 + i, 2.5, 3.5);
        __asm__ volatile("" ::"r"(text) : "memory");
    }
}

static double best(void (*work)(void))
{
    double least = 1e18;
    for (uint32_t i = 0; i < ROUNDS; i++) {
        double began = now();
        work();
        least = fmin(least, now() - began);
    }
    return least / CALLS;
}

static void written(void)
{
    calls(MXRC_EV_TASK_CANCELLED); /* a logger whose lines are never left out */
}

static void left_out(void)
{
    calls(MXRC_EV_DEADLINE_MISS);
}

static uint32_t sweeps = 1;

/* The same code with calls and without. */
static void __attribute__((noinline)) work(void)
{
    for (uint32_t i = 0; i < 4096; i++)
        memory[i] = memory[i] * 0.999 + 0.001 * i;
}

static void body(int logs)
{
    for (uint32_t sweep = 0; sweep < sweeps; sweep++) {
        work();
        if (logs && sweep < 10)
            mxrc_log(exec, MXRC_EV_TASK_CANCELLED, NULL, 1.5, 2.5, 3.5, sweep);
        __asm__ volatile("" ::"r"(memory) : "memory");
    }
}

int main(void)
{
    exec_config_default();
    exec = exec_begun();
    exec_run(exec, 10);
    struct mxrc_control *control = mxrc_region(&nonrt, MXRC_REGION_CONTROL, NULL);
    double call = best(written), storm = best(left_out);
    memset(control->log_level, MXRC_LEVEL_CRITICAL, sizeof control->log_level);
    double below = best(written);
    memset(control->log_level, MXRC_LEVEL_TRACE, sizeof control->log_level);
    double print = best(formatted);
    double one = 1e18;
    for (uint32_t i = 0; i < 200; i++) {
        double began = now();
        body(0);
        one = fmin(one, now() - began);
    }
    sweeps = (uint32_t)fmax(10, 100000 / one);
    double plain = 1e18, logging = 1e18;
    for (uint32_t i = 0; i < 4000; i++) {
        double began = now();
        body(0);
        double middle = now();
        body(1);
        plain = fmin(plain, middle - began);
        logging = fmin(logging, now() - middle);
    }
    printf("{\"call_ns\": %.1f, \"below_threshold_ns\": %.2f, \"left_out_ns\": %.1f, "
           "\"snprintf_ns\": %.1f, "
           "\"ratio_to_snprintf\": %.3f, \"body_us\": %.2f, \"ten_calls_ns_per_cycle\": %.0f, "
           "\"ten_calls_percent\": %.3f}\n",
           call, below, storm, print, call / print, plain / 1e3, logging - plain,
           100 * (logging - plain) / plain);
    exec_done(exec);
    return 0;
}
