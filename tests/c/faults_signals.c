/* Signals, locks, groups, sessions and terminals around a start. */
#define ROWS(ROW)                                                                                                        \
    ROW(a12, "A12", "no handler of the host runs in a child", NOT_VALGRIND, NULL)                                        \
    ROW(a12_identity, "A12", "also where the child is a copy", NOT_VALGRIND, NULL)                                       \
    ROW(a12_clone, "A12", "also on kernels without clone3", PLAIN, NULL)                                                 \
    ROW(a13, "A13", "locks and memory of other threads do not matter", ANYWHERE, NULL)                                   \
    ROW(a14, "A14", "mask and dispositions are reset, or inherited when asked", NOT_VALGRIND, NULL)                          \
    ROW(a27, "A27", "the group is there when spawn returns", ANYWHERE, NULL)                                             \
    ROW(a27_session, "A27", "a session on a terminal", ANYWHERE, NULL)                                                   \
    ROW(a27_foreground, "A27", "a child becomes the foreground", NOT_VALGRIND, NULL)                                     \
    ROW(host_on_a_terminal, "A27", "", HOST, NULL)
#include "inject.h"
#include "terminal.h"
#include <sys/mman.h>
#include <time.h>

static _Atomic int running;
static _Atomic long *seen, *elsewhere; /* in shared memory: a child that is a copy has its own of all else */
static pid_t own;

/* The number is asked of the kernel: a child that shares the memory shares what the C library remembers, too. */
static void note_where(int signal) {
    (void)signal;
    if (syscall(SYS_getpid) == own) ++*seen;
    else ++*elsewhere;
}

static void *sender(void *unused) {
    sigset_t urgent;
    sigemptyset(&urgent);
    sigaddset(&urgent, SIGURG);
    pthread_sigmask(SIG_BLOCK, &urgent, NULL);
    while (running) kill(0, SIGURG);
    return unused;
}

/* Starts children while two threads signal this group as fast as they can. SIGURG, because a child that knows nothing of it ignores it. */
static void storm(int starts, int identity) {
    static const uint32_t none = 0;
    struct sigaction action = {.sa_handler = note_where, .sa_flags = SA_RESTART}, before;
    pthread_t senders[2];
    own = getpid();
    seen = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(seen != MAP_FAILED);
    elsewhere = seen + 1;
    CHECK(setpgid(0, 0) == 0 && sigaction(SIGURG, &action, &before) == 0);
    running = 1;
    in_threads(2, sender, senders);
    for (int i = 0; i < starts; i++) {
        procs_spawn_options o = CHILD("exit", "7");
        if (identity) o.groups = &none;
        exits(o, 7);
    }
    running = 0;
    join(2, senders);
    CHECK(sigaction(SIGURG, &before, NULL) == 0);
    CHECK(*seen > starts);
    CHECK(*elsewhere == 0);
    CHECK(munmap(seen, 4096) == 0);
}

static void a12(void) { storm(times(2000), 0); }
static void a12_identity(void) { storm(times(500), 1); }
static void a12_clone(void) {
    procs_engine_info info = {.size = sizeof info};
    /* One refusal is enough; strace is gone before the storm begins. */
    inject("clone3:error=ENOSYS", NULL);
    exits(CHILD("exit", "0"), 0);
    end_injection();
    CHECK(procs_engine(&info) == PROCS_OK && strcmp(info.clone_level, "clone") == 0);
    storm(times(500), 0);
}

/* Holds the locks of the C library most of the time: memory, time zones, a stream. Not the environment's: setenv(3) beside anybody who reads it,
 * as every start does, is for the host to avoid. */
static void *busy(void *null) {
    FILE *sink = fopen("/dev/null", "w");
    CHECK(sink != NULL);
    while (running) {
        void *blocks[50];
        time_t now = time(NULL);
        struct tm parts;
        for (int i = 0; i < 50; i++) blocks[i] = malloc((size_t)100 << (i % 12));
        tzset();
        CHECK(localtime_r(&now, &parts) != NULL && fprintf(sink, "%d\n", parts.tm_sec) > 0);
        for (int i = 0; i < 50; i++) free(blocks[i]);
        /* One thread runs at a time there, and whoever has just run is the likeliest to run again: the starts would wait for minutes. */
        if (under_valgrind()) poll(NULL, 0, 1);
    }
    fclose(sink);
    return null;
}

static void a13(void) {
    static const uint32_t none = 0, cpu = 0;
    procs_rlimit core = {PROCS_RESOURCE_CORE, 0, 0, 0};
    procs_extra_fd socket = {3, 0, {PROCS_STDIO_PIPE, 0, NULL}};
    pthread_t others[4];
    running = 1;
    in_threads(4, busy, others);
    for (int round = 0; round < times(2000); round++) {
        procs_spawn_options o = CHILD("exit", "7");
        o.stdin_from.kind = o.stdout_to.kind = PROCS_STDIO_PIPE;
        o.stderr_to = (procs_stdio){PROCS_STDIO_SAME_AS, 1, NULL};
        o.extra_fds = &socket, o.extra_fd_count = 1;
        o.cwd = "/", o.env = (const char *const[]){"A=b", NULL}, o.umask = 022, o.nice = 1, o.cpus = &cpu, o.cpu_count = 1;
        o.no_new_privs = 1, o.rlimits = &core, o.rlimit_count = 1, o.process_group = 0;
        if (round % 4 == 0) o.groups = &none, o.gid = 0, o.uid = 0; /* as a copy of the host */
        exits(o, 7);
    }
    running = 0;
    join(4, others);
}

/* One mask of a status text, such as SigBlk. */
static unsigned long long mask_in(const char *text, const char *name) {
    const char *line = strstr(text, name);
    CHECK(line != NULL);
    return strtoull(line + strlen(name) + 1, NULL, 16);
}

static void a14(void) {
    int ignored[] = {SIGHUP, SIGPIPE, SIGTRAP, SIGRTMIN + 4};
    struct sigaction ignore = {.sa_handler = SIG_IGN}, handle = {.sa_handler = note_where};
    static const uint32_t none = 0;
    sigset_t blocked;
    char status[300];
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGTERM);
    sigaddset(&blocked, SIGUSR1);
    sigaddset(&blocked, SIGRTMIN + 3);
    CHECK(pthread_sigmask(SIG_BLOCK, &blocked, NULL) == 0 && sigaction(SIGUSR2, &handle, NULL) == 0);
    for (int i = 0; i < 4; i++) CHECK(sigaction(ignored[i], &ignore, NULL) == 0);
    snprintf(status, sizeof status, "/proc/self/task/%d/status", (int)syscall(SYS_gettid));
    unsigned long long own_blocked = mask_in(text_of(status), "SigBlk"), own_ignored = mask_in(text_of(status), "SigIgn");
    for (int way = 0; way < 3; way++) {
        for (int policy = PROCS_SIGNALS_DEFAULT; policy <= PROCS_SIGNALS_RESTORE_PYTHON; policy++) {
            procs_spawn_options o = CHILD("mask");
            o.offload = way == 1;
            if (way == 2) o.groups = &none;
            o.signals = policy;
            const char *text = printed(o);
            unsigned long long python = 1ull << (SIGPIPE - 1) | 1ull << (SIGXFSZ - 1), expected = policy == PROCS_SIGNALS_INHERIT ? own_ignored : own_ignored & ~python;
            CHECK(mask_in(text, "SigBlk") == (policy == PROCS_SIGNALS_DEFAULT ? 0 : own_blocked));
            CHECK(mask_in(text, "SigIgn") == (policy == PROCS_SIGNALS_DEFAULT ? 0 : expected));
            CHECK(mask_in(text, "SigCgt") == 0);
        }
    }
    CHECK(mask_in(text_of(status), "SigBlk") == own_blocked && mask_in(text_of(status), "SigIgn") == own_ignored);
}

static void a27(void) {
    for (int round = 0; round < times(500); round++) {
        procs_spawn_options o = CHILD("sleep", "30");
        if (round % 2 == 0) o.process_group = 0;
        else o.new_session = 1;
        procs_child *child = start(o);
        pid_t pid = procs_child_pid(child);
        CHECK(getpgid(pid) == pid && (round % 2 == 0 || getsid(pid) == pid));
        if (round % 2 == 0) {
            o.process_group = pid;
            procs_child *second = start(o);
            CHECK(getpgid(procs_child_pid(second)) == pid);
            kill_it(second);
        }
        kill_it(child);
    }
}

static void a27_session(void) {
    int line, user = new_terminal(&line);
    procs_spawn_options o = CHILD("session");
    o.stdin_from = (procs_stdio){PROCS_STDIO_FD, line, NULL};
    o.controlling_tty = 0;
    const char *text = printed(o);
    long pid = field_of(text, "pid");
    CHECK(field_of(text, "pgid") == pid && field_of(text, "sid") == pid && field_of(text, "tpgid") == pid && field_of(text, "tty") != 0);
    close(line);
    close(user);
}

/* A member of a background group that made itself the foreground would be stopped by SIGTTOU; the child is not. */
static void host_on_a_terminal(void) {
    procs_spawn_options o = CHILD("session");
    o.stdin_from.kind = PROCS_STDIO_INHERIT;
    o.process_group = 0;
    o.foreground = 1;
    o.timeout_ms = 20000;
    const char *text = printed(o);
    long pid = field_of(text, "pid");
    CHECK(field_of(text, "pgid") == pid && field_of(text, "tpgid") == pid && field_of(text, "sid") == getpid());
}

static void a27_foreground(void) {
    for (int round = 0; round < times(20); round++) on_a_terminal("host_on_a_terminal", NULL);
}
