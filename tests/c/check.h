/* What the C tests share: checks that end the program, a line for each passed test, and the search for leftovers. */
#ifndef CHECK_H
#define CHECK_H

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <procs.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

/* Ends the program when the condition does not hold. */
#define CHECK(condition)                                                                                                               \
    do {                                                                                                                               \
        if (!(condition)) {                                                                                                            \
            fprintf(stderr, "%s:%d: %s\n   last error: %s\n", __FILE__, __LINE__, #condition, procs_last_error_message());             \
            exit(1);                                                                                                                   \
        }                                                                                                                              \
    } while (0)

/* The call must be refused as a bad argument, and say so as the last error. */
#define REFUSED(call) CHECK((call) == PROCS_E_INVALID_ARGUMENT && procs_last_error() == PROCS_E_INVALID_ARGUMENT)

static void ok(const char *what) {
    printf("ok %s\n", what);
    fflush(stdout);
}

/* A tenth of the full number, all of it with PROCS_TEST_FULL=1. */
static int count(int full) {
    const char *all = getenv("PROCS_TEST_FULL");
    if (all != NULL && strcmp(all, "1") == 0) return full;
    return full < 10 ? 1 : full / 10;
}

/* A time for a slow or loaded machine: as often as PROCS_TEST_SLOW says. */
static double slowly(double ms) {
    const char *slow = getenv("PROCS_TEST_SLOW");
    return ms * (slow != NULL ? atof(slow) : 1);
}

/* Which way run.sh runs this. */
static int runs_as(const char *kind) {
    const char *wanted = getenv("PROCS_TEST_KIND");
    return wanted != NULL && strcmp(wanted, kind) == 0;
}

static int under_valgrind(void) { return runs_as("valgrind"); }

/* Options with the defaults and this argument vector, which must outlive them. */
static procs_spawn_options options_for(const char *const *argv) {
    procs_spawn_options options;
    CHECK(procs_spawn_options_init(&options, sizeof options) == PROCS_OK);
    options.argv = argv;
    return options;
}

static int open_descriptors(void) {
    int number = 0;
    DIR *folder = opendir("/proc/self/fd");
    CHECK(folder != NULL);
    while (readdir(folder) != NULL) number++;
    closedir(folder);
    return number;
}

static void list_descriptors(void) {
    DIR *folder = opendir("/proc/self/fd");
    CHECK(folder != NULL);
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        char target[300];
        ssize_t len = readlinkat(dirfd(folder), entry->d_name, target, sizeof target);
        if (len > 0) fprintf(stderr, "   %s -> %.*s\n", entry->d_name, (int)len, target);
    }
    closedir(folder);
}

/* Threads that are not the library's: those are called procs-... */
static int own_threads(void) {
    int number = 0;
    DIR *folder = opendir("/proc/self/task");
    CHECK(folder != NULL);
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        char path[300], name[32] = "";
        if (entry->d_name[0] == '.') continue;
        snprintf(path, sizeof path, "/proc/self/task/%s/comm", entry->d_name);
        FILE *file = fopen(path, "r");
        if (file == NULL) continue;
        number += fgets(name, sizeof name, file) != NULL && strncmp(name, "procs-", 6) != 0;
        fclose(file);
    }
    closedir(folder);
    return number;
}

typedef struct {
    int descriptors, threads;
} leftovers;

/* Children that were let go are reaped in the background: waits until none is left. */
static void wait_for_no_children(void) {
    siginfo_t info;
    int waited = 0;
    if (runs_as("tsan")) return; /* its symbolizer is a child, too */
    while (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0) {
        CHECK(waited++ < 8000);
        poll(NULL, 0, 5);
    }
    CHECK(errno == ECHILD);
}

/* What is there at the start of a test, once the library has started what it keeps: its waiting thread with its descriptors. */
static leftovers take_stock(void) {
    const char *argv[] = {"sleep", "100", NULL};
    procs_spawn_options options = options_for(argv);
    procs_capture *capture;
    int complete = 1;
    CHECK(procs_capture_start(&options, &capture) == PROCS_OK);
    /* Not complete, so the waiting thread was asked to watch it. Freeing kills it. */
    CHECK(procs_capture_dispatch(capture, &complete) == PROCS_OK && !complete);
    CHECK(procs_capture_free(capture) == PROCS_OK);
    wait_for_no_children();
    leftovers stock = {open_descriptors(), own_threads()};
    return stock;
}

/* No child, no descriptor and no thread more than before. */
static void check_leftovers(leftovers before) {
    int waited = 0;
    if (runs_as("tsan")) return;
    wait_for_no_children();
    /* The descriptors of a child that was let go are closed after it is reaped, and a thread of the library that has just begun does not
     * have its name yet. */
    while ((open_descriptors() > before.descriptors || own_threads() > before.threads) && waited++ < 4000) poll(NULL, 0, 5);
    if (open_descriptors() > before.descriptors) list_descriptors();
    CHECK(open_descriptors() <= before.descriptors);
    CHECK(own_threads() <= before.threads);
}

#endif
