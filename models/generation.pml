/* generation.pml: creating and replacing a generation of the segment (src/segment_open.c), for SPIN.
 *
 * Three processes want to be the RT process of one instance. A name points to at most one object; opening gives a
 * reference that outlives unlinking. Everything from looking to publishing happens under a lock on a file that is
 * never replaced; a process may die at any point, which frees its lock and its membership. What must hold: the processes
 * that run on a live generation all run on the same one, and it is the one that the name points to.
 *
 * Wrong variants, each must be refuted:
 *   -DNO_LOCK            look, unlink and create without the lock
 *   -DREPLACEABLE_LOCK   the lock file is unlinked and made anew together with the generation
 *   -DPUBLISH_EARLY      the object is live before it is filled
 */

#define P 3
#define OBJECTS 5

byte name;              /* object the name points to, 0: none */
byte objects = 1;       /* next id */
bool live[OBJECTS];     /* published */
bool filled[OBJECTS];
byte members[OBJECTS];  /* processes running on it */
byte running;           /* in all */

byte lockfile = 1;      /* identity of the lock file behind its path */
bool locked[OBJECTS];   /* lock state by identity */
byte lockfiles = 2;

proctype process()
{
    byte mine = 0, held = 0, path;
    bool up = false;

#ifndef NO_LOCK
    path = lockfile; /* open ... */
    atomic { !locked[path] -> locked[path] = true; held = path }; /* ... then lock */
#endif
    if :: goto gone :: skip fi;
    mine = name;
    if
    :: mine != 0 && live[mine] && members[mine] > 0 -> skip /* a live generation: join it */
    :: else ->
        /* absent, half made, or dead: replace it */
        if :: goto gone :: skip fi;
        name = 0;
#ifdef REPLACEABLE_LOCK
        if :: lockfiles < OBJECTS -> atomic { lockfile = lockfiles; lockfiles++ } :: else -> skip fi;
#endif
        if :: goto gone :: skip fi;
        if
        :: objects < OBJECTS -> atomic { mine = objects; objects++; name = mine }
        :: else -> goto gone
        fi;
#ifdef PUBLISH_EARLY
        live[mine] = true;
#endif
        if :: goto gone :: skip fi;
        filled[mine] = true;
        live[mine] = true
    fi;
    atomic { members[mine]++; running++; up = true };
#ifndef NO_LOCK
    atomic { locked[held] = false; held = 0 };
#endif
    /* at work */
    assert(filled[mine]);
    assert(name == mine);            /* the name is this generation */
    assert(running == members[mine]); /* and nobody runs on another */
gone:
    atomic {
        if :: up -> members[mine]--; running-- :: else -> skip fi;
        if :: held != 0 -> locked[held] = false :: else -> skip fi
    }
}

/* A tool that only attaches: sees nothing half made. */
proctype inspector()
{
    byte seen;
    seen = name;
    if
    :: seen != 0 && live[seen] -> assert(filled[seen])
    :: else -> skip
    fi
}

init {
    atomic {
        byte i = 0;
        do :: i < P -> run process(); i++ :: i == P -> break od;
        run inspector()
    }
}
