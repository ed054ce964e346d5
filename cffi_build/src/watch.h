/* watch.h: when an observer may call another thread silent.
 *
 * An observer that did not get the CPU itself knows nothing about others: it judges only when its own last two
 * ticks came on time, and counts the silence from its own last late one at the earliest. So a machine that was paused
 * as a whole leaves the observed a whole timeout to show itself. */
#ifndef MXRC_WATCH_H
#define MXRC_WATCH_H

#include <stdint.h>

struct mxrc_watch {
    uint64_t timeout_ns;
    uint64_t tick_ns;  /* between two looks: a quarter of the timeout, 10 ms at most */
    uint64_t since_ns; /* silence counts from here at the earliest */
    uint32_t on_time;  /* own ticks in a row that came on time */
    uint32_t reserved;
};

void mxrc_watch_begin(struct mxrc_watch *watch, uint64_t timeout_ns, uint64_t now_ns);
/* The timeout from now on; silence until now counts. */
void mxrc_watch_limit(struct mxrc_watch *watch, uint64_t timeout_ns);
/* The observed is another one from now on. */
void mxrc_watch_renew(struct mxrc_watch *watch, uint64_t now_ns);
/* When to look next: a tick from now, or the moment at which the silence gets too long if that comes first. */
uint64_t mxrc_watch_due(const struct mxrc_watch *watch, uint64_t now_ns, uint64_t beat_ns);
/* A look that was due at `due_ns`: 1 when the last beat is longer ago than the timeout. */
int mxrc_watch_silent(struct mxrc_watch *watch, uint64_t due_ns, uint64_t now_ns, uint64_t beat_ns);

#endif
