/* image_claims.h: the claims of the process image at the moments that matter. The hooks stop one side inside a commit, a take-over or
 * a copy and let the others work there: what a race does now and then happens every time. image_claims() is the number of claims
 * that did not hold: 0 for process_image*.c, more for each of their wrong variants. */
#ifndef MXRC_IMAGE_CLAIMS_H
#define MXRC_IMAGE_CLAIMS_H

#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <sys/mman.h>
#include <unistd.h>

#include "test.h"

enum image_place {
    MXRC_IMAGE_NOWHERE,
    MXRC_IMAGE_ADMITTING, /* successor: word loaded, not swapped */
    MXRC_IMAGE_CHECKED,   /* executive: its epoch is in the word, buffer not begun */
    MXRC_IMAGE_HALF,      /* executive: half of the buffer is filled */
    MXRC_IMAGE_FILLED,    /* executive: all of it, not committed */
    MXRC_IMAGE_NAMED,     /* plant: word loaded, buffer not copied */
    MXRC_IMAGE_COPIED,    /* plant: copied, word not looked at again */
    MXRC_IMAGE_MEASURING, /* plant: half of the inputs is written */
    MXRC_IMAGE_READING,   /* executive: inputs copied, sequence word not looked at again */
};

static void (*image_hook)(enum image_place place);

#define MXRC_IMAGE_HOOK(place)                                                                     \
    do {                                                                                           \
        if (image_hook)                                                                            \
            image_hook(place);                                                                     \
    } while (0)

#define mxrc_image_admit hooked_admit
#define mxrc_image_commit hooked_commit
#define mxrc_image_read_committed hooked_read_committed
#define mxrc_image_read_inputs hooked_read_inputs
#define mxrc_image_write_inputs hooked_write_inputs
#define mxrc_image_read_outputs hooked_read_outputs
#include "../src/process_image_plant.c"
#include "../src/process_image_rt.c"

#define CLAIM_AXES 8

static struct mxrc_image plant, old, new;
static char image_name[40], image_error[256];
static unsigned claims_made, claims_broken;
static uint64_t newest; /* epoch that was admitted last */
static uint64_t clock_ns;

static void claim(int holds, const char *what)
{
    claims_made++;
    if (holds)
        return;
    if (claims_broken == 0)
        printf("does not hold: %s\n", what);
    claims_broken++;
}

static double derived(uint64_t epoch, uint64_t cycle, int axis)
{
    return (double)(epoch * 1000000 + cycle * 10) + axis;
}

static int commit(struct mxrc_image *by, uint64_t epoch, uint64_t cycle)
{
    double command[CLAIM_AXES];
    for (int i = 0; i < CLAIM_AXES; i++)
        command[i] = derived(epoch, cycle, i);
    return mxrc_image_commit(by, by == &new, epoch, cycle, cycle, MXRC_IMAGE_POSITION, command);
}

static void admit(struct mxrc_image *by, uint64_t epoch)
{
    mxrc_image_admit(by, epoch);
    newest = epoch;
}

/* The plant's turn: what is new comes whole from the process whose epoch was admitted last. Its cycle, 0: nothing new. */
static uint64_t plant_turn(void)
{
    struct mxrc_image_outputs got;
    uint64_t admitted_before = newest;
    if (mxrc_image_read_outputs(&plant, ++clock_ns, &got) != MXRC_IMAGE_TAKEN)
        return 0;
    uint64_t epoch = (uint64_t)(got.command[0] / 1000000);
    int whole = got.kind == MXRC_IMAGE_POSITION && got.time_ns == got.cycle;
    for (int i = 0; i < CLAIM_AXES; i++)
        whole &= got.command[i] == derived(epoch, got.cycle, i);
    claim(whole, "what reaches a device is one commit, whole");
    claim(epoch >= admitted_before, "nothing of an older epoch reaches a device");
    return got.cycle;
}

/* ---- a process that stands still in a commit, while another takes over ---- */

static enum image_place stop_at;
static int successor_commits;

static void taken_over(enum image_place place)
{
    if (place != stop_at)
        return;
    image_hook = NULL;
    admit(&new, newest + 1);
    claim(plant_turn() == 0, "a take-over alone brings nothing to a device");
    for (int i = 1; i <= successor_commits; i++) {
        claim(commit(&new, newest, (uint64_t)i) == 0, "the successor commits");
        if (i != successor_commits)
            claim(plant_turn() == (uint64_t)i, "each commit reaches the devices");
    }
}

static void stalled_in_commit(void)
{
    for (stop_at = MXRC_IMAGE_CHECKED; stop_at <= MXRC_IMAGE_FILLED; stop_at++)
        for (successor_commits = 0; successor_commits < 6; successor_commits++)
            for (uint64_t before = 0; before < 3; before++) {
                admit(&old, newest + 1);
                uint64_t epoch = newest;
                for (uint64_t i = 1; i <= before; i++)
                    commit(&old, epoch, i);
                plant_turn();
                image_hook = taken_over;
                int result = commit(&old, epoch, 77);
                image_hook = NULL;
                claim(result == ESTALE, "who was taken over learns it");
                uint64_t cycle = plant_turn();
                claim(cycle == (uint64_t)successor_commits, "the successor's last commit stands");
                claim(commit(&old, epoch, 78) == ESTALE, "and stays out");
                claim(plant_turn() == 0, "nothing more");
            }
}

/* ---- a plant that stands still in its copy, while an executive goes on, dies in its buffer, or is taken over ---- */

static int more_commits, then_dies, then_taken_over;
static jmp_buf death;

static void dies(enum image_place place)
{
    if (place == MXRC_IMAGE_HALF)
        longjmp(death, 1);
}

static void dies_there(enum image_place place)
{
    if (place == stop_at)
        longjmp(death, 1);
}

static void while_copying(enum image_place place)
{
    if (place != stop_at)
        return;
    image_hook = NULL;
    for (int i = 0; i < more_commits; i++)
        claim(commit(&old, newest, 100 + (uint64_t)i) == 0, "commits go on while the plant copies");
    if (then_taken_over)
        admit(&new, newest + 1);
    if (then_dies && !setjmp(death)) {
        image_hook = dies;
        commit(&old, newest - (uint64_t)then_taken_over, 99);
    }
    image_hook = NULL;
}

static void stalled_in_copy(void)
{
    for (stop_at = MXRC_IMAGE_NAMED; stop_at <= MXRC_IMAGE_COPIED; stop_at++)
        for (more_commits = 0; more_commits < 6; more_commits++)
            for (int end = 0; end < 4; end++) {
                then_dies = end & 1;
                then_taken_over = end >> 1;
                admit(&old, newest + 1);
                commit(&old, newest, 1);
                image_hook = while_copying;
                uint64_t cycle = plant_turn();
                image_hook = NULL;
                uint64_t last = more_commits ? 99 + (uint64_t)more_commits : 1;
                claim(cycle == (then_taken_over ? 0 : last),
                      "the last commit, unless its epoch is over");
                claim(plant_turn() == 0, "once");
            }
}

/* ---- two that take over at once ---- */

static void overtaken(enum image_place place)
{
    if (place != MXRC_IMAGE_ADMITTING)
        return;
    image_hook = NULL;
    admit(&new, newest + 2);
    commit(&new, newest, 5);
}

static void stalled_in_admit(void)
{
    for (int i = 0; i < 3; i++) {
        uint64_t epoch = newest + 1;
        image_hook = overtaken;
        int result = mxrc_image_admit(&old, epoch);
        image_hook = NULL;
        claim(result == ESTALE && newest == epoch + 1, "the older claimant is told");
        claim(commit(&old, epoch, 6) == ESTALE, "and commits nothing");
        claim(plant_turn() == 5, "the newer one drives");
    }
}

/* ---- what was committed last ---- */

static uint64_t committed_last(const struct mxrc_image *by)
{
    struct mxrc_image_outputs last;
    if (!mxrc_image_read_committed(by, &last))
        return 0;
    claim(last.kind == MXRC_IMAGE_POSITION &&
              last.command[7] == derived(mxrc_image_epoch(last.head), last.cycle, 7),
          "what is read of a predecessor is one commit, whole");
    return last.cycle;
}

static void commit_and_die(struct mxrc_image *by, uint64_t cycle)
{
    image_hook = dies_there;
    if (!setjmp(death))
        commit(by, newest, cycle);
    image_hook = NULL;
}

/* A successor reads it, whatever the predecessor died in, and whatever claimants without a commit came in between. One that
 * dies in its own first commit does not spoil it for the next. */
static void committed(void)
{
    for (enum image_place place = MXRC_IMAGE_CHECKED; place <= MXRC_IMAGE_FILLED; place++)
        for (uint64_t commits = 1; commits < 4; commits++)
            for (int claimants = 1; claimants < 4; claimants++) {
                admit(&old, newest + 1);
                for (uint64_t i = 1; i <= commits; i++)
                    commit(&old, newest, 200 + i);
                stop_at = place;
                commit_and_die(&old, 299);
                for (int i = 0; i < claimants; i++) {
                    struct mxrc_image *by = i % 2 ? &old : &new;
                    admit(by, newest + 1);
                    claim(committed_last(by) == 200 + commits, "the last commit is known");
                    commit_and_die(by, 298);
                }
                admit(&new, newest + 1);
                claim(committed_last(&new) == 200 + commits, "and stays known");
                plant_turn();
            }
}

/* ---- inputs ---- */

static void measure(uint64_t number)
{
    double value[CLAIM_AXES], other[CLAIM_AXES];
    for (int i = 0; i < CLAIM_AXES; i++) {
        value[i] = (double)number + i;
        other[i] = -value[i];
    }
    mxrc_image_write_inputs(&plant, number, value, other, value);
}

static int inputs_whole(const struct mxrc_image_inputs *in)
{
    int whole = 1;
    for (int i = 0; i < CLAIM_AXES; i++)
        whole &= in->position[i] == (double)in->time_ns + i &&
                 in->velocity[i] == -in->position[i] && in->effort[i] == in->position[i];
    return whole;
}

static void reads_inside(enum image_place place)
{
    struct mxrc_image_inputs in;
    if (place == MXRC_IMAGE_MEASURING)
        claim(mxrc_image_read_inputs(&old, &in) == 0, "half of a measurement is not read");
}

static void writes_inside(enum image_place place)
{
    if (place != MXRC_IMAGE_READING)
        return;
    image_hook = NULL;
    measure(1000);
}

static void inputs(void)
{
    struct mxrc_image_inputs in;
    image_hook = reads_inside;
    measure(500);
    image_hook = writes_inside;
    claim(mxrc_image_read_inputs(&old, &in) == 1 && in.time_ns == 1000 && inputs_whole(&in),
          "a measurement that came during the copy is read whole");
    image_hook = NULL;
}

static void image_pair(void)
{
    snprintf(image_name, sizeof image_name, "test-%ld", (long)getpid());
    if (mxrc_image_create(&plant, image_name, CLAIM_AXES, 1000000000, image_error,
                          sizeof image_error) ||
        mxrc_image_attach(&old, image_name, CLAIM_AXES, 42, image_error, sizeof image_error) ||
        mxrc_image_attach(&new, image_name, CLAIM_AXES, 42, image_error, sizeof image_error)) {
        printf("%s\n", image_error);
        exit(EXIT_FAILURE);
    }
}

static unsigned image_claims(void)
{
    image_pair();
    stalled_in_commit();
    stalled_in_copy();
    stalled_in_admit();
    committed();
    inputs();
    mxrc_image_close(&old);
    mxrc_image_close(&new);
    mxrc_image_close(&plant);
    printf("%u claims, %u did not hold\n", claims_made, claims_broken);
    return claims_broken;
}

/* main of a wrong variant: the claims must find it. */
__attribute__((unused)) static int wrong_variant(void)
{
    CHECK_SAY(image_claims() > 0, "the mistake was not found");
    return test_summary();
}

#endif
