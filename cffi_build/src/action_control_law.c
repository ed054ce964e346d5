/* action_control_law.c: a law that was loaded for tasks makes the set-points of some axes for a while, or, without axes, is a
 * user's action. Each run has a state of its own, also two of one law. They are in the state block, which has room for
 * MXRC_TASK_LAW_RUNS; a further one waits. What a law asks for is followed within the limits of the axes, whatever it is. A law that drives axes and fails is no longer to be trusted
 * with them: SAFE_MODE, as of the robot's own law. */
#include <math.h>
#include <string.h>

#include "action.h"
#include "axes.h"
#include "condition.h"
#include "law_step.h"
#include "log.h"
#include "motion.h"

static uint32_t validate(const struct mxrc_op *op, const struct mxrc_axis_config *axes,
                         uint32_t axis_count, uint32_t data_keys)
{
    (void)axes, (void)axis_count, (void)data_keys;
    if (op->key >= MXRC_PROGRAM_LAWS || op->count > MXRC_OP_ARGS)
        return MXRC_ERR_INVALID;
    for (uint32_t i = 0; i < MXRC_OP_ARGS; i++)
        if (!isfinite(op->args[i]))
            return MXRC_ERR_INVALID;
    return MXRC_OK;
}

/* Number of the strand, from 1: whose run it is. */
static uint32_t strand_number(const struct mxrc_action *action)
{
    const struct mxrc_strand *strand = action->strand;
    return strand == &action->task->strand
               ? strand->owner
               : 1 + MXRC_TASKS + (uint32_t)(strand - action->exec->branch);
}

/* The run of that strand, 0: a free one; NULL: there is none. */
static struct mxrc_law_run *find(struct mxrc_exec *exec, uint32_t strand)
{
    for (uint32_t i = 0; i < MXRC_TASK_LAW_RUNS; i++)
        if (exec->law_run[i].strand == strand)
            return &exec->law_run[i];
    return NULL;
}

static void free_run(struct mxrc_exec *exec, struct mxrc_law_run *run)
{
    run->strand = 0;
    exec->law_runs--;
}

static void let_go(struct mxrc_action *action, uint32_t result)
{
    struct mxrc_law_run *run = find(action->exec, strand_number(action));
    (void)result;
    if (run)
        free_run(action->exec, run);
}

void mxrc_law_runs_recover(struct mxrc_exec *exec)
{
    for (uint32_t i = 0; i < MXRC_TASK_LAW_RUNS; i++) {
        struct mxrc_law_run *run = &exec->law_run[i];
        if (run->strand == 0)
            continue;
        const struct mxrc_strand *strand = run->strand <= MXRC_TASKS
                                               ? &exec->task[run->strand - 1].strand
                                               : &exec->branch[run->strand - 1 - MXRC_TASKS];
        const struct mxrc_op *op = NULL;
        if (strand->owner && exec->task[strand->owner - 1].execution_id)
            op = &exec->at.program[strand->owner - 1].op[strand->op];
        if (!op || strand->phase == NOT_BEGUN || op->kind != MXRC_OP_CONTROL_LAW ||
            op->key != run->key)
            free_run(exec, run);
    }
}

static uint32_t fail(struct mxrc_action *action)
{
    if (action->op->axes)
        action->exec->task_asks_safe = MXRC_SAFE_LAW_FAULT;
    let_go(action, MXRC_ERR_LAW);
    action->result = MXRC_ERR_LAW;
    return MXRC_ACTION_FAILED;
}

static uint32_t fail_with_code(struct mxrc_action *action, int code)
{
    const struct mxrc_task_law *one = &action->exec->config.task_law[action->op->key];
    mxrc_log(action->exec, action->op->axes ? MXRC_EV_TASK_LAW_FAULT : MXRC_EV_USER_ACTION_FAULT,
             action->strand, one->text, action->strand->op, code);
    return fail(action);
}

static uint32_t fail_on_axis(struct mxrc_action *action, uint32_t axis)
{
    const struct mxrc_task_law *one = &action->exec->config.task_law[action->op->key];
    mxrc_log(action->exec, MXRC_EV_TASK_LAW_NOT_FINITE, action->strand, one->text,
             action->strand->op, axis);
    return fail(action);
}

static uint32_t begin(struct mxrc_action *action)
{
    struct mxrc_exec *exec = action->exec;
    const struct mxrc_op *op = action->op;
    const struct mxrc_law *law = exec->config.task_law[op->key].law;
    if (!mxrc_axes_at_rest(exec, op->axes))
        return MXRC_ACTION_WAITING;
    struct mxrc_law_run *run = find(exec, strand_number(action));
    int new = !run;
    if (new)
        run = find(exec, 0);
    if (!run)
        return MXRC_ACTION_WAITING;
    mxrc_law_fill_input(exec);
    if (new) {
        memset(run->state, 0, sizeof run->state);
        run->key = op->key;
        run->strand = strand_number(action);
        exec->law_runs++;
        int code =
            law->init(run->state, op->args, exec->config.axis_count, mxrc_cycle_seconds(exec));
        if (code)
            return fail_with_code(action, code);
    }
    law->reset(run->state, op->args, &exec->law_input);
    for (uint32_t i = 0; i < exec->config.axis_count; i++)
        if (op->axes & (1u << i))
            exec->axis[i].motion_start = exec->axis[i].setpoint;
    return MXRC_ACTION_RUNNING;
}

/* The set-point closes on what the law asks for, seen from a frame that moves as that does, and stops before a bound of
 * position, where that frame stops dead. motion_start keeps what was asked for last. */
static void follow(struct mxrc_axis_state *axis, const struct mxrc_axis_config *limits,
                   double asked, double dt)
{
    asked = fmin(fmax(asked, limits->position_min), limits->position_max);
    double target_velocity = (asked - axis->motion_start) / dt;
    target_velocity = fmin(fmax(target_velocity, -limits->velocity_max), limits->velocity_max);
    double error = asked - target_velocity * dt - axis->setpoint;
    double velocity = mxrc_approach(error, target_velocity, axis->setpoint_velocity, limits, dt);
    axis->motion_start = asked;
    mxrc_axes_steer(axis, limits, velocity, dt);
}

static uint32_t step(struct mxrc_action *action)
{
    struct mxrc_exec *exec = action->exec;
    const struct mxrc_op *op = action->op;
    const struct mxrc_law *law = exec->config.task_law[op->key].law;
    double command[MXRC_LAW_AXES];
    struct mxrc_law_run *run = find(exec, strand_number(action));
    if (!run) /* its state was not to be restored */
        return fail(action);
    mxrc_law_fill_input(exec);
    memcpy(command, exec->law_input.setpoint, sizeof command);
    int code = law->step(run->state, op->args, &exec->law_input, command);
    if (code && code != MXRC_LAW_DONE)
        return fail_with_code(action, code);
    for (uint32_t i = 0; i < exec->config.axis_count; i++) {
        if (!(op->axes & (1u << i)))
            continue;
        if (!isfinite(command[i]))
            return fail_on_axis(action, i);
        follow(&exec->axis[i], &exec->config.axis[i], command[i], mxrc_cycle_seconds(exec));
    }
    exec->now.driven |= op->axes;
    int done =
        code == MXRC_LAW_DONE ||
        (op->duration_ns && action->strand->elapsed_ns >= op->duration_ns) ||
        (op->condition.source && mxrc_condition_holds(exec, action->task, &op->condition) == 1);
    if (!done)
        return MXRC_ACTION_RUNNING;
    let_go(action, MXRC_OK);
    return MXRC_ACTION_DONE;
}

const struct mxrc_action_type mxrc_action_control_law = {
    .kind = MXRC_OP_CONTROL_LAW,
    .validate = validate,
    .begin = begin,
    .step = step,
    .abort = let_go,
};
