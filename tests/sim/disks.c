#include "tests/sim/disks_file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/bytes.h"

static struct disks *current;

struct disks *disks_current(void)
{
    return current;
}

static bool one_in(struct disks *d, uint64_t n)
{
    return prng_below(&d->prng, n) == 0;
}

/* ---- machines and files ---- */

static struct disk_machine *machine_of(struct disks *d, const char *path)
{
    const char *end = strchr(path + 1, '/');
    size_t len = end == NULL ? strlen(path) : (size_t)(end - path);
    struct disk_machine *m;
    for (m = d->machines; m != NULL; m = m->next)
        if (strlen(m->name) == len && memcmp(m->name, path, len) == 0)
            return m;
    m = xcalloc(1, sizeof *m);
    m->disks = d;
    snprintf(m->name, sizeof m->name, "%.*s", (int)len, path);
    m->room = UINT64_MAX;
    m->next = d->machines;
    d->machines = m;
    return m;
}

static const struct disk_machine *machine_named(const struct disks *d, const char *name)
{
    const struct disk_machine *m;
    for (m = d->machines; m != NULL && strcmp(m->name, name) != 0; m = m->next)
        continue;
    return m;
}

struct disk_node *disks_find(struct disks *d, const char *path)
{
    struct disk_node *n;
    for (n = machine_of(d, path)->nodes; n != NULL; n = n->next)
        if (!n->removed && strcmp(n->path, path) == 0)
            return n;
    return NULL;
}

struct disk_node *disks_make(struct disks *d, const char *path)
{
    struct disk_node *n = xcalloc(1, sizeof *n);
    n->machine = machine_of(d, path);
    n->path = xstrdup(path);
    n->next = n->machine->nodes;
    n->machine->nodes = n;
    return n;
}

static void page_free(struct disk_page *p)
{
    free(p->now);
    free(p->synced);
    memset(p, 0, sizeof *p);
}

static void node_free(struct disk_node *n)
{
    struct disk_node **at = &n->machine->nodes;
    while (*at != n)
        at = &(*at)->next;
    *at = n->next;
    for (uint32_t i = 0; i < n->pages; i++)
        page_free(&n->page[i]);
    free(n->page);
    free(n->path);
    free(n);
}

/* A removed file lives as long as somebody has it open, or may still come back. */
static void node_release(struct disk_node *n)
{
    if (n->removed && !n->entry_synced && n->handles == 0)
        node_free(n);
}

void disks_remove(struct disk_node *n)
{
    n->removed = true;
    node_release(n);
}

bool disks_handle_alive(const struct disk_handle *h)
{
    return h->node != NULL && h->life == h->node->machine->life && !h->node->machine->dead;
}

void disks_handle_open(struct disk_handle *h, struct disk_node *n)
{
    h->node = n;
    h->life = n->machine->life;
    n->handles++;
}

void disks_handle_close(struct disk_handle *h)
{
    struct disk_node *n = h->node;
    h->node = NULL;
    if (n == NULL)
        return;
    if (n->locked_by == h)
        n->locked_by = NULL;
    n->handles--;
    node_release(n);
}

/* ---- faults ---- */

enum operation {
    OPERATION_READ,
    OPERATION_WRITE,
    OPERATION_COMMIT,
    OPERATION_TRUNCATE,
    OPERATION_SYNC
};

/* Whether the armed fault strikes this operation. */
static bool strikes(struct disk_machine *m, enum operation operation)
{
    bool concerned = false;
    if (!m->armed)
        return false;
    switch (m->fault) {
    case DISKS_FAULT_POWER:
        concerned = operation != OPERATION_READ;
        break;
    case DISKS_FAULT_POWER_IN_A_COMMIT:
        concerned = operation == OPERATION_COMMIT;
        break;
    case DISKS_FAULT_WRITE_ERROR:
        concerned = operation == OPERATION_WRITE || operation == OPERATION_COMMIT;
        break;
    case DISKS_FAULT_SYNC_ERROR:
        concerned = operation == OPERATION_SYNC;
        break;
    case DISKS_FAULT_READ_ERROR:
        concerned = operation == OPERATION_READ;
        break;
    }
    if (!concerned || --m->countdown > 0)
        return false;
    m->armed = false;
    m->fired = true;
    m->dead = m->fault == DISKS_FAULT_POWER || m->fault == DISKS_FAULT_POWER_IN_A_COMMIT;
    return true;
}

void disks_arm(struct disks *d, const char *machine, enum disks_fault fault, uint32_t n)
{
    struct disk_machine *m = machine_of(d, machine);
    m->armed = true;
    m->fired = false;
    m->fault = fault;
    m->countdown = n == 0 ? 1 : n;
}

void disks_disarm(struct disks *d, const char *machine)
{
    machine_of(d, machine)->armed = false;
}

bool disks_fired(const struct disks *d, const char *machine)
{
    const struct disk_machine *m = machine_named(d, machine);
    return m != NULL && m->fired;
}

bool disks_dead(const struct disks *d, const char *machine)
{
    const struct disk_machine *m = machine_named(d, machine);
    return m != NULL && m->dead;
}

static uint64_t used_by(const struct disk_machine *m)
{
    uint64_t sum = 0;
    for (const struct disk_node *n = m->nodes; n != NULL; n = n->next)
        sum += n->removed && n->handles == 0 ? 0 : n->size;
    return sum;
}

void disks_set_room(struct disks *d, const char *machine, uint64_t bytes)
{
    machine_of(d, machine)->room = bytes;
}

uint64_t disks_used(const struct disks *d, const char *machine)
{
    const struct disk_machine *m = machine_named(d, machine);
    return m == NULL ? 0 : used_by(m);
}

/* ---- content ---- */

static bool all_zero(const uint8_t *data, size_t len)
{
    return data[0] == 0 && memcmp(data, data + 1, len - 1) == 0;
}

static void need_pages(struct disk_node *n, uint64_t size)
{
    uint32_t pages = (uint32_t)((size + DISK_PAGE - 1) / DISK_PAGE);
    if (pages <= n->pages)
        return;
    uint32_t more = pages < 2 * n->pages ? 2 * n->pages : pages;
    n->page = xrealloc(n->page, more * sizeof *n->page);
    memset(n->page + n->pages, 0, (more - n->pages) * sizeof *n->page);
    n->pages = more;
}

/* Bytes of one page. Durable: the bytes are synced at once, and only they. */
static void page_write(struct disk_page *p, const uint8_t *data, size_t len, size_t at,
                       bool durable)
{
    if (p->now == NULL && !p->dirty && durable && len == DISK_PAGE && all_zero(data, len))
        return;
    if (!durable && !p->dirty) {
        p->synced = p->now;
        p->now = xcalloc(1, DISK_PAGE);
        if (p->synced != NULL)
            memcpy(p->now, p->synced, DISK_PAGE);
        p->dirty = true;
    }
    p->doomed = false;
    if (p->now == NULL)
        p->now = xcalloc(1, DISK_PAGE);
    memcpy(p->now + at, data, len);
    if (durable && p->dirty) {
        if (p->synced == NULL)
            p->synced = xcalloc(1, DISK_PAGE);
        memcpy(p->synced + at, data, len);
    }
}

static void node_write(struct disk_node *n, const uint8_t *data, size_t len, uint64_t at,
                       bool durable)
{
    need_pages(n, at + len);
    while (len > 0) {
        size_t inside = (size_t)(at % DISK_PAGE);
        size_t part = DISK_PAGE - inside < len ? DISK_PAGE - inside : len;
        page_write(&n->page[at / DISK_PAGE], data, part, inside, durable);
        data += part;
        at += part;
        len -= part;
    }
    if (at > n->size)
        n->size = at;
    if (durable && at > n->synced_size)
        n->synced_size = at;
}

int disks_read(struct disk_handle *h, void *data, size_t len, uint64_t at, size_t *got)
{
    struct disk_node *n = h->node;
    uint8_t *out = data;
    *got = 0;
    if (!disks_handle_alive(h) || strikes(n->machine, OPERATION_READ))
        return EIO;
    n->machine->disks->stats.reads++;
    if (at >= n->size)
        return 0;
    if (len > n->size - at)
        len = (size_t)(n->size - at);
    *got = len;
    while (len > 0) {
        size_t inside = (size_t)(at % DISK_PAGE);
        size_t part = DISK_PAGE - inside < len ? DISK_PAGE - inside : len;
        const uint8_t *page = n->page[at / DISK_PAGE].now;
        if (page == NULL)
            memset(out, 0, part);
        else
            memcpy(out, page + inside, part);
        out += part;
        at += part;
        len -= part;
    }
    return 0;
}

/* Some sectors of the write take place, others do not. */
static void write_in_part(struct disk_node *n, const uint8_t *data, size_t len, uint64_t at,
                          bool durable)
{
    struct disks *d = n->machine->disks;
    uint64_t mode = prng_below(&d->prng, 3); /* nothing; a beginning; any sectors */
    uint64_t whole = prng_below(&d->prng, len / DISK_SECTOR + 2);
    if (durable && one_in(d, 2)) { /* much of it may be padding: it ends early */
        mode = 1;
        whole = 1 + prng_below(&d->prng, 3);
    }
    for (uint64_t sector = 0; len > 0; sector++) {
        size_t part = DISK_SECTOR - (size_t)(at % DISK_SECTOR);
        part = part < len ? part : len;
        if (mode == 1 ? sector < whole : mode == 2 && one_in(d, 2))
            node_write(n, data, part, at, durable && one_in(d, 2));
        data += part;
        at += part;
        len -= part;
    }
}

int disks_write(struct disk_handle *h, const void *data, size_t len, uint64_t at, bool durable)
{
    struct disk_node *n = h->node;
    if (!disks_handle_alive(h))
        return EIO;
    struct disk_machine *m = n->machine;
    uint64_t growth = at + len > n->size ? at + len - n->size : 0;
    if (growth > 0 && m->room != UINT64_MAX && used_by(m) + growth > m->room)
        return ENOSPC;
    m->disks->stats.writes++;
    bool commit = durable && len >= 2 * DISK_SECTOR &&
                  !all_zero((const uint8_t *)data + DISK_SECTOR, DISK_SECTOR);
    if (strikes(m, commit ? OPERATION_COMMIT : OPERATION_WRITE)) {
        write_in_part(n, data, len, at, durable);
        return EIO;
    }
    m->disks->stats.syncs += durable;
    node_write(n, data, len, at, durable);
    return 0;
}

int disks_truncate(struct disk_handle *h, uint64_t size)
{
    struct disk_node *n = h->node;
    if (!disks_handle_alive(h) || strikes(n->machine, OPERATION_TRUNCATE))
        return EIO;
    /* What is cut off reads as zeros when the file grows again. */
    if (size < n->size) {
        static const uint8_t zero[DISK_PAGE];
        uint64_t at = size, old = n->size;
        while (at < old) {
            size_t part = DISK_PAGE - (size_t)(at % DISK_PAGE);
            part = part < old - at ? part : (size_t)(old - at);
            node_write(n, zero, part, at, false);
            at += part;
        }
        n->truncated_at = n->truncated && n->truncated_at < size ? n->truncated_at : size;
        n->truncated = true;
    }
    need_pages(n, size);
    n->size = size;
    return 0;
}

int disks_sync(struct disk_handle *h)
{
    struct disk_node *n = h->node;
    if (!disks_handle_alive(h))
        return EIO;
    struct disks *d = n->machine->disks;
    bool fails = strikes(n->machine, OPERATION_SYNC);
    bool power = n->machine->dead;
    d->stats.syncs++;
    for (uint32_t i = 0; i < n->pages; i++) {
        struct disk_page *p = &n->page[i];
        if (!p->dirty || p->doomed)
            continue;
        if (fails && !(power && one_in(d, 2))) {
            p->doomed = !power;
            continue;
        }
        free(p->synced);
        p->synced = NULL;
        p->dirty = false;
    }
    if (fails)
        return EIO;
    n->synced_size = n->size;
    n->truncated = false;
    return 0;
}

/* What is there and what is gone is so for good. */
int disks_sync_directory(struct disk_machine *m)
{
    struct disk_node *n, *next;
    if (m->dead || strikes(m, OPERATION_SYNC))
        return EIO;
    for (n = m->nodes; n != NULL; n = next) {
        next = n->next;
        n->entry_synced = !n->removed;
        node_release(n);
    }
    return 0;
}

/* ---- losses ---- */

/* A dirty page after a loss of power: each sector as it was synced or as it was written. */
static void page_lose(struct disks *d, struct disk_page *p, uint64_t mode)
{
    static const uint8_t zero[DISK_PAGE];
    const uint8_t *synced = p->synced == NULL ? zero : p->synced;
    for (size_t at = 0; at < DISK_PAGE; at += DISK_SECTOR) {
        bool keep = !p->doomed && (mode == 1 || (mode == 2 && one_in(d, 2)));
        if (keep)
            d->stats.torn_writes++;
        else
            memcpy(p->now + at, synced + at, DISK_SECTOR);
    }
    free(p->synced);
    p->synced = NULL;
    p->dirty = false;
    p->doomed = false;
}

/* What was cut off is there again, with all that it held, or it is gone for good: a file system
 * does that at once. */
static void truncation_lose_power(struct disks *d, struct disk_node *n)
{
    bool undone = one_in(d, 2);
    uint32_t first = (uint32_t)((n->truncated_at + DISK_PAGE - 1) / DISK_PAGE);
    for (uint32_t i = first; i < n->pages; i++) {
        struct disk_page *p = &n->page[i];
        if (!p->dirty)
            continue;
        if (undone) {
            free(p->now);
            p->now = p->synced;
            p->dirty = p->doomed = false;
        } else {
            free(p->synced);
        }
        p->synced = NULL;
    }
    if (undone)
        n->size = n->synced_size;
    else if (n->synced_size > n->truncated_at)
        n->synced_size = n->truncated_at;
    n->truncated = false;
}

/* Behind its end a file has zeros, for when it grows again. */
static void cut_end(struct disk_node *n)
{
    uint32_t whole = (uint32_t)(n->size / DISK_PAGE);
    size_t inside = (size_t)(n->size % DISK_PAGE);
    if (inside > 0 && n->page[whole].now != NULL)
        memset(n->page[whole].now + inside, 0, DISK_PAGE - inside);
    for (uint32_t i = whole + (inside > 0); i < n->pages; i++)
        page_free(&n->page[i]);
}

static void node_lose_power(struct disks *d, struct disk_node *n)
{
    if (n->truncated)
        truncation_lose_power(d, n);
    uint64_t file_mode = prng_below(&d->prng, 4); /* nothing, all, sectors, each page its own way */
    for (uint32_t i = 0; i < n->pages; i++) {
        if (!n->page[i].dirty)
            continue;
        d->stats.lost_writes++;
        page_lose(d, &n->page[i], file_mode == 3 ? prng_below(&d->prng, 3) : file_mode);
    }
    if (n->size != n->synced_size) {
        uint64_t low = n->size < n->synced_size ? n->size : n->synced_size;
        uint64_t high = n->size < n->synced_size ? n->synced_size : n->size;
        uint64_t how = prng_below(&d->prng, 3);
        n->size = how == 0   ? n->synced_size
                  : how == 1 ? n->size
                             : low + prng_below(&d->prng, high - low + 1);
    }
    n->synced_size = n->size;
    cut_end(n);
}

/* The file of this name whose entry is durable, although it was removed. */
static struct disk_node *predecessor(const struct disk_node *n)
{
    struct disk_node *p;
    for (p = n->machine->nodes; p != NULL; p = p->next)
        if (p != n && p->removed && p->entry_synced && strcmp(p->path, n->path) == 0)
            break;
    return p;
}

/* Each name has what it had durably, or what it had last. */
static void directory_lose_power(struct disks *d, struct disk_machine *m)
{
    struct disk_node *n;
    for (n = m->nodes; n != NULL; n = n->next) {
        if (n->removed || n->entry_synced)
            continue;
        struct disk_node *before = predecessor(n);
        bool there = one_in(d, 2);
        n->entry_synced = there;
        n->removed = !there;
        if (before != NULL) {
            before->entry_synced = !there;
            before->removed = there;
        }
    }
    for (n = m->nodes; n != NULL; n = n->next)
        if (n->removed && n->entry_synced) {
            n->removed = one_in(d, 2);
            n->entry_synced = !n->removed;
        }
}

void disks_crash(struct disks *d, const char *machine, enum disks_loss loss)
{
    struct disk_machine *m = machine_of(d, machine);
    struct disk_node *n, *next;
    m->life++;
    m->armed = false;
    if (loss == DISKS_LOSE_POWER) {
        directory_lose_power(d, m);
        m->dead = false;
    }
    for (n = m->nodes; n != NULL; n = next) {
        next = n->next;
        n->locked_by = NULL;
        if (loss == DISKS_LOSE_POWER)
            node_lose_power(d, n);
        node_release(n);
    }
}

/* ---- bits ---- */

static uint8_t *synced_byte(struct disk_node *n, uint64_t at)
{
    if (at >= n->size || at / DISK_PAGE >= n->pages)
        return NULL;
    struct disk_page *p = &n->page[at / DISK_PAGE];
    return p->now == NULL || p->dirty ? NULL : p->now + at % DISK_PAGE;
}

bool disks_flip_at(struct disks *d, const char *path, uint64_t at, int bit)
{
    struct disk_node *n = disks_find(d, path);
    uint8_t *byte = n == NULL ? NULL : synced_byte(n, at);
    if (byte == NULL)
        return false;
    *byte ^= (uint8_t)(1u << bit);
    return true;
}

bool disks_flip(struct disks *d, const char *machine, char *what)
{
    struct disk_machine *m = machine_of(d, machine);
    uint32_t files = 0;
    for (struct disk_node *n = m->nodes; n != NULL; n = n->next)
        files += !n->removed;
    for (int tries = 0; tries < 1000 && files > 0; tries++) {
        struct disk_node *n = m->nodes;
        uint64_t nth = prng_below(&d->prng, files);
        while (n->removed || nth > 0) {
            nth -= !n->removed;
            n = n->next;
        }
        if (n->size == 0)
            continue;
        uint64_t at = prng_below(&d->prng, n->size);
        const uint8_t *byte = synced_byte(n, at);
        if (byte == NULL || *byte == 0)
            continue;
        int bit = (int)prng_below(&d->prng, 8);
        snprintf(what, 128, "%s byte %llu bit %d", n->path, (unsigned long long)at, bit);
        return disks_flip_at(d, n->path, at, bit);
    }
    return false;
}

/* ---- copies ---- */

struct disks_copy {
    uint32_t n;
    struct disk_node *node;
};

static void node_copy(struct disk_node *to, const struct disk_node *from)
{
    *to = *from;
    to->next = NULL;
    to->handles = 0;
    to->locked_by = NULL;
    to->path = xstrdup(from->path);
    to->page = from->pages == 0 ? NULL : xcalloc(from->pages, sizeof *to->page);
    for (uint32_t i = 0; i < from->pages; i++) {
        to->page[i] = from->page[i];
        for (int k = 0; k < 2; k++) {
            const uint8_t *old = k == 0 ? from->page[i].now : from->page[i].synced;
            uint8_t *copy = old == NULL ? NULL : memcpy(xmalloc(DISK_PAGE), old, DISK_PAGE);
            if (k == 0)
                to->page[i].now = copy;
            else
                to->page[i].synced = copy;
        }
    }
}

struct disks_copy *disks_save(const struct disks *d, const char *machine)
{
    const struct disk_machine *m = machine_named(d, machine);
    struct disks_copy *copy = xcalloc(1, sizeof *copy);
    for (const struct disk_node *n = m == NULL ? NULL : m->nodes; n != NULL; n = n->next) {
        if (n->removed && !n->entry_synced)
            continue;
        copy->node = xrealloc(copy->node, (copy->n + 1) * sizeof *copy->node);
        node_copy(&copy->node[copy->n++], n);
    }
    return copy;
}

static void node_forget(struct disk_node *n)
{
    n->removed = true;
    n->entry_synced = false;
    node_release(n); /* a dead process may still have it open */
}

void disks_lose(struct disks *d, const char *path)
{
    struct disk_node *n = disks_find(d, path);
    if (n != NULL)
        node_forget(n);
}

void disks_load_but(struct disks *d, const char *machine, const struct disks_copy *copy,
                    const char *but)
{
    struct disk_machine *m = machine_of(d, machine);
    struct disk_node *n, *next;
    for (n = m->nodes; n != NULL; n = next) {
        next = n->next;
        if (but == NULL || strcmp(n->path, but) != 0)
            node_forget(n);
    }
    /* In their old order, which the seed's choices go by. */
    for (uint32_t i = copy->n; i-- > 0;) {
        if (but != NULL && strcmp(copy->node[i].path, but) == 0)
            continue;
        n = xcalloc(1, sizeof *n);
        node_copy(n, &copy->node[i]);
        n->machine = m;
        n->next = m->nodes;
        m->nodes = n;
    }
}

void disks_load(struct disks *d, const char *machine, const struct disks_copy *copy)
{
    disks_load_but(d, machine, copy, NULL);
}

void disks_copy_free(struct disks_copy *copy)
{
    if (copy == NULL)
        return;
    for (uint32_t i = 0; i < copy->n; i++) {
        for (uint32_t k = 0; k < copy->node[i].pages; k++)
            page_free(&copy->node[i].page[k]);
        free(copy->node[i].page);
        free(copy->node[i].path);
    }
    free(copy->node);
    free(copy);
}

/* ---- struct disk ---- */

struct disk_file {
    struct disk_handle handle;
};

/* The root, and the directory of each machine, which is there from the first file on. */
static int file_look(void *arg, const char *path, enum disk_kind *kind)
{
    struct disks *d = arg;
    *kind = DISK_NOTHING;
    if (strchr(path + 1, '/') == NULL)
        *kind =
            path[1] == '\0' || machine_of(d, path)->nodes != NULL ? DISK_DIRECTORY : DISK_NOTHING;
    else if (disks_find(d, path) != NULL)
        *kind = DISK_FILE;
    return machine_of(d, path)->dead ? EIO : 0;
}

static int file_make_directory(void *arg, const char *path)
{
    return machine_of(arg, path)->nodes != NULL ? EEXIST : 0;
}

static int file_sync(void *arg, const char *path)
{
    struct disks *d = arg;
    struct disk_machine *m = machine_of(d, path);
    struct disk_handle h;
    if (strchr(path + 1, '/') == NULL)
        return disks_sync_directory(m);
    struct disk_node *n = disks_find(d, path);
    if (n == NULL)
        return m->dead ? EIO : 0;
    disks_handle_open(&h, n);
    int error = disks_sync(&h);
    disks_handle_close(&h);
    return error;
}

static int file_remove(void *arg, const char *path)
{
    struct disk_node *n = disks_find(arg, path);
    if (machine_of(arg, path)->dead)
        return EIO;
    if (n == NULL)
        return ENOENT;
    disks_remove(n);
    return 0;
}

static int file_open(void *arg, const char *path, enum disk_mode mode, struct disk_file **out)
{
    struct disks *d = arg;
    struct disk_node *n = disks_find(d, path);
    *out = NULL;
    if (machine_of(d, path)->dead)
        return EIO;
    if (n == NULL && mode != DISK_CREATE)
        return ENOENT;
    if (n != NULL && mode == DISK_CREATE)
        return EEXIST;
    if (n == NULL)
        n = disks_make(d, path);
    *out = xcalloc(1, sizeof **out);
    disks_handle_open(&(*out)->handle, n);
    return 0;
}

static int file_lock(void *arg, struct disk_file *file)
{
    const struct disk_handle **by = &file->handle.node->locked_by;
    (void)arg;
    if (!disks_handle_alive(&file->handle))
        return EIO;
    if (*by != NULL && *by != &file->handle)
        return EWOULDBLOCK;
    *by = &file->handle;
    return 0;
}

static int file_read(void *arg, struct disk_file *file, void *data, size_t len, uint64_t at,
                     size_t *got)
{
    (void)arg;
    return disks_read(&file->handle, data, len, at, got);
}

static int file_write(void *arg, struct disk_file *file, const void *data, size_t len, uint64_t at)
{
    (void)arg;
    return disks_write(&file->handle, data, len, at, true);
}

static int file_allocate(void *arg, struct disk_file *file, uint64_t len)
{
    (void)arg;
    (void)file;
    (void)len;
    return 0;
}

static void file_close(void *arg, struct disk_file *file)
{
    (void)arg;
    if (file == NULL)
        return;
    disks_handle_close(&file->handle);
    free(file);
}

/* ---- all ---- */

struct disks *disks_new(uint64_t seed)
{
    struct disks *d = xcalloc(1, sizeof *d);
    prng_seed(&d->prng, seed ^ UINT64_C(0xd15c));
    d->disk = (struct disk){.arg = d,
                            .vfs = disks_vfs_register(seed),
                            .look = file_look,
                            .make_directory = file_make_directory,
                            .sync = file_sync,
                            .remove = file_remove,
                            .open = file_open,
                            .lock = file_lock,
                            .read = file_read,
                            .write = file_write,
                            .allocate = file_allocate,
                            .close = file_close};
    current = d;
    return d;
}

void disks_free(struct disks *d)
{
    struct disk_machine *m;
    while ((m = d->machines) != NULL) {
        d->machines = m->next;
        while (m->nodes != NULL)
            node_free(m->nodes);
        free(m);
    }
    free(d);
    current = NULL;
}

const struct disk *disks_disk(struct disks *d)
{
    return &d->disk;
}

void disks_stats(const struct disks *d, struct disks_stats *out)
{
    *out = d->stats;
}
