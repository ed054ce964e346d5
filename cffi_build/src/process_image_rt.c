/* process_image_rt.c: the executive's side of the process image. Wrong variants for the tests: MXRC_WRONG_CHECK_THEN_ACT commits
 * by a store after a look; MXRC_WRONG_NO_ADMIT leaves the word alone at a take-over; MXRC_WRONG_ONE_BUFFER gives all processes the
 * same two buffers; MXRC_WRONG_NAMED_BUFFER fills the buffer that the word names; MXRC_WRONG_FORGETS does not keep the one that was
 * committed last. */
#include <errno.h>
#include <string.h>

#include "process_image.h"

/* A loop ends with each failure of the compare-and-swap against somebody's success; more in a row than there can be claimants. */
#define ADMIT_TRIES 1000

/* Before the epochs of another generation are compared with ours: its processes are gone, the lock on byte 1 says so. The
 * word first, so that two of ours in a race both find either the old generation or an epoch of this one. */
int mxrc_image_admit(struct mxrc_image *image, uint64_t epoch)
{
    struct mxrc_image_fence *fence = &image->shared->fence;
    if (epoch > MXRC_IMAGE_EPOCH_MAX)
        return EOVERFLOW;
    for (int i = 0; i < ADMIT_TRIES; i++) {
        uint64_t word = mxrc_load_acquire(&fence->commit);
        int ours = mxrc_load_acquire(&fence->generation) == image->generation;
        if (ours && mxrc_image_epoch(word) == epoch)
            return 0;
        if (ours && mxrc_image_epoch(word) > epoch)
            return ESTALE;
#ifdef MXRC_WRONG_NO_ADMIT
        if (ours)
            return 0;
#endif
#ifdef MXRC_WRONG_FORGETS
        uint32_t last = 0;
#else
        uint32_t last = mxrc_image_last_buffer(word);
#endif
        uint64_t next = mxrc_image_next(word, epoch, MXRC_IMAGE_NO_BUFFER | last);
        MXRC_IMAGE_HOOK(MXRC_IMAGE_ADMITTING);
        if (!mxrc_cas_u64(&fence->commit, word, next))
            continue;
        mxrc_store_release(&fence->generation, image->generation);
        return 0;
    }
    return ESTALE;
}

/* The one of this process's two buffers that the word does not name: also not as the last one of an epoch before, which a
 * successor has to find whole should this process die in its first commit. */
static uint32_t free_buffer(uint64_t word, uint32_t member)
{
#ifdef MXRC_WRONG_ONE_BUFFER
    member = 0;
#endif
    uint32_t named = mxrc_image_last_buffer(word);
#ifdef MXRC_WRONG_NAMED_BUFFER
    if (named / 2 == member)
        return named;
#endif
    return 2 * member + (named == 2 * member);
}

/* The fence orders the stores after the compare-and-swap that has named the other buffer: a plant that reads one of them sees at
 * its second look that its word no longer stands (atomic.h, pattern 3: that swap is W1). */
static void fill(struct mxrc_image_outputs *buffer, const struct mxrc_image_outputs *content)
{
    size_t half = sizeof *buffer / 2;
    mxrc_fence_release();
    mxrc_copy_in(buffer, content, half);
    MXRC_IMAGE_HOOK(MXRC_IMAGE_HALF);
    mxrc_copy_in((uint8_t *)buffer + half, (const uint8_t *)content + half, half);
}

static int swap(struct mxrc_image_fence *fence, uint64_t word, uint64_t next)
{
#if defined MXRC_WRONG_CHECK_THEN_ACT || defined MXRC_WRONG_NO_ADMIT
    (void)word;
    mxrc_store_release(&fence->commit, next);
    return 1;
#else
    return mxrc_cas_u64(&fence->commit, word, next);
#endif
}

int mxrc_image_commit(struct mxrc_image *image, uint32_t member, uint64_t epoch, uint64_t cycle,
                      uint64_t time_ns, uint32_t kind, const double *command)
{
    struct mxrc_process_image *shared = image->shared;
    uint64_t word = mxrc_load_acquire(&shared->fence.commit);
#ifndef MXRC_WRONG_NO_ADMIT
    if (mxrc_image_epoch(word) != epoch ||
        mxrc_load_acquire(&shared->fence.generation) != image->generation)
        return ESTALE;
#endif
    MXRC_IMAGE_HOOK(MXRC_IMAGE_CHECKED);
    uint32_t buffer = free_buffer(word, member);
    uint64_t next = mxrc_image_next(word, epoch, buffer);
    struct mxrc_image_outputs content = {
        .head = next,
        .stamp = ++image->commits,
        .cycle = cycle,
        .time_ns = time_ns,
        .kind = kind,
        .axes = image->axes,
        .generation = image->generation,
    };
    content.tail = content.stamp;
    memcpy(content.command, command, image->axes * sizeof *command);
    fill(&shared->output[buffer], &content);
    MXRC_IMAGE_HOOK(MXRC_IMAGE_FILLED);
    return swap(&shared->fence, word, next) ? 0 : ESTALE;
}

int mxrc_image_read_committed(const struct mxrc_image *image, struct mxrc_image_outputs *outputs)
{
    const struct mxrc_process_image *shared = image->shared;
    uint64_t word = mxrc_load_acquire(&shared->fence.commit);
    uint32_t last = mxrc_image_last_buffer(word);
    mxrc_copy_out(outputs, &shared->output[last], sizeof *outputs);
    return outputs->stamp != 0 && outputs->tail == outputs->stamp &&
           outputs->generation == image->generation && outputs->axes == image->axes &&
           mxrc_image_buffer(outputs->head) == last &&
           mxrc_image_epoch(outputs->head) <= mxrc_image_epoch(word);
}

int mxrc_image_read_inputs(const struct mxrc_image *image, struct mxrc_image_inputs *inputs)
{
    const struct mxrc_image_inputs *shared = &image->shared->inputs;
    for (int i = 0; i < MXRC_SEQ_TRIES; i++) {
        uint64_t seq = mxrc_load_acquire(&shared->seq);
        if (seq & 1) {
            mxrc_pause();
            continue;
        }
        mxrc_copy_out(inputs, shared, sizeof *inputs);
        MXRC_IMAGE_HOOK(MXRC_IMAGE_READING);
        if (mxrc_seq_unchanged(&shared->seq, seq)) {
            inputs->seq = seq;
            return 1;
        }
    }
    return 0;
}
