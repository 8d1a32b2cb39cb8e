/* I02, B06: random numbers, freed handles and handles of another type are errors, also from many threads at once, and no process is hit. */
#include "check.h"

static procs_child *shared;

static uint64_t next_random(uint64_t *state) {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

/* Every kind of function with a handle that is not live. */
static void use(void *handle) {
    procs_exit_status status = {.size = sizeof status};
    int complete;
    size_t n;
    CHECK(procs_child_send_signal((procs_child *)handle, SIGKILL) == PROCS_E_INVALID_ARGUMENT);
    CHECK(procs_child_kill((procs_child *)handle) == PROCS_E_INVALID_ARGUMENT);
    CHECK(procs_child_kill_tree((procs_child *)handle, NULL) == PROCS_E_INVALID_ARGUMENT);
    CHECK(procs_child_wait((procs_child *)handle, 0, &status) == PROCS_E_INVALID_ARGUMENT);
    CHECK(procs_child_pid((procs_child *)handle) == 0);
    CHECK(procs_output_stdout((procs_output *)handle, &n) == NULL);
    CHECK(procs_capture_dispatch((procs_capture *)handle, &complete) == PROCS_E_INVALID_ARGUMENT);
    CHECK(procs_cancel_now((procs_cancel *)handle) == PROCS_E_INVALID_ARGUMENT);
    CHECK(procs_pipeline_stage_count((procs_pipeline *)handle) == 0);
    CHECK(procs_lines_fd((procs_lines *)handle) == -1);
}

static void *random_handles(void *seed) {
    uint64_t state = (uint64_t)(uintptr_t)seed * 0x9e3779b97f4a7c15u + 1;
    int rounds = count(20000);
    for (int i = 0; i < rounds; i++) use((void *)(uintptr_t)next_random(&state));
    for (uintptr_t small = 1; small < 4096; small += 7) use((void *)small);
    return NULL;
}

static void *race_free(void *unused) {
    (void)unused;
    procs_exit_status status = {.size = sizeof status};
    /* Exactly one of the threads frees it; the others use it before, meanwhile or after. */
    procs_status waited = procs_child_try_wait(shared, &status);
    CHECK(waited == PROCS_OK || waited == PROCS_E_WOULD_BLOCK || waited == PROCS_E_INVALID_ARGUMENT);
    procs_status freed = procs_child_free(shared);
    CHECK(freed == PROCS_OK || freed == PROCS_E_INVALID_ARGUMENT);
    return (void *)(uintptr_t)(freed == PROCS_OK);
}

static void in_threads(void *(*run)(void *), int threads, uintptr_t *sum) {
    pthread_t ids[16];
    *sum = 0;
    for (int i = 0; i < threads; i++) CHECK(pthread_create(&ids[i], NULL, run, (void *)(uintptr_t)(i + 1)) == 0);
    for (int i = 0; i < threads; i++) {
        void *result;
        pthread_join(ids[i], &result);
        *sum += (uintptr_t)result;
    }
}

int main(void) {
    leftovers stock = take_stock();
    const char *sleep[] = {"sleep", "86400", NULL}, *quick[] = {"true", NULL};
    procs_spawn_options options = options_for(sleep);
    procs_child *canaries[3];
    uintptr_t sum;
    for (int i = 0; i < 3; i++) CHECK(procs_spawn(&options, &canaries[i]) == PROCS_OK);

    in_threads(random_handles, 4, &sum);
    ok("random numbers are no handles");

    procs_output *output;
    options = options_for(quick);
    CHECK(procs_run(&options, &output) == PROCS_OK);
    CHECK(procs_child_kill((procs_child *)output) == PROCS_E_INVALID_ARGUMENT);
    CHECK(procs_child_free((procs_child *)output) == PROCS_E_INVALID_ARGUMENT);
    CHECK(procs_output_free((procs_output *)canaries[0]) == PROCS_E_INVALID_ARGUMENT);
    CHECK(procs_output_success(output) == 1);
    CHECK(procs_output_free(output) == PROCS_OK);
    CHECK(procs_output_free(output) == PROCS_E_INVALID_ARGUMENT);
    use(output);
    ok("wrong types and freed handles are refused");

    for (int round = 0; round < count(300); round++) {
        CHECK(procs_spawn(&options, &shared) == PROCS_OK);
        in_threads(race_free, 8, &sum);
        CHECK(sum == 1);
        use(shared);
    }
    ok("a handle is freed once, whoever does it");

    for (int i = 0; i < 3; i++) {
        procs_stop_report report = {.size = sizeof report};
        CHECK(procs_child_send_signal(canaries[i], 0) == PROCS_OK);
        CHECK(procs_child_kill_tree(canaries[i], &report) == PROCS_OK && report.exit_kind == PROCS_EXIT_SIGNAL);
        CHECK(procs_child_free(canaries[i]) == PROCS_OK);
    }
    check_leftovers(stock);
    ok("no stranger was signalled");
    return 0;
}
