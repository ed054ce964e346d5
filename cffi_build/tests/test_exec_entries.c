/* test_exec_entries.c: schedule entries: in which slots they run, what each took, what becomes of them after a late cycle. */
#include "exec_fixture.h"

#include "../src/log.h"

#define ENTRIES 3
#define KEYS 2

static uint64_t ran[ENTRIES][4096]; /* grid index of each run */
static uint32_t runs[ENTRIES];
static uint64_t takes_ns[ENTRIES];
static double last_dt[ENTRIES];
static int answer;
static double seen, written;

static int step(void *state, const double *parameters, const struct mxrc_entry_input *input,
                double *output)
{
    uint32_t me = (uint32_t)parameters[0];
    ++*(uint64_t *)state;
    CHECK_EQUAL(*(uint64_t *)state, runs[me] + 1); /* the state is its own */
    ran[me][runs[me]++] = input->cycle;
    last_dt[me] = input->dt;
    fake.now_ns += takes_ns[me];
    (void)output;
    return answer;
}

static int step_values(void *state, const double *parameters, const struct mxrc_entry_input *input,
                       double *output)
{
    (void)state, (void)parameters;
    seen = input->value[0];
    output[0] = written;
    return 0;
}

static const struct mxrc_entry_code counting = {
    .abi = MXRC_ENTRY_ABI,
    .bytes = sizeof(struct mxrc_entry_code),
    .name = "counting",
    .state_bytes = sizeof(uint64_t),
    .parameter_count = 1,
    .init = idle_init,
    .step = step,
};

static const struct mxrc_entry_code copying = {
    .abi = MXRC_ENTRY_ABI,
    .bytes = sizeof(struct mxrc_entry_code),
    .name = "copying",
    .input_count = 1,
    .output_count = 1,
    .init = idle_init,
    .step = step_values,
};

/* Counts its runs in its state, and in an output that it reads back. */
static double counted_here, counted_in_all;
static int step_kept(void *state, const double *parameters, const struct mxrc_entry_input *input,
                     double *output)
{
    (void)parameters;
    counted_here = (double)++*(uint64_t *)state;
    output[0] = counted_in_all = (isnan(input->value[0]) ? 0 : input->value[0]) + 1;
    return 0;
}

static const struct mxrc_entry_code keeping = {
    .abi = MXRC_ENTRY_ABI,
    .bytes = sizeof(struct mxrc_entry_code),
    .name = "keeping",
    .state_bytes = sizeof(uint64_t),
    .input_count = 1,
    .output_count = 1,
    .init = idle_init,
    .step = step_kept,
};

static struct mxrc_entry_config *add(const char *name, uint64_t cycles, uint64_t phase,
                                     uint32_t criticality)
{
    struct mxrc_entry_config *entry = &config.entry[config.entry_count];
    memset(entry, 0, sizeof *entry);
    strcpy(entry->name, name);
    entry->run = MXRC_RUN_CODE;
    entry->code = &counting;
    entry->parameter_count = 1;
    entry->parameters[0] = config.entry_count++;
    entry->period_ns = cycles * PERIOD;
    entry->phase_ns = phase * PERIOD;
    entry->criticality = criticality;
    return entry;
}

static void fresh(void)
{
    exec_config_default();
    memset(runs, 0, sizeof runs);
    memset(takes_ns, 0, sizeof takes_ns);
    answer = 0;
}

static const struct mxrc_entry_metrics *metrics(uint32_t slot)
{
    const struct mxrc_entry_metrics *all = mxrc_region(&nonrt, MXRC_REGION_ENTRIES, NULL);
    return &all[slot];
}

static const struct mxrc_entry_metrics *of(uint32_t entry)
{
    return metrics(MXRC_RUN_CODE + entry);
}

/* One cycle whose inputs take so long. */
static void stall(struct mxrc_exec *exec, uint64_t work_ns)
{
    fake.work_ns = work_ns;
    CHECK_EQUAL(mxrc_exec_cycle(exec), 0);
    fake.work_ns = 0;
}

static void test_slots(void)
{
    fresh();
    add("each", 1, 0, MXRC_CRITICALITY_NORMAL);
    add("two", 2, 1, MXRC_CRITICALITY_LOW);
    add("five", 5, 3, MXRC_CRITICALITY_HIGH);
    struct mxrc_exec *exec = exec_begun();
    CHECK_EQUAL(rt_status()->slots, 10);
    CHECK_EQUAL(exec_run(exec, 1000), 0);
    CHECK_EQUAL(runs[0], 1000);
    CHECK_EQUAL(runs[1], 500);
    CHECK_EQUAL(runs[2], 200);
    for (uint32_t i = 0; i < runs[1]; i++)
        CHECK_EQUAL(ran[1][i] % 2, 1);
    for (uint32_t i = 0; i < runs[2]; i++)
        CHECK_EQUAL(ran[2][i] % 5, 3);
    CHECK(fabs(last_dt[2] - 0.005) < 1e-12);
    CHECK(strcmp(of(2)->name, "five") == 0);
    CHECK_EQUAL(of(2)->histogram.count, 200);
    CHECK_EQUAL(of(0)->skipped + of(1)->skipped + of(2)->skipped, 0);
    CHECK_EQUAL(metrics(MXRC_RUN_LAW)->histogram.count, 1000);
    CHECK(strcmp(metrics(MXRC_RUN_LAW)->name, "law") == 0);
    exec_done(exec);
}

static void test_times(void)
{
    fresh();
    add("quick", 1, 0, MXRC_CRITICALITY_NORMAL)->wcet_ns = 20000;
    takes_ns[0] = 20000;
    struct mxrc_exec *exec = exec_begun();
    exec_run(exec, 10);
    CHECK_EQUAL(of(0)->histogram.max_ns, 20000);
    CHECK_EQUAL(of(0)->histogram.sum_ns, 200000);
    CHECK_EQUAL(of(0)->exceeded, 0);
    CHECK_EQUAL(last_record().longest_entry, MXRC_RUN_CODE + 1);
    CHECK_EQUAL(last_record().longest_ns, 20000);

    skip_events();
    takes_ns[0] = 20001;
    exec_run(exec, 100);
    CHECK_EQUAL(of(0)->exceeded, 100);
    struct mxrc_event event;
    CHECK(next_event(MXRC_EVENT_LOG, MXRC_EV_ENTRY_LATE, &event));
    CHECK(fabs(event.args[1] - 20.001) < 1e-9);
    CHECK(fabs(event.args[2] - 20) < 1e-9);
    CHECK(count_events(MXRC_EVENT_LOG, MXRC_EV_ENTRY_LATE) < 20); /* folded */

    stall(exec, 100000); /* the driver, this time */
    CHECK_EQUAL(last_record().longest_entry, MXRC_RUN_INPUTS + 1);
    CHECK_EQUAL(last_record().longest_ns, 100000);
    CHECK_EQUAL(metrics(MXRC_RUN_INPUTS)->histogram.max_ns, 100000);
    exec_done(exec);
}

/* Cycles before are warm-up: in no figure. */
static void test_warmup(void)
{
    fresh();
    config.warmup_cycles = 10;
    add("slow", 1, 0, MXRC_CRITICALITY_NORMAL)->wcet_ns = 10;
    takes_ns[0] = 20;
    struct mxrc_exec *exec = exec_begun();
    exec_run(exec, 10);
    CHECK_EQUAL(runs[0], 10);
    CHECK_EQUAL(of(0)->histogram.count, 0);
    CHECK_EQUAL(of(0)->exceeded, 0);
    exec_run(exec, 1);
    CHECK_EQUAL(of(0)->histogram.count, 1);
    CHECK_EQUAL(of(0)->exceeded, 1);
    exec_done(exec);
}

/* Three slots pass without a cycle: low and normal leave their run out, high makes up for it, once. */
static void test_skipped(void)
{
    fresh();
    add("low", 4, 1, MXRC_CRITICALITY_LOW);
    add("normal", 4, 1, MXRC_CRITICALITY_NORMAL);
    add("high", 4, 1, MXRC_CRITICALITY_HIGH);
    struct mxrc_exec *exec = exec_begun();
    while (exec->now.cycle % 4 != 0)
        exec_run(exec, 1);
    memset(runs, 0, sizeof runs);
    for (uint32_t i = 0; i < ENTRIES; i++)
        memset(exec->entry[i].state, 0, sizeof exec->entry[i].state);
    uint64_t cycle = exec->now.cycle;
    stall(exec, 2 * PERIOD + PERIOD / 2); /* the next one is cycle + 3; slot cycle + 1 was theirs */
    CHECK_EQUAL(exec->now.cycle, cycle + 3);
    exec_run(exec, 1);
    CHECK_EQUAL(runs[0], 0);
    CHECK_EQUAL(runs[1], 0);
    CHECK_EQUAL(runs[2], 1);
    CHECK_EQUAL(of(0)->skipped, 1);
    CHECK_EQUAL(of(1)->skipped, 1);
    CHECK_EQUAL(of(2)->skipped, 0);
    exec_run(exec, 2); /* slot cycle + 5 is theirs again */
    CHECK_EQUAL(runs[0], 1);
    CHECK_EQUAL(runs[1], 1);
    CHECK_EQUAL(runs[2], 2);
    CHECK_EQUAL(ran[2][1], cycle + 5);

    /* Of several runs that passed one is made up for. */
    while (exec->now.cycle % 4 != 1)
        exec_run(exec, 1);
    uint32_t before = runs[2];
    stall(exec, 10 * PERIOD + PERIOD / 2);
    CHECK_EQUAL(runs[2], before + 1);
    exec_run(exec, 1);
    CHECK_EQUAL(runs[2], before + 2);
    CHECK_EQUAL(of(2)->skipped, 1);
    CHECK_EQUAL(of(1)->skipped, 3);
    exec_done(exec);
}

static void test_shed(void)
{
    fresh();
    add("low", 1, 0, MXRC_CRITICALITY_LOW);
    add("normal", 1, 0, MXRC_CRITICALITY_NORMAL);
    struct mxrc_exec *exec = exec_begun();
    exec_run(exec, 5);
    skip_events();
    stall(exec, DEADLINE + 1); /* late, no slot skipped */
    CHECK_EQUAL(runs[0], 6);
    exec_run(exec, 1);
    CHECK_EQUAL(runs[0], 6);
    CHECK_EQUAL(runs[1], 7);
    CHECK_EQUAL(of(0)->shed, 1);
    CHECK_EQUAL(of(1)->shed, 0);
    CHECK_EQUAL(count_events(MXRC_EVENT_LOG, MXRC_EV_ENTRY_SHED), 1);
    exec_run(exec, 1); /* one cycle in time, and it is back */
    CHECK_EQUAL(runs[0], 7);
    CHECK_EQUAL(of(0)->shed, 1);
    exec_done(exec);
}

static void test_failure(void)
{
    fresh();
    add("normal", 1, 0, MXRC_CRITICALITY_NORMAL);
    struct mxrc_exec *exec = exec_begun();
    exec_run(exec, 5);
    answer = 7;
    exec_run(exec, 1);
    CHECK_EQUAL(exec->state, MXRC_STATE_RUNNING);
    CHECK_EQUAL(of(0)->faults, 1);
    exec_done(exec);

    fresh();
    add("high", 1, 0, MXRC_CRITICALITY_HIGH);
    exec = exec_begun();
    exec_run(exec, 5);
    answer = 7;
    exec_run(exec, 2);
    CHECK_EQUAL(exec->state, MXRC_STATE_SAFE_MODE);
    CHECK_EQUAL(rt_status()->safe_cause, MXRC_SAFE_ENTRY);
    struct mxrc_event event;
    CHECK(next_event(MXRC_EVENT_LOG, MXRC_EV_ENTRY_FAULT, &event));
    CHECK_EQUAL((int)event.args[1], 7);
    exec_done(exec);
}

static void make_keys(struct mxrc_segment *segment)
{
    struct mxrc_data_directory *directory = mxrc_region(segment, MXRC_REGION_DATA_DIRECTORY, NULL);
    struct mxrc_data_key *key = (void *)(directory + 1);
    for (uint32_t i = 0; i < KEYS; i++) {
        memset(&key[i], 0, sizeof key[i]);
        snprintf(key[i].name, sizeof key[i].name, "key%u", i);
        key[i].type = MXRC_DATA_DOUBLE;
        key[i].length = 1;
        key[i].writer = i == 0 ? MXRC_WRITER_NONRT : MXRC_WRITER_RT;
        key[i].minimum = -10;
        key[i].maximum = 10;
    }
    mxrc_store_release(&directory->count, KEYS);
}

static void test_values(void)
{
    fresh();
    struct mxrc_entry_config *entry = add("copy", 1, 0, MXRC_CRITICALITY_NORMAL);
    entry->code = &copying;
    entry->parameter_count = 0;
    entry->input_count = entry->output_count = 1;
    entry->input[0] = 0;
    entry->output[0] = 1;
    exec_fill = make_keys;
    exec_segment();
    struct mxrc_exec *exec = exec_made();
    CHECK_EQUAL(mxrc_exec_begin(exec, error, sizeof error), 0);
    seen = 1;
    written = 2.5;
    exec_run(exec, 1);
    CHECK(isnan(seen)); /* nobody has written it yet */
    double value = 4.25, found = 0;
    CHECK_EQUAL(mxrc_data_write(&nonrt, 0, &value, sizeof value, 1), 0);
    exec_run(exec, 1);
    CHECK(seen == 4.25);
    uint32_t bytes;
    uint64_t time_ns;
    CHECK_EQUAL(mxrc_data_read(&nonrt, 1, &found, &bytes, &time_ns), 0);
    CHECK(found == 2.5);
    written = 11; /* outside of its key's limits */
    exec_run(exec, 1);
    CHECK_EQUAL(of(0)->faults, 1);
    written = NAN;
    exec_run(exec, 1);
    CHECK_EQUAL(of(0)->faults, 2);
    CHECK_EQUAL(mxrc_data_read(&nonrt, 1, &found, &bytes, &time_ns), 0);
    CHECK(found == 2.5);
    exec_done(exec);

    exec_segment();
    config.entry[0].output[0] = 0; /* Non-RT writes it */
    CHECK(mxrc_exec_new(&rt, &config, error, sizeof error) == NULL);
    CHECK_HAS(error, "that rt writes");
    exec_fill = NULL;
}

/* entry.h: the state begins anew with each executive; an output that is an input too is what it goes on with. */
static void test_after_a_restart(void)
{
    fresh();
    struct mxrc_entry_config *entry = add("keep", 1, 0, MXRC_CRITICALITY_NORMAL);
    entry->code = &keeping;
    entry->parameter_count = 0;
    entry->input_count = entry->output_count = 1;
    entry->input[0] = entry->output[0] = 1;
    exec_fill = make_keys;
    exec_segment();
    for (uint32_t life = 0; life < 3; life++) {
        struct mxrc_exec *exec = exec_made();
        CHECK_EQUAL(mxrc_exec_begin(exec, error, sizeof error), 0);
        exec_run(exec, 3);
        CHECK(counted_here == 3);
        CHECK(counted_in_all == 3 * (life + 1));
        exec_done(exec);
    }
    exec_fill = NULL;
}

static void refused(const char *why)
{
    exec_segment();
    CHECK(mxrc_exec_new(&rt, &config, error, sizeof error) == NULL);
    CHECK_HAS(error, why);
    fresh();
}

static void test_refusals(void)
{
    fresh();
    add("none", 1, 0, MXRC_CRITICALITY_NORMAL)->code = NULL;
    refused("no code");
    add("few", 1, 0, MXRC_CRITICALITY_NORMAL)->parameter_count = 0;
    refused("takes 1 parameters");
    struct mxrc_entry_code other = counting;
    other.abi = 99;
    add("old", 1, 0, MXRC_CRITICALITY_NORMAL)->code = &other;
    refused("interface 99");
    add("slow", 2, 0, MXRC_CRITICALITY_NORMAL)->run = MXRC_RUN_TASKS;
    refused("every cycle");
    add("servo", 2, 0, MXRC_CRITICALITY_NORMAL)->run = MXRC_RUN_LAW;
    refused("commands positions");
    add("a", 1, 0, MXRC_CRITICALITY_NORMAL)->run = MXRC_RUN_LAW;
    add("b", 1, 0, MXRC_CRITICALITY_NORMAL)->run = MXRC_RUN_LAW;
    refused("same stage");
    add("what", 1, 0, MXRC_CRITICALITY_NORMAL)->run = 17;
    refused("no run 17");
}

/* A stage that the schedule names bears its name and declared time. */
static void test_stage(void)
{
    fresh();
    struct mxrc_entry_config *entry = add("reading", 1, 0, MXRC_CRITICALITY_NORMAL);
    entry->run = MXRC_RUN_INPUTS;
    entry->wcet_ns = 5000;
    struct mxrc_exec *exec = exec_begun();
    exec_run(exec, 1);
    stall(exec, 6000);
    CHECK(strcmp(metrics(MXRC_RUN_INPUTS)->name, "reading") == 0);
    CHECK_EQUAL(metrics(MXRC_RUN_INPUTS)->exceeded, 1);
    CHECK_EQUAL(metrics(MXRC_RUN_CODE)->name[0], 0);
    exec_done(exec);
}

int main(void)
{
    exec_config_default();
    test_slots();
    test_times();
    test_warmup();
    test_skipped();
    test_shed();
    test_failure();
    test_values();
    test_after_a_restart();
    test_refusals();
    test_stage();
    return test_summary();
}
