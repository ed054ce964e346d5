/* log.h: events of the RT thread into its own lane. */
#ifndef MXRC_LOG_H
#define MXRC_LOG_H

#include "exec.h"

/* Fills what every event carries: time, cycle, slot, state, thread, and of the task of `strand` (NULL: of the command in hand) names
 * and trace. */
void mxrc_event_fill(const struct mxrc_exec *exec, struct mxrc_event *event, uint32_t kind,
                     const struct mxrc_strand *strand);
void mxrc_event_publish(struct mxrc_exec *exec, struct mxrc_event *event);

/* Gives the event its arguments and, unless the logger's threshold is above it, its log line (message_id). The record
 * is to be published all the same: others than the log live on it. */
void mxrc_event_line(struct mxrc_exec *exec, struct mxrc_event *event, uint32_t message_id,
                     const double *args, uint32_t count);

/* A log line: dropped below the logger's threshold, limited in storms (left out, counted, the count beside the
 * next one). `level` replaces the template's unless negative. */
void mxrc_log_level(struct mxrc_exec *exec, uint32_t message_id, const struct mxrc_strand *strand,
                    int level, const double *args, uint32_t count);

#define mxrc_log(exec, message_id, strand, ...)                                                    \
    mxrc_log_level(exec, message_id, strand, -1, (const double[]){__VA_ARGS__},                    \
                   (uint32_t)(sizeof((const double[]){__VA_ARGS__}) / sizeof(double)))

/* Once per cycle: says what a storm that is over has left out. Looks at one message id. */
void mxrc_log_settle(struct mxrc_exec *exec);

int mxrc_log_begin(struct mxrc_exec *exec, char *error, size_t error_bytes);

#endif
