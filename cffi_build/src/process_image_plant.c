/* process_image_plant.c: the plant's side of the process image. Wrong variant for the tests: MXRC_WRONG_ONE_LOOK takes the copy
 * without looking at the word again. */
#include <string.h>

#include "process_image.h"

void mxrc_image_write_inputs(struct mxrc_image *image, uint64_t time_ns, const double *position,
                             const double *velocity, const double *effort)
{
    struct mxrc_image_inputs *shared = &image->shared->inputs;
    struct mxrc_image_inputs inputs = {
        .number = shared->number + 1,
        .time_ns = time_ns,
        .incarnation = image->incarnation,
    };
    size_t bytes = image->axes * sizeof *position;
    memcpy(inputs.position, position, bytes);
    memcpy(inputs.velocity, velocity, bytes);
    if (effort)
        memcpy(inputs.effort, effort, bytes);
    memcpy(image->position, position, bytes);
    image->measured = 1;

    size_t skip = offsetof(struct mxrc_image_inputs, number);
    size_t half = sizeof inputs / 2;
    uint64_t odd = mxrc_seq_begin(&shared->seq);
    mxrc_copy_in(&shared->number, &inputs.number, half - skip);
    MXRC_IMAGE_HOOK(MXRC_IMAGE_MEASURING);
    mxrc_copy_in((uint8_t *)shared + half, (const uint8_t *)&inputs + half, sizeof inputs - half);
    mxrc_seq_end(&shared->seq, odd);
}

/* 1 when the copy is what its writer has committed, whole. */
static int admitted(const struct mxrc_image_fence *fence, uint64_t word,
                    const struct mxrc_image_outputs *copy)
{
#ifdef MXRC_WRONG_ONE_LOOK
    (void)fence, (void)word, (void)copy;
    return 1;
#else
    mxrc_fence_acquire();
    return mxrc_load_relaxed(&fence->commit) == word && copy->head == word &&
           copy->tail == copy->stamp;
#endif
}

/* Where the axes are now, or were when a hold that is in force began: they do not creep. */
static void hold(const struct mxrc_image *image, struct mxrc_image_outputs *outputs)
{
    int holds = image->held.kind == MXRC_IMAGE_SAFE && image->held.axes;
    const double *where = holds ? image->held.command : image->position;
    memmove(outputs->command, where, sizeof outputs->command); /* they may be the same */
    outputs->kind = MXRC_IMAGE_SAFE;
}

/* 1 when there was a commit that has not been taken. A word without a buffer, or with one that there is not, says that another
 * process is about to drive: nothing new, and the watchdog goes on. */
static int take(struct mxrc_image *image, uint64_t now_ns)
{
    const struct mxrc_process_image *shared = image->shared;
    struct mxrc_image_outputs copy;
    for (int i = 0; i < MXRC_SEQ_TRIES; i++) {
        uint64_t word = mxrc_load_acquire(&shared->fence.commit);
        if (word == image->seen)
            return 0;
        uint32_t buffer = mxrc_image_buffer(word);
        if (buffer >= MXRC_IMAGE_BUFFERS) {
            image->seen = word;
            return 0;
        }
        MXRC_IMAGE_HOOK(MXRC_IMAGE_NAMED);
        mxrc_copy_out(&copy, &shared->output[buffer], sizeof copy);
        MXRC_IMAGE_HOOK(MXRC_IMAGE_COPIED);
        if (!admitted(&shared->fence, word, &copy))
            continue;
        image->seen = word;
        image->fresh_ns = now_ns;
        if (copy.kind == MXRC_IMAGE_SAFE)
            hold(image, &copy);
        image->held = copy;
        image->safe = 0;
        return 1;
    }
    return 0;
}

int mxrc_image_read_outputs(struct mxrc_image *image, uint64_t now_ns,
                            struct mxrc_image_outputs *outputs)
{
    int taken = take(image, now_ns);
    int first = image->measured && image->held.axes == 0; /* nothing was in force yet */
    if (!taken && (first || (!image->safe && now_ns > image->fresh_ns + image->watchdog_ns))) {
        image->safe = 1;
        hold(image, &image->held);
        image->held.axes = image->axes;
    }
    *outputs = image->held;
    return image->safe ? MXRC_IMAGE_STOPPED : taken ? MXRC_IMAGE_TAKEN : MXRC_IMAGE_HELD;
}
