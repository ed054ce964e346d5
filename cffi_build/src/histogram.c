/* histogram.c: log-linear buckets of two significant decimal digits; the formula is in layout.h. */
#include "atomic.h"
#include "mxrc/core.h"

#define FINE 100u /* buckets of 1 ns */
#define PER_DECADE 90u
#define DECADES 9u
#define LAST_BUCKET (FINE + DECADES * PER_DECADE)

_Static_assert(LAST_BUCKET < MXRC_HISTOGRAM_BUCKETS, "every index has a bucket");

/* Units written out: a division by a constant is a multiplication, by a variable some 30 cycles, eight times in a cycle. */
#define DECADE(number, unit)                                                                       \
    if (value < (unit)*100ull)                                                                     \
    return FINE + (number)*PER_DECADE + (uint32_t)(value / (unit)) - 10

uint32_t mxrc_histogram_index(uint64_t ns)
{
    if (ns <= FINE) {
        return ns > 0 ? (uint32_t)ns - 1 : 0;
    }
    uint64_t value = ns - 1;
    DECADE(0, 10ull);
    DECADE(1, 100ull);
    DECADE(2, 1000ull);
    DECADE(3, 10000ull);
    DECADE(4, 100000ull);
    DECADE(5, 1000000ull);
    DECADE(6, 10000000ull);
    DECADE(7, 100000000ull);
    DECADE(8, 1000000000ull);
    _Static_assert(DECADES == 9, "all of them");
    return LAST_BUCKET;
}

uint64_t mxrc_histogram_upper(uint32_t index)
{
    if (index < FINE) {
        return index + 1;
    }
    if (index >= LAST_BUCKET) {
        return UINT64_MAX;
    }
    uint64_t unit = 10;
    for (uint32_t decade = (index - FINE) / PER_DECADE; decade > 0; decade--) {
        unit *= 10;
    }
    return ((index - FINE) % PER_DECADE + 11) * unit;
}

/* One writer, so load and store suffice. count comes last: a reader that takes count first never
 * finds fewer values in the buckets than it says. */
void mxrc_histogram_add(struct mxrc_histogram *histogram, uint64_t ns)
{
    uint64_t *bucket = &histogram->bucket[mxrc_histogram_index(ns)];
    uint64_t count = mxrc_load_relaxed(&histogram->count);
    mxrc_store_relaxed(bucket, mxrc_load_relaxed(bucket) + 1);
    mxrc_store_relaxed(&histogram->sum_ns, mxrc_load_relaxed(&histogram->sum_ns) + ns);
    if (count == 0 || ns < mxrc_load_relaxed(&histogram->min_ns)) {
        mxrc_store_relaxed(&histogram->min_ns, ns);
    }
    if (ns > mxrc_load_relaxed(&histogram->max_ns)) {
        mxrc_store_relaxed(&histogram->max_ns, ns);
    }
    mxrc_store_release(&histogram->count, count + 1);
}
