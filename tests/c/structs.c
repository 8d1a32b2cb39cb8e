/* I04, I13, I16: sizes of structs, unknown choices and flags, and numbers out of range. */
#include "check.h"
#include <limits.h>

static const char *const TRUE_ARGV[] = {"true", NULL};

static procs_status run_with(const procs_spawn_options *options) {
    procs_output *output;
    procs_status status = procs_run(options, &output);
    if (status == PROCS_OK) procs_output_free(output);
    return status;
}

static void sizes(void) {
    struct {
        procs_spawn_options options;
        char tail[8];
    } larger;
    memset(&larger, 0, sizeof larger);
    CHECK(procs_spawn_options_init(&larger.options, sizeof larger) == PROCS_OK);
    larger.options.argv = TRUE_ARGV;
    CHECK(larger.options.size == sizeof larger);
    CHECK(run_with(&larger.options) == PROCS_OK);
    larger.tail[3] = 1;
    CHECK(run_with(&larger.options) == PROCS_E_TOO_LARGE);
    ok("a larger struct is accepted while what is unknown is zero");

    procs_spawn_options smaller;
    CHECK(procs_spawn_options_init(&smaller, offsetof(procs_spawn_options, env)) == PROCS_OK);
    smaller.argv = TRUE_ARGV;
    /* What lies behind the size is not looked at. */
    memset((char *)&smaller + offsetof(procs_spawn_options, env), 0xee, sizeof smaller - offsetof(procs_spawn_options, env));
    CHECK(run_with(&smaller) == PROCS_OK);
    ok("a smaller struct takes defaults for the rest");

    const size_t bad[] = {0, 1, 4, sizeof(size_t) - 1, (size_t)1 << 32, SIZE_MAX};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        procs_spawn_options options = options_for(TRUE_ARGV);
        options.size = bad[i];
        CHECK(run_with(&options) < 0);
    }
    procs_output *output;
    procs_spawn_options options = options_for(TRUE_ARGV);
    CHECK(procs_run(&options, &output) == PROCS_OK);
    procs_exit_status status = {.size = 0};
    REFUSED(procs_output_status(output, &status));
    status.size = offsetof(procs_exit_status, signal);
    status.signal = 77;
    CHECK(procs_output_status(output, &status) == PROCS_OK && status.kind == PROCS_EXIT_CODE && status.code == 0 && status.signal == 77);
    CHECK(procs_output_free(output) == PROCS_OK);
    ok("impossible sizes are refused, results are written as far as they reach");
}

static void choices(void) {
    const int unknown[] = {-1, 99, INT_MAX, INT_MIN};
    for (size_t i = 0; i < sizeof unknown / sizeof *unknown; i++) {
        procs_spawn_options o;
#define FIELD_REFUSED(field)          \
    o = options_for(TRUE_ARGV);       \
    o.field = unknown[i];             \
    REFUSED(run_with(&o))
        FIELD_REFUSED(stdin_from.kind);
        FIELD_REFUSED(stdout_to.kind);
        FIELD_REFUSED(stderr_to.kind);
        FIELD_REFUSED(env_mode);
        FIELD_REFUSED(signals);
        FIELD_REFUSED(tree_level);
        FIELD_REFUSED(stdout_limit.policy);
        FIELD_REFUSED(stderr_sink.kind);
        FIELD_REFUSED(kill_tree);
        FIELD_REFUSED(check);
        FIELD_REFUSED(new_session);
        FIELD_REFUSED(keep_fds);
        procs_rlimit limit = {unknown[i], 0, 1, 1};
        o = options_for(TRUE_ARGV);
        o.rlimits = &limit;
        o.rlimit_count = 1;
        REFUSED(run_with(&o));
        procs_stop_options stop;
        CHECK(procs_stop_options_init(&stop, sizeof stop) == PROCS_OK);
        procs_stop_step step = {unknown[i], 0, 0};
        stop.steps = &step;
        stop.step_count = 1;
        procs_child *child;
        o = options_for(TRUE_ARGV);
        CHECK(procs_spawn(&o, &child) == PROCS_OK);
        REFUSED(procs_child_stop(child, &stop, NULL));
        CHECK(procs_child_free(child) == PROCS_OK);
    }
    ok("unknown choices are refused");

    procs_child *child;
    procs_spawn_options o = options_for(TRUE_ARGV);
    o.stdout_to.kind = PROCS_STDIO_PIPE;
    CHECK(procs_spawn(&o, &child) == PROCS_OK);
    for (int bit = 0; bit < 64; bit++) {
        uint64_t flag = (uint64_t)1 << bit;
        procs_lines *lines;
        if (flag == PROCS_LINES_KEEP_ENDS || flag == PROCS_LINES_STRIP_CR) continue;
        REFUSED(procs_lines_new(child, 1, flag, &lines));
    }
    CHECK(procs_child_free(child) == PROCS_OK);
    ok("unknown flags are refused");
}

static void numbers(void) {
    procs_child *child;
    procs_exit_status status = {.size = sizeof status};
    const char *argv[] = {"cat", NULL};
    procs_spawn_options o = options_for(argv);
    o.stdin_from.kind = o.stdout_to.kind = PROCS_STDIO_PIPE;
    CHECK(procs_spawn(&o, &child) == PROCS_OK);
    const int64_t bad[] = {-2, -1000, INT64_MIN};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        REFUSED(procs_child_wait(child, bad[i], &status));
        o = options_for(TRUE_ARGV);
        o.timeout_ms = bad[i];
        REFUSED(run_with(&o));
        o = options_for(TRUE_ARGV);
        o.grace_ms = bad[i];
        REFUSED(run_with(&o));
        o = options_for(TRUE_ARGV);
        o.uid = bad[i];
        REFUSED(run_with(&o));
    }
    CHECK(procs_child_wait(child, 0, &status) == PROCS_E_WOULD_BLOCK);
    CHECK(procs_child_wait(child, 1, &status) == PROCS_E_TIMEOUT);
    for (int signal = -1; signal <= 70; signal += 71 - (signal == -1 ? 5 : 0)) REFUSED(procs_child_send_signal(child, signal));
    char buffer[1];
    size_t n;
    REFUSED(procs_child_read(child, 0, 0, buffer, 1, &n));
    REFUSED(procs_child_read(child, 7, 0, buffer, 1, &n));
    CHECK(procs_child_close_stdin(child) == PROCS_OK);
    /* The longest time there is must not wrap into a short one. */
    CHECK(procs_child_wait(child, INT64_MAX, &status) == PROCS_OK && status.code == 0);
    CHECK(procs_child_free(child) == PROCS_OK);
    o = options_for(TRUE_ARGV);
    o.timeout_ms = INT64_MAX;
    o.grace_ms = INT64_MAX;
    CHECK(run_with(&o) == PROCS_OK);
    ok("numbers out of range are refused, the largest are not");
}

int main(void) {
    leftovers stock = take_stock();
    sizes();
    choices();
    numbers();
    check_leftovers(stock);
    return 0;
}
