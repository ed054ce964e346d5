/* ring_claims.h: the ring's claims at the moments that matter. The hooks stop the writer inside a slot and read
 * there, or stop a reader inside a copy and write there: what a race does now and then happens every
 * time. Returns how many claims did not hold: 0 for ring.c, more for each of its wrong variants. */
#ifndef MXRC_RING_CLAIMS_H
#define MXRC_RING_CLAIMS_H

#include "fixture.h"
#include "ring_hooked.h"

enum { CLAIM_CAPACITY = 64 };

static struct mxrc_ring claim_ring;
static unsigned claim_broken;
static unsigned claim_made;
static enum ring_place claim_place;
static uint64_t claim_next;

static void claim(int holds, const char *what)
{
    claim_made++;
    if (!holds) {
        if (claim_broken == 0) {
            printf("does not hold: %s\n", what);
        }
        claim_broken++;
    }
}

static void claim_publish(void)
{
    struct derived record;
    derived_make(&record, claim_next);
    claim_next = mxrc_ring_publish(&claim_ring, &record) + 1;
}

/* At `claim_place` inside the writing of record `claim_next`. */
static void reads_inside(enum ring_place place)
{
    if (place != claim_place) {
        return;
    }
    ring_hook = NULL;
    uint64_t head = claim_ring.header->head;
    struct derived record;
    for (uint64_t number = 0; number < head + 2; number++) {
        if (mxrc_ring_read_one(&claim_ring, number, &record)) {
            claim(derived_whole(&record, number), "a record that is read is whole");
            claim(number < head, "a record is read once it is published");
        } else {
            claim(number >= head || number + CLAIM_CAPACITY <= head,
                  "a published record can be read until it is overwritten");
        }
    }
}

/* A reader is stopped before its copy while the writer goes once around. */
static void writes_inside(enum ring_place place)
{
    if (place != MXRC_RING_READING) {
        return;
    }
    ring_hook = NULL;
    for (int i = 0; i < CLAIM_CAPACITY; i++) {
        claim_publish();
    }
}

/* What is left of a writer that died at this place. */
static void dies_inside(enum ring_place place)
{
    if (place == claim_place) {
        _exit(EXIT_SUCCESS);
    }
}

static int publish_one(void *unused)
{
    (void)unused;
    claim_publish();
    return EXIT_FAILURE;
}

static void claim_death_at(enum ring_place place)
{
    uint64_t head = claim_ring.header->head;
    uint64_t tombstones = claim_ring.header->tombstones;
    uint64_t cursor = head;
    uint64_t lost = 0;
    struct derived record[2];

    claim_place = place;
    ring_hook = dies_inside;
    fixture_child(publish_one, NULL);
    ring_hook = NULL;
    mxrc_ring_recover(&claim_ring);
    claim(mxrc_ring_recover(&claim_ring) == 0, "recovery is finished after one call");
    claim(claim_ring.header->head == head + 1, "the unfinished record has its number");
    claim(claim_ring.header->tombstones == tombstones + (place != MXRC_RING_DONE),
          "a record that was lost with its writer is counted");
    claim_next = claim_ring.header->head;
    claim_publish();
    claim(mxrc_ring_read(&claim_ring, &cursor, record, 2, &lost) == 2 && lost == 0,
          "readers get past the place of death and lose nothing");
    if (place == MXRC_RING_DONE) {
        claim(derived_whole(&record[0], head), "a complete record is published by the successor");
    } else {
        struct mxrc_cycle_record cycle;
        memcpy(&cycle, &record[0], sizeof cycle);
        claim(cycle.flags == MXRC_CYCLE_TOMBSTONE && cycle.scheduled_ns == 0,
              "an incomplete record becomes a tombstone");
    }
    claim(derived_whole(&record[1], claim_next - 1), "the successor's first record is whole");
}

static unsigned ring_claims(void)
{
    struct mxrc_segment segment;
    fixture_live(&segment);
    if (mxrc_ring_open(&claim_ring, &segment, MXRC_REGION_CYCLE_RING) != 0) {
        return 1;
    }
    for (int round = 0; round < 3 * CLAIM_CAPACITY; round++) {
        for (int place = MXRC_RING_MARKED; place <= MXRC_RING_DONE; place++) {
            claim_place = (enum ring_place)place;
            ring_hook = reads_inside;
            claim_publish();
            ring_hook = NULL;
        }
    }
    for (int round = 0; round < 10; round++) {
        uint64_t cursor = claim_next - 1 - (uint64_t)round;
        uint64_t lost = 0;
        struct derived record[CLAIM_CAPACITY];
        ring_hook = writes_inside;
        uint64_t got = mxrc_ring_read(&claim_ring, &cursor, record, CLAIM_CAPACITY - 4, &lost);
        claim(lost > 0, "what was overwritten under the reader is counted");
        for (uint64_t i = 0; i < got; i++) {
            claim(derived_whole(&record[i], cursor - got + i), "a record that is read is whole");
        }
    }
    for (int place = MXRC_RING_MARKED; place <= MXRC_RING_DONE; place++) {
        claim_death_at((enum ring_place)place);
    }
    mxrc_segment_detach(&segment);
    printf("%u claims, %u did not hold\n", claim_made, claim_broken);
    return claim_broken;
}

/* main of a wrong variant: the claims must find it. */
__attribute__((unused)) static int wrong_variant(void)
{
    fixture_start();
    CHECK_SAY(ring_claims() > 0, "the mistake was not found");
    return test_summary();
}

#endif
