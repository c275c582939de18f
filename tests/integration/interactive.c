/* Interactive transactions against a real cluster: one test for each thing that isolation is for,
 * named after the anomaly that must not happen. test_interactive.sh builds and runs it.
 *
 *     interactive CLUSTER_FILE TEST      0: as it should be; 1, with a sentence: not
 *
 * The cluster is that of `assent init`: keys dc1/, dc2/ and dc3/, one participant each. */
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <assent/assent.h>

static assent *db;

__attribute__((format(printf, 2, 3), noreturn)) static void die(int line, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    printf("interactive.c:%d: ", line);
    vprintf(format, args);
    printf(" (%s)\n", assent_error());
    va_end(args);
    fflush(stdout);
    _Exit(1);
}

#define REQUIRE(what)                                                                              \
    do {                                                                                           \
        if (!(what))                                                                               \
            die(__LINE__, "not so: %s", #what);                                                    \
    } while (0)
#define EXPECT(status, call)                                                                       \
    do {                                                                                           \
        assent_status got = (call);                                                                \
        if (got != (status))                                                                       \
            die(__LINE__, "%s gave %s, not %s", #call, assent_status_name(got),                    \
                assent_status_name(status));                                                       \
    } while (0)
#define OK(call) EXPECT(ASSENT_OK, call)

/* ---- what the tests say ---- */

static void put(assent_txn *t, const char *key, const char *value)
{
    OK(assent_put(t, key, strlen(key), value, strlen(value)));
}

static void del(assent_txn *t, const char *key)
{
    OK(assent_del(t, key, strlen(key)));
}

/* The value that a transaction sees; NULL: none. The caller frees it. */
static char *get(assent_txn *t, const char *key)
{
    assent_list *list;
    char *value = NULL;
    assent_status status = assent_txn_get(t, key, strlen(key), &list);
    if (status != ASSENT_OK && status != ASSENT_NOT_FOUND)
        die(__LINE__, "reading %s gave %s", key, assent_status_name(status));
    const assent_entry *entry = assent_list_entry(list, 0);
    REQUIRE(entry->found == (status == ASSENT_OK));
    if (entry->found)
        value = strndup(entry->value, entry->value_len);
    assent_list_free(list);
    return value;
}

static bool sees(assent_txn *t, const char *key, const char *value)
{
    char *found = get(t, key);
    bool same = value == NULL ? found == NULL : found != NULL && strcmp(found, value) == 0;
    if (!same)
        printf("%s: expected %s, found %s\n", key, value == NULL ? "nothing" : value,
               found == NULL ? "nothing" : found);
    free(found);
    return same;
}

/* Commits, and forgets the transaction. */
static assent_status commit(assent_txn *t)
{
    assent_status status = assent_commit(t, NULL);
    assent_txn_free(t);
    return status;
}

/* One key set in a transaction of its own. */
static void set(const char *key, const char *value)
{
    assent_txn *t = assent_txn_new(db);
    if (value == NULL)
        del(t, key);
    else
        put(t, key, value);
    OK(commit(t));
}

static bool is_now(const char *key, const char *value)
{
    assent_txn *t = assent_txn_new(db);
    bool same = sees(t, key, value);
    OK(commit(t));
    return same;
}

/* ---- the tests ---- */

/* Two read the same and write what they computed from it: the second must not win. */
static void lost_update(void)
{
    set("dc1/counter", "1");
    assent_txn *a = assent_txn_new(db), *b = assent_txn_new(db);
    REQUIRE(sees(a, "dc1/counter", "1"));
    REQUIRE(sees(b, "dc1/counter", "1"));
    put(a, "dc1/counter", "2");
    put(b, "dc1/counter", "2");
    REQUIRE(sees(a, "dc1/counter", "2"));
    OK(commit(a));
    EXPECT(ASSENT_CHANGED, commit(b));
    REQUIRE(is_now("dc1/counter", "2"));
}

static const struct test {
    const char *name;
    void (*run)(void);
} tests[] = {
    {"lost_update", lost_update},
};

int main(int argc, char **argv)
{
    if (argc != 3)
        return 64;
    if (assent_open(&db, &(assent_options){.cluster_file = argv[1], .client = "app"}) != ASSENT_OK)
        die(__LINE__, "cannot open %s", argv[1]);
    for (size_t i = 0; i < sizeof tests / sizeof tests[0]; i++) {
        if (strcmp(tests[i].name, argv[2]) != 0)
            continue;
        tests[i].run();
        assent_close(db);
        return 0;
    }
    printf("there is no test %s\n", argv[2]);
    return 64;
}
