/* Who a child is, what it inherits, who outlives whom. */
#define ROWS(ROW)                                                                                                      \
    ROW(a18, "A18", "identity is changed wholly", ANYWHERE, NULL)                                                      \
    ROW(a18_refused, "A18", "or not at all", PLAIN, NULL)                                                              \
    ROW(a19, "A19", "the starting thread may end", ANYWHERE, NULL)                                                     \
    ROW(a19_killed, "A19", "no child survives a killed host", NOT_VALGRIND, NULL)                                      \
    ROW(a20, "A20", "a hanging exec is bounded, and blocks nobody else", PLAIN, NULL)                                  \
    ROW(a20_cancelled, "A20", "a cancelled start is undone", PLAIN, NULL)                                              \
    ROW(a21, "A21", "no helper keeps the host's port", NOT_VALGRIND, NULL)                                             \
    ROW(a25, "A25", "the environment is exact", ANYWHERE, NULL)                                                        \
    ROW(a25_inherited, "A25", "what is inherited and what is not", ANYWHERE, NULL)                                     \
    ROW(a26, "A26", "arguments arrive byte for byte", ANYWHERE, NULL)                                                  \
    ROW(b18, "B18", "only what may stay outlives the host", NOT_VALGRIND, NULL)                                        \
    ROW(b19, "B19", "the host adopts nobody", ANYWHERE, NULL)                                                          \
    ROW(host_of_mortals, "A19", "", HOST, NULL)                                                                        \
    ROW(host_with_a_port, "A21", "", HOST, NULL)                                                                       \
    ROW(host_of_eleven, "B18", "", HOST, NULL)
#include "inject.h"
#include <netinet/in.h>
#include <sys/socket.h>

static const uint32_t none = 0;

static void as_nobody(procs_spawn_options *o) { o->groups = &none, o->gid = 65534, o->uid = 65534, o->cwd = "/"; }

/* The helper where another user may reach it. */
static const char *reachable_helper(void) {
    const char *copy = in_folder("child");
    prints(options_for((const char *const[]){"cp", helper(), copy, NULL}), "", 0);
    return copy;
}

static void a18(void) {
    const char *copy = reachable_helper(), *argv[] = {copy, "ids", NULL};
    procs_spawn_options o = options_for(argv);
    as_nobody(&o);
    const char *text = printed(o), *expected = "Uid: 65534 65534 65534 65534\nGid: 65534 65534 65534 65534\nGroups:\n";
    CHECK(strncmp(text, expected, strlen(expected)) == 0);
    CHECK(strstr(text, "CapPrm: 0000000000000000\nCapEff: 0000000000000000\n") != NULL);
    o = options_for(argv);
    o.gid = 7;
    o.groups = (const uint32_t[]){9, 8};
    o.group_count = 2;
    CHECK(strstr(printed(o), "Gid: 7 7 7 7\nGroups: 8 9\n") != NULL);
    CHECK(getuid() == 0 && getgid() == 0);
    o = options_for(argv);
    o.uid = 65534;
    refused(o, PROCS_E_INVALID_ARGUMENT, "prepare", EINVAL);
}

static void a18_refused(void) {
    static const char *calls[][2] = {{"setgroups", "groups"}, {"setresgid", "gid"}, {"setresuid", "uid"}};
    const char *copy = reachable_helper(), *marker = in_folder("marker");
    for (int i = 0; i < 3; i++) {
        char rule[64];
        procs_spawn_options o = options_for((const char *const[]){copy, "touch", marker, NULL});
        as_nobody(&o);
        snprintf(rule, sizeof rule, "%s:error=EPERM", calls[i][0]);
        inject(rule, NULL);
        refused(o, PROCS_E_PERMISSION_DENIED, calls[i][1], EPERM);
        CHECK(end_injection() && access(marker, F_OK) != 0);
    }
}

static void *start_a_mortal(void *child) {
    procs_spawn_options o = CHILD("sleep", "30");
    o.die_with_parent = 1;
    *(procs_child **)child = start(o);
    return NULL;
}

static void a19(void) {
    procs_child *child;
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, start_a_mortal, &child) == 0 && pthread_join(thread, NULL) == 0);
    CHECK(procs_child_wait(child, 1000, NULL) == PROCS_E_TIMEOUT);
    kill_it(child);
}

/* Starts children that shall die with it, as itself or as nobody, until it is killed. */
static void host_of_mortals(void) {
    procs_child *child;
    for (int n = 0; n < 200; n++) {
        procs_spawn_options o = options_for((const char *const[]){row_argv[0], "sleep", "60", NULL});
        o.stdin_from.kind = PROCS_STDIO_NULL;
        o.die_with_parent = 1;
        if (n % 2 == 1) as_nobody(&o);
        child = start(o);
    }
    procs_child_wait(child, 60000, NULL);
}

static void nobody_is_left(void) {
    double killed = now_ms();
    WAIT_UNTIL(holders(NULL) == 0);
    CHECK(now_ms() - killed < 15000);
}

static void a19_killed(void) { kill_loop(times(100), 40, "host_of_mortals", reachable_helper(), nobody_is_left); }

/* Children of this process, other than strace: also one that hangs before its exec, and strace must not be stopped while it holds one up. */
static int other_children(void) {
    int found = 0;
    DIR *tasks = opendir("/proc/self/task");
    CHECK(tasks != NULL);
    for (struct dirent *entry; (entry = readdir(tasks)) != NULL;) {
        char path[300], list[400], *rest = NULL;
        if (entry->d_name[0] == '.') continue;
        snprintf(path, sizeof path, "/proc/self/task/%s/children", entry->d_name);
        snprintf(list, sizeof list, "%.390s", text_of(path));
        for (char *pid = strtok_r(list, " \n", &rest); pid != NULL; pid = strtok_r(NULL, " \n", &rest)) found += atoi(pid) != injector;
    }
    closedir(tasks);
    return found;
}

static void a20(void) {
    const char *slow = in_folder("slow");
    prints(options_for((const char *const[]){"cp", helper(), slow, NULL}), "", 0);
    procs_spawn_options o = options_for((const char *const[]){slow, "sleep", "60", NULL}), quick = CHILD("exit", "0");
    procs_child *child;
    o.offload = quick.offload = 1;
    o.timeout_ms = 500;
    exits(quick, 0);
    double delay = slowly(4000);
    char rule[60];
    snprintf(rule, sizeof rule, "execve:delay_enter=%.0f", delay * 1e3);
    inject(rule, slow);
    double began = now_ms();
    CHECK(procs_spawn(&o, &child) == PROCS_E_TIMEOUT);
    CHECK(now_ms() - began >= 500 && now_ms() - began < delay * 3 / 4);
    for (int i = 0; i < 20; i++) {
        double each = now_ms();
        exits(quick, 0);
        CHECK(now_ms() - each < delay / 2);
    }
    CHECK(now_ms() - began < delay);
    /* The late one appears, is killed and reaped. */
    WAIT_UNTIL(now_ms() - began > delay && other_children() == 0);
    end_injection();
}

static procs_cancel *cancel;

static void *cancel_it(void *unused) {
    CHECK(procs_cancel_now(cancel) == PROCS_OK);
    return unused;
}

static void a20_cancelled(void) {
    const char *slow = in_folder("slow");
    pthread_t thread;
    prints(options_for((const char *const[]){"cp", helper(), slow, NULL}), "", 0);
    procs_spawn_options o = options_for((const char *const[]){slow, "sleep", "60", NULL}), quick = CHILD("exit", "0");
    procs_child *child;
    CHECK(procs_cancel_new(&cancel) == PROCS_OK);
    o.offload = quick.offload = 1;
    o.cancel = cancel;
    exits(quick, 0);
    inject("execve:delay_enter=1000000", slow);
    in_threads(1, cancel_it, &thread);
    CHECK(procs_spawn(&o, &child) == PROCS_E_CANCELLED);
    join(1, &thread);
    CHECK(procs_cancel_free(cancel) == PROCS_OK);
    WAIT_UNTIL(other_children() == 0);
    end_injection();
}

static struct sockaddr_in address;

static int listener(void) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(fd > 2);
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (bind(fd, (struct sockaddr *)&address, sizeof address) == 0 && listen(fd, 1) == 0) return fd;
    close(fd);
    return -1;
}

/* Holds a port and starts children in every way there is, until it is killed. */
static void host_with_a_port(void) {
    address.sin_port = htons((uint16_t)atoi(row_argv[0]));
    CHECK(listener() > 2);
    for (int n = 0;; n++) {
        procs_spawn_options o = CHILD("exit", "0");
        if (n % 3 == 1) o.groups = &none;
        o.offload = n % 3 == 2;
        exits(o, 0);
    }
}

static void the_port_is_free(void) {
    nobody_is_left();
    int fd = listener();
    CHECK(fd > 2);
    close(fd);
}

static void a21(void) {
    char port[16];
    socklen_t len = sizeof address;
    int fd = listener();
    CHECK(fd > 2 && getsockname(fd, (struct sockaddr *)&address, &len) == 0);
    snprintf(port, sizeof port, "%d", ntohs(address.sin_port));
    close(fd);
    kill_loop(times(100), 30, "host_with_a_port", port, the_port_is_free);
}

static void environment(const char *const *env, const char *expected, size_t len) {
    procs_spawn_options o = CHILD("env");
    o.env = env;
    o.env_mode = PROCS_ENV_CLEAR;
    prints(o, expected, len);
}

#define EXACT(expected, ...) environment((const char *const[]){__VA_ARGS__, NULL}, expected, sizeof expected - 1)

static void a25(void) {
    environment(NULL, "", 0);
    EXACT("A=b\0", "A=b");
    EXACT("A=\0", "A=");
    EXACT("A==b=\0", "A==b=");
    EXACT("A=b\nc\0", "A=b\nc");
    EXACT("A= b \0", "A= b ");
    EXACT("A=$B\0", "A=$B");
    EXACT("A B=c\0", "A B=c");
    EXACT("A=2\0", "A=1", "A=2");
    EXACT("B=2\0A=3\0", "A=1", "B=2", "A=3");
    environment((const char *const[]){"A=1", "A", NULL}, "", 0);
    EXACT("A=1\0", "A", "A=1");
    EXACT("Z=1\0A=2\0M=3\0", "Z=1", "A=2", "M=3");
    EXACT("A=\xff\xfe\0", "A=\xff\xfe");
    EXACT("\xc3\x28=x\0", "\xc3\x28=x");
    EXACT("A=\x01\x7f\0", "A=\x01\x7f");
    EXACT("LISTEN_FDS=1\0", "LISTEN_FDS=1");
    EXACT("PATH=\0", "PATH=");
    EXACT("A=()  { :;}; echo pwned\0", "A=()  { :;}; echo pwned");
}

/* Whether a child's environment, as printed, has this entry. */
static int has_entry(const char *text, size_t len, const char *entry) {
    for (const char *at = text; at < text + len; at += strlen(at) + 1)
        if (strcmp(at, entry) == 0) return 1;
    return 0;
}

static void a25_inherited(void) {
    const char *changes[] = {"LISTEN_FDS=2", "OWN", NULL};
    const char *control[] = {"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "NOTIFY_SOCKET", "NODE_CHANNEL_FD", "NODE_UNIQUE_ID", "PROCS_CHANNEL_FD"};
    for (int i = 0; i < 7; i++) setenv(control[i], "7", 1);
    setenv("OWN", "kept", 1);
    for (int way = 0; way < 3; way++) {
        procs_spawn_options o = CHILD("env");
        o.keep_control_env = way == 1;
        if (way == 2) o.env = changes;
        procs_output *output = run(o);
        size_t len;
        const char *text = procs_output_stdout(output, &len);
        for (int i = 0; i < 7; i++) {
            char entry[64];
            snprintf(entry, sizeof entry, "%s=7", control[i]);
            CHECK(has_entry(text, len, entry) == (way == 1));
        }
        CHECK(has_entry(text, len, "OWN=kept") == (way != 2) && has_entry(text, len, "LISTEN_FDS=2") == (way == 2));
        CHECK(procs_output_free(output) == PROCS_OK);
    }
    for (int i = 0; i < 7; i++) unsetenv(control[i]);
}

static void a26(void) {
    static const char *odd[] = {"", " ", "a b", "$(id)", "`id`", ";", "; id", "a\nb", "'", "\"", "*", "?", "~", "-rf", "--", "\\", "%PATH%", "^&|<>"};
    enum { ODD = sizeof odd / sizeof odd[0] };
    static char bytes[256][2], all[256], expected[4096];
    const char *argv[ODD + 260] = {helper(), "argv"};
    int n = 2;
    size_t len = 0;
    for (int i = 0; i < ODD; i++) argv[n++] = odd[i];
    for (int i = 1; i < 256; i++) {
        bytes[i][0] = all[i - 1] = (char)i;
        argv[n++] = bytes[i];
    }
    argv[n++] = all;
    for (int i = 2; i < n; i++) {
        strcpy(expected + len, argv[i]);
        len += strlen(argv[i]) + 1;
    }
    prints(options_for(argv), expected, len);
    /* The one explicit shell does what a shell does. */
    procs_spawn_options o = options_for(NULL);
    o.shell = "echo $((6 * 7))";
    prints(o, "42\n", 3);
}

/* Ten children that die with it and one that does not. */
static void host_of_eleven(void) {
    for (int n = 0; n < 11; n++) {
        procs_spawn_options o = CHILD("sleep", n < 10 ? "60" : "61");
        o.stdin_from.kind = PROCS_STDIO_NULL;
        o.die_with_parent = n < 10;
        start(o);
    }
    FILE *ready = fopen(row_argv[0], "w");
    CHECK(ready != NULL && fclose(ready) == 0);
    pause();
}

/* Sleepers of this row with this last argument. */
static int sleepers(const char *seconds, int signal) {
    int found = 0;
    DIR *processes = opendir("/proc");
    for (struct dirent *entry; (entry = readdir(processes)) != NULL;) {
        char path[64], line[600];
        int pid = atoi(entry->d_name);
        if (pid <= 0 || pid == getpid() || !has_cookie(pid) || !is_running(pid)) continue;
        snprintf(path, sizeof path, "/proc/%d/cmdline", pid);
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        ssize_t n = fd < 0 ? 0 : read(fd, line, sizeof line);
        if (fd >= 0) close(fd);
        if (n < 4 || memcmp(line + n - 3, seconds, 3) != 0) continue;
        found++;
        if (signal != 0) kill(pid, signal);
    }
    closedir(processes);
    return found;
}

static void the_mortals_are_gone(void) {
    double killed = now_ms();
    WAIT_UNTIL(sleepers("60", 0) == 0);
    CHECK(now_ms() - killed < 15000);
    if (access(in_folder("ready"), F_OK) == 0) CHECK(sleepers("61", 0) == 1);
    WAIT_UNTIL(sleepers("61", SIGKILL) == 0 && holders(NULL) == 0);
    unlink(in_folder("ready"));
}

static void b18(void) {
    const char *ready = in_folder("ready");
    kill_loop(times(50), 50, "host_of_eleven", ready, the_mortals_are_gone);
    pid_t host = start_host("host_of_eleven", ready, NULL);
    WAIT_UNTIL(access(ready, F_OK) == 0);
    CHECK(kill(host, SIGKILL) == 0);
    end_of_host(host);
    the_mortals_are_gone();
}

static void b19(void) {
    int adopts = 1;
    for (int round = 0; round < times(100); round++) {
        procs_spawn_options o = CHILD("tree-step", "0", "0");
        o.stdout_to.kind = PROCS_STDIO_NULL;
        exits(o, 0);
    }
    procs_spawn_options o = CHILD("tree", "2", "60");
    o.stdout_to.kind = PROCS_STDIO_NULL;
    o.kill_tree = 1;
    procs_child *tree = start(o);
    CHECK(procs_child_kill_tree(tree, NULL) == PROCS_OK);
    end_of(tree);
    CHECK(prctl(PR_GET_CHILD_SUBREAPER, &adopts) == 0 && adopts == 0);
}
