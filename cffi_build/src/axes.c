/* axes.c: safe actions, ramps to a stop, and the limits that hold whatever a law asks for. */
#include <math.h>

#include "axes.h"
#include "grid.h"
#include "log.h"
#include "misses.h"
#include "motion.h"
#include "task.h"

/* Differences below this share of a limit are rounding. */
#define TOLERANCE 1e-6
/* Share of velocity_max over which the effort towards a bound is taken back. */
#define EFFORT_BAND 0.1
/* Share of an axis's range beyond which it counts as moved since it was last told where to be. */
#define MOVED_SHARE 0.001

void mxrc_axes_safe_begin(struct mxrc_exec *exec)
{
    for (uint32_t i = 0; i < exec->config.axis_count; i++) {
        struct mxrc_axis_state *axis = &exec->axis[i];
        axis->setpoint = axis->command;
        axis->setpoint_velocity = axis->command_velocity;
        axis->setpoint_acceleration = 0;
        exec->safe_hold[i] = axis->command;
    }
    exec->now.driven = 0; /* what a task has set in this cycle no longer counts */
}

static void move_setpoint(struct mxrc_axis_state *axis, double velocity, double dt)
{
    axis->setpoint_acceleration = (velocity - axis->setpoint_velocity) / dt;
    axis->setpoint_velocity = velocity;
    axis->setpoint += velocity * dt;
}

static void go_to(struct mxrc_axis_state *axis, double target,
                  const struct mxrc_axis_config *limits, double dt)
{
    double velocity =
        mxrc_approach(target - axis->setpoint, 0, axis->setpoint_velocity, limits, dt);
    mxrc_axes_steer(axis, limits, velocity, dt);
    if (fabs(target - axis->setpoint) < TOLERANCE * limits->velocity_max * dt) {
        axis->setpoint = target;
        axis->setpoint_velocity = 0;
    }
}

/* A set-point that has gone beyond a bound, as with narrower limits, comes back to where a command may follow it. An axis that
 * was found beyond one stays there. */
static void ramp_to_stop(const struct mxrc_exec *exec, struct mxrc_axis_state *axis,
                         const struct mxrc_axis_config *limits, double dt)
{
    double step = limits->acceleration_max * dt;
    double velocity = axis->setpoint_velocity;
    double high = fmax(limits->position_max, axis->command);
    double low = fmin(limits->position_min, axis->command);
    double within = fmin(fmax(axis->setpoint, low), high);
    if (within != axis->setpoint && exec->outputs.command_kind != MXRC_LAW_EFFORT)
        go_to(axis, within, limits, dt);
    else
        mxrc_axes_steer(axis, limits, velocity - fmin(fmax(velocity, -step), step), dt);
}

/* On the way out every axis only ramps: a stop is asked for, not a place. */
static uint32_t safe_action(const struct mxrc_exec *exec, uint32_t i)
{
    return exec->state == MXRC_STATE_SHUTDOWN ? MXRC_SAFE_RAMP : exec->config.axis[i].safe_action;
}

void mxrc_axes_undriven(struct mxrc_exec *exec)
{
    double dt = mxrc_cycle_seconds(exec);
    int safe = mxrc_state_is_safe(exec->state);
    for (uint32_t i = 0; i < exec->config.axis_count; i++) {
        struct mxrc_axis_state *axis = &exec->axis[i];
        const struct mxrc_axis_config *limits = &exec->config.axis[i];
        if (exec->now.driven & (1u << i))
            continue;
        switch (safe ? safe_action(exec, i) : MXRC_SAFE_RAMP) {
        case MXRC_SAFE_HOLD: /* back to where the fault found it, should it have been moving */
            go_to(axis, exec->safe_hold[i], limits, dt);
            break;
        case MXRC_SAFE_GOTO:
            go_to(axis, limits->safe_value, limits, dt);
            break;
        default:
            ramp_to_stop(exec, axis, limits, dt);
        }
    }
}

int mxrc_axes_at_rest(const struct mxrc_exec *exec, uint32_t mask)
{
    double dt = mxrc_cycle_seconds(exec);
    for (uint32_t i = 0; i < exec->config.axis_count; i++) {
        const struct mxrc_axis_state *axis = &exec->axis[i];
        const struct mxrc_axis_config *limits = &exec->config.axis[i];
        if (!(mask & (1u << i)))
            continue;
        if (axis->setpoint_velocity != 0)
            return 0;
        /* How near the axis follows is the law's affair. */
        if (exec->outputs.command_kind == MXRC_LAW_EFFORT)
            continue;
        if (fabs(axis->command_velocity) > limits->acceleration_max * dt * (1 + TOLERANCE) ||
            fabs(axis->command - axis->setpoint) > TOLERANCE * limits->velocity_max)
            return 0;
    }
    return 1;
}

void mxrc_axes_unseen(struct mxrc_exec *exec)
{
    struct mxrc_driver_outputs *unseen = &exec->unseen;
    uint64_t cycle;
    int known = exec->driver->committed &&
                exec->driver->committed(exec->driver_instance, &cycle, unseen) == 0 &&
                cycle > exec->now.cycle && unseen->command_kind == MXRC_LAW_POSITION &&
                unseen->axes == exec->config.axis_count;
    for (uint32_t i = 0; known && i < exec->config.axis_count; i++)
        known = isfinite(unseen->command[i]);
    if (!known)
        unseen->axes = 0;
}

int mxrc_axis_moved(const struct mxrc_axis_config *limits, double measured, double expected)
{
    return fabs(measured - expected) > MOVED_SHARE * (limits->position_max - limits->position_min);
}

void mxrc_axes_interrupted(struct mxrc_exec *exec, int measured)
{
    /* What was in force in the gap. */
    uint32_t kind = exec->outputs.command_kind;
    int effort = kind ? kind == MXRC_LAW_EFFORT
                      : exec->law->command == MXRC_LAW_EFFORT && !mxrc_state_is_safe(exec->state);
    int settled = exec->now.gap_ns > SETTLED_NS;
    for (uint32_t i = 0; i < exec->config.axis_count; i++) {
        struct mxrc_axis_state *axis = &exec->axis[i];
        const struct mxrc_axis_config *limits = &exec->config.axis[i];
        double is = exec->inputs.position[i], velocity = 0;
        if (i < exec->unseen.axes)
            axis->command = exec->unseen.command[i];
        int moved = measured && mxrc_axis_moved(limits, is, axis->command);
        if (moved && settled) {
            mxrc_log(exec, MXRC_EV_AXIS_MOVED, NULL, i, is, axis->command);
            exec->law_engaged = 0;
        }
        if ((moved && settled) || (measured && effort))
            axis->command = exec->safe_hold[i] = is;
        if (measured && effort) {
            /* The law has held it: were its set-point moved to where the load has it, it would sag with each gap. */
            if (!moved && axis->setpoint_velocity == 0 && !mxrc_state_is_safe(exec->state))
                continue;
            velocity =
                fmin(fmax(exec->inputs.velocity[i], -limits->velocity_max), limits->velocity_max);
        }
        axis->setpoint = axis->command;
        axis->setpoint_velocity = velocity;
        axis->setpoint_acceleration = 0;
        axis->command_velocity = velocity;
    }
    mxrc_tasks_replan(exec);
}

void mxrc_axes_found(struct mxrc_exec *exec)
{
    exec->unseen.axes = 0;
    exec->law_engaged = 0;
    for (uint32_t i = 0; i < exec->config.axis_count; i++)
        exec->axis[i].setpoint = exec->axis[i].command = exec->safe_hold[i] =
            exec->inputs.position[i];
    mxrc_axes_interrupted(exec, 1);
}

/* Greatest velocity towards a bound at `distance` from which the axis still stops before it: in n steps, each slower than the
 * one before by no more than it can brake. */
static double stopping_velocity(double distance, const struct mxrc_axis_config *limits, double dt)
{
    if (distance <= 0)
        return 0;
    double step = limits->acceleration_max * dt;
    double n = fmax(ceil(sqrt(0.25 + 2 * distance / (step * dt)) - 0.5), 1);
    return distance / (n * dt) + 0.5 * step * (n - 1);
}

void mxrc_axes_steer(struct mxrc_axis_state *axis, const struct mxrc_axis_config *limits,
                     double velocity, double dt)
{
    double step = limits->acceleration_max * dt, now = axis->setpoint_velocity;
    double up = stopping_velocity(limits->position_max - axis->setpoint, limits, dt);
    double down = stopping_velocity(axis->setpoint - limits->position_min, limits, dt);
    velocity = fmin(fmax(velocity, -down), up);
    move_setpoint(axis, fmin(fmax(velocity, now - step), now + step), dt);
    double within = fmin(fmax(axis->setpoint, limits->position_min), limits->position_max);
    if (fabs(within - axis->setpoint) < TOLERANCE * limits->velocity_max * dt)
        axis->setpoint = within; /* it was rounded beyond */
}

/* The position to command where `asked` may pass a limit. */
static double limit_position(const struct mxrc_exec *exec, uint32_t i, double asked)
{
    const struct mxrc_axis_state *axis = &exec->axis[i];
    const struct mxrc_axis_config *limits = &exec->config.axis[i];
    double dt = mxrc_cycle_seconds(exec);
    double step = limits->acceleration_max * dt;
    double up = stopping_velocity(limits->position_max - axis->command, limits, dt);
    double down = stopping_velocity(axis->command - limits->position_min, limits, dt);
    double wish = (asked - axis->command) / dt;
    double slack = TOLERANCE * limits->velocity_max;

    if (fabs(wish) <= limits->velocity_max + slack &&
        fabs(wish - axis->command_velocity) <= step * (1 + TOLERANCE) + slack &&
        wish <= up + slack && wish >= -down - slack && asked <= limits->position_max &&
        asked >= limits->position_min)
        return asked;

    /* Seen from a frame that moves with the set-point, the command closes on it and does not overshoot. */
    double target_velocity = axis->setpoint_velocity;
    double error = asked - target_velocity * dt - axis->command;
    double velocity = mxrc_approach(error, target_velocity, axis->command_velocity, limits, dt);
    velocity = fmin(fmax(velocity, -down), up);
    /* A bound can ask for more braking than the axis has only if it was passed already. */
    velocity = fmin(fmax(velocity, axis->command_velocity - step), axis->command_velocity + step);
    double position = axis->command + velocity * dt;
    /* An axis found beyond a bound may come back, not go on. */
    double high = fmax(limits->position_max, axis->command);
    double low = fmin(limits->position_min, axis->command);
    return fmin(fmax(position, low), high);
}

/* The effort that is left where the measured motion nears a bound of velocity, or the velocity from which the axis still
 * stops before a bound of position: from all of it at one band below to all of it against the motion at one band above. So the
 * velocity settles within the bound whatever is asked for. Nothing is known of the inertia but that effort_max is enough to
 * brake at acceleration_max; a stop is planned with half of that, for the axis lags behind its bound while it brakes. */
static double limit_effort(const struct mxrc_exec *exec, uint32_t i, double asked)
{
    struct mxrc_axis_config limits = exec->config.axis[i];
    double dt = mxrc_cycle_seconds(exec);
    double position = exec->inputs.position[i], velocity = exec->inputs.velocity[i];
    double band = EFFORT_BAND * limits.velocity_max;
    limits.acceleration_max *= 0.5;
    double up =
        fmin(limits.velocity_max, stopping_velocity(limits.position_max - position, &limits, dt));
    double down =
        fmin(limits.velocity_max, stopping_velocity(position - limits.position_min, &limits, dt));
    double high = fmin(fmax((up - velocity) / band, -1), 1) * limits.effort_max;
    double low = fmin(fmax((-down - velocity) / band, -1), 1) * limits.effort_max;
    return fmax(fmin(asked, high), low);
}

void mxrc_axes_limit(struct mxrc_exec *exec)
{
    uint32_t cut = 0;
    for (uint32_t i = 0; i < exec->config.axis_count; i++) {
        double asked = exec->outputs.command[i];
        double allowed = exec->outputs.command_kind == MXRC_LAW_EFFORT
                             ? limit_effort(exec, i, asked)
                             : limit_position(exec, i, asked);
        if (allowed == asked)
            continue;
        exec->outputs.command[i] = allowed;
        cut = 1;
        mxrc_log(exec, MXRC_EV_OUTPUT_LIMITED, NULL, i, asked, allowed);
    }
    if (cut) {
        exec->now.flags |= MXRC_CYCLE_LIMITED | MXRC_CYCLE_OUTPUTS_HELD;
        mxrc_count(exec, MXRC_COUNTER_OUTPUTS_LIMITED, 1);
    }
}

/* Under commands of effort the axis is where it is: safe actions start from there. */
void mxrc_axes_committed(struct mxrc_exec *exec)
{
    double dt = mxrc_cycle_seconds(exec);
    exec->unseen.axes = 0;
    for (uint32_t i = 0; i < exec->config.axis_count; i++) {
        struct mxrc_axis_state *axis = &exec->axis[i];
        if (exec->outputs.command_kind == MXRC_LAW_EFFORT) {
            axis->command_velocity = exec->inputs.velocity[i];
            axis->command = exec->inputs.position[i];
        } else {
            axis->command_velocity = (exec->outputs.command[i] - axis->command) / dt;
            axis->command = exec->outputs.command[i];
        }
    }
}
