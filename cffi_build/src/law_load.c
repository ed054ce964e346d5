/* law_load.c: control laws that are not compiled into the core: is it a law of this interface. */
#include <errno.h>
#include <string.h>

#include "error.h"
#include "law_step.h"
#include "object_load.h"

_Static_assert(MXRC_LAW_AXES == MXRC_AXES, "laws and segment have the same axes");

const struct mxrc_law *mxrc_law_builtin(const char *name)
{
    return strcmp(name, mxrc_law_position_servo.name) == 0 ? &mxrc_law_position_servo : NULL;
}

int mxrc_law_check(const struct mxrc_law *law, uint32_t parameter_count, char *error,
                   size_t error_bytes)
{
    if (law->abi != MXRC_LAW_ABI || law->bytes != sizeof *law)
        return mxrc_fail(error, error_bytes, EINVAL,
                         "the control law has interface %u of %u bytes, not %u of %zu; build it "
                         "against this version's law.h",
                         law->abi, law->bytes, MXRC_LAW_ABI, sizeof *law);
    if (law->name[0] == '\0' || law->name[sizeof law->name - 1] != '\0' || !law->init ||
        !law->step || !law->reset || law->state_bytes > MXRC_LAW_STATE_BYTES ||
        law->parameter_count > MXRC_LAW_PARAMETERS || law->command < MXRC_LAW_POSITION ||
        law->command > MXRC_LAW_EFFORT)
        return mxrc_fail(error, error_bytes, EINVAL,
                         "control law %.31s: name, functions, a command of position or effort, at "
                         "most %u bytes of state and at most %u parameters are needed",
                         law->name, MXRC_LAW_STATE_BYTES, MXRC_LAW_PARAMETERS);
    if (parameter_count != law->parameter_count)
        return mxrc_fail(error, error_bytes, EINVAL,
                         "control law %.31s takes %u parameters, %u were given", law->name,
                         law->parameter_count, parameter_count);
    return 0;
}

int mxrc_law_check_task(const struct mxrc_law *law, uint32_t parameter_count, char *error,
                        size_t error_bytes)
{
    int result = mxrc_law_check(law, parameter_count, error, error_bytes);
    if (result)
        return result;
    if (law->command != MXRC_LAW_POSITION || law->state_bytes > MXRC_TASK_LAW_STATE_BYTES ||
        law->parameter_count > MXRC_OP_ARGS)
        return mxrc_fail(error, error_bytes, EINVAL,
                         "control law %.31s is for tasks: it must command positions and have at "
                         "most %u bytes of state and %u parameters, it has %u and %u",
                         law->name, MXRC_TASK_LAW_STATE_BYTES, MXRC_OP_ARGS, law->state_bytes,
                         law->parameter_count);
    return 0;
}

int mxrc_law_load(const char *path, const char *symbol, const struct mxrc_law **law, char *error,
                  size_t error_bytes)
{
    char why[400];
    const void *found;
    int result = mxrc_object_load(path, symbol, &found, error, error_bytes);
    if (result)
        return result;
    *law = found;
    result = mxrc_law_check(*law, (*law)->parameter_count, why, sizeof why);
    return result ? mxrc_fail(error, error_bytes, result, "%s: symbol %s: %s", path, symbol, why)
                  : 0;
}
