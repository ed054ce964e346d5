/* test_ring_kill.c [ODD_KILLS]: writers die by SIGKILL wherever they are; each successor repairs what it finds.
 *
 * The writer pauses inside slots now and then so that many kills hit an odd sequence word; in every
 * fourth round it does not pause, and dies where the clock wants. Goes on until so many kills (100) have hit an
 * odd word. A reader checks all along that every record is there, whole or as a tombstone. */
#include <signal.h>
#include <time.h>

#include "fixture.h"
#include "ring_hooked.h"

static struct mxrc_segment segment;
static struct mxrc_ring ring;
static uint64_t dice;

static void rest(uint64_t ns)
{
    nanosleep(&(struct timespec){.tv_nsec = (long)ns}, NULL);
}

static void pause_inside(enum ring_place place)
{
    (void)place;
    if (test_random(&dice) >> 59 == 0) {
        rest(500000);
    }
}

static void write_for_ever(void)
{
    struct derived record;
    mxrc_ring_recover(&ring);
    for (;;) {
        derived_make(&record, mxrc_load_relaxed(&ring.header->head));
        mxrc_ring_publish(&ring, &record);
    }
}

struct account {
    uint64_t cursor;
    uint64_t seen;
    uint64_t tombstones;
    uint64_t lost;
    uint64_t bad;
};

static void read_all(struct account *account)
{
    struct derived record[32];
    struct mxrc_cycle_record cycle;
    uint64_t got;
    while ((got = mxrc_ring_read(&ring, &account->cursor, record, 32, &account->lost)) > 0) {
        for (uint64_t i = 0; i < got; i++) {
            memcpy(&cycle, &record[i], sizeof cycle);
            uint64_t number = record[i].seq / 2 - 1;
            if (derived_whole(&record[i], number)) {
                account->seen++;
            } else if (cycle.flags == MXRC_CYCLE_TOMBSTONE && cycle.cycle == 0) {
                account->tombstones++;
            } else {
                account->bad++;
            }
        }
    }
}

int main(int argc, char **argv)
{
    uint64_t wanted = argc > 1 ? strtoull(argv[1], NULL, 10) : 100;
    struct account account = {0};
    uint64_t kills = 0;
    uint64_t odd = 0;
    uint64_t behind = 0;
    fixture_start();
    fixture_live(&segment);
    CHECK_EQUAL(mxrc_ring_open(&ring, &segment, MXRC_REGION_CYCLE_RING), 0);
    dice = (uint64_t)getpid() | 1ULL << 40;

    while (odd < wanted && kills < 200 * wanted) {
        uint64_t before = mxrc_load_acquire(&ring.header->head);
        test_random(&dice);
        fflush(stdout);
        pid_t writer = fork();
        if (writer == 0) {
            ring_hook = kills % 4 != 3 ? pause_inside : NULL;
            write_for_ever();
        }
        /* Killed at a random moment, but after its recovery: that is done once head moves on. */
        while (mxrc_load_acquire(&ring.header->head) < before + 2) {
            rest(20000);
        }
        for (uint64_t i = test_random(&dice) >> 62; i > 0; i--) {
            read_all(&account);
        }
        rest(test_random(&dice) >> 45);
        kill(writer, SIGKILL);
        waitpid(writer, NULL, 0);
        kills++;

        uint64_t head = mxrc_load_acquire(&ring.header->head);
        uint64_t seq = mxrc_load_acquire(
            (uint64_t *)(void *)(ring.slots + (head & ring.mask) * ring.slot_bytes));
        if ((seq & 1) != 0) {
            CHECK_EQUAL(seq, 2 * head + 1);
            odd++;
        }
        behind += seq == 2 * head + 2;
        read_all(&account); /* what a dead writer left must not stop readers */
        CHECK_EQUAL(account.cursor, head);
    }
    mxrc_ring_recover(&ring);
    read_all(&account);

    printf("%" PRIu64 " kills: %" PRIu64 " in an odd slot, %" PRIu64 " with head behind; %" PRIu64
           " records seen, %" PRIu64 " lost, %" PRIu64 " tombstones seen\n",
           kills, odd, behind, account.seen, account.lost, account.tombstones);
    CHECK(odd >= wanted);
    CHECK_EQUAL(account.bad, 0);
    CHECK_EQUAL(ring.header->tombstones, odd);
    CHECK_EQUAL(account.seen + account.tombstones + account.lost, ring.header->head);
    CHECK(account.tombstones > 0 && account.seen > 0);
    mxrc_segment_detach(&segment);
    return test_summary();
}
