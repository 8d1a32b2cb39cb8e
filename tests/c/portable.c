/* What procs.h recommends, in words that C99 and C++17 both take without a warning: run.sh compiles this file as each. */
#include <procs.h>
#include <stdio.h>

static int refused(const char *what) {
    fprintf(stderr, "%s: %s\n", what, procs_last_error_message());
    return 1;
}

int main(void) {
    procs_spawn_options options;
    procs_child *child;
    procs_exit_status status;
    procs_usage usage;
    const char *argv[] = {"sh", "-c", "exit 3", NULL};
    status.size = sizeof status;
    usage.size = sizeof usage;
    if (procs_spawn_options_init(&options, sizeof options) != PROCS_OK) return refused("init");
    options.argv = argv;
    if (procs_spawn(&options, &child) != PROCS_OK) return refused("spawn");
    if (procs_child_wait(child, -1, &status) != PROCS_OK) return refused("wait");
    if (procs_child_usage(child, &usage) != PROCS_OK) return refused("usage");
    if (procs_child_free(child) != PROCS_OK) return refused("free");
    if (status.kind != PROCS_EXIT_CODE || status.code != 3 || status.size != sizeof status) return 1;
    printf("ok the recommended words compile without a warning and work\n");
    return 0;
}
