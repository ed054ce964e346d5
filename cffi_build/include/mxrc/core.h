/* core.h: the one header that C sources include. Fixes the order of the others and the ids of the tables. */
#ifndef MXRC_CORE_H
#define MXRC_CORE_H

#include <stddef.h>
#include <stdint.h>

#include "mxrc/layout.h"

#include "mxrc/entry.h"
#include "mxrc/law.h"

#include "mxrc/process_image.h"

#include "mxrc/api.h"

#include "mxrc/bench.h"

#define LOGGER(id, name, text) MXRC_LOGGER_##name = id,
#define EVENT(id, name, logger, level, format, arguments)
enum mxrc_logger_id {
#include "mxrc/events.def"
    MXRC_LOGGER_COUNT
};
#undef LOGGER
#undef EVENT

#define LOGGER(id, name, text)
#define EVENT(id, name, logger, level, format, arguments) MXRC_EV_##name = id,
enum mxrc_event_id {
#include "mxrc/events.def"
    MXRC_EV_LIMIT = 1024
};
#undef LOGGER
#undef EVENT

#define COUNTER(index, name, metric, help) MXRC_COUNTER_##name = index,
#define HISTOGRAM(index, name, metric, help, scale, edges)
enum mxrc_counter_id {
#include "mxrc/metrics.def"
    MXRC_COUNTER_COUNT
};
#undef COUNTER
#undef HISTOGRAM

#define COUNTER(index, name, metric, help)
#define HISTOGRAM(index, name, metric, help, scale, edges) MXRC_HISTOGRAM_##name = index,
enum mxrc_histogram_id {
#include "mxrc/metrics.def"
    MXRC_HISTOGRAM_COUNT
};
#undef COUNTER
#undef HISTOGRAM

#endif
