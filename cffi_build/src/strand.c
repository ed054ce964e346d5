/* strand.c: which op of a strand runs, and what its end entails. Bounded work per cycle: at most MXRC_OPS_PER_CYCLE ops,
 * each of which is bounded. */
#include "strand.h"
#include "action.h"
#include "condition.h"
#include "log.h"
#include "span.h"

static const struct mxrc_op *ops_of(const struct mxrc_exec *exec,
                                    const struct mxrc_task_state *task)
{
    return exec->at.program[task->program_slot].op;
}

void mxrc_strand_at(struct mxrc_strand *strand, uint32_t op)
{
    strand->op = (uint16_t)op;
    strand->phase = NOT_BEGUN;
    strand->retries = 0;
    strand->via = 0;
    strand->action_start_cycle = 0;
}

/* ---- ends of an op ---- */

static void end_begun(struct mxrc_action *action, uint32_t result)
{
    const struct mxrc_action_type *type = mxrc_action_find(action->op->kind);
    if (!type || action->strand->phase == NOT_BEGUN)
        return;
    if (type->abort && result != MXRC_OK)
        type->abort(action, result);
    if (!type->quiet)
        mxrc_span_end(action->exec, action->strand, MXRC_SPAN_ACTION_EXECUTE, result);
}

void mxrc_strand_abort(struct mxrc_exec *exec, struct mxrc_task_state *task,
                       struct mxrc_strand *strand, uint32_t result)
{
    struct mxrc_action action = {
        .exec = exec, .task = task, .strand = strand, .op = &ops_of(exec, task)[strand->op]};
    end_begun(&action, result);
    strand->phase = NOT_BEGUN;
}

/* The op that follows when this one went well, or is skipped. */
static void go_on(struct mxrc_action *action)
{
    const struct mxrc_op *op = action->op;
    mxrc_strand_at(action->strand, op->kind == MXRC_OP_PARALLEL ? op->target : op->next);
}

static void op_done(struct mxrc_action *action, const struct mxrc_action_type *type)
{
    struct mxrc_exec *exec = action->exec;
    if (!type->quiet)
        mxrc_log(exec, MXRC_EV_ACTION_COMPLETED, action->strand, action->strand->op,
                 (double)(exec->now.wake_ns - action->strand->action_start_ns) * 1e-6);
    end_begun(action, MXRC_OK);
    go_on(action);
}

/* 1 when the strand goes on: with another try, or with what follows the failure. */
static int op_failed(struct mxrc_action *action)
{
    struct mxrc_exec *exec = action->exec;
    struct mxrc_strand *strand = action->strand;
    const struct mxrc_op *op = action->op;
    uint32_t result = action->result;
    strand->error = (uint8_t)result;
    if (strand->retries < op->retries) {
        uint64_t period = exec->config.period_ns;
        end_begun(action, result);
        strand->retries++;
        mxrc_log(exec, MXRC_EV_ACTION_RETRY, strand, strand->op, strand->retries, result);
        strand->phase = NOT_BEGUN;
        strand->via = 0;
        strand->action_start_cycle = exec->now.cycle + (op->backoff_ns + period - 1) / period;
        return 1;
    }
    switch (op->on_failure) {
    case MXRC_FAIL_SKIP:
        mxrc_log(exec, MXRC_EV_ACTION_SKIPPED, strand, strand->op, result);
        end_begun(action, result);
        go_on(action);
        return 1;
    case MXRC_FAIL_RECOVERY:
        mxrc_log(exec, MXRC_EV_ACTION_RECOVERY, strand, strand->op, result, op->recovery);
        end_begun(action, result);
        mxrc_strand_at(strand, op->recovery);
        return 1;
    case MXRC_FAIL_SAFE_MODE:
        if (!exec->task_asks_safe)
            exec->task_asks_safe = MXRC_SAFE_TASK;
        break;
    default:
        break;
    }
    end_begun(action, result);
    strand->phase = NOT_BEGUN;
    return 0;
}

/* ---- an action ---- */

/* Begins an op, or begins it again after a hold. The trajectory starts in this cycle at time zero, the first step is
 * the next cycle's: an op takes exactly its time, and the one after it begins in the cycle in which it ends. */
static uint32_t begin_op(struct mxrc_action *action, const struct mxrc_action_type *type)
{
    struct mxrc_exec *exec = action->exec;
    struct mxrc_strand *strand = action->strand;
    if (strand->phase == NOT_BEGUN && exec->now.cycle < strand->action_start_cycle)
        return MXRC_ACTION_WAITING;
    uint32_t status = type->begin(action);
    if (status != MXRC_ACTION_RUNNING)
        return status;
    if (strand->phase == HELD && strand == &action->task->strand) {
        mxrc_log(exec, MXRC_EV_TASK_RESUMED, strand, strand->op);
    } else if (strand->phase == NOT_BEGUN) {
        if (strand == &action->task->strand)
            action->task->progress = action->op->progress;
        if (!type->quiet)
            mxrc_span_id(exec, strand->action_span_id);
        strand->action_start_ns = exec->now.wake_ns;
        strand->action_start_cycle = exec->now.cycle;
        strand->elapsed_ns = 0;
        strand->phase = IN_PROGRESS;
        if (!type->quiet)
            mxrc_log(exec, MXRC_EV_ACTION_STARTED, strand, strand->op);
    }
    strand->phase = IN_PROGRESS;
    return type->instant ? type->step(action) : MXRC_ACTION_RUNNING;
}

static uint32_t step_op(struct mxrc_action *action, const struct mxrc_action_type *type)
{
    struct mxrc_strand *strand = action->strand;
    strand->elapsed_ns += action->exec->now.elapsed_ns;
    uint32_t status = type->step(action);
    if (status == MXRC_ACTION_RUNNING && action->op->timeout_ns &&
        strand->elapsed_ns >= action->op->timeout_ns) {
        action->result = MXRC_ERR_TIMEOUT;
        return MXRC_ACTION_FAILED;
    }
    return status;
}

/* ---- control flow: 1 gone on, 0 to be looked at again in the next cycle ---- */

static int branch_if(const struct mxrc_exec *exec, const struct mxrc_task_state *task,
                     struct mxrc_strand *strand, const struct mxrc_op *op)
{
    int holds = mxrc_condition_holds(exec, task, &op->condition);
    if (holds >= 0)
        mxrc_strand_at(strand, holds ? op->next : op->target);
    return holds >= 0;
}

/* A round of `repeat`, when there is to be another one; `begun` rounds were. */
static int begin_round(const struct mxrc_exec *exec, const struct mxrc_task_state *task,
                       struct mxrc_strand *strand, const struct mxrc_op *repeat, uint32_t begun)
{
    int holds = repeat->condition.source ? mxrc_condition_holds(exec, task, &repeat->condition) : 1;
    if (holds < 0)
        return 0;
    if (holds && (repeat->count == 0 || begun < repeat->count)) {
        strand->round[repeat->key] = begun < UINT32_MAX ? begun + 1 : begun;
        mxrc_strand_at(strand, repeat->next);
    } else {
        mxrc_strand_at(strand, repeat->target);
    }
    return 1;
}

/* MXRC_STRAND_ON with *again: the next op may begin at once. */
static uint32_t flow(const struct mxrc_exec *exec, const struct mxrc_task_state *task,
                     struct mxrc_strand *strand, const struct mxrc_op *ops, int *again)
{
    const struct mxrc_op *op = &ops[strand->op];
    *again = 1;
    switch (op->kind) {
    case MXRC_OP_END:
        return MXRC_STRAND_ENDED;
    case MXRC_OP_JOIN:
        if (strand != &task->strand)
            return MXRC_STRAND_JOINED;
        mxrc_strand_at(strand, op->next);
        return MXRC_STRAND_ON;
    case MXRC_OP_IF:
        *again = branch_if(exec, task, strand, op);
        return MXRC_STRAND_ON;
    case MXRC_OP_REPEAT:
        *again = begin_round(exec, task, strand, op, 0);
        return MXRC_STRAND_ON;
    case MXRC_OP_JUMP:
        if (op->next > strand->op)
            mxrc_strand_at(strand, op->next);
        else
            *again =
                begin_round(exec, task, strand, &ops[op->next], strand->round[ops[op->next].key]);
        return MXRC_STRAND_ON;
    default: /* FAIL */
        if (op->key || !strand->error)
            strand->error = (uint8_t)(op->key ? op->key : MXRC_ERR_INVALID);
        return MXRC_STRAND_FAILED;
    }
}

uint32_t mxrc_strand_run(struct mxrc_exec *exec, struct mxrc_task_state *task,
                         struct mxrc_strand *strand)
{
    const struct mxrc_op *ops = ops_of(exec, task);
    for (uint32_t n = 0; n < MXRC_OPS_PER_CYCLE; n++) {
        struct mxrc_action action = {
            .exec = exec, .task = task, .strand = strand, .op = &ops[strand->op]};
        const struct mxrc_action_type *type = mxrc_action_find(action.op->kind);
        if (!type) {
            int again;
            uint32_t status = flow(exec, task, strand, ops, &again);
            if (status != MXRC_STRAND_ON || !again)
                return status;
            continue;
        }
        uint32_t status =
            strand->phase == IN_PROGRESS ? step_op(&action, type) : begin_op(&action, type);
        if (status == MXRC_ACTION_FAILED)
            return op_failed(&action) ? MXRC_STRAND_ON : MXRC_STRAND_FAILED;
        if (status != MXRC_ACTION_DONE)
            return MXRC_STRAND_ON;
        op_done(&action, type);
        if (exec->task_asks_safe)
            return MXRC_STRAND_ON;
    }
    return MXRC_STRAND_ON;
}
