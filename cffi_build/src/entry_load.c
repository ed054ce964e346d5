/* entry_load.c: code of schedule entries: is it of this interface. */
#include <errno.h>

#include "error.h"
#include "exec.h"
#include "object_load.h"

_Static_assert(MXRC_ENTRY_AXES == MXRC_AXES, "entries and segment have the same axes");

int mxrc_entry_check(const struct mxrc_entry_code *code, uint32_t parameters, uint32_t inputs,
                     uint32_t outputs, char *error, size_t error_bytes)
{
    if (code->abi != MXRC_ENTRY_ABI || code->bytes != sizeof *code)
        return mxrc_fail(error, error_bytes, EINVAL,
                         "the schedule entry has interface %u of %u bytes, not %u of %zu; build it "
                         "against this version's entry.h",
                         code->abi, code->bytes, MXRC_ENTRY_ABI, sizeof *code);
    if (code->name[0] == '\0' || code->name[sizeof code->name - 1] != '\0' || !code->init ||
        !code->step || code->state_bytes > MXRC_ENTRY_STATE_BYTES ||
        code->parameter_count > MXRC_ENTRY_PARAMETERS || code->input_count > MXRC_ENTRY_VALUES ||
        code->output_count > MXRC_ENTRY_VALUES)
        return mxrc_fail(error, error_bytes, EINVAL,
                         "schedule entry %.31s: name, functions, at most %u bytes of state, %u "
                         "parameters, and %u inputs and outputs are needed",
                         code->name, MXRC_ENTRY_STATE_BYTES, MXRC_ENTRY_PARAMETERS,
                         MXRC_ENTRY_VALUES);
    if (parameters != code->parameter_count || inputs != code->input_count ||
        outputs != code->output_count)
        return mxrc_fail(error, error_bytes, EINVAL,
                         "schedule entry %.31s takes %u parameters, %u inputs and %u outputs; %u, "
                         "%u and %u were given",
                         code->name, code->parameter_count, code->input_count, code->output_count,
                         parameters, inputs, outputs);
    return 0;
}

int mxrc_entry_load(const char *path, const char *symbol, const struct mxrc_entry_code **code,
                    char *error, size_t error_bytes)
{
    char why[400];
    const void *found;
    int result = mxrc_object_load(path, symbol, &found, error, error_bytes);
    if (result)
        return result;
    *code = found;
    result = mxrc_entry_check(*code, (*code)->parameter_count, (*code)->input_count,
                              (*code)->output_count, why, sizeof why);
    return result ? mxrc_fail(error, error_bytes, result, "%s: symbol %s: %s", path, symbol, why)
                  : 0;
}
