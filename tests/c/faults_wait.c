/* The true status of the right child, once, whoever interferes. */
#define ROWS(ROW)                                                                                                   \
    ROW(b01, "B01", "a host that ignores its children", NOT_VALGRIND, NULL)                                             \
    ROW(b01_nowait, "B01", "a host that never waits for its children", NOT_VALGRIND, NULL)                              \
    ROW(b01_unknown, "B01", "unknown is never a success", PLAIN, NULL)                                              \
    ROW(b02, "B02", "a host that reaps everything", ANYWHERE, NULL)                                                 \
    ROW(b03, "B03", "the host's own children stay its own", ANYWHERE, NULL)                                         \
    ROW(b04, "B04", "freed handles leave no zombies", ANYWHERE, NULL)                                               \
    ROW(b04_runs, "B04", "cancelled and freed runs leave no zombies", ANYWHERE, NULL)                               \
    ROW(b12, "B12", "stops are no ends", ANYWHERE, NULL)                                                            \
    ROW(b13, "B13", "every status makes the round trip", ANYWHERE, NULL)                                            \
    ROW(b15, "B15", "sixteen threads wait, kill and free", ANYWHERE, NULL)
#include "inject.h"

static _Atomic int running;

/* Starts children that exit with 3, in each way of waiting; each must have this kind and code. */
static void threes(int rounds, int kind, int code) {
    for (int round = 0; round < rounds; round++) {
        procs_spawn_options o = CHILD("exit", "3");
        procs_exit_status status = {.size = sizeof status};
        if (round % 3 == 1) {
            procs_output *output = run(o);
            CHECK(procs_output_status(output, &status) == PROCS_OK && !procs_output_success(output) && procs_output_free(output) == PROCS_OK);
        } else {
            procs_child *child = start(o);
            struct pollfd ended = {procs_child_fd(child), POLLIN, 0};
            if (round % 3 == 2) CHECK(poll(&ended, 1, 20000) == 1 && procs_child_try_wait(child, &status) == PROCS_OK);
            else CHECK(procs_child_wait(child, -1, &status) == PROCS_OK);
            CHECK(procs_child_free(child) == PROCS_OK);
        }
        CHECK(status.kind == kind && status.code == code && status.signal == 0);
    }
}

static void b01_in(int flags, void (*handler)(int)) {
    struct sigaction action = {.sa_handler = handler, .sa_flags = flags};
    procs_engine_info info = {.size = sizeof info};
    CHECK(sigaction(SIGCHLD, &action, NULL) == 0);
    CHECK(procs_engine(&info) == PROCS_OK && info.pidfd_info); /* this kernel keeps the status of a reaped child */
    threes(times(200), PROCS_EXIT_CODE, 3);
    CHECK(end_of(start(CHILD("die", "TERM"))).signal == SIGTERM);
    action = (struct sigaction){.sa_handler = SIG_DFL};
    CHECK(sigaction(SIGCHLD, &action, NULL) == 0);
}

static void b01(void) { b01_in(0, SIG_IGN); }
static void b01_nowait(void) { b01_in(SA_NOCLDWAIT, SIG_DFL); }

static void b01_unknown(void) {
    struct sigaction action = {.sa_handler = SIG_IGN};
    CHECK(sigaction(SIGCHLD, &action, NULL) == 0);
    inject("ioctl:error=EINVAL", NULL);
    threes(times(100), PROCS_EXIT_UNKNOWN, -1);
    procs_output *output = run(CHILD("exit", "0"));
    procs_usage usage = {.size = sizeof usage};
    CHECK(!procs_output_success(output) && procs_output_check(output) == PROCS_E_CHILD_FAILED);
    CHECK(procs_output_usage(output, &usage) != PROCS_OK || usage.user_time_us == -1);
    CHECK(procs_output_free(output) == PROCS_OK);
    action.sa_handler = SIG_DFL;
    CHECK(sigaction(SIGCHLD, &action, NULL) == 0);
    CHECK(end_injection());
}

static _Atomic int stolen;

static void *thief(void *unused) {
    while (running) stolen += waitpid(-1, NULL, WNOHANG) > 0;
    return unused;
}

static void b02(void) {
    pthread_t thread;
    running = 1;
    in_threads(1, thief, &thread);
    /* Until one was stolen, else the row proves nothing; under valgrind threads take turns, and it may never be. */
    double end = now_ms() + (under_valgrind() ? 0 : 60000);
    for (int round = 0; round < times(300) || (stolen == 0 && now_ms() < end); round++) {
        char code[8];
        int number = rand() % 256;
        snprintf(code, sizeof code, "%d", number);
        double began = now_ms();
        exits(CHILD("exit", code), number);
        CHECK(now_ms() - began < 20000);
    }
    running = 0;
    join(1, &thread);
    CHECK(stolen > 0 || under_valgrind());
}

static void b03(void) {
    pid_t own[50];
    for (int i = 0; i < 50; i++) {
        char code[16];
        snprintf(code, sizeof code, "%d", i);
        own[i] = fork();
        CHECK(own[i] >= 0);
        if (own[i] == 0) {
            execl(helper(), "child", "exit", code, (char *)NULL);
            _exit(127);
        }
    }
    for (int round = 0; round < times(300); round++) {
        exits(CHILD("exit", "7"), 7);
        CHECK(procs_child_free(start(CHILD("exit", "0"))) == PROCS_OK);
        if (round % 10 == 0) prints(CHILD("echo", "x"), "x\n", 2);
    }
    for (int i = 0; i < 50; i++) {
        int status = end_of_host(own[i]);
        CHECK(WIFEXITED(status) && WEXITSTATUS(status) == i);
    }
}

static void b04(void) {
    for (int round = 0; round < times(1000); round++) {
        procs_child *child = start(CHILD("sleep", "0.01"));
        procs_exit_status status = {.size = sizeof status};
        if (round % 4 == 1) procs_child_try_wait(child, &status);
        if (round % 4 == 2) procs_child_wait(child, rand() % 20, &status);
        if (round % 4 == 3) CHECK(procs_child_fd(child) > 2);
        CHECK(procs_child_free(child) == PROCS_OK);
    }
    double freed = now_ms();
    wait_for_no_children();
    CHECK(now_ms() - freed < 15000);
}

static void b04_runs(void) {
    for (int round = 0; round < times(500); round++) {
        procs_spawn_options o = CHILD("sleep", "60");
        procs_cancel *cancel;
        procs_capture *capture;
        procs_output *output;
        CHECK(procs_cancel_new(&cancel) == PROCS_OK);
        o.cancel = cancel;
        CHECK(procs_capture_start(&o, &capture) == PROCS_OK);
        if (round % 2 == 0) {
            CHECK(procs_cancel_now(cancel) == PROCS_OK && procs_capture_finish(capture, &output) == PROCS_OK);
            CHECK(procs_output_cancelled(output) && procs_output_free(output) == PROCS_OK);
        }
        CHECK(procs_capture_free(capture) == PROCS_OK && procs_cancel_free(cancel) == PROCS_OK);
    }
    wait_for_no_children();
}

static void *wait_long(void *child) {
    procs_exit_status status = {.size = sizeof status};
    CHECK(procs_child_wait(child, -1, &status) == PROCS_OK && status.kind == PROCS_EXIT_CODE && status.code == 7);
    return NULL;
}

static void b12(void) {
    procs_spawn_options o = options_for((const char *const[]){"sh", "-c", "while ! test -e \"$0\"; do sleep 0.01; done; exit 7", in_folder("go"), NULL});
    procs_child *child = start(o);
    procs_exit_status status = {.size = sizeof status};
    pid_t pid = procs_child_pid(child);
    pthread_t waiter;
    for (int round = 0; round < times(500); round++) {
        if (round == 1) CHECK(pthread_create(&waiter, NULL, wait_long, child) == 0);
        CHECK(kill(pid, SIGSTOP) == 0);
        WAIT_UNTIL(state_of(pid) == 'T');
        CHECK(procs_child_try_wait(child, &status) == PROCS_E_WOULD_BLOCK);
        CHECK(kill(pid, SIGCONT) == 0);
        CHECK(procs_child_wait(child, 0, &status) == PROCS_E_WOULD_BLOCK);
    }
    make_file("go", "", 0644);
    join(1, &waiter);
    CHECK(end_of(child).code == 7);
}

static void b13(void) {
    char word[16];
    int step = count(10) == 10 ? 1 : under_valgrind() ? 51 : 15;
    for (int code = 0; code < 256; code += step) {
        snprintf(word, sizeof word, "%d", code);
        exits(CHILD("exit", word), code);
    }
    for (int signal = 1; signal <= 64; signal++) {
        /* Those that end nobody by default, and those that the C library keeps for itself. */
        if ((signal >= SIGCHLD && signal <= SIGURG) || signal == SIGWINCH || (signal > 31 && signal != 34 && signal != 64)) continue;
        snprintf(word, sizeof word, "%d", signal);
        procs_spawn_options o = CHILD("die", word);
        procs_rlimit core = {PROCS_RESOURCE_CORE, 0, 0, 0};
        o.rlimits = &core;
        o.rlimit_count = 1;
        procs_exit_status status = end_of(start(o));
        CHECK(status.kind == PROCS_EXIT_SIGNAL && status.signal == signal && status.code == -1 && !status.core_dumped);
    }
}

static procs_child *shared;

/* Half of them know that it ends; the others make it end. The handle may be freed at any moment. */
static void *everything(void *number) {
    procs_exit_status status = {.size = sizeof status};
    procs_usage usage = {.size = sizeof usage};
    procs_status result;
    switch ((int)(intptr_t)number % 4) {
    case 0:
        result = procs_child_wait(shared, -1, &status);
        /* -1 where somebody else reaped it: one thread of the library does, and tells all. */
        if (result == PROCS_OK && procs_child_usage(shared, &usage) == PROCS_OK) CHECK(usage.user_time_us >= 0);
        break;
    case 1:
        while ((result = procs_child_try_wait(shared, &status)) == PROCS_E_WOULD_BLOCK) poll(NULL, 0, 1);
        break;
    case 2:
        result = procs_child_kill(shared);
        CHECK(result == PROCS_OK || result == PROCS_E_INVALID_ARGUMENT);
        return NULL;
    default:
        result = procs_child_wait(shared, 20000, &status);
        procs_child_free(shared);
        break;
    }
    CHECK(result == PROCS_E_INVALID_ARGUMENT || (result == PROCS_OK && status.kind == PROCS_EXIT_SIGNAL && status.signal == SIGKILL));
    return NULL;
}

static void b15(void) {
    pthread_t threads[16];
    for (int round = 0; round < times(500); round++) {
        shared = start(CHILD("sleep", "60"));
        in_threads(16, everything, threads);
        join(16, threads);
        CHECK(procs_child_free(shared) == PROCS_E_INVALID_ARGUMENT);
    }
}
