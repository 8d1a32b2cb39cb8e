/* I09: each thread has its own last error, untouched by success. (I03, a panic at the border, is a unit test of ffi/src/guard.rs.) */
#include "check.h"

static void *fail_often(void *number) {
    char name[64], expected[80];
    snprintf(name, sizeof name, "no-such-program-%d", (int)(uintptr_t)number);
    snprintf(expected, sizeof expected, "\"%s\"", name);
    const char *argv[] = {name, NULL}, *quick[] = {"true", NULL};
    procs_spawn_options bad = options_for(argv), good = options_for(quick);
    for (int i = 0; i < (under_valgrind() ? 10 : count(1000)); i++) {
        procs_child *child;
        CHECK(procs_spawn(&bad, &child) == PROCS_E_NOT_FOUND);
        CHECK(strstr(procs_last_error_message(), expected) != NULL && procs_last_error_os() == ENOENT);
        if (i % 20 == 0) {
            procs_exit_status status = {.size = sizeof status};
            CHECK(procs_spawn(&good, &child) == PROCS_OK && procs_child_wait(child, -1, &status) == PROCS_OK);
            CHECK(procs_child_free(child) == PROCS_OK);
            CHECK(strstr(procs_last_error_message(), expected) != NULL);
        }
    }
    return NULL;
}

int main(void) {
    leftovers stock = take_stock();
    pthread_t threads[8];
    for (int i = 0; i < 8; i++) CHECK(pthread_create(&threads[i], NULL, fail_often, (void *)(uintptr_t)i) == 0);
    for (int i = 0; i < 8; i++) pthread_join(threads[i], NULL);
    ok("each thread has its own last error");
    check_leftovers(stock);
    return 0;
}
