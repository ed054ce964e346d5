/* bench.c: see bench.h. */
#define _GNU_SOURCE
#include <errno.h>
#include <string.h>
#include <time.h>

#include "atomic.h"
#include "mxrc/core.h"

enum { PATIENCE_NS = 2000000000, SPINS = 4096 };

/* By a pointer the compiler cannot see through: the C library's memcpy, not one of constant size. */
static void *(*volatile library_memcpy)(void *, const void *, size_t) = memcpy;

static void copy_to_slot(const struct mxrc_ring *ring, uint64_t number, const void *record)
{
    library_memcpy(ring->slots + (number & ring->mask) * MXRC_SLOT_BYTES, record, MXRC_SLOT_BYTES);
}

uint64_t mxrc_bench_publish(struct mxrc_ring *ring, uint64_t count)
{
    struct mxrc_cycle_record record = {.axes = MXRC_AXES};
    uint64_t start = mxrc_now_ns();
    for (uint64_t i = 0; i < count; i++) {
        record.cycle = i;
        mxrc_ring_publish(ring, &record);
    }
    return mxrc_now_ns() - start;
}

uint64_t mxrc_bench_memcpy(struct mxrc_ring *ring, uint64_t count)
{
    struct mxrc_cycle_record record = {.axes = MXRC_AXES};
    uint64_t start = mxrc_now_ns();
    for (uint64_t i = 0; i < count; i++) {
        record.cycle = i;
        copy_to_slot(ring, i, &record);
    }
    return mxrc_now_ns() - start;
}

static void wait_until(uint64_t due, int sleep)
{
    if (sleep) {
        struct timespec until = {.tv_sec = (time_t)(due / 1000000000),
                                 .tv_nsec = (long)(due % 1000000000)};
        while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR) {
        }
    }
    while (mxrc_now_ns() < due) {
        mxrc_pause();
    }
}

void mxrc_bench_paced(struct mxrc_ring *ring, uint64_t count, uint64_t interval_ns, int sleep,
                      int publish, uint64_t *ns)
{
    struct mxrc_cycle_record record = {.axes = MXRC_AXES};
    uint64_t due = mxrc_now_ns();
    for (uint64_t i = 0; i < count; i++) {
        /* After a preemption the grid begins anew: a burst would not be paced. */
        uint64_t now = mxrc_now_ns();
        due = due + interval_ns > now ? due + interval_ns : now + interval_ns;
        wait_until(due, sleep);
        record.cycle = i;
        record.scheduled_ns = mxrc_now_ns();
        if (publish) {
            mxrc_ring_publish(ring, &record);
        } else {
            copy_to_slot(ring, i, &record);
        }
        ns[i] = mxrc_now_ns() - record.scheduled_ns;
    }
}

uint64_t mxrc_bench_read(const struct mxrc_ring *ring, uint64_t rounds, uint64_t batch, void *out,
                         uint64_t *records)
{
    uint64_t lost = 0;
    uint64_t start = mxrc_now_ns();
    *records = 0;
    for (uint64_t round = 0; round < rounds; round++) {
        uint64_t cursor = mxrc_load_acquire(&ring->header->head);
        cursor -= cursor < ring->mask ? cursor : ring->mask;
        uint64_t got;
        while ((got = mxrc_ring_read(ring, &cursor, out, batch, &lost)) > 0) {
            *records += got;
        }
    }
    return mxrc_now_ns() - start;
}

/* Called in a spin: 0, or ETIMEDOUT once nothing has moved for too long. `*since` 0: began now. */
static int spin(uint64_t *spins, uint64_t *since)
{
    mxrc_pause();
    if (++*spins % SPINS != 0) {
        return 0;
    }
    uint64_t now = mxrc_now_ns();
    if (*since == 0) {
        *since = now;
    }
    return now - *since > PATIENCE_NS ? ETIMEDOUT : 0;
}

int mxrc_bench_receive(const struct mxrc_ring *ring, uint64_t count, uint64_t *ns)
{
    struct mxrc_cycle_record record;
    uint64_t cursor = mxrc_load_acquire(&ring->header->head);
    uint64_t lost = 0;
    for (uint64_t i = 0; i < count; i++) {
        uint64_t spins = 0;
        uint64_t since = 0;
        while (mxrc_ring_read(ring, &cursor, &record, 1, &lost) == 0) {
            if (spin(&spins, &since)) {
                return ETIMEDOUT;
            }
        }
        ns[i] = mxrc_now_ns() - record.scheduled_ns;
    }
    return 0;
}

static int await_word(const uint64_t *word, uint64_t value)
{
    uint64_t spins = 0;
    uint64_t since = 0;
    while (mxrc_load_acquire(word) != value) {
        if (spin(&spins, &since)) {
            return ETIMEDOUT;
        }
    }
    return 0;
}

int mxrc_bench_word_trips(uint64_t *mine, const uint64_t *other, int serves, uint64_t count,
                          uint64_t burst, uint64_t *ns)
{
    uint64_t value = 0;
    for (uint64_t i = 0; i < count; i++) {
        uint64_t start = mxrc_now_ns();
        for (uint64_t j = 0; j < burst; j++) {
            value++;
            if (!serves) {
                mxrc_store_release(mine, value);
            }
            if (await_word(other, value)) {
                return ETIMEDOUT;
            }
            if (serves) {
                mxrc_store_release(mine, value);
            }
        }
        ns[i] = (mxrc_now_ns() - start) / burst;
    }
    return 0;
}

static int await_record(const struct mxrc_ring *ring, uint64_t *cursor,
                        struct mxrc_cycle_record *record)
{
    uint64_t spins = 0;
    uint64_t since = 0;
    uint64_t lost = 0;
    while (mxrc_ring_read(ring, cursor, record, 1, &lost) == 0) {
        if (spin(&spins, &since)) {
            return ETIMEDOUT;
        }
    }
    return 0;
}

int mxrc_bench_ring_trips(struct mxrc_ring *mine, const struct mxrc_ring *other, uint64_t cursor,
                          int serves, uint64_t count, uint64_t burst, uint64_t *ns)
{
    struct mxrc_cycle_record record = {.axes = MXRC_AXES};
    for (uint64_t i = 0; i < count; i++) {
        uint64_t start = mxrc_now_ns();
        for (uint64_t j = 0; j < burst; j++) {
            if (!serves) {
                mxrc_ring_publish(mine, &record);
            }
            if (await_record(other, &cursor, &record)) {
                return ETIMEDOUT;
            }
            if (serves) {
                mxrc_ring_publish(mine, &record);
            }
        }
        ns[i] = (mxrc_now_ns() - start) / burst;
    }
    return 0;
}

uint64_t mxrc_bench_chase(const void *first, uint64_t hops)
{
    const void *at = first;
    uint64_t start = mxrc_now_ns();
    for (uint64_t i = 0; i < hops; i++) {
        at = *(const void *const *)at;
        __asm__ __volatile__("" : "+r"(at)); /* the chain is not to be folded away */
    }
    return mxrc_now_ns() - start;
}
