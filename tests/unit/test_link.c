/* chaos/link: each fault of a link, observed at both ends of real connections through it. */
#include "link_fixture.h"

#include "common/prng.h"

#define MS               UINT64_C(1000) /* in us */
#define LINK_TEST(name)  cmocka_unit_test_setup_teardown(name, setup, teardown)
#define QUEUE_BYTES_MOST (16u * 1024u * 1024u) /* more than a link holds of one flow */

/* One link to a listener, and one connection through it. */
struct fixture {
    struct links *links;
    int listener, dialler, target;
    uint16_t port;
};

struct ask {
    struct links *links;
    struct link_change change;
    struct link_state state;
};

static void on_links_change(void *arg)
{
    struct ask *a = arg;
    assert_true(link_change(links_at(a->links, 0), &a->change));
}

static void change(struct fixture *f, enum link_change_kind kind, unsigned ways, uint64_t value)
{
    struct ask a = {.links = f->links, .change = {kind, ways, value}};
    links_call(f->links, on_links_change, &a);
}

static void on_links_state(void *arg)
{
    struct ask *a = arg;
    link_state(links_at(a->links, 0), &a->state);
}

static struct link_state state_of(struct fixture *f)
{
    struct ask a = {.links = f->links};
    links_call(f->links, on_links_state, &a);
    return a.state;
}

#define WAIT_STATE(f, condition)                                                                   \
    do {                                                                                           \
        uint64_t end_ = now_us() + PATIENCE_MS * MS;                                               \
        struct link_state s = state_of(f);                                                         \
        while (!(condition) && now_us() < end_) {                                                  \
            pause_ms(1);                                                                           \
            s = state_of(f);                                                                       \
        }                                                                                          \
        if (!(condition))                                                                          \
            fail_msg("never: %s", #condition);                                                     \
    } while (0)

static struct fixture *fixture_open(const struct link_options *more)
{
    struct fixture *f = xcalloc(1, sizeof *f);
    struct link_options options = *more;
    char why[512];
    uint16_t target;
    signal(SIGPIPE, SIG_IGN);
    f->listener = listen_anywhere(&target);
    f->links = links_new();
    options.host = "127.0.0.1";
    options.port = target;
    if (links_add(f->links, &options, why, sizeof why) != 0)
        fail_msg("%s", why);
    f->port = link_port(links_at(f->links, 0));
    links_start(f->links);
    f->dialler = dial(f->port);
    f->target = accept_one(f->listener);
    return f;
}

static void fixture_close(struct fixture *f)
{
    links_free(f->links);
    int fds[] = {f->listener, f->dialler, f->target};
    for (size_t i = 0; i < 3; i++)
        if (fds[i] >= 0)
            close(fds[i]);
    free(f);
}

static int setup(void **state)
{
    *state = fixture_open(&(struct link_options){.seed = 1});
    return 0;
}

static int teardown(void **state)
{
    fixture_close(*state);
    return 0;
}

static void close_dialler(struct fixture *f)
{
    close(f->dialler);
    f->dialler = -1;
}

static void close_target(struct fixture *f)
{
    close(f->target);
    f->target = -1;
}

/* ---- what a link without faults does ---- */

static void bytes_pass_both_ways_and_are_counted(void **state)
{
    struct fixture *f = *state;
    say(f->dialler, "question");
    hear(f->target, "question");
    say(f->target, "an answer");
    hear(f->dialler, "an answer");
    struct link_state now = state_of(f);
    assert_int_equal(now.up.bytes, 8);
    assert_int_equal(now.down.bytes, 9);
    assert_int_equal(now.connections, 1);
    assert_int_equal(now.open, 1);
    WAIT_STATE(f, s.up.held == 0 && s.down.held == 0);
}

static void a_closed_side_still_hears_the_other(void **state)
{
    struct fixture *f = *state;
    say(f->dialler, "the last word");
    shutdown(f->dialler, SHUT_WR);
    hear(f->target, "the last word");
    hear_end(f->target);
    say(f->target, "an answer all the same");
    hear(f->dialler, "an answer all the same");
    hear_nothing(f->dialler);
    close_target(f);
    hear_end(f->dialler);
    WAIT_STATE(f, s.open == 0);
}

static void the_death_of_one_end_resets_the_other(void **state)
{
    struct fixture *f = *state;
    say(f->target, "before");
    hear(f->dialler, "before");
    close_with_reset(f->target);
    f->target = -1;
    hear_reset(f->dialler);
    WAIT_STATE(f, s.open == 0);
}

static void who_goes_on_sending_to_one_that_closed_is_reset(void **state)
{
    struct fixture *f = *state;
    close_target(f);
    hear_end(f->dialler);
    uint64_t end = now_us() + PATIENCE_MS * MS;
    while (send(f->dialler, "x", 1, MSG_NOSIGNAL) == 1 && now_us() < end)
        pause_ms(1);
    assert_true(errno == ECONNRESET || errno == EPIPE);
    WAIT_STATE(f, s.open == 0);
}

static void a_target_that_is_not_there_resets_the_dialler(void **state)
{
    struct fixture *f = *state;
    close(f->listener);
    f->listener = -1;
    int fd = dial(f->port);
    hear_reset(fd);
    close(fd);
    say(f->dialler, "the old one lives");
    hear(f->target, "the old one lives");
}

static void an_end_that_does_not_read_stops_the_sender_and_loses_nothing(void **state)
{
    struct fixture *f = *state;
    static uint8_t block[65536];
    struct prng bytes, expected;
    size_t sent = 0, some;
    ssize_t n = 0;
    prng_seed(&bytes, 7);
    prng_seed(&expected, 7);
    /* until the sender feels it: a poll without room. A pause is not proof, a second one is */
    for (int full = 0; full < 2;) {
        struct pollfd p = {.fd = f->dialler, .events = POLLOUT};
        if (poll(&p, 1, 200) == 0) {
            full++;
            continue;
        }
        for (size_t i = 0; n == 0 && i < sizeof block; i++)
            block[i] = (uint8_t)prng_u64(&bytes);
        some = (size_t)send(f->dialler, block + n, sizeof block - (size_t)n, MSG_DONTWAIT);
        if (some == SIZE_MAX)
            continue;
        n = (n + (ssize_t)some) % (ssize_t)sizeof block;
        sent += some;
        assert_true(sent < 4 * QUEUE_BYTES_MOST);
    }
    assert_true(state_of(f).up.held < QUEUE_BYTES_MOST);
    shutdown(f->dialler, SHUT_WR);
    for (size_t got = 0; got < sent; got += some) {
        wait_readable(f->target);
        some = (size_t)recv(f->target, block, sizeof block, 0);
        assert_true(some > 0 && some <= sizeof block);
        for (size_t i = 0; i < some; i++)
            if (block[i] != (uint8_t)prng_u64(&expected))
                fail_msg("byte %zu of %zu is wrong", got + i, sent);
    }
    hear_end(f->target);
}

/* ---- time ---- */

static void a_delay_holds_bytes_of_its_way_back(void **state)
{
    struct fixture *f = *state;
    change(f, LINK_DELAY, LINK_UP, 80 * MS);
    change(f, LINK_DELAY, LINK_DOWN, 40 * MS);
    uint64_t start = now_us();
    say(f->dialler, "up");
    hear(f->target, "up");
    assert_true(now_us() - start >= 80 * MS);
    start = now_us();
    say(f->target, "down");
    hear(f->dialler, "down");
    assert_true(now_us() - start >= 40 * MS);
    change(f, LINK_EXTRA, LINK_DOWN, 60 * MS);
    start = now_us();
    say(f->target, "down");
    hear(f->dialler, "down");
    assert_true(now_us() - start >= 100 * MS);
}

static void a_delay_of_one_way_is_not_one_of_the_other(void **state)
{
    struct fixture *f = *state;
    change(f, LINK_DELAY, LINK_DOWN, LINK_TIME_US_MAX);
    say(f->target, "tomorrow");
    say(f->dialler, "now");
    hear(f->target, "now");
    WAIT_STATE(f, s.down.held == 8);
    hear_nothing(f->dialler);
}

static void a_shorter_delay_does_not_overtake(void **state)
{
    struct fixture *f = *state;
    change(f, LINK_DELAY, LINK_UP, 120 * MS);
    uint64_t start = now_us();
    say(f->dialler, "first ");
    WAIT_STATE(f, s.up.bytes == 6);
    change(f, LINK_DELAY, LINK_UP, 0);
    say(f->dialler, "second");
    hear(f->target, "first second");
    assert_true(now_us() - start >= 120 * MS);
}

static void jitter_comes_on_top_of_the_delay_and_keeps_the_order(void **state)
{
    struct fixture *f = *state;
    char text[64];
    change(f, LINK_DELAY, LINK_BOTH, 5 * MS);
    change(f, LINK_JITTER, LINK_BOTH, 20 * MS);
    uint64_t start = now_us();
    for (int i = 0; i < 40; i++) {
        snprintf(text, sizeof text, "%d ", i);
        say(f->dialler, text);
        WAIT_STATE(f, s.up.bytes > 2u * (unsigned)i); /* each a chunk of its own */
    }
    for (int i = 0; i < 40; i++) {
        snprintf(text, sizeof text, "%d ", i);
        hear(f->target, text);
    }
    assert_true(now_us() - start >= 5 * MS);
}

static void a_bandwidth_is_shared_by_all_connections(void **state)
{
    struct fixture *f = *state;
    static uint8_t block[10000];
    int dialler = dial(f->port), target = accept_one(f->listener);
    change(f, LINK_BANDWIDTH, LINK_UP, 100000);
    uint64_t start = now_us();
    assert_int_equal(send(f->dialler, block, sizeof block, 0), sizeof block);
    assert_int_equal(send(dialler, block, sizeof block, 0), sizeof block);
    hear_bytes(f->target, block, sizeof block);
    hear_bytes(target, block, sizeof block);
    assert_true(now_us() - start >= 170 * MS); /* 200 ms but for the burst it allows */
    close(dialler);
    close(target);
}

static void a_bandwidth_that_is_lifted_lets_what_waited_go(void **state)
{
    struct fixture *f = *state;
    static uint8_t block[10000];
    change(f, LINK_BANDWIDTH, LINK_UP, 1);
    assert_int_equal(send(f->dialler, block, sizeof block, 0), sizeof block);
    WAIT_STATE(f, s.up.bytes == sizeof block);
    assert_true(state_of(f).up.held > sizeof block / 2);
    change(f, LINK_BANDWIDTH, LINK_UP, LINK_NONE);
    hear_bytes(f->target, block, sizeof block);
}

static void a_slow_close_delays_the_end_but_not_the_bytes(void **state)
{
    struct fixture *f = *state;
    change(f, LINK_SLOW_CLOSE, LINK_UP, LINK_TIME_US_MAX);
    change(f, LINK_SLOW_CLOSE, LINK_DOWN, 100 * MS);
    say(f->dialler, "bytes");
    shutdown(f->dialler, SHUT_WR);
    hear(f->target, "bytes");
    hear_nothing(f->target);
    uint64_t start = now_us();
    say(f->target, "more");
    close_target(f);
    hear(f->dialler, "more");
    hear_end(f->dialler);
    assert_true(now_us() - start >= 100 * MS);
}

/* ---- cuts ---- */

static void a_cut_way_keeps_bytes_back_and_the_other_goes_on(void **state)
{
    struct fixture *f = *state;
    change(f, LINK_CUT, LINK_UP, 0);
    say(f->dialler, "kept back");
    WAIT_STATE(f, s.up.held == 9);
    hear_nothing(f->target);
    say(f->target, "passes");
    hear(f->dialler, "passes");
    assert_true(state_of(f).up.cut && !state_of(f).down.cut);
    change(f, LINK_HEAL, LINK_UP, LINK_RESUME);
    hear(f->target, "kept back");
    say(f->dialler, "as before");
    hear(f->target, "as before");
}

static void bytes_in_flight_when_a_link_is_cut_do_not_arrive(void **state)
{
    struct fixture *f = *state;
    change(f, LINK_DELAY, LINK_DOWN, 30 * MS);
    say(f->target, "on its way");
    WAIT_STATE(f, s.down.held == 10);
    change(f, LINK_CUT, LINK_BOTH, 0);
    if (state_of(f).down.held == 0)
        skip(); /* this machine was too slow to cut it in time */
    hear_nothing(f->dialler);
    change(f, LINK_HEAL, LINK_BOTH, LINK_RESUME);
    hear(f->dialler, "on its way");
}

static void healing_with_a_reset_tells_both_ends_and_delivers_nothing(void **state)
{
    struct fixture *f = *state;
    change(f, LINK_CUT, LINK_DOWN, 0);
    say(f->target, "lost");
    WAIT_STATE(f, s.down.held == 4);
    change(f, LINK_HEAL, LINK_UP, LINK_RESET_ALL); /* this way was not cut: nothing happens */
    say(f->dialler, "up");
    hear(f->target, "up");
    change(f, LINK_HEAL, LINK_BOTH, LINK_RESET_ALL);
    hear_reset(f->dialler);
    hear_reset(f->target);
    WAIT_STATE(f, s.open == 0);
}

static void behind_a_cut_nobody_learns_of_an_end_or_a_death(void **state)
{
    struct fixture *f = *state;
    int dialler = dial(f->port), target = accept_one(f->listener);
    say(dialler, "x");
    hear(target, "x");
    change(f, LINK_CUT, LINK_BOTH, 0);
    close_dialler(f);
    close_with_reset(dialler);
    hear_nothing(f->target);
    hear_nothing(target);
    assert_int_equal(state_of(f).open, 2);
    change(f, LINK_HEAL, LINK_BOTH, LINK_RESUME);
    hear_end(f->target);
    hear_reset(target);
    close(target);
    close_target(f);
    WAIT_STATE(f, s.open == 0);
}

static void a_connection_dialled_during_a_cut_comes_through_when_it_is_healed(void **state)
{
    struct fixture *f = *state;
    change(f, LINK_CUT, LINK_DOWN, 0);
    int fd = dial(f->port);
    say(fd, "patient");
    WAIT_STATE(f, s.up.held == 7);
    hear_nothing(f->listener);
    change(f, LINK_HEAL, LINK_DOWN, LINK_RESUME);
    int target = accept_one(f->listener);
    hear(target, "patient");
    close(fd);
    close(target);
}

static void a_connection_given_up_during_a_cut_is_never_seen(void **state)
{
    struct fixture *f = *state;
    change(f, LINK_CUT, LINK_UP, 0);
    int fd = dial(f->port), reset = dial(f->port);
    say(fd, "impatient");
    WAIT_STATE(f, s.open == 3);
    close(fd);
    close_with_reset(reset);
    WAIT_STATE(f, s.open == 1);
    change(f, LINK_HEAL, LINK_BOTH, LINK_RESUME);
    fd = dial(f->port);
    say(fd, "the only one");
    int target = accept_one(f->listener);
    hear(target, "the only one");
    hear_nothing(f->listener);
    close(fd);
    close(target);
}

/* ---- connections ---- */

static void refusing_concerns_new_connections_only(void **state)
{
    struct fixture *f = *state;
    change(f, LINK_REFUSE, LINK_BOTH, 0);
    change(f, LINK_REFUSE, LINK_BOTH, 0);
    assert_true(state_of(f).refusing);
    assert_int_equal(try_dial(f->port), -1);
    assert_int_equal(errno, ECONNREFUSED);
    say(f->dialler, "goes on");
    hear(f->target, "goes on");
    change(f, LINK_ACCEPT, LINK_BOTH, 0);
    change(f, LINK_ACCEPT, LINK_BOTH, 0);
    assert_false(state_of(f).refusing);
    int fd = dial(f->port), target = accept_one(f->listener);
    say(fd, "again");
    hear(target, "again");
    close(fd);
    close(target);
}

static void a_reset_reaches_both_ends_at_once_even_past_a_cut(void **state)
{
    struct fixture *f = *state;
    change(f, LINK_DELAY, LINK_BOTH, LINK_TIME_US_MAX);
    change(f, LINK_CUT, LINK_BOTH, 0);
    say(f->dialler, "never");
    WAIT_STATE(f, s.up.held == 5);
    change(f, LINK_RESET, LINK_BOTH, 0);
    hear_reset(f->dialler);
    hear_reset(f->target);
    WAIT_STATE(f, s.open == 0);
}

static void a_reset_of_one_way_leaves_the_other_end_talking_to_nobody(void **state)
{
    struct fixture *f = *state;
    change(f, LINK_RESET, LINK_DOWN, 0);
    hear_reset(f->dialler);
    hear_nothing(f->target);
    say(f->target, "hello?");
    hear_nothing(f->target);
    assert_int_equal(state_of(f).open, 1);
    close_target(f);
    WAIT_STATE(f, s.open == 0);
}

static void half_open_tells_only_the_end_of_its_way(void **state)
{
    struct fixture *f = *state;
    change(f, LINK_HALF_OPEN, LINK_UP, 0);
    hear_end(f->target);
    say(f->target, "is heard by nobody");
    close_target(f);
    hear_nothing(f->dialler);
    for (int i = 0; i < 10; i++) /* no reset comes back for what is sent to nobody */
        say(f->dialler, "hello?");
    hear_nothing(f->dialler);
    assert_int_equal(state_of(f).open, 1);
    close_dialler(f);
    WAIT_STATE(f, s.open == 0);
}

static void half_open_both_ways_ends_both_streams(void **state)
{
    struct fixture *f = *state;
    change(f, LINK_HALF_OPEN, LINK_BOTH, 0);
    hear_end(f->dialler);
    hear_end(f->target);
    close_dialler(f);
    close_target(f);
    WAIT_STATE(f, s.open == 0);
}

static void a_dialler_that_ended_its_stream_before_half_open_leaves_nothing_behind(void **state)
{
    struct fixture *f = *state;
    shutdown(f->dialler, SHUT_WR);
    hear_end(f->target);
    change(f, LINK_HALF_OPEN, LINK_UP, 0);
    close_target(f);
    WAIT_STATE(f, s.open == 0);
}

static void half_open_during_a_cut_also_ends_connections_not_dialled_yet(void **state)
{
    struct fixture *f = *state;
    change(f, LINK_CUT, LINK_BOTH, 0);
    int fd = dial(f->port);
    WAIT_STATE(f, s.open == 2);
    change(f, LINK_HALF_OPEN, LINK_UP, 0);
    change(f, LINK_HEAL, LINK_BOTH, LINK_RESUME);
    hear_end(f->target);
    hear_nothing(f->listener);
    hear_nothing(fd);
    close(fd);
    close_target(f);
    close_dialler(f);
    WAIT_STATE(f, s.open == 0);
}

/* ---- bytes ---- */

static void one_byte_is_corrupted_where_it_was_asked_for(void **state)
{
    struct fixture *f = *state;
    uint8_t got[12];
    change(f, LINK_CORRUPT, LINK_UP, 7);
    say(f->dialler, "0123");
    hear(f->target, "0123");
    assert_int_equal(state_of(f).up.corrupt_in, 3);
    say(f->dialler, "456789ab");
    hear_bytes(f->target, got, 8);
    assert_memory_equal(got, "456", 3);
    assert_int_not_equal(got[3], '7');
    assert_memory_equal(got + 4, "89ab", 4);
    say(f->target, "the other way is whole");
    hear(f->dialler, "the other way is whole");
    struct link_state s = state_of(f);
    assert_int_equal(s.up.corrupted, 1);
    assert_true(s.up.corrupt_in == LINK_NONE);
    assert_int_equal(s.down.corrupted, 0);
}

static void a_random_corruption_is_one_of_the_next_bytes(void **state)
{
    struct fixture *f = *state;
    uint8_t block[2 * LINK_CORRUPT_WITHIN] = {0};
    size_t changed = 0;
    change(f, LINK_CORRUPT, LINK_DOWN, LINK_RANDOM);
    assert_int_equal(send(f->target, block, sizeof block, 0), sizeof block);
    hear_bytes(f->dialler, block, sizeof block);
    for (size_t i = 0; i < sizeof block; i++) {
        changed += block[i] != 0;
        assert_true(block[i] == 0 || i < LINK_CORRUPT_WITHIN);
    }
    assert_int_equal(changed, 1);
}

static void a_limit_closes_each_connection_at_both_ends_after_its_bytes(void **state)
{
    struct fixture *f = *state;
    say(f->dialler, "not counted");
    hear(f->target, "not counted");
    change(f, LINK_LIMIT, LINK_UP, 5);
    int fd = dial(f->port), target = accept_one(f->listener);
    say(f->target, "the other way is free");
    hear(f->dialler, "the other way is free");
    say(f->dialler, "123");
    say(f->dialler, "4567");
    hear(f->target, "12345");
    hear_end(f->target);
    hear_end(f->dialler);
    WAIT_STATE(f, s.open == 1);
    say(fd, "abcdefg");
    hear(target, "abcde");
    hear_end(target);
    hear_end(fd);
    close(fd);
    close(target);
    change(f, LINK_LIMIT, LINK_UP, LINK_NONE);
    fd = dial(f->port);
    target = accept_one(f->listener);
    say(fd, "no limit any more");
    hear(target, "no limit any more");
    close(fd);
    close(target);
}

static void a_limit_of_nothing_closes_now(void **state)
{
    struct fixture *f = *state;
    shutdown(f->target, SHUT_WR); /* so one of the ends knows the end already */
    hear_end(f->dialler);
    change(f, LINK_LIMIT, LINK_DOWN, 0);
    hear_end(f->target);
    WAIT_STATE(f, s.open == 0);
}

/* ---- the link as a whole ---- */

static void calm_brings_back_what_the_link_was_opened_with(void **state)
{
    (void)state;
    struct fixture *f = fixture_open(&(struct link_options){
        .delay_us = 2 * MS, .jitter_us = MS, .bandwidth = 1000000, .slow_close_us = 3 * MS});
    struct link_state before = state_of(f), after;
    change(f, LINK_DELAY, LINK_UP, LINK_NONE); /* cut down to the longest there is */
    assert_true(state_of(f).up.delay_us == LINK_TIME_US_MAX);
    change(f, LINK_EXTRA, LINK_BOTH, 50 * MS);
    change(f, LINK_JITTER, LINK_BOTH, 0);
    change(f, LINK_BANDWIDTH, LINK_DOWN, 10);
    change(f, LINK_SLOW_CLOSE, LINK_DOWN, 0);
    change(f, LINK_CORRUPT, LINK_BOTH, 1000);
    change(f, LINK_LIMIT, LINK_BOTH, 1000);
    change(f, LINK_REFUSE, LINK_BOTH, 0);
    change(f, LINK_CUT, LINK_BOTH, 0);
    say(f->dialler, "waits");
    WAIT_STATE(f, s.up.held == 5);
    change(f, LINK_CALM, LINK_BOTH, LINK_RESUME);
    hear(f->target, "waits");
    after = state_of(f);
    before.up.bytes = 5;
    after.up.held = 0;
    assert_memory_equal(&before, &after, sizeof after);
    fixture_close(f);
}

static void closing_the_link_resets_its_connections(void **state)
{
    struct fixture *f = *state;
    int waiting;
    change(f, LINK_CUT, LINK_BOTH, 0);
    waiting = dial(f->port);
    say(f->dialler, "kept");
    WAIT_STATE(f, s.up.held == 4 && s.open == 2);
    links_free(f->links);
    f->links = NULL;
    hear_reset(f->dialler);
    hear_reset(f->target);
    hear_reset(waiting);
    assert_int_equal(try_dial(f->port), -1);
    close(waiting);
}

static void what_cannot_be_opened_says_why(void **state)
{
    (void)state;
    char why[512];
    uint16_t taken;
    int listener = listen_anywhere(&taken);
    struct links *s = links_new();
    struct link_options options = {.listen_port = taken, .host = "127.0.0.1", .port = 1};
    assert_int_equal(links_add(s, &options, why, sizeof why), -1);
    assert_non_null(strstr(why, "cannot listen at 127.0.0.1:"));
    assert_non_null(strstr(why, "choose another port"));
    options = (struct link_options){.host = "no such host", .port = 1};
    assert_int_equal(links_add(s, &options, why, sizeof why), -1);
    assert_non_null(strstr(why, "no such host: "));
    links_free(s);
    close(listener);
}

/* Many changes of all kinds while many connections come, talk, and go: nothing is checked but that
 * the link lives, that a calm link works, and what the sanitizers say. */
static void a_storm_of_changes_leaves_a_link_that_works(void **state)
{
    struct fixture *f = *state;
    enum { ROUNDS = 600, OPEN = 8 };
    struct prng p;
    int near[OPEN] = {0}, far;
    char text[300];
    prng_seed(&p, 42);
    memset(text, 'x', sizeof text);
    for (int i = 0; i < ROUNDS; i++) {
        int *fd = &near[prng_below(&p, OPEN)];
        enum link_change_kind kind = (enum link_change_kind)prng_below(&p, LINK_CHANGE_KINDS);
        change(f, kind, 1 + (unsigned)prng_below(&p, 3), prng_below(&p, 500));
        if (*fd > 0 && prng_below(&p, 3) == 0) {
            if (prng_below(&p, 2) == 0)
                close(*fd);
            else
                close_with_reset(*fd);
            *fd = 0;
        }
        if (*fd == 0 && (*fd = try_dial(f->port)) < 0)
            *fd = 0;
        if (*fd > 0)
            send(*fd, text, sizeof text, MSG_NOSIGNAL | MSG_DONTWAIT);
        while (readable_within(f->listener, 0) && (far = accept(f->listener, NULL, NULL)) >= 0) {
            send(far, text, sizeof text, MSG_NOSIGNAL | MSG_DONTWAIT);
            close(far);
        }
    }
    change(f, LINK_CALM, LINK_BOTH, LINK_RESET_ALL);
    change(f, LINK_RESET, LINK_BOTH, 0);
    for (int i = 0; i < OPEN; i++)
        if (near[i] > 0)
            close(near[i]);
    WAIT_STATE(f, s.open == 0);
    while (readable_within(f->listener, 0) && (far = accept(f->listener, NULL, NULL)) >= 0)
        close(far);
    int fd = dial(f->port);
    far = accept_one(f->listener);
    say(fd, "works");
    hear(far, "works");
    close(fd);
    close(far);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        LINK_TEST(bytes_pass_both_ways_and_are_counted),
        LINK_TEST(a_closed_side_still_hears_the_other),
        LINK_TEST(the_death_of_one_end_resets_the_other),
        LINK_TEST(who_goes_on_sending_to_one_that_closed_is_reset),
        LINK_TEST(a_target_that_is_not_there_resets_the_dialler),
        LINK_TEST(an_end_that_does_not_read_stops_the_sender_and_loses_nothing),
        LINK_TEST(a_delay_holds_bytes_of_its_way_back),
        LINK_TEST(a_delay_of_one_way_is_not_one_of_the_other),
        LINK_TEST(a_shorter_delay_does_not_overtake),
        LINK_TEST(jitter_comes_on_top_of_the_delay_and_keeps_the_order),
        LINK_TEST(a_bandwidth_is_shared_by_all_connections),
        LINK_TEST(a_bandwidth_that_is_lifted_lets_what_waited_go),
        LINK_TEST(a_slow_close_delays_the_end_but_not_the_bytes),
        LINK_TEST(a_cut_way_keeps_bytes_back_and_the_other_goes_on),
        LINK_TEST(bytes_in_flight_when_a_link_is_cut_do_not_arrive),
        LINK_TEST(healing_with_a_reset_tells_both_ends_and_delivers_nothing),
        LINK_TEST(behind_a_cut_nobody_learns_of_an_end_or_a_death),
        LINK_TEST(a_connection_dialled_during_a_cut_comes_through_when_it_is_healed),
        LINK_TEST(a_connection_given_up_during_a_cut_is_never_seen),
        LINK_TEST(refusing_concerns_new_connections_only),
        LINK_TEST(a_reset_reaches_both_ends_at_once_even_past_a_cut),
        LINK_TEST(a_reset_of_one_way_leaves_the_other_end_talking_to_nobody),
        LINK_TEST(half_open_tells_only_the_end_of_its_way),
        LINK_TEST(half_open_both_ways_ends_both_streams),
        LINK_TEST(a_dialler_that_ended_its_stream_before_half_open_leaves_nothing_behind),
        LINK_TEST(half_open_during_a_cut_also_ends_connections_not_dialled_yet),
        LINK_TEST(one_byte_is_corrupted_where_it_was_asked_for),
        LINK_TEST(a_random_corruption_is_one_of_the_next_bytes),
        LINK_TEST(a_limit_closes_each_connection_at_both_ends_after_its_bytes),
        LINK_TEST(a_limit_of_nothing_closes_now),
        cmocka_unit_test(calm_brings_back_what_the_link_was_opened_with),
        LINK_TEST(closing_the_link_resets_its_connections),
        cmocka_unit_test(what_cannot_be_opened_says_why),
        LINK_TEST(a_storm_of_changes_leaves_a_link_that_works),
    };
    return cmocka_run_group_tests_name("link", tests, NULL, NULL);
}
