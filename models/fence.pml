/* fence.pml: outputs of a process that stood still reach no device (include/mxrc/process_image.h), for SPIN.
 *
 * An old PRIMARY and its successor each have two buffers of two words (a copy takes two steps); the commit word is (epoch, buffer,
 * sequence); a plant copies the buffer that the word names and looks at the word again. The old one may stand still anywhere, for as
 * long as the rest takes, which is what interleaving means. The sequence counts modulo SEQUENCES.
 *
 * What must hold: what the plant takes is one commit, whole; once the successor has been admitted, nothing is committed by the
 * old one; what the plant took is never older than what it took before.
 *
 * Wrong variants, each must be refuted:
 *   -DCHECK_THEN_ACT   commit by a store after a look at the word, not by a compare-and-swap
 *   -DNO_ADMIT         the successor does not raise the epoch in the word before it drives
 *   -DONE_BUFFER       both processes fill the same buffers
 *   -DNAMED_BUFFER     a process fills the buffer that the word names
 *   -DONE_LOOK         the plant does not look again
 */

#define COMMITS 3
#define TURNS 3
#define SEQUENCES 16
#define NONE 4

/* word = epoch * 128 + buffer * 16 + sequence */
#define WORD(e, b, s) ((e) * 128 + (b) * 16 + (s))
#define EPOCH(w) ((w) / 128)
#define BUFFER(w) (((w) / 16) % 8)
#define NEXT(w) (((w) + 1) % SEQUENCES)

short word = WORD(1, NONE, 0);
byte lease = 1;          /* the epoch that the lease admits */
byte first[4], second[4]; /* of each buffer: epoch * 16 + cycle */
bool fenced;             /* the successor's epoch is in the word */

proctype executive(byte epoch)
{
    short seen;
    byte buffer, cycle = 0, content;
    bool swapped;

    if
    :: epoch == 2 ->
        lease = 2;
#ifndef NO_ADMIT
        do
        :: seen = word;
           if
           :: atomic { word == seen -> word = WORD(2, NONE, NEXT(seen)); fenced = true; break }
           :: else
           fi
        od
#endif
    :: else
    fi;
    do
    :: cycle == COMMITS -> break
    :: else ->
        cycle++;
        seen = word;
#ifdef NO_ADMIT
        if :: lease != epoch -> break :: else fi;
#else
        if :: EPOCH(seen) != epoch -> break :: else fi;
#endif
        buffer = 2 * (epoch - 1);
#ifdef ONE_BUFFER
        buffer = 0;
#endif
#ifdef NAMED_BUFFER
        if :: BUFFER(seen) / 2 == epoch - 1 -> buffer = BUFFER(seen) :: else fi;
#else
        if :: BUFFER(seen) == buffer -> buffer++ :: else fi;
#endif
        content = epoch * 16 + cycle;
        first[buffer] = content;
        second[buffer] = content;
        atomic {
            swapped = false;
#if defined(CHECK_THEN_ACT) || defined(NO_ADMIT)
            swapped = true;
#else
            if :: word == seen -> swapped = true :: else fi;
#endif
            if
            :: swapped ->
                word = WORD(epoch, buffer, NEXT(seen));
                assert(!(fenced && epoch == 1)) /* fenced off */
            :: else -> break
            fi
        }
    od
}

proctype plant()
{
    short seen, judged = word;
    byte a, b, newest = 0, turn = 0;
    do
    :: turn == TURNS -> break
    :: else ->
        turn++;
        seen = word;
        if
        :: seen == judged || BUFFER(seen) == NONE -> judged = seen
        :: else ->
            a = first[BUFFER(seen)];
            b = second[BUFFER(seen)];
#ifndef ONE_LOOK
            if
            :: word == seen ->
#endif
                assert(a == b);       /* whole */
                assert(a >= newest);  /* of no older epoch, no older cycle */
                newest = a;
                judged = seen
#ifndef ONE_LOOK
            :: else
            fi
#endif
        fi
    od
}

init {
    atomic {
        run executive(1);
        run executive(2);
        run plant()
    }
}
