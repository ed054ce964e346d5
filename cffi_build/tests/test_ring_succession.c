/* test_ring_succession.c [SUCCESSIONS]: readers go on reading at full speed while one writer after the other gives up in the middle
 * of a record and its successor repairs what it finds.
 *
 * Writers are threads that jump out of a slot at a random place, where test_ring_kill.c kills processes: so ThreadSanitizer
 * sees the successor's stores and the readers' loads. A join orders one writer after the other, as the lease does. */
#include <sched.h>
#include <setjmp.h>

#include "fixture.h"
#include "ring_hooked.h"

enum { READERS = 2, BATCH = 16 };

struct reader {
    pthread_t thread;
    uint64_t seen;
    uint64_t lost;
    uint64_t tombstones;
    uint64_t bad;
};

static struct mxrc_segment segment;
static struct mxrc_ring ring;
static uint64_t ended;
static __thread jmp_buf *give_up;
static __thread uint64_t left;

static void gives_up(enum ring_place place)
{
    if (give_up != NULL && place != MXRC_RING_READING && left-- == 0) {
        longjmp(*give_up, 1);
    }
}

static void *write_some(void *dice)
{
    jmp_buf here;
    struct derived record;
    mxrc_ring_recover(&ring);
    left = 40 + (test_random(dice) >> 56);
    give_up = &here;
    if (setjmp(here) == 0) {
        for (;;) {
            derived_make(&record, mxrc_load_relaxed(&ring.header->head));
            mxrc_ring_publish(&ring, &record);
        }
    }
    give_up = NULL;
    return NULL;
}

static void *read_all(void *argument)
{
    struct reader *mine = argument;
    struct derived record[BATCH];
    struct mxrc_cycle_record cycle;
    uint64_t cursor = 0;
    uint64_t last;
    do {
        last = mxrc_load_acquire(&ended);
        uint64_t got = mxrc_ring_read(&ring, &cursor, record, BATCH, &mine->lost);
        for (uint64_t i = 0; i < got; i++) {
            memcpy(&cycle, &record[i], sizeof cycle);
            if (derived_whole(&record[i], record[i].seq / 2 - 1)) {
                mine->seen++;
            } else if (cycle.flags == MXRC_CYCLE_TOMBSTONE && cycle.cycle == 0) {
                mine->tombstones++;
            } else {
                mine->bad++;
            }
        }
        if (got == 0) {
            sched_yield();
        }
    } while (last == 0 || cursor < last);
    return NULL;
}

int main(int argc, char **argv)
{
    uint64_t successions = argc > 1 ? strtoull(argv[1], NULL, 10) : 300;
    struct reader reader[READERS] = {0};
    uint64_t dice = 88172645463325252ULL;
    fixture_start();
    fixture_cycle_slots = 16;
    fixture_live(&segment);
    CHECK_EQUAL(mxrc_ring_open(&ring, &segment, MXRC_REGION_CYCLE_RING), 0);
    ring_hook = gives_up;
    for (int i = 0; i < READERS; i++) {
        pthread_create(&reader[i].thread, NULL, read_all, &reader[i]);
    }
    for (uint64_t i = 0; i < successions; i++) {
        pthread_t writer;
        pthread_create(&writer, NULL, write_some, &dice);
        pthread_join(writer, NULL);
    }
    mxrc_ring_recover(&ring);
    uint64_t head = ring.header->head;
    uint64_t tombstones = ring.header->tombstones;
    mxrc_store_release(&ended, head);
    for (int i = 0; i < READERS; i++) {
        pthread_join(reader[i].thread, NULL);
        printf("reader %d: %" PRIu64 " seen, %" PRIu64 " lost, %" PRIu64 " tombstones of %" PRIu64
               "\n",
               i, reader[i].seen, reader[i].lost, reader[i].tombstones, head);
        CHECK_EQUAL(reader[i].bad, 0);
        CHECK_EQUAL(reader[i].seen + reader[i].tombstones + reader[i].lost, head);
        CHECK(reader[i].tombstones <= tombstones);
        CHECK(reader[i].seen > 0);
    }
    /* Three of the four places where a writer gives up leave an odd slot. */
    CHECK(tombstones > successions / 3 && tombstones < successions);
    mxrc_segment_detach(&segment);
    return test_summary();
}
