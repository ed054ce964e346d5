/* sections.c: the sections of the state block; sections_owned.c has those of driver and laws. */
#include <math.h>
#include <string.h>

#include "axes.h"
#include "state_block.h"

#define STATE_BYTES(type) ((uint32_t)sizeof(struct type))

/* ---- executive ---- */

static uint32_t executive_save(const struct mxrc_exec *exec, void *out)
{
    struct mxrc_executive_state state = {
        .state = exec->state,
        .state_before = exec->state_before,
        .safe_cause = exec->safe_cause,
        .slot = exec->now.slot,
        .cycle = exec->now.cycle,
        .command_tail = exec->command_tail,
        .state_since_ns = exec->state_since_ns,
        .span_counter = exec->span_counter,
        .span_seed = exec->span_seed,
        .limits_crc = exec->limits_crc,
        .driver_failed = exec->driver_failed,
        .command_kind = exec->outputs.command_kind,
    };
    memcpy(out, &state, sizeof state);
    return sizeof state;
}

static int executive_validate(const struct mxrc_exec *exec, const void *saved, uint32_t bytes)
{
    const struct mxrc_executive_state *state = saved;
    (void)exec;
    return bytes == sizeof *state && state->state <= MXRC_STATE_SHUTDOWN &&
           state->state_before <= MXRC_STATE_SHUTDOWN &&
           state->safe_cause <= MXRC_SAFE_CAUSE_LAST && state->command_kind <= MXRC_LAW_EFFORT;
}

/* A state of SHUTDOWN was left in order; who starts again starts from INIT, and what came behind the STOP was for
 * the machine that was stopped. */
static void executive_restore(struct mxrc_exec *exec, const void *saved, uint32_t bytes)
{
    const struct mxrc_executive_state *state = saved;
    (void)bytes;
    exec->stopped_before = state->state == MXRC_STATE_SHUTDOWN;
    exec->state = exec->stopped_before ? MXRC_STATE_INIT : state->state;
    exec->state_before = state->state_before;
    exec->safe_cause = state->safe_cause;
    exec->command_tail =
        exec->stopped_before ? mxrc_load_acquire(&exec->at.commands->head) : state->command_tail;
    exec->limits_changed = state->limits_crc != exec->limits_crc;
    exec->driver_failed = state->driver_failed;
    exec->outputs.command_kind = state->command_kind;
    exec->state_since_ns = state->state_since_ns;
    exec->span_counter = state->span_counter;
    exec->span_seed = state->span_seed;
    exec->start_pending = exec->state == MXRC_STATE_INIT;
}

static const struct mxrc_section executive = {
    .id = MXRC_SECTION_EXECUTIVE,
    .version = 1,
    .capacity = STATE_BYTES(mxrc_executive_state),
    .required = 1,
    .save = executive_save,
    .validate = executive_validate,
    .restore = executive_restore,
};

/* ---- axes ---- */

static uint32_t axes_save(const struct mxrc_exec *exec, void *out)
{
    memcpy(out, exec->axis, sizeof exec->axis);
    return sizeof exec->axis;
}

static int axes_validate(const struct mxrc_exec *exec, const void *saved, uint32_t bytes)
{
    const struct mxrc_axis_state *axis = saved;
    if (bytes != sizeof exec->axis)
        return 0;
    for (uint32_t i = 0; i < exec->config.axis_count; i++)
        if (!isfinite(axis[i].setpoint) || !isfinite(axis[i].setpoint_velocity) ||
            !isfinite(axis[i].setpoint_acceleration) || !isfinite(axis[i].command) ||
            !isfinite(axis[i].command_velocity))
            return 0;
    return 1;
}

/* The place that a hold comes back to is the one commanded last. */
static void axes_restore(struct mxrc_exec *exec, const void *saved, uint32_t bytes)
{
    memcpy(exec->axis, saved, bytes);
    for (uint32_t i = 0; i < MXRC_AXES; i++)
        exec->safe_hold[i] = exec->axis[i].setpoint;
}

static const struct mxrc_section axes = {
    .id = MXRC_SECTION_AXES,
    .version = 1,
    .capacity = MXRC_AXES * STATE_BYTES(mxrc_axis_state),
    .required = 1,
    .save = axes_save,
    .validate = axes_validate,
    .restore = axes_restore,
};

/* ---- tasks: only the executions in progress ---- */

static uint32_t tasks_save(const struct mxrc_exec *exec, void *out)
{
    struct mxrc_task_state *to = out;
    uint32_t left = exec->active_tasks;
    for (uint32_t i = 0; left > 0 && i < MXRC_TASKS; i++) {
        if (!exec->task[i].execution_id)
            continue;
        *to++ = exec->task[i];
        left--;
    }
    return (uint32_t)((uint8_t *)to - (uint8_t *)out);
}

static int strand_valid(const struct mxrc_strand *strand)
{
    return strand->op < MXRC_PROGRAM_OPS && strand->phase <= 3 && strand->owner > 0 &&
           strand->owner <= MXRC_TASKS && strand->via <= MXRC_VIA_POINTS &&
           strand->motion_ns <= strand->motion_duration_ns;
}

static int tasks_validate(const struct mxrc_exec *exec, const void *saved, uint32_t bytes)
{
    const struct mxrc_task_state *task = saved;
    uint32_t slots = 0;
    (void)exec;
    if (bytes % sizeof *task || bytes > MXRC_TASKS * sizeof *task)
        return 0;
    for (uint32_t i = 0; i < bytes / sizeof *task; i++) {
        if (task[i].execution_id == 0 || task[i].program_slot >= MXRC_TASKS ||
            slots & (1u << task[i].program_slot) || task[i].status > MXRC_TASK_RUNNING ||
            !strand_valid(&task[i].strand) || task[i].strand.owner != task[i].program_slot + 1)
            return 0;
        slots |= 1u << task[i].program_slot;
    }
    return 1;
}

static void tasks_restore(struct mxrc_exec *exec, const void *saved, uint32_t bytes)
{
    const struct mxrc_task_state *task = saved;
    exec->active_tasks = bytes / STATE_BYTES(mxrc_task_state);
    for (uint32_t i = 0; i < exec->active_tasks; i++)
        exec->task[task[i].program_slot] = task[i];
}

static const struct mxrc_section tasks = {
    .id = MXRC_SECTION_TASKS,
    .version = 1,
    .capacity = MXRC_TASKS * STATE_BYTES(mxrc_task_state),
    .required = 1,
    .save = tasks_save,
    .validate = tasks_validate,
    .restore = tasks_restore,
};

/* ---- branches in progress; which of them are a task's follows from their owner ---- */

static uint32_t branches_save(const struct mxrc_exec *exec, void *out)
{
    struct mxrc_strand *to = out;
    for (uint32_t i = 0; exec->branches && i < MXRC_TASK_BRANCHES; i++)
        if (exec->branch[i].owner)
            *to++ = exec->branch[i];
    return (uint32_t)((uint8_t *)to - (uint8_t *)out);
}

static int branches_validate(const struct mxrc_exec *exec, const void *saved, uint32_t bytes)
{
    const struct mxrc_strand *strand = saved;
    (void)exec;
    if (bytes % sizeof *strand || bytes > MXRC_TASK_BRANCHES * sizeof *strand)
        return 0;
    for (uint32_t i = 0; i < bytes / sizeof *strand; i++)
        if (!strand_valid(&strand[i]))
            return 0;
    return 1;
}

static void branches_restore(struct mxrc_exec *exec, const void *saved, uint32_t bytes)
{
    exec->branches = bytes / STATE_BYTES(mxrc_strand);
    memcpy(exec->branch, saved, bytes);
}

static const struct mxrc_section branches = {
    .id = MXRC_SECTION_BRANCHES,
    .version = 1,
    .capacity = MXRC_TASK_BRANCHES * STATE_BYTES(mxrc_strand),
    .required = 1,
    .save = branches_save,
    .validate = branches_validate,
    .restore = branches_restore,
};

int mxrc_sections_register(struct mxrc_exec *exec)
{
    const struct mxrc_section *const all[] = {&executive,
                                              &axes,
                                              &tasks,
                                              &branches,
                                              &mxrc_section_driver,
                                              &mxrc_section_law,
                                              &mxrc_section_task_laws};
    for (uint32_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        int result = mxrc_section_add(exec, all[i]);
        if (result)
            return result;
    }
    return 0;
}
