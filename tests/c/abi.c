/* The layout of every public struct and the number of every constant. A failure here means a new ABI number: see docs/c.md. The fields lie
 * end to end, because a gap would have another content in programs that were built before a field was put there. */
#include "check.h"
#include <stddef.h>

#define SIZE(type, bytes) _Static_assert(sizeof(type) == (bytes), #type " has another size")
#define FIELD(type, field, at) _Static_assert(offsetof(type, field) == (at), #type "." #field " has moved")

SIZE(procs_stdio, 16);
FIELD(procs_stdio, kind, 0);
FIELD(procs_stdio, fd, 4);
FIELD(procs_stdio, path, 8);

SIZE(procs_extra_fd, 24);
FIELD(procs_extra_fd, child_fd, 0);
FIELD(procs_extra_fd, reserved, 4);
FIELD(procs_extra_fd, stdio, 8);

SIZE(procs_rlimit, 24);
FIELD(procs_rlimit, resource, 0);
FIELD(procs_rlimit, reserved, 4);
FIELD(procs_rlimit, soft, 8);
FIELD(procs_rlimit, hard, 16);

SIZE(procs_output_limit, 16);
FIELD(procs_output_limit, policy, 0);
FIELD(procs_output_limit, reserved, 4);
FIELD(procs_output_limit, bytes, 8);

SIZE(procs_sink, 40);
FIELD(procs_sink, kind, 0);
FIELD(procs_sink, fd, 4);
FIELD(procs_sink, path, 8);
FIELD(procs_sink, callback, 16);
FIELD(procs_sink, user_data, 24);
FIELD(procs_sink, also, 32);

SIZE(procs_spawn_options, 456);
FIELD(procs_spawn_options, size, 0);
FIELD(procs_spawn_options, program, 8);
FIELD(procs_spawn_options, argv, 16);
FIELD(procs_spawn_options, shell, 24);
FIELD(procs_spawn_options, env, 32);
FIELD(procs_spawn_options, cwd, 40);
FIELD(procs_spawn_options, stdin_from, 48);
FIELD(procs_spawn_options, stdout_to, 64);
FIELD(procs_spawn_options, stderr_to, 80);
FIELD(procs_spawn_options, extra_fds, 96);
FIELD(procs_spawn_options, extra_fd_count, 104);
FIELD(procs_spawn_options, rlimits, 112);
FIELD(procs_spawn_options, rlimit_count, 120);
FIELD(procs_spawn_options, groups, 128);
FIELD(procs_spawn_options, group_count, 136);
FIELD(procs_spawn_options, cpus, 144);
FIELD(procs_spawn_options, cpu_count, 152);
FIELD(procs_spawn_options, uid, 160);
FIELD(procs_spawn_options, gid, 168);
FIELD(procs_spawn_options, env_mode, 176);
FIELD(procs_spawn_options, keep_control_env, 180);
FIELD(procs_spawn_options, program_after_chdir, 184);
FIELD(procs_spawn_options, allow_relative_path, 188);
FIELD(procs_spawn_options, process_group, 192);
FIELD(procs_spawn_options, new_session, 196);
FIELD(procs_spawn_options, controlling_tty, 200);
FIELD(procs_spawn_options, foreground, 204);
FIELD(procs_spawn_options, umask, 208);
FIELD(procs_spawn_options, nice, 212);
FIELD(procs_spawn_options, no_new_privs, 216);
FIELD(procs_spawn_options, die_with_parent, 220);
FIELD(procs_spawn_options, parent_death_signal, 224);
FIELD(procs_spawn_options, signals, 228);
FIELD(procs_spawn_options, keep_fds, 232);
FIELD(procs_spawn_options, offload, 236);
FIELD(procs_spawn_options, kill_on_free, 240);
FIELD(procs_spawn_options, kill_tree, 244);
FIELD(procs_spawn_options, tree_level, 248);
FIELD(procs_spawn_options, check, 252);
FIELD(procs_spawn_options, stop_signal, 256);
FIELD(procs_spawn_options, wait_for_exec, 260);
FIELD(procs_spawn_options, timeout_ms, 264);
FIELD(procs_spawn_options, grace_ms, 272);
FIELD(procs_spawn_options, drain_grace_ms, 280);
FIELD(procs_spawn_options, drain_after_exit_ms, 288);
FIELD(procs_spawn_options, pipe_size, 296);
FIELD(procs_spawn_options, input, 304);
FIELD(procs_spawn_options, input_len, 312);
FIELD(procs_spawn_options, input_callback, 320);
FIELD(procs_spawn_options, input_user_data, 328);
FIELD(procs_spawn_options, stdout_limit, 336);
FIELD(procs_spawn_options, stderr_limit, 352);
FIELD(procs_spawn_options, stdout_sink, 368);
FIELD(procs_spawn_options, stderr_sink, 408);
FIELD(procs_spawn_options, cancel, 448);

SIZE(procs_stop_step, 16);
FIELD(procs_stop_step, action, 0);
FIELD(procs_stop_step, signal, 4);
FIELD(procs_stop_step, wait_ms, 8);

SIZE(procs_stop_options, 40);
FIELD(procs_stop_options, size, 0);
FIELD(procs_stop_options, steps, 8);
FIELD(procs_stop_options, step_count, 16);
FIELD(procs_stop_options, grace_ms, 24);
FIELD(procs_stop_options, tree, 32);
FIELD(procs_stop_options, reserved, 36);

SIZE(procs_stop_report, 40);
FIELD(procs_stop_report, size, 0);
FIELD(procs_stop_report, exit_kind, 8);
FIELD(procs_stop_report, exit_code, 12);
FIELD(procs_stop_report, exit_signal, 16);
FIELD(procs_stop_report, ended_by, 20);
FIELD(procs_stop_report, ended_by_signal, 24);
FIELD(procs_stop_report, level, 28);
FIELD(procs_stop_report, survivor_count, 32);

SIZE(procs_exit_status, 24);
FIELD(procs_exit_status, size, 0);
FIELD(procs_exit_status, kind, 8);
FIELD(procs_exit_status, code, 12);
FIELD(procs_exit_status, signal, 16);
FIELD(procs_exit_status, core_dumped, 20);

SIZE(procs_usage, 48);
FIELD(procs_usage, size, 0);
FIELD(procs_usage, user_time_us, 8);
FIELD(procs_usage, system_time_us, 16);
FIELD(procs_usage, max_rss_bytes, 24);
FIELD(procs_usage, started_us, 32);
FIELD(procs_usage, wall_time_us, 40);

SIZE(procs_bytes, 16);
FIELD(procs_bytes, data, 0);
FIELD(procs_bytes, len, 8);

SIZE(procs_stream_report, 32);
FIELD(procs_stream_report, size, 0);
FIELD(procs_stream_report, total_bytes, 8);
FIELD(procs_stream_report, truncated, 16);
FIELD(procs_stream_report, limit_exceeded, 20);
FIELD(procs_stream_report, spilled, 24);
FIELD(procs_stream_report, sink_error, 28);

SIZE(procs_pipeline_options, 176);
FIELD(procs_pipeline_options, size, 0);
FIELD(procs_pipeline_options, stdin_from, 8);
FIELD(procs_pipeline_options, stdout_to, 24);
FIELD(procs_pipeline_options, stderr_to, 40);
FIELD(procs_pipeline_options, timeout_ms, 56);
FIELD(procs_pipeline_options, grace_ms, 64);
FIELD(procs_pipeline_options, input, 72);
FIELD(procs_pipeline_options, input_len, 80);
FIELD(procs_pipeline_options, input_callback, 88);
FIELD(procs_pipeline_options, input_user_data, 96);
FIELD(procs_pipeline_options, output_limit, 104);
FIELD(procs_pipeline_options, stdout_sink, 120);
FIELD(procs_pipeline_options, cancel, 160);
FIELD(procs_pipeline_options, kill_tree, 168);
FIELD(procs_pipeline_options, check, 172);

SIZE(procs_engine_info, 32);
FIELD(procs_engine_info, size, 0);
FIELD(procs_engine_info, clone_level, 8);
FIELD(procs_engine_info, pidfd, 16);
FIELD(procs_engine_info, close_range, 20);
FIELD(procs_engine_info, cgroup, 24);
FIELD(procs_engine_info, pidfd_info, 28);

_Static_assert(PROCS_OK == 0, "PROCS_OK has another number");
_Static_assert(PROCS_E_INVALID_ARGUMENT == -1, "PROCS_E_INVALID_ARGUMENT has another number");
_Static_assert(PROCS_E_INVALID_STATE == -2, "PROCS_E_INVALID_STATE has another number");
_Static_assert(PROCS_E_NOT_FOUND == -3, "PROCS_E_NOT_FOUND has another number");
_Static_assert(PROCS_E_PERMISSION_DENIED == -4, "PROCS_E_PERMISSION_DENIED has another number");
_Static_assert(PROCS_E_TIMEOUT == -5, "PROCS_E_TIMEOUT has another number");
_Static_assert(PROCS_E_CANCELLED == -6, "PROCS_E_CANCELLED has another number");
_Static_assert(PROCS_E_WOULD_BLOCK == -7, "PROCS_E_WOULD_BLOCK has another number");
_Static_assert(PROCS_E_CLOSED == -8, "PROCS_E_CLOSED has another number");
_Static_assert(PROCS_E_TOO_LARGE == -9, "PROCS_E_TOO_LARGE has another number");
_Static_assert(PROCS_E_PROTOCOL == -10, "PROCS_E_PROTOCOL has another number");
_Static_assert(PROCS_E_CHILD_FAILED == -11, "PROCS_E_CHILD_FAILED has another number");
_Static_assert(PROCS_E_WORKER_LOST == -12, "PROCS_E_WORKER_LOST has another number");
_Static_assert(PROCS_E_TASK_FAILED == -13, "PROCS_E_TASK_FAILED has another number");
_Static_assert(PROCS_E_OWNER_DIED == -14, "PROCS_E_OWNER_DIED has another number");
_Static_assert(PROCS_E_EXHAUSTED == -15, "PROCS_E_EXHAUSTED has another number");
_Static_assert(PROCS_E_UNSUPPORTED == -16, "PROCS_E_UNSUPPORTED has another number");
_Static_assert(PROCS_E_IO == -17, "PROCS_E_IO has another number");
_Static_assert(PROCS_E_PANIC == -99, "PROCS_E_PANIC has another number");
_Static_assert(PROCS_STDIO_DEFAULT == 0, "PROCS_STDIO_DEFAULT has another number");
_Static_assert(PROCS_STDIO_INHERIT == 1, "PROCS_STDIO_INHERIT has another number");
_Static_assert(PROCS_STDIO_NULL == 2, "PROCS_STDIO_NULL has another number");
_Static_assert(PROCS_STDIO_PIPE == 3, "PROCS_STDIO_PIPE has another number");
_Static_assert(PROCS_STDIO_FD == 4, "PROCS_STDIO_FD has another number");
_Static_assert(PROCS_STDIO_READ_FILE == 5, "PROCS_STDIO_READ_FILE has another number");
_Static_assert(PROCS_STDIO_WRITE_FILE == 6, "PROCS_STDIO_WRITE_FILE has another number");
_Static_assert(PROCS_STDIO_APPEND_FILE == 7, "PROCS_STDIO_APPEND_FILE has another number");
_Static_assert(PROCS_STDIO_SAME_AS == 8, "PROCS_STDIO_SAME_AS has another number");
_Static_assert(PROCS_RESOURCE_ADDRESS_SPACE == 0, "PROCS_RESOURCE_ADDRESS_SPACE has another number");
_Static_assert(PROCS_RESOURCE_CORE == 1, "PROCS_RESOURCE_CORE has another number");
_Static_assert(PROCS_RESOURCE_CPU == 2, "PROCS_RESOURCE_CPU has another number");
_Static_assert(PROCS_RESOURCE_DATA == 3, "PROCS_RESOURCE_DATA has another number");
_Static_assert(PROCS_RESOURCE_FILE_SIZE == 4, "PROCS_RESOURCE_FILE_SIZE has another number");
_Static_assert(PROCS_RESOURCE_LOCKS == 5, "PROCS_RESOURCE_LOCKS has another number");
_Static_assert(PROCS_RESOURCE_MEMORY_LOCK == 6, "PROCS_RESOURCE_MEMORY_LOCK has another number");
_Static_assert(PROCS_RESOURCE_MESSAGE_QUEUE == 7, "PROCS_RESOURCE_MESSAGE_QUEUE has another number");
_Static_assert(PROCS_RESOURCE_NICE == 8, "PROCS_RESOURCE_NICE has another number");
_Static_assert(PROCS_RESOURCE_OPEN_FILES == 9, "PROCS_RESOURCE_OPEN_FILES has another number");
_Static_assert(PROCS_RESOURCE_PROCESSES == 10, "PROCS_RESOURCE_PROCESSES has another number");
_Static_assert(PROCS_RESOURCE_RESIDENT_SET == 11, "PROCS_RESOURCE_RESIDENT_SET has another number");
_Static_assert(PROCS_RESOURCE_REALTIME_PRIORITY == 12, "PROCS_RESOURCE_REALTIME_PRIORITY has another number");
_Static_assert(PROCS_RESOURCE_REALTIME_TIME == 13, "PROCS_RESOURCE_REALTIME_TIME has another number");
_Static_assert(PROCS_RESOURCE_PENDING_SIGNALS == 14, "PROCS_RESOURCE_PENDING_SIGNALS has another number");
_Static_assert(PROCS_RESOURCE_STACK == 15, "PROCS_RESOURCE_STACK has another number");
_Static_assert(PROCS_ENV_INHERIT == 0, "PROCS_ENV_INHERIT has another number");
_Static_assert(PROCS_ENV_CLEAR == 1, "PROCS_ENV_CLEAR has another number");
_Static_assert(PROCS_SIGNALS_DEFAULT == 0, "PROCS_SIGNALS_DEFAULT has another number");
_Static_assert(PROCS_SIGNALS_INHERIT == 1, "PROCS_SIGNALS_INHERIT has another number");
_Static_assert(PROCS_SIGNALS_RESTORE_PYTHON == 2, "PROCS_SIGNALS_RESTORE_PYTHON has another number");
_Static_assert(PROCS_TREE_STRONGEST == 0, "PROCS_TREE_STRONGEST has another number");
_Static_assert(PROCS_TREE_PROCESS == 1, "PROCS_TREE_PROCESS has another number");
_Static_assert(PROCS_TREE_GROUP == 2, "PROCS_TREE_GROUP has another number");
_Static_assert(PROCS_TREE_WALK == 3, "PROCS_TREE_WALK has another number");
_Static_assert(PROCS_TREE_CGROUP == 4, "PROCS_TREE_CGROUP has another number");
_Static_assert(PROCS_LIMIT_ERROR == 0, "PROCS_LIMIT_ERROR has another number");
_Static_assert(PROCS_LIMIT_NONE == 1, "PROCS_LIMIT_NONE has another number");
_Static_assert(PROCS_LIMIT_HEAD == 2, "PROCS_LIMIT_HEAD has another number");
_Static_assert(PROCS_LIMIT_TAIL == 3, "PROCS_LIMIT_TAIL has another number");
_Static_assert(PROCS_LIMIT_SPILL == 4, "PROCS_LIMIT_SPILL has another number");
_Static_assert(PROCS_SINK_BUFFER == 0, "PROCS_SINK_BUFFER has another number");
_Static_assert(PROCS_SINK_DISCARD == 1, "PROCS_SINK_DISCARD has another number");
_Static_assert(PROCS_SINK_FD == 2, "PROCS_SINK_FD has another number");
_Static_assert(PROCS_SINK_FILE == 3, "PROCS_SINK_FILE has another number");
_Static_assert(PROCS_SINK_APPEND == 4, "PROCS_SINK_APPEND has another number");
_Static_assert(PROCS_SINK_CALLBACK == 5, "PROCS_SINK_CALLBACK has another number");
_Static_assert(PROCS_EXIT_NONE == 0, "PROCS_EXIT_NONE has another number");
_Static_assert(PROCS_EXIT_CODE == 1, "PROCS_EXIT_CODE has another number");
_Static_assert(PROCS_EXIT_SIGNAL == 2, "PROCS_EXIT_SIGNAL has another number");
_Static_assert(PROCS_EXIT_UNKNOWN == 3, "PROCS_EXIT_UNKNOWN has another number");
_Static_assert(PROCS_STOP_WAIT == 0, "PROCS_STOP_WAIT has another number");
_Static_assert(PROCS_STOP_CLOSE_STDIN == 1, "PROCS_STOP_CLOSE_STDIN has another number");
_Static_assert(PROCS_STOP_SIGNAL == 2, "PROCS_STOP_SIGNAL has another number");
_Static_assert(PROCS_STOP_KILL == 3, "PROCS_STOP_KILL has another number");

int main(void) {
    ok("layout of structs and numbers of constants");
    char text[32];
    snprintf(text, sizeof text, "%d.%d.%d", PROCS_VERSION_MAJOR, PROCS_VERSION_MINOR, PROCS_VERSION_PATCH);
    CHECK(strcmp(text, procs_version()) == 0);
    CHECK(procs_version_number() == PROCS_VERSION_NUMBER);
    CHECK(PROCS_VERSION_NUMBER == PROCS_VERSION_MAJOR * 1000000 + PROCS_VERSION_MINOR * 1000 + PROCS_VERSION_PATCH);
    CHECK(procs_abi_version() == PROCS_ABI_VERSION);
    ok("versions of header and library");
    return 0;
}
