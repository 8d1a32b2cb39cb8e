/* procs.h: starts, feeds, watches and multiplies processes on Linux.
 *
 * Link with -lprocs (pkg-config --cflags --libs procs). C99, C11, C++17.
 *
 *     procs_spawn_options o;
 *     procs_output *output;
 *     const char *argv[] = {"sort", "-u", NULL};
 *     procs_spawn_options_init(&o, sizeof o);
 *     o.argv = argv;
 *     o.input = "b\na\nb\n";
 *     o.input_len = 6;
 *     if (procs_run(&o, &output) != PROCS_OK) {
 *         fprintf(stderr, "%s\n", procs_last_error_message());
 *         return 1;
 *     }
 *     size_t len;
 *     const char *text = procs_output_stdout(output, &len);
 *     fwrite(text, 1, len, stdout);
 *     procs_output_free(output);
 *
 * WHAT TO USE
 *     run to the end, get the output ............ procs_run
 *     the same, in an event loop or bit by bit .. procs_capture_start, procs_capture_fd, procs_capture_dispatch
 *     start, talk, wait ......................... procs_spawn, procs_child_write, procs_child_read, procs_child_wait
 *     lines while it runs ....................... procs_spawn, procs_lines_new, procs_lines_next
 *     end it, with its descendants .............. procs_child_stop, kill_tree, timeout_ms
 *     a | b | c ................................. procs_pipeline_new, procs_pipeline_add, procs_pipeline_run
 *     many at once .............................. procs_run_many, procs_wait_any, procs_stop_all
 *     memory that processes share ............... procs_shm_new, procs_shm_fd, procs_shm_from_fd, procs_shm_data
 *     a lock in it, also if its holder is killed  procs_shm_mutex_new, procs_shm_mutex_lock; rwlock, semaphore, event, barrier, once
 *     numbers in it ............................. procs_shm_add64, procs_shm_counter_new, procs_shm_histogram_new
 *     blocks without a copy ..................... procs_shm_arena_new, procs_shm_block_lend, procs_shm_arena_attach
 *     messages to and from a child .............. procs_spawn with channel, procs_child_channel, procs_channel_send, procs_channel_recv
 *     ask and answer ............................ procs_channel_call; procs_channel_next_request, procs_request_reply
 *     in the child .............................. procs_channel_from_env
 *
 * RULES
 *   Results. A function that can fail returns procs_status: PROCS_OK (0) or a negative PROCS_E_ code, and writes its out-parameters last and
 *     on success only. Why it failed: procs_last_error_message() and its neighbours, kept for each thread until its next failing call. Getters
 *     return the value, and 0, NULL or -1 for NULL and for a handle that is not live. A call that succeeds does not touch the last error.
 *   Handles. procs_child *, procs_output * and so on are numbers in the shape of pointers. A freed handle, a handle of another type, any number
 *     at all is PROCS_E_INVALID_ARGUMENT and never a crash. The _free functions accept NULL and free once: a second time is that error.
 *   Pointers. Every pointer that is not a handle must be NULL or valid. NULL where a text does not allow it is PROCS_E_INVALID_ARGUMENT.
 *   Ownership. "Owned": free it with the function named. "Borrowed": valid until the end that is named. "Copied": yours again at once.
 *     Functions never consume a handle, apart from _free.
 *   Structs. The first field of options and results is their size. For options the _init function sets it; for results you do:
 *     procs_exit_status status; status.size = sizeof status; -- so a program built with an older or newer header keeps working.
 *   Times are milliseconds (int64_t, -1 means no limit where that is said, other negative numbers are refused) unless the name says _us. Sizes
 *     are bytes. Strings in: NUL-terminated bytes, UTF-8 is not demanded. Bytes out: pointer and length, without NUL.
 *   The process. The library installs no signal handler, raises no SIGPIPE, changes no global state of yours. Its descriptors are close-on-exec
 *     and above 2. It starts threads of its own when it needs them, named procs-...; it cannot be unloaded. After fork, a forked copy must not
 *     use handles of its parent.
 *   Callbacks run without a lock held. They must return: no longjmp, no C++ exception through them.
 *   Not from a signal handler: write to a pipe or eventfd there, and call from where that is read. A thread that is inside a call must not be
 *     ended by pthread_cancel (glibc then aborts the process): cancel what it waits for by procs_cancel_now.
 *
 * THREADS
 *   A const handle: any number of threads at once. A handle without const: one call at a time; a second one at the same time, or from a callback
 *   of the first, is PROCS_E_INVALID_STATE. Freeing a handle while another thread is inside a call with it is safe: that call finishes.
 *
 *     noun             any thread at once                      one at a time
 *     child            all                                     -
 *     output           all                                     -
 *     pipeline_output  all                                     -
 *     cancel           all                                     -
 *     capture          _fd, _child                             _run, _dispatch, _stdout, _stderr, _stop, _finish
 *     lines            _fd                                     _next, _next_many
 *     pipeline         _stage_count                            _add, _run, _spawn
 *     shm_...          all                                     -
 *     channel          all                                     -
 *     message          getters (with nothing else)             _add_, _set_, _take_fd, being sent or received into
 *     request          _is_cancelled, _takes_parts             all others
 *     call_stream      -                                       all
 *     last error       belongs to its thread
 *
 * IN AN EVENT LOOP
 *   Each waitable has a descriptor that plain poll, epoll or any loop can watch for reading:
 *     child    procs_child_fd      ended: then procs_child_try_wait
 *     capture  procs_capture_fd    then procs_capture_dispatch
 *     lines    procs_lines_fd      then procs_lines_next(..., 0, ...) until PROCS_E_WOULD_BLOCK
 *     stream   procs_child_stream_fd, or take it with procs_child_take_fd
 *     cancel   procs_cancel_fd     cancelled
 *     locks    procs_shm_pending_fd, of the _start functions; then procs_shm_pending_finish until it is not PROCS_E_WOULD_BLOCK
 *     channel  procs_channel_fd    then procs_channel_recv(..., 0, ...) until PROCS_E_WOULD_BLOCK or the end
 */

#ifndef PROCS_H
#define PROCS_H

/* Generated from ffi/src by cbindgen: change it there, then run `make header`. */

#include <stddef.h>
#include <stdint.h>

// Lines include their line feed: a flag of `procs_lines_new`.
#define PROCS_LINES_KEEP_ENDS 1

// A carriage return before the line feed is removed with it: a flag of `procs_lines_new`.
#define PROCS_LINES_STRIP_CR 2

// Only this process can write it; the kernel refuses everybody else: a flag of `procs_shm_new`.
#define PROCS_SHM_READ_ONLY 1

// Fill the page tables now, so that no later access faults: a flag of `procs_shm_new`.
#define PROCS_SHM_PREFAULT 2

// Ask for huge pages; ordinary ones serve where there are none: a flag of `procs_shm_new`.
#define PROCS_SHM_HUGE_PAGES 4

// Open what is at the offset, or make it where the bytes are still zero: the `how` of everything that lives in shared memory.
#define PROCS_SHM_OPEN_OR_CREATE 0

// Make it anew, whatever is there; nobody may be using it.
#define PROCS_SHM_CREATE 1

// Open what another process made.
#define PROCS_SHM_OPEN 2

// Bytes of a name with its NUL.
#define PROCS_SHM_COUNTER_NAME 49

// No limit, in `procs_rlimit`.
#define PROCS_UNLIMITED UINT64_MAX

// Leave it as it is, in `procs_spawn_options.nice`.
#define PROCS_UNCHANGED INT32_MIN

// Version of this header, first part.
#define PROCS_VERSION_MAJOR 0

// Version of this header, second part.
#define PROCS_VERSION_MINOR 1

// Version of this header, third part.
#define PROCS_VERSION_PATCH 0

// Version of this header as one number: major x 1,000,000 + minor x 1,000 + patch.
#define PROCS_VERSION_NUMBER 1000

// Number of the binary interface, N of libprocs.so.N: the minor version while the major one is 0, then the major one.
#define PROCS_ABI_VERSION 1

// What functions that can fail return: 0, or the negative number of what went wrong.
//
// Numbers are stable and never reused. Branch on these; `procs_last_error_message()` says the rest.
typedef enum procs_status {
    // It worked.
    PROCS_OK = 0,
    // An argument was refused before anything was done: NULL, a freed handle, a value out of range.
    PROCS_E_INVALID_ARGUMENT = -1,
    // Not possible now: stream already taken, capture already finished.
    PROCS_E_INVALID_STATE = -2,
    // The program, directory or process does not exist.
    PROCS_E_NOT_FOUND = -3,
    // The system refuses it to this user.
    PROCS_E_PERMISSION_DENIED = -4,
    // The deadline passed.
    PROCS_E_TIMEOUT = -5,
    // It was cancelled with a `procs_cancel`.
    PROCS_E_CANCELLED = -6,
    // Nothing there at the moment (only with a timeout of 0).
    PROCS_E_WOULD_BLOCK = -7,
    // The other side is gone: nobody reads what is written.
    PROCS_E_CLOSED = -8,
    // A documented limit was exceeded; the message names limit and size.
    PROCS_E_TOO_LARGE = -9,
    // A malformed frame or a version mismatch.
    PROCS_E_PROTOCOL = -10,
    // The run was to be checked and did not end with exit code 0.
    PROCS_E_CHILD_FAILED = -11,
    // The worker that held this task died.
    PROCS_E_WORKER_LOST = -12,
    // User code failed in the worker.
    PROCS_E_TASK_FAILED = -13,
    // The holder of a robust lock died.
    PROCS_E_OWNER_DIED = -14,
    // The system is out of processes, descriptors or memory.
    PROCS_E_EXHAUSTED = -15,
    // This kernel or platform lacks the feature.
    PROCS_E_UNSUPPORTED = -16,
    // Any other system error; `procs_last_error_os()` has the errno.
    PROCS_E_IO = -17,
    // A bug in libprocs.
    PROCS_E_PANIC = -99,
} procs_status;

// Where a descriptor of the child comes from or leads to: the values of `procs_stdio.kind`.
typedef enum procs_stdio_kind {
    // `procs_spawn`: inherited. `procs_run` and `procs_capture_start`: input from /dev/null (or the input given), output captured.
    PROCS_STDIO_DEFAULT = 0,
    // The host's descriptor of the same number; for 0 to 2 /dev/null when the host has closed it or made it close-on-exec.
    PROCS_STDIO_INHERIT = 1,
    // /dev/null.
    PROCS_STDIO_NULL = 2,
    // A new pipe to or from the host for 0 to 2; a new duplex socket pair from 3 up.
    PROCS_STDIO_PIPE = 3,
    // The descriptor `fd` of the host, which stays open there.
    PROCS_STDIO_FD = 4,
    // The file `path`, read from its start.
    PROCS_STDIO_READ_FILE = 5,
    // The file `path`, created or truncated.
    PROCS_STDIO_WRITE_FILE = 6,
    // The file `path`, created if missing, written at its end.
    PROCS_STDIO_APPEND_FILE = 7,
    // The same as the child's descriptor `fd`: with 1 for standard error, both arrive in one stream in true order.
    PROCS_STDIO_SAME_AS = 8,
} procs_stdio_kind;

// What can be limited: the values of `procs_rlimit.resource`. Units are those of setrlimit(2): bytes, seconds or counts.
typedef enum procs_resource {
    // Bytes of address space (RLIMIT_AS).
    PROCS_RESOURCE_ADDRESS_SPACE = 0,
    // Bytes of a core file (RLIMIT_CORE).
    PROCS_RESOURCE_CORE = 1,
    // Seconds of CPU time (RLIMIT_CPU).
    PROCS_RESOURCE_CPU = 2,
    // Bytes of data segment (RLIMIT_DATA).
    PROCS_RESOURCE_DATA = 3,
    // Bytes of a written file (RLIMIT_FSIZE).
    PROCS_RESOURCE_FILE_SIZE = 4,
    // File locks (RLIMIT_LOCKS).
    PROCS_RESOURCE_LOCKS = 5,
    // Bytes of locked memory (RLIMIT_MEMLOCK).
    PROCS_RESOURCE_MEMORY_LOCK = 6,
    // Bytes in message queues (RLIMIT_MSGQUEUE).
    PROCS_RESOURCE_MESSAGE_QUEUE = 7,
    // Ceiling of the nice value (RLIMIT_NICE).
    PROCS_RESOURCE_NICE = 8,
    // Open descriptors (RLIMIT_NOFILE).
    PROCS_RESOURCE_OPEN_FILES = 9,
    // Processes of the user (RLIMIT_NPROC).
    PROCS_RESOURCE_PROCESSES = 10,
    // Bytes of resident set, without effect today (RLIMIT_RSS).
    PROCS_RESOURCE_RESIDENT_SET = 11,
    // Ceiling of the real-time priority (RLIMIT_RTPRIO).
    PROCS_RESOURCE_REALTIME_PRIORITY = 12,
    // Microseconds of real-time work without a pause (RLIMIT_RTTIME).
    PROCS_RESOURCE_REALTIME_TIME = 13,
    // Queued signals (RLIMIT_SIGPENDING).
    PROCS_RESOURCE_PENDING_SIGNALS = 14,
    // Bytes of stack (RLIMIT_STACK).
    PROCS_RESOURCE_STACK = 15,
} procs_resource;

// How the environment is made: the values of `procs_spawn_options.env_mode`.
typedef enum procs_env_mode {
    // The host's environment with the changes of `env`.
    PROCS_ENV_INHERIT = 0,
    // `env` and nothing else.
    PROCS_ENV_CLEAR = 1,
} procs_env_mode;

// Which signal state the child starts with: the values of `procs_spawn_options.signals`.
typedef enum procs_signal_policy {
    // Empty mask, every disposition default.
    PROCS_SIGNALS_DEFAULT = 0,
    // Mask and ignored signals as in the host (for tools such as nohup).
    PROCS_SIGNALS_INHERIT = 1,
    // As the host, but SIGPIPE, SIGXFZ and SIGXFSZ back to default.
    PROCS_SIGNALS_RESTORE_PYTHON = 2,
} procs_signal_policy;

// How a process tree is ended, from weakest to strongest: the values of `tree_level`.
typedef enum procs_tree_level {
    // The strongest that is available (in options only).
    PROCS_TREE_STRONGEST = 0,
    // The child alone.
    PROCS_TREE_PROCESS = 1,
    // The child's own process group.
    PROCS_TREE_GROUP = 2,
    // The group, and every descendant found in /proc.
    PROCS_TREE_WALK = 3,
    // A cgroup of its own, killed by the kernel.
    PROCS_TREE_CGROUP = 4,
} procs_tree_level;

// What happens to captured output beyond a limit: the values of `procs_output_limit.policy`.
typedef enum procs_limit_policy {
    // Keeps `bytes`; one more stops the child, and the report says `limit_exceeded`.
    PROCS_LIMIT_ERROR = 0,
    // Keeps everything; `bytes` is 0.
    PROCS_LIMIT_NONE = 1,
    // Keeps the first `bytes` and discards the rest while the child runs on.
    PROCS_LIMIT_HEAD = 2,
    // Keeps the last `bytes` while the child runs on.
    PROCS_LIMIT_TAIL = 3,
    // Keeps `bytes` in memory and writes all of the output to an unlinked file once there is more: see `procs_output_spill_fd`.
    PROCS_LIMIT_SPILL = 4,
} procs_limit_policy;

// Where captured output goes: the values of `procs_sink.kind`.
typedef enum procs_sink_kind {
    // Into the result, up to the limit.
    PROCS_SINK_BUFFER = 0,
    // Nowhere.
    PROCS_SINK_DISCARD = 1,
    // To the descriptor `fd`, of which the library takes a duplicate.
    PROCS_SINK_FD = 2,
    // To the file `path`, created or truncated.
    PROCS_SINK_FILE = 3,
    // To the end of the file `path`, created if missing.
    PROCS_SINK_APPEND = 4,
    // To `callback`.
    PROCS_SINK_CALLBACK = 5,
} procs_sink_kind;

// How a process ended: the values of `procs_exit_status.kind`.
typedef enum procs_exit_kind {
    // It has not ended (only where the text says so).
    PROCS_EXIT_NONE = 0,
    // It called exit; see `code`.
    PROCS_EXIT_CODE = 1,
    // A signal ended it; see `signal`.
    PROCS_EXIT_SIGNAL = 2,
    // Somebody else took the status and the kernel does not keep it. Never invented as 0.
    PROCS_EXIT_UNKNOWN = 3,
} procs_exit_kind;

// What an action of a stop is: the values of `procs_stop_step.action`.
typedef enum procs_stop_action {
    // Waits without doing anything.
    PROCS_STOP_WAIT = 0,
    // Closes the host's end of the child's standard input.
    PROCS_STOP_CLOSE_STDIN = 1,
    // Sends `signal`, followed by SIGCONT so that a stopped process handles it.
    PROCS_STOP_SIGNAL = 2,
    // Sends SIGKILL.
    PROCS_STOP_KILL = 3,
} procs_stop_action;

// How the body of a message is encoded. The library passes the bytes on; encoding and decoding are the program's.
typedef enum procs_codec {
    // Bytes as they are.
    PROCS_CODEC_RAW = 0,
    // JSON text in UTF-8.
    PROCS_CODEC_JSON = 1,
    // Python's pickle: runs code of the sender when decoded.
    PROCS_CODEC_PICKLE = 2,
    // The structured clone of V8 (Node).
    PROCS_CODEC_V8 = 3,
} procs_codec;

// What the descriptors of a message are, checked on both sides.
typedef enum procs_handle_kind {
    // Anything, unchecked.
    PROCS_HANDLE_RAW = 0,
    // A TCP socket that does not accept connections.
    PROCS_HANDLE_TCP_SOCKET = 1,
    // A TCP socket that accepts connections.
    PROCS_HANDLE_TCP_LISTENER = 2,
    // A Unix stream socket that does not accept connections.
    PROCS_HANDLE_UNIX_SOCKET = 3,
    // A Unix stream socket that accepts connections.
    PROCS_HANDLE_UNIX_LISTENER = 4,
    // A UDP socket.
    PROCS_HANDLE_UDP_SOCKET = 5,
    // A regular file.
    PROCS_HANDLE_FILE = 6,
    // Memory that cannot change its size: a memfd sealed against shrinking and growing.
    PROCS_HANDLE_MEMORY = 7,
} procs_handle_kind;

// What is spoken on a channel to a child: the values of `procs_channel_options.wire`.
typedef enum procs_wire {
    // Node's for a program called `node` or a `.js`, `.mjs` or `.cjs` file, which `node` runs then; native for everything else.
    PROCS_WIRE_AUTO = 0,
    // For programs that use libprocs, in any language.
    PROCS_WIRE_NATIVE = 1,
    // What Node speaks with its own children: `process.send` and `'message'`. JSON bodies.
    PROCS_WIRE_NODE = 2,
} procs_wire;

// What happened on a channel: the values of `procs_channel_event.kind`.
typedef enum procs_channel_event_kind {
    // A message came: `message`.
    PROCS_CHANNEL_MESSAGE = 1,
    // The other side called: `request`.
    PROCS_CHANNEL_REQUEST = 2,
    // Every message was given and no more comes.
    PROCS_CHANNEL_CLOSED = 3,
    // The child has ended; always last. `procs_child_wait` gives its status at once.
    PROCS_CHANNEL_EXITED = 4,
} procs_channel_event_kind;

// The replies to a call, one after the other.
typedef struct procs_call_stream procs_call_stream;

// Stops every run it was given to, from any thread.
typedef struct procs_cancel procs_cancel;

// One child being captured: can be run for a while, looked at, and run on.
typedef struct procs_capture procs_capture;

// One end of a channel: messages to and from another process, or another thread of this one, in order and whole.
typedef struct procs_channel procs_channel;

// A child process, or one stage of a running pipeline.
typedef struct procs_child procs_child;

// A reader of lines over a child's standard output or standard error.
typedef struct procs_lines procs_lines;

// A message that is being built, or that was received.
typedef struct procs_message procs_message;

// A finished run: how the child ended, what it wrote, and what had to be done to it.
typedef struct procs_output procs_output;

// Several commands, each reading what the one before it writes. The bytes go through pipes of the system, not through the host.
typedef struct procs_pipeline procs_pipeline;

// A finished pipeline: how each stage ended and what the last one wrote.
typedef struct procs_pipeline_output procs_pipeline_output;

// A call of the other side, to be answered once.
typedef struct procs_request procs_request;

// Memory that several processes map. It has no name: hand its descriptor over, and it lives as long as somebody has it.
typedef struct procs_shm procs_shm;

// Blocks of shared memory: allocated by the process that made the arena, lent to up to 64 others, used again once all have freed them or died.
//
//     maker:  procs_shm_arena_new, _seat, _alloc; fill procs_shm_block_data; _lend; send the place; _free the block
//     other:  procs_shm_arena_open with the descriptor and the seat; _attach the place; read procs_shm_block_data; _free the block
typedef struct procs_shm_arena procs_shm_arena;

// A point that a number of threads or processes reach before any of them goes on; used again for the next round. 4096 bytes at a multiple of 64.
typedef struct procs_shm_barrier procs_shm_barrier;

// One block of an arena, as this process has it.
typedef struct procs_shm_block procs_shm_block;

// One number of a table.
typedef struct procs_shm_counter procs_shm_counter;

// A table of named counters that any process counts in without a lock; what a process counted stays when it dies. A table for n names takes
// 128 + 64 n bytes at a multiple of 64.
typedef struct procs_shm_counters procs_shm_counters;

// A flag that processes wait for; it stays set until it is cleared. 64 bytes at a multiple of 64.
typedef struct procs_shm_event procs_shm_event;

// How values are distributed; any process records without a lock. 4096 bytes at a multiple of 64; a quantile is at most 1/8 too large.
typedef struct procs_shm_histogram procs_shm_histogram;

// A lock that one thread of one process holds at a time; when its holder is killed the next one gets it and is told. 128 bytes at a multiple of 64.
//
// Locks are for processes that trust one another and have the same pid namespace.
typedef struct procs_shm_mutex procs_shm_mutex;

// A step that exactly one of all threads and processes completes; the others wait for it. 64 bytes at a multiple of 64.
typedef struct procs_shm_once procs_shm_once;

// Something wanted of a lock in shared memory, started with one of the `_start` functions, for an event loop that must not block: poll its descriptor
// for reading, then call `procs_shm_pending_finish` until it is not PROCS_E_WOULD_BLOCK. Freeing it before withdraws the wish.
typedef struct procs_shm_pending procs_shm_pending;

// A lock that many readers or one writer hold, across processes. Readers that die are forgotten, a writer that dies is noticed. 4096 bytes at a
// multiple of 64; at most 248 processes read at a time. It belongs to the process, not to the thread.
typedef struct procs_shm_rwlock procs_shm_rwlock;

// Permits that processes take and give back, also by dying. 4096 bytes at a multiple of 64; at most 248 processes hold permits at a time.
typedef struct procs_shm_semaphore procs_shm_semaphore;

// Where one of the child's descriptors comes from or leads to. All zero is PROCS_STDIO_DEFAULT.
typedef struct procs_stdio {
    // One of `procs_stdio_kind`.
    int kind;
    // For PROCS_STDIO_FD and PROCS_STDIO_SAME_AS.
    int fd;
    // For the three files. Copied.
    const char *path;
} procs_stdio;

// A descriptor that the child gets besides 0, 1 and 2.
typedef struct procs_extra_fd {
    // Its number in the child, 3 or more.
    int child_fd;
    // 0.
    int reserved;
    // Where it comes from or leads to.
    struct procs_stdio stdio;
} procs_extra_fd;

// A resource limit of the child.
typedef struct procs_rlimit {
    // One of `procs_resource`.
    int resource;
    // 0.
    int reserved;
    // The limit that holds; PROCS_UNLIMITED for none.
    uint64_t soft;
    // The most to which the child may raise it; PROCS_UNLIMITED for none. Not less than `soft`.
    uint64_t hard;
} procs_rlimit;

// A function that fills `buffer` with the next input bytes and returns how many; 0 ends the input, a negative number is minus an errno value
// that ends the input and is the run's error once the child has ended. Called as `procs_output_fn` is.
typedef int64_t (*procs_input_fn)(char *buffer, size_t capacity, void *user_data);

// How much of a captured stream is kept. Default: 64 MiB, then PROCS_LIMIT_ERROR.
typedef struct procs_output_limit {
    // One of `procs_limit_policy`.
    int policy;
    // 0.
    int reserved;
    // Bytes kept in memory.
    uint64_t bytes;
} procs_output_limit;

// A function that gets each chunk of output as it arrives, on the thread that is inside the run (or inside `procs_capture_dispatch`; for
// `procs_run_many` a thread of the library). No lock is held: it may call anything but the function that is running the capture. It must
// return normally: no longjmp, no C++ exception.
typedef void (*procs_output_fn)(const char *data, size_t len, void *user_data);

// Where one captured stream goes. All zero is PROCS_SINK_BUFFER.
typedef struct procs_sink {
    // One of `procs_sink_kind`.
    int kind;
    // For PROCS_SINK_FD.
    int fd;
    // For the two files. Copied.
    const char *path;
    // For PROCS_SINK_CALLBACK.
    procs_output_fn callback;
    // Handed to the callback.
    void *user_data;
    // A further sink that gets the same bytes, after this one; NULL: none. At most 64 in all.
    const struct procs_sink *also;
} procs_sink;

// How a channel is made or opened; `procs_channel_options_init` writes the defaults. Each end has its own.
typedef struct procs_channel_options {
    // `sizeof(procs_channel_options)`, set by `procs_channel_options_init`.
    size_t size;
    // Bytes of body and buffers of one message that this end takes. Default: 1 GiB.
    uint64_t max_message;
    // Bytes that may wait: received and not asked for, or lent and not given back. Default: 256 MiB.
    uint64_t max_queued_bytes;
    // Bytes of large messages that may be on their way before a sender waits. Default: 3 MiB.
    uint64_t high_water;
    // Bytes of the ring of each direction, rounded up to a power of two, 4 KiB to 1 GiB; 0: everything goes through the socket. Default: 1 MiB.
    uint64_t ring_bytes;
    // How long to look again before sleeping, in microseconds: -1: as it pays (default); 0: never; else always this long.
    int64_t spin_us;
    // How long the rest of a message may take to come once it has begun; -1: for ever (default).
    int64_t frame_timeout_ms;
    // Codecs that this end takes: the sum of `1 << PROCS_CODEC_...`. Default: raw and JSON.
    uint32_t codecs;
    // Descriptors that this end takes with one message, at most 253. Default: 253.
    uint32_t max_fds;
    // One of `procs_wire`; counts when a child is started with the channel. Default: PROCS_WIRE_AUTO.
    int wire;
    // 0.
    int reserved;
} procs_channel_options;

// What to run and how. Set the defaults with `procs_spawn_options_init(&o, sizeof o)`, then what differs.
//
// Everything given by pointer is copied before the call returns. Numbers that say yes or no are 1 or 0; any other value is refused, and so is
// an unknown value of a choice. Fields that say "run" matter to `procs_run`, captures, pipelines and `procs_run_many` only.
typedef struct procs_spawn_options {
    // sizeof(procs_spawn_options), set by `procs_spawn_options_init`.
    size_t size;
    // The program: a name to be searched in the child's PATH, or a path. NULL: argv[0]. Empty and relative entries of PATH are skipped.
    const char *program;
    // Arguments, argv[0] first, NULL last. NULL: the program alone. Passed byte for byte; no shell is involved.
    const char *const *argv;
    // A command line for `/bin/sh -c`, instead of program and argv: the only way to a shell. Never make it of untrusted text. Default: NULL.
    const char *shell;
    // "KEY=VALUE" sets, "KEY" removes; NULL last. Default: NULL, no changes.
    const char *const *env;
    // The child's working directory. A relative `program` is still relative to the host's. Default: NULL, the host's.
    const char *cwd;
    // Standard input.
    struct procs_stdio stdin_from;
    // Standard output.
    struct procs_stdio stdout_to;
    // Standard error.
    struct procs_stdio stderr_to;
    // More descriptors. Everything above 2 that is not listed is closed in the child.
    const struct procs_extra_fd *extra_fds;
    // Number of `extra_fds`.
    size_t extra_fd_count;
    // Resource limits.
    const struct procs_rlimit *rlimits;
    // Number of `rlimits`.
    size_t rlimit_count;
    // Supplementary groups. NULL: unchanged. Not NULL with a count of 0: none. Must be given with `uid`.
    const uint32_t *groups;
    // Number of `groups`.
    size_t group_count;
    // CPUs that the child may use, by number. Default: as the host.
    const uint32_t *cpus;
    // Number of `cpus`.
    size_t cpu_count;
    // User id; -1: unchanged (default).
    int64_t uid;
    // Group id; -1: unchanged (default).
    int64_t gid;
    // One of `procs_env_mode`. Default: PROCS_ENV_INHERIT.
    int env_mode;
    // 1: passes LISTEN_*, NOTIFY_SOCKET, WATCHDOG_*, NODE_CHANNEL_*, NODE_UNIQUE_ID and PROCS_CHANNEL_FD on, not inherited otherwise. Default: 0.
    int keep_control_env;
    // 1: a relative `program` is relative to `cwd`. Default: 0.
    int program_after_chdir;
    // 1: also searches empty and relative entries of PATH. Default: 0.
    int allow_relative_path;
    // Process group: -1 the host's (default), 0 a new one led by the child, another number joins that group.
    int process_group;
    // 1: a new session. Default: 0.
    int new_session;
    // The child's descriptor that becomes its controlling terminal, in a new session; -1: none (default).
    int controlling_tty;
    // 1: the child's new process group becomes the foreground group of the terminal on its standard input. Default: 0.
    int foreground;
    // File mode creation mask, 0 to 0777; -1: unchanged (default).
    int umask;
    // Nice value, -20 to 19; PROCS_UNCHANGED (default).
    int nice;
    // 1: neither the child nor its descendants can gain privileges by exec. Default: 0.
    int no_new_privs;
    // 1: the child gets SIGKILL when the host ends for any reason. Default: 0.
    int die_with_parent;
    // Instead of SIGKILL, this signal; implies `die_with_parent`. Default: 0, none.
    int parent_death_signal;
    // One of `procs_signal_policy`. Default: PROCS_SIGNALS_DEFAULT.
    int signals;
    // 1: descriptors of the host without close-on-exec stay open in the child. Default: 0.
    int keep_fds;
    // 1: starts on a thread of the library, so that an exec that hangs on a dead disk is bounded by `timeout_ms`. Default: 0.
    int offload;
    // 1: `procs_child_free` kills the child (with `kill_tree`, its tree) if it has not ended. Default: 0, it runs on and is reaped later.
    int kill_on_free;
    // 1: stopping the child, by `procs_child_stop`, deadline, cancel or free, stops all its descendants. Default: 0.
    int kill_tree;
    // The most that `kill_tree` uses: one of `procs_tree_level`. Default: PROCS_TREE_STRONGEST.
    int tree_level;
    // run, 1: anything but exit code 0 is an error; `procs_last_error_take_output` then has the output. Default: 0.
    int check;
    // run: the signal that asks the child to end when the run is stopped. Default: SIGTERM.
    int stop_signal;
    // 1: `procs_spawn` returns once the program is executing. 0: it returns about 10 µs earlier, and why a program could not be executed is told
    // by `procs_child_wait` instead. Ignored where the system or another option does not allow it. Default: 1.
    int wait_for_exec;
    // run: time for start, child, descendants and the draining of their pipes; -1: no limit (default).
    int64_t timeout_ms;
    // run: time between `stop_signal` and SIGKILL when the run is stopped. Default: 0, SIGKILL at once.
    int64_t grace_ms;
    // run: how long output is still read after a kill although somebody holds the pipe. Default: 100.
    int64_t drain_grace_ms;
    // run: how long output is still read after a normal exit although somebody holds the pipe; -1: until end of file (default).
    int64_t drain_after_exit_ms;
    // Size asked for the child's pipes in bytes; a refusal is ignored. Default: 0, the system's.
    uint64_t pipe_size;
    // run: fed to standard input. Default: NULL, nothing. Copied, except by `procs_run` and `procs_run_many`, which read it in
    // place until they return.
    const void *input;
    // run: bytes of `input`.
    size_t input_len;
    // run: supplies the input piece by piece, instead of `input`. Default: NULL.
    procs_input_fn input_callback;
    // run: handed to `input_callback`.
    void *input_user_data;
    // run: limit of captured standard output.
    struct procs_output_limit stdout_limit;
    // run: limit of captured standard error.
    struct procs_output_limit stderr_limit;
    // run: where standard output goes.
    struct procs_sink stdout_sink;
    // run: where standard error goes.
    struct procs_sink stderr_sink;
    // run: stops the run when cancelled; it may be freed at once. Default: NULL.
    const struct procs_cancel *cancel;
    // `procs_spawn` only: starts the child with a channel to it, made like this; see `procs_child_channel`. Default: NULL, no channel.
    const struct procs_channel_options *channel;
} procs_spawn_options;

// One step of a stop: an action, and how long it is given before the next.
typedef struct procs_stop_step {
    // One of `procs_stop_action`.
    int action;
    // For PROCS_STOP_SIGNAL: which, 1 to 64. Otherwise 0.
    int signal;
    // Milliseconds.
    int64_t wait_ms;
} procs_stop_step;

// How to end a child. Set the defaults with `procs_stop_options_init`.
typedef struct procs_stop_options {
    // sizeof(procs_stop_options), set by `procs_stop_options_init`.
    size_t size;
    // Steps taken in order until the child has ended. Default: NULL, SIGTERM, `grace_ms`, SIGKILL.
    const struct procs_stop_step *steps;
    // Number of `steps`.
    size_t step_count;
    // Without `steps`: time between SIGTERM and SIGKILL. Default: 5000.
    int64_t grace_ms;
    // 1: descendants are stopped as well; 0: not; -1: as the child was started (default).
    int tree;
    // 0.
    int reserved;
} procs_stop_options;

// What a stop did. Set `size` before the call.
typedef struct procs_stop_report {
    // sizeof(procs_stop_report), set by the caller.
    size_t size;
    // One of `procs_exit_kind`; PROCS_EXIT_NONE when it outlived the last step.
    int exit_kind;
    // As in `procs_exit_status`.
    int exit_code;
    // As in `procs_exit_status`.
    int exit_signal;
    // Index of the kind of action after which it ended: one of `procs_stop_action`; -1 when it had ended before or has not ended.
    int ended_by;
    // For PROCS_STOP_SIGNAL: which.
    int ended_by_signal;
    // The means that were used: one of `procs_tree_level`.
    int level;
    // Number of processes of the tree that were seen alive afterwards.
    uint64_t survivor_count;
} procs_stop_report;

// One event of a channel. Set `size` to `sizeof(procs_channel_event)`.
typedef struct procs_channel_event {
    // `sizeof(procs_channel_event)`, set by the caller.
    size_t size;
    // One of `procs_channel_event_kind`.
    int kind;
    // 0.
    int reserved;
    // Owned: free it with `procs_message_free`. NULL unless a message came.
    struct procs_message *message;
    // Owned: free it with `procs_request_free`. NULL unless the other side called.
    struct procs_request *request;
} procs_channel_event;

// How a process ended. Set `size` before the call: `procs_exit_status status; status.size = sizeof status;`.
typedef struct procs_exit_status {
    // sizeof(procs_exit_status), set by the caller.
    size_t size;
    // One of `procs_exit_kind`.
    int kind;
    // The exit code, 0 to 255; -1 when it did not call exit.
    int code;
    // The number of the signal that ended it; 0 when none did.
    int signal;
    // 1 when a core was dumped.
    int core_dumped;
} procs_exit_status;

// What a finished child used, and when. Set `size` before the call.
typedef struct procs_usage {
    // sizeof(procs_usage), set by the caller.
    size_t size;
    // Microseconds of CPU time in user mode, of the child and the children it waited for; -1 when somebody else reaped it.
    int64_t user_time_us;
    // Microseconds of CPU time in the kernel; -1 as above.
    int64_t system_time_us;
    // Largest resident set in bytes; -1 as above.
    int64_t max_rss_bytes;
    // When it was started, in microseconds since 1970.
    int64_t started_us;
    // Microseconds from the start until its end was seen, on the monotonic clock.
    int64_t wall_time_us;
} procs_usage;

// Bytes that are lent: no NUL at the end.
typedef struct procs_bytes {
    // The first byte.
    const char *data;
    // Their number.
    size_t len;
} procs_bytes;

// A function that is told, on the thread that called `procs_run_many`, when the command at `index` has ended: its `procs_status`, and the
// message of its error ("" for PROCS_OK; borrowed, during the call only). It must return normally: no longjmp, no C++ exception.
typedef void (*procs_progress_fn)(size_t index, int status, const char *message, void *user_data);

// One field of a structure in shared memory: docs/memory.md as data. Set `size` before the call.
typedef struct procs_shm_field {
    // Size of this struct, set by you.
    size_t size;
    // Structure and field, such as "header.version". Static.
    const char *name;
    // Bytes from the start of the structure.
    size_t offset;
    // Bytes of the field.
    size_t len;
} procs_shm_field;

// Where a lent block is: 24 bytes to send to the other process as they are.
typedef struct procs_shm_place {
    // Number of the segment.
    uint32_t segment;
    // Which use of its pages.
    uint32_t serial;
    // Bytes from the start of the segment's file.
    uint64_t offset;
    // Length in bytes.
    uint64_t len;
} procs_shm_place;

// What a histogram holds. Set `size` before the call.
typedef struct procs_shm_summary {
    // Size of this struct, set by you.
    size_t size;
    // Values recorded.
    uint64_t count;
    // Their sum; wraps around.
    uint64_t sum;
    // The smallest; 0 when there is none.
    uint64_t min;
    // The largest; 0 when there is none.
    uint64_t max;
    // Half of them are not larger.
    uint64_t p50;
    // 90 of 100 are not larger.
    uint64_t p90;
    // 99 of 100 are not larger.
    uint64_t p99;
    // 999 of 1000 are not larger.
    uint64_t p999;
} procs_shm_summary;

// How the capture of one stream went. Set `size` before the call.
typedef struct procs_stream_report {
    // sizeof(procs_stream_report), set by the caller.
    size_t size;
    // Bytes read from the pipe, kept or not.
    uint64_t total_bytes;
    // 1 when the result's buffer lacks bytes that were read, because of the stream's limit.
    int truncated;
    // 1 when PROCS_LIMIT_ERROR was exceeded; the child was stopped then.
    int limit_exceeded;
    // 1 when all that was read is in a file: see `procs_output_spill_fd`.
    int spilled;
    // The code of the first failure of a sink, a `procs_status`; 0 when there was none. The sink was given up, the child went on, but the run is no
    // success, except for PROCS_E_CLOSED: a pipe or socket whose reader went away, who wanted no more.
    int sink_error;
    // 1 when the result lacks output that could not be read or kept, for want of memory or of room for the spill: `sink_error` says which. The run is
    // no success then.
    int incomplete;
    // The errno of `sink_error`; 0 when there was none.
    int sink_errno;
} procs_stream_report;

// What holds for a pipeline as a whole. Set the defaults with `procs_pipeline_options_init`. Names and meanings are those of
// `procs_spawn_options`; what a stage's own options say about these is not used, apart from `stderr_to`.
typedef struct procs_pipeline_options {
    // sizeof(procs_pipeline_options), set by `procs_pipeline_options_init`.
    size_t size;
    // Standard input of the first stage.
    struct procs_stdio stdin_from;
    // Standard output of the last stage.
    struct procs_stdio stdout_to;
    // Standard error of every stage that names none itself.
    struct procs_stdio stderr_to;
    // run: time for the whole run; -1: no limit (default).
    int64_t timeout_ms;
    // run: time between SIGTERM and SIGKILL when the run is stopped. Default: 0.
    int64_t grace_ms;
    // run: fed to the first stage. Default: NULL, nothing.
    const void *input;
    // run: bytes of `input`.
    size_t input_len;
    // run: supplies the input piece by piece, instead of `input`. Default: NULL.
    procs_input_fn input_callback;
    // run: handed to `input_callback`.
    void *input_user_data;
    // run: limit of the captured standard output, and of each stage's captured standard error.
    struct procs_output_limit output_limit;
    // run: where the captured standard output goes.
    struct procs_sink stdout_sink;
    // run: stops the run when cancelled. Default: NULL.
    const struct procs_cancel *cancel;
    // 1: stopping stops the descendants of every stage. Default: 0.
    int kill_tree;
    // run, 1: anything but a success of every stage is an error; `procs_last_error_take_pipeline_output` then has the output. Default: 0.
    int check;
} procs_pipeline_options;

// What the engine uses on this kernel. Set `size` before the call.
typedef struct procs_engine_info {
    // sizeof(procs_engine_info), set by the caller.
    size_t size;
    // How processes are started: "clone3", "clone" or "fork". Static text.
    const char *clone_level;
    // 1 when each child has a descriptor of its own (pidfd), so that no signal can reach a stranger.
    int pidfd;
    // 1 when descriptors are closed in one call.
    int close_range;
    // 1 when trees can be killed as a cgroup.
    int cgroup;
    // 1 when the status of a child that somebody else reaped can still be asked for.
    int pidfd_info;
} procs_engine_info;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/* ---- WHAT WENT WRONG ------------------------------------------------------------------------------------- */

// The code of the last error of this thread; `PROCS_OK` when there was none.
procs_status procs_last_error(void);

// What went wrong last on this thread, as text that names operation, argument and value; empty when nothing did.
//
// Borrowed: valid until the next call on this thread that fails. UTF-8, unless it quotes a path that is not.
const char *procs_last_error_message(void);

// The name of the failure that the other side of a channel answered with, such as `"KeyError"`; NULL when the last error of this thread is none.
//
// Borrowed: valid until the next call on this thread that fails.
const char *procs_last_error_remote_name(void);

// Where that failure happened, as text for people; may be empty. NULL as for `procs_last_error_remote_name`, and borrowed like it.
const char *procs_last_error_remote_trace(void);

// The errno value of the last error of this thread; 0 when the system gave none.
int32_t procs_last_error_os(void);

// The step of a spawn that failed last on this thread, such as `"exec"` or `"directory"`; NULL when it was not a step of a spawn.
//
// Static text. The steps in order: prepare, stdio, clone, signals, session, process-group, terminal, descriptors, directory, limits, nice,
// affinity, groups, gid, uid, no-new-privs, parent-death, exec.
const char *procs_last_error_stage(void);

// The program, directory or file that the last error of this thread is about; NULL when it is about none.
//
// Borrowed: valid until the next call on this thread that fails.
const char *procs_last_error_path(void);

// A sentence about a code; static text. For a number that is no code: "unknown code".
const char *procs_strerror(int32_t code);

// The stable name of a code, the same in all languages, such as `"TIMEOUT"`; `"OK"` for 0, NULL for a number that is no code. Static text.
const char *procs_err_name(int32_t code);

/* ---- RUN TO THE END -------------------------------------------------------------------------------------- */

// Writes the defaults; `size` is sizeof(procs_spawn_options). Does not touch the last error on success, as no function here does.
procs_status procs_spawn_options_init(procs_spawn_options *options, size_t size);

// Runs a program to its end and gives what it wrote. Owned: free the output with `procs_output_free`.
//
// PROCS_OK whatever the status; the output says when the timeout, the cancel handle or a limit stopped the run, and has all that was captured
// until then. With `check` these are errors, and `procs_last_error_take_output` has the output.
//
// When the run is stopped the child (with `kill_tree`, its tree) gets SIGTERM and `grace_ms`, then SIGKILL; its output is drained meanwhile
// and for at most `drain_grace_ms` afterwards.
//
// Errors: as `procs_spawn`; PROCS_E_CANCELLED before the start; PROCS_E_IO when the input function fails; with `check` PROCS_E_TIMEOUT,
// PROCS_E_CANCELLED, PROCS_E_TOO_LARGE, PROCS_E_CHILD_FAILED, or why output was lost.
procs_status procs_run(const procs_spawn_options *options, procs_output **output);

// Takes the output that came with the last error of this thread (from a run with `check`). Owned.
//
// Errors: PROCS_E_NOT_FOUND when there is none, or it was taken before.
procs_status procs_last_error_take_output(procs_output **output);

// How the child ended.
procs_status procs_output_status(const procs_output *output, procs_exit_status *status);

// 1 when the child exited with code 0, nothing cut the run short and no output was lost, else 0; 0 for NULL.
int procs_output_success(const procs_output *output);

// The error that `check` would have made of the run: 0 when it was a success. Becomes the last error of this thread.
procs_status procs_output_check(const procs_output *output);

// What the child wrote to standard output, and in `*len` (may be NULL) how many bytes; NULL for NULL. Borrowed: valid until the output is freed.
// Not NUL-terminated.
const char *procs_output_stdout(const procs_output *output, size_t *len);

// What the child wrote to standard error; as `procs_output_stdout`.
const char *procs_output_stderr(const procs_output *output, size_t *len);

// How the capture of stream 1 or 2 went.
procs_status procs_output_stream_report(const procs_output *output, int stream, procs_stream_report *report);

// The file that holds all of stream 1 or 2, at position 0, when PROCS_LIMIT_SPILL was exceeded; -1 otherwise. Borrowed: valid until the output is
// freed. The file has no name.
int procs_output_spill_fd(const procs_output *output, int stream);

// What the child used and when.
procs_status procs_output_usage(const procs_output *output, procs_usage *usage);

// What stopping the run did. Errors: PROCS_E_NOT_FOUND when it did not have to be stopped.
procs_status procs_output_stop_report(const procs_output *output, procs_stop_report *report);

// 1 when the timeout passed before the run was complete; 0 for NULL.
int procs_output_timed_out(const procs_output *output);

// 1 when the cancel handle ended the run; 0 for NULL.
int procs_output_cancelled(const procs_output *output);

// 1 when somebody (a grandchild) still held a captured stream when reading it was given up; 0 for NULL.
int procs_output_pipes_left_open(const procs_output *output);

// The process id that the child had, for display only: the number may belong to somebody else by now. 0 for NULL.
int32_t procs_output_pid(const procs_output *output);

// How often the start was repeated because the program's file was open for writing (ETXTBSY); 0 for NULL.
uint32_t procs_output_spawn_retries(const procs_output *output);

// Frees the output and everything borrowed from it. NULL is fine.
procs_status procs_output_free(procs_output *output);

/* ---- CHILD ----------------------------------------------------------------------------------------------- */

// Starts a program. Owned: free the child with `procs_child_free`. Call next: `procs_child_wait`, or one of the readers.
//
// The call returns once the program is executing, so it reports every reason why it cannot.
//
// Errors: PROCS_E_NOT_FOUND and PROCS_E_PERMISSION_DENIED, `procs_last_error_stage` says of what; PROCS_E_EXHAUSTED with the errno, nothing is
// left behind; PROCS_E_INVALID_ARGUMENT names the field; PROCS_E_IO with ENOEXEC for a file that is no program.
procs_status procs_spawn(const procs_spawn_options *options, procs_child **child);

// Waits until the child has ended. Any number of threads may wait, any number of times; all get the same answer.
//
// With -1 the host's end of the child's standard input, if it is a pipe, is closed first: a child that reads to the end could not end
// otherwise. Output that nobody reads can keep a child from ending: use `procs_run` or a capture, or read first.
//
// Errors: PROCS_E_TIMEOUT, and PROCS_E_WOULD_BLOCK for a timeout of 0, when it still runs.
procs_status procs_child_wait(const procs_child *child, int64_t timeout_ms, procs_exit_status *status);

// As `procs_child_wait` with a timeout of 0: PROCS_E_WOULD_BLOCK when it still runs. Never blocks.
procs_status procs_child_try_wait(const procs_child *child, procs_exit_status *status);

// What the child used and when. Errors: PROCS_E_INVALID_STATE before it was waited for.
procs_status procs_child_usage(const procs_child *child, procs_usage *usage);

// The process id; 0 for NULL. It stays this child's own until the child was waited for.
int32_t procs_child_pid(const procs_child *child);

// A descriptor that becomes and stays readable once the child has ended, for poll and event loops; -1 for NULL. Borrowed: valid until the child
// is freed; never read from it. Call next: `procs_child_try_wait`.
int procs_child_fd(const procs_child *child);

// How often the start was repeated because the program's file was open for writing (ETXTBSY); 0 for NULL.
uint32_t procs_child_spawn_retries(const procs_child *child);

// The means that stopping the tree will use: one of `procs_tree_level`; 0 for NULL.
int procs_child_tree_level(const procs_child *child);

// Sends SIGKILL to the child alone. Works also when it has ended already; wait for it afterwards.
procs_status procs_child_kill(const procs_child *child);

// Sends a signal, 0 to 64, to the child alone; 0 only checks.
//
// Errors: PROCS_E_NOT_FOUND with ESRCH when it has ended; never reaches another process.
procs_status procs_child_send_signal(const procs_child *child, int signal);

// Ends the child by a ladder of actions and waits for it. NULL for `options` is SIGTERM, 5 s, SIGKILL; NULL for `report` is fine.
//
// Works also when the child has ended already. A child that outlives the last step is reported as PROCS_EXIT_NONE, not as an error.
procs_status procs_child_stop(const procs_child *child, const procs_stop_options *options, procs_stop_report *report);

// Ends the child and all its descendants with SIGKILL, by the strongest means there is, and waits. NULL for `report` is fine.
procs_status procs_child_kill_tree(const procs_child *child, procs_stop_report *report);

// Hands over the host's end of a pipe to the child's descriptor `child_fd`. Owned: close it. Each once; afterwards the functions here that
// read and write it no longer do.
//
// Errors: PROCS_E_INVALID_STATE when there is no such pipe, it was taken before, or another thread is using it.
procs_status procs_child_take_fd(const procs_child *child, int child_fd, int *fd);

// Frees the handle. A child that still runs runs on and is reaped by the library once it ends, unless it was started with `kill_on_free`. Its
// pipes are closed. Never blocks. Calls that are using the child in other threads finish first. NULL is fine.
procs_status procs_child_free(procs_child *child);

// Writes the defaults; `size` is sizeof(procs_stop_options).
procs_status procs_stop_options_init(procs_stop_options *options, size_t size);

// Reads what is there from the child's stream 1 or 2, at most `capacity` bytes, waiting for the first byte. `*count` is 0 at end of file.
//
// Errors: PROCS_E_TIMEOUT, and PROCS_E_WOULD_BLOCK for a timeout of 0, when nothing came; PROCS_E_INVALID_STATE when the stream is no pipe.
procs_status procs_child_read(const procs_child *child, int stream, int64_t timeout_ms, char *buffer, size_t capacity, size_t *count);

// Writes to the child's standard input as soon as it takes something, and gives how much that was: 1 to `len`. Never raises SIGPIPE.
//
// Errors: PROCS_E_CLOSED when the child no longer reads; PROCS_E_TIMEOUT, and PROCS_E_WOULD_BLOCK for a timeout of 0, when it took nothing;
// PROCS_E_INVALID_STATE when its standard input is no pipe or was closed.
procs_status procs_child_write(const procs_child *child, const char *data, size_t len, int64_t timeout_ms, size_t *count);

// Closes the host's end of the child's standard input: the child reads end of file. Works also when it is closed already.
procs_status procs_child_close_stdin(const procs_child *child);

// The host's end of the pipe to the child's 0, or from its 1 or 2, to poll; -1 when there is none. Borrowed: valid until the stream is closed or
// taken, or the child is freed.
int procs_child_stream_fd(const procs_child *child, int stream);

/* ---- LINES ----------------------------------------------------------------------------------------------- */

// Takes the child's stream 1 or 2, which must be a pipe, and reads its lines. Owned: free it with `procs_lines_free`, which closes the stream.
//
// `flags`: 0, or PROCS_LINES_KEEP_ENDS and PROCS_LINES_STRIP_CR joined by |. The child may be freed before.
//
// Errors: PROCS_E_INVALID_STATE when the stream is no pipe, was taken before, or another thread is reading it.
procs_status procs_lines_new(const procs_child *child, int stream, uint64_t flags, procs_lines **lines);

// The next line, of any length, without its line feed; `*line` is NULL at end of file. The last line may lack its line feed and is delivered all
// the same. Borrowed: valid until the next call with these lines.
//
// In a loop of your own: poll `procs_lines_fd`, then call with a timeout of 0 until PROCS_E_WOULD_BLOCK or the end.
//
// Errors: PROCS_E_TIMEOUT, and PROCS_E_WOULD_BLOCK for a timeout of 0, when no whole line came; what came is kept.
procs_status procs_lines_next(procs_lines *lines, int64_t timeout_ms, const char **line, size_t *len);

// As many of the next lines as have come, at most `capacity`, waiting for the first; `*count` is 0 at end of file. Much faster than one at a time.
// Borrowed: all valid until the next call with these lines.
procs_status procs_lines_next_many(procs_lines *lines, int64_t timeout_ms, procs_bytes *array, size_t capacity, size_t *count);

// A descriptor to poll for reading, once `procs_lines_next` has said PROCS_E_WOULD_BLOCK; -1 for NULL. Borrowed: valid until the lines are freed.
int procs_lines_fd(const procs_lines *lines);

// Frees the reader and closes the stream: a child that still writes to it gets SIGPIPE. NULL is fine.
procs_status procs_lines_free(procs_lines *lines);

/* ---- CAPTURE --------------------------------------------------------------------------------------------- */

// Starts a program whose output is captured by later calls. Owned: free it with `procs_capture_free`. Errors: as `procs_spawn`.
//
// Call next: `procs_capture_run`, or poll `procs_capture_fd` and call `procs_capture_dispatch`; then `procs_capture_finish`.
procs_status procs_capture_start(const procs_spawn_options *options, procs_capture **capture);

// Captures a child that was started with pipes, by the options it was started with; its timeout counts from now. Owned.
//
// The child's handle stays, to wait for it and to signal it; its streams now belong to the capture, its standard input is fed or closed.
//
// Errors: PROCS_E_INVALID_STATE when it is captured already or another thread is using its streams.
procs_status procs_child_capture(const procs_child *child, procs_capture **capture);

// Runs the capture: PROCS_OK once the child has ended and its streams are closed. After a timeout nothing is lost and the child runs on: call
// again.
//
// Errors: PROCS_E_TIMEOUT, and PROCS_E_WOULD_BLOCK for a timeout of 0, when it is not complete.
procs_status procs_capture_run(procs_capture *capture, int64_t timeout_ms);

// A descriptor to poll for reading: readable when `procs_capture_dispatch` has something to do, at first and at the end too; -1 when there is
// none. Borrowed: valid until the capture is freed; never read from it.
int procs_capture_fd(const procs_capture *capture);

// Does what can be done without blocking. `*complete` becomes 1 once the child has ended and its streams are closed, else 0: poll again.
procs_status procs_capture_dispatch(procs_capture *capture, int *complete);

// Standard output as far as captured, and in `*len` (may be NULL) how many bytes; NULL when there is none or the capture was finished. Borrowed:
// valid until the next call with this capture.
const char *procs_capture_stdout(procs_capture *capture, size_t *len);

// Standard error as far as captured; as `procs_capture_stdout`.
const char *procs_capture_stderr(procs_capture *capture, size_t *len);

// A further handle to the captured child, to wait for its end, to signal it or to name it. Owned: free it with `procs_child_free`, which does
// nothing to the child.
procs_status procs_capture_child(const procs_capture *capture, procs_child **child);

// Ends the child by a ladder, draining its output meanwhile, so that a child that still writes can obey. NULL as in `procs_child_stop`.
procs_status procs_capture_stop(procs_capture *capture, const procs_stop_options *options, procs_stop_report *report);

// Runs to the end if that is not reached, and gives the result. Owned: free it with `procs_output_free`. Only once; the capture remains to be
// freed.
//
// Errors: as `procs_run` once the child is started; PROCS_E_INVALID_STATE when it was finished before.
procs_status procs_capture_finish(procs_capture *capture, procs_output **output);

// Frees the capture. A child that has not ended is killed (with `kill_tree`, its tree), because nobody is left to read its output. NULL is
// fine.
procs_status procs_capture_free(procs_capture *capture);

/* ---- PIPELINE -------------------------------------------------------------------------------------------- */

// Writes the defaults; `size` is sizeof(procs_pipeline_options).
procs_status procs_pipeline_options_init(procs_pipeline_options *options, size_t size);

// Makes a pipeline without stages. NULL for `options` means the defaults. Owned: free it with `procs_pipeline_free`.
procs_status procs_pipeline_new(const procs_pipeline_options *options, procs_pipeline **pipeline);

// Appends a stage.
procs_status procs_pipeline_add(procs_pipeline *pipeline, const procs_spawn_options *options);

// Number of stages; 0 for NULL.
size_t procs_pipeline_stage_count(const procs_pipeline *pipeline);

// Runs the pipeline to its end; as `procs_run`, for all stages together. Owned: free the output with `procs_pipeline_output_free`.
//
// Errors: as `procs_spawn`, the message names the stage; PROCS_E_INVALID_ARGUMENT without stages, or when a stage names a stream that the
// pipeline joins; with `check` as `procs_run`.
procs_status procs_pipeline_run(procs_pipeline *pipeline, procs_pipeline_output **output);

// Starts every stage and gives a child for each, in order, to read, write, wait for and stop. `children` has room for `capacity`, which must be
// `procs_pipeline_stage_count`. Owned: free each.
//
// The first has the pipe to its standard input, the last the one from its standard output, if they were asked for; each its standard error.
// `kill_on_free` of a stage takes effect when the last of the children is freed.
//
// Errors: as `procs_pipeline_run`; if one stage fails to start, those before it are killed and reaped.
procs_status procs_pipeline_spawn(procs_pipeline *pipeline, procs_child **children, size_t capacity);

// Frees the pipeline; children that it started go on. NULL is fine.
procs_status procs_pipeline_free(procs_pipeline *pipeline);

// Takes the pipeline output that came with the last error of this thread (from a run with `check`). Owned.
//
// Errors: PROCS_E_NOT_FOUND when there is none, or it was taken before.
procs_status procs_last_error_take_pipeline_output(procs_pipeline_output **output);

// 1 when every stage exited with code 0, nothing cut the run short and no output was lost, else 0; 0 for NULL.
int procs_pipeline_output_success(const procs_pipeline_output *output);

// The error that `check` would have made of the run: 0 when it was a success. Becomes the last error of this thread.
procs_status procs_pipeline_output_check(const procs_pipeline_output *output);

// The status of the last stage that was no success, else of the last stage (`pipefail` of sh).
procs_status procs_pipeline_output_status(const procs_pipeline_output *output, procs_exit_status *status);

// Number of stages; 0 for NULL.
size_t procs_pipeline_output_stage_count(const procs_pipeline_output *output);

// How a stage, counted from 0, ended. One whose reader went away first usually ended by SIGPIPE.
procs_status procs_pipeline_output_stage_status(const procs_pipeline_output *output, size_t stage, procs_exit_status *status);

// What a stage used. Its `started_us` is 0 and its `wall_time_us` is that of the whole pipeline.
procs_status procs_pipeline_output_stage_usage(const procs_pipeline_output *output, size_t stage, procs_usage *usage);

// What a stage wrote to standard error, and in `*len` (may be NULL) how many bytes; NULL when there is no such stage. Borrowed: valid until the
// output is freed.
const char *procs_pipeline_output_stage_stderr(const procs_pipeline_output *output, size_t stage, size_t *len);

// What the last stage wrote to standard output, and in `*len` (may be NULL) how many bytes; NULL for NULL. Borrowed: valid until the output is
// freed.
const char *procs_pipeline_output_stdout(const procs_pipeline_output *output, size_t *len);

// How the capture of standard output went.
procs_status procs_pipeline_output_stream_report(const procs_pipeline_output *output, procs_stream_report *report);

// What stopping the run did. Errors: PROCS_E_NOT_FOUND when it did not have to be stopped.
procs_status procs_pipeline_output_stop_report(const procs_pipeline_output *output, procs_stop_report *report);

// 1 when the timeout passed before the run was complete; 0 for NULL.
int procs_pipeline_output_timed_out(const procs_pipeline_output *output);

// 1 when the cancel handle ended the run; 0 for NULL.
int procs_pipeline_output_cancelled(const procs_pipeline_output *output);

// 1 when somebody (a grandchild) still held a captured stream when reading it was given up; 0 for NULL.
int procs_pipeline_output_pipes_left_open(const procs_pipeline_output *output);

// Frees the output and everything borrowed from it. NULL is fine.
procs_status procs_pipeline_output_free(procs_pipeline_output *output);

/* ---- SEVERAL AT ONCE ------------------------------------------------------------------------------------- */

// Waits until one of the children has ended and gives its index. It is not yet waited for: call `procs_child_try_wait` with it. A child that has
// ended counts each time, so leave it out of the next call.
//
// Errors: PROCS_E_TIMEOUT, and PROCS_E_WOULD_BLOCK for a timeout of 0, when all still run.
procs_status procs_wait_any(const procs_child *const *children, size_t count, int64_t timeout_ms, size_t *index);

// Ends several children together, such as the stages of a pipeline, by one ladder: each step is taken for all of them. NULL for `options` is
// SIGTERM, 5 s, SIGKILL. `survivors`, the number of those that outlive the last step, may be NULL.
//
// Works also for children that have ended already. With a ladder of one PROCS_STOP_KILL step it kills them all at once.
procs_status procs_stop_all(const procs_child *const *children, size_t count, const procs_stop_options *options, size_t *survivors);

// Runs every command to its end, at most `jobs` at once (0: one for each CPU), and gives the results in the order of the commands.
//
// `options` and `outputs` and `statuses` have `count` entries. A failure does not stop the others and is not an error of this call:
// `statuses[i]` is what `procs_run` would have returned, and `outputs[i]` is NULL unless there is an output (owned: free each). Output, input and
// progress functions may be called by several threads, one at a time for each command. `progress` may be NULL.
//
// Errors: PROCS_E_INVALID_ARGUMENT names the entry whose options are refused; nothing was started then.
procs_status procs_run_many(const procs_spawn_options *const *options, size_t count, size_t jobs, procs_output **outputs, int *statuses,
    procs_progress_fn progress, void *user_data);

// The most children that the library lets run at once; further starts fail with PROCS_E_EXHAUSTED.
size_t procs_max_children(void);

// Sets the most children that run at once; it does not end any. 0 restores the default: 4096, or half of RLIMIT_NPROC where that is less.
procs_status procs_set_max_children(size_t cap);

/* ---- CANCEL ---------------------------------------------------------------------------------------------- */

// Makes a cancel handle. Owned: free it with `procs_cancel_free`.
procs_status procs_cancel_new(procs_cancel **cancel);

// Cancels, for ever; any number of times, also while the runs go on in other threads.
procs_status procs_cancel_now(const procs_cancel *cancel);

// 1 when it was cancelled, else 0; 0 for NULL.
int procs_cancel_is_cancelled(const procs_cancel *cancel);

// A descriptor that becomes readable when it is cancelled; -1 for NULL. Borrowed: valid until the handle is freed.
int procs_cancel_fd(const procs_cancel *cancel);

// Frees the handle. Runs that have it go on and can no longer be cancelled. NULL is fine.
procs_status procs_cancel_free(procs_cancel *cancel);

/* ---- SHARED MEMORY --------------------------------------------------------------------------------------- */

// Makes memory of `len` bytes, at least 1, all zero and all there. `flags`: 0, or PROCS_SHM_ joined by |. Owned: free it with `procs_shm_free`.
//
// Give it to a child as a descriptor (`procs_spawn_options.extra_fds`), which opens it with `procs_shm_from_fd`. Other processes may write at any time:
// copy bytes in and out, and put what several use at once into cells or under a lock.
//
// Errors: PROCS_E_EXHAUSTED when the machine has not that much left, PROCS_E_TOO_LARGE when no file can be that large.
procs_status procs_shm_new(size_t len, uint64_t flags, procs_shm **shm);

// Opens memory by a descriptor, which is duplicated: yours stays yours. Owned: free it with `procs_shm_free`.
//
// Errors: PROCS_E_PERMISSION_DENIED when it is not sealed memory (its owner could shorten it under you), PROCS_E_PROTOCOL when libprocs did not
// make it.
procs_status procs_shm_from_fd(int fd, procs_shm **shm);

// Usable bytes; 0 for NULL.
size_t procs_shm_len(const procs_shm *shm);

// 1 when this process can only read it, else 0; 0 for NULL.
int procs_shm_is_read_only(const procs_shm *shm);

// Its descriptor, to hand over; -1 for NULL. Borrowed: valid until the handle is freed.
int procs_shm_fd(const procs_shm *shm);

// The address of offset 0, aligned to 64 bytes; NULL for NULL. Borrowed: valid until the handle is freed. What you read through it, another
// process may be writing; a write is a fault where `procs_shm_is_read_only`.
void *procs_shm_data(const procs_shm *shm);

// Copies `len` bytes from `offset` into `buffer`.
procs_status procs_shm_read(const procs_shm *shm, size_t offset, void *buffer, size_t len);

// Copies `len` bytes from `data` to `offset`.
//
// Errors: PROCS_E_PERMISSION_DENIED when this process can only read it.
procs_status procs_shm_write(const procs_shm *shm, size_t offset, const void *data, size_t len);

// Frees the handle; the memory lives as long as somebody has it. What was opened in it (locks, counters) stays usable. NULL is fine.
procs_status procs_shm_free(procs_shm *shm);

// Reads the 4 bytes at `offset`, a multiple of 4, at once; works on memory that can only be read.
procs_status procs_shm_load32(const procs_shm *shm, size_t offset, uint32_t *value);

// Sets the 4 bytes at `offset` at once.
procs_status procs_shm_store32(const procs_shm *shm, size_t offset, uint32_t value);

// Adds to the number of 4 bytes at `offset`, wrapping around; `*before`, unless NULL, is what it was.
procs_status procs_shm_add32(const procs_shm *shm, size_t offset, uint32_t amount, uint32_t *before);

// Sets the number of 4 bytes at `offset` to `desired` if it is `expected`; `*before` is what it was, so it worked when that equals `expected`.
procs_status procs_shm_compare_exchange32(const procs_shm *shm, size_t offset, uint32_t expected, uint32_t desired, uint32_t *before);

// Sleeps while the number of 4 bytes at `offset` is `expected`, until `procs_shm_notify32` after it changed. -1: as long as it takes.
//
// Errors: PROCS_E_TIMEOUT when it still is `expected`.
procs_status procs_shm_wait32(const procs_shm *shm, size_t offset, uint32_t expected, int64_t timeout_ms);

// Wakes up to `count` sleepers of the number at `offset`, in whatever process.
procs_status procs_shm_notify32(const procs_shm *shm, size_t offset, size_t count);

// Reads the 8 bytes at `offset`, a multiple of 8, at once; works on memory that can only be read.
procs_status procs_shm_load64(const procs_shm *shm, size_t offset, uint64_t *value);

// Sets the 8 bytes at `offset` at once.
procs_status procs_shm_store64(const procs_shm *shm, size_t offset, uint64_t value);

// Adds to the number of 8 bytes at `offset`, wrapping around; `*before`, unless NULL, is what it was.
procs_status procs_shm_add64(const procs_shm *shm, size_t offset, uint64_t amount, uint64_t *before);

// Sets the number of 8 bytes at `offset` to `desired` if it is `expected`; `*before` is what it was, so it worked when that equals `expected`.
procs_status procs_shm_compare_exchange64(const procs_shm *shm, size_t offset, uint64_t expected, uint64_t desired, uint64_t *before);

// The field with this number, from 0.
//
// Errors: PROCS_E_NOT_FOUND beyond the last one.
procs_status procs_shm_layout(size_t index, procs_shm_field *field);

/* ---- LOCKS IN SHARED MEMORY ------------------------------------------------------------------------------ */

// Opens or makes a mutex at `offset`; `how` is PROCS_SHM_OPEN_OR_CREATE, _CREATE or _OPEN. Owned: free it with `procs_shm_mutex_free`.
//
// Errors: PROCS_E_INVALID_ARGUMENT when it does not fit there, PROCS_E_PROTOCOL when there is none or something else.
procs_status procs_shm_mutex_new(const procs_shm *shm, size_t offset, int how, procs_shm_mutex **mutex);

// Takes the lock for the calling thread, waiting up to `timeout_ms` (-1: as long as it takes, 0: not at all). The same thread gives it back.
//
// `*owner_died`, unless NULL, is 1 when the former holder died while it had the lock, and you have it now: what it protects may be half changed.
// Make it whole and call `procs_shm_mutex_repair` before the unlock; without that the lock is lost for everybody.
//
// Errors: PROCS_E_TIMEOUT, or PROCS_E_WOULD_BLOCK for a timeout of 0; PROCS_E_OWNER_DIED when it was lost that way; PROCS_E_INVALID_STATE when this
// thread has it already.
procs_status procs_shm_mutex_lock(const procs_shm_mutex *mutex, int64_t timeout_ms, int *owner_died);

// Takes the lock in an event loop: see `procs_shm_pending`. Its value is `owner_died`; the thread that finishes it has the lock.
procs_status procs_shm_mutex_lock_start(const procs_shm_mutex *mutex, int64_t timeout_ms, procs_shm_pending **pending);

// Gives the lock back.
//
// Errors: PROCS_E_INVALID_STATE when this thread has not got it.
procs_status procs_shm_mutex_unlock(const procs_shm_mutex *mutex);

// Says that what the lock protects is whole again after `owner_died`; this thread has the lock.
procs_status procs_shm_mutex_repair(const procs_shm_mutex *mutex);

// Frees the handle; the lock stays in the memory, held if it is held. NULL is fine.
procs_status procs_shm_mutex_free(procs_shm_mutex *mutex);

// Opens or makes a rwlock at `offset`, as `procs_shm_mutex_new`. Owned: free it with `procs_shm_rwlock_free`.
procs_status procs_shm_rwlock_new(const procs_shm *shm, size_t offset, int how, procs_shm_rwlock **rwlock);

// Takes it for reading, waiting up to `timeout_ms` (-1: as long as it takes). A thread that reads must not ask to read again.
//
// Errors: PROCS_E_TIMEOUT, or PROCS_E_WOULD_BLOCK for a timeout of 0; PROCS_E_OWNER_DIED when a writer died and nobody has repaired.
procs_status procs_shm_rwlock_read(const procs_shm_rwlock *rwlock, int64_t timeout_ms);

// Takes it for reading in an event loop: see `procs_shm_pending`. Its value is 0.
procs_status procs_shm_rwlock_read_start(const procs_shm_rwlock *rwlock, int64_t timeout_ms, procs_shm_pending **pending);

// Takes it for writing, as `procs_shm_mutex_lock`: `*owner_died`, unless NULL, is 1 when the former writer died while it wrote.
procs_status procs_shm_rwlock_write(const procs_shm_rwlock *rwlock, int64_t timeout_ms, int *owner_died);

// Takes it for writing in an event loop: see `procs_shm_pending`. Its value is `owner_died`.
procs_status procs_shm_rwlock_write_start(const procs_shm_rwlock *rwlock, int64_t timeout_ms, procs_shm_pending **pending);

// Gives one reading of this process back.
//
// Errors: PROCS_E_INVALID_STATE when it does not read.
procs_status procs_shm_rwlock_unlock_read(const procs_shm_rwlock *rwlock);

// Gives the writing of this process back; loses the lock for everybody when the former writer died and nothing was repaired.
//
// Errors: PROCS_E_INVALID_STATE when it does not write.
procs_status procs_shm_rwlock_unlock_write(const procs_shm_rwlock *rwlock);

// Says that what the lock protects is whole again after `owner_died`; this process writes.
procs_status procs_shm_rwlock_repair(const procs_shm_rwlock *rwlock);

// Frees the handle; the lock stays in the memory, held if it is held. NULL is fine.
procs_status procs_shm_rwlock_free(procs_shm_rwlock *rwlock);

// Opens a semaphore at `offset`, or makes it with `permits` permits, as `procs_shm_mutex_new`. Owned: free it with `procs_shm_semaphore_free`.
procs_status procs_shm_semaphore_new(const procs_shm *shm, size_t offset, int how, uint32_t permits, procs_shm_semaphore **semaphore);

// Takes a permit, waiting up to `timeout_ms` (-1: as long as it takes). If this process dies the permit goes back.
//
// Errors: PROCS_E_TIMEOUT, or PROCS_E_WOULD_BLOCK for a timeout of 0.
procs_status procs_shm_semaphore_acquire(const procs_shm_semaphore *semaphore, int64_t timeout_ms);

// Takes a permit in an event loop: see `procs_shm_pending`. Its value is 0.
procs_status procs_shm_semaphore_acquire_start(const procs_shm_semaphore *semaphore, int64_t timeout_ms, procs_shm_pending **pending);

// Gives one permit of this process back; if it holds none, adds one.
procs_status procs_shm_semaphore_release(const procs_shm_semaphore *semaphore);

// Adds permits that nobody took.
//
// Errors: PROCS_E_TOO_LARGE beyond 2^32 - 1 permits.
procs_status procs_shm_semaphore_add(const procs_shm_semaphore *semaphore, uint32_t permits);

// Permits that are free now, those of dead processes included.
procs_status procs_shm_semaphore_available(const procs_shm_semaphore *semaphore, uint64_t *permits);

// Frees the handle; permits that this process holds stay held. NULL is fine.
procs_status procs_shm_semaphore_free(procs_shm_semaphore *semaphore);

// The descriptor to poll for reading; readable at first. -1 for NULL. Borrowed: valid until the handle is freed.
int procs_shm_pending_fd(const procs_shm_pending *pending);

// Takes what was wanted if it is there; `*value`, unless NULL, is what the `_start` function says. It is taken once; free the handle then.
//
// Errors: PROCS_E_WOULD_BLOCK when it is not there yet, PROCS_E_TIMEOUT when the time that was given is over, PROCS_E_INVALID_STATE when it was
// taken before, and those of the lock.
procs_status procs_shm_pending_finish(const procs_shm_pending *pending, int *value);

// Frees the handle; withdraws the wish if it was not taken. NULL is fine.
procs_status procs_shm_pending_free(procs_shm_pending *pending);

// Opens or makes an event at `offset`, as `procs_shm_mutex_new`. Owned: free it with `procs_shm_event_free`.
procs_status procs_shm_event_new(const procs_shm *shm, size_t offset, int how, procs_shm_event **event);

// Sets it and wakes everybody who waits.
procs_status procs_shm_event_set(const procs_shm_event *event);

// Clears it.
procs_status procs_shm_event_clear(const procs_shm_event *event);

// 1 when it is set, else 0; 0 for NULL.
int procs_shm_event_is_set(const procs_shm_event *event);

// Waits until it is set, up to `timeout_ms` (-1: as long as it takes).
//
// Errors: PROCS_E_TIMEOUT, or PROCS_E_WOULD_BLOCK for a timeout of 0.
procs_status procs_shm_event_wait(const procs_shm_event *event, int64_t timeout_ms);

// Waits in an event loop: see `procs_shm_pending`. Its value is 0.
procs_status procs_shm_event_wait_start(const procs_shm_event *event, int64_t timeout_ms, procs_shm_pending **pending);

// Frees the handle; the event stays in the memory. NULL is fine.
procs_status procs_shm_event_free(procs_shm_event *event);

// Opens a barrier at `offset`, or makes it for `parties` (at least 1), as `procs_shm_mutex_new`. Owned: free it with `procs_shm_barrier_free`.
procs_status procs_shm_barrier_new(const procs_shm *shm, size_t offset, int how, uint32_t parties, procs_shm_barrier **barrier);

// Arrives and waits for the others, up to `timeout_ms` (-1: as long as it takes); `*leader`, unless NULL, is 1 for one of them.
//
// Errors: PROCS_E_OWNER_DIED when a process died that had arrived; PROCS_E_TIMEOUT, or PROCS_E_WOULD_BLOCK for a timeout of 0: the arrival was
// taken back.
procs_status procs_shm_barrier_wait(const procs_shm_barrier *barrier, int64_t timeout_ms, int *leader);

// Arrives in an event loop: see `procs_shm_pending`. Its value is `leader`.
procs_status procs_shm_barrier_wait_start(const procs_shm_barrier *barrier, int64_t timeout_ms, procs_shm_pending **pending);

// Frees the handle; the barrier stays in the memory. NULL is fine.
procs_status procs_shm_barrier_free(procs_shm_barrier *barrier);

// Opens or makes a step at `offset`, as `procs_shm_mutex_new`. Owned: free it with `procs_shm_once_free`.
procs_status procs_shm_once_new(const procs_shm *shm, size_t offset, int how, procs_shm_once **once);

// Takes the turn, or waits for the one who has it, up to `timeout_ms` (-1: as long as it takes). `*turn` is 1 when the work is yours, 2
// when a process died at it before: do it, then call `procs_shm_once_done` or `procs_shm_once_fail`; 0 when it is done. If the process that has the turn dies, the next one gets it.
//
// Errors: PROCS_E_TIMEOUT, or PROCS_E_WOULD_BLOCK for a timeout of 0, when somebody else is still at it.
procs_status procs_shm_once_begin(const procs_shm_once *once, int64_t timeout_ms, int *turn);

// Says that the work is done, for ever.
//
// Errors: PROCS_E_INVALID_STATE when this process has not got the turn.
procs_status procs_shm_once_done(const procs_shm_once *once);

// Gives the turn to the next one.
//
// Errors: PROCS_E_INVALID_STATE when this process has not got the turn.
procs_status procs_shm_once_fail(const procs_shm_once *once);

// 1 when the work is done, else 0; 0 for NULL.
int procs_shm_once_is_done(const procs_shm_once *once);

// Frees the handle; the step stays in the memory. NULL is fine.
procs_status procs_shm_once_free(procs_shm_once *once);

/* ---- COUNTERS IN SHARED MEMORY --------------------------------------------------------------------------- */

// Opens a table at `offset`, or makes it for `capacity` names, as `procs_shm_mutex_new`. Owned: free it with `procs_shm_counters_free`.
procs_status procs_shm_counters_new(const procs_shm *shm, size_t offset, int how, uint32_t capacity, procs_shm_counters **counters);

// The name and value of the entry with this number, from 0, in the order in which names were added; `name` has room for PROCS_SHM_COUNTER_NAME bytes.
//
// Errors: PROCS_E_NOT_FOUND beyond the last one.
procs_status procs_shm_counters_entry(const procs_shm_counters *counters, size_t index, char *name, int64_t *value);

// Frees the handle; the table stays in the memory. NULL is fine.
procs_status procs_shm_counters_free(procs_shm_counters *counters);

// The counter of this name, 1 to 48 bytes of UTF-8; added with the value 0 if there is none. Owned: free it with `procs_shm_counter_free`.
//
// Errors: PROCS_E_EXHAUSTED when the table is full.
procs_status procs_shm_counter_new(const procs_shm_counters *counters, const char *name, procs_shm_counter **counter);

// Adds, or subtracts what is negative; `*before`, unless NULL, is what it was.
procs_status procs_shm_counter_add(const procs_shm_counter *counter, int64_t amount, int64_t *before);

// Sets the value.
procs_status procs_shm_counter_set(const procs_shm_counter *counter, int64_t value);

// The value now; 0 for NULL.
int64_t procs_shm_counter_value(const procs_shm_counter *counter);

// Frees the handle; the number stays in the memory. NULL is fine.
procs_status procs_shm_counter_free(procs_shm_counter *counter);

// Opens or makes a histogram at `offset`, as `procs_shm_mutex_new`. Owned: free it with `procs_shm_histogram_free`.
procs_status procs_shm_histogram_new(const procs_shm *shm, size_t offset, int how, procs_shm_histogram **histogram);

// Adds a value, in whatever unit.
procs_status procs_shm_histogram_record(const procs_shm_histogram *histogram, uint64_t value);

// What it holds now.
procs_status procs_shm_histogram_summary(const procs_shm_histogram *histogram, procs_shm_summary *summary);

// Frees the handle; the histogram stays in the memory. NULL is fine.
procs_status procs_shm_histogram_free(procs_shm_histogram *histogram);

/* ---- ARENA ----------------------------------------------------------------------------------------------- */

// Makes an arena with room for `len` bytes of blocks, which grows by further segments up to `max_len` (0: 1 GiB). Owned: free it with
// `procs_shm_arena_free`.
procs_status procs_shm_arena_new(size_t len, size_t max_len, procs_shm_arena **arena);

// Opens an arena by the descriptor of its segment 0, which is duplicated, at the seat that its maker kept. Owned: free it with
// `procs_shm_arena_free`.
//
// Errors: PROCS_E_INVALID_STATE when the seat is not for this process, PROCS_E_PROTOCOL or PROCS_E_PERMISSION_DENIED when it is no arena.
procs_status procs_shm_arena_open(int fd, uint32_t seat, procs_shm_arena **arena);

// Keeps a seat for another process; tell it the number beside the descriptor.
//
// Errors: PROCS_E_EXHAUSTED when all 8 are taken.
procs_status procs_shm_arena_seat(const procs_shm_arena *arena, uint32_t *seat);

// A new descriptor of a segment (from 0), close-on-exec, to give to another process. Owned: close it.
//
// Errors: PROCS_E_INVALID_ARGUMENT when there is no such segment.
procs_status procs_shm_arena_segment_fd(const procs_shm_arena *arena, size_t segment, int *fd);

// Segments so far; 0 for NULL.
size_t procs_shm_arena_segments(const procs_shm_arena *arena);

// Adds the next segment of an arena that was opened, by its descriptor, which is duplicated.
procs_status procs_shm_arena_add_segment(const procs_shm_arena *arena, int fd);

// Takes back what dead processes held, and their seats; `*blocks`, unless NULL, is how many blocks they had. Only the maker.
procs_status procs_shm_arena_reclaim_dead(const procs_shm_arena *arena, size_t *blocks);

// Takes back what a seat holds, and the seat: its process is gone or never came. `*blocks`, unless NULL, is how many blocks it had. Only the maker.
procs_status procs_shm_arena_reclaim(const procs_shm_arena *arena, uint32_t seat, size_t *blocks);

// Bytes of blocks that this process has or has lent, in whole pages. Only the maker.
procs_status procs_shm_arena_used(const procs_shm_arena *arena, size_t *bytes);

// Frees the handle; the memory lives while blocks or other processes have it. NULL is fine.
procs_status procs_shm_arena_free(procs_shm_arena *arena);

// Allocates a block of `len` bytes; they are what their last user left. Owned: free it with `procs_shm_block_free`. Only the maker.
//
// Errors: PROCS_E_EXHAUSTED when there is no room.
procs_status procs_shm_arena_alloc(const procs_shm_arena *arena, size_t len, procs_shm_block **block);

// Takes a block that was lent to this process; `place` may come from a stranger. Owned: free it with `procs_shm_block_free`.
//
// Errors: PROCS_E_PROTOCOL when there is no such block or it was not lent to this process, PROCS_E_INVALID_STATE when its segment is not there yet.
procs_status procs_shm_arena_attach(const procs_shm_arena *arena, const procs_shm_place *place, procs_shm_block **block);

// Adds a reference for the process with this seat and says where the block is. Write to it no more. That process must attach it exactly once.
//
// Errors: PROCS_E_INVALID_ARGUMENT for a seat that nobody kept, PROCS_E_INVALID_STATE when this process did not allocate the block,
// PROCS_E_WOULD_BLOCK when that process has 255 references to it.
procs_status procs_shm_block_lend(const procs_shm_block *block, uint32_t seat, procs_shm_place *place);

// Takes back one reference whose place was not sent.
procs_status procs_shm_block_unlend(const procs_shm_block *block, uint32_t seat);

// Its bytes, aligned to 4096; NULL for NULL. Borrowed: valid until the block is freed. Write to them before it is lent, and only in the maker.
void *procs_shm_block_data(const procs_shm_block *block);

// Its length in bytes; 0 for NULL.
size_t procs_shm_block_len(const procs_shm_block *block);

// Gives this process' reference back: one atomic change, no message. NULL is fine.
procs_status procs_shm_block_free(procs_shm_block *block);

/* ---- CHANNELS -------------------------------------------------------------------------------------------- */

// Makes both ends of a channel; `options` may be NULL. Owned: free each with `procs_channel_free`. Use them in different threads, or hand one to
// another process with `procs_channel_take_fd`.
//
// Errors: PROCS_E_EXHAUSTED when the system has no descriptor or memory left.
procs_status procs_channel_pair(const procs_channel_options *options, procs_channel **first, procs_channel **second);

// The channel to the parent that started this process with one; `options` may be NULL. Once in a process. Owned: free it with
// `procs_channel_free`.
//
// Errors: PROCS_E_NOT_FOUND when this process was not given a channel; PROCS_E_INVALID_STATE when it was taken before; PROCS_E_PROTOCOL for a
// parent of another version.
procs_status procs_channel_from_env(const procs_channel_options *options, procs_channel **channel);

// The end whose descriptor `procs_channel_take_fd` gave in this or another process; `options` may be NULL. The library takes a duplicate: `fd`
// stays yours, and the channel ends for the other side when both are closed. Owned: free it with `procs_channel_free`.
//
// Errors: the first use tells when the descriptor is no end of a channel.
procs_status procs_channel_from_fd(int fd, const procs_channel_options *options, procs_channel **channel);

// The channel to a child that was started with `channel` in its options. Once. Owned: free it with `procs_channel_free`; the child may be freed
// before.
//
// Errors: PROCS_E_INVALID_STATE when the child was started without, or the channel was taken before.
procs_status procs_child_channel(const procs_child *child, procs_channel **channel);

// The descriptor of an end that nobody has used, for another process: all that the process needs. Owned: close it yourself. The handle is then
// good for `procs_channel_free` only.
//
// Errors: PROCS_E_INVALID_STATE when the end was used.
procs_status procs_channel_take_fd(const procs_channel *channel, int *fd);

// Sends a message; waits at most `timeout_ms` while the other side does not read. On success the message is empty: free it. On failure it is as
// it was.
//
// Errors: PROCS_E_CLOSED when the other side is gone; PROCS_E_TIMEOUT, and PROCS_E_WOULD_BLOCK for a timeout of 0, when there was no room;
// PROCS_E_TOO_LARGE when the other side does not take messages of this size; PROCS_E_INVALID_ARGUMENT when a descriptor is not what the message
// says; PROCS_E_INVALID_STATE when this side has closed.
procs_status procs_channel_send(const procs_channel *channel, procs_message *message, int64_t timeout_ms);

// Sends bytes as a raw message, without a message handle. Errors: as `procs_channel_send`.
procs_status procs_channel_send_bytes(const procs_channel *channel, const void *data, size_t len, int64_t timeout_ms);

// A block of the memory that is shared with the other side, to build a large message in place: fill `procs_shm_block_data`, then
// `procs_message_from_block` or `procs_message_add_block`. What was received lies in place as well: `procs_message_body`. Owned: free it with
// `procs_shm_block_free`.
//
// Errors: PROCS_E_EXHAUSTED when the other side has not given back enough of `max_queued_bytes`; PROCS_E_UNSUPPORTED for a channel without shared
// memory.
procs_status procs_channel_alloc(const procs_channel *channel, size_t len, procs_shm_block **block);

// The next message; waits for it at most `timeout_ms`. Owned: free it with `procs_message_free`.
//
// Errors: PROCS_E_CLOSED when everything was received and the other side has closed or is gone; PROCS_E_TIMEOUT, and PROCS_E_WOULD_BLOCK for a
// timeout of 0; PROCS_E_PROTOCOL and PROCS_E_TOO_LARGE when what came is no message of this wire or over the limits: the channel has ended then;
// PROCS_E_INVALID_STATE when this side has closed.
procs_status procs_channel_recv(const procs_channel *channel, int64_t timeout_ms, procs_message **message);

// As `procs_channel_recv`, into a message that is there: what it held is freed. Saves a handle for each message.
procs_status procs_channel_recv_into(const procs_channel *channel, int64_t timeout_ms, procs_message *message);

// The next message, without a message handle: a body alone of at most `capacity` bytes is copied to `buffer`, and `*message` is NULL. Any other
// message, one that is larger or has buffers or descriptors, is given as `*message`, owned: free it with `procs_message_free`; `buffer` is then
// as it was. `*len` is the length of the body either way. Waits at most `timeout_ms`. The codec of a body alone is what the two sides agreed on.
//
// Errors: as `procs_channel_recv`.
procs_status procs_channel_recv_bytes(const procs_channel *channel, int64_t timeout_ms, void *buffer, size_t capacity, size_t *len,
    procs_message **message);

// Waits until everything sent has left this process, so that its end cannot lose it.
//
// Errors: PROCS_E_TIMEOUT, and PROCS_E_WOULD_BLOCK for a timeout of 0; PROCS_E_CLOSED when the other side is gone before.
procs_status procs_channel_flush(const procs_channel *channel, int64_t timeout_ms);

// Closes this end: the other side receives what was sent, then PROCS_E_CLOSED. Never waits. The handle stays, to be freed.
procs_status procs_channel_close(const procs_channel *channel);

// 1 when either side has closed or is gone; messages may still be there to be received.
int procs_channel_is_closed(const procs_channel *channel);

// Closes the channel and frees it. NULL is fine. A call that another thread is inside ends with PROCS_E_INVALID_STATE.
procs_status procs_channel_free(procs_channel *channel);

// What happens next: each message and each call of the other side in its order, then once PROCS_CHANNEL_CLOSED, then, on the channel of a child,
// once PROCS_CHANNEL_EXITED. Waits at most `timeout_ms`.
//
// Errors: as `procs_channel_recv`; PROCS_E_CLOSED when all of this was given before.
procs_status procs_channel_next_event(const procs_channel *channel, int64_t timeout_ms, procs_channel_event *event);

// A descriptor to poll: readable while a message can be received or the end is to be seen. Then receive with a timeout of 0 until
// PROCS_E_WOULD_BLOCK. Borrowed: never read from it or close it. -1 when the channel is closed by this side.
int procs_channel_fd(const procs_channel *channel);

// Waits until one of the channels has a message or has ended, and gives its index.
//
// Errors: PROCS_E_TIMEOUT, and PROCS_E_WOULD_BLOCK for a timeout of 0.
procs_status procs_channel_wait_any(const procs_channel *const *channels, size_t count, int64_t timeout_ms, size_t *index);

// Writes the defaults. `size` is `sizeof(procs_channel_options)`.
procs_status procs_channel_options_init(procs_channel_options *options, size_t size);

/* ---- CALLS ----------------------------------------------------------------------------------------------- */

// Calls the other side with a message and waits at most `timeout_ms` for its reply. Owned: free the reply with `procs_message_free`. The message
// is empty afterwards.
//
// Any number of threads may call at once, beside others that receive.
//
// Errors: PROCS_E_TIMEOUT: the other side is told, and what it still replies is dropped; PROCS_E_TASK_FAILED: the other side failed,
// `procs_last_error_remote_name` and `_trace` say more; PROCS_E_CLOSED; as `procs_channel_send`.
procs_status procs_channel_call(const procs_channel *channel, procs_message *message, int64_t timeout_ms, procs_message **reply);

// Calls the other side for any number of replies; it may be sixteen ahead. Owned: free the stream with `procs_call_stream_free`.
//
// Errors: as `procs_channel_send`.
procs_status procs_channel_call_stream(const procs_channel *channel, procs_message *message, procs_call_stream **stream);

// The next reply; `*message` is NULL when there are no more. Waits at most `timeout_ms`. Owned: free it with `procs_message_free`.
//
// Errors: as `procs_channel_call`; after PROCS_E_TIMEOUT the stream goes on.
procs_status procs_call_stream_next(procs_call_stream *stream, int64_t timeout_ms, procs_message **message);

// Frees a stream; if it has not ended, the other side is told that no more is wanted. NULL is fine.
procs_status procs_call_stream_free(procs_call_stream *stream);

// The next call of the other side; waits at most `timeout_ms`. Owned: answer it, then free it with `procs_request_free`.
//
// Errors: PROCS_E_TIMEOUT, and PROCS_E_WOULD_BLOCK for a timeout of 0; as `procs_channel_recv`.
procs_status procs_channel_next_request(const procs_channel *channel, int64_t timeout_ms, procs_request **request);

// Takes what the caller sent. Owned: free it with `procs_message_free`. A second time it is empty.
procs_status procs_request_take_message(procs_request *request, procs_message **message);

// 1 when the caller takes several replies.
int procs_request_takes_parts(const procs_request *request);

// 1 when the caller has given up: its time is over, it has dropped the call, or it is gone.
int procs_request_is_cancelled(const procs_request *request);

// Answers with this message, which is the last of the parts if there were any. The message is empty afterwards, unless it could not be sent; the
// request counts as answered in any case.
//
// Errors: PROCS_E_CANCELLED when the caller no longer wants it; as `procs_channel_send`.
procs_status procs_request_reply(procs_request *request, procs_message *message);

// Sends one of several replies; waits at most `timeout_ms` until the caller takes more. The message is empty afterwards, unless it could not be
// sent.
//
// Errors: as `procs_request_reply`; PROCS_E_TIMEOUT, and PROCS_E_WOULD_BLOCK for a timeout of 0; PROCS_E_INVALID_STATE when the caller takes one
// reply.
procs_status procs_request_reply_part(procs_request *request, procs_message *message, int64_t timeout_ms);

// Ends the parts.
procs_status procs_request_finish(procs_request *request);

// Answers that it failed: the caller gets PROCS_E_TASK_FAILED with `message`. `name` and `trace` may be NULL. All are copied.
procs_status procs_request_fail(procs_request *request, const char *name, const char *message, const char *trace);

// Frees a request; one that was not answered fails for the caller. NULL is fine.
procs_status procs_request_free(procs_request *request);

/* ---- MESSAGES -------------------------------------------------------------------------------------------- */

// Makes a message with this body, copied; `data` may be NULL when `len` is 0. `codec` is one of `procs_codec`. Owned: free it with
// `procs_message_free`. Call next: `procs_channel_send`, or one of the `procs_message_add_` functions.
procs_status procs_message_new(int codec, const void *data, size_t len, procs_message **message);

// Adds a buffer that travels beside the body, copied. At most 4096.
procs_status procs_message_add_buffer(procs_message *message, const void *data, size_t len);

// Makes a message whose body is the first `len` bytes of the block. Sent on the channel whose `procs_channel_alloc` gave the block they are not
// copied, whatever their number; sent elsewhere they are. The block stays yours: free it when you like, and write to it no more. Owned: free the
// message with `procs_message_free`.
//
// Errors: PROCS_E_INVALID_ARGUMENT when the block has fewer bytes.
procs_status procs_message_from_block(int codec, const procs_shm_block *block, size_t len, procs_message **message);

// As `procs_message_add_buffer` for the first `len` bytes of a block, which are not copied: see `procs_message_from_block`.
procs_status procs_message_add_block(procs_message *message, const procs_shm_block *block, size_t len);

// Adds a descriptor, of which the library takes a duplicate: `fd` stays yours.
//
// Errors: PROCS_E_IO with EBADF when `fd` is not open; PROCS_E_EXHAUSTED.
procs_status procs_message_add_fd(procs_message *message, int fd);

// Says what all descriptors of the message are: one of `procs_handle_kind`. It is checked when the message is sent and when it is received.
procs_status procs_message_set_handle_kind(procs_message *message, int kind);

// The codec of the body, one of `procs_codec`.
int procs_message_codec(const procs_message *message);

// The body; `*len` gets its length, and may be NULL. Borrowed: valid until the message is sent, received into or freed. Not NUL-terminated.
const void *procs_message_body(const procs_message *message, size_t *len);

// How many buffers travel beside the body.
size_t procs_message_buffer_count(const procs_message *message);

// A buffer; `*len` gets its length, and may be NULL. NULL when there is no such buffer. Borrowed: as the body.
const void *procs_message_buffer(const procs_message *message, size_t index, size_t *len);

// How many descriptors the message has.
size_t procs_message_fd_count(const procs_message *message);

// A descriptor of the message; -1 when there is no such descriptor. Borrowed: closed when the message is sent, received into or freed.
int procs_message_fd(const procs_message *message, size_t index);

// What the descriptors were said to be, and are: one of `procs_handle_kind`.
int procs_message_handle_kind(const procs_message *message);

// Takes the first descriptor out of the message. Owned: close it yourself. It is close-on-exec. Call again for the next one.
//
// Errors: PROCS_E_INVALID_STATE when the message has none.
procs_status procs_message_take_fd(procs_message *message, int *fd);

// Frees a message and closes its descriptors. NULL is fine.
procs_status procs_message_free(procs_message *message);

/* ---- VERSION, ENGINE, SIGNALS ---------------------------------------------------------------------------- */

// The version of the library that is running, such as "0.1.0". Static text.
const char *procs_version(void);

// The version of the library that is running as one number; compare with PROCS_VERSION_NUMBER.
uint32_t procs_version_number(void);

// The number of the binary interface of the library that is running; must equal PROCS_ABI_VERSION.
uint32_t procs_abi_version(void);

// The name of a signal such as "SIGTERM"; NULL for numbers without a name. Static text.
const char *procs_signal_name(int signal);

// The number of a signal named with or without "SIG", such as "SIGTERM" or "TERM"; PROCS_E_INVALID_ARGUMENT (-1) for anything else.
int procs_signal_number(const char *name);

// Tells what the engine uses on this kernel; probed once.
procs_status procs_engine(procs_engine_info *info);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* PROCS_H */
