/* exec_new.c: making an executive: views of the segment, driver, law, sections; and giving it back. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "entries.h"
#include "error.h"
#include "exec_config.h"
#include "law_step.h"
#include "live.h"
#include "log.h"
#include "state_block.h"

static int find_views(struct mxrc_exec *exec)
{
    struct mxrc_segment *segment = exec->segment;
    struct mxrc_views *at = &exec->at;
    uint32_t member = (uint32_t)segment->member;
    at->lease = mxrc_region(segment, MXRC_REGION_LEASE, NULL);
    at->status = mxrc_region(segment, MXRC_REGION_RT_STATUS, NULL);
    at->metrics = mxrc_region(segment, MXRC_REGION_RT_METRICS, NULL);
    at->entries = mxrc_region(segment, MXRC_REGION_ENTRIES, NULL);
    at->member = mxrc_region(segment, MXRC_REGION_MEMBER + member, NULL);
    at->state = mxrc_region(segment, MXRC_REGION_STATE, NULL);
    at->program = mxrc_region(segment, MXRC_REGION_PROGRAMS, NULL);
    at->staging = mxrc_region(segment, MXRC_REGION_STAGING, NULL);
    at->nonrt = mxrc_region(segment, MXRC_REGION_NONRT_STATUS, NULL);
    at->control = mxrc_region(segment, MXRC_REGION_CONTROL, NULL);
    at->data = mxrc_region(segment, MXRC_REGION_DATA_DIRECTORY, NULL);
    at->commands = mxrc_region(segment, MXRC_REGION_COMMANDS, NULL);
    if (!at->lease || !at->status || !at->metrics || !at->entries || !at->member || !at->state ||
        !at->program || !at->staging || !at->nonrt || !at->control || !at->data || !at->commands ||
        mxrc_ring_open(&at->cycles, segment, MXRC_REGION_CYCLE_RING) ||
        mxrc_ring_open(&at->lane, segment, MXRC_REGION_LANE + 2 * member))
        return ENOENT;
    at->staging_slots = mxrc_region_description(segment, MXRC_REGION_STAGING)->element_count;
    return 0;
}

static const struct mxrc_law *law_of(const struct mxrc_exec *exec)
{
    return exec->config.law ? exec->config.law : &mxrc_law_position_servo;
}

static int open_driver(struct mxrc_exec *exec, char *error, size_t error_bytes)
{
    const struct mxrc_driver *driver = mxrc_driver_find(exec->config.driver);
    if (!driver || driver->abi != MXRC_DRIVER_ABI || driver->bytes != sizeof *driver ||
        driver->state_bytes > MXRC_DRIVER_STATE_BYTES)
        return mxrc_fail(error, error_bytes, EINVAL, "there is no driver of kind %u",
                         exec->config.driver);
    const struct mxrc_driver_config config = {
        .axis = exec->config.axis,
        .axis_count = exec->config.axis_count,
        .commands = 1u << MXRC_LAW_POSITION | 1u << law_of(exec)->command,
        .time_constant = exec->config.simulated_time_constant_s,
        .inertia = exec->config.simulated_inertia,
        .damping = exec->config.simulated_damping,
        .image_name = exec->config.image_name,
        .image_timeout_ns = exec->config.image_timeout_ns,
        .generation = exec->segment->generation,
        .member = (uint32_t)exec->segment->member,
        .admitted_epoch = &exec->at.lease->admitted_epoch,
    };
    int result =
        driver->open(&exec->driver_instance, exec->driver_state, &config, error, error_bytes);
    if (result == 0)
        exec->driver = driver;
    return result;
}

static int use_task_laws(struct mxrc_exec *exec, char *error, size_t error_bytes)
{
    for (uint32_t i = 0; i < MXRC_PROGRAM_LAWS; i++) {
        const struct mxrc_task_law *one = &exec->config.task_law[i];
        if (!one->law)
            continue;
        int result = mxrc_law_check_task(one->law, one->law->parameter_count, error, error_bytes);
        if (result)
            return result;
        exec->task_law_identity[i] =
            mxrc_crc32c(0, one->name, strnlen(one->name, sizeof one->name));
    }
    return 0;
}

static uint32_t crc_of_limits(const struct mxrc_exec_config *config)
{
    uint32_t crc = 0;
    for (uint32_t i = 0; i < config->axis_count; i++) {
        const double planned_with[] = {config->axis[i].velocity_max,
                                       config->axis[i].acceleration_max};
        crc = mxrc_crc32c(crc, planned_with, sizeof planned_with);
    }
    return crc;
}

static int set_up(struct mxrc_exec *exec, char *error, size_t error_bytes)
{
    int result = mxrc_exec_config_check(&exec->config, &exec->slots, error, error_bytes);
    if (result)
        return result;
    exec->limits_crc = crc_of_limits(&exec->config);
    const struct mxrc_exec_live live = mxrc_exec_config_live(&exec->config);
    mxrc_live_use(exec, &live);
    if (!mxrc_live_valid(exec, &exec->live))
        return mxrc_fail(error, error_bytes, EINVAL,
                         "deadline, waiting mode, overrun policy or heartbeat timeout is out of "
                         "range");
    if (exec->segment->access != MXRC_ACCESS_RT || exec->segment->member < 0 || find_views(exec))
        return mxrc_fail(error, error_bytes, ENOENT,
                         "the segment is not attached as an RT process's, or lacks a region");
    if ((result = mxrc_log_begin(exec, error, error_bytes)) != 0 ||
        (result = mxrc_law_check(law_of(exec), exec->config.law_parameter_count, error,
                                 error_bytes)) != 0 ||
        (result = use_task_laws(exec, error, error_bytes)) != 0 ||
        (result = open_driver(exec, error, error_bytes)) != 0 ||
        (result = mxrc_exec_use_law(exec, law_of(exec), exec->config.law_parameters,
                                    exec->config.law_parameter_count, error, error_bytes)) != 0 ||
        (result = mxrc_entries_prepare(exec, error, error_bytes)) != 0)
        return result;
    if (mxrc_sections_register(exec))
        return mxrc_fail(error, error_bytes, ENOSPC,
                         "the state block has no room for all sections");
    for (uint32_t i = 0; i < MXRC_TASKS; i++)
        exec->task_freed_cycle[i] = UINT64_MAX;
    return 0;
}

struct mxrc_exec *mxrc_exec_new(struct mxrc_segment *segment, const struct mxrc_exec_config *config,
                                char *error, size_t error_bytes)
{
    struct mxrc_exec *exec = NULL;
    if (posix_memalign((void **)&exec, MXRC_PAGE_BYTES, sizeof *exec)) {
        mxrc_fail(error, error_bytes, ENOMEM, "out of memory");
        return NULL;
    }
    memset(exec, 0, sizeof *exec);
    exec->segment = segment;
    exec->config = *config;
    sem_init(&exec->begun, 0, 0);
    sem_init(&exec->ended, 0, 0);
    if (set_up(exec, error, error_bytes)) {
        mxrc_exec_free(exec);
        return NULL;
    }
    return exec;
}

void mxrc_exec_free(struct mxrc_exec *exec)
{
    if (!exec)
        return;
    if (exec->thread_made && !exec->thread_joined) {
        mxrc_store_release32(&exec->outside.mailbox, MXRC_RT_STOP + 1);
        mxrc_exec_join(exec, -1);
    }
    if (exec->driver)
        exec->driver->close(exec->driver_instance);
    sem_destroy(&exec->begun);
    sem_destroy(&exec->ended);
    free(exec);
}

int mxrc_exec_use_clock(struct mxrc_exec *exec, struct mxrc_fake_clock *clock)
{
    exec->fake = clock;
    return 0;
}
