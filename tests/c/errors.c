/* I03, I09: a panic stops at the border; each thread has its own last error, untouched by success. */
#include "check.h"

static void *fail_often(void *number) {
    char name[64], expected[80];
    snprintf(name, sizeof name, "no-such-program-%d", (int)(uintptr_t)number);
    snprintf(expected, sizeof expected, "\"%s\"", name);
    const char *argv[] = {name, NULL}, *quick[] = {"true", NULL};
    procs_spawn_options bad = options_for(argv), good = options_for(quick);
    for (int i = 0; i < count(1000); i++) {
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

    for (int i = 0; i < 3; i++) {
        CHECK(procs_test_panic() == PROCS_E_PANIC);
        CHECK(procs_last_error() == PROCS_E_PANIC && strlen(procs_last_error_message()) > 0);
    }
    const char *argv[] = {"true", NULL};
    procs_spawn_options options = options_for(argv);
    procs_output *output;
    CHECK(procs_run(&options, &output) == PROCS_OK && procs_output_success(output));
    CHECK(procs_output_free(output) == PROCS_OK);
    ok("a panic becomes a code and the library goes on");
    check_leftovers(stock);
    return 0;
}
