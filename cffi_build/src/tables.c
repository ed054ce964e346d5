/* tables.c: events.def and metrics.def as arrays. */
#include "mxrc/core.h"

#define LOGGER(id, name, text) [id] = text,
#define EVENT(id, name, logger, level, format, arguments)
static const char *const loggers[] = {
#include "mxrc/events.def"
};
#undef LOGGER
#undef EVENT

_Static_assert(sizeof loggers / sizeof loggers[0] == MXRC_LOGGER_COUNT, "logger ids have no gaps");
_Static_assert(MXRC_LOGGER_COUNT <= MXRC_LOGGERS, "a threshold for every logger");

/* A logger's text as a constant of its own: an element of an array is none in C. */
#define LOGGER(id, name, text) static const char logger_text_##name[] = text;
#define EVENT(id, name, logger, level, format, arguments)
#include "mxrc/events.def"
#undef LOGGER
#undef EVENT

#define LOGGER(id, name, text)
#define EVENT(id, name, logger, level, format, arguments)                                          \
    {id, MXRC_LEVEL_##level, #name, logger_text_##logger, MXRC_LOGGER_##logger, format, arguments},
static const struct mxrc_event_def events[] = {
#include "mxrc/events.def"
};
#undef LOGGER
#undef EVENT

#define COUNTER(index, name, metric, help) {index, 1, metric, help, "", 1.0},
#define HISTOGRAM(index, name, metric, help, scale, edges) {index, 2, metric, help, edges, scale},
static const struct mxrc_metric_def metrics[] = {
#include "mxrc/metrics.def"
};
#undef COUNTER
#undef HISTOGRAM

_Static_assert(MXRC_COUNTER_COUNT <= MXRC_COUNTERS, "rt_metrics.counter has room for all");
_Static_assert(MXRC_HISTOGRAM_COUNT <= MXRC_HISTOGRAMS, "rt_metrics.histogram has room for all");

const struct mxrc_event_def *mxrc_event_defs(size_t *count)
{
    *count = sizeof events / sizeof events[0];
    return events;
}

const struct mxrc_metric_def *mxrc_metric_defs(size_t *count)
{
    *count = sizeof metrics / sizeof metrics[0];
    return metrics;
}

const char *mxrc_logger_name(uint32_t logger_id)
{
    return logger_id < MXRC_LOGGER_COUNT ? loggers[logger_id] : NULL;
}
