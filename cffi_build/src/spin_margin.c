/* spin_margin.c: a quantile that is followed wake-up by wake-up, in constant time and without memory of them. */
#include "spin_margin.h"

#define RAISE_SHARE 8
#define LOWER_SHARE 8000

uint64_t mxrc_spin_margin_most(uint64_t period_ns)
{
    return period_ns / 2;
}

uint64_t mxrc_spin_margin_next(uint64_t margin_ns, uint64_t period_ns, uint64_t late_ns)
{
    uint64_t most = mxrc_spin_margin_most(period_ns);
    uint64_t next = margin_ns;
    if (late_ns < margin_ns)
        next -= margin_ns / LOWER_SHARE;
    else if (late_ns < most)
        next += margin_ns / RAISE_SHARE;
    if (next < MXRC_SPIN_MARGIN_MIN_NS)
        next = MXRC_SPIN_MARGIN_MIN_NS;
    return next < most ? next : most;
}
