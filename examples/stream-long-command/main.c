/* Lines of a command while it runs: one by one with plain poll, many at once for speed, and leaving an endless one. */
#include <poll.h>
#include <procs.h>
#include <stdio.h>
#include <stdlib.h>

static void must(procs_status status) {
    if (status == PROCS_OK) return;
    fprintf(stderr, "%s\n", procs_last_error_message());
    exit(1);
}

static procs_child *start(const char *const *argv, procs_lines **lines) {
    procs_spawn_options o;
    procs_child *child;
    must(procs_spawn_options_init(&o, sizeof o));
    o.argv = argv;
    o.stdout_to.kind = PROCS_STDIO_PIPE;
    must(procs_spawn(&o, &child));
    must(procs_lines_new(child, 1, 0, lines));
    return child;
}

static void slow(void) {
    const char *argv[] = {"sh", "-c", "for i in 1 2 3 4; do echo \"step $i of 4\"; sleep 0.1; done", NULL};
    procs_exit_status status = {.size = sizeof status};
    procs_lines *lines;
    procs_child *child = start(argv, &lines);
    const char *line;
    size_t len;
    int number = 0, ended = 0;

    printf("a command that takes its time, line by line:\n");
    while (!ended) {
        /* Any event loop will do: the descriptor is an ordinary one. */
        struct pollfd ready = {procs_lines_fd(lines), POLLIN, 0};
        if (poll(&ready, 1, -1) < 0) continue;
        procs_status got;
        while ((got = procs_lines_next(lines, 0, &line, &len)) == PROCS_OK && line != NULL)
            printf("  %d: %.*s\n", ++number, (int)len, line);
        if (got != PROCS_E_WOULD_BLOCK) must(got);
        ended = got == PROCS_OK;
    }
    must(procs_child_wait(child, -1, &status));
    printf("  ended: exit code %d\n", status.code);
    procs_lines_free(lines);
    procs_child_free(child);
}

static void fast(void) {
    const char *argv[] = {"seq", "1", "200000", NULL};
    procs_exit_status status = {.size = sizeof status};
    procs_bytes many[256];
    procs_lines *lines;
    procs_child *child = start(argv, &lines);
    size_t count, total = 0, bytes = 0;

    printf("a fast one, counted:\n");
    for (;;) {
        must(procs_lines_next_many(lines, -1, many, 256, &count));
        if (count == 0) break;
        total += count;
        for (size_t i = 0; i < count; i++) bytes += many[i].len + 1;
    }
    must(procs_child_wait(child, -1, &status));
    printf("  %zu lines, %zu bytes, ended: exit code %d\n", total, bytes, status.code);
    procs_lines_free(lines);
    procs_child_free(child);
}

static void endless(void) {
    const char *argv[] = {"sh", "-c", "while :; do echo tick; done", NULL};
    procs_stop_report report = {.size = sizeof report};
    procs_lines *lines;
    procs_child *child = start(argv, &lines);
    const char *line;
    size_t len;

    printf("an endless one, left after 3 lines:\n");
    for (int number = 1; number <= 3; number++) {
        must(procs_lines_next(lines, -1, &line, &len));
        printf("  %d: %.*s\n", number, (int)len, line);
    }
    must(procs_child_stop(child, NULL, &report));
    printf("  stopped: signal %d (%s)\n", report.exit_signal, procs_signal_name(report.exit_signal));
    procs_lines_free(lines);
    procs_child_free(child);
}

int main(void) {
    slow();
    fast();
    endless();
    return 0;
}
