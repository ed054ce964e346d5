/* ring_race.h: one writer against several readers at full speed, on a ring small enough that the readers are lapped all
 * the time. The writer gives its CPU away inside slots now and then, so that on few cores, too, readers come upon them. */
#ifndef MXRC_RING_RACE_H
#define MXRC_RING_RACE_H

#include <sched.h>

#include "fixture.h"
#include "ring_hooked.h"

enum { RACE_READERS = 3, RACE_BATCH = 16, RACE_RECORDS = 2000 /* at least */ };

struct race_reader {
    uint64_t seen;
    uint64_t lost;
    uint64_t torn;
};

struct race {
    uint64_t published; /* release, once; 0 while the writer is at work */
    uint64_t duration_ns;
    struct race_reader reader[RACE_READERS];
};

static struct race *race;
static struct mxrc_segment race_segment;
static __thread uint64_t race_random = 88172645463325252ULL;

static void race_yield(enum ring_place place)
{
    if (place == MXRC_RING_HALF && test_random(&race_random) >> 55 == 0) {
        sched_yield();
    }
}

static void race_write(void *unused)
{
    (void)unused;
    struct mxrc_ring ring;
    struct derived record;
    uint64_t number = 0;
    mxrc_ring_open(&ring, &race_segment, MXRC_REGION_CYCLE_RING);
    for (uint64_t end = mxrc_now_ns() + race->duration_ns;
         number < RACE_RECORDS || mxrc_now_ns() < end;) {
        for (int i = 0; i < 100; i++) {
            derived_make(&record, number);
            number = mxrc_ring_publish(&ring, &record) + 1;
        }
    }
    mxrc_store_release(&race->published, number);
}

static void race_read(void *argument)
{
    struct race_reader *mine = argument;
    struct mxrc_ring ring;
    struct derived record[RACE_BATCH];
    uint64_t cursor = 0;
    uint64_t end;
    mxrc_ring_open(&ring, &race_segment, MXRC_REGION_CYCLE_RING);
    do {
        end = mxrc_load_acquire(&race->published);
        uint64_t lost = 0;
        uint64_t from = cursor;
        uint64_t got = mxrc_ring_read(&ring, &cursor, record, RACE_BATCH, &lost);
        uint64_t last = from;
        for (uint64_t i = 0; i < got; i++) {
            /* In order, each once, each whole. Losses may lie between them. */
            uint64_t number = record[i].seq / 2 - 1;
            mine->torn += !derived_whole(&record[i], number) || number < last || number >= cursor;
            last = number + 1;
        }
        mine->torn += cursor - from != got + lost;
        mine->seen += got;
        mine->lost += lost;
        if (got == 0) {
            sched_yield();
        }
    } while (end == 0 || cursor < end);
}

static void race_run(uint32_t slots, uint64_t duration_ns)
{
    struct fixture_worker writer = {.body = race_write};
    struct fixture_worker reader[RACE_READERS] = {0};
    race = fixture_shared(sizeof *race);
    race->duration_ns = duration_ns;
    fixture_cycle_slots = slots;
    fixture_live(&race_segment);
    ring_hook = race_yield;
    for (int i = 0; i < RACE_READERS; i++) {
        reader[i].body = race_read;
        reader[i].argument = &race->reader[i];
        fixture_work(&reader[i]);
    }
    fixture_work(&writer);
    CHECK(fixture_wait(&writer));
    for (int i = 0; i < RACE_READERS; i++) {
        CHECK(fixture_wait(&reader[i]));
        printf("reader %d: %" PRIu64 " seen, %" PRIu64 " lost, %" PRIu64 " torn of %" PRIu64 "\n",
               i, race->reader[i].seen, race->reader[i].lost, race->reader[i].torn,
               race->published);
    }
    ring_hook = NULL;
    mxrc_segment_detach(&race_segment);
}

#endif
