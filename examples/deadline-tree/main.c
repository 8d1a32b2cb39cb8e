/* Deadlines: a whole tree at once, with time to clean up, and against a program that does not listen. */
#include <procs.h>
#include <stdio.h>
#include <stdlib.h>

static void must(procs_status status) {
    if (status == PROCS_OK) return;
    fprintf(stderr, "%s\n", procs_last_error_message());
    exit(1);
}

/* Runs a shell script with a deadline of 2 s and prints what came of it. */
static procs_output *run(const char *script, int64_t grace_ms, int kill_tree) {
    procs_spawn_options o;
    procs_exit_status status = {.size = sizeof status};
    procs_output *output;
    size_t len;
    const char *argv[] = {"sh", "-c", script, NULL};

    must(procs_spawn_options_init(&o, sizeof o));
    o.argv = argv;
    o.timeout_ms = 2000;
    o.grace_ms = grace_ms;
    o.kill_tree = kill_tree;
    must(procs_run(&o, &output));

    const char *text = procs_output_stdout(output, &len);
    printf("  output so far: ");
    for (size_t i = 0; i + 1 < len; i++) {
        if (text[i] == '\n') printf(", ");
        else putchar(text[i]);
    }
    printf("\n  timed out: %s\n", procs_output_timed_out(output) ? "true" : "false");
    must(procs_output_status(output, &status));
    if (status.kind == PROCS_EXIT_SIGNAL) printf("  ended: signal %d (%s)\n", status.signal, procs_signal_name(status.signal));
    else printf("  ended: exit code %d\n", status.code);
    return output;
}

int main(void) {
    procs_stop_report report = {.size = sizeof report};
    procs_output *output;

    printf("a tree of sleepers, deadline 2 s:\n");
    output = run("sleep 60 & sleep 60 & echo started; wait", 0, 1);
    must(procs_output_stop_report(output, &report));
    printf("  survivors: %llu\n", (unsigned long long)report.survivor_count);
    procs_output_free(output);

    printf("a program that cleans up when asked to:\n");
    procs_output_free(run("trap \"echo cleaned up; exit 7\" TERM; echo ready; while :; do sleep 0.1; done", 10000, 0));

    printf("a program that ignores the request:\n");
    procs_output_free(run("trap \"\" TERM; echo not listening; while :; do sleep 0.1; done", 200, 1));
    return 0;
}
