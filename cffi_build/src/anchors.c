/* anchors.c: from monotonic to wall-clock time, as the wall clock was then.
 *
 * anchor[n % MXRC_ANCHORS] holds anchor n and count is stored with release after it, so what count covers
 * is whole until it is overwritten MXRC_ANCHORS later. A reader looks at the newest HISTORY only and
 * checks count again: while it has grown by less than two, none of those was being written. */
#include "atomic.h"
#include "segment.h"

#define HISTORY (MXRC_ANCHORS - 2)
#define MOVED_NS 1000000

/* Both clocks read as close together as three attempts allow. */
static struct mxrc_anchor read_clocks(void)
{
    struct mxrc_anchor best = {0, 0};
    uint64_t shortest = UINT64_MAX;
    for (int i = 0; i < 3; i++) {
        uint64_t before = mxrc_now_ns();
        uint64_t realtime = mxrc_realtime_ns();
        uint64_t took = mxrc_now_ns() - before;
        if (took < shortest) {
            shortest = took;
            best = (struct mxrc_anchor){before + took / 2, realtime};
        }
    }
    return best;
}

int mxrc_clock_update(struct mxrc_segment *segment)
{
    const struct mxrc_region_desc *region = mxrc_region_description(segment, MXRC_REGION_CLOCK);
    if (region == NULL || !mxrc_region_writable(segment, region)) {
        return 0;
    }
    struct mxrc_clock *clock = (void *)(segment->base + region->offset);
    struct mxrc_anchor now = read_clocks();
    uint64_t count = mxrc_load_acquire(&clock->count); /* may be a predecessor's */
    if (count > 0) {
        const struct mxrc_anchor *last = &clock->anchor[(count - 1) % MXRC_ANCHORS];
        int64_t moved = (int64_t)((now.realtime_ns - now.monotonic_ns) -
                                  (last->realtime_ns - last->monotonic_ns));
        if (moved >= -MOVED_NS && moved <= MOVED_NS) {
            return 0;
        }
    }
    struct mxrc_anchor *anchor = &clock->anchor[count % MXRC_ANCHORS];
    mxrc_fence_release(); /* who sees a word of this anchor sees count, too */
    mxrc_copy_in(anchor, &now, sizeof now);
    mxrc_store_release(&clock->count, count + 1);
    return 1;
}

/* The newest anchor not after `monotonic_ns`, else the oldest known. 0: overwritten meanwhile. */
static int find(const struct mxrc_clock *clock, uint64_t count, uint64_t monotonic_ns,
                struct mxrc_anchor *out)
{
    uint64_t oldest = count > HISTORY ? count - HISTORY : 0;
    for (uint64_t number = count; number > oldest; number--) {
        mxrc_copy_out(out, &clock->anchor[(number - 1) % MXRC_ANCHORS], sizeof *out);
        if (out->monotonic_ns <= monotonic_ns) {
            break;
        }
    }
    mxrc_fence_acquire();
    return mxrc_load_relaxed(&clock->count) < count + 2;
}

uint64_t mxrc_clock_to_realtime(const struct mxrc_segment *segment, uint64_t monotonic_ns)
{
    const struct mxrc_clock *clock = mxrc_region(segment, MXRC_REGION_CLOCK, NULL);
    struct mxrc_anchor anchor = {0, 0};
    for (int tries = 0; clock != NULL && tries < MXRC_SEQ_TRIES; tries++) {
        uint64_t count = mxrc_load_acquire(&clock->count);
        if (count == 0) {
            break;
        }
        if (find(clock, count, monotonic_ns, &anchor)) {
            return monotonic_ns + (anchor.realtime_ns - anchor.monotonic_ns);
        }
    }
    anchor = read_clocks(); /* no PRIMARY yet: the clocks as they are */
    return monotonic_ns + (anchor.realtime_ns - anchor.monotonic_ns);
}
