/* Waits until some machine takes a certain step of the protocol: sends such a message, or has made
 * such a record durable. All that machines tell their watch passes through here, to the watch that
 * they had before. */
#ifndef TESTS_SIM_STEPS_H
#define TESTS_SIM_STEPS_H

#include "tests/sim/machine.h"

#define STEPS_MAX 8 /* waited for at once; one more replaces the oldest */

enum step_kind { STEP_MESSAGE, STEP_RECORD };

struct steps;

/* `reached` runs when the event in which the step was taken is over; `other` is the machine that
 * the message goes to, or NULL; `purpose` is steps_await's. */
struct steps *steps_new(struct sim *sim, struct machine *machine, int machines,
                        void (*reached)(void *arg, int purpose, struct machine *m,
                                        struct machine *other),
                        void *arg);
/* The machines are gone, or tell nothing any more. */
void steps_free(struct steps *s);
/* The n-th time from now that any machine takes a step that the seed chooses, of this kind. */
void steps_await(struct steps *s, enum step_kind kind, int purpose);
/* Waits for nothing any more. */
void steps_clear(struct steps *s);

#endif
