/* atomic.h: how words are shared between processes; every access to the segment while others run goes
 * through here.
 *
 * The segment is plain memory (layout.h knows no _Atomic), so the compiler's __atomic builtins are
 * used on its words. Natural alignment makes each 32- and 64-bit access indivisible, between
 * processes as between threads. Four patterns, no others:
 *
 *  1. A word on its own (heartbeat, counter, threshold): mxrc_store_relaxed / mxrc_load_relaxed.
 *  2. A word that publishes what was written before it (head, count, pid, state): release store by
 *     its one writer, acquire load by the readers. Who sees the word sees all that came before it.
 *  3. A sequence word over a payload that is written again and again (ring slot, document, data
 *     cell, state block):
 *
 *         writer                                   reader
 *       W1 store_relaxed(seq, odd)               R1 s = load_acquire(seq); odd: try again
 *       W2 fence_release()                       R2 payload: load_word ...
 *       W3 payload: store_word ...               R3 fence_acquire()
 *       W4 store_release(seq, even)              R4 load_relaxed(seq) == s, else try again
 *
 *     R1 reads from W4: all of W3 is seen (release/acquire), the copy is not older than s. A word of
 *     R2 that reads from a later W3 makes W2 synchronize with R3, hence R4 sees that later W1 or
 *     something newer, differs from s, and the copy is thrown away. Leave out W1 or W2 and R4 may
 *     still see s beside new words: a torn read that nobody notices. The payload is accessed word
 *     by word with atomics because a plain memcpy of memory that changes meanwhile is undefined.
 *  4. Compare-and-swap, acq_rel, for the few words with more than one writer (lease.owner).
 *
 * Nothing here is sequentially consistent and nothing needs to be: no decision rests on the order
 * of two independent words of different writers.
 *
 * ThreadSanitizer does not model fences. Under -DMXRC_TSAN they vanish and the payload accesses of
 * pattern 3 become release stores and acquire loads, which give the same order word by word: any
 * word of R2 that reads from a later W3 then synchronizes with it directly. */
#ifndef MXRC_ATOMIC_H
#define MXRC_ATOMIC_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

static inline uint64_t mxrc_load_acquire(const uint64_t *word)
{
    return __atomic_load_n(word, __ATOMIC_ACQUIRE);
}

static inline uint64_t mxrc_load_relaxed(const uint64_t *word)
{
    return __atomic_load_n(word, __ATOMIC_RELAXED);
}

static inline void mxrc_store_release(uint64_t *word, uint64_t value)
{
    __atomic_store_n(word, value, __ATOMIC_RELEASE);
}

static inline void mxrc_store_relaxed(uint64_t *word, uint64_t value)
{
    __atomic_store_n(word, value, __ATOMIC_RELAXED);
}

static inline uint32_t mxrc_load_acquire32(const uint32_t *word)
{
    return __atomic_load_n(word, __ATOMIC_ACQUIRE);
}

static inline uint32_t mxrc_load_relaxed32(const uint32_t *word)
{
    return __atomic_load_n(word, __ATOMIC_RELAXED);
}

static inline void mxrc_store_release32(uint32_t *word, uint32_t value)
{
    __atomic_store_n(word, value, __ATOMIC_RELEASE);
}

static inline void mxrc_store_relaxed32(uint32_t *word, uint32_t value)
{
    __atomic_store_n(word, value, __ATOMIC_RELAXED);
}

/* 1 when *word was `expected` and is now `desired`. */
static inline int mxrc_cas_u64(uint64_t *word, uint64_t expected, uint64_t desired)
{
    return __atomic_compare_exchange_n(word, &expected, desired, 0, __ATOMIC_ACQ_REL,
                                       __ATOMIC_ACQUIRE);
}

static inline int mxrc_cas_u32(uint32_t *word, uint32_t expected, uint32_t desired)
{
    return __atomic_compare_exchange_n(word, &expected, desired, 0, __ATOMIC_ACQ_REL,
                                       __ATOMIC_ACQUIRE);
}

/* Returns the value before. For words with several writers only. */
static inline uint64_t mxrc_add_u64(uint64_t *word, uint64_t value)
{
    return __atomic_fetch_add(word, value, __ATOMIC_ACQ_REL);
}

/* ---- pattern 3 ---- */

#ifdef MXRC_TSAN
#define MXRC_WORD_LOAD __ATOMIC_ACQUIRE
#define MXRC_WORD_STORE __ATOMIC_RELEASE
#else
#define MXRC_WORD_LOAD __ATOMIC_RELAXED
#define MXRC_WORD_STORE __ATOMIC_RELAXED
#endif

static inline void mxrc_fence_release(void)
{
#ifndef MXRC_TSAN
    __atomic_thread_fence(__ATOMIC_RELEASE);
#endif
}

static inline void mxrc_fence_acquire(void)
{
#ifndef MXRC_TSAN
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
#endif
}

/* A word of shared memory whatever the type of the struct that it is part of. */
typedef uint64_t __attribute__((may_alias)) mxrc_word;

static inline uint64_t mxrc_load_word(const void *word)
{
    return __atomic_load_n((const mxrc_word *)word, MXRC_WORD_LOAD);
}

static inline void mxrc_store_word(void *word, uint64_t value)
{
    __atomic_store_n((mxrc_word *)word, value, MXRC_WORD_STORE);
}

static inline uint32_t mxrc_load_word32(const uint32_t *word)
{
    return __atomic_load_n(word, MXRC_WORD_LOAD);
}

static inline void mxrc_store_word32(uint32_t *word, uint32_t value)
{
    __atomic_store_n(word, value, MXRC_WORD_STORE);
}

#if defined(__x86_64__) && !defined(MXRC_TSAN) && !defined(MXRC_NO_ASM)
/* W3 in steps of two words: half the stores, which is what a publish is made of. It need not be
 * indivisible, for a copy that met a store of W3 is thrown away whatever is in it; it must only stay
 * between W1 and W4. The CPU keeps ordinary stores in order whatever their size; the compiler does not
 * move a store, which this is to it, over the fence of W2 or the release store of W4. Sanitizers do not
 * look into it: they are given the words (MXRC_NO_ASM). */
#define MXRC_PAIRS 1
typedef uint64_t mxrc_pair __attribute__((vector_size(16), may_alias));

static inline void mxrc_store_pair(void *pair, mxrc_pair value)
{
    __asm__ __volatile__("movdqa %1, %0" : "=m"(*(mxrc_pair *)pair) : "x"(value));
}

static inline mxrc_pair mxrc_private_pair(const uint8_t *from)
{
    mxrc_pair pair;
    memcpy(&pair, from, sizeof pair);
    return pair;
}

/* A cache line; written out, for compilers do not unroll at the level they are called with. */
static inline void mxrc_store_line(uint8_t *to, const uint8_t *from)
{
    mxrc_pair a = mxrc_private_pair(from);
    mxrc_pair b = mxrc_private_pair(from + 16);
    mxrc_pair c = mxrc_private_pair(from + 32);
    mxrc_pair d = mxrc_private_pair(from + 48);
    mxrc_store_pair(to, a);
    mxrc_store_pair(to + 16, b);
    mxrc_store_pair(to + 32, c);
    mxrc_store_pair(to + 48, d);
}
#endif

/* Payload into shared memory. `shared` is 8-byte aligned and has room for `bytes` rounded up to
 * whole words; the rest of the last word becomes zero. `private` need not be aligned. */
__attribute__((always_inline)) static inline void mxrc_copy_in(void *shared, const void *private,
                                                               size_t bytes)
{
    uint8_t *to = shared;
    const uint8_t *from = private;
    uint64_t word;
#ifdef MXRC_PAIRS
    enum { PAIR = sizeof(mxrc_pair) };
    if (((uintptr_t)to & 8) != 0 && bytes >= sizeof word) {
        memcpy(&word, from, sizeof word);
        mxrc_store_word(to, word);
        to += sizeof word;
        from += sizeof word;
        bytes -= sizeof word;
    }
    for (; bytes >= 4 * PAIR; bytes -= 4 * PAIR) {
        mxrc_store_line(to, from);
        to += 4 * PAIR;
        from += 4 * PAIR;
    }
    for (; bytes >= PAIR; bytes -= PAIR) {
        mxrc_store_pair(to, mxrc_private_pair(from));
        to += PAIR;
        from += PAIR;
    }
#endif
    for (; bytes >= sizeof word; bytes -= sizeof word) {
        memcpy(&word, from, sizeof word);
        mxrc_store_word(to, word);
        to += sizeof word;
        from += sizeof word;
    }
    if (bytes > 0) {
        word = 0;
        memcpy(&word, from, bytes);
        mxrc_store_word(to, word);
    }
}

/* Payload out of shared memory, under the same conditions. */
static inline void mxrc_copy_out(void *private, const void *shared, size_t bytes)
{
    uint8_t *to = private;
    const uint8_t *from = shared;
    uint64_t word;
    for (; bytes >= sizeof word; bytes -= sizeof word) {
        word = mxrc_load_word(from);
        memcpy(to, &word, sizeof word);
        to += sizeof word;
        from += sizeof word;
    }
    if (bytes > 0) {
        word = mxrc_load_word(from);
        memcpy(to, &word, bytes);
    }
}

/* W1 and W2. A predecessor that died in the payload left an odd word: it is taken over as it is.
 * Returns what mxrc_seq_end takes. */
static inline uint64_t mxrc_seq_begin(uint64_t *seq)
{
    uint64_t odd = mxrc_load_relaxed(seq) | 1;
    mxrc_store_relaxed(seq, odd);
    mxrc_fence_release();
    return odd;
}

/* W4 */
static inline void mxrc_seq_end(uint64_t *seq, uint64_t odd)
{
    mxrc_store_release(seq, odd + 1);
}

/* R3 and R4: 1 when nothing has been written since `before` was loaded with acquire. */
static inline int mxrc_seq_unchanged(const uint64_t *seq, uint64_t before)
{
    mxrc_fence_acquire();
    return mxrc_load_relaxed(seq) == before;
}

/* How often a reader tries pattern 3 before it gives up: bounded, for the real-time thread reads too. */
#define MXRC_SEQ_TRIES 64

/* ---- hints ---- */

/* In a loop that waits for another core. */
static inline void mxrc_pause(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ __volatile__("isb" ::: "memory");
#endif
}

#if defined(__x86_64__)
/* The next slot's line is fetched in exclusive state while there is time: the first store to it in
 * the next cycle then does not wait for the readers' caches. A CPU without the instruction takes it for a
 * no-operation; __builtin_prefetch would become a prefetch for reading, or need -mprfchw. */
static inline void mxrc_prefetch_write(const void *address)
{
    __asm__ __volatile__("prefetchw %0" : : "m"(*(const char *)address));
}
#else
static inline void mxrc_prefetch_write(const void *address)
{
    __builtin_prefetch(address, 1, 3);
}
#endif

#endif
