/* creators.h: many processes that all find no generation, or a dead one, and open at the same moment. */
#ifndef MXRC_CREATORS_H
#define MXRC_CREATORS_H

#include <sched.h>

#include "../src/atomic.h"
#include "fixture.h"

enum { CREATORS = 6, WATCHERS = 2 };

struct creators_round {
    uint64_t arrived;
    uint64_t opened;
    struct {
        int result;
        int created;
        int member;
        uint64_t generation;
        char error[200];
    } by[CREATORS];
    uint64_t half_made; /* answers to the watchers that are not absent, building or whole */
};

static struct creators_round *creators_round;

static void creators_meet(uint64_t *count, uint64_t all)
{
    mxrc_add_u64(count, 1);
    while (mxrc_load_acquire(count) < all) {
        sched_yield();
    }
}

static int creators_open(struct mxrc_segment *segment, int *created);
static int creators_publish(struct mxrc_segment *segment);

static void creators_body(void *argument)
{
    int index = (int)(intptr_t)argument;
    struct mxrc_segment segment;
    int created = 0;
    creators_meet(&creators_round->arrived, CREATORS);
    int result = creators_open(&segment, &created);
    creators_round->by[index].result = result;
    creators_round->by[index].created = created;
    memcpy(creators_round->by[index].error, error, 199);
    if (result == MXRC_OPEN_OK) {
        creators_round->by[index].generation = segment.generation;
        creators_round->by[index].member = segment.member;
        if (created && creators_publish(&segment) != 0) {
            creators_round->by[index].result = -1;
        }
    }
    /* All stay until all are in: then they are alive together. */
    creators_meet(&creators_round->opened, CREATORS);
}

static void creators_watch(void *unused)
{
    (void)unused;
    struct mxrc_segment segment;
    while (mxrc_load_acquire(&creators_round->opened) < CREATORS) {
        int result = fixture_attach(&segment, MXRC_ACCESS_READ);
        if (result == MXRC_OPEN_OK) {
            mxrc_segment_detach(&segment);
        } else if (result != MXRC_OPEN_ABSENT && result != MXRC_OPEN_BUILDING) {
            mxrc_add_u64(&creators_round->half_made, 1);
        }
        sched_yield();
    }
}

/* 1 when the round made one generation that all share and nobody saw half of it. */
static int creators_run(void)
{
    pid_t process[CREATORS + WATCHERS];
    memset(creators_round, 0, sizeof *creators_round);
    fflush(stdout);
    for (int i = 0; i < CREATORS + WATCHERS; i++) {
        process[i] = fork();
        if (process[i] == 0) {
            if (i < CREATORS) {
                creators_body((void *)(intptr_t)i);
            } else {
                creators_watch(NULL);
            }
            _exit(EXIT_SUCCESS); /* without leaving: the next round finds it dead */
        }
    }
    int good = 1;
    for (int i = 0; i < CREATORS + WATCHERS; i++) {
        int status = -1;
        waitpid(process[i], &status, 0);
        good &= status == 0;
    }
    int created = 0;
    uint32_t members = 0;
    for (int i = 0; i < CREATORS; i++) {
        good &= creators_round->by[i].result == MXRC_OPEN_OK;
        good &= creators_round->by[i].generation == creators_round->by[0].generation;
        created += creators_round->by[i].created;
        members |= 1u << (creators_round->by[i].member & 31);
    }
    return good && created <= 1 && members == (1u << CREATORS) - 1 &&
           creators_round->half_made == 0;
}

#endif
