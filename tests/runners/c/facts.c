#define _GNU_SOURCE /* strerrorname_np */
#include "facts.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

const char *helper(void) {
    const char *path = getenv("PROCS_TEST_CHILD");
    if (path == NULL) {
        fprintf(stderr, "PROCS_TEST_CHILD is not set\n");
        exit(2);
    }
    return path;
}

const char *in_folder(const char *name) {
    static char path[8][4096];
    static int next;
    const char *folder = getenv("PROCS_TEST_DIR");
    next = (next + 1) % 8;
    snprintf(path[next], sizeof path[next], "%s/%s", folder ? folder : ".", name);
    return path[next];
}

void must(procs_status status, const char *call) {
    if (status == PROCS_OK) return;
    fprintf(stderr, "%s: %s: %s\n", call, procs_err_name(status), procs_last_error_message());
    exit(1);
}

procs_spawn_options with(const char *const *argv) {
    procs_spawn_options o;
    must(procs_spawn_options_init(&o, sizeof o), "procs_spawn_options_init");
    o.argv = argv;
    return o;
}

void say_code(const procs_exit_status *status) {
    if (status->kind == PROCS_EXIT_CODE)
        printf("code=%d signal=none", status->code);
    else
        printf("code=none signal=%s", procs_signal_name(status->signal));
}

void say_status(const procs_exit_status *status) {
    printf("status ");
    if (status->kind == PROCS_EXIT_UNKNOWN)
        printf("unknown");
    else
        say_code(status);
    printf("\n");
}

void say_quoted(const char *data, size_t len) {
    putchar('"');
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)data[i];
        if (c == '"' || c == '\\') printf("\\%c", c);
        else if (c == '\n') printf("\\n");
        else if (c == '\r') printf("\\r");
        else if (c == '\t') printf("\\t");
        else if (c < 0x20) printf("\\u%04x", c);
        else putchar(c);
    }
    putchar('"');
}

void say_text(const char *name, const char *data, size_t len) {
    printf("%s text=", name);
    say_quoted(data, len);
    printf("\n");
}

void say_long(const char *name, const char *data, size_t len) {
    char hex[65];
    sha256_hex(data, len, hex);
    printf("%s bytes=%zu sha256=%s\n", name, len, hex);
}

void say_flag(const char *name, int value) { printf("flag %s=%s\n", name, value ? "true" : "false"); }

void say_error(procs_status code) {
    printf("error kind=%s", procs_err_name(code));
    if (code != PROCS_E_INVALID_ARGUMENT) {
        const char *stage = procs_last_error_stage();
        int os = procs_last_error_os();
        printf(" stage=%s errno=%s", stage ? stage : "none", os ? strerrorname_np(os) : "none");
    }
    printf("\n");
}

void say_output_status(const procs_output *output) {
    procs_exit_status status = {.size = sizeof status};
    must(procs_output_status(output, &status), "procs_output_status");
    say_status(&status);
}

void say_stdout(const procs_output *output) {
    size_t len;
    const char *data = procs_output_stdout(output, &len);
    say_text("stdout", data, len);
}

void say_stderr(const procs_output *output) {
    size_t len;
    const char *data = procs_output_stderr(output, &len);
    say_text("stderr", data, len);
}

void say_stdout_long(const procs_output *output) {
    size_t len;
    const char *data = procs_output_stdout(output, &len);
    say_long("stdout", data, len);
}

void say_file(const char *path) {
    char content[4096];
    FILE *file = fopen(path, "r");
    if (file == NULL) {
        perror(path);
        exit(1);
    }
    size_t len = fread(content, 1, sizeof content, file);
    fclose(file);
    say_text("file", content, len);
}

void write_file(const char *path, const char *content, int mode) {
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0 || write(fd, content, strlen(content)) != (ssize_t)strlen(content) || fchmod(fd, (mode_t)mode) != 0) {
        perror(path);
        exit(1);
    }
    close(fd);
}
