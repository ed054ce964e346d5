/* ring_account RECORDS SLOTS STOPS INTERVAL_NS: one writer and three readers, each a process with its own map of the segment, pinned where
 * there are CPUs to choose from. Every reader accounts for every record in a bitmap of its own, apart from the ring's books:
 * seen exactly once, whole and in order, or counted as lost.
 *
 * STOPS: how often the first reader is stopped (SIGSTOP) wherever it is and continued once it has been lapped. On a ring that holds
 * all records (SLOTS >= RECORDS) nothing may be lost at all. INTERVAL_NS: of the writer's records, 0: as fast as it can. Exit status 0: every record is accounted for.
 * Built with MXRC_WRONG_... it must find the mistake. */
#define _GNU_SOURCE
#include <sched.h>
#include <signal.h>
#include <time.h>

#include "fixture.h"
#include "ring_hooked.h"

enum { READERS = 3, BATCH = 256 };

struct account {
    uint64_t seen;
    uint64_t lost;
    uint64_t torn;
    uint64_t twice;
    uint64_t disorder;
    uint64_t *bitmap;
};

static struct shared {
    uint64_t ready;     /* readers that look at the ring */
    uint64_t published; /* release, once, by the writer */
    struct account reader[READERS];
} * shared;

static struct mxrc_segment segment;
static uint64_t records;
static uint64_t interval_ns;
static uint64_t dice = 88172645463325252ULL;

/* The writer gets the last CPU, the readers share the others. None outlives a parent that was killed for long. */
static void settle(int reader)
{
    cpu_set_t all;
    cpu_set_t one;
    int cpus[CPU_SETSIZE];
    int count = 0;
    alarm(240);
    if (sched_getaffinity(0, sizeof all, &all) != 0) {
        return;
    }
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (CPU_ISSET(cpu, &all)) {
            cpus[count++] = cpu;
        }
    }
    if (count < 2) {
        return;
    }
    CPU_ZERO(&one);
    CPU_SET(reader < 0 ? cpus[count - 1] : cpus[reader % (count - 1)], &one);
    sched_setaffinity(0, sizeof one, &one);
}

/* Gives the CPU away inside slots now and then, so that on few CPUs, too, the other side comes upon them. */
static void yields(enum ring_place place)
{
    if (place != MXRC_RING_DONE && test_random(&dice) >> 52 == 0) {
        sched_yield();
    }
}

static void write_all(void *unused)
{
    (void)unused;
    struct mxrc_ring ring;
    struct derived record;
    settle(-1);
    mxrc_ring_open(&ring, &segment, MXRC_REGION_CYCLE_RING);
    while (mxrc_load_acquire(&shared->ready) < READERS) {
        sched_yield();
    }
    uint64_t start = mxrc_now_ns();
    for (uint64_t number = 0; number < records; number++) {
        while (interval_ns > 0 && mxrc_now_ns() < start + number * interval_ns) {
            mxrc_pause();
        }
        derived_make(&record, number);
        mxrc_ring_publish(&ring, &record);
    }
    mxrc_store_release(&shared->published, records);
}

static void take(struct account *mine, const struct derived *record, uint64_t *next)
{
    uint64_t number = record->seq / 2 - 1;
    if (number >= records || !derived_whole(record, number)) {
        mine->torn++;
        return;
    }
    uint64_t bit = 1ULL << number % 64;
    mine->twice += (mine->bitmap[number / 64] & bit) != 0;
    mine->bitmap[number / 64] |= bit;
    mine->disorder += number < *next;
    *next = number + 1;
    mine->seen++;
}

static void read_all(void *argument)
{
    struct account *mine = argument;
    struct mxrc_segment map;
    struct mxrc_ring ring;
    static struct derived record[BATCH];
    uint64_t cursor = 0;
    uint64_t next = 0;
    uint64_t end;
    settle((int)(mine - shared->reader));
    dice += (uint64_t)getpid();
    if (fixture_attach(&map, MXRC_ACCESS_READ) != MXRC_OPEN_OK ||
        mxrc_ring_open(&ring, &map, MXRC_REGION_CYCLE_RING) != 0) {
        printf("reader: %s\n", error);
        _exit(EXIT_FAILURE);
    }
    mxrc_add_u64(&shared->ready, 1);
    do {
        end = mxrc_load_acquire(&shared->published);
        uint64_t got = mxrc_ring_read(&ring, &cursor, record, BATCH, &mine->lost);
        for (uint64_t i = 0; i < got; i++) {
            take(mine, &record[i], &next);
        }
        if (got == 0) {
            sched_yield();
        }
    } while (end == 0 || cursor < end);
}

/* Stops a reader until the writer has gone once around, again and again. Returns how often. */
static uint64_t stop_and_continue(pid_t reader, uint64_t stops)
{
    struct mxrc_ring ring;
    uint64_t done = 0;
    mxrc_ring_open(&ring, &segment, MXRC_REGION_CYCLE_RING);
    while (mxrc_load_acquire(&shared->ready) < READERS) {
        sched_yield(); /* the writer waits for them */
    }
    for (; done < stops && mxrc_load_acquire(&shared->published) == 0; done++) {
        uint64_t head = mxrc_load_acquire(&ring.header->head);
        kill(reader, SIGSTOP);
        while (mxrc_load_acquire(&ring.header->head) <= head + ring.mask + 1 &&
               mxrc_load_acquire(&shared->published) == 0) {
            nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
        }
        kill(reader, SIGCONT);
        nanosleep(&(struct timespec){.tv_nsec = (long)(test_random(&dice) >> 44)}, NULL);
    }
    return done;
}

static void judge(int index, uint64_t slots, uint64_t stopped)
{
    const struct account *reader = &shared->reader[index];
    uint64_t marked = 0;
    for (uint64_t i = 0; i < records / 64 + 1; i++) {
        marked += (uint64_t)__builtin_popcountll(reader->bitmap[i]);
    }
    printf("reader %d: %" PRIu64 " seen, %" PRIu64 " lost, %" PRIu64 " torn, %" PRIu64
           " twice, %" PRIu64 " out of order of %" PRIu64 "\n",
           index, reader->seen, reader->lost, reader->torn, reader->twice, reader->disorder,
           records);
    CHECK_EQUAL(reader->torn, 0);
    CHECK_EQUAL(reader->twice, 0);
    CHECK_EQUAL(reader->disorder, 0);
    CHECK_EQUAL(marked, reader->seen);
    CHECK_EQUAL(records - marked, reader->lost);
    CHECK(reader->seen > 0);
    if (slots >= records) {
        CHECK_EQUAL(reader->lost, 0);
    }
    if (stopped > 0 && index == 0) {
        CHECK(reader->lost > 0);
    }
}

int main(int argc, char **argv)
{
    if (argc != 5) {
        printf("usage: %s RECORDS SLOTS STOPS INTERVAL_NS\n", argv[0]);
        return 2;
    }
    records = strtoull(argv[1], NULL, 10);
    uint64_t slots = strtoull(argv[2], NULL, 10);
    uint64_t stops = strtoull(argv[3], NULL, 10);
    interval_ns = strtoull(argv[4], NULL, 10);
    struct fixture_worker writer = {.body = write_all};
    struct fixture_worker reader[READERS] = {0};
    fixture_start();
    fixture_cycle_slots = (uint32_t)slots;
    fixture_live(&segment);
    shared = fixture_shared(sizeof *shared);
    ring_hook = yields;
    for (int i = 0; i < READERS; i++) {
        shared->reader[i].bitmap = fixture_shared((records / 64 + 1) * 8);
        reader[i].body = read_all;
        reader[i].argument = &shared->reader[i];
        fixture_work(&reader[i]);
    }
    fixture_work(&writer);
    uint64_t stopped = stop_and_continue(reader[0].process, stops);
    CHECK(fixture_wait(&writer));
    for (int i = 0; i < READERS; i++) {
        CHECK(fixture_wait(&reader[i]));
    }
    CHECK_EQUAL(shared->published, records);
    CHECK(stops == 0 || stopped > 0);
    printf("stopped %" PRIu64 " times\n", stopped);
    for (int i = 0; i < READERS; i++) {
        judge(i, slots, stopped);
    }
    mxrc_segment_detach(&segment);
    return test_summary();
}
