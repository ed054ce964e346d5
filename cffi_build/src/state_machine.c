/* state_machine.c: the state table of the contract. */
#include "mxrc/core.h"

#define NO (-1)
#define INIT MXRC_STATE_INIT
#define READY MXRC_STATE_READY
#define RUNNING MXRC_STATE_RUNNING
#define PAUSED MXRC_STATE_PAUSED
#define SAFE MXRC_STATE_SAFE_MODE
#define ERROR MXRC_STATE_ERROR
#define SHUTDOWN MXRC_STATE_SHUTDOWN

#define STATES 7
#define EVENTS 9

/* clang-format off */
static const signed char table[STATES][EVENTS] = {
    /*             START    PAUSE   RESUME   STOP      ERROR  ENTER  EXIT    RESET  LOADED */
    [INIT]     = { NO,      NO,     NO,      SHUTDOWN, ERROR, NO,    NO,     NO,    READY },
    [READY]    = { RUNNING, NO,     NO,      SHUTDOWN, ERROR, SAFE,  NO,     INIT,  NO },
    [RUNNING]  = { NO,      PAUSED, NO,      SHUTDOWN, ERROR, SAFE,  NO,     NO,    NO },
    [PAUSED]   = { NO,      NO,     RUNNING, SHUTDOWN, ERROR, SAFE,  NO,     INIT,  NO },
    [SAFE]     = { NO,      NO,     NO,      SHUTDOWN, ERROR, NO,    PAUSED, NO,    NO },
    [ERROR]    = { NO,      NO,     NO,      SHUTDOWN, NO,    NO,    NO,     INIT,  NO },
    [SHUTDOWN] = { NO,      NO,     NO,      NO,       NO,    NO,    NO,     NO,    NO },
};

static const char *const state_names[STATES] = {
    "INIT", "READY", "RUNNING", "PAUSED", "SAFE_MODE", "ERROR", "SHUTDOWN",
};
static const char *const event_names[EVENTS] = {
    "START", "PAUSE", "RESUME", "STOP", "ERROR_OCCUR", "SAFE_MODE_ENTER", "SAFE_MODE_EXIT", "RESET",
    "LOADED",
};
static const char *const result_names[] = {
    [MXRC_OK] = "OK",
    [MXRC_ERR_INVALID] = "INVALID",
    [MXRC_ERR_STATE] = "STATE",
    [MXRC_ERR_BUSY] = "BUSY",
    [MXRC_ERR_UNKNOWN] = "UNKNOWN",
    [MXRC_ERR_LIMIT] = "LIMIT",
    [MXRC_ERR_TIMEOUT] = "TIMEOUT",
    [MXRC_ERR_LAW] = "LAW",
    [MXRC_ERR_CANCELLED] = "CANCELLED",
    [MXRC_ERR_RESTART] = "RESTART",
    [MXRC_ERR_SAFE_MODE] = "SAFE_MODE",
    [MXRC_ERR_ERROR_STATE] = "ERROR_STATE",
    [MXRC_ERR_CORRUPT] = "CORRUPT",
};
/* clang-format on */

int mxrc_state_next(uint32_t state, uint32_t event, uint32_t before)
{
    if (state >= STATES || event >= EVENTS)
        return NO;
    if (state == SAFE && event == MXRC_RT_SAFE_MODE_EXIT && before == READY)
        return READY;
    return table[state][event];
}

const char *mxrc_state_name(uint32_t state)
{
    return state < STATES ? state_names[state] : "?";
}

const char *mxrc_rt_event_name(uint32_t event)
{
    return event < EVENTS ? event_names[event] : "?";
}

const char *mxrc_result_name(uint32_t result)
{
    int known = result < sizeof result_names / sizeof result_names[0] && result_names[result];
    return known ? result_names[result] : "?";
}
