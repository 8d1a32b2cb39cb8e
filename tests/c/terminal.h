/* A new terminal for rows about sessions and the keyboard. After rows.h. */
#ifndef TERMINAL_H
#define TERMINAL_H

#include "rows.h"

/* The user's side; in *line the side of programs, open and nobody's controlling terminal yet. */
static int new_terminal(int *line) {
    int user = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    CHECK(user > 2 && grantpt(user) == 0 && unlockpt(user) == 0);
    char name[64];
    CHECK(ptsname_r(user, name, sizeof name) == 0);
    CHECK((*line = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC)) > 2);
    return user;
}

/* Runs the HOST row as the leader of a session on a new terminal; it must succeed. */
static void on_a_terminal(const char *function, const char *argument) {
    int line, user = new_terminal(&line);
    procs_spawn_options o = options_for((const char *const[]){program, "--bare", function, argument, NULL});
    o.stdin_from = (procs_stdio){PROCS_STDIO_FD, line, NULL};
    o.controlling_tty = 0;
    procs_output *output = run(o);
    size_t len;
    if (!procs_output_success(output)) fprintf(stderr, "%.*s", 2000, procs_output_stderr(output, &len));
    CHECK(procs_output_success(output) && procs_output_free(output) == PROCS_OK);
    close(line);
    close(user);
}

/* A number that the helper's `session` printed. */
static long field_of(const char *text, const char *name) {
    for (const char *line = text; line != NULL; line = strchr(line, '\n'), line += line != NULL)
        if (strncmp(line, name, strlen(name)) == 0 && line[strlen(name)] == ' ') return atol(line + strlen(name));
    CHECK(!"the field is there");
    return 0;
}

#endif
