/* Shared memory from C: bytes, numbers, locks with killed holders, event loops, counters, arenas, and wrong use. */
#define _GNU_SOURCE
#include "check.h"
#include <sys/mman.h>

enum { MUTEX = 0, RWLOCK = 4096, SEMAPHORE = 8192, BARRIER = 12288, EVENT = 16384, ONCE = 16448, COUNTERS = 17408, HISTOGRAM = 20480, LEN = 28672 };

static procs_shm *memory;

/* Runs the function in a forked child, which opens the memory anew by its descriptor, and dies by SIGKILL if it returns 0. */
static pid_t in_child(int (*work)(procs_shm *)) {
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        procs_shm *mine;
        if (procs_shm_from_fd(procs_shm_fd(memory), &mine) != PROCS_OK) _exit(40);
        int code = work(mine);
        if (code != 0) _exit(code);
        kill(getpid(), SIGKILL);
        pause();
    }
    return pid;
}

static void killed(pid_t pid) {
    int status;
    CHECK(waitpid(pid, &status, 0) == pid);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static void bytes_and_numbers(void) {
    char buffer[16] = "";
    uint32_t small;
    uint64_t large;
    CHECK(procs_shm_len(memory) == LEN && procs_shm_is_read_only(memory) == 0 && procs_shm_fd(memory) > 2);
    CHECK(procs_shm_write(memory, LEN - 5, "hello", 5) == PROCS_OK);
    CHECK(procs_shm_read(memory, LEN - 5, buffer, 5) == PROCS_OK && strcmp(buffer, "hello") == 0);
    CHECK(memcmp((char *)procs_shm_data(memory) + LEN - 5, "hello", 5) == 0);
    REFUSED(procs_shm_write(memory, LEN - 4, "hello", 5));
    REFUSED(procs_shm_read(memory, SIZE_MAX, buffer, 2));
    CHECK(procs_shm_store32(memory, 15000, 5) == PROCS_OK && procs_shm_add32(memory, 15000, UINT32_MAX, &small) == PROCS_OK && small == 5);
    CHECK(procs_shm_load32(memory, 15000, &small) == PROCS_OK && small == 4);
    CHECK(procs_shm_compare_exchange32(memory, 15000, 3, 9, &small) == PROCS_OK && small == 4);
    CHECK(procs_shm_compare_exchange32(memory, 15000, 4, 9, &small) == PROCS_OK && small == 4);
    CHECK(procs_shm_wait32(memory, 15000, 4, 0) == PROCS_OK);
    CHECK(procs_shm_wait32(memory, 15000, 9, 5) == PROCS_E_TIMEOUT);
    CHECK(procs_shm_notify32(memory, 15000, 1) == PROCS_OK);
    CHECK(procs_shm_store64(memory, 15008, UINT64_MAX) == PROCS_OK && procs_shm_add64(memory, 15008, 2, NULL) == PROCS_OK);
    CHECK(procs_shm_load64(memory, 15008, &large) == PROCS_OK && large == 1);
    CHECK(procs_shm_compare_exchange64(memory, 15008, 1, 7, &large) == PROCS_OK && large == 1);
    REFUSED(procs_shm_load32(memory, 15001, &small));
    REFUSED(procs_shm_load64(memory, LEN - 4, &large));
    ok("bytes and numbers");
}

static int holds_mutex(procs_shm *mine) {
    procs_shm_mutex *mutex;
    if (procs_shm_mutex_new(mine, MUTEX, PROCS_SHM_OPEN, &mutex) != PROCS_OK) return 41;
    return procs_shm_mutex_lock(mutex, 20000, NULL) == PROCS_OK ? 0 : 42;
}

static void mutex_whose_holder_is_killed(void) {
    procs_shm_mutex *mutex;
    int died;
    CHECK(procs_shm_mutex_new(memory, MUTEX, PROCS_SHM_OPEN, &mutex) == PROCS_E_PROTOCOL);
    CHECK(procs_shm_mutex_new(memory, MUTEX, PROCS_SHM_OPEN_OR_CREATE, &mutex) == PROCS_OK);
    CHECK(procs_shm_mutex_unlock(mutex) == PROCS_E_INVALID_STATE);
    for (int round = 0; round < count(200); round++) {
        killed(in_child(holds_mutex));
        CHECK(procs_shm_mutex_lock(mutex, 20000, &died) == PROCS_OK && died == 1);
        CHECK(procs_shm_mutex_lock(mutex, 0, NULL) == PROCS_E_INVALID_STATE);
        CHECK(procs_shm_mutex_repair(mutex) == PROCS_OK && procs_shm_mutex_unlock(mutex) == PROCS_OK);
        CHECK(procs_shm_mutex_lock(mutex, 0, &died) == PROCS_OK && died == 0);
        CHECK(procs_shm_mutex_unlock(mutex) == PROCS_OK);
    }
    /* Not repaired: nobody gets it any more. */
    killed(in_child(holds_mutex));
    CHECK(procs_shm_mutex_lock(mutex, 20000, &died) == PROCS_OK && died == 1 && procs_shm_mutex_unlock(mutex) == PROCS_OK);
    CHECK(procs_shm_mutex_lock(mutex, -1, NULL) == PROCS_E_OWNER_DIED);
    CHECK(procs_shm_mutex_free(mutex) == PROCS_OK);
    CHECK(procs_shm_mutex_new(memory, MUTEX, PROCS_SHM_CREATE, &mutex) == PROCS_OK);
    CHECK(procs_shm_mutex_lock(mutex, 0, NULL) == PROCS_OK && procs_shm_mutex_unlock(mutex) == PROCS_OK);
    CHECK(procs_shm_mutex_free(mutex) == PROCS_OK);
    REFUSED(procs_shm_mutex_new(memory, MUTEX, 3, &mutex));
    REFUSED(procs_shm_mutex_new(memory, 32, 0, &mutex));
    ok("mutex whose holder is killed");
}

static int writes(procs_shm *mine) {
    procs_shm_rwlock *lock;
    if (procs_shm_rwlock_new(mine, RWLOCK, PROCS_SHM_OPEN, &lock) != PROCS_OK) return 43;
    return procs_shm_rwlock_write(lock, 20000, NULL) == PROCS_OK ? 0 : 44;
}

static int takes_a_permit(procs_shm *mine) {
    procs_shm_semaphore *semaphore;
    if (procs_shm_semaphore_new(mine, SEMAPHORE, PROCS_SHM_OPEN, 0, &semaphore) != PROCS_OK) return 45;
    return procs_shm_semaphore_acquire(semaphore, 20000) == PROCS_OK ? 0 : 46;
}

static void rwlock_and_semaphore(void) {
    procs_shm_rwlock *lock;
    procs_shm_semaphore *semaphore;
    uint64_t permits;
    int died;
    CHECK(procs_shm_rwlock_new(memory, RWLOCK, PROCS_SHM_CREATE, &lock) == PROCS_OK);
    CHECK(procs_shm_rwlock_read(lock, 0) == PROCS_OK && procs_shm_rwlock_read(lock, 0) == PROCS_OK);
    CHECK(procs_shm_rwlock_write(lock, 0, NULL) == PROCS_E_WOULD_BLOCK && procs_shm_rwlock_write(lock, 5, NULL) == PROCS_E_TIMEOUT);
    CHECK(procs_shm_rwlock_unlock_read(lock) == PROCS_OK && procs_shm_rwlock_unlock_read(lock) == PROCS_OK);
    CHECK(procs_shm_rwlock_unlock_read(lock) == PROCS_E_INVALID_STATE && procs_shm_rwlock_unlock_write(lock) == PROCS_E_INVALID_STATE);
    killed(in_child(writes));
    CHECK(procs_shm_rwlock_read(lock, 20000) == PROCS_E_OWNER_DIED);
    CHECK(procs_shm_rwlock_write(lock, 20000, &died) == PROCS_OK && died == 1 && procs_shm_rwlock_repair(lock) == PROCS_OK);
    CHECK(procs_shm_rwlock_unlock_write(lock) == PROCS_OK && procs_shm_rwlock_read(lock, 0) == PROCS_OK);
    CHECK(procs_shm_rwlock_unlock_read(lock) == PROCS_OK && procs_shm_rwlock_free(lock) == PROCS_OK);
    CHECK(procs_shm_semaphore_new(memory, SEMAPHORE, PROCS_SHM_CREATE, 1, &semaphore) == PROCS_OK);
    killed(in_child(takes_a_permit));
    CHECK(procs_shm_semaphore_acquire(semaphore, 20000) == PROCS_OK);
    CHECK(procs_shm_semaphore_acquire(semaphore, 0) == PROCS_E_WOULD_BLOCK && procs_shm_semaphore_acquire(semaphore, 5) == PROCS_E_TIMEOUT);
    CHECK(procs_shm_semaphore_release(semaphore) == PROCS_OK);
    CHECK(procs_shm_semaphore_available(semaphore, &permits) == PROCS_OK && permits == 1);
    CHECK(procs_shm_semaphore_add(semaphore, 2) == PROCS_OK);
    CHECK(procs_shm_semaphore_available(semaphore, &permits) == PROCS_OK && permits == 3);
    CHECK(procs_shm_semaphore_add(semaphore, UINT32_MAX) == PROCS_E_TOO_LARGE);
    CHECK(procs_shm_semaphore_free(semaphore) == PROCS_OK);
    ok("rwlock and semaphore");
}

static void *sets(void *event) {
    CHECK(procs_shm_event_set(event) == PROCS_OK);
    return NULL;
}

static void *arrives(void *barrier) {
    int leader;
    CHECK(procs_shm_barrier_wait(barrier, 20000, &leader) == PROCS_OK);
    return (void *)(intptr_t)leader;
}

static int begins(procs_shm *mine) {
    procs_shm_once *once;
    int turn = 0;
    if (procs_shm_once_new(mine, ONCE, PROCS_SHM_OPEN, &once) != PROCS_OK) return 47;
    return procs_shm_once_begin(once, 20000, &turn) == PROCS_OK && turn == 1 ? 0 : 48;
}

static void event_barrier_once(void) {
    procs_shm_event *event;
    procs_shm_barrier *barrier;
    procs_shm_once *once;
    pthread_t thread;
    void *other;
    int leader, turn;
    CHECK(procs_shm_event_new(memory, EVENT, PROCS_SHM_CREATE, &event) == PROCS_OK && procs_shm_event_is_set(event) == 0);
    CHECK(procs_shm_event_wait(event, 0) == PROCS_E_WOULD_BLOCK && procs_shm_event_wait(event, 5) == PROCS_E_TIMEOUT);
    CHECK(pthread_create(&thread, NULL, sets, event) == 0);
    CHECK(procs_shm_event_wait(event, 20000) == PROCS_OK && procs_shm_event_is_set(event) == 1);
    pthread_join(thread, NULL);
    CHECK(procs_shm_event_clear(event) == PROCS_OK && procs_shm_event_is_set(event) == 0);
    CHECK(procs_shm_event_free(event) == PROCS_OK);
    REFUSED(procs_shm_barrier_new(memory, BARRIER, PROCS_SHM_CREATE, 0, &barrier));
    CHECK(procs_shm_barrier_new(memory, BARRIER, PROCS_SHM_CREATE, 2, &barrier) == PROCS_OK);
    CHECK(procs_shm_barrier_wait(barrier, 0, NULL) == PROCS_E_WOULD_BLOCK && procs_shm_barrier_wait(barrier, 5, NULL) == PROCS_E_TIMEOUT);
    CHECK(pthread_create(&thread, NULL, arrives, barrier) == 0);
    CHECK(procs_shm_barrier_wait(barrier, 20000, &leader) == PROCS_OK);
    pthread_join(thread, &other);
    CHECK(leader + (int)(intptr_t)other == 1 && procs_shm_barrier_free(barrier) == PROCS_OK);
    CHECK(procs_shm_once_new(memory, ONCE, PROCS_SHM_CREATE, &once) == PROCS_OK && procs_shm_once_is_done(once) == 0);
    CHECK(procs_shm_once_done(once) == PROCS_E_INVALID_STATE);
    killed(in_child(begins));
    CHECK(procs_shm_once_begin(once, 20000, &turn) == PROCS_OK && turn == 2 && procs_shm_once_fail(once) == PROCS_OK);
    CHECK(procs_shm_once_begin(once, 0, &turn) == PROCS_OK && turn > 0 && procs_shm_once_begin(once, 0, &turn) == PROCS_E_WOULD_BLOCK);
    CHECK(procs_shm_once_done(once) == PROCS_OK && procs_shm_once_is_done(once) == 1);
    CHECK(procs_shm_once_begin(once, 0, &turn) == PROCS_OK && turn == 0 && procs_shm_once_free(once) == PROCS_OK);
    ok("event, barrier, once");
}

/* Polls as an event loop does until the wish is fulfilled or refused. */
static procs_status finish(procs_shm_pending *pending, int *value) {
    for (;;) {
        struct pollfd poll_fd = {procs_shm_pending_fd(pending), POLLIN, 0};
        CHECK(poll(&poll_fd, 1, 20000) == 1);
        procs_status status = procs_shm_pending_finish(pending, value);
        if (status != PROCS_E_WOULD_BLOCK) return status;
    }
}

static void event_loop(void) {
    procs_shm_event *event;
    procs_shm_semaphore *semaphore;
    procs_shm_mutex *mutex;
    procs_shm_pending *pending;
    pthread_t thread;
    int value = 7;
    CHECK(procs_shm_event_new(memory, EVENT, PROCS_SHM_CREATE, &event) == PROCS_OK);
    CHECK(procs_shm_event_wait_start(event, -1, &pending) == PROCS_OK);
    CHECK(procs_shm_pending_finish(pending, &value) == PROCS_E_WOULD_BLOCK && value == 7);
    CHECK(pthread_create(&thread, NULL, sets, event) == 0);
    CHECK(finish(pending, &value) == PROCS_OK && value == 0);
    pthread_join(thread, NULL);
    CHECK(procs_shm_pending_finish(pending, &value) == PROCS_E_INVALID_STATE && procs_shm_pending_free(pending) == PROCS_OK);
    CHECK(procs_shm_semaphore_new(memory, SEMAPHORE, PROCS_SHM_CREATE, 0, &semaphore) == PROCS_OK);
    CHECK(procs_shm_semaphore_acquire_start(semaphore, 10, &pending) == PROCS_OK && finish(pending, NULL) == PROCS_E_TIMEOUT);
    CHECK(procs_shm_pending_free(pending) == PROCS_OK);
    CHECK(procs_shm_semaphore_acquire_start(semaphore, -1, &pending) == PROCS_OK);
    CHECK(procs_shm_pending_finish(pending, NULL) == PROCS_E_WOULD_BLOCK && procs_shm_semaphore_release(semaphore) == PROCS_OK);
    CHECK(finish(pending, NULL) == PROCS_OK && procs_shm_pending_free(pending) == PROCS_OK);
    CHECK(procs_shm_semaphore_acquire(semaphore, 0) == PROCS_E_WOULD_BLOCK);
    /* A holder that is killed, while a loop waits. */
    CHECK(procs_shm_mutex_new(memory, MUTEX, PROCS_SHM_CREATE, &mutex) == PROCS_OK);
    killed(in_child(holds_mutex));
    CHECK(procs_shm_mutex_lock_start(mutex, 20000, &pending) == PROCS_OK && finish(pending, &value) == PROCS_OK && value == 1);
    CHECK(procs_shm_pending_free(pending) == PROCS_OK && procs_shm_mutex_repair(mutex) == PROCS_OK);
    CHECK(procs_shm_mutex_unlock(mutex) == PROCS_OK && procs_shm_mutex_free(mutex) == PROCS_OK);
    /* Freed while it waits: nothing is taken, nothing is left. */
    CHECK(procs_shm_semaphore_acquire_start(semaphore, -1, &pending) == PROCS_OK);
    CHECK(procs_shm_pending_finish(pending, NULL) == PROCS_E_WOULD_BLOCK && procs_shm_pending_free(pending) == PROCS_OK);
    CHECK(procs_shm_semaphore_free(semaphore) == PROCS_OK && procs_shm_event_free(event) == PROCS_OK);
    ok("waiting in an event loop");
}

static int counts(procs_shm *mine) {
    procs_shm_counters *table;
    procs_shm_counter *counter;
    procs_shm_histogram *histogram;
    if (procs_shm_counters_new(mine, COUNTERS, PROCS_SHM_OPEN, 0, &table) != PROCS_OK) return 49;
    if (procs_shm_counter_new(table, "from a child", &counter) != PROCS_OK) return 50;
    if (procs_shm_counter_add(counter, 5, NULL) != PROCS_OK) return 51;
    if (procs_shm_histogram_new(mine, HISTOGRAM, PROCS_SHM_OPEN, &histogram) != PROCS_OK) return 52;
    return procs_shm_histogram_record(histogram, 1000) == PROCS_OK ? 0 : 53;
}

static void counters_and_histogram(void) {
    procs_shm_counters *table;
    procs_shm_counter *counter;
    procs_shm_histogram *histogram;
    procs_shm_summary summary = {.size = sizeof summary};
    char name[PROCS_SHM_COUNTER_NAME];
    int64_t value;
    CHECK(procs_shm_counters_new(memory, COUNTERS, PROCS_SHM_CREATE, 2, &table) == PROCS_OK);
    CHECK(procs_shm_histogram_new(memory, HISTOGRAM, PROCS_SHM_CREATE, &histogram) == PROCS_OK);
    killed(in_child(counts));
    CHECK(procs_shm_counters_entry(table, 0, name, &value) == PROCS_OK && strcmp(name, "from a child") == 0 && value == 5);
    CHECK(procs_shm_counters_entry(table, 1, name, &value) == PROCS_E_NOT_FOUND);
    CHECK(procs_shm_counter_new(table, "second", &counter) == PROCS_OK && procs_shm_counter_value(counter) == 0);
    CHECK(procs_shm_counter_set(counter, -3) == PROCS_OK && procs_shm_counter_add(counter, -4, &value) == PROCS_OK && value == -3);
    CHECK(procs_shm_counter_value(counter) == -7 && procs_shm_counter_free(counter) == PROCS_OK);
    CHECK(procs_shm_counter_new(table, "third", &counter) == PROCS_E_EXHAUSTED);
    REFUSED(procs_shm_counter_new(table, "", &counter));
    REFUSED(procs_shm_counter_new(table, "\xff", &counter));
    CHECK(procs_shm_histogram_record(histogram, 10) == PROCS_OK && procs_shm_histogram_summary(histogram, &summary) == PROCS_OK);
    CHECK(summary.count == 2 && summary.sum == 1010 && summary.min == 10 && summary.max == 1000 && summary.p50 >= 10 && summary.p50 <= 11);
    CHECK(procs_shm_histogram_free(histogram) == PROCS_OK && procs_shm_counters_free(table) == PROCS_OK);
    ok("counters and histogram");
}

static procs_shm_arena *arena;
static procs_shm_place place;
static uint32_t seat;

static int reads_a_block(procs_shm *mine) {
    procs_shm_arena *theirs;
    procs_shm_block *block;
    int fd;
    (void)mine;
    /* The forked copy of the maker's handle still knows its descriptors, and nothing else. */
    if (procs_shm_arena_segment_fd(arena, 0, &fd) != PROCS_OK) return 54;
    if (procs_shm_arena_alloc(arena, 1, &block) != PROCS_E_INVALID_STATE) return 55;
    if (procs_shm_arena_open(fd, seat, &theirs) != PROCS_OK) return 56;
    if (procs_shm_arena_attach(theirs, &place, &block) != PROCS_OK) return 57;
    if (procs_shm_block_len(block) != 100000 || strcmp(procs_shm_block_data(block), "in place") != 0) return 58;
    return procs_shm_arena_attach(theirs, &place, &block) == PROCS_E_PROTOCOL ? 0 : 59;
}

static void arena_with_a_killed_reader(void) {
    procs_shm_block *block;
    size_t blocks = 9;
    CHECK(procs_shm_arena_new(128 << 10, 128 << 10, &arena) == PROCS_OK && procs_shm_arena_segments(arena) == 1);
    for (int round = 0; round < count(50); round++) {
        CHECK(procs_shm_arena_seat(arena, &seat) == PROCS_OK);
        CHECK(procs_shm_arena_alloc(arena, 100000, &block) == PROCS_OK && procs_shm_block_len(block) == 100000);
        strcpy(procs_shm_block_data(block), "in place");
        CHECK(procs_shm_block_lend(block, seat, &place) == PROCS_OK && procs_shm_block_unlend(block, seat) == PROCS_OK);
        REFUSED(procs_shm_block_unlend(block, seat));
        CHECK(procs_shm_block_lend(block, seat, &place) == PROCS_OK && procs_shm_block_free(block) == PROCS_OK);
        CHECK(procs_shm_arena_alloc(arena, 100000, &block) == PROCS_E_EXHAUSTED);
        killed(in_child(reads_a_block));
        CHECK(procs_shm_arena_reclaim_dead(arena, &blocks) == PROCS_OK && blocks == 1);
    }
    REFUSED(procs_shm_arena_reclaim(arena, 64, NULL));
    CHECK(procs_shm_arena_seat(arena, &seat) == PROCS_OK && procs_shm_arena_reclaim(arena, seat, &blocks) == PROCS_OK && blocks == 0);
    CHECK(procs_shm_arena_alloc(arena, 1, &block) == PROCS_OK && procs_shm_block_free(block) == PROCS_OK);
    CHECK(procs_shm_arena_add_segment(arena, procs_shm_fd(memory)) == PROCS_E_PROTOCOL);
    CHECK(procs_shm_arena_free(arena) == PROCS_OK);
    ok("arena with a killed reader");
}

static void layout(void) {
    procs_shm_field field = {.size = sizeof field};
    size_t fields = 0;
    int seen = 0;
    while (procs_shm_layout(fields, &field) == PROCS_OK) {
        fields++;
        if (strcmp(field.name, "header.version") == 0) seen = field.offset == 8 && field.len == 4;
    }
    CHECK(procs_last_error() == PROCS_E_NOT_FOUND && seen && fields > 30);
    ok("layout");
}

static void wrong_use(void) {
    procs_shm *other = NULL;
    procs_shm_mutex *mutex = NULL;
    procs_shm_pending *pending = NULL;
    int plain = memfd_create("plain", 0), status = 0;
    char byte;
    CHECK(plain >= 0 && ftruncate(plain, 4096) == 0);
    CHECK(procs_shm_from_fd(plain, &other) == PROCS_E_PERMISSION_DENIED && close(plain) == 0);
    CHECK(procs_shm_from_fd(-1, &other) == PROCS_E_INVALID_ARGUMENT || procs_last_error_os() == EBADF);
    REFUSED(procs_shm_new(0, 0, &other));
    REFUSED(procs_shm_new(1, 8, &other));
    CHECK(procs_shm_new(SIZE_MAX, 0, &other) == PROCS_E_TOO_LARGE);
    REFUSED(procs_shm_new(1, 0, NULL));
    REFUSED(procs_shm_from_fd(0, NULL));
    CHECK(procs_shm_new(4096, PROCS_SHM_READ_ONLY | PROCS_SHM_PREFAULT | PROCS_SHM_HUGE_PAGES, &other) == PROCS_OK);
    procs_shm *theirs;
    CHECK(procs_shm_from_fd(procs_shm_fd(other), &theirs) == PROCS_OK && procs_shm_is_read_only(theirs) == 1);
    CHECK(procs_shm_write(theirs, 0, "x", 1) == PROCS_E_PERMISSION_DENIED && procs_shm_write(other, 0, "x", 1) == PROCS_OK);
    CHECK(procs_shm_mutex_new(theirs, 0, 0, &mutex) == PROCS_E_PERMISSION_DENIED);
    CHECK(procs_shm_read(theirs, 0, &byte, 1) == PROCS_OK && byte == 'x');
    CHECK(procs_shm_free(theirs) == PROCS_OK && procs_shm_free(other) == PROCS_OK);
    REFUSED(procs_shm_free(other));
    REFUSED(procs_shm_read(other, 0, &byte, 1));
    REFUSED(procs_shm_read((procs_shm *)mutex, 0, &byte, 1));
    REFUSED(procs_shm_read(memory, 0, NULL, 1));
    REFUSED(procs_shm_mutex_lock((procs_shm_mutex *)memory, 0, NULL));
    REFUSED(procs_shm_mutex_lock(NULL, 0, NULL));
    REFUSED(procs_shm_pending_finish(pending, &status));
    REFUSED(procs_shm_layout(0, NULL));
    CHECK(procs_shm_len(NULL) == 0 && procs_shm_data(NULL) == NULL && procs_shm_fd(NULL) == -1 && procs_shm_pending_fd(NULL) == -1);
    CHECK(procs_shm_free(NULL) == PROCS_OK && procs_shm_mutex_free(NULL) == PROCS_OK && procs_shm_block_free(NULL) == PROCS_OK);
    ok("wrong use");
}

int main(void) {
    leftovers before = take_stock();
    CHECK(procs_shm_new(LEN, 0, &memory) == PROCS_OK);
    bytes_and_numbers();
    mutex_whose_holder_is_killed();
    rwlock_and_semaphore();
    event_barrier_once();
    event_loop();
    counters_and_histogram();
    arena_with_a_killed_reader();
    layout();
    wrong_use();
    CHECK(procs_shm_free(memory) == PROCS_OK);
    check_leftovers(before);
    ok("nothing left");
    return 0;
}
