/* The levels at which keys are read outside transactions (docs/protocol.md, "Reads"). */
#ifndef COMMON_READ_LEVEL_H
#define COMMON_READ_LEVEL_H

/* What a read outside transactions promises (docs/protocol.md, "Reads"). Numbers are part of the
 * wire format and never change. X(NAME, number) */
#define READ_LEVEL_MAP(X)                                                                          \
    X(STRONG, 0)   /* all that is committed; waits for every writer */                             \
    X(SNAPSHOT, 1) /* what was committed up to a timestamp; waits for writers that may be below */ \
    X(SESSION, 2)  /* a snapshot as late as needs no waiting, but not below a timestamp */         \
    X(BOUNDED, 3) /* a snapshot as late as needs no waiting; refused if it is older than a time */ \
    X(EVENTUAL, 4) /* what is committed here; waits for nobody */

enum read_level {
#define READ_LEVEL_ENUM(name, number) READ_##name = (number),
    READ_LEVEL_MAP(READ_LEVEL_ENUM)
#undef READ_LEVEL_ENUM
};

#endif
