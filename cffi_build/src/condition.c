/* condition.c: `source compare value`. */
#include <errno.h>

#include "condition.h"
#include "data.h"

static int compare(double found, uint32_t how, double value)
{
    switch (how) {
    case MXRC_COMPARE_EQ:
        return found == value;
    case MXRC_COMPARE_NE:
        return found < value || found > value; /* false for what is not a number */
    case MXRC_COMPARE_LT:
        return found < value;
    case MXRC_COMPARE_LE:
        return found <= value;
    case MXRC_COMPARE_GT:
        return found > value;
    case MXRC_COMPARE_GE:
        return found >= value;
    default:
        return 0;
    }
}

int mxrc_condition_holds(const struct mxrc_exec *exec, const struct mxrc_task_state *task,
                         const struct mxrc_condition *condition)
{
    double found;
    if (condition->source == MXRC_CONDITION_EVENT) {
        if (!(task->event_seen >> condition->key & 1))
            return 0;
        return compare(task->event_value[condition->key], condition->compare, condition->value);
    }
    int problem = mxrc_data_number(exec->segment, condition->key, condition->element, &found);
    if (problem)
        return problem == EAGAIN ? -1 : 0;
    return compare(found, condition->compare, condition->value);
}

int mxrc_condition_has_key(const struct mxrc_exec *exec, const struct mxrc_condition *condition)
{
    double found;
    return condition->source != MXRC_CONDITION_KEY ||
           mxrc_data_number(exec->segment, condition->key, condition->element, &found) != EINVAL;
}
