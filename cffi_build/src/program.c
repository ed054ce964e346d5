/* program.c: what must hold of a compiled task before any of it runs: header, each op by itself, where they lead
 * (program_flow.c). */
#include <math.h>
#include <string.h>

#include "action.h"
#include "program.h"

#define RETRIES_MAX 255
#define PROGRESS_MAX 1000
#define ELEMENTS_MAX (MXRC_DATA_BYTES / sizeof(double))

static int no_condition(const struct mxrc_condition *condition)
{
    static const struct mxrc_condition none;
    return memcmp(condition, &none, sizeof none) == 0;
}

uint32_t mxrc_condition_validate(const struct mxrc_condition *condition,
                                 const struct mxrc_program *program, uint32_t data_keys)
{
    if (condition->compare < MXRC_COMPARE_EQ || condition->compare > MXRC_COMPARE_GE ||
        condition->edge > 1 || !isfinite(condition->value))
        return MXRC_ERR_INVALID;
    switch (condition->source) {
    case MXRC_CONDITION_KEY:
        return condition->key < data_keys && condition->element < ELEMENTS_MAX ? MXRC_OK
                                                                               : MXRC_ERR_INVALID;
    case MXRC_CONDITION_EVENT:
        return condition->key < program->topic_count && condition->element == 0 &&
                       condition->edge == 0
                   ? MXRC_OK
                   : MXRC_ERR_INVALID;
    default:
        return MXRC_ERR_INVALID;
    }
}

static uint32_t check_mode(const struct mxrc_program *program, uint32_t data_keys)
{
    int periodic = program->mode == MXRC_MODE_PERIODIC;
    int triggered = program->mode == MXRC_MODE_TRIGGERED;
    if (program->mode > MXRC_MODE_TRIGGERED || program->on_late > MXRC_LATE_QUEUE)
        return MXRC_ERR_INVALID;
    if (periodic && (program->period_ns == 0 || program->period_ns > MXRC_DURATION_MAX_NS))
        return MXRC_ERR_INVALID;
    if (!triggered)
        return no_condition(&program->trigger) && program->rearm_ns == 0 ? MXRC_OK
                                                                         : MXRC_ERR_INVALID;
    if (program->trigger.source != MXRC_CONDITION_KEY || program->rearm_ns > MXRC_DURATION_MAX_NS)
        return MXRC_ERR_INVALID;
    return mxrc_condition_validate(&program->trigger, program, data_keys);
}

static uint32_t check_header(const struct mxrc_program *program, uint32_t axis_count,
                             uint32_t data_keys)
{
    uint32_t all_axes = axis_count >= 32 ? UINT32_MAX : (1u << axis_count) - 1;
    if (program->magic != MXRC_PROGRAM_MAGIC || program->version != MXRC_PROGRAM_VERSION)
        return MXRC_ERR_INVALID;
    if (program->op_count == 0 || program->op_count > MXRC_PROGRAM_OPS ||
        program->bytes != sizeof *program + program->op_count * sizeof(struct mxrc_op))
        return MXRC_ERR_INVALID;
    if (program->axes & ~all_axes || program->on_restart > MXRC_RESTART_FAIL ||
        program->on_safe_mode > MXRC_RESTART_FAIL)
        return MXRC_ERR_INVALID;
    if (program->task_id[MXRC_TEXT_BYTES - 1] != '\0' || program->topic_count > MXRC_PROGRAM_TOPICS)
        return MXRC_ERR_INVALID;
    for (uint32_t i = 0; i < program->topic_count; i++)
        if (program->topic[i] == 0)
            return MXRC_ERR_INVALID;
    return check_mode(program, data_keys);
}

/* What a failure of the op entails: of what can fail only. */
static int check_failure(const struct mxrc_op *op)
{
    if (op->on_failure > MXRC_FAIL_RECOVERY ||
        (op->on_failure != MXRC_FAIL_RECOVERY && op->recovery != 0))
        return 0;
    if (op->duration_ns > MXRC_DURATION_MAX_NS || op->timeout_ns > MXRC_DURATION_MAX_NS ||
        op->backoff_ns > MXRC_DURATION_MAX_NS || op->retries > RETRIES_MAX)
        return 0;
    return !mxrc_op_is_flow(op->kind) ||
           (op->on_failure == 0 && op->timeout_ns == 0 && op->backoff_ns == 0 && op->retries == 0 &&
            op->duration_ns == 0);
}

/* Fields that only some kinds have. */
static uint32_t check_fields(const struct mxrc_program *program, const struct mxrc_op *op,
                             uint32_t data_keys)
{
    static const uint16_t no_branch[MXRC_BRANCHES];
    int conditional = op->kind == MXRC_OP_IF || op->kind == MXRC_OP_WAIT_FOR;
    int may = conditional || op->kind == MXRC_OP_REPEAT || op->kind == MXRC_OP_CONTROL_LAW;
    int counts = op->kind == MXRC_OP_REPEAT || op->kind == MXRC_OP_MOVE_JOINTS ||
                 op->kind == MXRC_OP_EMIT_EVENT || op->kind == MXRC_OP_CONTROL_LAW;
    int targets =
        op->kind == MXRC_OP_IF || op->kind == MXRC_OP_REPEAT || op->kind == MXRC_OP_PARALLEL;
    if ((op->count && !counts) || (op->target && !targets) || op->progress > PROGRESS_MAX ||
        (op->identity && op->kind != MXRC_OP_CONTROL_LAW))
        return MXRC_ERR_INVALID;
    if (op->kind != MXRC_OP_PARALLEL && memcmp(op->branch, no_branch, sizeof no_branch) != 0)
        return MXRC_ERR_INVALID;
    if (no_condition(&op->condition))
        return conditional ? MXRC_ERR_INVALID : MXRC_OK;
    /* A branch of the flow is decided by what is, not by what has changed. */
    if (!may || (op->condition.edge && op->kind != MXRC_OP_WAIT_FOR))
        return MXRC_ERR_INVALID;
    return mxrc_condition_validate(&op->condition, program, data_keys);
}

/* The via points of a move: as many VIA ops behind it as they need, each within the limits. */
static uint32_t check_vias(const struct mxrc_program_slot *program, uint32_t index,
                           const struct mxrc_axis_config *axes, uint32_t axis_count)
{
    const struct mxrc_op *move = &program->op[index];
    uint32_t ops = (move->count + MXRC_VIA_PER_OP - 1) / MXRC_VIA_PER_OP;
    if (move->count > MXRC_VIA_POINTS || index + ops >= program->program.op_count)
        return MXRC_ERR_INVALID;
    for (uint32_t p = 0; p < move->count; p++) {
        const struct mxrc_op *via = &program->op[index + 1 + p / MXRC_VIA_PER_OP];
        const double *point = &via->args[p % MXRC_VIA_PER_OP * MXRC_AXES];
        if (via->kind != MXRC_OP_VIA)
            return MXRC_ERR_INVALID;
        for (uint32_t i = 0; i < axis_count; i++) {
            if (!(move->axes & (1u << i)))
                continue;
            if (!isfinite(point[i]))
                return MXRC_ERR_INVALID;
            if (point[i] < axes[i].position_min || point[i] > axes[i].position_max)
                return MXRC_ERR_LIMIT;
        }
    }
    return MXRC_OK;
}

static uint32_t check_op(const struct mxrc_program_slot *program, uint32_t index,
                         const struct mxrc_axis_config *axes, uint32_t axis_count,
                         uint32_t data_keys)
{
    const struct mxrc_op *op = &program->op[index];
    if (op->kind > MXRC_OP_JUMP || (index == 0 && op->kind == MXRC_OP_VIA) ||
        op->axes & ~program->program.axes || !check_failure(op))
        return MXRC_ERR_INVALID;
    uint32_t result = check_fields(&program->program, op, data_keys);
    if (result != MXRC_OK)
        return result;
    if (op->kind == MXRC_OP_FAIL && op->key > MXRC_ERR_CORRUPT)
        return MXRC_ERR_INVALID;
    if (mxrc_op_is_flow(op->kind))
        return op->axes == 0 ? MXRC_OK : MXRC_ERR_INVALID;
    const struct mxrc_action_type *type = mxrc_action_find(op->kind);
    if (!type)
        return MXRC_ERR_INVALID;
    result = type->validate(op, axes, axis_count, data_keys);
    if (result == MXRC_OK && op->kind == MXRC_OP_MOVE_JOINTS)
        result = check_vias(program, index, axes, axis_count);
    return result;
}

int mxrc_program_validate(const struct mxrc_program_slot *program,
                          const struct mxrc_axis_config *axes, uint32_t axis_count,
                          uint32_t data_keys, uint32_t *op)
{
    *op = UINT32_MAX; /* the header */
    uint32_t result = check_header(&program->program, axis_count, data_keys);
    if (result != MXRC_OK)
        return (int)result;
    if (mxrc_program_checksum(program) != program->program.crc)
        return MXRC_ERR_CORRUPT;
    uint32_t axes_used = 0;
    for (uint32_t i = 0; i < program->program.op_count; i++) {
        result = check_op(program, i, axes, axis_count, data_keys);
        if (result != MXRC_OK) {
            *op = i;
            return (int)result;
        }
        axes_used |= program->op[i].axes;
    }
    result = mxrc_program_flow(program, op);
    if (result != MXRC_OK)
        return (int)result;
    *op = UINT32_MAX;
    return axes_used == program->program.axes ? MXRC_OK : MXRC_ERR_INVALID;
}
