//! Programs as the standard library's documentation and tutorials write them, compiled with `std::process` and with `procs` in its place: both say
//! the same. What differs is in `docs/from-std-process.md`.

use procs_tests::isolated;

/// The programs with the names of one library.
macro_rules! programs {
    ($($library:ident)::+) => {
        use $($library)::+::{Child, ChildStderr, ChildStdin, ChildStdout, Command, CommandArgs, CommandEnvs, ExitStatus, Output, Stdio};
        use $($library)::+::{ExitCode, Termination, abort, exit, id};
        use std::os::fd::IntoRawFd;
        use std::error::Error;
        use std::io::{BufRead, BufReader, IoSlice, IoSliceMut, Read, Write};
        use std::sync::LazyLock;
        type Told = Result<Vec<String>, Box<dyn Error>>;

        pub(super) fn captured() -> Told {
            let output: Output = Command::new("sh").arg("-c").arg("echo hello; echo oh no >&2; exit 3").output()?;
            Ok(vec![
                String::from_utf8(output.stdout.into())?,
                String::from_utf8_lossy(&output.stderr).into_owned(),
                format!("{:?} {}", output.status.code(), output.status.success()),
            ])
        }

        pub(super) fn status() -> Told {
            let status: ExitStatus = Command::new("ls").args(["-l", "/"]).stdin(Stdio::null()).stdout(Stdio::null()).status()?;
            let failed = Command::new("false").status().expect("failed to execute process");
            Ok(vec![format!("{:?} {:?}", status.code(), failed.code())])
        }

        pub(super) fn fed_by_a_thread() -> Told {
            let mut child: Child = Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
            let mut stdin = child.stdin.take().expect("failed to open stdin");
            let writer = std::thread::spawn(move || stdin.write_all(b"Hello, world!"));
            let output = child.wait_with_output()?;
            writer.join().expect("the writer ends")?;
            Ok(vec![String::from_utf8_lossy(&output.stdout).into_owned()])
        }

        pub(super) fn lines_while_it_runs() -> Told {
            let mut child = Command::new("sh")
                .args(["-c", "pwd; echo $KEY $GONE"])
                .env("KEY", "first")
                .envs([("KEY", "second")])
                .env("GONE", "still there")
                .env_remove("GONE")
                .current_dir("/")
                .stdout(Stdio::piped())
                .spawn()?;
            let mut told = Vec::new();
            for line in BufReader::new(child.stdout.as_mut().expect("a pipe")).lines() {
                told.push(line?);
            }
            told.push(format!("{:?}", child.wait()?.code()));
            told.push(format!("{:?}", child.try_wait()?.map(|status| status.success())));
            Ok(told)
        }

        pub(super) fn one_into_the_other() -> Told {
            let mut echo = Command::new("echo").arg("Oh no, a tpyo!").stdout(Stdio::piped()).spawn()?;
            let said = echo.stdout.take().expect("a pipe");
            let mut sed = Command::new("sed").arg("s/tpyo/typo/").stdin(Stdio::from(said)).stdout(Stdio::piped()).spawn()?;
            let mut text = String::new();
            sed.stdout.take().expect("a pipe").read_to_string(&mut text)?;
            Ok(vec![text, format!("{} {}", echo.wait()?.success(), sed.wait()?.success())])
        }

        pub(super) fn pipes_and_files_of_the_standard_library() -> Told {
            let (mut reader, writer) = std::io::pipe()?;
            let mut command = Command::new("sh");
            command.args(["-c", "echo both; echo ways >&2"]).stdout(writer.try_clone()?).stderr(writer);
            let status = command.status()?;
            drop(command);
            let mut text = String::new();
            reader.read_to_string(&mut text)?;
            let quiet = Command::new("echo").stdout(std::fs::File::create("/dev/null")?).status()?;
            Ok(vec![text, format!("{} {}", status.success(), quiet.success())])
        }

        pub(super) fn killed() -> Told {
            let mut child = Command::new("sleep").arg("60").spawn()?;
            let running = child.try_wait()?.is_none();
            child.kill()?;
            let status = child.wait()?;
            Ok(vec![format!("{running} {:?} {:?}", status.code(), signal(&status)), format!("{}", child.kill().is_ok())])
        }

        pub(super) fn looked_at() -> Told {
            let mut command = Command::new("program");
            command.args(["a", "b"]).current_dir("/tmp");
            let args: Vec<_> = command.get_args().collect();
            Ok(vec![format!("{:?} {args:?} {:?}", command.get_program(), command.get_current_dir())])
        }

        pub(super) fn settings() -> Told {
            let mut command = Command::new("program");
            command.env("B", "0").env("C", "3").env_remove("A").env_remove("C").env("B", "2");
            let before: Vec<_> = command.get_envs().collect();
            let before = format!("{before:?}");
            command.env_clear().env("D", "4").env_remove("D").env("E", "5").env_remove("F");
            Ok(vec![before, format!("{:?} {:?}", command.get_envs().collect::<Vec<_>>(), ExitStatus::default().code())])
        }

        /// A wrapper that hands on what the command says.
        fn handed_on(command: &Command) -> (CommandArgs<'_>, CommandEnvs<'_>) {
            (command.get_args(), command.get_envs())
        }

        pub(super) fn logged() -> Told {
            let mut told = Vec::new();
            let mut command = Command::new("/bin/ls");
            told.push(format!("{command:?}"));
            command.arg("-l").arg("two words").arg("qu\"ote\u{e9}").env("A", "1").env("B", "b c").env_remove("C").env_remove("A B").current_dir("/a folder");
            let (args, envs) = handed_on(&command);
            told.extend([format!("{command:?}"), format!("{} {:?}", args.len(), args.collect::<Vec<_>>()), format!("{} {:?}", envs.len(), envs.collect::<Vec<_>>())]);
            command.env_clear().env("D", "");
            Ok([told, vec![format!("{command:?}")]].concat())
        }

        /// What several threads use at once.
        struct Kept<T: Send + Sync + std::fmt::Debug>(T);

        pub(super) fn kept() -> Told {
            let mut command = Command::new("sh");
            command.args(["-c", "cat; echo err >&2"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
            let mut child: Kept<Child> = Kept(command.spawn()?);
            let (stdin, stdout, stderr): (Option<ChildStdin>, Option<ChildStdout>, Option<ChildStderr>) =
                (child.0.stdin.take(), child.0.stdout.take(), child.0.stderr.take());
            stdin.expect("its input").write_all(b"in")?;
            let id = std::thread::scope(|scope| scope.spawn(|| child.0.id()).join().expect("a thread"));
            let (mut out, mut err) = (String::new(), String::new());
            stdout.expect("its output").read_to_string(&mut out)?;
            let number = stderr.expect("its errors").into_raw_fd();
            std::fs::File::from(procs_tests::host::own(number)).read_to_string(&mut err)?;
            Ok(vec![format!("{} {out} {err} {}", id == child.0.id(), child.0.wait()?.success())])
        }

        pub(super) fn by_the_number() -> Told {
            let (reader, mut writer) = std::io::pipe()?;
            writer.write_all(b"by its number")?;
            drop(writer);
            let mut command = Command::new("cat");
            command.stdin(procs_tests::host::adopted::<Stdio>(reader.into_raw_fd())).stdout(Stdio::piped());
            Ok(vec![String::from_utf8_lossy(&command.output()?.stdout).into_owned()])
        }

        pub(super) fn several_buffers_at_once() -> Told {
            let mut child = Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
            let mut stdin = child.stdin.take().expect("its input");
            let written = stdin.write_vectored(&[IoSlice::new(b"one "), IoSlice::new(b""), IoSlice::new(b"two")])?;
            drop(stdin);
            child.wait()?;
            let (mut first, mut second) = ([0; 5], [0; 5]);
            let read = child.stdout.as_mut().expect("its output").read_vectored(&mut [IoSliceMut::new(&mut first), IoSliceMut::new(&mut second)])?;
            Ok(vec![format!("{written} {read} {first:?} {second:?}")])
        }

        /// A command that many threads look at.
        pub(super) fn shared() -> Told {
            static COMMAND: LazyLock<Command> = LazyLock::new(|| Command::new("shared"));
            Ok(vec![std::thread::scope(|scope| scope.spawn(|| format!("{:?}", &*COMMAND)).join().expect("a thread"))])
        }

        /// What was captured, as a `Vec` is looked at.
        pub(super) fn compared() -> Told {
            let output = Command::new("printf").arg("abc").output()?;
            assert_eq!(b"abc", output.stdout.as_slice());
            assert!(b"abc".to_vec() == output.stdout && b"abc"[..] == output.stdout && &b"abc"[..] == output.stdout);
            let mut sum = 0;
            for byte in &output.stdout {
                sum += u32::from(*byte);
            }
            Ok(vec![format!("{sum} {:?} {:?}", output.stdout.first(), std::str::from_utf8(&output.stdout))])
        }

        /// A child may go into what catches panics.
        pub(super) fn caught() -> Told {
            let mut child = Command::new("true").stdin(Stdio::null()).spawn()?;
            let status = std::panic::catch_unwind(move || child.wait().map(|status| status.code())).expect("no panic")?;
            Ok(vec![format!("{status:?}")])
        }

        fn ends() -> ExitCode {
            if id() == 0 { abort() } else { ExitCode::from(7) }
        }

        pub(super) fn ended() -> Told {
            fn code(of: impl Termination) -> String {
                format!("{:?}", of.report())
            }
            let _: fn(i32) -> ! = exit;
            Ok(vec![code(ends()), code(ExitCode::SUCCESS)])
        }

        pub(super) fn not_there() -> Told {
            let error = Command::new("no-such-program").spawn().map(|child| child.id()).expect_err("there is none");
            let missing = Command::new("true").current_dir("/no/such/directory").status().expect_err("there is none");
            Ok([error, missing].into_iter().map(|error| format!("{:?} {:?}", error.raw_os_error(), std::io::Error::from(error).kind())).collect())
        }

        pub(super) const ALL: &[(&str, fn() -> Told)] = &[
            ("captured", captured),
            ("status", status),
            ("fed_by_a_thread", fed_by_a_thread),
            ("lines_while_it_runs", lines_while_it_runs),
            ("one_into_the_other", one_into_the_other),
            ("pipes_and_files_of_the_standard_library", pipes_and_files_of_the_standard_library),
            ("killed", killed),
            ("looked_at", looked_at),
            ("settings", settings),
            ("logged", logged),
            ("kept", kept),
            ("by_the_number", by_the_number),
            ("several_buffers_at_once", several_buffers_at_once),
            ("shared", shared),
            ("compared", compared),
            ("caught", caught),
            ("ended", ended),
            ("not_there", not_there),
        ];
    };
}

mod theirs {
    programs!(std::process);

    fn signal(status: &ExitStatus) -> Option<i32> {
        std::os::unix::process::ExitStatusExt::signal(status)
    }
}

mod ours {
    programs!(procs);

    fn signal(status: &ExitStatus) -> Option<i32> {
        status.signal()
    }
}

#[test]
fn programs_say_the_same_with_either_library() {
    isolated("programs_say_the_same_with_either_library", |_| {
        for ((name, theirs), (_, ours)) in theirs::ALL.iter().zip(ours::ALL) {
            let theirs = theirs().unwrap_or_else(|error| panic!("{name} with std::process: {error}"));
            let ours = ours().unwrap_or_else(|error| panic!("{name} with procs: {error}"));
            assert_eq!(ours, theirs, "{name}");
        }
    });
}

/// Not among the programs above: the standard library leaves a zombie.
#[test]
fn a_pipe_is_moved_out_of_a_child() {
    isolated("a_pipe_is_moved_out_of_a_child", |_| {
        use procs::{Command, Stdio};
        let echo = Command::new("echo").arg("Oh no, a tpyo!").stdout(Stdio::piped()).spawn().expect("it starts");
        let stdout = echo.stdout.expect("its output");
        let sed = Command::new("sed").arg("s/tpyo/typo/").stdin(Stdio::from(stdout)).stdout(Stdio::piped()).spawn().expect("it starts");
        assert_eq!(sed.wait_with_output().expect("it ends").stdout, b"Oh no, a typo!\n");
    });
}

#[test]
fn results_go_to_and_come_from_libraries_that_take_the_standard_ones() {
    isolated("results_go_to_and_come_from_libraries_that_take_the_standard_ones", |_| {
        for script in ["exit 0", "exit 7", "kill -9 $$", "kill -ABRT $$", "echo out; echo err >&2; exit 255"] {
            let theirs = std::process::Command::new("sh").args(["-c", script]).output().expect("it starts");
            let ours = procs::Command::shell(script).output().expect("it starts");
            let status = ours.status;
            assert_eq!(procs::ExitStatus::from(theirs.status).to_string(), status.to_string(), "{script}");
            assert_eq!(std::process::ExitStatus::try_from(status).expect("it is known"), theirs.status, "{script}");
            let made = procs::Output::new(theirs.status.into(), theirs.stdout.clone(), theirs.stderr.clone());
            assert_eq!((made.success(), made.check().is_ok()), (ours.success(), status.success()), "{script}");
            assert_eq!(std::process::Output::try_from(ours).expect("its status is known"), theirs, "{script}");
        }
        let mut cat = procs::Command::new("cat").stdin(procs::Stdio::piped()).stdout(procs::Stdio::piped()).spawn().expect("it starts");
        let mut stdin = cat.stdin.take().map(std::process::ChildStdin::from).expect("its input");
        let stdout = cat.stdout.take().map(std::process::ChildStdout::from).expect("its output");
        std::io::Write::write_all(&mut stdin, b"there and back").expect("it reads");
        drop(procs::PipeWriter::from(stdin));
        assert_eq!(std::io::read_to_string(procs::PipeReader::from(stdout)).expect("it writes"), "there and back");
        assert!(cat.wait().expect("it ends").success());
        let unknown = std::process::ExitStatus::try_from(procs::ExitStatus::Unknown).expect_err("there is no such status");
        assert_eq!(unknown.kind(), procs::ErrorKind::InvalidState);
        let stopped = 19 << 8 | 0x7f;
        assert_eq!(procs::ExitStatus::from_raw(stopped), procs::ExitStatus::Unknown);
    });
}
