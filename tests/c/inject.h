/* Faults of system calls from a chosen moment: strace attaches to this process, so that its counters start exactly there. After rows.h. */
#ifndef INJECT_H
#define INJECT_H

#include "rows.h"

static pid_t injector, watching;

/* Whether every thread of this process is traced by strace. A read that fails was injected. */
static int all_traced(void) {
    char line[40];
    int all = 1;
    DIR *tasks = opendir("/proc/self/task");
    if (tasks == NULL) return 1;
    snprintf(line, sizeof line, "TracerPid:\t%d\n", (int)injector);
    for (struct dirent *entry; (entry = readdir(tasks)) != NULL;) {
        char path[300], text[2000];
        /* The asking thread may be younger than strace's list. */
        if (entry->d_name[0] == '.' || atoi(entry->d_name) == (int)syscall(SYS_gettid)) continue;
        snprintf(path, sizeof path, "/proc/self/task/%s/status", entry->d_name);
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
        if (fd >= 0) close(fd);
        if (n < 0) continue;
        text[n] = '\0';
        all &= strstr(text, line) != NULL;
    }
    closedir(tasks);
    return all;
}

static void *await_attached(void *unused) {
    watching = (pid_t)syscall(SYS_gettid);
    WAIT_UNTIL(all_traced());
    return unused;
}

/* Whether a rule was used on any thread or child but the one that only watches, which may be traced while it still looks. */
static int was_injected(const char *log) {
    for (const char *line = log; line != NULL && *line != '\0';) {
        const char *end = strchr(line, '\n'), *mark = strstr(line, "(INJECTED)");
        if (mark == NULL) return 0;
        if ((end == NULL || mark < end) && atoi(line) != watching) return 1;
        line = end == NULL ? NULL : end + 1;
    }
    return 0;
}

/* From now on these rules hold (rows.h: injection); with a path only for calls that name it exactly. Count with "when=" per thread, from here. */
static void inject(const char *rules, const char *path) {
    char pid[16];
    const char *argv[40] = {"strace", "-f", "-qq", "-o", in_folder("strace.log"), "-p", pid};
    int n = injection(rules, argv, 7);
    pthread_t watcher;
    snprintf(pid, sizeof pid, "%d", (int)getpid());
    if (path != NULL) {
        argv[n++] = "-P";
        argv[n++] = path;
    }
    injector = fork();
    CHECK(injector >= 0);
    if (injector == 0) {
        execvp("strace", (char *const *)argv);
        perror("strace");
        _exit(127);
    }
    /* Another thread looks: this one makes no call that a rule could count. */
    CHECK(pthread_create(&watcher, NULL, await_attached, NULL) == 0 && pthread_join(watcher, NULL) == 0);
}

/* Ends it. Gives whether a rule was ever used. */
static int end_injection(void) {
    int status, waits = 0;
    kill(injector, SIGINT);
    /* It does not go while it holds up a child; what it holds runs on when it is killed. */
    while (waitpid(injector, &status, WNOHANG) == 0) {
        if (waits++ == 1000) kill(injector, SIGKILL);
        poll(NULL, 0, 3);
    }
    return was_injected(text_of(in_folder("strace.log")));
}

/* The calls that the last injection saw. */
static const char *injection_log(void) { return text_of(in_folder("strace.log")); }

#endif
