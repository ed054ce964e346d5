/* bench.h: loops of shared/bench that have to be C. They measure the core as it is installed, on rings of a segment of
 * their own; no part of mxrc calls them. cffi reads this file as it is.
 *
 * The record is struct mxrc_cycle_record whatever the ring; its `scheduled_ns` is the time of sending. Loops that wait
 * for another process end with ETIMEDOUT when nothing moves for two seconds. */

/* Back to back, `count` times: ns of the whole. The copies go to the slots of the same ring, which must have no reader: they
 * leave no valid sequence words. */
uint64_t mxrc_bench_publish(struct mxrc_ring *ring, uint64_t count);
uint64_t mxrc_bench_memcpy(struct mxrc_ring *ring, uint64_t count);

/* One record every interval_ns (spinning; sleep != 0: by clock_nanosleep): ns[i] is what publishing record i took. The time
 * that reading the clock takes is in it. `publish` = 0: a memcpy of the record into the slot instead. */
void mxrc_bench_paced(struct mxrc_ring *ring, uint64_t count, uint64_t interval_ns, int sleep,
                      int publish, uint64_t *ns);

/* Reads what is in the ring, `batch` records at a time into `out`, `rounds` times: ns of the whole. */
uint64_t mxrc_bench_read(const struct mxrc_ring *ring, uint64_t rounds, uint64_t batch, void *out,
                         uint64_t *records);

/* Spins for `count` records: ns[i] from its sending to the copy of it in private memory. */
int mxrc_bench_receive(const struct mxrc_ring *ring, uint64_t count, uint64_t *ns);

/* Round trips between two processes, one of which serves: on two words, 64 bytes apart and zero, and on two rings, of which
 * `other` is read from `cursor` on. ns[i] is the mean round trip of `burst` of them. */
int mxrc_bench_word_trips(uint64_t *mine, const uint64_t *other, int serves, uint64_t count,
                          uint64_t burst, uint64_t *ns);
int mxrc_bench_ring_trips(struct mxrc_ring *mine, const struct mxrc_ring *other, uint64_t cursor,
                          int serves, uint64_t count, uint64_t burst, uint64_t *ns);

/* Follows pointers from `first` on, each load dependent on the one before: ns of the whole. */
uint64_t mxrc_bench_chase(const void *first, uint64_t hops);
