/* program.c: what must hold of a compiled task before any of it runs. A program that passes ends: every op
 * leads to one with a greater index, the last one is END. */
#include "action.h"

#define DURATION_MAX_NS 100000000000000000 /* 10^17: sums stay far below 2^64 */
#define RETRIES_MAX 255

static uint32_t check_header(const struct mxrc_program *program, uint32_t axis_count)
{
    uint32_t all_axes = axis_count >= 32 ? UINT32_MAX : (1u << axis_count) - 1;
    if (program->magic != MXRC_PROGRAM_MAGIC || program->version != MXRC_PROGRAM_VERSION)
        return MXRC_ERR_INVALID;
    if (program->op_count == 0 || program->op_count > MXRC_PROGRAM_OPS ||
        program->bytes != sizeof *program + program->op_count * sizeof(struct mxrc_op))
        return MXRC_ERR_INVALID;
    if (program->axes & ~all_axes || program->on_restart > MXRC_RESTART_FAIL)
        return MXRC_ERR_INVALID;
    /* Conditions of triggered tasks are not part of this version of the program. */
    if (program->mode != MXRC_MODE_ONCE && program->mode != MXRC_MODE_PERIODIC)
        return MXRC_ERR_INVALID;
    if (program->mode == MXRC_MODE_PERIODIC &&
        (program->period_ns == 0 || program->period_ns > DURATION_MAX_NS))
        return MXRC_ERR_INVALID;
    if (program->task_id[MXRC_TEXT_BYTES - 1] != '\0')
        return MXRC_ERR_INVALID;
    return MXRC_OK;
}

static uint32_t check_op(const struct mxrc_program *program, const struct mxrc_op *op,
                         uint32_t index, const struct mxrc_axis_config *axes, uint32_t axis_count,
                         uint32_t data_keys)
{
    if (op->kind == MXRC_OP_END)
        return op->axes == 0 ? MXRC_OK : MXRC_ERR_INVALID;
    const struct mxrc_action_type *type = mxrc_action_find(op->kind);
    if (!type || op->on_failure > MXRC_FAIL_SAFE_MODE || op->axes & ~program->axes)
        return MXRC_ERR_INVALID;
    if (op->next <= index || op->next >= program->op_count)
        return MXRC_ERR_INVALID;
    if (op->duration_ns > DURATION_MAX_NS || op->timeout_ns > DURATION_MAX_NS ||
        op->backoff_ns > DURATION_MAX_NS || op->retries > RETRIES_MAX)
        return MXRC_ERR_INVALID;
    return type->validate(op, axes, axis_count, data_keys);
}

int mxrc_program_validate(const struct mxrc_program_slot *program,
                          const struct mxrc_axis_config *axes, uint32_t axis_count,
                          uint32_t data_keys, uint32_t *op)
{
    *op = UINT32_MAX; /* the header */
    uint32_t result = check_header(&program->program, axis_count);
    if (result != MXRC_OK)
        return (int)result;
    if (mxrc_program_checksum(program) != program->program.crc)
        return MXRC_ERR_CORRUPT;
    uint32_t axes_used = 0;
    for (uint32_t i = 0; i < program->program.op_count; i++) {
        result = check_op(&program->program, &program->op[i], i, axes, axis_count, data_keys);
        if (result != MXRC_OK) {
            *op = i;
            return (int)result;
        }
        axes_used |= program->op[i].axes;
    }
    uint32_t last = program->program.op_count - 1;
    if (program->op[last].kind != MXRC_OP_END) {
        *op = last;
        return MXRC_ERR_INVALID;
    }
    return axes_used == program->program.axes ? MXRC_OK : MXRC_ERR_INVALID;
}
