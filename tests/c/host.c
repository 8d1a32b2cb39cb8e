/* I11, I12, I14, C11: first calls from many threads, no side effects on the host, hard use from many threads, no SIGPIPE. */
#include "check.h"
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>

typedef struct {
    struct sigaction actions[65];
    sigset_t mask;
    struct rlimit limits[RLIM_NLIMITS];
    char cwd[4096];
    mode_t umask;
    int flags[3];
} host_state;

static host_state snapshot(void) {
    host_state s;
    memset(&s, 0, sizeof s);
    for (int i = 1; i <= 64; i++) sigaction(i, NULL, &s.actions[i]);
    pthread_sigmask(SIG_SETMASK, NULL, &s.mask);
    for (int i = 0; i < RLIM_NLIMITS; i++) getrlimit(i, &s.limits[i]);
    CHECK(getcwd(s.cwd, sizeof s.cwd) != NULL);
    s.umask = umask(0);
    umask(s.umask);
    for (int i = 0; i < 3; i++) s.flags[i] = fcntl(i, F_GETFL);
    return s;
}

static void same(const host_state *a, const host_state *b) {
    for (int i = 1; i <= 64; i++) CHECK(a->actions[i].sa_handler == b->actions[i].sa_handler && a->actions[i].sa_flags == b->actions[i].sa_flags);
    CHECK(memcmp(&a->mask, &b->mask, sizeof a->mask) == 0);
    CHECK(memcmp(a->limits, b->limits, sizeof a->limits) == 0);
    CHECK(strcmp(a->cwd, b->cwd) == 0 && a->umask == b->umask && memcmp(a->flags, b->flags, sizeof a->flags) == 0);
}

/* One of everything, with every kind of ending. */
static void *use_everything(void *unused) {
    const char *echo[] = {"echo", "hello", NULL}, *sleep[] = {"sleep", "100", NULL}, *cat[] = {"cat", NULL};
    (void)unused;
    for (int round = 0; round < count(50); round++) {
        procs_output *output;
        procs_child *child;
        procs_exit_status status = {.size = sizeof status};
        procs_spawn_options options = options_for(echo);
        size_t len;
        CHECK(procs_run(&options, &output) == PROCS_OK);
        CHECK(procs_output_stdout(output, &len) != NULL && len == 6);
        CHECK(procs_output_free(output) == PROCS_OK);
        options = options_for(sleep);
        options.timeout_ms = 5;
        CHECK(procs_run(&options, &output) == PROCS_OK && procs_output_timed_out(output));
        CHECK(procs_output_free(output) == PROCS_OK);
        options = options_for(sleep);
        options.kill_on_free = 1;
        CHECK(procs_spawn(&options, &child) == PROCS_OK);
        CHECK(procs_child_free(child) == PROCS_OK);
        options = options_for(cat);
        options.stdin_from.kind = PROCS_STDIO_PIPE;
        CHECK(procs_spawn(&options, &child) == PROCS_OK);
        CHECK(procs_child_wait(child, -1, &status) == PROCS_OK && status.kind == PROCS_EXIT_CODE);
        CHECK(procs_child_free(child) == PROCS_OK);
    }
    return NULL;
}

static void in_threads(int threads) {
    pthread_t ids[16];
    for (int i = 0; i < threads; i++) CHECK(pthread_create(&ids[i], NULL, use_everything, NULL) == 0);
    for (int i = 0; i < threads; i++) pthread_join(ids[i], NULL);
}

/* C11: with the default disposition of SIGPIPE this process would die here with 141. */
static void write_to_the_dead(void) {
    static char block[1 << 20];
    const char *argv[] = {"true", NULL};
    for (int round = 0; round < count(200); round++) {
        procs_spawn_options options = options_for(argv);
        procs_output *output;
        procs_child *child;
        size_t n;
        options.input = block;
        options.input_len = sizeof block;
        CHECK(procs_run(&options, &output) == PROCS_OK && procs_output_success(output));
        CHECK(procs_output_free(output) == PROCS_OK);
        options = options_for(argv);
        options.stdin_from.kind = PROCS_STDIO_PIPE;
        CHECK(procs_spawn(&options, &child) == PROCS_OK);
        procs_status status;
        while ((status = procs_child_write(child, block, sizeof block, 10000, &n)) == PROCS_OK) {}
        CHECK(status == PROCS_E_CLOSED);
        CHECK(procs_child_free(child) == PROCS_OK);
    }
    sigset_t pending;
    sigpending(&pending);
    CHECK(!sigismember(&pending, SIGPIPE));
    ok("a dead reader is an error, not SIGPIPE");
}

int main(void) {
    struct sigaction action = {.sa_handler = SIG_DFL};
    sigaction(SIGPIPE, &action, NULL);
    host_state before = snapshot();
    /* The very first calls of this process come from eight threads at once. */
    in_threads(8);
    ok("eight threads make the first calls");
    leftovers stock = take_stock();
    in_threads(8);
    write_to_the_dead();
    host_state after = snapshot();
    same(&before, &after);
    ok("nothing of the host has changed");
    check_leftovers(stock);
    return 0;
}
