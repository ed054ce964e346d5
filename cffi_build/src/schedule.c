/* schedule.c: the major frame. Every entry's period is a multiple of the cycle (the minor cycle), the major
 * cycle is their least common multiple, and in no slot may the declared execution times pass the
 * deadline. */
#include <errno.h>

#include "error.h"
#include "schedule.h"

static uint64_t gcd(uint64_t a, uint64_t b)
{
    while (b) {
        uint64_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

static int entry_check(const struct mxrc_exec_config *config, const struct mxrc_entry_config *entry,
                       char *error, size_t error_bytes)
{
    if (entry->period_ns == 0 || entry->period_ns % config->period_ns)
        return mxrc_fail(error, error_bytes, EINVAL,
                         "schedule entry %.31s: its period of %llu ns is not a multiple of the "
                         "cycle of %llu ns",
                         entry->name, (unsigned long long)entry->period_ns,
                         (unsigned long long)config->period_ns);
    if (entry->run < MXRC_RUN_CODE && entry->run != MXRC_RUN_LAW &&
        (entry->period_ns != config->period_ns || entry->phase_ns))
        return mxrc_fail(error, error_bytes, EINVAL,
                         "schedule entry %.31s: inputs, tasks, outputs and records run in every "
                         "cycle; give it the period of the cycle and phase 0",
                         entry->name);
    if (entry->run > MXRC_RUN_CODE || entry->criticality > MXRC_CRITICALITY_HIGH)
        return mxrc_fail(error, error_bytes, EINVAL,
                         "schedule entry %.31s: there is no run %u or criticality %u", entry->name,
                         entry->run, entry->criticality);
    for (const struct mxrc_entry_config *other = config->entry; other < entry; other++)
        if (entry->run < MXRC_RUN_CODE && other->run == entry->run)
            return mxrc_fail(error, error_bytes, EINVAL,
                             "schedule entries %.31s and %.31s are the same stage", other->name,
                             entry->name);
    if (entry->phase_ns % config->period_ns || entry->phase_ns >= entry->period_ns)
        return mxrc_fail(error, error_bytes, EINVAL,
                         "schedule entry %.31s: its phase of %llu ns is not a multiple of the "
                         "cycle below its period",
                         entry->name, (unsigned long long)entry->phase_ns);
    return 0;
}

int mxrc_schedule_slots(const struct mxrc_exec_config *config, uint32_t *slots, char *error,
                        size_t error_bytes)
{
    uint64_t frame = 1;
    if (config->entry_count > MXRC_ENTRIES)
        return mxrc_fail(error, error_bytes, EINVAL, "%u schedule entries; at most %u",
                         config->entry_count, MXRC_ENTRIES);
    for (uint32_t i = 0; i < config->entry_count; i++) {
        const struct mxrc_entry_config *entry = &config->entry[i];
        int result = entry_check(config, entry, error, error_bytes);
        if (result)
            return result;
        uint64_t cycles = entry->period_ns / config->period_ns;
        uint64_t factor = cycles / gcd(frame, cycles);
        if (factor > MXRC_SLOTS_MAX / frame)
            return mxrc_fail(error, error_bytes, EINVAL,
                             "schedule entry %.31s: its period makes a major frame of more than "
                             "%u slots; choose periods with a small common multiple",
                             entry->name, MXRC_SLOTS_MAX);
        frame *= factor;
    }
    for (uint64_t slot = 0; slot < frame; slot++) {
        uint64_t sum = 0;
        for (uint32_t i = 0; i < config->entry_count; i++) {
            const struct mxrc_entry_config *entry = &config->entry[i];
            if (slot * config->period_ns % entry->period_ns == entry->phase_ns)
                sum += entry->wcet_ns;
        }
        if (sum > config->deadline_ns)
            return mxrc_fail(error, error_bytes, EINVAL,
                             "slot %llu: the declared execution times add up to %llu ns, the "
                             "deadline is %llu ns",
                             (unsigned long long)slot, (unsigned long long)sum,
                             (unsigned long long)config->deadline_ns);
    }
    *slots = (uint32_t)frame;
    return 0;
}
