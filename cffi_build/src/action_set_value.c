/* action_set_value.c: a data-store value that RT may write. */
#include <math.h>
#include <string.h>

#include "action.h"

static uint32_t validate(const struct mxrc_op *op, const struct mxrc_axis_config *axes,
                         uint32_t axis_count, uint32_t data_keys)
{
    (void)axes, (void)axis_count;
    if (op->key >= data_keys || op->axes != 0)
        return MXRC_ERR_INVALID;
    return MXRC_OK;
}

static uint32_t begin(struct mxrc_action *action)
{
    (void)action;
    return MXRC_ACTION_RUNNING;
}

/* The value as its key's type wants it; its size, or 0 with the reason in *result. */
static uint32_t convert(const struct mxrc_data_key *key, const double *args, void *value,
                        uint32_t *result)
{
    uint32_t elements = key->type == MXRC_DATA_DOUBLE_ARRAY ? key->length : 1;
    *result = MXRC_ERR_INVALID;
    if (key->writer != MXRC_WRITER_RT || elements == 0 || elements > MXRC_OP_ARGS ||
        elements * sizeof(double) > MXRC_DATA_BYTES)
        return 0;
    for (uint32_t i = 0; i < elements; i++) {
        if (!isfinite(args[i]))
            return 0;
        if (args[i] < key->minimum || args[i] > key->maximum) {
            *result = MXRC_ERR_LIMIT;
            return 0;
        }
    }
    *result = MXRC_OK;
    switch (key->type) {
    case MXRC_DATA_BOOL: {
        uint8_t flag = args[0] != 0;
        memcpy(value, &flag, sizeof flag);
        return sizeof flag;
    }
    case MXRC_DATA_INT64: {
        if (fabs(args[0]) > 9007199254740992.0) /* 2^53: no double between integers beyond it */
            break;
        int64_t integer = (int64_t)args[0];
        memcpy(value, &integer, sizeof integer);
        return sizeof integer;
    }
    case MXRC_DATA_DOUBLE:
    case MXRC_DATA_DOUBLE_ARRAY:
        memcpy(value, args, elements * sizeof *args);
        return elements * (uint32_t)sizeof *args;
    default:
        break;
    }
    *result = MXRC_ERR_INVALID;
    return 0;
}

static uint32_t step(struct mxrc_action *action)
{
    const struct mxrc_exec *exec = action->exec;
    const struct mxrc_data_key *keys = (const void *)(exec->at.data + 1);
    uint8_t value[MXRC_DATA_BYTES];
    uint32_t bytes = convert(&keys[action->op->key], action->op->args, value, &action->result);
    if (bytes == 0)
        return MXRC_ACTION_FAILED;
    if (mxrc_data_write(exec->segment, action->op->key, value, bytes, exec->now.wake_ns)) {
        action->result = MXRC_ERR_INVALID;
        return MXRC_ACTION_FAILED;
    }
    return MXRC_ACTION_DONE;
}

const struct mxrc_action_type mxrc_action_set_value = {
    .kind = MXRC_OP_SET_VALUE,
    .instant = 1,
    .validate = validate,
    .begin = begin,
    .step = step,
};
