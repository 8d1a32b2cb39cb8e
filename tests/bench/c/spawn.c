/* libprocs from C: `ours-c-spawn CASE true=PATH seconds=S mb=M threads=T`, CASE `spawn` or `spawn-no-wait`. */
#include "../limits/spawning.h"
#include <procs.h>

static const char *program;
static int wait_for_exec = 1;

typedef struct {
    procs_child *child;
} state;

static void fail(const char *what) {
    fprintf(stderr, "%s: %s\n", what, procs_last_error_message());
    _exit(1);
}

static int start(void *p) {
    state *s = p;
    procs_spawn_options options;
    procs_spawn_options_init(&options, sizeof options);
    options.program = program;
    options.wait_for_exec = wait_for_exec;
    if (procs_spawn(&options, &s->child) != PROCS_OK) fail("procs_spawn");
    return 0;
}

static void wait(void *p) {
    state *s = p;
    procs_exit_status status = {.size = sizeof status};
    if (procs_child_wait(s->child, -1, &status) != PROCS_OK || status.code != 0) fail("procs_child_wait");
}

static void release(void *p) {
    state *s = p;
    procs_child_free(s->child);
}

int main(int argc, char **argv) {
    const bench_spawner spawner = {"spawn", start, wait, release};
    program = bench_text(argv, "true", NULL);
    if (argc < 2 || program == NULL) return 2;
    if (strcmp(argv[1], "spawn-no-wait") == 0)
        wait_for_exec = 0;
    else if (strcmp(argv[1], spawner.name) != 0)
        return 2;
    return bench_spawn(&spawner, sizeof(state), argv);
}
