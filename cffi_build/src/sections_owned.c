/* sections_owned.c: sections of the state block with the own bytes of driver and laws, behind the name and the version of
 * whose they are; another one's start anew. */
#include <string.h>

#include "axes.h"
#include "state_block.h"

struct owner {
    char name[32];
    uint32_t version;
    uint32_t bytes;
};

static uint32_t owned_save(void *out, const char *name, uint32_t version, const void *state,
                           uint32_t bytes)
{
    struct owner owner = {.version = version, .bytes = bytes};
    memcpy(owner.name, name, sizeof owner.name);
    memcpy(out, &owner, sizeof owner);
    memcpy((uint8_t *)out + sizeof owner, state, bytes);
    return (uint32_t)sizeof owner + bytes;
}

static int owned_validate(const void *saved, uint32_t bytes, const char *name, uint32_t version,
                          uint32_t expected)
{
    const struct owner *owner = saved;
    return bytes == sizeof *owner + expected && owner->bytes == expected &&
           owner->version == version && memcmp(owner->name, name, sizeof owner->name) == 0;
}

static uint32_t driver_save(const struct mxrc_exec *exec, void *out)
{
    const struct mxrc_driver *driver = exec->driver;
    return owned_save(out, driver->name, driver->state_version, exec->driver_state,
                      driver->state_bytes);
}

static int driver_validate(const struct mxrc_exec *exec, const void *saved, uint32_t bytes)
{
    const struct mxrc_driver *driver = exec->driver;
    return owned_validate(saved, bytes, driver->name, driver->state_version, driver->state_bytes);
}

static void driver_restore(struct mxrc_exec *exec, const void *saved, uint32_t bytes)
{
    memcpy(exec->driver_state, (const uint8_t *)saved + sizeof(struct owner),
           bytes - sizeof(struct owner));
}

const struct mxrc_section mxrc_section_driver = {
    .id = MXRC_SECTION_DRIVER,
    .version = 1,
    .capacity = sizeof(struct owner) + MXRC_DRIVER_STATE_BYTES,
    .save = driver_save,
    .validate = driver_validate,
    .restore = driver_restore,
};

static uint32_t law_save(const struct mxrc_exec *exec, void *out)
{
    const struct mxrc_law *law = exec->law;
    return owned_save(out, law->name, law->state_version, exec->law_state, law->state_bytes);
}

static int law_validate(const struct mxrc_exec *exec, const void *saved, uint32_t bytes)
{
    const struct mxrc_law *law = exec->law;
    return owned_validate(saved, bytes, law->name, law->state_version, law->state_bytes);
}

static void law_restore(struct mxrc_exec *exec, const void *saved, uint32_t bytes)
{
    memcpy(exec->law_state, (const uint8_t *)saved + sizeof(struct owner),
           bytes - sizeof(struct owner));
    exec->law_engaged = !exec->stopped_before && !mxrc_state_is_safe(exec->state);
}

const struct mxrc_section mxrc_section_law = {
    .id = MXRC_SECTION_LAW,
    .version = 1,
    .capacity = sizeof(struct owner) + MXRC_LAW_STATE_BYTES,
    .save = law_save,
    .validate = law_validate,
    .restore = law_restore,
};

/* The laws that tasks run: of each the number of the strand and the handle, then as above, then padding to 8 bytes. */

struct law_entry {
    uint32_t strand;
    uint32_t key;
    struct owner owner;
};

static uint32_t padded(uint32_t bytes)
{
    return (bytes + 7) & ~7u;
}

/* The number that a strand has after a restore: branches are saved without the free places between them. */
static uint32_t saved_number(const struct mxrc_exec *exec, uint32_t strand)
{
    uint32_t number = strand;
    for (uint32_t i = 0; MXRC_TASKS + 1 + i < strand; i++)
        number -= exec->branch[i].owner == 0;
    return number;
}

static uint32_t task_laws_save(const struct mxrc_exec *exec, void *out)
{
    uint8_t *to = out;
    for (uint32_t i = 0; exec->law_runs && i < MXRC_TASK_LAW_RUNS; i++) {
        const struct mxrc_law_run *run = &exec->law_run[i];
        if (run->strand == 0)
            continue;
        const struct mxrc_law *law = exec->config.task_law[run->key].law;
        const uint64_t who = (uint64_t)run->key << 32 | saved_number(exec, run->strand);
        memcpy(to, &who, sizeof who);
        to += sizeof who;
        uint32_t bytes =
            owned_save(to, law->name, law->state_version, run->state, law->state_bytes);
        memset(to + bytes, 0, padded(bytes) - bytes);
        to += padded(bytes);
    }
    return (uint32_t)(to - (uint8_t *)out);
}

/* The next entry of `bytes`, 0: there is no whole one. */
static uint32_t law_entry(const uint8_t *saved, uint32_t bytes, struct law_entry *entry)
{
    if (bytes < sizeof *entry)
        return 0;
    memcpy(entry, saved, sizeof *entry);
    if (entry->owner.bytes > MXRC_TASK_LAW_STATE_BYTES)
        return 0;
    uint32_t whole = (uint32_t)sizeof *entry + padded(entry->owner.bytes);
    return whole <= bytes ? whole : 0;
}

static int task_laws_validate(const struct mxrc_exec *exec, const void *saved, uint32_t bytes)
{
    const uint8_t *from = saved;
    uint32_t strands = 0;
    (void)exec;
    for (uint32_t n = 0; bytes > 0; n++) {
        struct law_entry entry;
        uint32_t whole = law_entry(from, bytes, &entry);
        if (whole == 0 || n == MXRC_TASK_LAW_RUNS || entry.strand == 0 ||
            entry.strand > MXRC_TASKS + MXRC_TASK_BRANCHES || strands >> entry.strand & 1)
            return 0;
        strands |= 1u << entry.strand;
        from += whole;
        bytes -= whole;
    }
    return 1;
}

/* One whose law is another now is left out: its action fails at its next step. */
static void task_laws_restore(struct mxrc_exec *exec, const void *saved, uint32_t bytes)
{
    const uint8_t *from = saved;
    struct law_entry entry;
    uint32_t whole;
    memset(exec->law_run, 0, sizeof exec->law_run);
    exec->law_runs = 0;
    while ((whole = law_entry(from, bytes, &entry)) != 0) {
        const struct mxrc_law *law =
            entry.key < MXRC_PROGRAM_LAWS ? exec->config.task_law[entry.key].law : NULL;
        const uint8_t *owned = from + offsetof(struct law_entry, owner);
        if (law && owned_validate(owned, (uint32_t)sizeof entry.owner + entry.owner.bytes,
                                  law->name, law->state_version, law->state_bytes)) {
            struct mxrc_law_run *run = &exec->law_run[exec->law_runs++];
            run->strand = entry.strand;
            run->key = entry.key;
            memcpy(run->state, owned + sizeof entry.owner, entry.owner.bytes);
        }
        from += whole;
        bytes -= whole;
    }
}

const struct mxrc_section mxrc_section_task_laws = {
    .id = MXRC_SECTION_TASK_LAWS,
    .version = 2,
    .capacity = MXRC_TASK_LAW_RUNS * (sizeof(struct law_entry) + MXRC_TASK_LAW_STATE_BYTES),
    .save = task_laws_save,
    .validate = task_laws_validate,
    .restore = task_laws_restore,
};
