/* entries.c: the stages and entries of a cycle: which run in this slot, and how long each took. An entry whose slots lie at
 * phase, phase + period, ... of the grid runs in them; what becomes of it after a late cycle is a matter of its criticality. */
#include <errno.h>
#include <math.h>
#include <string.h>

#include "entries.h"
#include "error.h"
#include "log.h"
#include "misses.h"
#include "state.h"

_Static_assert(MXRC_ENTRY_SLOTS <= 64, "one bit each in `took`");

#define CODE_NOT_WRITTEN (-1) /* an output was not finite, or outside the limits of its key */

static const char *const STAGES[MXRC_RUN_CODE] = {"inputs", "tasks", "law", "outputs", "records"};

/* One writer: a relaxed load and store, no locked instruction. */
static uint64_t count(uint64_t *word, uint64_t by)
{
    uint64_t value = mxrc_load_relaxed(word) + by;
    mxrc_store_relaxed(word, value);
    return value;
}

/* ---- before the first cycle ---- */

static int keys_fit(const struct mxrc_exec *exec, const uint32_t *handle, uint32_t number,
                    int written)
{
    const struct mxrc_data_key *keys = (const void *)(exec->at.data + 1);
    for (uint32_t i = 0; i < number; i++)
        if (handle[i] >= mxrc_load_acquire(&exec->at.data->count) ||
            keys[handle[i]].type != MXRC_DATA_DOUBLE ||
            (written && keys[handle[i]].writer != MXRC_WRITER_RT))
            return 0;
    return 1;
}

static int prepare_code(struct mxrc_exec *exec, const struct mxrc_entry_config *config, char *error,
                        size_t error_bytes)
{
    if (!config->code)
        return mxrc_fail(error, error_bytes, EINVAL, "schedule entry %.31s has no code",
                         config->name);
    int result = mxrc_entry_check(config->code, config->parameter_count, config->input_count,
                                  config->output_count, error, error_bytes);
    if (result)
        return result;
    if (!keys_fit(exec, config->input, config->input_count, 0) ||
        !keys_fit(exec, config->output, config->output_count, 1))
        return mxrc_fail(error, error_bytes, EINVAL,
                         "schedule entry %.31s: its inputs must be data-store keys of type double, "
                         "its outputs such that rt writes",
                         config->name);
    struct mxrc_entry *entry = &exec->entry[exec->entry_count++];
    memset(entry, 0, sizeof *entry);
    entry->config = config;
    entry->cycles = config->period_ns / exec->config.period_ns;
    entry->slot = MXRC_RUN_CODE + (uint32_t)(config - exec->config.entry);
    for (uint32_t i = 0; i < MXRC_ENTRY_VALUES; i++)
        entry->value[i] = NAN;
    int code =
        config->code->init(entry->state, config->parameters, (double)config->period_ns * 1e-9);
    if (code)
        return mxrc_fail(error, error_bytes, EINVAL,
                         "schedule entry %.31s refuses to start with code %d: check its parameters",
                         config->name, code);
    return 0;
}

int mxrc_entries_prepare(struct mxrc_exec *exec, char *error, size_t error_bytes)
{
    exec->entry_count = 0;
    for (uint32_t i = 0; i < exec->config.entry_count; i++) {
        const struct mxrc_entry_config *config = &exec->config.entry[i];
        if (config->run == MXRC_RUN_CODE) {
            int result = prepare_code(exec, config, error, error_bytes);
            if (result)
                return result;
        } else if (config->run == MXRC_RUN_LAW && config->period_ns > exec->config.period_ns &&
                   exec->law->command != MXRC_LAW_EFFORT) {
            return mxrc_fail(error, error_bytes, EINVAL,
                             "schedule entry %.31s: control law %.31s commands positions, which "
                             "must change in every cycle: give it the period of the cycle",
                             config->name, exec->law->name);
        }
    }
    return 0;
}

static void describe(struct mxrc_exec *exec, uint32_t slot, const char *name,
                     const struct mxrc_entry_config *config)
{
    struct mxrc_entry_metrics *metrics = &exec->at.entries[slot];
    memset(metrics->name, 0, sizeof metrics->name);
    memcpy(metrics->name, name, strnlen(name, sizeof metrics->name - 1));
    metrics->period_ns = config ? config->period_ns : exec->config.period_ns;
    metrics->phase_ns = config ? config->phase_ns : 0;
    metrics->wcet_ns = config ? config->wcet_ns : 0;
    metrics->run = slot < MXRC_RUN_CODE ? slot : MXRC_RUN_CODE;
    metrics->criticality = config ? config->criticality : MXRC_CRITICALITY_HIGH;
    exec->entry_text[slot] = config ? config->text : 0;
}

/* The first slot of an entry at or after `cycle`. */
static uint64_t first_slot(uint64_t cycle, uint64_t cycles, uint64_t phase)
{
    uint64_t past = cycle % cycles;
    return cycle - past + phase + (past > phase ? cycles : 0);
}

void mxrc_entries_begin(struct mxrc_exec *exec)
{
    for (uint32_t stage = 0; stage < MXRC_RUN_CODE; stage++)
        describe(exec, stage, STAGES[stage], NULL);
    for (uint32_t i = 0; i < exec->config.entry_count; i++) {
        const struct mxrc_entry_config *config = &exec->config.entry[i];
        uint32_t slot = config->run < MXRC_RUN_CODE ? config->run : MXRC_RUN_CODE + i;
        describe(exec, slot, config->name, config);
    }
    for (uint32_t i = 0; i < exec->entry_count; i++) {
        struct mxrc_entry *entry = &exec->entry[i];
        uint64_t phase = entry->config->phase_ns / exec->config.period_ns;
        entry->next = first_slot(exec->now.cycle, entry->cycles, phase);
    }
    exec->late_before = 0;
}

/* ---- time ---- */

/* Remembered here and counted after the end of the cycle: the histograms have left the caches since the last one, and each reading
 * of the clock would wait for the loads before it. */
static void took(struct mxrc_exec *exec, uint32_t slot, uint64_t ns)
{
    if (ns > exec->now.longest_ns) {
        exec->now.longest_ns = ns > UINT32_MAX ? UINT32_MAX : (uint32_t)ns;
        exec->now.longest_entry = slot + 1;
    }
    exec->took_ns[slot] = ns;
    exec->took |= (uint64_t)1 << slot;
}

static void count_time(struct mxrc_exec *exec, uint32_t slot)
{
    struct mxrc_entry_metrics *metrics = &exec->at.entries[slot];
    uint64_t ns = exec->took_ns[slot];
    mxrc_histogram_add(&metrics->histogram, ns);
    if (metrics->wcet_ns == 0 || ns <= metrics->wcet_ns)
        return;
    uint64_t exceeded = count(&metrics->exceeded, 1);
    mxrc_log(exec, MXRC_EV_ENTRY_LATE, NULL, exec->entry_text[slot], (double)ns * 1e-3,
             (double)metrics->wcet_ns * 1e-3, (double)exceeded);
}

void mxrc_stage_ended(struct mxrc_exec *exec, uint32_t stage, uint64_t at_ns)
{
    uint64_t ns = at_ns - exec->now.mark_ns;
    exec->now.mark_ns = at_ns;
    took(exec, stage, ns);
}

void mxrc_stage_done(struct mxrc_exec *exec, uint32_t stage)
{
    mxrc_stage_ended(exec, stage, mxrc_exec_now(exec));
}

void mxrc_entries_settle(struct mxrc_exec *exec)
{
    uint64_t left = exec->warmup_left > 0 ? 0 : exec->took;
    for (; left; left &= left - 1)
        count_time(exec, (uint32_t)__builtin_ctzll(left));
    exec->took = 0;
    exec->late_before = exec->now.flags & (MXRC_CYCLE_DEADLINE_MISS | MXRC_CYCLE_OVERRUN);
}

/* ---- in the slot ---- */

/* Values that are being written, or were never, stay what they were. */
static void read_values(struct mxrc_exec *exec, struct mxrc_entry *entry)
{
    for (uint32_t i = 0; i < entry->config->input_count; i++) {
        double found[MXRC_DATA_BYTES / sizeof(double)];
        uint32_t bytes;
        uint64_t time_ns;
        if (mxrc_data_read(exec->segment, entry->config->input[i], found, &bytes, &time_ns) == 0 &&
            bytes == sizeof *found)
            entry->value[i] = found[0];
    }
    memcpy(exec->entry_input.value, entry->value, sizeof entry->value);
}

static void fill_input(struct mxrc_exec *exec)
{
    struct mxrc_entry_input *input = &exec->entry_input;
    input->cycle = exec->now.cycle;
    input->time_ns = exec->now.wake_ns;
    input->axes = exec->config.axis_count;
    input->state = exec->state;
    for (uint32_t i = 0; i < input->axes; i++) {
        input->position[i] = exec->inputs.position[i];
        input->velocity[i] = exec->inputs.velocity[i];
        input->effort[i] = exec->inputs.effort[i];
        input->setpoint[i] = exec->axis[i].setpoint;
    }
}

static int step(struct mxrc_exec *exec, struct mxrc_entry *entry)
{
    const struct mxrc_entry_config *config = entry->config;
    double output[MXRC_ENTRY_VALUES] = {0};
    read_values(exec, entry);
    exec->entry_input.dt = (double)config->period_ns * 1e-9;
    int code = config->code->step(entry->state, config->parameters, &exec->entry_input, output);
    for (uint32_t i = 0; code == 0 && i < config->output_count; i++)
        if (mxrc_data_write(exec->segment, config->output[i], &output[i], sizeof output[i],
                            exec->now.wake_ns))
            code = CODE_NOT_WRITTEN;
    return code;
}

static void run(struct mxrc_exec *exec, struct mxrc_entry *entry)
{
    int code = step(exec, entry);
    mxrc_stage_done(exec, entry->slot);
    if (code == 0)
        return;
    uint64_t faults = count(&exec->at.entries[entry->slot].faults, 1);
    mxrc_log(exec, MXRC_EV_ENTRY_FAULT, NULL, entry->config->text, code, (double)faults);
    if (entry->config->criticality == MXRC_CRITICALITY_HIGH)
        mxrc_state_fault(exec, MXRC_SAFE_ENTRY);
}

/* 1 when the entry is to run now; next moves behind this slot. */
static int due(struct mxrc_exec *exec, struct mxrc_entry *entry)
{
    struct mxrc_entry_metrics *metrics = &exec->at.entries[entry->slot];
    uint64_t cycle = exec->now.cycle;
    if (cycle < entry->next)
        return 0;
    uint64_t passed = 0; /* slots of the entry that came and went in slots that were never run */
    int in_slot = 1;
    if (cycle > entry->next) {
        uint64_t late = cycle - entry->next;
        in_slot = late % entry->cycles == 0;
        passed = late / entry->cycles + !in_slot;
        entry->next += late - late % entry->cycles;
    }
    entry->next += entry->cycles;
    if (!in_slot && entry->config->criticality == MXRC_CRITICALITY_HIGH) {
        passed--;
        in_slot = 1;
    }
    if (passed)
        count(&metrics->skipped, passed);
    if (!in_slot)
        return 0;
    if (exec->late_before && entry->config->criticality == MXRC_CRITICALITY_LOW) {
        uint64_t shed = count(&metrics->shed, 1);
        mxrc_log(exec, MXRC_EV_ENTRY_SHED, NULL, entry->config->text, (double)shed);
        return 0;
    }
    return 1;
}

void mxrc_entries_run(struct mxrc_exec *exec)
{
    if (exec->entry_count == 0)
        return;
    fill_input(exec);
    for (uint32_t i = 0; i < exec->entry_count; i++)
        if (due(exec, &exec->entry[i]))
            run(exec, &exec->entry[i]);
}
