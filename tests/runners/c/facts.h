/* What a scenario prints, in the forms of tests/scenarios/README.md. */
#ifndef FACTS_H
#define FACTS_H

#include <procs.h>
#include <stddef.h>
#include <stdio.h>

/* The helper program and the scenario's folder. */
const char *helper(void);
const char *in_folder(const char *name);

/* Ends the runner with the last error when a call that must work did not. */
void must(procs_status status, const char *call);

/* Options with the defaults and this argument vector. */
procs_spawn_options with(const char *const *argv);

void say_status(const procs_exit_status *status);
void say_text(const char *name, const char *data, size_t len);
void say_long(const char *name, const char *data, size_t len);
void say_flag(const char *name, int value);
void say_error(procs_status code);
void say_quoted(const char *data, size_t len);
void say_code(const procs_exit_status *status);

/* Facts of an output; the last frees it. */
void say_output_status(const procs_output *output);
void say_stdout(const procs_output *output);
void say_stderr(const procs_output *output);
void say_stdout_long(const procs_output *output);

/* The content of a file as the fact "file". */
void say_file(const char *path);

void write_file(const char *path, const char *content, int mode);

/* sha256 as 64 lower-case hex digits and a NUL. */
void sha256_hex(const void *data, size_t len, char hex[65]);

#endif
