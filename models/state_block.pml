/* state_block.pml: blocks A and B in turn, the command tail, and a successor: state_block.c, state_read.c, publish.c, for SPIN.
 *
 * A writer runs cycles; in a cycle it may take the next command, whose effect becomes part of its state. Then it writes the block that
 * is not the newest (odd sequence word, two halves, even), then the tail. It may die between any two steps. Its successor, which has the
 * mutex, restores the newest whole block and goes on; so does the successor of that one.
 *
 * Claims: there is always a whole block; a successor goes on from the last cycle whose block was
 * finished; every command has its effect exactly once, whoever dies when.
 *
 * Wrong variants, each must be refuted:
 *   -DONE_BLOCK      every cycle is written to the same block
 *   -DNO_SEQUENCE    the sequence word is not made odd before the halves (and no checksum tells)
 *   -DTAIL_FIRST     the tail is published before the block, and the successor trusts it
 *   -DBEFORE_MUTEX   the successor begins before the first is gone */

#define CYCLES 3
#define COMMANDS 2

/* a block: two halves of (cycle), effects, commands taken; they belong together when both halves are equal */
byte seq[2];
byte low[2];
byte high[2];
byte effects[2]; /* commands that have had their effect in this state */
byte taken[2];
byte tail;       /* published */
byte finished;   /* newest cycle whose block was finished */
bool gone[4];

inline whole(b, ok)
{
#ifdef NO_SEQUENCE
    ok = (seq[b] != 0)
#else
    ok = (seq[b] != 0 && seq[b] % 2 == 0)
#endif
}

proctype writer(byte me; bool last)
{
    byte n, cycle, ran, next, b, left = CYCLES;
    bool a_ok, b_ok;
#ifdef BEFORE_MUTEX
    (true);
#else
    (gone[me - 1]);
#endif
    /* restore */
    if
    :: me == 1 -> skip
    :: else ->
        atomic {
            whole(0, a_ok);
            whole(1, b_ok);
            assert(a_ok || b_ok || finished == 0); /* something to go on from */
        }
        if
        :: a_ok && (!b_ok || low[0] > low[1]) -> b = 0
        :: b_ok && !(a_ok && low[0] > low[1]) -> b = 1
        :: !a_ok && !b_ok -> goto begun
        fi;
        cycle = low[b];
        assert(low[b] == high[b]);                                /* never torn */
        assert(cycle == finished);                                /* the last finished one */
        ran = effects[b];
        next = taken[b];
#ifdef TAIL_FIRST
        next = tail;
#endif
        n = (seq[b] + 1) / 2
    fi;
begun:
    do
    :: left > 0 ->
        left--;
        cycle++;
        if
        :: next < COMMANDS -> next++; ran++ /* takes a command: its effect is in the state */
        :: true -> skip
        fi;
#ifdef TAIL_FIRST
        tail = next;
        if :: !last -> goto died :: true -> skip fi;
#endif
#ifdef ONE_BLOCK
        b = 0;
#else
        b = n % 2;
#endif
#ifndef NO_SEQUENCE
        seq[b] = 2 * n + 1;
        if :: !last -> goto died :: true -> skip fi;
#endif
        low[b] = cycle;
        if :: !last -> goto died :: true -> skip fi;
        effects[b] = ran;
        taken[b] = next;
        high[b] = cycle;
        if :: !last -> goto died :: true -> skip fi;
        atomic { seq[b] = 2 * n + 2; finished = cycle };
        n++;
        if :: !last -> goto died :: true -> skip fi;
#ifndef TAIL_FIRST
        assert(tail <= next);
        tail = next
#endif
    :: left == 0 -> break
    od;
died:
    if
    :: last ->
        /* takes what is left; then each command has had its effect once */
        ran = ran + (COMMANDS - next);
        assert(ran == COMMANDS)
    :: else -> skip
    fi;
    gone[me] = true
}

init {
    atomic {
        gone[0] = true;
        run writer(1, false);
        run writer(2, false);
        run writer(3, true)
    }
}
