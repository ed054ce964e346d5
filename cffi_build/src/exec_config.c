/* exec_config.c: checks of the configuration, and the part of it that may change later. */
#include <errno.h>
#include <math.h>

#include "error.h"
#include "exec_config.h"
#include "schedule.h"

#define PERIOD_MIN_NS 100000
#define PERIOD_MAX_NS 100000000

static int positive(double value)
{
    return isfinite(value) && value > 0;
}

static int axis_check(const struct mxrc_axis_config *axis, char *error, size_t error_bytes)
{
    if (!isfinite(axis->position_min) || !isfinite(axis->position_max) ||
        axis->position_min >= axis->position_max)
        return mxrc_fail(error, error_bytes, EINVAL,
                         "axis %.31s: position_min %g must be below position_max %g", axis->name,
                         axis->position_min, axis->position_max);
    if (!positive(axis->velocity_max) || !positive(axis->acceleration_max) ||
        !positive(axis->effort_max))
        return mxrc_fail(error, error_bytes, EINVAL,
                         "axis %.31s: velocity_max %g, acceleration_max %g and effort_max %g must "
                         "be above 0",
                         axis->name, axis->velocity_max, axis->acceleration_max, axis->effort_max);
    /* Negated, so that NaN fails. */
    if (!(axis->home >= axis->position_min && axis->home <= axis->position_max))
        return mxrc_fail(error, error_bytes, EINVAL, "axis %.31s: home %g is outside its limits",
                         axis->name, axis->home);
    if (axis->safe_action > MXRC_SAFE_GOTO ||
        (axis->safe_action == MXRC_SAFE_GOTO &&
         !(axis->safe_value >= axis->position_min && axis->safe_value <= axis->position_max)))
        return mxrc_fail(error, error_bytes, EINVAL,
                         "axis %.31s: safe_action %u or safe_value %g is not possible", axis->name,
                         axis->safe_action, axis->safe_value);
    return 0;
}

int mxrc_exec_config_check(const struct mxrc_exec_config *config, uint32_t *slots, char *error,
                           size_t error_bytes)
{
    if (config->period_ns < PERIOD_MIN_NS || config->period_ns > PERIOD_MAX_NS)
        return mxrc_fail(error, error_bytes, EINVAL, "the cycle must take %u to %u us, not %g us",
                         PERIOD_MIN_NS / 1000, PERIOD_MAX_NS / 1000,
                         (double)config->period_ns * 1e-3);
    if (config->deadline_ns == 0 || config->deadline_ns > config->period_ns)
        return mxrc_fail(error, error_bytes, EINVAL,
                         "the deadline of %llu ns must be above 0 and within the cycle of %llu ns",
                         (unsigned long long)config->deadline_ns,
                         (unsigned long long)config->period_ns);
    if (config->axis_count == 0 || config->axis_count > MXRC_AXES)
        return mxrc_fail(error, error_bytes, EINVAL, "%u axes; 1 to %u are possible",
                         config->axis_count, MXRC_AXES);
    for (uint32_t i = 0; i < config->axis_count; i++) {
        int result = axis_check(&config->axis[i], error, error_bytes);
        if (result)
            return result;
    }
    return mxrc_schedule_slots(config, slots, error, error_bytes);
}

struct mxrc_exec_live mxrc_exec_config_live(const struct mxrc_exec_config *config)
{
    return (struct mxrc_exec_live){
        .deadline_ns = config->deadline_ns,
        .spin_margin_ns = config->spin_margin_ns,
        .spin_margin_auto = config->spin_margin_auto,
        .heartbeat_timeout_ns = config->heartbeat_timeout_ns,
        .stall_timeout_ns = config->stall_timeout_ns,
        .overrun_policy = config->overrun_policy,
        .safe_mode_resume = config->safe_mode_resume,
        .wait_mode = config->wait_mode,
    };
}
