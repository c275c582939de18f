/* libbsd's red-black trees with static functions: RB_STATIC(name, type, link, compare). Use this
 * instead of RB_GENERATE_STATIC, which needs a macro that glibc does not have. */
#ifndef COMMON_TREE_H
#define COMMON_TREE_H

#include <bsd/sys/tree.h>

#define RB_STATIC(name, type, link, compare)                                                       \
    RB_PROTOTYPE_INTERNAL(name, type, link, compare, static __attribute__((unused)))               \
    RB_GENERATE_INTERNAL(name, type, link, compare, static __attribute__((unused)))

#endif
