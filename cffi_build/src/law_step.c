/* law_step.c: the law between set-points and outputs, and what happens when it fails. */
#include <errno.h>
#include <math.h>
#include <string.h>

#include "axes.h"
#include "error.h"
#include "law_step.h"
#include "log.h"
#include "state.h"

#define CODE_NOT_FINITE (-1)

/* The schedule may give it a longer period than the cycle's. */
static void find_period(struct mxrc_exec *exec)
{
    exec->law_cycles = 1;
    exec->law_phase = 0;
    for (uint32_t i = 0; i < exec->config.entry_count; i++) {
        const struct mxrc_entry_config *entry = &exec->config.entry[i];
        if (entry->run != MXRC_RUN_LAW)
            continue;
        exec->law_cycles = entry->period_ns / exec->config.period_ns;
        exec->law_phase = entry->phase_ns / exec->config.period_ns;
    }
}

static double law_seconds(const struct mxrc_exec *exec)
{
    return (double)exec->law_cycles * mxrc_cycle_seconds(exec);
}

/* In its slots, at once where it has made nothing yet, and where its slot was skipped or lost: no output grows older than its period. */
static int law_due(const struct mxrc_exec *exec)
{
    uint64_t age_ns = exec->now.wake_ns - exec->law_ran_ns;
    return exec->law_cycles == 1 || !exec->law_engaged || exec->now.flags & MXRC_CYCLE_FIRST ||
           age_ns >= exec->law_cycles * exec->config.period_ns ||
           exec->now.cycle % exec->law_cycles == exec->law_phase;
}

int mxrc_exec_use_law(struct mxrc_exec *exec, const struct mxrc_law *law, const double *parameters,
                      uint32_t count, char *error, size_t error_bytes)
{
    int result = mxrc_law_check(law, count, error, error_bytes);
    if (result)
        return result;
    if (!(exec->driver->accepts & (1u << law->command)))
        return mxrc_fail(error, error_bytes, EINVAL,
                         "control law %.31s makes commands of kind %u, which driver %.31s does "
                         "not take",
                         law->name, law->command, exec->driver->name);
    exec->law = law;
    memset(exec->law_state, 0, sizeof exec->law_state);
    memset(exec->law_parameters, 0, sizeof exec->law_parameters);
    if (count)
        memcpy(exec->law_parameters, parameters, count * sizeof *parameters);
    find_period(exec);
    int code = law->init(exec->law_state, exec->law_parameters, exec->config.axis_count,
                         law_seconds(exec));
    if (code)
        return mxrc_fail(error, error_bytes, EINVAL,
                         "control law %.31s refuses to start with code %d: check its parameters",
                         law->name, code);
    return 0;
}

static void fill_input(struct mxrc_exec *exec)
{
    struct mxrc_law_input *input = &exec->law_input;
    input->cycle = exec->now.cycle;
    input->axes = exec->config.axis_count;
    input->dt = law_seconds(exec);
    for (uint32_t i = 0; i < input->axes; i++) {
        input->position[i] = exec->inputs.position[i];
        input->velocity[i] = exec->inputs.velocity[i];
        input->effort[i] = exec->inputs.effort[i];
        input->setpoint[i] = exec->axis[i].setpoint;
        input->setpoint_velocity[i] = exec->axis[i].setpoint_velocity;
        input->setpoint_acceleration[i] = exec->axis[i].setpoint_acceleration;
    }
}

/* 1 when the law made every command. */
static int run(struct mxrc_exec *exec)
{
    const struct mxrc_law *law = exec->law;
    double *command = exec->law_command;
    fill_input(exec);
    if (!exec->law_engaged)
        law->reset(exec->law_state, exec->law_parameters, &exec->law_input);
    exec->law_engaged = 1;
    exec->law_ran_ns = exec->now.wake_ns;
    uint32_t axis = 0;
    int code = law->step(exec->law_state, exec->law_parameters, &exec->law_input, command);
    if (code == 0) {
        while (axis < exec->config.axis_count && isfinite(command[axis]))
            axis++;
        if (axis == exec->config.axis_count) {
            memcpy(exec->outputs.command, command, axis * sizeof *command);
            return 1;
        }
        code = CODE_NOT_FINITE;
    }
    mxrc_log(exec, MXRC_EV_LAW_FAULT, NULL, axis, code, exec->config.law_name);
    return 0;
}

void mxrc_law_step(struct mxrc_exec *exec)
{
    exec->outputs.axes = exec->config.axis_count;
    exec->outputs.command_kind = exec->law->command;
    exec->law_made = 0;
    if (!mxrc_state_is_safe(exec->state)) {
        if (!law_due(exec)) {
            memcpy(exec->outputs.command, exec->law_command,
                   exec->config.axis_count * sizeof *exec->law_command);
            return;
        }
        exec->law_made = 1;
        if (run(exec))
            return;
        mxrc_state_fault(exec, MXRC_SAFE_LAW_FAULT);
        mxrc_axes_undriven(exec);
    }
    exec->law_engaged = 0;
    exec->now.flags |= MXRC_CYCLE_OUTPUTS_HELD;
    exec->outputs.command_kind = MXRC_LAW_POSITION;
    for (uint32_t i = 0; i < exec->config.axis_count; i++)
        exec->outputs.command[i] = exec->axis[i].setpoint;
}

/* Task laws run in every cycle, however seldom the robot's own does. */
void mxrc_law_fill_input(struct mxrc_exec *exec)
{
    fill_input(exec);
    exec->law_input.dt = mxrc_cycle_seconds(exec);
}
