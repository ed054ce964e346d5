/* sections.c: the sections of the state block. */
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
    };
    memcpy(out, &state, sizeof state);
    return sizeof state;
}

static int executive_validate(const struct mxrc_exec *exec, const void *saved, uint32_t bytes)
{
    const struct mxrc_executive_state *state = saved;
    (void)exec;
    return bytes == sizeof *state && state->state <= MXRC_STATE_SHUTDOWN &&
           state->state_before <= MXRC_STATE_SHUTDOWN && state->safe_cause <= MXRC_SAFE_ENTRY;
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

/* ---- driver and law: their own bytes behind their name and version; another one's start anew ---- */

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

static const struct mxrc_section driver = {
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
    exec->law_engaged = !mxrc_state_is_safe(exec->state);
}

static const struct mxrc_section law = {
    .id = MXRC_SECTION_LAW,
    .version = 1,
    .capacity = sizeof(struct owner) + MXRC_LAW_STATE_BYTES,
    .save = law_save,
    .validate = law_validate,
    .restore = law_restore,
};

/* The law that a task runs: number of the strand, then as above. */

static uint32_t task_law_save(const struct mxrc_exec *exec, void *out)
{
    const struct mxrc_law *law = exec->config.task_law[exec->task_law_key].law;
    uint64_t who = (uint64_t)exec->task_law_key << 32 | exec->task_law_owner;
    if (exec->task_law_owner == 0)
        return 0;
    memcpy(out, &who, sizeof who);
    return (uint32_t)sizeof who + owned_save((uint8_t *)out + sizeof who, law->name,
                                             law->state_version, exec->task_law_state,
                                             law->state_bytes);
}

static int task_law_validate(const struct mxrc_exec *exec, const void *saved, uint32_t bytes)
{
    uint64_t who;
    if (bytes < sizeof who)
        return bytes == 0;
    memcpy(&who, saved, sizeof who);
    const struct mxrc_law *law =
        who >> 32 < MXRC_PROGRAM_LAWS ? exec->config.task_law[who >> 32].law : NULL;
    return law && owned_validate((const uint8_t *)saved + sizeof who, bytes - (uint32_t)sizeof who,
                                 law->name, law->state_version, law->state_bytes);
}

static void task_law_restore(struct mxrc_exec *exec, const void *saved, uint32_t bytes)
{
    const uint32_t head = sizeof(uint64_t) + sizeof(struct owner);
    uint64_t who;
    if (bytes == 0)
        return;
    memcpy(&who, saved, sizeof who);
    exec->task_law_owner = (uint32_t)who;
    exec->task_law_key = (uint32_t)(who >> 32);
    memcpy(exec->task_law_state, (const uint8_t *)saved + head, bytes - head);
}

static const struct mxrc_section task_law = {
    .id = MXRC_SECTION_TASK_LAW,
    .version = 1,
    .capacity = sizeof(uint64_t) + sizeof(struct owner) + MXRC_TASK_LAW_STATE_BYTES,
    .save = task_law_save,
    .validate = task_law_validate,
    .restore = task_law_restore,
};

int mxrc_sections_register(struct mxrc_exec *exec)
{
    const struct mxrc_section *const all[] = {&executive, &axes, &tasks,   &branches,
                                              &driver,    &law,  &task_law};
    for (uint32_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        int result = mxrc_section_add(exec, all[i]);
        if (result)
            return result;
    }
    return 0;
}
