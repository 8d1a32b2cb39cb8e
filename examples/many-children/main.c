/* Many commands a few at a time, and several children of which any may end first. */
#include <procs.h>
#include <stdio.h>
#include <stdlib.h>

static void must(procs_status status) {
    if (status == PROCS_OK) return;
    fprintf(stderr, "%s\n", procs_last_error_message());
    exit(1);
}

static void count(size_t index, int status, const char *message, void *user_data) {
    (void)index, (void)status, (void)message;
    ++*(int *)user_data;
}

static void bounded(void) {
    enum { COUNT = 6 };
    const char *words[COUNT] = {"one", "two", "three", "four", "five", "six"};
    const char *argv[COUNT][7];
    procs_spawn_options options[COUNT];
    const procs_spawn_options *list[COUNT];
    procs_output *outputs[COUNT];
    int statuses[COUNT], finished = 0;

    for (int i = 0; i < COUNT; i++) {
        const char **a = argv[i];
        a[0] = i == 4 ? "no-such-program" : "sh";
        a[1] = "-c";
        a[2] = "echo \"$1\"; exit \"$2\"";
        a[3] = "sh";
        a[4] = words[i];
        a[5] = i == 2 ? "3" : "0";
        a[6] = NULL;
        must(procs_spawn_options_init(&options[i], sizeof options[i]));
        options[i].argv = argv[i];
        list[i] = &options[i];
    }
    printf("6 commands, 2 at a time:\n");
    must(procs_run_many(list, COUNT, 2, outputs, statuses, count, &finished));
    for (int i = 0; i < COUNT; i++) {
        procs_exit_status status = {.size = sizeof status};
        size_t len;
        if (statuses[i] != PROCS_OK) {
            printf("  job %d: %s\n", i + 1, procs_err_name(statuses[i]));
            continue;
        }
        must(procs_output_status(outputs[i], &status));
        const char *text = procs_output_stdout(outputs[i], &len);
        printf("  job %d: exit code %d, output: %.*s", i + 1, status.code, (int)len, text);
        procs_output_free(outputs[i]);
    }
    printf("  finished: %d\n", finished);
}

static void any(void) {
    const char *argv[] = {"cat", NULL};
    const int order[] = {2, 0, 1};
    procs_child *children[3];
    const procs_child *waiting[3];
    size_t number[3], left = 3;

    for (size_t i = 0; i < 3; i++) {
        procs_spawn_options o;
        must(procs_spawn_options_init(&o, sizeof o));
        o.argv = argv;
        o.stdin_from.kind = PROCS_STDIO_PIPE;
        must(procs_spawn(&o, &children[i]));
        waiting[i] = children[i];
        number[i] = i + 1;
    }
    printf("3 children, in the order in which they end:\n");
    for (int turn = 0; turn < 3; turn++) {
        procs_exit_status status = {.size = sizeof status};
        size_t index;
        must(procs_child_close_stdin(children[order[turn]]));
        must(procs_wait_any(waiting, left, -1, &index));
        must(procs_child_try_wait(waiting[index], &status));
        printf("  child %zu: exit code %d\n", number[index], status.code);
        left--;
        waiting[index] = waiting[left];
        number[index] = number[left];
    }
    for (int i = 0; i < 3; i++) procs_child_free(children[i]);
}

int main(void) {
    bounded();
    any();
    return 0;
}
