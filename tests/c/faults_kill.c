/* Signals reach whom they are meant for, nobody else, and in good order. */
#define ROWS(ROW)                                                                                                      \
    ROW(b05, "B05", "a reused number is a stranger", PLAIN, NULL)                                                      \
    ROW(b06, "B06", "no signal by number is linked", PLAIN, NULL)                                                      \
    ROW(b06_numbers, "B06", "bad numbers hit nobody", NOT_VALGRIND, NULL)                                              \
    ROW(b07_cgroup, "B07", "nothing escapes a cgroup", PLAIN, NULL)                                                    \
    ROW(b07_walk, "B07", "a walk reaches sessions", NOT_VALGRIND, NULL)                                                \
    ROW(b07_group, "B07", "a group tells how many survive", NOT_VALGRIND, NULL)                                        \
    ROW(b08, "B08", "the group of a leader that ended", NOT_VALGRIND, NULL)                                            \
    ROW(b09, "B09", "a stopped child obeys", ANYWHERE, NULL)                                                           \
    ROW(b09_deaf, "B09", "one that ignores is killed after its grace", ANYWHERE, NULL)                                 \
    ROW(b10, "B10", "the grace is given whole", ANYWHERE, NULL)                                                        \
    ROW(b11, "B11", "a timeout ends what the shell started", ANYWHERE, NULL)
#include "inject.h"

/* A process with exactly this number that has nothing to do with the library; needs root. */
static procs_child *stranger(int number) {
    char word[16], line[32];
    size_t n;
    snprintf(word, sizeof word, "%d", number);
    procs_spawn_options o = CHILD("settid", word, "60");
    o.stdout_to.kind = PROCS_STDIO_PIPE;
    procs_child *keeper = start(o);
    CHECK(procs_child_read(keeper, 1, 20000, line, sizeof line - 1, &n) == PROCS_OK);
    line[n] = '\0';
    CHECK(atoi(line) == number);
    return keeper;
}

static void b05(void) {
    for (int level = PROCS_TREE_GROUP; level <= PROCS_TREE_CGROUP; level++) {
        procs_spawn_options o = CHILD("exit", "0");
        procs_stop_report report = {.size = sizeof report};
        procs_stop_options stop;
        CHECK(procs_stop_options_init(&stop, sizeof stop) == PROCS_OK);
        stop.tree = 1;
        stop.grace_ms = 10;
        o.kill_tree = 1;
        o.tree_level = level;
        procs_child *ended = start(o);
        CHECK(procs_child_wait(ended, -1, NULL) == PROCS_OK);
        int number = procs_child_pid(ended);
        procs_child *keeper = stranger(number);
        for (int round = 0; round < times(500); round++) {
            CHECK(procs_child_kill(ended) == PROCS_OK);
            CHECK(procs_child_send_signal(ended, SIGTERM) == PROCS_E_NOT_FOUND && procs_last_error_os() == ESRCH);
            CHECK(procs_child_kill_tree(ended, &report) == PROCS_OK && report.ended_by == -1 && report.survivor_count == 0);
            CHECK(procs_child_stop(ended, &stop, &report) == PROCS_OK && report.ended_by == -1);
        }
        char state = state_of(number);
        CHECK(state == 'S' || state == 'R' || state == 'D');
        CHECK(kill(number, SIGKILL) == 0 && procs_child_free(ended) == PROCS_OK);
        end_of(keeper);
    }
}

static void b06(void) {
    static const char *forbidden[] = {"kill", "killpg", "tgkill", "raise", "system", "popen", "waitpid", "wait", "wait3"};
    char path[600];
    snprintf(path, sizeof path, "%s/libprocs.so", build_folder());
    const char *imports = printed(options_for((const char *const[]){"nm", "-D", "--undefined-only", "--format=just-symbols", path, NULL}));
    CHECK(strstr(imports, "ppoll") != NULL);
    for (size_t i = 0; i < sizeof forbidden / sizeof forbidden[0]; i++) {
        for (const char *at = imports; (at = strstr(at, forbidden[i])) != NULL; at++) {
            char before = at == imports ? '\n' : at[-1], after = at[strlen(forbidden[i])];
            if (before == '\n' && (after == '\n' || after == '@')) fprintf(stderr, "   imports %s\n", forbidden[i]);
            CHECK(before != '\n' || (after != '\n' && after != '@'));
        }
    }
}

static void b06_numbers(void) {
    static const int bad[] = {-1, 65, INT32_MAX, INT32_MIN};
    procs_child *ended = start(CHILD("exit", "0")), *canary = start(CHILD("sleep", "60"));
    CHECK(procs_child_wait(ended, -1, NULL) == PROCS_OK);
    for (int i = 0; i < 4; i++) {
        REFUSED(procs_child_send_signal(ended, bad[i]));
        REFUSED(procs_child_send_signal(canary, bad[i]));
    }
    /* In a forked copy a child is not its own: nothing it does reaches it. */
    pid_t copy = fork();
    if (copy == 0)
        _exit(procs_child_kill(canary) == PROCS_OK || procs_child_kill_tree(canary, NULL) == PROCS_OK || procs_child_send_signal(canary, 9) == PROCS_OK);
    CHECK(end_of_host(copy) == 0);
    CHECK(procs_child_try_wait(canary, NULL) == PROCS_E_WOULD_BLOCK);
    kill_it(canary);
    CHECK(procs_child_free(ended) == PROCS_OK);
}

enum { TREE = 31 };

/* 31 processes: sessions of their own, daemons without a parent, plain ones. Their numbers. */
static procs_child *tree(int level, int *members) {
    procs_spawn_options o = CHILD("tree", "4", "60", in_folder("stop"));
    o.stdout_to = (procs_stdio){PROCS_STDIO_APPEND_FILE, 0, in_folder("list")};
    o.kill_tree = 1;
    o.tree_level = level;
    procs_child *root = start(o);
    int lines = 0;
    double began = now_ms();
    while (lines < TREE) {
        const char *text = text_of(in_folder("list"));
        lines = 0;
        for (const char *at = text; (at = strchr(at, '\n')) != NULL; at++) lines++;
        CHECK(now_ms() - began < 30000);
        if (lines < TREE) poll(NULL, 0, 3);
        else
            for (int i = 0; i < TREE; i++, text = strchr(text, '\n') + 1) members[i] = atoi(text);
    }
    CHECK(unlink(in_folder("list")) == 0);
    return root;
}

static int alive(const int *members, int number) {
    int found = 0;
    for (int i = 0; i < number; i++) found += is_running(members[i]);
    return found;
}

/* Lets what escaped end by itself. */
static void release(procs_child *root) {
    make_file("stop", "", 0644);
    WAIT_UNTIL(holders(NULL) == 0);
    CHECK(unlink(in_folder("stop")) == 0);
    end_of(root);
}

static void b07_cgroup(void) {
    procs_engine_info info = {.size = sizeof info};
    CHECK(procs_engine(&info) == PROCS_OK && info.cgroup); /* needs root and cgroup v2 */
    for (int round = 0; round < times(30); round++) {
        int members[TREE];
        procs_stop_report report = {.size = sizeof report};
        procs_child *root = tree(PROCS_TREE_CGROUP, members);
        CHECK(procs_child_tree_level(root) == PROCS_TREE_CGROUP);
        double began = now_ms();
        CHECK(procs_child_kill_tree(root, &report) == PROCS_OK);
        WAIT_UNTIL(alive(members, TREE) == 0);
        CHECK(now_ms() - began < 20000);
        CHECK(report.level == PROCS_TREE_CGROUP && report.ended_by == PROCS_STOP_KILL && report.survivor_count == 0);
        end_of(root);
    }
}

static void b07_walk(void) {
    for (int round = 0; round < times(20); round++) {
        int members[TREE];
        procs_stop_report report = {.size = sizeof report};
        procs_child *root = tree(PROCS_TREE_WALK, members);
        CHECK(procs_child_kill_tree(root, &report) == PROCS_OK && report.level == PROCS_TREE_WALK);
        /* Daemons had left the tree before the walk. */
        int left = alive(members, TREE);
        CHECK(!is_running(procs_child_pid(root)) && left < TREE - 8 && report.survivor_count <= (uint64_t)left);
        release(root);
    }
}

static void b07_group(void) {
    for (int round = 0; round < times(20); round++) {
        int members[TREE];
        procs_stop_step kill_step = {PROCS_STOP_KILL, 0, 500};
        procs_stop_options stop;
        procs_stop_report report = {.size = sizeof report};
        CHECK(procs_stop_options_init(&stop, sizeof stop) == PROCS_OK);
        stop.steps = &kill_step;
        stop.step_count = 1;
        stop.tree = 1;
        procs_child *root = tree(PROCS_TREE_GROUP, members);
        CHECK(procs_child_stop(root, &stop, &report) == PROCS_OK);
        CHECK(report.level == PROCS_TREE_GROUP && report.ended_by == PROCS_STOP_KILL);
        int left = alive(members, TREE);
        CHECK(left > 0 && report.survivor_count > 0 && report.survivor_count <= (uint64_t)left);
        release(root);
    }
}

static void b08(void) {
    for (int level = PROCS_TREE_GROUP; level <= PROCS_TREE_CGROUP; level++) {
        for (int round = 0; round < times(50); round++) {
            procs_spawn_options o = options_for(NULL);
            int members[3];
            o.shell = "for i in 1 2 3; do sleep 60 & echo $!; done; exit 0";
            o.stdout_to = (procs_stdio){PROCS_STDIO_WRITE_FILE, 0, in_folder("members")};
            o.kill_tree = 1;
            o.tree_level = level;
            procs_child *leader = start(o);
            WAIT_UNTIL(state_of(procs_child_pid(leader)) == 'Z');
            CHECK(sscanf(text_of(in_folder("members")), "%d %d %d", &members[0], &members[1], &members[2]) == 3);
            CHECK(alive(members, 3) == 3);
            CHECK(procs_child_kill_tree(leader, NULL) == PROCS_OK);
            WAIT_UNTIL(alive(members, 3) == 0);
            end_of(leader);
        }
    }
}

static void b09(void) {
    procs_spawn_options o = CHILD("stopped");
    procs_stop_options stop;
    procs_stop_report report = {.size = sizeof report};
    CHECK(procs_stop_options_init(&stop, sizeof stop) == PROCS_OK);
    stop.grace_ms = slowly(30000);
    o.stdout_to.kind = PROCS_STDIO_PIPE;
    procs_child *child = start(o);
    await_ready(child);
    double began = now_ms();
    CHECK(procs_child_stop(child, &stop, &report) == PROCS_OK);
    CHECK(report.exit_kind == PROCS_EXIT_SIGNAL && report.exit_signal == SIGTERM && report.ended_by == PROCS_STOP_SIGNAL);
    CHECK(report.ended_by_signal == SIGTERM && now_ms() - began < 20000 && procs_child_free(child) == PROCS_OK);
}

static void b09_deaf(void) {
    for (int with_tree = 0; with_tree < 2; with_tree++) {
        procs_spawn_options o = CHILD("ignore-term");
        procs_stop_options stop;
        procs_stop_report report = {.size = sizeof report};
        CHECK(procs_stop_options_init(&stop, sizeof stop) == PROCS_OK);
        stop.grace_ms = 500;
        o.stdout_to.kind = PROCS_STDIO_PIPE;
        o.kill_tree = with_tree;
        procs_child *child = start(o);
        await_ready(child);
        double began = now_ms();
        CHECK(procs_child_stop(child, &stop, &report) == PROCS_OK);
        CHECK(now_ms() - began >= 500 && now_ms() - began < 20000);
        CHECK(report.exit_signal == SIGKILL && report.ended_by == PROCS_STOP_KILL && procs_child_free(child) == PROCS_OK);
    }
}

static _Atomic int running;

static void *spin(void *unused) {
    while (running) {}
    return unused;
}

/* Needs 300 ms to obey and is given 30 s: the file tells that nobody interfered. */
static void *stop_a_slow_one(void *number) {
    char file[500];
    snprintf(file, sizeof file, "%s/done%d", folder, (int)(intptr_t)number);
    procs_spawn_options o = CHILD("on-term", "3", "300", file);
    procs_stop_options stop;
    procs_stop_report report = {.size = sizeof report};
    CHECK(procs_stop_options_init(&stop, sizeof stop) == PROCS_OK);
    stop.grace_ms = slowly(30000);
    o.stdout_to.kind = PROCS_STDIO_PIPE;
    procs_child *child = start(o);
    await_ready(child);
    CHECK(procs_child_stop(child, &stop, &report) == PROCS_OK);
    CHECK(report.exit_kind == PROCS_EXIT_CODE && report.exit_code == 3 && report.ended_by == PROCS_STOP_SIGNAL);
    char done[8] = "";
    int fd = open(file, O_RDONLY | O_CLOEXEC);
    CHECK(fd > 2 && read(fd, done, sizeof done) == 5 && memcmp(done, "done\n", 5) == 0 && close(fd) == 0);
    CHECK(procs_child_free(child) == PROCS_OK);
    return NULL;
}

static void b10(void) {
    for (int round = 0; round < times(10); round++) {
        pthread_t busy[4], stoppers[10];
        running = 1;
        in_threads(under_valgrind() ? 0 : 4, spin, busy);
        in_threads(10, stop_a_slow_one, stoppers);
        join(10, stoppers);
        running = 0;
        join(under_valgrind() ? 0 : 4, busy);
    }
}

static void b11(void) {
    for (int round = 0; round < times(20); round++) {
        procs_spawn_options o = options_for(NULL);
        o.shell = "sleep 100 & sleep 100";
        o.timeout_ms = 200;
        o.kill_tree = 1;
        double began = now_ms();
        procs_output *output = run(o);
        CHECK(procs_output_timed_out(output) && now_ms() - began < 20000 && procs_output_free(output) == PROCS_OK);
        WAIT_UNTIL(holders("sleep") == 0);
    }
}
