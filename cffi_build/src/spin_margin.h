/* spin_margin.h: the spin margin "auto": what of a period hybrid waiting spends awake, as the kernel's wake-ups ask for. */
#ifndef MXRC_SPIN_MARGIN_H
#define MXRC_SPIN_MARGIN_H

#include "mxrc/core.h"

#define MXRC_SPIN_MARGIN_MIN_NS 10000
#define MXRC_SPIN_MARGIN_FIRST_NS 100000

/* The most that hybrid waiting spins: longer would starve whoever shares the CPU. */
uint64_t mxrc_spin_margin_most(uint64_t period_ns);

/* The margin after a sleep that ended `late_ns` after its moment, which was one margin before the slot. Too late for the slot raises it
 * by an eighth, in time lowers it by an 8000th: so it settles where one wake-up in a thousand is too late, whatever their distribution
 * is. What no margin could have covered, such as a pause of the machine, changes nothing. */
uint64_t mxrc_spin_margin_next(uint64_t margin_ns, uint64_t period_ns, uint64_t late_ns);

#endif
