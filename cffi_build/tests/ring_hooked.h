/* ring_hooked.h: ring.c once more under other names, with hooks (and with what MXRC_WRONG_... asks for). */
#ifndef MXRC_RING_HOOKED_H
#define MXRC_RING_HOOKED_H

#include "mxrc/core.h"

enum ring_place {
    MXRC_RING_MARKED,  /* writer: odd value stored */
    MXRC_RING_HALF,    /* writer: half of the record stored */
    MXRC_RING_FILLED,  /* writer: all of it */
    MXRC_RING_DONE,    /* writer: even value stored, head not yet */
    MXRC_RING_READING, /* reader: sequence word loaded, record not yet */
};

static void (*ring_hook)(enum ring_place place);

#define MXRC_RING_HOOK(place)                                                                      \
    do {                                                                                           \
        if (ring_hook != NULL) {                                                                   \
            ring_hook(place);                                                                      \
        }                                                                                          \
    } while (0)

#define mxrc_ring_open hooked_ring_open
#define mxrc_ring_publish hooked_ring_publish
#define mxrc_ring_recover hooked_ring_recover
#define mxrc_ring_read hooked_ring_read
#define mxrc_ring_read_one hooked_ring_read_one
#include "../src/ring.c"

/* Records whose every word follows from their number, so that a mixture of two shows. */
struct derived {
    uint64_t seq;
    uint64_t number;
    uint64_t word[30];
};
_Static_assert(sizeof(struct derived) == MXRC_SLOT_BYTES, "fills a slot");

static inline uint64_t derived_word(uint64_t number, uint64_t index)
{
    uint64_t value = (number + 1) * 0x9e3779b97f4a7c15ULL + index;
    return value ^ value >> 29;
}

static inline void derived_make(struct derived *record, uint64_t number)
{
    record->seq = 0;
    record->number = number;
    for (uint64_t i = 0; i < 30; i++) {
        record->word[i] = derived_word(number, i);
    }
}

/* 1 when `record` is record `number`, whole. */
static inline int derived_whole(const struct derived *record, uint64_t number)
{
    int whole = record->seq == 2 * number + 2 && record->number == number;
    for (uint64_t i = 0; i < 30; i++) {
        whole &= record->word[i] == derived_word(number, i);
    }
    return whole;
}

#endif
