/* A counter that processes share under a lock, also when one of them is killed while it holds the lock. */

#define _POSIX_C_SOURCE 200809L

#include <inttypes.h>
#include <procs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Where things are in the memory: the lock, then what it protects. The two numbers are equal whenever nobody is inside. */
enum { LOCK = 0, COUNT = 128, COPY = 136, INSIDE = 144 };

/* Where a worker finds the descriptor of the memory. */
enum { FD = 3 };

/* What cannot be helped ends the program, with the library's own words. */
static void need(procs_status status) {
    if (status == PROCS_OK) return;
    fprintf(stderr, "%s\n", procs_last_error_message());
    exit(1);
}

static uint64_t number(const procs_shm *memory, size_t offset) {
    uint64_t value;
    need(procs_shm_load64(memory, offset, &value));
    return value;
}

/* This program again, with the memory. */
static procs_child *start(const procs_shm *memory, const char *part) {
    const char *argv[] = {"/proc/self/exe", part, NULL};
    procs_extra_fd extra = {.child_fd = FD, .stdio = {.kind = PROCS_STDIO_FD, .fd = procs_shm_fd(memory)}};
    procs_spawn_options options;
    procs_child *child;
    need(procs_spawn_options_init(&options, sizeof options));
    options.argv = argv;
    options.extra_fds = &extra;
    options.extra_fd_count = 1;
    need(procs_spawn(&options, &child));
    return child;
}

static procs_exit_status end_of(procs_child *child) {
    procs_exit_status status = {.size = sizeof status};
    need(procs_child_wait(child, -1, &status));
    need(procs_child_free(child));
    return status;
}

static int parent(void) {
    procs_shm *memory;
    procs_shm_mutex *lock;
    procs_child *workers[4];
    int owner_died;
    need(procs_shm_new(4096, 0, &memory));
    need(procs_shm_mutex_new(memory, LOCK, PROCS_SHM_CREATE, &lock));
    for (int i = 0; i < 4; i++) workers[i] = start(memory, "count");
    for (int i = 0; i < 4; i++) end_of(workers[i]);
    printf("4 workers counted to %" PRIu64 "\n", number(memory, COUNT));

    procs_child *victim = start(memory, "die");
    need(procs_shm_wait32(memory, INSIDE, 0, 20000));
    need(procs_child_kill(victim));
    printf("a worker was killed while it held the lock: signal %d (SIGKILL)\n", end_of(victim).signal);

    /* Nobody waits for ever: the next one has the lock, and is told. */
    need(procs_shm_mutex_lock(lock, -1, &owner_died));
    uint64_t count = number(memory, COUNT), copy = number(memory, COPY);
    printf("the next one is told: owner died = %s, %" PRIu64 " and %" PRIu64 " differ\n", owner_died ? "true" : "false", count, copy);
    need(procs_shm_store64(memory, COUNT, copy));
    need(procs_shm_mutex_repair(lock));
    need(procs_shm_mutex_unlock(lock));

    need(procs_shm_mutex_lock(lock, -1, NULL));
    need(procs_shm_mutex_unlock(lock));
    printf("repaired: %" PRIu64 " and %" PRIu64 "\n", number(memory, COUNT), number(memory, COPY));
    need(procs_shm_mutex_free(lock));
    need(procs_shm_free(memory));
    return 0;
}

static int worker(const char *part) {
    procs_shm *memory;
    procs_shm_mutex *lock;
    need(procs_shm_from_fd(FD, &memory));
    need(procs_shm_mutex_new(memory, LOCK, PROCS_SHM_OPEN, &lock));
    if (strcmp(part, "die") == 0) {
        need(procs_shm_mutex_lock(lock, -1, NULL));
        need(procs_shm_store64(memory, COUNT, 9999));
        need(procs_shm_store32(memory, INSIDE, 1));
        need(procs_shm_notify32(memory, INSIDE, 1));
        /* Half of the change is made; the kill comes now. */
        need(procs_shm_wait32(memory, INSIDE, 1, 60000));
    }
    for (int i = 0; i < 1000; i++) {
        need(procs_shm_mutex_lock(lock, -1, NULL));
        need(procs_shm_store64(memory, COUNT, number(memory, COUNT) + 1));
        need(procs_shm_store64(memory, COPY, number(memory, COPY) + 1));
        need(procs_shm_mutex_unlock(lock));
    }
    need(procs_shm_mutex_free(lock));
    need(procs_shm_free(memory));
    return 0;
}

int main(int argc, char **argv) {
    return argc > 1 ? worker(argv[1]) : parent();
}
