/* ring.pml: the slot protocol of layout.h section 2 and src/ring.c, for SPIN.
 *
 * One writer, its successor, two readers. SPIN itself is sequentially consistent, so what the hardware and the compiler may
 * reorder is modelled: a store of the writer is issued into a buffer (one place per word) and committed later in
 * any order that the fences and release stores of the protocol allow; the two payload loads of a reader happen in either
 * order. The writer may die between any two stores; what it issued still reaches memory (the robust mutex hands
 * over after that), then the successor recovers and writes on.
 *
 * Payload: word a = record number + 1, word b = derived from it, so that a mixture of two records shows.
 *
 * Wrong variants, each must be refuted (see tests/stress/test_models.py):
 *   -DNO_WRITER_FENCE   no release fence between the odd sequence word and the payload
 *   -DNO_READER_FENCE   no acquire fence before the sequence word is read again
 *   -DHEAD_FIRST        head stored before the even sequence word
 *   -DNO_TOMBSTONE      a successor steps over the slot its predecessor died in
 */

#define N 2      /* slots */
#ifndef RECORDS
#define RECORDS 3
#endif
#ifndef READERS
#define READERS 2
#endif
#define DERIVED(x) (100 - (x))
#define TOMB 50  /* payload of a tombstone */

byte seq[N];     /* 2n+1 being written, 2n+2 done */
byte a[N];
byte b[N];
byte head;

/* the store buffer: one pending store a word */
bool p_odd, p_a, p_b, p_even, p_head;
byte v_slot, v_odd, v_a, v_b, v_even, v_head;
byte odd_slot, even_slot;

bool dead;      /* the first writer */
bool finished;  /* the last writer */

#define EMPTY (!p_odd && !p_a && !p_b && !p_even && !p_head)

#ifdef NO_WRITER_FENCE
#define PAYLOAD_MAY_COMMIT true
#else
#define PAYLOAD_MAY_COMMIT (!p_odd && !p_head)
#endif

active proctype memory()
{
end:
    do
    :: atomic { p_odd -> seq[odd_slot] = v_odd; p_odd = false }
    :: atomic { p_a && PAYLOAD_MAY_COMMIT -> a[v_slot] = v_a; p_a = false }
    :: atomic { p_b && PAYLOAD_MAY_COMMIT -> b[v_slot] = v_b; p_b = false }
#ifdef HEAD_FIRST
    :: atomic { p_head && !p_odd && !p_a && !p_b -> head = v_head; p_head = false }
    :: atomic { p_even && !p_odd && !p_a && !p_b && !p_head -> seq[even_slot] = v_even; p_even = false }
#else
    /* release stores: everything issued before is in memory */
    :: atomic { p_even && !p_odd && !p_a && !p_b -> seq[even_slot] = v_even; p_even = false }
    :: atomic { p_head && !p_even && !p_a && !p_b -> head = v_head; p_head = false }
#endif
    od
}

/* Publishes record n; `first` may stop after any store (it dies). */
inline publish(n, value, other, mortal)
{
    atomic { !p_odd -> odd_slot = n % N; v_odd = 2 * n + 1; p_odd = true };
    if :: mortal -> goto died :: true -> skip fi;
    atomic { !p_a && !p_even -> v_slot = n % N; v_a = value; p_a = true };
    if :: mortal -> goto died :: true -> skip fi;
    atomic { !p_b -> v_b = other; p_b = true };
    if :: mortal -> goto died :: true -> skip fi;
#ifdef HEAD_FIRST
    atomic { !p_head -> v_head = n + 1; p_head = true };
    if :: mortal -> goto died :: true -> skip fi;
    atomic { !p_even -> even_slot = n % N; v_even = 2 * n + 2; p_even = true };
#else
    atomic { !p_even -> even_slot = n % N; v_even = 2 * n + 2; p_even = true };
    if :: mortal -> goto died :: true -> skip fi;
    atomic { !p_head -> v_head = n + 1; p_head = true };
#endif
}

active proctype first()
{
    byte n = 0;
    do
    :: n < RECORDS -> publish(n, n + 1, DERIVED(n + 1), true); n++
    :: n == RECORDS -> break
    :: true -> break
    od;
died:
    dead = true
}

active proctype successor()
{
    byte n, s;
    (dead && EMPTY); /* EOWNERDEAD: the old thread is gone and its stores are visible */
    n = head;
    s = seq[n % N];
    if
    :: s == 2 * n + 2 -> v_head = n + 1; p_head = true; n++ /* complete but not published */
    :: s == 2 * n + 1 ->
#ifdef NO_TOMBSTONE
        v_head = n + 1; p_head = true; n++
#else
        publish(n, TOMB, DERIVED(TOMB), false); n++
#endif
    :: else -> skip
    fi;
    do
    :: n < RECORDS + 1 -> publish(n, n + 1, DERIVED(n + 1), false); n++
    :: else -> break
    od;
died:
    EMPTY;
    finished = true
}

proctype reader()
{
    byte cursor = 0, seen = 0, lost = 0, h, s1, s2, x, y, slot;
    do
    :: atomic { h = head; };
       if
       :: h - cursor > N -> atomic { lost = lost + (h - N + 1 - cursor); cursor = h - N + 1; h = 0 }
       :: h - cursor <= N && cursor < h ->
            slot = cursor % N;
#ifdef NO_READER_FENCE
            if /* the second look at the sequence word may come before the payload */
            :: s1 = seq[slot]; s2 = seq[slot]; x = a[slot]; y = b[slot]
            :: s1 = seq[slot]; x = a[slot]; s2 = seq[slot]; y = b[slot]
            :: s1 = seq[slot]; x = a[slot]; y = b[slot]; s2 = seq[slot]
            fi;
#else
            s1 = seq[slot];
            if
            :: x = a[slot]; y = b[slot]
            :: y = b[slot]; x = a[slot]
            fi;
            s2 = seq[slot];
#endif
            /* below head every slot holds its record or a later one */
            assert(s1 >= 2 * cursor + 2);
            if
            :: s1 == 2 * cursor + 2 && s2 == s1 ->
                assert(y == DERIVED(x));               /* never torn */
                assert(x == cursor + 1 || x == TOMB);  /* never another record */
                seen++
            :: else -> lost++ /* overwritten meanwhile */
            fi;
            atomic { cursor++; x = 0; y = 0; s1 = 0; s2 = 0; slot = 0; h = 0 } /* keeps the state space small */
       :: cursor == h && finished && head == h -> break
       :: cursor == h && !(finished && head == h) -> h = 0
       fi
    od;
    assert(seen + lost == head) /* each record seen once or counted lost */
}

init { atomic { run reader(); if :: READERS > 1 -> run reader() :: else -> skip fi } }
