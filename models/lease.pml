/* lease.pml: who is PRIMARY, and what reaches a device: lease.c, standby.c and the commit of a driver, for SPIN.
 *
 * Three RT processes and a plant. The first to get the mutex is PRIMARY; the others wait for the mutex and may at any time judge the
 * owner silent, rightly or not (it may be stopped, late, or fine). Then: swap (owner, epoch), admit the epoch, kill, and wait for the
 * mutex. A kill takes effect later, or never (an unkillable process); a process may die, or stand still, between any two steps.
 * One that died lets its mutex go. The plant copies the committed buffer and looks at the word and the admitted epoch again.
 *
 * Claims: rings and state are touched by one at a time; nothing of an older epoch reaches the device once a newer one was
 * admitted; the epochs that the device sees never go back.
 *
 * Wrong variants, each must be refuted (tests/stress/test_models.py):
 *   -DCHECK_THEN_ACT    an executive looks at the admitted epoch and then simply stores the word; the plant does not look again
 *   -DNO_EPOCH          outputs carry no epoch: the plant takes whatever is committed
 *   -DTOUCH_BEFORE      a successor touches the state after the kill, before it has the mutex
 *   -DREPLACEABLE_LOCK  the object that holds the mutex may be replaced while it is held */

#define P 3
#define EPOCHS 4  /* claims in all: bounds the search */

byte holder;             /* of the mutex: process + 1, 0: free */
byte holder2;            /* of the mutex of a replaced object */
bool replaced;
byte owner;              /* of the lease: process + 1 */
byte epoch;              /* of the lease: changes with owner, in one word */
byte admitted;
byte word_epoch;         /* the commit word: epoch, and who */
byte word_by;
byte device;             /* epoch of the last output that reached the device */
byte touching;           /* processes at work on rings and state */
bool killed[P + 1];
bool alive[P + 1];

inline release(me)
{
    if :: holder == me -> holder = 0 :: else -> skip fi;
    if :: holder2 == me -> holder2 = 0 :: else -> skip fi
}

/* A death at any step; a kill makes it possible, a crash too. */
inline may_die(me)
{
    if
    :: true -> skip
    :: crashes < 1 || killed[me] ->
        atomic { if :: killed[me] -> skip :: else -> crashes++ fi; goto dead }
    fi
}

byte crashes;

inline claim(me)
{
    d_step { epoch++; owner = me; mine = epoch };
    may_die(me);
    atomic { if :: admitted < mine -> admitted = mine :: else -> skip fi }
}

proctype process(byte me)
{
    byte mine = 0, judged, seen;
    bool in = false, taken = false;
standby:
    do
    :: atomic { holder == 0 && !replaced -> holder = me }; goto primary
#ifdef REPLACEABLE_LOCK
    :: atomic { !replaced && holder != me -> replaced = true };
    :: atomic { replaced && holder2 == 0 && holder != me -> holder2 = me }; goto primary
#endif
    :: owner != 0 && owner != me && epoch < EPOCHS -> /* silent, it seems */
        atomic { judged = epoch; seen = owner };
        may_die(me);
        if
        :: atomic { epoch == judged && owner == seen -> epoch++; owner = me; mine = epoch; taken = true };
            may_die(me);
            atomic { if :: admitted < mine -> admitted = mine :: else -> skip fi };
            may_die(me);
            if :: killed[seen] = true :: true -> skip fi; /* unkillable */
#ifdef TOUCH_BEFORE
            atomic { touching++; in = true };
            assert(touching == 1);
            goto primary_in
#endif
        :: else -> skip
        fi
    :: holder == 0 && epoch >= EPOCHS -> goto dead
    :: killed[me] -> goto dead
    od;
primary:
    may_die(me);
    if
    :: taken && owner == me && epoch == mine -> skip
    :: else ->
        if :: epoch >= EPOCHS -> goto dead :: else -> skip fi;
        claim(me)
    fi;
    atomic { touching++; in = true };
    assert(touching == 1); /* one at a time */
primary_in:
    do
    :: /* a cycle */
        may_die(me);
#ifdef NO_EPOCH
        atomic { word_epoch = mine; word_by = me }
#else
#ifdef CHECK_THEN_ACT
        if :: admitted == mine -> skip :: else -> break fi;
        may_die(me);
        atomic { word_epoch = mine; word_by = me }
#else
        if :: admitted == mine -> skip :: else -> break fi;
        atomic { seen = word_epoch; judged = word_by };
        may_die(me);
        if
        :: seen > mine -> break
        :: atomic { seen <= mine && word_epoch == seen && word_by == judged ->
               word_epoch = mine; word_by = me }
        :: seen <= mine && !(word_epoch == seen && word_by == judged) -> break
        fi
#endif
#endif
    :: break /* hand-over, stop */
    od;
dead:
    atomic {
        if :: in -> touching-- :: else -> skip fi;
        release(me);
        alive[me] = false
    }
}

/* What is in force is put to the device; a copy that no longer stands is not. */
active proctype plant()
{
    byte e;
end:
    do
    :: word_epoch != 0 ->
        e = word_epoch; /* copied */
#if defined(NO_EPOCH) || defined(CHECK_THEN_ACT)
        atomic { assert(e >= device && e == admitted); device = e }
#else
        if
        :: atomic { e == word_epoch && e == admitted ->
               assert(e >= device);
               device = e }
        :: else -> skip
        fi
#endif
        e = 0
    od
}

init {
    atomic {
        alive[1] = true; alive[2] = true; alive[3] = true;
        run process(1); run process(2); run process(3)
    }
}
